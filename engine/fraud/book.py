"""What the guard knows of one workspace: its nodes, and the codes that wait to be verified.

A code that was sent counts for every node of its number and of whoever asked for it. While it is
not verified it becomes evidence by its age: at each of `figures.STAGES_MS` what it says so far is
log((1 - p1 F) / (1 - p0 F)), with F the share of people who would be done by then, p0 the share
that is usual here and p1 the one that fraud would leave. That is added up when somebody asks. When
it is verified after all, log(p1 / p0) is said instead; at the last stage it is given up, and what
it says then stays.

p0 is shrunk from the workspace to the country, the network and the block (Beta-Binomial), and
multiplied with the network's health: the share of codes to *proven* prefixes that are verified at
present, compared with what is usual. In an outage these fail too, and nothing is held against
anybody. Fraud cannot look like one cheaply: a prefix votes once in ten minutes, and votes count
less the more traffic there is beyond the usual.

Of a number one code at a time counts: asking again is judged by `Repeats`.
"""

from collections import deque
from math import log
from typing import Final

from engine import limits
from engine.fraud.blocks import Block
from engine.fraud.codes import GONE, KNOWN, LATE, OPEN, VERIFIED, VOTES, Code, Said, Scope
from engine.fraud.delays import Delays
from engine.fraud.evidence import older_than, said, steps_of, waiting
from engine.fraud.figures import STAGES_MS, Figures
from engine.fraud.newest import Newest
from engine.fraud.node import (
    KEY_BITS,
    SETTLE_MS,
    Area,
    Node,
    child_conversion,
    conversion,
    health,
    met,
    remove,
)
from engine.fraud.numbers import Numbers, Seal
from engine.fraud.repeats import Repeats
from engine.fraud.sketch import mark_of

NUMBER: Final = "number "  # so the names of single numbers begin

_LAST: Final = len(STAGES_MS) - 1
_GIVEN_UP_MS: Final = STAGES_MS[-1]
_PROBE_MS: Final = STAGES_MS[3]  # by which nearly all are: then a probe has failed
_DONE_MS: Final = STAGES_MS[2]  # by which most are
_LATE_MS: Final = 1_800_000  # so long a code can still be verified, and be taken back
_USUAL_MS: Final = 300_000  # what is usual is worked out this often
_YOUNG_MS: Final = 20_000  # the same where little is known
_STEP_MS: Final = 1_000  # ages are looked at this often, and wide nodes weighed
_NEVER_MS: Final = 1 << 62
_SURE: Final = 0.95  # so much of what codes under way say is believed: many may err together
_TENSE: Final = 0.5  # evidence in a class from which on known numbers are asked how they do
_FOLLOWS: Final = 0.7  # what a number is worth that follows closely on the one before
_TRUSTED: Final = 3  # verified codes from which on outcomes are known to be told
_BATCH: Final = 4  # verified codes that the wide nodes are told of at once
_CREDIT: Final = 1.2  # what a code under way may say, about: so much a good past may make up for


class Book:
    """See the module's text.

    Args:
        figures: The figures of the guard.
        now_ms: The time.
        seal: What numbers are written with.

    Attributes:
        nodes: Prefixes, addresses, devices; the oldest go first.
        areas: Countries, networks and their classes.
        codes: Codes that wait, or may be verified yet, by number.
        known: Numbers that were verified, and how many codes each was let pass since.
        held: Nodes of single numbers that were blocked; `holds`: whether there may be any.
        order: The names of `nodes`, the next to go first.
        repeats: Numbers that are asked for again and again.
        failed: Blocks whose probe has failed, for the guard to renew.
        opened: Nodes whose block was opened by probes.
        next_ms: When a code is old enough for something.
        scopes: Wide nodes by class and network; only those that all exist.
        trusted: Whether it is known which codes are verified.
    """

    __slots__ = (
        "_area_good", "_finals", "_key", "_late", "_leaf_good", "_parts", "_probing", "_room",
        "_seal", "_seen", "_slow_good", "areas", "capacity", "codes", "delays", "failed", "figures",
        "held", "holds", "known", "next_ms", "nodes", "opened", "order", "regional", "repeats",
        "root", "scopes", "trusted",
    )  # fmt: skip

    def __init__(self, figures: Figures, now_ms: int, seal: Seal) -> None:
        self.figures = figures
        self._leaf_good = log(figures.leaf_ratio)
        self._slow_good = log(figures.slow_ratio)
        self._area_good = log(figures.area_ratio)
        self._seal = seal
        self._key = 0
        self._finals: deque[Code] = deque()
        self._probing: deque[Code] = deque()
        self._late: deque[Code] = deque()
        self.order: deque[str] = deque()
        self._parts: dict[str, list[Scope]] = {}
        self.capacity = limits.FRAUD_NODES
        self._room = limits.FRAUD_PENDING
        self._seen: Newest[str, Code] = Newest(limits.FRAUD_NODES)
        self.next_ms = 0
        self.trusted = False
        self.scopes: tuple[dict[str, Scope], ...] = ({}, {}, {}, {})
        self.delays = Delays()
        self.regional: dict[str, Delays] = {}
        self.root = Area("", now_ms)
        self.nodes: dict[str, Node] = {}
        self.areas: dict[str, Area] = {}
        self.codes: dict[str, Code] = {}
        self.known: Numbers[int] = Numbers(limits.FRAUD_NUMBERS, seal)
        self.held: Numbers[Node] = Numbers(limits.FRAUD_BLOCKS, seal)
        levels: Numbers[tuple[float, int]] = Numbers(limits.FRAUD_NUMBERS, seal)
        self.holds = False
        self.repeats = Repeats(figures.number_codes, figures.number_ms, levels)
        self.failed: list[tuple[Node, Block]] = []
        self.opened: list[Node] = []

    def share(self, books: int) -> None:
        """So many books share the room there is."""
        self.capacity = max(1_000, limits.FRAUD_NODES // books)
        self._room = max(1_000, limits.FRAUD_PENDING // books)
        self._seen.limit(self.capacity)
        for numbers in (self.known, self.repeats.levels):
            numbers.limit(max(1_000, limits.FRAUD_NUMBERS // books))

    # --- nodes --------------------------------------------------------------------------------

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
        self._parts = {}

    def area(self, name: str, now_ms: int) -> Area:
        """A wide node, made if it is new; past the limit they share one."""
        area = self.areas.get(name)
        if area is None:
            if len(self.areas) >= limits.FRAUD_AREAS:
                name = "others"
            area = self.areas.setdefault(name, Area(name, now_ms))
        return area

    def scope(self, names: list[str], network: str, region: Area, proof: int, now_ms: int) -> Scope:
        """The wide nodes of a message, made if they are new.

        Args:
            names: Its classes.
            network: Its network.
            region: Its country.
            proof: Its class if they are those of its class and network and no others, else 3.
            now_ms: The time.
        """
        kind = network if proof < 3 else "|".join((network, *names))
        scope = self.scopes[proof].get(kind)
        if scope is None:
            areas = [self.area(name, now_ms) for name in names]
            wide = (self.area(network, now_ms), region, self.root)
            scope = Scope(areas, *wide, self.delays_of(region))
            if len(self.scopes[proof]) < limits.FRAUD_AREAS:
                self.scopes[proof][kind] = scope
                for area in areas:
                    self._parts.setdefault(area.name, []).append(scope)
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
        if now_ms - network.usual_ms >= (_USUAL_MS if network.good > 200.0 else _YOUNG_MS):
            figures = self.figures
            if now_ms - region.usual_ms >= (_USUAL_MS if region.good > 200.0 else _YOUNG_MS):
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

    def leaf_steps(self, b4: Node | None, scope: Scope, now_ms: int) -> tuple[list[float], float]:
        """What a code says by its stage in narrow nodes; and in the slow test, nearly certain."""
        figures = self.figures
        usual = self.usual(scope.network, scope.region, now_ms)
        own = usual
        if b4 is not None:  # its verified codes were counted at once
            slow_ones = older_than(b4.opened, _DONE_MS, now_ms, len(b4.opened))
            own = child_conversion(b4, usual, 10.0, slow_ones)
        well = self.well(scope, now_ms)
        done = [share * well for share in scope.delays.done]
        slow = said(min(1.05 * own, usual) * done[_LAST - 1], figures.slow_ratio)
        return steps_of(own, figures.leaf_ratio, done), slow

    def weigh(self, node: Node, steps: list[float], now_ms: int) -> float:
        """The evidence in a narrow node, with that of codes under way."""
        opened = node.opened
        under_way = waiting(opened, steps, now_ms) if opened else 0.0
        node.walk = max(node.walk, -under_way)
        node.weight = min(self.figures.walk_top, node.walk + _SURE * under_way)
        return node.weight

    def weigh_slow(self, node: Node, slow: float, now_ms: int) -> float:
        """The evidence of the slow test in a narrow node: only what is nearly certain counts."""
        old = older_than(node.opened, _PROBE_MS, now_ms, len(node.opened))
        node.slow = max(node.slow, -old * slow)
        return node.slow + old * slow

    def count(self, area: Area) -> int:
        """How many codes of a class are under way."""
        out = 0
        for scope in self._parts.get(area.name, ()):
            out += len(scope.opened)
        area.out = out
        return out

    def weigh_area(self, area: Area, now_ms: int) -> float:
        """The evidence in a class, with that of codes under way, at most a second old."""
        self.count(area)
        if now_ms - area.weighed_ms < _STEP_MS:
            return area.weight
        area.weighed_ms = now_ms
        under_way = 0.0
        for scope in self._parts.get(area.name, ()):
            if scope.good or scope.ripe:
                self.settle(scope)
            if not scope.opened:
                continue
            steps = self.steps(scope, now_ms)
            well = self.well(scope, now_ms)
            if well < 1.0:
                done = [share * well for share in scope.delays.done]
                steps = steps_of(scope.group.own, self.figures.area_ratio, done)
            under_way += waiting(scope.opened, steps, now_ms)
        area.walk = max(area.walk, -under_way)
        area.weight = min(self.figures.walk_top, area.walk + _SURE * under_way)
        area.tense = area.weight >= _TENSE
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
        group.steps_ms = now_ms + (_USUAL_MS if group.good > 200.0 else _YOUNG_MS)
        for each in self._parts.get(group.name, ()) if old else ():
            more = waiting(each.opened, new, now_ms) - waiting(each.opened, old, now_ms)
            for area in each.areas if more > 0.0 else ():
                area.walk -= more
        for area in scope.areas:
            area.full = 1.05 * new[_LAST]
        return new

    # --- what happens to a code -----------------------------------------------------------------

    def send(
        self, number: str, b5: Node | None, b4: Node | None, scope: Scope, sources: list[str],
        now_ms: int, proven: bool, explained: int = 0,
    ) -> Code:  # fmt: skip
        """A code leaves: from now on it is under way.

        A vote on the network's health is asked for at once: most people are done within a minute.

        Args:
            number: To whom.
            b5: Its block of 100,000 numbers, if it is known.
            b4: Its block of 10,000.
            scope: Its wide nodes.
            sources: The names of the nodes of whoever asks.
            now_ms: The time.
            proven: Whether somebody of its block was verified.
            explained: How many of the widest of its blocks are not concerned, because a narrower
                one has a block.
        """
        if b5 is None:
            b5 = self.node(number[:-5], now_ms)
        if b4 is None:
            b4 = self.node(number[:-4], now_ms)
        key = now_ms << KEY_BITS
        if key <= self._key:
            key = self._key + 1
        self._key = key
        code = Code(number, key, b5, b4, scope)
        if explained or b4.opened or b4.walk > 0.5:
            self._spread(code, explained, now_ms)
        else:
            b4.opened.append(key)
            scope.opened.append(key)
            scope.region.out += 1
        if sources:
            self._ask(code, sources, now_ms)
        last = b4.last
        if last is not None and last[:-2] == number[:-2] and last != number:
            self._follow(code, last)
        b4.last = number
        if len(self.codes) >= self._room:
            self._drop()
        self.codes[number] = code
        self._finals.append(code)
        if proven and now_ms - b4.voted_ms >= self.figures.vote_ms:
            b4.voted_ms = now_ms
            code.vote = VOTES
            network = scope.network
            network.asked += network.usual
            scope.region.asked += network.usual
        if scope.group.tense and self.known.get(number) is not None:
            code.vote |= KNOWN
        return code

    def _spread(self, code: Code, explained: int, now_ms: int) -> None:
        """It counts for smaller blocks too, and not for those that are not concerned."""
        key, b4, number = code.key, code.b4, code.number
        code.more = [self.node(number[:-3], now_ms), self.node(number[:-2], now_ms)]
        for node in code.more[max(0, explained - 2) :]:
            node.opened.append(key)
        if explained < 2:
            b4.opened.append(key)
        if not explained:
            code.scope.opened.append(key)
            code.scope.region.out += 1

    def _ask(self, code: Code, sources: list[str], now_ms: int) -> None:
        """It counts for whoever asks: from the second time on they are nodes."""
        b4, nodes, seen = code.b4, self.nodes, self._seen
        for name in sources:
            source = nodes.get(name)
            if source is None:
                first = seen.young.get(name) or seen.get(name)
                if first is None or first.state == GONE:
                    seen.young[name] = code
                    continue
                source = self._meet(name, first, now_ms)
            source.opened.append(code.key)
            if code.more is None:
                code.more = [source]
            else:
                code.more.append(source)
            met(source, b4)
            if b4.walk > 0.5:
                met(b4, source)
        seen.tidy()

    def _meet(self, name: str, first: Code, now_ms: int) -> Node:
        """The node of somebody who has asked for one code before: from the second time on."""
        self._seen.pop(name)
        source = self.node(name, now_ms)
        source.only = mark_of(first.b4.name)
        if first.more is None:
            first.more = []
        first.more.append(source)
        if first.state == OPEN:
            source.opened.append(first.key)
        elif first.state == VERIFIED:
            source.good = 1.0
        elif first.said is not None:
            source.walk, source.bad = first.said.leaf, 1.0
        return source

    def _follow(self, code: Code, last: str) -> None:
        """Numbers of a block that follow each other closely are odd."""
        if -3 <= int(last[-2:]) - int(code.number[-2:]) <= 3:
            for node in code.leaves[1:]:
                node.walk = min(self.figures.walk_top, node.walk + _FOLLOWS)
                node.calm_ms = 0

    def probe(self, code: Code, node: Node, block: Block, now_ms: int) -> None:
        """A code that a half-open block lets pass tells how it goes on."""
        block.probe_ms = now_ms
        if not code.probes:
            self._probing.append(code)
        code.probes = (*code.probes, (node, block))

    def advance(self, now_ms: int) -> None:
        """Takes in what the age of codes says, once `next_ms` is reached."""
        next_ms = now_ms + _PROBE_MS
        probing, finals, late = self._probing, self._finals, self._late
        while probing and (probing[0].key >> KEY_BITS) + _PROBE_MS <= now_ms:
            code = probing.popleft()
            if code.state == OPEN:
                self.failed.extend(code.probes)
                code.probes = ()
        if probing:
            next_ms = (probing[0].key >> KEY_BITS) + _PROBE_MS
        due = now_ms - _GIVEN_UP_MS + 1 << KEY_BITS
        while finals:
            code = finals[0]
            if code.key >= due:
                next_ms = min(next_ms, (code.key >> KEY_BITS) + _GIVEN_UP_MS)
                break
            finals.popleft()
            if code.state == VERIFIED:
                scope = code.scope
                scope.ripe += 1
                if scope.ripe & 3 == 1:  # a part of them tells how long people take
                    scope.delays.add(code.took_ms)
            elif code.state == OPEN:
                self._give_up(code, now_ms)
                late.append(code)
        due = now_ms - _LATE_MS + 1 << KEY_BITS
        while late and late[0].key < due:
            self._release(late.popleft())
        self.next_ms = max(next_ms, now_ms + _STEP_MS)

    def _give_up(self, code: Code, now_ms: int) -> None:
        """A code is not believed to be verified any more: what it says now stays."""
        figures, scope, b4, b5, key = self.figures, code.scope, code.b4, code.b5, code.key
        network, region = scope.network, scope.region
        if scope.good or scope.ripe:
            self.settle(scope)
        well = self.well(scope, now_ms)
        done = scope.delays.done[_LAST] * well
        usual = self.usual(network, region, now_ms)
        own, top = child_conversion(b4, usual, 10.0, len(b4.opened)), figures.walk_top
        leaf = said(own * done, figures.leaf_ratio)
        slow = said(min(1.05 * own, usual) * done, figures.slow_ratio)
        settled_ms = now_ms - SETTLE_MS
        for node in (b4, *code.more) if code.more else (b4,):
            if node.at_ms < settled_ms:
                node.settle(now_ms, figures)
            if remove(node.opened, key):
                least = -_CREDIT * len(node.opened)
                node.walk = max(least, min(top, node.walk + leaf))
                if node is b4:
                    node.slow = max(least, node.slow + slow)
            node.bad += 1.0
        if b5.at_ms < settled_ms:
            b5.settle(now_ms, figures)
        b5.bad += 1.0
        area_said = 0.0
        if remove(scope.opened, key):
            b5.walk = min(top, b5.walk + leaf)
            steps = self.steps(scope, now_ms)
            area_said = steps[_LAST]
            if well < 1.0:
                area_said = said(scope.group.own * done, figures.area_ratio)
            region.out -= 1
            for area in scope.areas:
                area.walk = min(top, area.walk + area_said)
            scope.group.tense = scope.group.walk >= _TENSE
        for area in scope.all:
            if area.at_ms < settled_ms:
                area.settle(now_ms, figures)
            area.bad += 1.0
        region.count += 1
        if code.vote & KNOWN:
            self._vouch(code, 0.0)
        code.state = LATE
        code.said = Said(leaf, slow, area_said)

    def _vouch(self, code: Code, seen: float) -> None:
        """What known numbers do while the evidence against their class rises.

        In an outage they fail as well, beside fraud they do not.
        """
        group, network = code.scope.group, code.scope.network
        if not group.tense:
            group.due = group.seen = 0.0
        group.due += child_conversion(code.b4, network.usual, 10.0)
        group.seen += seen

    def verified(self, number: str, now_ms: int) -> None:
        """The code of a number was verified."""
        known = self.known
        if known.before:
            known.put(number, 0)
        else:
            known.now.young[number] = 0
        code = self.codes.pop(number, None)
        if code is None:
            return
        if code.again:
            self.repeats.levels.pop(number)
        if code.state != OPEN:
            self._verified_late(code)
            return
        code.state = VERIFIED
        code.took_ms = now_ms - (code.key >> KEY_BITS)
        key, scope, b4, b5 = code.key, code.scope, code.b4, code.b5
        b4.good += 1.0
        opened = b4.opened
        if opened:
            if opened[-1] == key:
                del opened[-1]
            else:
                remove(opened, key)
        if opened or b4.walk or b4.slow:
            least = -_CREDIT * len(opened)
            b4.walk = max(least, b4.walk + self._leaf_good)
            b4.slow = max(least, b4.slow + self._slow_good)
        b5.good += 1.0
        if b5.walk:
            b5.walk = max(0.0, b5.walk + self._leaf_good)
        if code.more:
            for node in code.more:
                node.good += 1.0
                remove(node.opened, key)
                least = -_CREDIT * len(node.opened)
                node.walk = max(least, node.walk + self._leaf_good)
        opened = scope.opened
        if opened:
            if opened[-1] == key:
                del opened[-1]
                scope.region.out -= 1
            elif remove(opened, key):
                scope.region.out -= 1
        scope.good += 1
        if scope.good >= _BATCH or not self.trusted:
            known.now.tidy()
            self.settle(scope)
        if code.vote:
            scope.network.answered += 1.0
            scope.region.answered += 1.0
            if code.vote & KNOWN:
                self._vouch(code, 1.0)
        if code.probes:
            self._passed(code)

    def settle(self, scope: Scope) -> None:
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
        scope.group.tense = scope.group.walk >= _TENSE
        scope.region.count += good
        scope.region.heard += good
        if not self.trusted:
            self.root.heard += good
            self.trusted = self.root.heard >= _TRUSTED

    def _verified_late(self, code: Code) -> None:
        """It was given up, and is verified after all: what it said is taken back."""
        said_ = code.said
        if code.state != LATE or said_ is None:
            return
        code.state = VERIFIED
        for node in code.leaves:
            least = -_CREDIT * len(node.opened)
            node.walk = max(least, node.walk - said_.leaf + self._leaf_good)
        b4 = code.b4
        b4.slow = max(-_CREDIT * len(b4.opened), b4.slow - said_.slow + self._slow_good)
        for area in code.scope.areas:
            least = -area.full * self.count(area)
            area.walk = max(least, area.walk - said_.area + self._area_good)
        for area in (*code.scope.areas, code.scope.region):
            area.heard += 1.0
        for node in (*code.leaves, *code.scope.all):
            node.good += 1.0
            node.bad = max(0.0, node.bad - 1.0)

    def _passed(self, code: Code) -> None:
        """Probes were verified: enough of them open a block."""
        for node, block in code.probes:
            block.probe_ms = 0
            block.good += 1
            if block.good >= block.needed() and node.block is block:
                self.opened.append(node)
        code.probes = ()

    def take_back(self, number: str) -> None:
        """A code never arrived, or will not be verified for a known reason: it says nothing."""
        code = self.codes.pop(number, None)
        if code is None or code.state > LATE:
            return
        self._close(code)
        if code.vote & VOTES:
            for area in (code.scope.network, code.scope.region):
                area.asked -= code.scope.network.usual
        if code.said is not None:
            for node in code.leaves:
                least = -_CREDIT * len(node.opened)
                node.walk = max(least, node.walk - code.said.leaf)
            code.b4.slow = max(0.0, code.b4.slow - code.said.slow)
            for area in code.scope.areas:
                area.walk = max(-area.full * self.count(area), area.walk - code.said.area)
            for node in (*code.leaves, *code.scope.all):
                node.bad = max(0.0, node.bad - 1.0)
        for _, block in code.probes:
            block.probe_ms = 0

    def expire(self, number: str, now_ms: int) -> None:
        """A code will not be verified any more: what its age would have said is said now."""
        code = self.codes.get(number)
        if code is None or code.state != OPEN:
            return
        self.failed.extend(code.probes)
        self._give_up(code, now_ms)
        code.state = GONE
        del self.codes[number]

    def ask_again(self, code: Code, now_ms: int) -> bool:
        """It is asked for again while it waits: from the third time on that is odd.

        Returns:
            False if it was asked for too often; then nothing is counted.
        """
        if self.repeats.is_full(code.number, now_ms):
            return False
        self.repeats.add(code.number, code.key >> KEY_BITS, now_ms)
        code.again += 1
        if code.again >= 2:
            odd = 0.5 * self.well(code.scope, now_ms)
            for node in code.leaves:
                node.walk = min(self.figures.walk_top, node.walk + odd)
                node.calm_ms = 0
        return True

    def explain(self, node: Node, wider: list[Node], network: str) -> None:
        """A prefix has a block from now on: what happened there is no evidence against wider nodes.

        Args:
            node: The prefix.
            wider: Those that it is part of; some of the evidence is left there.
            network: Its network.
        """
        left, settled = min(self.figures.left, node.weight), max(0.0, node.walk)
        for prefix in wider:
            for key in node.opened:
                remove(prefix.opened, key)
            least = -_CREDIT * len(prefix.opened)
            prefix.walk = max(least, prefix.walk - settled + left)
        scopes = [scopes[network] for scopes in self.scopes if network in scopes]
        scopes += [scope for scope in self.scopes[3].values() if scope.network.name == network]
        for key in node.opened:
            for scope in scopes:
                if remove(scope.opened, key):
                    scope.region.out -= 1
                    break

    def _close(self, code: Code) -> None:
        """It is not under way any more, and nothing is to come of it."""
        code.state = GONE
        for node in code.leaves:
            remove(node.opened, code.key)
        if remove(code.scope.opened, code.key):
            code.scope.region.out -= 1

    def _drop(self) -> None:
        """Room for another: the oldest is counted as it stands."""
        if self._late:
            self._release(self._late.popleft())
            return
        while self._finals:
            code = self._finals.popleft()
            if code.state == OPEN:
                for node in (*code.leaves, *code.scope.all):
                    node.bad += 1.0
                self._close(code)
                self._release(code)
                return

    def _release(self, code: Code) -> None:
        if self.codes.get(code.number) is code:
            del self.codes[code.number]
