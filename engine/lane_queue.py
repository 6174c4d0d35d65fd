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
"""

from collections import deque
from typing import Final

from msgspec import Struct

from engine import limits
from engine.messages import MARKETING, OTP, TRANSACTIONAL
from engine.rates import Room
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
    `created_ms` stand in the order of `engine.messages.Message.offer`. Those after it are the
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

    __slots__ = ("_by_id", "_gone", "_passes", "_present", "_queues", "_rooms")

    def __init__(self, capacity: int = limits.LANE_QUEUE_MESSAGES) -> None:
        self._rooms = rooms(capacity)
        self._queues: tuple[deque[QueuedMessage], ...] = tuple(deque() for _ in CLASSES)
        self._by_id: dict[str, QueuedMessage] = {}
        self._passes = [0] * len(CLASSES)
        self._present = 0
        self._gone = 0  # cancelled messages that still stand in a deque

    def __len__(self) -> int:
        return len(self._by_id)

    def resize(self, capacity: int) -> None:
        """Changes the capacity; what waits past a smaller one keeps its place."""
        self._rooms = rooms(capacity)

    def put(self, message: QueuedMessage) -> Reason:
        """Lets a message wait.

        Returns:
            QUEUED, DUPLICATE if it waits already, or QUEUE_FULL if its class has no room.

        Cost: 0.4 µs.
        """
        if message.id in self._by_id:
            return Reason.DUPLICATE
        level = _LEVELS.get(message.purpose, _LAST_LEVEL)
        if len(self._by_id) >= self._rooms[level]:
            return Reason.QUEUE_FULL
        self._enter(message, level).append(message)
        return Reason.QUEUED

    def put_back(self, message: QueuedMessage) -> None:
        """Puts a message that had its place already in front of its class, past the capacity."""
        self._enter(message, message.level).appendleft(message)

    def take(
        self, count: int, room: Room, now_ms: int
    ) -> tuple[list[QueuedMessage], list[QueuedMessage]]:
        """The messages whose turn it is, at most `count`, as many as `room` has place for.

        Returns:
            Those to send, in order, and those that had expired on the way.

        Cost: 0.5 µs a message.
        """
        taken: list[QueuedMessage] = []
        expired: list[QueuedMessage] = []
        pace, left = room
        spent = 0
        while len(taken) < count and spent < pace:
            level = self._next_level(now_ms, expired)
            if level < 0:
                break
            message = self._queues[level][0]
            if message.units > left:
                break
            self._queues[level].popleft()
            del self._by_id[message.id]
            message.queued = False
            self._present = self._passes[level]
            self._passes[level] += message.units * _STRIDES[level]
            left -= message.units
            spent += message.units
            taken.append(message)
        return taken, expired

    def next_units(self, now_ms: int) -> tuple[int, list[QueuedMessage]]:
        """The units of the message whose turn it is, 0 if none waits; and what had expired."""
        expired: list[QueuedMessage] = []
        level = self._next_level(now_ms, expired)
        return (self._queues[level][0].units if level >= 0 else 0), expired

    def cancel(self, message_id: str) -> QueuedMessage | None:
        """Takes a message out; None if it does not wait here."""
        message = self._by_id.pop(message_id, None)
        if message is None:
            return None
        message.queued = False
        self._gone += 1
        if self._gone > 1_000 and self._gone > len(self._by_id):
            self._sweep()
        return message

    def expire(self, now_ms: int) -> list[QueuedMessage]:
        """Takes out all that has expired, wherever it stands. Cost: 0.1 µs a waiting message."""
        expired = [each for each in self._by_id.values() if each.expires_ms <= now_ms]
        for message in expired:
            self.cancel(message.id)
        return expired

    def clear(self) -> list[QueuedMessage]:
        """Takes everything out."""
        waiting = list(self._by_id.values())
        for message in waiting:
            self.cancel(message.id)
        return waiting

    def depths(self) -> dict[str, int]:
        """How many wait in each class."""
        depths = dict.fromkeys(CLASSES, 0)
        for message in self._by_id.values():
            depths[CLASSES[message.level]] += 1
        return depths

    def _enter(self, message: QueuedMessage, level: int) -> deque[QueuedMessage]:
        """Counts a message as waiting; the queue of its class, where its place is."""
        queue = self._queues[level]
        if not queue and self._passes[level] < self._present:
            self._passes[level] = self._present
        message.queued = True
        self._by_id[message.id] = message
        return queue

    def _next_level(self, now_ms: int, expired: list[QueuedMessage]) -> int:
        """The class whose turn it is, after dropping what is cancelled or expired at the heads."""
        best, best_pass = -1, 0
        for level, queue in enumerate(self._queues):
            while queue:
                message = queue[0]
                if not message.queued:
                    queue.popleft()
                    self._gone -= 1
                elif message.expires_ms <= now_ms:
                    queue.popleft()
                    del self._by_id[message.id]
                    message.queued = False
                    expired.append(message)
                else:
                    if best < 0 or self._passes[level] < best_pass:
                        best, best_pass = level, self._passes[level]
                    break
        return best

    def _sweep(self) -> None:
        for queue in self._queues:
            waiting = [message for message in queue if message.queued]
            queue.clear()
            queue.extend(waiting)
        self._gone = 0
