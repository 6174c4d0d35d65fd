"""What waits in front of a lane: three classes that share it, bounded.

While all classes wait, otp gets 50 of 100 units, transactional 30 and marketing 20; a class that
is empty leaves its share to the others, so the lane never idles while anything waits. The
scheduler is stride scheduling, the smooth form of deficit round robin: each class has a pass that
grows by units/share with what it sends, and the class with the lowest pass goes next. So the shares
hold over any stretch and not only over whole rounds, and a code that arrives behind a thousand
newsletters waits for one message, not for their quantum. A class that was idle comes back at the
pass of the present: it cannot save up.

Inside a class the earliest deadline goes first, to the second; messages with the same go in the
order in which they came. Most come in the order of their deadlines, since most of a class have one
validity, so each class is a plain row, beside a heap for those that have to overtake it.

The classes share one capacity, and the lower ones are refused before it is reached: what is left
is kept for those above. So a lane that is full of newsletters still takes a code.

A message has to be young enough when it leaves, not when it arrives: `take` hands out expired
messages apart. A cancelled message gives its place back at once.

A queue finds no message by its id, since whoever fills it knows its messages by their ids already.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from engine import limits
from engine.lanes.rates import UNLIMITED, Room
from engine.messages.message import MARKETING, OTP, TRANSACTIONAL
from engine.reasons import Reason

CLASSES: Final = (OTP, TRANSACTIONAL, MARKETING)
SHARES: Final = {OTP: 50, TRANSACTIONAL: 30, MARKETING: 20}
# How far a pass moves for a unit: whole numbers in the inverse proportion of the shares.
STRIDES: Final = tuple(300 // SHARES[name] for name in CLASSES)
_QUEUE_PERCENTS: Final = (
    limits.OTP_QUEUE_PERCENT,
    limits.TRANSACTIONAL_QUEUE_PERCENT,
    limits.MARKETING_QUEUE_PERCENT,
)
_LEVELS: Final = {name: level for level, name in enumerate(CLASSES)}
_QUEUED: Final = Reason.QUEUED  # a member is found slowly, and this is asked of each message
_LAST_LEVEL: Final = len(CLASSES) - 1


def rooms(capacity: int) -> tuple[int, ...]:
    """How many messages, of all classes together, may be there for each class to be taken.

    Args:
        capacity: The most messages in all.

    Returns:
        A number for each level, the highest class first, never growing; at least 1.
    """
    return tuple(max(1, capacity * percent // 100) for percent in _QUEUE_PERCENTS)


class QueuedMessage(Struct, array_like=True, eq=False, gc=False):
    """A message as a sender holds it, from its admission until its shard has its last receipt.

    An offer is unpacked straight into one, without anything made on the way: the fields up to
    `last` stand in the order of `engine.messages.message.Message.offer`. Those after it are the
    sender's own; an offer never has them.

    Attributes:
        id: 32 hex characters.
        key: The entity whose message it is.
        lane: Its lane's name.
        to: The address; once it was read, in the form that carriers want.
        expires_ms: When it becomes worthless: in an offer on its shard's clock, then on the
            sender's.
        resend_unknown: Whether an unknown outcome is sent again.
        created_ms: When it was made, on its shard's clock.
        sender: The number or address that it comes from; empty means the lane's.
        content: The channel's own form of what is richer than text, a JSON object; or empty.
        facts: What the fraud guard and adapters may know of it: `ip`, `device`, `country` …
        hop: How many routes were tried before this one.
        last: Whether no other route is left after this one.
        units: What it costs in the lane's limits.
        shard: The shard of its key.
        attempt: How often it was given to the carrier before.
        failures: How many of these attempts failed, throttling not counted.
        code: The carrier's last complaint, for the record.
        batch: The ledger's batch whose last word is owed for it; 0 for none.
        queued: Whether it is waiting in a `LaneQueue`.
        called_back: Whether it is not to be tried again.
    """

    id: str
    key: str
    workspace: str
    lane: str
    channel: str
    to: str
    purpose: str
    body: str
    subject: str
    expires_ms: int
    resend_unknown: bool
    created_ms: int
    sender: str = ""
    content: str = ""
    facts: dict[str, str] | None = None
    hop: int = 0
    last: bool = True
    units: int = 1
    shard: int = 0
    attempt: int = 0
    failures: int = 0
    code: str = ""
    batch: int = 0
    queued: bool = False
    called_back: bool = False

    @property
    def level(self) -> int:
        """0 for otp, 1 for transactional, 2 for marketing; unknown purposes count as the last."""
        return _LEVELS.get(self.purpose, _LAST_LEVEL)


Admit = Callable[[QueuedMessage], bool]
"""Asks whether a message may leave now; one that may not is whoever's who answered."""


class _Row:
    """The messages of one class, the earliest deadline first.

    Deadlines are compared in steps of 1,024 ms: messages of several shards come a few
    milliseconds out of order, which is none that matters.
    """

    __slots__ = ("_ties", "early", "on_time")

    def __init__(self) -> None:
        self.on_time: deque[QueuedMessage] = deque()  # deadlines ascending
        self.early: list[tuple[int, int, QueuedMessage]] = []  # a heap of those that overtake it
        self._ties = itertools.count()

    def __len__(self) -> int:
        return len(self.on_time) + len(self.early)

    def append(self, message: QueuedMessage) -> None:
        """Behind those with the same deadline."""
        deadline = message.expires_ms >> 10
        on_time = self.on_time
        if not on_time or deadline >= on_time[-1].expires_ms >> 10:
            on_time.append(message)
        else:
            heapq.heappush(self.early, (2 * deadline + 1, next(self._ties), message))

    def put_back(self, message: QueuedMessage) -> None:
        """In front of those with the same deadline."""
        deadline = message.expires_ms >> 10
        on_time = self.on_time
        if not on_time or (not self.early and deadline <= on_time[0].expires_ms >> 10):
            on_time.appendleft(message)
        else:
            heapq.heappush(self.early, (2 * deadline, next(self._ties), message))

    def head(self) -> QueuedMessage:
        """The first; there is one."""
        return self.early[0][2] if self._overtaken() else self.on_time[0]

    def pop(self) -> QueuedMessage:
        """Takes out the first; there is one."""
        return heapq.heappop(self.early)[2] if self._overtaken() else self.on_time.popleft()

    def all(self) -> list[QueuedMessage]:
        """All of them, those that were cancelled too, in no order that matters."""
        return [*self.on_time, *(entry[2] for entry in self.early)]

    def keep(self) -> None:
        """Drops what was cancelled."""
        waiting = [message for message in self.on_time if message.queued]
        self.on_time.clear()
        self.on_time.extend(waiting)
        self.early = [entry for entry in self.early if entry[2].queued]
        heapq.heapify(self.early)

    def _overtaken(self) -> bool:
        if not self.early:
            return False
        on_time = self.on_time
        return not on_time or self.early[0][0] <= 2 * (on_time[0].expires_ms >> 10)


class LaneQueue:
    """A bounded queue of three classes.

    Args:
        capacity: The most messages that wait; lower classes are refused before, see `rooms`.

    Attributes:
        outside: Messages that wait somewhere else and have their place here all the same.
    """

    __slots__ = ("_gone", "_passes", "_present", "_queues", "_rooms", "_waiting", "outside")

    def __init__(self, capacity: int = limits.LANE_QUEUE_MESSAGES) -> None:
        self._rooms = rooms(capacity)
        self._queues: tuple[_Row, ...] = tuple(_Row() for _ in CLASSES)
        self._waiting = 0
        self.outside = 0
        self._gone = [0] * len(CLASSES)  # cancelled messages that still stand in a row
        self._passes = [0] * len(CLASSES)
        self._present = 0

    def __len__(self) -> int:
        return self._waiting

    def resize(self, capacity: int) -> None:
        """Changes the capacity; what waits past a smaller one keeps its place."""
        self._rooms = rooms(capacity)

    def put(self, message: QueuedMessage) -> Reason:
        """Lets a message wait that does not wait yet.

        Returns:
            QUEUED, or QUEUE_FULL if its class has no room.

        Cost: 0.4 µs.
        """
        level = message.level
        if self._waiting + self.outside >= self._rooms[level]:
            return Reason.QUEUE_FULL
        self._enter(message, level).append(message)
        return _QUEUED

    def put_all(self, messages: Sequence[QueuedMessage]) -> bool:
        """Lets messages of one class wait, in order, if there is room for all of them.

        Args:
            messages: At least one; none of them waits yet.

        Returns:
            Whether they wait now; if not, `put` finds those that have room.

        Cost: 0.15 µs a message.
        """
        level = messages[0].level
        if self._waiting + self.outside + len(messages) > self._rooms[level]:
            return False
        row = self._queues[level]
        self._come_back(row, level)
        self._waiting += len(messages)
        on_time = row.on_time
        newest = (on_time[-1] if on_time else messages[0]).expires_ms >> 10
        for message in messages:
            message.queued = True
            deadline = message.expires_ms >> 10
            if deadline >= newest:
                newest = deadline
                on_time.append(message)
            else:
                row.append(message)
        return True

    def put_back(self, message: QueuedMessage) -> None:
        """Puts a message that had its place already before its deadline's, past the capacity."""
        self._enter(message, message.level).put_back(message)

    def take(
        self,
        count: int,
        room: Room,
        now_ms: int,
        admit: Admit | None = None,
        only: int = -1,
    ) -> tuple[list[QueuedMessage], list[QueuedMessage]]:
        """The messages whose turn it is, at most `count`, as many as `room` has place for.

        Args:
            count: The most messages.
            room: What they may have together.
            now_ms: The time.
            admit: Asked of each, if given; one that may not leave is taken out, and counts here
                as if it had been sent, so that one call never looks at more than `count`.
            only: The one class that may go; -1: each in its turn.

        Returns:
            Those to send, in order, and those that had expired on the way.

        Cost: 0.3 µs a message of a class that waits alone, 0.7 µs where classes take turns.
        """
        taken: list[QueuedMessage] = []
        expired: list[QueuedMessage] = []
        pace, left, messages = room
        count = min(count, messages)
        while count > 0 and pace > 0:
            level, turn_ends = self._turn(now_ms, expired, only)
            if level < 0:
                break
            run, looked = self._run(level, turn_ends, count, Room(pace, left), now_ms, admit)
            if not looked:
                break  # its units do not fit: nobody goes before it
            taken += run
            count -= looked
            spent = sum([message.units for message in run])
            pace -= spent
            left -= spent
        return taken, expired

    def first(self, now_ms: int) -> tuple[QueuedMessage | None, list[QueuedMessage]]:
        """The message whose turn it is, None if none waits; and what had expired."""
        expired: list[QueuedMessage] = []
        level, _ = self._turn(now_ms, expired)
        return (self._queues[level].head() if level >= 0 else None), expired

    def busy(self) -> list[int]:
        """The classes of which something waits, the highest first."""
        return [at for at, row in enumerate(self._queues) if len(row) > self._gone[at]]

    def cancel(self, message: QueuedMessage) -> bool:
        """Takes a message out; False if it does not wait here."""
        if not message.queued:
            return False
        message.queued = False
        self._waiting -= 1
        self._gone[message.level] += 1
        gone = sum(self._gone)
        if gone > 1_000 and gone > self._waiting:
            self._sweep()
        return True

    def expire(self, now_ms: int) -> list[QueuedMessage]:
        """Takes out all that has expired, wherever it stands. Cost: 0.1 µs a waiting message."""
        expired = [each for each in self._all() if each.expires_ms <= now_ms]
        for message in expired:
            self.cancel(message)
        return expired

    def pull(self, wanted: Callable[[QueuedMessage], bool], most: int) -> list[QueuedMessage]:
        """Takes out messages of a kind, at most so many. Cost: 0.1 µs a waiting message."""
        found = list(itertools.islice(filter(wanted, self._all()), most))
        for message in found:
            self.cancel(message)
        return found

    def clear(self) -> list[QueuedMessage]:
        """Takes everything out."""
        waiting = self._all()
        for message in waiting:
            self.cancel(message)
        return waiting

    def depths(self) -> dict[str, int]:
        """How many wait in each class."""
        each = zip(CLASSES, self._queues, self._gone, strict=True)
        return {name: len(row) - gone for name, row, gone in each}

    def _all(self) -> list[QueuedMessage]:
        return [message for row in self._queues for message in row.all() if message.queued]

    def _enter(self, message: QueuedMessage, level: int) -> _Row:
        """Counts a message as waiting; the row of its class, where its place is."""
        row = self._queues[level]
        self._come_back(row, level)
        message.queued = True
        self._waiting += 1
        return row

    def _come_back(self, row: _Row, level: int) -> None:
        """A class that was idle begins at the pass of the present."""
        if not row.on_time and not row.early and self._passes[level] < self._present:
            self._passes[level] = self._present

    def _turn(self, now_ms: int, expired: list[QueuedMessage], only: int = -1) -> tuple[int, int]:
        """The class whose turn it is, after dropping what is cancelled or expired at the heads.

        Returns:
            Its level, -1 if nothing waits; and the pass at which its turn ends.
        """
        busy: list[int] = []
        for level, row in enumerate(self._queues):
            if row.on_time or row.early:
                self._drop_heads(level, now_ms, expired)
                if row.on_time or row.early:
                    busy.append(level)
        if only >= 0:
            return (only if only in busy else -1), UNLIMITED
        if not busy:
            return -1, 0
        passes = self._passes
        turn = min(busy, key=passes.__getitem__)
        # Of two classes with the same pass the higher goes first.
        ends = [passes[other] + (other > turn) for other in busy if other != turn]
        return turn, min(ends, default=UNLIMITED)

    def _drop_heads(self, level: int, now_ms: int, expired: list[QueuedMessage]) -> None:
        row = self._queues[level]
        while row.on_time or row.early:
            message = row.head()
            if not message.queued:
                self._gone[level] -= 1
            elif message.expires_ms <= now_ms:
                message.queued = False
                self._waiting -= 1
                expired.append(message)
            else:
                return
            row.pop()

    def _run(
        self, level: int, turn_ends: int, count: int, room: Room, now_ms: int, admit: Admit | None
    ) -> tuple[list[QueuedMessage], int]:
        """Messages of a class, as long as it is its turn and nothing stands in the way.

        Returns:
            The messages, and how many were looked at: those too that may not leave.
        """
        row, stride = self._queues[level], STRIDES[level]
        on_time, early = row.on_time, row.early
        pace, left, _ = room
        alone = turn_ends == UNLIMITED and left > 0
        if alone and admit is None and not early and not self._gone[level]:
            run = self._run_together(level, count, min(pace, left), now_ms)
            if run:
                return run, len(run)
        present = at = self._passes[level]
        run = []
        looked = 0
        while looked < count and pace > 0 and at < turn_ends:
            if early:
                message = row.head()
            elif on_time:
                message = on_time[0]
            else:
                break
            units = message.units
            if not message.queued or message.expires_ms <= now_ms or units > left:
                break
            if early:
                row.pop()
            else:
                on_time.popleft()
            message.queued = False
            looked += 1
            if admit is not None and not admit(message):
                continue
            present = at
            at += units * stride
            pace -= units
            left -= units
            run.append(message)
        self._waiting -= looked
        if run:
            self._present, self._passes[level] = present, at
        return run, looked

    def _run_together(self, level: int, count: int, units: int, now_ms: int) -> list[QueuedMessage]:
        """The first messages of a class at once, which takes a third of the time.

        It gives what `_run` would; or nothing if that has to look at each, since one may have
        expired, or not all of them fit that would if they took a unit each.

        Args:
            level: The class; nobody else's turn comes between, none of it overtakes, and none was
                cancelled.
            count: The most messages.
            units: What they may have together.
            now_ms: The time.
        """
        on_time = self._queues[level].on_time
        if on_time[0].expires_ms >> 10 << 10 <= now_ms:
            return []
        run = list(itertools.islice(on_time, min(count, units)))
        spent = sum([message.units for message in run])
        if spent > units:
            return []
        if len(run) == len(on_time):
            on_time.clear()
        else:
            for _ in run:
                on_time.popleft()
        for message in run:
            message.queued = False
        self._waiting -= len(run)
        at = self._passes[level]
        self._present = at + (spent - run[-1].units) * STRIDES[level]
        self._passes[level] = at + spent * STRIDES[level]
        return run

    def _sweep(self) -> None:
        for level, row in enumerate(self._queues):
            row.keep()
            self._gone[level] = 0
