"""What the guard knows of one workspace: its nodes, and the codes that wait to be verified.

A code that was sent counts for every node of its number and of whoever asked for it. While it is
not verified it becomes evidence by its age: at each of `figures.STAGES_MS` what it says so far is
log((1 - p1 F) / (1 - p0 F)), with F the share of people who would be done by then, p0 the share
that is usual here and p1 the one that fraud would leave. That is added up when somebody asks. When
it is verified after all, log(p1 / p0) is said instead; at the last stage it is given up, and what
it says then stays.

Of a number one code at a time counts: asking again is judged by `Repeats`.
"""

from collections import deque
from math import log
from typing import Final

from engine import limits
from engine.fraud.blocks import Block
from engine.fraud.codes import GONE, KNOWN, LATE, OPEN, VERIFIED, VOTES, Code, Said, Scope
from engine.fraud.evidence import said
from engine.fraud.figures import STAGES_MS, Figures
from engine.fraud.newest import Newest
from engine.fraud.node import KEY_BITS, SETTLE_MS, Node, met, remove
from engine.fraud.nodes import PROBE_MS, STEP_MS, Nodes, strain
from engine.fraud.numbers import Numbers, Seal
from engine.fraud.repeats import Repeats
from engine.fraud.sketch import mark_of

_GIVEN_UP_MS: Final = STAGES_MS[-1]
_LATE_MS: Final = 1_800_000  # so long a code can still be verified, and be taken back
_FOLLOWS: Final = 0.7  # what a number is worth that follows closely on the one before
_BATCH: Final = 4  # verified codes that the wide nodes are told of at once
_CREDIT: Final = 1.2  # what a code under way may say, about
# So far a walk may fall if few codes are under way.
_LEASTS: Final[tuple[float, ...]] = (0.0, 0.0, 0.0, -1.2, -3.0)


class Book(Nodes):
    """See the module's text.

    Args:
        figures: The figures of the guard.
        now_ms: The time.
        seal: What numbers are written with.

    Attributes:
        codes: Codes that wait, or may be verified yet, by number.
        known: Numbers that were verified, and how many codes each was let pass since.
        repeats: Numbers that are asked for again and again.
        failed: Blocks whose probe has failed, for the guard to renew.
        opened: Nodes whose block was opened by probes.
        next_ms: When a code is old enough for something.
    """

    __slots__ = (
        "_finals", "_key", "_late", "_leaf_good", "_probing", "_room", "_seen", "_slow_good",
        "codes", "failed", "known", "next_ms", "opened", "repeats",
    )  # fmt: skip

    def __init__(self, figures: Figures, now_ms: int, seal: Seal) -> None:
        super().__init__(figures, now_ms, seal)
        self._leaf_good = log(figures.leaf_ratio)
        self._slow_good = log(figures.slow_ratio)
        self._key = 0
        self._finals: deque[Code] = deque()
        self._probing: deque[Code] = deque()
        self._late: deque[Code] = deque()
        self._room = limits.FRAUD_PENDING
        self._seen: Newest[str, Code] = Newest(limits.FRAUD_NODES)
        self.next_ms = 0
        self.codes: dict[str, Code] = {}
        self.known: Numbers[int] = Numbers(limits.FRAUD_NUMBERS, seal)
        levels: Numbers[tuple[float, int]] = Numbers(limits.FRAUD_NUMBERS, seal)
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
        b5.out += 1
        if explained or b4.opened or b4.walk > 0.5:
            self._spread(code, explained, now_ms)
        else:
            b4.opened.append(key)
            scope.opened.append(key)
            scope.region.out += 1
        if sources:
            self._ask(code, sources, now_ms)
        last = b4.last
        # It is of the same block of 10,000: two digits more tell whether of the same 100.
        if last is not None and last[-3] == number[-3] and last[-4] == number[-4]:
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
        group = scope.group
        if group.tense and self.known.get(number) is not None:
            code.vote |= KNOWN  # in an outage known numbers fail as well, beside fraud they do not
            group.due += scope.network.usual
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
                first = seen.young.get(name) or seen.old.get(name)
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
        number = code.number
        if last != number and -3 <= int(last[-2:]) - int(number[-2:]) <= 3:
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
        next_ms = now_ms + PROBE_MS
        probing, finals, late = self._probing, self._finals, self._late
        while probing and (probing[0].key >> KEY_BITS) + PROBE_MS <= now_ms:
            code = probing.popleft()
            if code.state == OPEN:
                self.failed.extend(code.probes)
                code.probes = ()
        if probing:
            next_ms = (probing[0].key >> KEY_BITS) + PROBE_MS
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
        self.next_ms = max(next_ms, now_ms + STEP_MS)

    def _give_up(self, code: Code, now_ms: int) -> None:
        """A code is not believed to be verified any more: what it says now stays."""
        figures, scope, b4, b5, key = self.figures, code.scope, code.b4, code.b5, code.key
        network, region = scope.network, scope.region
        if scope.good or scope.ripe:
            self.flush(scope)
        well = self.well(scope, now_ms)
        done = scope.delays.done[-1] * well
        usual = self.usual(network, region, now_ms)
        own, top = self.own(b4, usual, now_ms), figures.walk_top
        leaf = said(own * done, figures.leaf_ratio)
        slow = said(min(1.05 * own, usual) * done, figures.slow_ratio)
        settled_ms = now_ms - SETTLE_MS
        for node in (b4, *code.more) if code.more else (b4,):
            if node.at_ms < settled_ms:
                node.settle(now_ms, figures)
            if remove(node.opened, key):
                least = _least(node, len(node.opened))
                node.walk = max(least, min(top, node.walk + leaf))
                if node is b4:
                    node.slow = max(0.5 * least, node.slow + slow)
            node.bad += 1.0
        if b5.at_ms < settled_ms:
            b5.settle(now_ms, figures)
        b5.bad += 1.0
        b5.out -= 1
        area_said = 0.0
        if remove(scope.opened, key):
            b5.walk = min(top, b5.walk + leaf)
            steps = self.steps(scope, now_ms)
            area_said = steps[-1]
            if well < 1.0:
                area_said = said(scope.group.own * done, figures.area_ratio)
            region.out -= 1
            for area in scope.areas:
                area.walk = min(top, area.walk + area_said)
            strain(scope.group, scope.group.walk)
        for area in scope.all:
            if area.at_ms < settled_ms:
                area.settle(now_ms, figures)
            area.bad += 1.0
        region.count += 1
        code.state = LATE
        code.said = Said(leaf, slow, area_said)

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
            remove(opened, key)
        if opened or b4.walk or b4.slow:
            least = _least(b4, len(opened))
            b4.walk = max(least, b4.walk + self._leaf_good)
            b4.slow = max(0.5 * least, b4.slow + self._slow_good)
        b5.good += 1.0
        b5.out -= 1
        if b5.walk or b5.out:
            b5.walk = max(_least(b5, b5.out), b5.walk + self._leaf_good)
        if code.more:
            for node in code.more:
                node.good += 1.0
                remove(node.opened, key)
                least = _least(node, len(node.opened))
                node.walk = max(least, node.walk + self._leaf_good)
        if scope.opened and remove(scope.opened, key):
            scope.region.out -= 1
        scope.good += 1
        if scope.good >= _BATCH or not self.trusted:
            known.now.tidy()
            self.flush(scope)
        if code.vote:
            if code.vote & VOTES:
                scope.network.answered += 1.0
                scope.region.answered += 1.0
            if code.vote & KNOWN:
                scope.group.seen += 1.0
        if code.probes:
            self._passed(code)

    def _verified_late(self, code: Code) -> None:
        """It was given up, and is verified after all: what it said is taken back."""
        said_ = code.said
        if code.state != LATE or said_ is None:
            return
        code.state = VERIFIED
        for node in code.leaves:
            least = _least(node, len(node.opened))
            node.walk = max(least, node.walk - said_.leaf + self._leaf_good)
        b4 = code.b4
        b4.slow = max(0.5 * _least(b4, len(b4.opened)), b4.slow - said_.slow + self._slow_good)
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
                least = _least(node, len(node.opened))
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
            least = _least(prefix, len(prefix.opened))
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
        if code.state == OPEN:
            code.b5.out -= 1
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


def _least(node: Node, out: int) -> float:
    """How far a walk may fall with so many codes under way: so much a good past makes up for.

    Many of them are under way for long in a place that is busy. Where there are few, and not most
    are verified, a code that is verified is no reason to believe the others.
    """
    if out < len(_LEASTS) and node.good <= 2.0 * (node.bad + out):
        return _LEASTS[out]
    return -_CREDIT * out
