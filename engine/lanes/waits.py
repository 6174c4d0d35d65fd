"""What waits beside a lane's queue: until a time, or until there is room for its recipient.

In the queue the first stands before all others, which is right for a limit that all share. A
message that may not leave before a time (another try, a hold over the night), or whose recipient
or country has had enough for now, would keep the others back; so it steps aside and comes back to
its place when it may go.

Those that wait for one value wait in one row, by purpose and deadline, and only as many come back
as may leave: a thousand messages to one number cost no more than one.
"""

import heapq
import itertools
from collections.abc import Callable

from engine.lanes.lane_limits import Blocked
from engine.lanes.meters import KeyedMeter, amount
from engine.lanes.queue import QueuedMessage
from engine.lanes.rates import Limit

_Entry = tuple[int, int, int, QueuedMessage]
_Value = tuple[KeyedMeter, str]


class _Line:
    """Those who wait for one value: by level, deadline and order of coming."""

    __slots__ = ("limit", "ready_ms", "waiting")

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.ready_ms = 0
        self.waiting: list[_Entry] = []


class Aside:
    """See the module's text."""

    __slots__ = ("_due", "_lines", "_messages", "_ready", "_stale", "_ties", "timed")

    def __init__(self) -> None:
        self._messages: dict[str, QueuedMessage] = {}
        self._due: list[tuple[int, int, QueuedMessage]] = []
        self._lines: dict[_Value, _Line] = {}
        self._ready: list[tuple[int, int, _Value]] = []
        self._ties = itertools.count()
        self._stale = 0  # entries of messages that were cancelled
        self.timed = 0  # how many wait for a time

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def lines(self) -> int:
        """How many recipients, countries … are waited for."""
        return len(self._lines)

    def until(self, message: QueuedMessage, due_ms: int) -> None:
        """Lets a message wait until a time."""
        self._messages[message.id] = message
        self.timed += 1
        heapq.heappush(self._due, (due_ms, next(self._ties), message))

    def behind(self, message: QueuedMessage, blocked: Blocked) -> None:
        """Lets a message wait until there may be room for its value."""
        value = blocked.meter, blocked.value
        line = self._lines.get(value)
        if line is None:
            line = self._lines[value] = _Line(blocked.limit)
        self._messages[message.id] = message
        entry = (message.level, message.expires_ms, next(self._ties), message)
        heapq.heappush(line.waiting, entry)
        if not line.ready_ms or blocked.ready_ms > line.ready_ms:
            line.limit = blocked.limit
            self._look(value, line, blocked.ready_ms)

    def due(self, now_ms: int) -> list[QueuedMessage]:
        """Those that may come back now. Cost: 1 µs each."""
        back: list[QueuedMessage] = []
        due = self._due
        while due and due[0][0] <= now_ms:
            message = heapq.heappop(due)[2]
            self.timed -= 1
            if self._messages.pop(message.id, None) is not None:
                back.append(message)
            else:
                self._stale -= 1
        ready = self._ready
        while ready and ready[0][0] <= now_ms:
            ready_ms, _, value = heapq.heappop(ready)
            line = self._lines.get(value)
            if line is not None and line.ready_ms == ready_ms:
                back += self._room_for(value, line, now_ms)
        return back

    def next_ms(self) -> int | None:
        """When the next may come back; None if none waits."""
        firsts = [heap[0][0] for heap in (self._due, self._ready) if heap]
        return min(firsts, default=None)

    def cancel(self, message_id: str) -> QueuedMessage | None:
        """Takes a message out; None if it does not wait here."""
        message = self._messages.pop(message_id, None)
        if message is not None:
            self._stale += 1
            if self._stale > 1_000 and self._stale > len(self._messages):
                self._sweep()
        return message

    def pull(self, wanted: Callable[[QueuedMessage], bool]) -> list[QueuedMessage]:
        """Takes out all of a kind. Cost: 0.1 µs a waiting message."""
        found = [message for message in self._messages.values() if wanted(message)]
        for message in found:
            self.cancel(message.id)
        return found

    def _look(self, value: _Value, line: _Line, at_ms: int) -> None:
        line.ready_ms = at_ms
        heapq.heappush(self._ready, (at_ms, next(self._ties), value))

    def _room_for(self, value: _Value, line: _Line, now_ms: int) -> list[QueuedMessage]:
        """As many of a line as may leave now; the others look again when more may."""
        meter, key = value
        back: list[QueuedMessage] = []
        units = 0
        waiting = line.waiting
        while waiting:
            message = waiting[0][3]
            if self._messages.get(message.id) is not message:
                heapq.heappop(waiting)
                self._stale -= 1
                continue
            units += amount(line.limit, message.units, 1)
            ready_ms = 0
            if message.expires_ms > now_ms:
                ready_ms = meter.blocked(key, units, line.limit, now_ms)
            if ready_ms:
                self._look(value, line, ready_ms)
                return back
            heapq.heappop(waiting)
            del self._messages[message.id]
            back.append(message)
        del self._lines[value]
        return back

    def _sweep(self) -> None:
        """Drops what was cancelled."""
        self._stale = 0
        here = self._messages
        self._due = [entry for entry in self._due if here.get(entry[2].id) is entry[2]]
        self.timed = len(self._due)
        heapq.heapify(self._due)
        for value, line in list(self._lines.items()):
            line.waiting = [e for e in line.waiting if here.get(e[3].id) is e[3]]
            heapq.heapify(line.waiting)
            if not line.waiting:
                del self._lines[value]
        self._ready = [
            (line.ready_ms, next(self._ties), value) for value, line in self._lines.items()
        ]
        heapq.heapify(self._ready)
