"""What waits in front of a lane: three classes that share it, bounded.

While all classes wait, otp gets 50 of 100 units, transactional 30 and marketing 20; a class that
is empty leaves its share to the others, so the lane never idles while anything waits. The
scheduler is stride scheduling, the smooth form of deficit round robin: each class has a pass that
grows by units/share with what it sends, and the class with the lowest pass goes next. So the shares
hold over any stretch and not only over whole rounds, and a code that arrives behind a thousand
newsletters waits for one message, not for their quantum. A class that was idle comes back at the
pass of the present: it cannot save up.

The classes share one capacity, and the lower ones are refused before it is reached: what is left
is kept for those above. So a lane that is full of newsletters still takes a code.

A message has to be young enough when it leaves, not when it arrives: `take` hands out expired
messages apart. A cancelled message gives its place back at once.

A queue finds no message by its id, since whoever fills it knows its messages by their ids already.
"""

from collections import deque
from typing import Final

from msgspec import Struct

from engine import limits
from engine.messages import MARKETING, OTP, TRANSACTIONAL
from engine.rates import UNLIMITED, Room
from engine.reasons import Reason

CLASSES: Final = (OTP, TRANSACTIONAL, MARKETING)
SHARES: Final = {OTP: 50, TRANSACTIONAL: 30, MARKETING: 20}
# How far a pass moves for a unit: whole numbers in the inverse proportion of the shares.
_STRIDES: Final = tuple(300 // SHARES[name] for name in CLASSES)
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
    `last` stand in the order of `engine.messages.Message.offer`. Those after it are the
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

    @property
    def level(self) -> int:
        """0 for otp, 1 for transactional, 2 for marketing; unknown purposes count as the last."""
        return _LEVELS.get(self.purpose, _LAST_LEVEL)


class LaneQueue:
    """A bounded queue of three classes.

    Args:
        capacity: The most messages that wait; lower classes are refused before, see `rooms`.
    """

    __slots__ = ("_gone", "_passes", "_present", "_queues", "_rooms", "_waiting")

    def __init__(self, capacity: int = limits.LANE_QUEUE_MESSAGES) -> None:
        self._rooms = rooms(capacity)
        self._queues: tuple[deque[QueuedMessage], ...] = tuple(deque() for _ in CLASSES)
        self._waiting = 0
        self._gone = [0] * len(CLASSES)  # cancelled messages that still stand in a deque
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

        Cost: 0.2 µs.
        """
        level = _LEVELS.get(message.purpose, _LAST_LEVEL)
        if self._waiting >= self._rooms[level]:
            return Reason.QUEUE_FULL
        self._enter(message, level).append(message)
        return _QUEUED

    def put_back(self, message: QueuedMessage) -> None:
        """Puts a message that had its place already in front of its class, past the capacity."""
        self._enter(message, message.level).appendleft(message)

    def take(
        self, count: int, room: Room, now_ms: int
    ) -> tuple[list[QueuedMessage], list[QueuedMessage]]:
        """The messages whose turn it is, at most `count`, as many as `room` has place for.

        Returns:
            Those to send, in order, and those that had expired on the way.

        Cost: 0.2 µs a message of a class that waits alone, 0.7 µs where classes take turns.
        """
        taken: list[QueuedMessage] = []
        expired: list[QueuedMessage] = []
        pace, left = room
        while len(taken) < count and pace > 0:
            level, turn_ends = self._turn(now_ms, expired)
            if level < 0:
                break
            run = self._run(level, turn_ends, count - len(taken), Room(pace, left), now_ms)
            if not run:
                break  # its units do not fit: nobody goes before it
            taken += run
            spent = sum([message.units for message in run])
            pace -= spent
            left -= spent
        return taken, expired

    def next_units(self, now_ms: int) -> tuple[int, list[QueuedMessage]]:
        """The units of the message whose turn it is, 0 if none waits; and what had expired."""
        expired: list[QueuedMessage] = []
        level, _ = self._turn(now_ms, expired)
        return (self._queues[level][0].units if level >= 0 else 0), expired

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

    def clear(self) -> list[QueuedMessage]:
        """Takes everything out."""
        waiting = self._all()
        for message in waiting:
            self.cancel(message)
        return waiting

    def depths(self) -> dict[str, int]:
        """How many wait in each class."""
        each = zip(CLASSES, self._queues, self._gone, strict=True)
        return {name: len(queue) - gone for name, queue, gone in each}

    def _all(self) -> list[QueuedMessage]:
        return [message for queue in self._queues for message in queue if message.queued]

    def _enter(self, message: QueuedMessage, level: int) -> deque[QueuedMessage]:
        """Counts a message as waiting; the queue of its class, where its place is."""
        queue = self._queues[level]
        if not queue and self._passes[level] < self._present:
            self._passes[level] = self._present
        message.queued = True
        self._waiting += 1
        return queue

    def _turn(self, now_ms: int, expired: list[QueuedMessage]) -> tuple[int, int]:
        """The class whose turn it is, after dropping what is cancelled or expired at the heads.

        Returns:
            Its level, -1 if nothing waits; and the pass at which its turn ends.
        """
        busy: list[int] = []
        for level, queue in enumerate(self._queues):
            if queue:
                self._drop_heads(level, now_ms, expired)
                if queue:
                    busy.append(level)
        if not busy:
            return -1, 0
        passes = self._passes
        turn = min(busy, key=passes.__getitem__)
        # Of two classes with the same pass the higher goes first.
        ends = [passes[other] + (other > turn) for other in busy if other != turn]
        return turn, min(ends, default=UNLIMITED)

    def _drop_heads(self, level: int, now_ms: int, expired: list[QueuedMessage]) -> None:
        queue = self._queues[level]
        while queue:
            message = queue[0]
            if not message.queued:
                self._gone[level] -= 1
            elif message.expires_ms <= now_ms:
                message.queued = False
                self._waiting -= 1
                expired.append(message)
            else:
                return
            queue.popleft()

    def _run(
        self, level: int, turn_ends: int, count: int, room: Room, now_ms: int
    ) -> list[QueuedMessage]:
        """Messages of a class, as long as it is its turn and nothing stands in the way."""
        queue, stride = self._queues[level], _STRIDES[level]
        pace, left = room
        present = at = self._passes[level]
        run: list[QueuedMessage] = []
        while queue and len(run) < count and pace > 0 and at < turn_ends:
            message = queue[0]
            units = message.units
            if not message.queued or message.expires_ms <= now_ms or units > left:
                break
            queue.popleft()
            message.queued = False
            present = at
            at += units * stride
            pace -= units
            left -= units
            run.append(message)
        if run:
            self._waiting -= len(run)
            self._present, self._passes[level] = present, at
        return run

    def _sweep(self) -> None:
        for level, queue in enumerate(self._queues):
            waiting = [message for message in queue if message.queued]
            queue.clear()
            queue.extend(waiting)
            self._gone[level] = 0
