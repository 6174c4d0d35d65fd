"""One message, looked at closely: its nodes, and what is odd about it by itself."""

from math import log1p
from typing import Final

from engine import limits
from engine.fraud.book import Book
from engine.fraud.codes import Scope
from engine.fraud.node import Area, Node, hour_surprise, usual_now
from engine.fraud.places import Place
from engine.fraud.strictness import Strictness

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
_SMALL: Final = 0.1  # of the verified codes of a country that shares its code
_CLASSES: Final = (
    "proven prefixes", "prefixes beside proven ones", "prefixes without history",
    "unproven prefixes",
)  # fmt: skip


class Look:
    """See the module's text.

    Attributes:
        proof: 0 if somebody of its block of 10,000 was verified, 1 if beside it, else 2.
        scope: Its wide nodes; `region`: its country's.
        gates: Its classes.
        beside: Blocked classes of a country that shares its code, which count here as well.
        b5: Its block of 100,000 numbers; b4 to b2: the smaller ones. None if never seen.
        leaves: Its narrow nodes that are known, the narrowest prefix first.
    """

    __slots__ = (
        "b2", "b3", "b4", "b5", "beside", "book", "e164", "gates", "leaves", "now_ms", "place",
        "proof", "region", "scope", "strict", "workspace",
    )  # fmt: skip

    def __init__(
        self, workspace: str, book: Book, e164: str, place: Place, strict: Strictness, scope: Scope,
        b5: Node | None, b4: Node | None, proof: int, sources: list[str], now_ms: int,
    ) -> None:  # fmt: skip
        self.workspace = workspace
        self.book = book
        self.e164 = e164
        self.place = place
        self.strict = strict
        self.scope = scope
        self.region = scope.region
        self.gates: list[Area] = scope.areas
        self.beside = _beside(book, scope)
        self.proof = proof
        self.b5 = b5
        self.b4 = b4
        self.now_ms = now_ms
        nodes = book.nodes
        self.b3 = self.b2 = None
        if b4 is not None and (b4.opened or b4.walk > 0.5 or b4.block is not None):
            self.b3, self.b2 = nodes.get(e164[:-3]), nodes.get(e164[:-2])
        self.leaves = [node for node in (self.b2, self.b3, b4, b5) if node is not None]
        for name in sources:
            source = nodes.get(name)
            if source is not None:
                self.leaves.append(source)

    def explained(self) -> int:
        """How many of its widest blocks are not concerned, since a narrower one has a block."""
        for place, node in enumerate((self.b2, self.b3, self.b4)):
            if node is not None and node.block is not None:
                return 3 - place
        return 0

    def oddities(self, kind: int) -> tuple[float, str]:
        """What is odd about it by itself: in log odds, and in words."""
        odd, words = 0.0, ""
        if kind in ODD_KINDS:
            odd, what = ODD_KINDS[kind]
            words = f", {what}"
        region = self.region
        if region.heard < 1.0:
            odd += _NEW_COUNTRY
            words += ", a country in which nobody was verified yet"
        if self.proof:
            for gate in self.gates:
                if gate.weight > 4.0:
                    odd += min(2.0, 0.25 * gate.weight)
                    break
        # The busier a country is, the more of its many places look odd by chance.
        odd -= log1p(region.out / 50.0)
        if region.alarms > 1.5:
            odd += min(1.5, 0.5 * (region.alarms - 1.0))
        return odd, words

    def season(self) -> str:
        """In words: whether its country has more codes than it usually has at this hour."""
        region, figures = self.region, self.book.figures
        if hour_surprise(region, self.now_ms, figures) <= 0.0:
            return ""
        times = region.lately / max(1.0, usual_now(region, self.now_ms, figures))
        return f"; {region.name} has {times:.1f} times the codes that are usual at this hour"

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


def _beside(book: Book, scope: Scope) -> list[Area]:
    """Blocked classes of a country that shares this one's code, if this one is small beside it.

    Fraud over many prefixes of Britain is in some of Jersey too, and these have too little traffic
    to show it by themselves. What happens in Jersey is not held against Britain.
    """
    gates = [gate for gate in scope.beside if gate.block is not None]
    main = book.areas.get(gates[0].name[:-2]) if gates else None
    return gates if main is not None and scope.region.heard < _SMALL * main.heard else []


def sources_of(facts: dict[str, str]) -> list[str]:
    """The names of the nodes of whoever asks."""
    found: list[str] = []
    ip, device = facts.get("ip"), facts.get("device")
    if ip:
        found.append("ip " + ip[: limits.FRAUD_FACT_CHARS])
    if device:
        found.append("device " + device[: limits.FRAUD_FACT_CHARS])
    return found


def abroad(facts: dict[str, str], region: str) -> str:
    """The name of a pair of countries, if somebody asks from another one."""
    where = facts.get("country")
    return f"{where[:2]} to {region}" if where and where != region else ""


def scope_of(book: Book, place: Place, region: Area, proof: int, away: str, now_ms: int) -> Scope:
    """The wide nodes of a message, made if they are new."""
    names = [place.classes[proof]]
    if proof:
        names.append(place.unproven)
    usual = not away
    if proof == 2:
        names.append(place.network_class)
        if region.heard < 2.0:
            names.append(_NEW_COUNTRIES)
            usual = False
    if away:
        names.append(away)
    beside = [f"{place.main}/{proof}", f"{place.main}/3"] if proof and place.main else []
    return book.scope(names, place.network, region, proof if usual else 3, now_ms, beside)
