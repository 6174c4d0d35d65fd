"""The nodes of one workspace, and how much evidence there is in each.

What is usual is shrunk from the workspace to the country, the network and the block (Beta-Binomial)
and multiplied with the network's health: the share of codes to *proven* prefixes that are verified
at present, compared with what is usual. In an outage these fail too, and nothing is held against
anybody. Fraud cannot look like one cheaply: a prefix votes once in ten minutes, and votes count
less the more traffic there is beyond the usual.

Everything is bounded: what was seen first goes first.
"""

from collections import deque
from math import log
from typing import Final

from engine import limits
from engine.fraud.codes import Scope
from engine.fraud.delays import Delays
from engine.fraud.evidence import older_than, said, steps_of, waiting
from engine.fraud.figures import STAGES_MS, Figures
from engine.fraud.node import Area, Node, child_conversion, conversion, health
from engine.fraud.numbers import Numbers, Seal
from engine.fraud.seasons import Season

NUMBER: Final = "number "  # so the names of single numbers begin
STEP_MS: Final = 1_000  # ages are looked at this often, and wide nodes weighed
PROBE_MS: Final = STAGES_MS[3]  # by which nearly all are: then a probe has failed

_DONE_MS: Final = STAGES_MS[2]  # by which most are
_USUAL_MS: Final = 300_000  # what is usual is worked out this often
_OWN_MS: Final = 600_000  # and what is in a block of 10,000 numbers
_YOUNG_MS: Final = 20_000  # the same where little is known
_TRUSTED: Final = 3  # verified codes from which on outcomes are known to be told
_MUCH: Final = 200.0  # verified codes that are more than little
_SURE: Final = 0.95  # so much of what codes under way say is believed: many may err together
_TENSE: Final = 0.5  # evidence in a class from which on known numbers are asked how they do


class Nodes:
    """See the module's text.

    Args:
        figures: The figures of the guard.
        now_ms: The time.
        seal: What numbers are written with.

    Attributes:
        nodes: Prefixes, addresses, devices.
        order: Their names, the next to go first.
        capacity: How many there may be.
        areas: Countries, networks and their classes.
        root: The workspace.
        scopes: Wide nodes by class and network, as messages need them.
        held: Nodes of single numbers that were blocked; `holds`: whether there may be any.
        delays: How long people take; `regional`: by country.
        trusted: Whether it is known which codes are verified.
    """

    __slots__ = (
        "_area_good", "_seal", "areas", "capacity", "delays", "figures", "held", "holds",
        "nodes", "order", "regional", "root", "scopes", "trusted",
    )  # fmt: skip

    def __init__(self, figures: Figures, now_ms: int, seal: Seal) -> None:
        self.figures = figures
        self._seal = seal
        self.order: deque[str] = deque()
        self.capacity = limits.FRAUD_NODES
        self.scopes: tuple[dict[str, Scope], ...] = ({}, {}, {}, {})
        self.delays = Delays()
        self.regional: dict[str, Delays] = {}
        self.root = Area("", now_ms)
        self.nodes: dict[str, Node] = {}
        self.areas: dict[str, Area] = {}
        self.trusted = False
        self._area_good = log(figures.area_ratio)
        self.held: Numbers[Node] = Numbers(limits.FRAUD_BLOCKS, seal)
        self.holds = False

    def node(self, name: str, now_ms: int) -> Node:
        """A narrow node, made if it is new."""
        node = self.nodes.get(name)
        if node is None:
            if len(self.nodes) >= self.capacity:
                self._forget(now_ms)
            node = self.nodes[name] = Node(name, now_ms)
            self.order.append(name)
        return node

    def put(self, nodes: list[Node]) -> None:
        """Takes nodes in, the oldest first, in the place of all others."""
        self.nodes = {node.name: node for node in nodes}
        self.order = deque(self.nodes)
        self.scopes = ({}, {}, {}, {})
        for area in self.areas.values():
            area.parts = []

    def area(self, name: str, now_ms: int) -> Area:
        """A wide node, made if it is new; past the limit they share one."""
        area = self.areas.get(name)
        if area is None:
            if len(self.areas) >= limits.FRAUD_AREAS:
                name = "others"
            area = self.areas.setdefault(name, Area(name, now_ms))
        return area

    def scope(
        self, names: list[str], network: str, region: Area, proof: int, now_ms: int,
        beside: list[str],
    ) -> Scope:  # fmt: skip
        """The wide nodes of a message, made if they are new.

        Args:
            names: Its classes.
            network: Its network.
            region: Its country.
            proof: Its class if they are those of its class and network and no others, else 3.
            now_ms: The time.
            beside: The same classes of the country that shares its code, or none.
        """
        kind = network if proof < 3 else "|".join((network, *names))
        scope = self.scopes[proof].get(kind)
        if scope is None:
            areas = [self.area(name, now_ms) for name in names]
            wide = (self.area(network, now_ms), region, self.root)
            if region.season is None:
                region.season = Season(self.figures.history_half_ms)
            others = [self.area(name, now_ms) for name in beside]
            scope = Scope(areas, *wide, self.delays_of(region), others)
            if len(self.scopes[proof]) < limits.FRAUD_AREAS:
                self.scopes[proof][kind] = scope
                for area in areas:
                    area.parts.append(scope)
        return scope

    def number(self, number: str | bytes, now_ms: int) -> Node:
        """The node of a single number or digest, made if it is new; its name tells the digest."""
        self.holds = True
        node = self.held.get(number) or Node(self.name_of(number), now_ms)
        self.held.put(number, node)
        return node

    def name_of(self, number: str | bytes) -> str:
        """The name of the node of a single number."""
        return NUMBER + self._seal.of(number).hex()

    def _forget(self, now_ms: int) -> None:
        """Makes room for a node: the oldest goes, unless it has a block or was busy lately."""
        nodes, order = self.nodes, self.order
        for _ in range(8):
            name = order.popleft()
            node = nodes[name]
            busy = node.block is not None or node.walk > 2.0
            if not busy and (node.good < 1.0 or now_ms - node.at_ms > 86_400_000):
                del nodes[name]
                return
            order.append(name)
        del nodes[order.popleft()]

    def usual(self, network: Area, region: Area, now_ms: int) -> float:
        """The usual share of verified codes of a network; that of its country is beside it."""
        often_ms = _USUAL_MS if network.good > _MUCH else _YOUNG_MS
        if not network.usual or now_ms - network.usual_ms >= often_ms:
            figures = self.figures
            often_ms = _USUAL_MS if region.good > _MUCH else _YOUNG_MS
            if not region.usual or now_ms - region.usual_ms >= often_ms:
                root = conversion(self.root, figures.first_conversion, 20.0)
                region.usual = child_conversion(region, root, figures.prior_codes)
                region.usual_ms = now_ms
            network.usual_wide = region.usual
            network.usual = child_conversion(network, region.usual, figures.prior_codes)
            network.usual_ms = now_ms
        return network.usual

    # --- evidence -----------------------------------------------------------------------------

    def well(self, scope: Scope, now_ms: int) -> float:
        """How well the network of a message is, and its country."""
        network, region, figures = scope.network, scope.region, self.figures
        return min(
            health(network, region, now_ms, figures), health(region, region, now_ms, figures)
        )

    def delays_of(self, region: Area) -> Delays:
        """How long people of a country take."""
        delays = self.regional.get(region.name)
        if delays is None:
            delays = self.regional[region.name] = Delays(None, self.delays)
        return delays

    def own(self, b4: Node, usual: float, now_ms: int) -> float:
        """The usual share of verified codes of a block of 10,000 numbers.

        It follows slowly: what is under way now does not make itself usual.
        """
        if not b4.own or now_ms - b4.own_ms >= _OWN_MS:
            b4.own_ms = now_ms  # verified codes were counted at once, others were not yet
            slow_ones = older_than(b4.opened, _DONE_MS, now_ms, len(b4.opened))
            own = child_conversion(b4, usual, 10.0, slow_ones)
            if slow_ones and own > b4.own > 0.0:  # that they say more now is no evidence
                ratio = self.figures.leaf_ratio
                b4.walk -= slow_ones * (said(own, ratio) - said(b4.own, ratio))
            b4.own = own
        return b4.own

    def leaf_steps(
        self, b4: Node | None, scope: Scope, now_ms: int
    ) -> tuple[list[float], float, float]:
        """What a code says by its stage in narrow nodes; in the slow test; and how well all is."""
        figures = self.figures
        usual = self.usual(scope.network, scope.region, now_ms)
        own = usual
        if b4 is not None:
            own = self.own(b4, usual, now_ms)
        well = self.well(scope, now_ms)
        done = [share * well for share in scope.delays.done]
        slow = said(min(1.05 * own, usual) * done[-2], figures.slow_ratio)
        return steps_of(own, figures.leaf_ratio, done), slow, well

    def weigh(self, node: Node, steps: list[float], well: float, now_ms: int) -> float:
        """The evidence in a narrow node, with that of codes under way."""
        opened = node.opened
        under_way = waiting(opened, steps, now_ms) if opened else 0.0
        if well >= 1.0:  # or a bad moment would forget what codes under way may make up for
            node.walk = max(node.walk, -under_way)
        node.weight = min(self.figures.walk_top, node.walk + _SURE * under_way)
        return node.weight

    def weigh_slow(self, node: Node, slow: float, well: float, now_ms: int) -> float:
        """The evidence of the slow test in a narrow node: only what is nearly certain counts."""
        under_way = slow * older_than(node.opened, PROBE_MS, now_ms, len(node.opened))
        if well >= 1.0:
            node.slow = max(node.slow, -under_way)
        return node.slow + under_way

    def count(self, area: Area) -> int:
        """How many codes of a class are under way."""
        out = 0
        for scope in area.parts:
            out += len(scope.opened)
        area.out = out
        return out

    def weigh_area(self, area: Area, now_ms: int) -> float:
        """The evidence in a class, with that of codes under way, at most a second old."""
        self.count(area)
        if now_ms - area.weighed_ms < STEP_MS:
            return area.weight
        area.weighed_ms = now_ms
        healthy = under_way = 0.0
        for scope in area.parts:
            if scope.good or scope.ripe:
                self.flush(scope)
            if not scope.opened:
                continue
            usually = waiting(scope.opened, self.steps(scope, now_ms), now_ms)
            healthy += usually
            well = self.well(scope, now_ms)
            if well < 1.0:
                done = [share * well for share in scope.delays.done]
                steps = steps_of(scope.group.own, self.figures.area_ratio, done)
                usually = waiting(scope.opened, steps, now_ms)
            under_way += usually
        area.walk = max(area.walk, -healthy)
        area.weight = min(self.figures.walk_top, area.walk + _SURE * under_way)
        strain(area, area.weight)
        return area.weight

    def steps(self, scope: Scope, now_ms: int) -> list[float]:
        """What a code says by its stage in a class.

        It follows what is usual, as it becomes known. Where that makes the codes under way say
        more, it is no evidence: thousands may be under way.
        """
        group = scope.group
        if now_ms < group.steps_ms:
            return group.steps
        self.usual(scope.network, scope.region, now_ms)
        group.own = child_conversion(group, scope.network.usual_wide, 30.0)
        old, new = group.steps, steps_of(group.own, self.figures.area_ratio, scope.delays.done)
        group.steps = new
        group.steps_ms = now_ms + (_USUAL_MS if group.good > _MUCH else _YOUNG_MS)
        if old:
            self._follow_steps(group, old, now_ms)
        for area in scope.areas:
            area.full = 1.05 * new[-1]
        return new

    @staticmethod
    def _follow_steps(group: Area, old: list[float], now_ms: int) -> None:
        for scope in group.parts:
            if not scope.opened:
                continue
            opened = scope.opened
            more = waiting(opened, group.steps, now_ms) - waiting(opened, old, now_ms)
            if more > 0.0:
                for area in scope.areas:
                    area.walk -= more

    def flush(self, scope: Scope) -> None:
        """Tells wide nodes of their codes that were verified.

        What share of codes is usual they hear only when those of the same age are given up: who is
        quick would make a place look better than it is.
        """
        good, ripe = scope.good, scope.ripe
        scope.good = scope.ripe = 0
        change, most = good * self._area_good, scope.region.out
        for area in scope.areas:
            out = area.out if area.out < most else most  # noqa: FURB136 - hot
            area.walk = max(-area.full * out, area.walk + change)
            area.count += good
            area.heard += good
        for area in scope.all:
            area.good += ripe
        strain(scope.group, scope.group.walk)
        scope.region.count += good
        scope.region.heard += good
        if not self.trusted:
            self.root.heard += good
            self.trusted = self.root.heard >= _TRUSTED


def strain(area: Area, evidence: float) -> None:
    """Notes whether there is some evidence in a class; what known numbers do is asked from then."""
    if evidence < _TENSE:
        area.tense = False
    elif not area.tense:
        area.tense = True
        area.due = area.seen = 0.0
