"""What the guard knows of one workspace: its nodes, and the codes that wait to be verified.

A code that was sent counts for every node of its number and of whoever asked for it. While it is
not verified it becomes evidence by its age: at each of `figures.STAGES_MS` what it says so far is
log((1 - p1 F) / (1 - p0 F)), with F the share of people who would be done by then, p0 the share
that is usual here and p1 the one that fraud would leave. When it is verified after all, what it
said is taken back, and log(p1 / p0) is said instead.

p0 is shrunk from the workspace to the country, the network and the block (Beta-Binomial), and
multiplied with the network's health: the share of codes to *proven* prefixes that are verified at
present, compared with what is usual. In an outage these fail too, and nothing is held against
anybody. Fraud cannot look like one cheaply: a prefix votes once in ten minutes, and votes count
less the more traffic there is beyond the usual.

Of a number one code at a time counts: asking again is judged by `Repeats`.
"""

from collections import deque
from math import log
from typing import Any, Final

from msgspec import Struct

from engine import limits
from engine.fraud.blocks import Block
from engine.fraud.delays import Delays
from engine.fraud.figures import STAGES_MS, Figures
from engine.fraud.node import Node, fade_health, health, new_node, node_from

_LAST: Final = len(STAGES_MS) - 1
_VOTE: Final = 2  # the stage by which most people are done: then a vote is counted
_PROBE: Final = 3  # the stage by which nearly all are: then a probe has failed
_LATE_MS: Final = 1_800_000  # so long a code can still be verified, and be taken back
_LEAST: Final = 0.02


class Pending(Struct, eq=False, gc=False):
    """A code that was sent.

    Attributes:
        number: To whom.
        leaves: The narrow nodes it counts for.
        areas: The wide ones.
        lineage: Its network and its country.
        at_ms: When.
        stage: The next stage of its age.
        block: Its block of 10,000 numbers.
        known: Whether the number was verified before.
        usual: The usual share of verified codes of its network.
        leaf_said: What it has said so far in narrow nodes; `area_said`: in wide ones; `slow_said`:
            in the slow test of its block.
        leaf_p: The usual share of verified codes for narrow nodes; `area_p`: for wide ones.
        vote: Whether it tells of the network's health.
        probes: Blocks that let it pass to see what happens.
        again: How often it was asked for again.
        closed: Whether nothing more is to come of it.
    """

    number: str
    leaves: list[Node]
    areas: list[Node]
    lineage: tuple[Node, Node]
    at_ms: int
    block: Node
    stage: int = 0
    leaf_said: float = 0.0
    area_said: float = 0.0
    slow_said: float = 0.0
    usual: float = 0.0
    leaf_p: float = 0.0
    area_p: float = 0.0
    known: bool = False
    vote: bool = False
    probes: list[tuple[Node, Block]] = []
    again: int = 0
    closed: bool = False


def _floor(node: Node, usual: float) -> float:
    """The least share that is believed to be usual: few are believed only of many verified.

    A place in which nobody was verified has not shown that few are; it may be full of fraud.
    """
    good = node.good
    return usual * (0.85 - 0.035 * good) if good < 10.0 else 0.5 * usual


def explained_by(leaves: list[Node]) -> int:
    """The place of the narrowest prefix that has a block, 0 for none.

    What happens there is explained: it is no evidence against wider nodes.
    """
    for at in range(min(len(leaves), 4) - 1, 0, -1):
        if leaves[at].block is not None and leaves[at].name[0] == "+":
            return at
    return 0


class Book:
    """See the module's text.

    Args:
        figures: The figures of the guard.

    Attributes:
        nodes: Prefixes, addresses, devices; the oldest go first.
        areas: Countries, networks and their classes.
        known: Numbers that were verified, and how many codes went to each since.
        failed: Blocks whose probe has failed, for the guard to renew.
        opened: Nodes whose block was opened by probes.
    """

    __slots__ = (
        "_figures", "_good_log", "_late", "_next_ms", "_queues", "_room", "_slow_log", "areas",
        "capacity", "delays", "failed", "known", "nodes", "opened", "pending", "regional", "root",
    )  # fmt: skip

    def __init__(self, figures: Figures, now_ms: int) -> None:
        self._figures = figures
        self._good_log = (log(figures.leaf_ratio), log(figures.area_ratio))
        self._slow_log = log(figures.slow_ratio)
        self._queues: tuple[deque[Pending], ...] = tuple(deque() for _ in STAGES_MS)
        self._late: deque[Pending] = deque()
        self.capacity = limits.FRAUD_NODES
        self._room = limits.FRAUD_PENDING
        self._next_ms = 0
        self.delays = Delays()
        self.regional: dict[str, Delays] = {}
        self.root = new_node("", now_ms)
        self.nodes: dict[str, Node] = {}
        self.areas: dict[str, Node] = {}
        self.pending: dict[str, Pending] = {}
        self.known: dict[str, int] = {}
        self.failed: list[tuple[Node, Block]] = []
        self.opened: list[Node] = []

    def share(self, books: int) -> None:
        """So many books share the room there is."""
        self.capacity = max(1_000, limits.FRAUD_NODES // books)
        self._room = max(1_000, limits.FRAUD_PENDING // books)

    @property
    def trusted(self) -> bool:
        """Whether it is known which codes are verified."""
        return self.root.good >= 3.0

    # --- nodes --------------------------------------------------------------------------------

    def node(self, name: str, now_ms: int) -> Node:
        """A narrow node, made if it is new."""
        node = self.nodes.get(name)
        if node is None:
            if len(self.nodes) >= self.capacity:
                self._forget(now_ms)
            node = self.nodes[name] = new_node(name, now_ms)
        return node

    def area(self, name: str, now_ms: int) -> Node:
        """A wide node, made if it is new; past the limit they share one."""
        node = self.areas.get(name)
        if node is None:
            if len(self.areas) >= limits.FRAUD_AREAS:
                name = "others"
            node = self.areas.setdefault(name, new_node(name, now_ms))
        return node

    def _forget(self, now_ms: int) -> None:
        """Makes room for a node: the oldest goes, unless it has a block or was busy lately."""
        nodes = self.nodes
        for _ in range(8):
            name = next(iter(nodes))
            node = nodes.pop(name)
            busy = node.block is not None or node.walk > 2.0
            if not busy and (node.good < 1.0 or now_ms - node.at_ms > 86_400_000):
                return
            nodes[name] = node
        del nodes[next(iter(nodes))]

    def conversions(self, network: Node, region: Node) -> tuple[float, float]:
        """The usual share of verified codes of a network and of its country."""
        figures = self._figures
        codes = figures.prior_codes
        root = self.root.conversion(figures.first_conversion, 20.0)
        of_region = region.conversion(root, codes)
        floor = _floor(region, root)
        if of_region < floor:
            of_region = floor
        of_network = network.conversion(of_region, codes)
        floor = _floor(network, of_region)
        return (of_network if of_network > floor else floor), of_region  # noqa: FURB136 - hot

    def conversion(self, node: Node, usual: float, codes: float) -> float:
        """The usual share of verified codes of a node below these."""
        found, floor = node.conversion(usual, codes), _floor(node, usual)
        return found if found > floor else floor  # noqa: FURB136 - hot

    # --- what happens to a code -----------------------------------------------------------------

    def send(self, pending: Pending, now_ms: int) -> None:
        """A code was sent."""
        if len(self.pending) >= self._room:
            self._drop(now_ms)
        self.pending[pending.number] = pending
        for node in pending.leaves:
            node.out += 1
        for node in pending.areas:
            node.out += 1
        for node in pending.lineage:
            fade_health(node, now_ms, self._figures)
            node.recent += 1.0
            node.out += 1
        self._queues[0].append(pending)

    def advance(self, now_ms: int) -> None:
        """Takes in what the age of waiting codes says. Cost: 0.6 µs a code and stage."""
        if now_ms < self._next_ms:
            return
        queues = self._queues
        next_ms = now_ms + STAGES_MS[0]
        for stage, queue in enumerate(queues):
            if queue:
                age_ms = STAGES_MS[stage]
                due_ms = now_ms - age_ms
                while queue and queue[0].at_ms <= due_ms:
                    pending = queue.popleft()
                    if not pending.closed:
                        self._mature(pending, stage, now_ms)
                        if stage < _LAST:
                            queues[stage + 1].append(pending)
                if queue and queue[0].at_ms + age_ms < next_ms:
                    next_ms = queue[0].at_ms + age_ms
        self._next_ms = next_ms
        late, due_ms = self._late, now_ms - _LATE_MS
        while late and late[0].at_ms <= due_ms:
            self._release(late.popleft())

    def _mature(self, pending: Pending, stage: int, now_ms: int) -> None:
        figures = self._figures
        network, region = pending.lineage
        done = (self.regional.get(region.name) or self.delays).done[stage]
        if network.due or region.due:
            well = health(network, now_ms, figures)
            wide = health(region, now_ms, figures)
            done *= well if well < wide else wide  # noqa: FURB136 - hot
        expected = pending.leaf_p * done
        said = log((1.0 - figures.leaf_ratio * expected) / (1.0 - expected))
        leaves = pending.leaves
        explained = explained_by(leaves)
        self._say(leaves[explained:] if explained else leaves, said - pending.leaf_said)
        pending.leaf_said = said
        if stage >= _PROBE:
            self._mature_slowly(pending, done)
        if pending.areas and not explained:
            expected = pending.area_p * done
            said = log((1.0 - figures.area_ratio * expected) / (1.0 - expected))
            self._say(pending.areas, said - pending.area_said)
            pending.area_said = said
        pending.stage = stage + 1
        if stage == _VOTE:
            self._count(pending)
            self._vote(pending, 0.0)
        elif stage == _PROBE:
            self.failed.extend(pending.probes)
            pending.probes = []
        elif stage == _LAST:
            self._over(pending)
            self._late.append(pending)

    def _mature_slowly(self, pending: Pending, done: float) -> None:
        """The slow test of a block of 10,000: only what is nearly certain counts in it."""
        figures = self._figures
        expected = done * min(1.05 * pending.leaf_p, pending.usual)
        said = log((1.0 - figures.slow_ratio * expected) / (1.0 - expected))
        slow = pending.block.slow + said - pending.slow_said
        pending.block.slow = max(0.0, slow)
        pending.slow_said = said

    def _say(self, nodes: list[Node], said: float) -> None:
        top = self._figures.walk_top
        for node in nodes:
            walk = node.walk + said
            node.walk = 0.0 if walk < 0.0 else walk if walk < top else top  # noqa: FURB136 - hot

    def _vote(self, pending: Pending, seen: float) -> None:
        """Tells of the network's health; a known number does so of the country's, too.

        What known numbers do while the evidence against the proven class rises is kept with it:
        in an outage they fail as well, beside fraud they do not.
        """
        due = pending.leaf_p * self.delays.done[_VOTE]
        if pending.vote:
            for node in pending.lineage:
                node.due += due
                node.seen += seen
        if pending.known and pending.areas:
            group = pending.areas[0]
            if group.walk < 0.5:
                group.due = group.seen = 0.0
            group.due += due
            group.seen += seen

    def _count(self, pending: Pending) -> None:
        """It counts among those that should have been verified by now.

        Not earlier: who is quick is verified first, and would make a place look better than it is.
        """
        self.root.sent += 1.0
        for nodes in (pending.leaves, pending.areas, pending.lineage):
            for node in nodes:
                node.sent += 1.0

    def _over(self, pending: Pending) -> None:
        """Its outcome is known: it does not wait any more."""
        at_ms = pending.at_ms
        for nodes in (pending.leaves, pending.areas, pending.lineage):
            for node in nodes:
                if node.out and at_ms >= node.reset_ms:
                    node.out -= 1

    def verified(self, number: str, now_ms: int) -> None:
        """The code of a number was verified."""
        self.known.pop(number, None)
        self.known[number] = 0
        if len(self.known) > limits.FRAUD_NUMBERS:
            del self.known[next(iter(self.known))]
        pending = self.pending.pop(number, None)
        if pending is None or pending.closed:
            return
        if pending.stage <= _LAST:
            self._over(pending)
        pending.closed = True
        region = pending.lineage[1].name
        regional = self.regional.get(region)
        if regional is None:
            regional = self.regional[region] = Delays(None, self.delays.done)
        for delays in (self.delays, regional):
            delays.add(now_ms - pending.at_ms)
        for nodes, said, good in (
            (pending.leaves, pending.leaf_said, self._good_log[0]),
            (pending.areas, pending.area_said, self._good_log[1]),
        ):
            for node in nodes:
                walk = node.walk - said + good
                node.walk = max(0.0, walk)
                node.good += 1.0
        for node in pending.areas:
            fade_health(node, now_ms, self._figures)
            node.fresh += 1.0
        self.root.good += 1.0
        for node in pending.lineage:
            node.good += 1.0
        if pending.stage <= _VOTE:
            self._count(pending)
            self._vote(pending, 1.0)
        slow = pending.block.slow - pending.slow_said + self._slow_log
        pending.block.slow = max(0.0, slow)
        for node, block in pending.probes:
            block.probe_ms = 0
            block.good += 1
            if block.good >= block.needed() and node.block is block:
                self.opened.append(node)
        pending.probes = []

    def take_back(self, number: str) -> None:
        """A code never arrived, or will not be verified for a known reason: it says nothing."""
        pending = self.pending.pop(number, None)
        if pending is None or pending.closed:
            return
        self._say(pending.leaves, -pending.leaf_said)
        self._say(pending.areas, -pending.area_said)
        pending.block.slow = max(0.0, pending.block.slow - pending.slow_said)
        for nodes in (pending.leaves, pending.areas, pending.lineage):
            for node in nodes:
                if pending.stage <= _LAST and pending.at_ms >= node.reset_ms:
                    node.out = max(0, node.out - 1)
                if pending.stage > _VOTE:
                    node.sent = max(node.good, node.sent - 1.0)
        for _, block in pending.probes:
            block.probe_ms = 0
        pending.closed = True

    def expire(self, number: str, now_ms: int) -> None:
        """A code will not be verified any more: what its age would have said is said now."""
        pending = self.pending.get(number)
        if pending is None or pending.closed or pending.stage > _LAST:
            return
        for stage in range(pending.stage, _LAST + 1):
            self._mature(pending, stage, now_ms)
        pending.closed = True  # queues pass over it
        self.pending.pop(number)
        self._late.remove(pending)

    def again(self, pending: Pending, now_ms: int) -> None:
        """Asked for again while it waits: from the third time on it is odd."""
        pending.again += 1
        if pending.again >= 2:
            well = min(health(node, now_ms, self._figures) for node in pending.lineage)
            self._say(pending.leaves, 0.5 * well)

    def _drop(self, now_ms: int) -> None:
        """Room for another: the oldest is counted as it stands."""
        pending = next(iter(self.pending.values()))
        if pending.stage <= _VOTE:
            self._count(pending)
        if pending.stage <= _LAST:
            self._over(pending)
            pending.closed = True
        self._release(pending)

    def _release(self, pending: Pending) -> None:
        if self.pending.get(pending.number) is pending:
            del self.pending[pending.number]

    # --- restarts -------------------------------------------------------------------------------

    def rows(self) -> list[Any]:
        """What a restart keeps: history and evidence, not what waits."""
        worth = [node for node in self.nodes.values() if node.walk >= 0.5 or node.good >= _LEAST]
        kept = worth[-limits.FRAUD_SNAPSHOT_NODES :]
        known = list(self.known.items())[-limits.FRAUD_SNAPSHOT_NODES :]
        return [
            self.root.row(), [node.row() for node in self.areas.values()],
            [node.row() for node in kept], known, self.delays.row(),
            {name: each.row() for name, each in self.regional.items()},
        ]  # fmt: skip

    def restore(self, rows: list[Any]) -> None:
        """Takes in what `rows` gave."""
        root, areas, nodes, known, delays, regional = rows
        self.root = node_from(root)
        self.areas = {row[0]: node_from(row) for row in areas[: limits.FRAUD_AREAS]}
        self.nodes = {row[0]: node_from(row) for row in nodes[-self.capacity :]}
        self.known = dict(known[-limits.FRAUD_NUMBERS :])
        self.delays = Delays(delays)
        done = self.delays.done
        self.regional = {name: Delays(counts, done) for name, counts in regional.items()}
