"""One message, looked at: the nodes that it belongs to, and what is odd about it by itself."""

from collections.abc import Mapping
from math import log1p
from typing import Final

from engine import limits
from engine.fraud.book import Book
from engine.fraud.figures import Figures
from engine.fraud.node import Node
from engine.fraud.places import Place
from engine.fraud.policy import Strictness

# What kinds of number add: few people who sign up have them, and some are earned from by calls.
ODD_KINDS: Final = {
    3: (1.0, "a toll-free number"),
    4: (2.0, "a premium-rate number"),
    5: (2.0, "a shared-cost number"),
    6: (0.5, "an internet telephone number"),
    7: (1.5, "a personal number"),
    8: (1.5, "a pager"),
    9: (1.0, "a company's access number"),
}
_NEW_COUNTRY: Final = 1.0
_NEW_COUNTRIES: Final = "new countries"
_CLASSES: Final = (
    "proven prefixes", "prefixes beside proven ones", "prefixes without history",
    "unproven prefixes",
)  # fmt: skip


class Look:
    """See the module's text.

    Attributes:
        region: The node of its country.
        b5: Of its block of 100,000 numbers; b4 to b2: of the smaller ones. None if never seen.
        proof: 0 if somebody of its block of 10,000 was verified, 1 if beside it, else 2.
        leaves: Its narrow nodes that are known.
        areas: The names of its wide nodes, its class first.
        sources: The names of the nodes of whoever asks.
        gates: Its wide nodes that are known.
        scope: Its wide nodes if all of them are known by now.
        usual: Whether they are those of its class and network, and no others.
    """

    __slots__ = (
        "areas", "b2", "b3", "b4", "b5", "book", "e164", "gates", "leaves", "now_ms", "place",
        "proof", "region", "scope", "sources", "strict", "usual", "workspace",
    )  # fmt: skip

    def __init__(
        self, workspace: str, book: Book, e164: str, place: Place, strict: Strictness, now_ms: int,
        facts: Mapping[str, str], figures: Figures,
    ) -> None:  # fmt: skip
        self.workspace = workspace
        self.book = book
        self.e164 = e164
        self.place = place
        self.strict = strict
        self.now_ms = now_ms
        nodes = book.nodes
        region = self.region = book.areas.get(place.region) or book.area(place.region, now_ms)
        b5, b4 = self.b5, self.b4 = nodes.get(e164[:-5]), nodes.get(e164[:-4])
        b3 = b2 = None
        if b4 is None:
            leaves = [] if b5 is None else [b5]
            proof = 1 if b5 is not None and b5.good >= figures.proven else 2
        else:
            leaves = [b4] if b5 is None else [b4, b5]
            if b4.out or b4.walk > 0.5 or b4.block is not None:
                b3, b2 = nodes.get(e164[:-3]), nodes.get(e164[:-2])
                if b3 is not None:
                    leaves.insert(0, b3)
                if b2 is not None:
                    leaves.insert(0, b2)
            if b4.good >= figures.proven:
                proof = 0
            else:
                proof = 1 if b5 is not None and b5.good >= figures.proven else 2
        self.b3, self.b2, self.proof, self.leaves = b3, b2, proof, leaves
        scope = None
        self.usual = usual = proof < 2 or region.good >= 2.0
        if usual:
            scope = book.scopes[proof].get(place.network)
        self.sources: list[str] = []
        abroad = self._read(facts, nodes) if facts else ""
        if abroad:
            self.usual, scope = False, None
        self.scope = scope
        if scope is not None:
            self.areas, self.gates = scope.names, scope.areas
        else:
            self._widen(abroad)

    def _read(self, facts: Mapping[str, str], nodes: dict[str, Node]) -> str:
        """Reads who asks; returns the name of a pair of countries, if they are two."""
        for kind, value in (("ip ", facts.get("ip")), ("device ", facts.get("device"))):
            if value:
                name = kind + value[: limits.FRAUD_FACT_CHARS]
                self.sources.append(name)
                node = nodes.get(name)
                if node is not None:
                    self.leaves.append(node)
        where = facts.get("country")
        if where and where != self.place.region:
            return f"{where[:2]} to {self.place.region}"
        return ""

    def _widen(self, abroad: str) -> None:
        """Its wide nodes, one by one."""
        place, proof = self.place, self.proof
        names = [place.classes[proof]]
        if proof:
            names.append(place.unproven)
        if proof == 2:
            names.append(place.network_class)
            if self.region.good < 2.0:
                names.append(_NEW_COUNTRIES)
        if abroad:
            names.append(abroad)
        self.areas = names
        areas = self.book.areas
        self.gates = [areas[name] for name in names if name in areas]

    def oddities(self, kind: int) -> tuple[float, str]:
        """What is odd about it by itself: in log odds, and in words."""
        odd, words = 0.0, ""
        if kind in ODD_KINDS:
            odd, what = ODD_KINDS[kind]
            words = f", {what}"
        region = self.region
        if region.good < 1.0:
            odd += _NEW_COUNTRY
            words += ", a country in which nobody was verified yet"
        if self.proof:
            for gate in self.gates:
                if gate.walk > 4.0:
                    odd += min(2.0, 0.25 * gate.walk)
                    break
        # The busier a country is, the more of its many places look odd by chance.
        odd -= log1p(region.out / 50.0)
        if region.alarms > 1.5:
            odd += min(1.5, 0.5 * (region.alarms - 1.0))
        return odd, words

    def label(self, node: Node) -> str:
        """A node in words."""
        name = node.name
        if name[0] == "+":
            return name + "x" * (len(self.e164) - len(name))
        if name[:3] == "ip ":
            return "numbers asked for from address " + name[3:]
        if name == _NEW_COUNTRIES:
            return "countries in which nobody was verified"
        area, _, proof = name.rpartition("/")
        if proof not in ("0", "1", "2", "3"):
            return "numbers asked for from " + name
        return f"{_CLASSES[int(proof)]} of {area}"
