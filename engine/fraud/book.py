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
from collections.abc import Iterator
from itertools import islice
from math import log
from typing import Any, Final

from engine import limits
from engine.fraud.blocks import Block
from engine.fraud.delays import Delays, stage_of
from engine.fraud.figures import STAGES_MS, Figures
from engine.fraud.node import GRAIN_MS, MOST, Node, fade_health, health, new_node, node_from
from engine.fraud.pending import Pending, Scope, explained_by

_LAST: Final = len(STAGES_MS) - 1
_VOTE: Final = 2  # the stage by which most people are done: then a vote is counted
_PROBE: Final = 3  # the stage by which nearly all are: then a probe has failed
_LATE_MS: Final = 1_800_000  # so long a code can still be verified, and be taken back
_LEAST: Final = 0.02
_NEVER_MS: Final = 1 << 62
_SLICE: Final = 100  # nodes of a snapshot that are worked off at once


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
        next_ms: When a code that waits is old enough for its next stage.
        scopes: Wide nodes by class and network; only those that all exist.
    """

    __slots__ = (
        "_due", "_figures", "_good_log", "_late", "_queues", "_room", "_slow_log", "areas",
        "capacity", "delays", "failed", "known", "next_ms", "nodes", "opened", "pending",
        "regional", "root", "scopes",
    )  # fmt: skip

    def __init__(self, figures: Figures, now_ms: int) -> None:
        self._figures = figures
        self._good_log = (log(figures.leaf_ratio), log(figures.area_ratio))
        self._slow_log = log(figures.slow_ratio)
        self._queues: tuple[deque[Pending], ...] = tuple(deque() for _ in STAGES_MS)
        self._due = [_NEVER_MS] * len(STAGES_MS)
        self._late: deque[Pending] = deque()
        self.capacity = limits.FRAUD_NODES
        self._room = limits.FRAUD_PENDING
        self.next_ms = 0
        self.scopes: tuple[dict[str, Scope], ...] = ({}, {}, {})
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
        root = self.root.conversion(figures.first_conversion, 20.0)
        of_region = self.conversion(region, root, figures.prior_codes)
        return self.conversion(network, of_region, figures.prior_codes), of_region

    @staticmethod
    def conversion(node: Node, usual: float, codes: float) -> float:
        """The usual share of verified codes of a node below these."""
        good = node.good
        found = (good + codes * usual) / (node.sent + codes)
        if found > MOST:
            found = MOST
        floor = usual * (0.85 - 0.035 * good) if good < 10.0 else 0.5 * usual
        return found if found > floor else floor  # noqa: FURB136 - hot

    # --- what happens to a code -----------------------------------------------------------------

    def send(self, pending: Pending, now_ms: int) -> None:
        """A code was sent; its nodes have it among those under way already."""
        if len(self.pending) >= self._room:
            self._drop(now_ms)
        self.pending[pending.number] = pending
        scope = pending.scope
        for node in (scope.network, scope.region):
            if now_ms - node.health_ms >= GRAIN_MS:
                fade_health(node, now_ms, self._figures)
            node.recent += 1.0
        self._queues[0].append(pending)
        if self._due[0] == _NEVER_MS:
            self._due[0] = now_ms + STAGES_MS[0]

    def advance(self, now_ms: int) -> None:
        """Takes in what the age of waiting codes says, once `next_ms` is reached."""
        due = self._due
        for stage, due_ms in enumerate(due):
            if due_ms <= now_ms:
                self._ripen(stage, now_ms)
        next_ms = min(due)
        least_ms = now_ms + STAGES_MS[0]
        self.next_ms = next_ms if next_ms < least_ms else least_ms  # noqa: FURB136 - hot
        late, due_ms = self._late, now_ms - _LATE_MS
        while late and late[0].at_ms <= due_ms:
            self._release(late.popleft())

    def _ripen(self, stage: int, now_ms: int) -> None:
        """Takes in one stage of all codes that have reached it."""
        queue, due = self._queues[stage], self._due
        age_ms = STAGES_MS[stage]
        sent_ms = now_ms - age_ms
        while queue and queue[0].at_ms <= sent_ms:
            pending = queue.popleft()
            if pending.closed:
                continue
            self._mature(pending, stage, now_ms)
            if stage < _LAST:
                self._queues[stage + 1].append(pending)
                if due[stage + 1] == _NEVER_MS:
                    due[stage + 1] = pending.at_ms + STAGES_MS[stage + 1]
        due[stage] = queue[0].at_ms + age_ms if queue else _NEVER_MS

    def _mature(self, pending: Pending, stage: int, now_ms: int) -> None:
        figures, scope, leaves = self._figures, pending.scope, pending.leaves
        network, region = scope.network, scope.region
        done = self.regional.get(region.name, self.delays).done[stage]
        if network.due or region.due:
            well = network.well if network.well_ms > now_ms else health(network, now_ms, figures)
            wide = region.well if region.well_ms > now_ms else health(region, now_ms, figures)
            done *= well if well < wide else wide  # noqa: FURB136 - hot
        expected = pending.leaf_p * done
        said = log((1.0 - figures.leaf_ratio * expected) / (1.0 - expected))
        change, pending.leaf_said = said - pending.leaf_said, said
        top = figures.walk_top
        if len(leaves) > 2:
            explained = explained_by(leaves)
        else:
            explained = 0 if leaves[1].block is None else 1
        for node in leaves[explained:] if explained else leaves:
            walk = node.walk + change
            node.walk = 0.0 if walk < 0.0 else walk if walk < top else top  # noqa: FURB136 - hot
        if stage >= _PROBE:
            self._mature_slowly(pending, done)
        if not explained:
            expected = pending.area_p * done
            said = log((1.0 - figures.area_ratio * expected) / (1.0 - expected))
            change, pending.area_said = said - pending.area_said, said
            for node in scope.areas:
                walk = node.walk + change
                node.walk = 0.0 if walk < 0.0 else walk if walk < top else top  # noqa: FURB136
        pending.stage = stage + 1
        if stage == _VOTE:
            self._count(pending)
            if pending.vote or pending.known:
                self._vote(pending, 0.0)
        elif stage == _PROBE:
            if pending.probes:
                self.failed.extend(pending.probes)
                pending.probes = ()
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
        scope = pending.scope
        if pending.vote:
            for node in (scope.network, scope.region):
                node.due += due
                node.seen += seen
        if pending.known:
            group = scope.areas[0]
            if group.walk < 0.5:
                group.due = group.seen = 0.0
            group.due += due
            group.seen += seen

    def _count(self, pending: Pending) -> None:
        """It counts among those that should have been verified by now.

        Not earlier: who is quick is verified first, and would make a place look better than it is.
        """
        self.root.sent += 1.0
        for node in pending.leaves:
            node.sent += 1.0
        for node in pending.scope.all:
            node.sent += 1.0

    def _over(self, pending: Pending) -> None:
        """Its outcome is known: it does not wait any more."""
        at_ms = pending.at_ms
        for nodes in (pending.leaves, pending.scope.all):
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
        at_ms, scope, delays = pending.at_ms, pending.scope, self.delays
        waited = pending.stage <= _LAST
        counted = 1.0 if pending.stage <= _VOTE else 0.0
        pending.closed = True
        region = scope.region.name
        regional = self.regional.get(region)
        if regional is None:
            regional = self.regional[region] = Delays(None, delays.done)
        stage = stage_of(now_ms - at_ms)
        delays.add(stage)
        regional.add(stage)
        said, (leaf_good, area_good) = pending.leaf_said, self._good_log
        for node in pending.leaves:
            if waited and node.out and at_ms >= node.reset_ms:
                node.out -= 1
            walk = node.walk - said + leaf_good
            node.walk = walk if walk > 0.0 else 0.0  # noqa: FURB136 - hot
            node.good += 1.0
            node.sent += counted
        said = pending.area_said
        for node in scope.areas:
            walk = node.walk - said + area_good
            node.walk = walk if walk > 0.0 else 0.0  # noqa: FURB136 - hot
            if now_ms - node.health_ms >= GRAIN_MS:
                fade_health(node, now_ms, self._figures)
            node.fresh += 1.0
        for node in scope.all:
            if waited and node.out and at_ms >= node.reset_ms:
                node.out -= 1
            node.good += 1.0
            node.sent += counted
        self.root.good += 1.0
        if counted:
            self.root.sent += 1.0
            if pending.vote or pending.known:
                self._vote(pending, 1.0)
        slow = pending.block.slow - pending.slow_said + self._slow_log
        pending.block.slow = slow if slow > 0.0 else 0.0  # noqa: FURB136 - hot
        if pending.probes:
            self._passed(pending)

    def _passed(self, pending: Pending) -> None:
        """Probes were verified: enough of them open a block."""
        for node, block in pending.probes:
            block.probe_ms = 0
            block.good += 1
            if block.good >= block.needed() and node.block is block:
                self.opened.append(node)
        pending.probes = ()

    def take_back(self, number: str) -> None:
        """A code never arrived, or will not be verified for a known reason: it says nothing."""
        pending = self.pending.pop(number, None)
        if pending is None or pending.closed:
            return
        self._say(pending.leaves, -pending.leaf_said)
        self._say(pending.scope.areas, -pending.area_said)
        pending.block.slow = max(0.0, pending.block.slow - pending.slow_said)
        for nodes in (pending.leaves, pending.scope.all):
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
            scope = pending.scope
            well = min(
                health(scope.network, now_ms, self._figures),
                health(scope.region, now_ms, self._figures),
            )
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

    def slices(self) -> Iterator[list[Any] | None]:
        """Yields None after each slice of work, and at last what a restart keeps.

        That is history and evidence, not what waits. A node is kept as it is when it is met.
        """
        kept: list[list[Any]] = []
        for place, node in enumerate(reversed(list(self.nodes.values()))):
            if node.walk >= 0.5 or node.good >= _LEAST:
                kept.append(node.row())
                if len(kept) >= limits.FRAUD_SNAPSHOT_NODES:
                    break
            if place % _SLICE == _SLICE - 1:
                yield None
        areas: list[list[Any]] = []
        for place, node in enumerate(list(self.areas.values())):
            areas.append(node.row())
            if place % _SLICE == _SLICE - 1:
                yield None
        yield None
        known = list(islice(reversed(self.known.items()), limits.FRAUD_SNAPSHOT_NODES))
        yield None
        yield [
            self.root.row(), areas, kept[::-1], known[::-1], self.delays.row(),
            {name: each.row() for name, each in self.regional.items()},
        ]  # fmt: skip

    def restore(self, rows: list[Any]) -> None:
        """Takes in what `rows` gave."""
        root, areas, nodes, known, delays, regional = rows
        self.root = node_from(root)
        self.areas = {row[0]: node_from(row) for row in areas[: limits.FRAUD_AREAS]}
        self.nodes = {row[0]: node_from(row) for row in nodes[-self.capacity :]}
        self.scopes = ({}, {}, {})
        self.known = dict(known[-limits.FRAUD_NUMBERS :])
        self.delays = Delays(delays)
        done = self.delays.done
        self.regional = {name: Delays(counts, done) for name, counts in regional.items()}
