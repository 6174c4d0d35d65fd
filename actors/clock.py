"""Clocks: the only way in which time enters a host or a sender.

A clock is handed in, never read from the air, so that a test or a replay decides what time it is.
`SystemClock` is real time, `ScaledClock` runs it faster, and `ManualClock` moves when it is told.
Under an `EventClock` each event's own time is the shard's time (the shard keeps it), and 18 months
of history take as long as the CPU needs.

A scaled clock is a function of real time and of an origin that the store keeps. So every process of
an instance shows the same time, and one that starts again goes on where the others are.
"""

import asyncio
import heapq
import itertools
import math
import time
from collections.abc import Callable
from typing import Protocol


class Handle(Protocol):
    """A call that was asked for and may be cancelled."""

    def cancel(self) -> None:
        """Takes the call back; too late is fine."""


class Clock(Protocol):
    """What every clock offers.

    Attributes:
        mode: The mode of the journal entries written under this clock; see `Shard.apply`.
    """

    mode: int

    def now_ms(self) -> int:
        """The time, Unix milliseconds; it never goes back."""

    def call_at(self, ms: int, callback: Callable[[], object]) -> Handle:
        """Calls back at or after a time, on the running event loop."""

    async def sleep_until(self, ms: int) -> None:
        """Waits until a time."""


class ScaledClock:
    """Real time, a given number of times faster since a given moment.

    A step of the wall clock forward is followed, one back is waited out.

    Args:
        origin_ms: The moment at which it showed real time, Unix milliseconds.
        factor: Clock seconds per real second; above 0.
    """

    mode = 0

    def __init__(self, origin_ms: int, factor: float) -> None:
        if not 0 < factor < math.inf:
            msg = f"a clock needs a factor above 0, not {factor}"
            raise ValueError(msg)
        self._origin_ms = origin_ms
        self._factor = factor
        self._newest_ms = 0

    def now_ms(self) -> int:
        """See `Clock`."""
        real_ms = time.time_ns() // 1_000_000
        now_ms = self._origin_ms + int((real_ms - self._origin_ms) * self._factor)
        if now_ms > self._newest_ms:
            self._newest_ms = now_ms
        return self._newest_ms

    def call_at(self, ms: int, callback: Callable[[], object]) -> Handle:
        """See `Clock`."""
        delay_s = max(0.0, (ms - self.now_ms()) / 1_000 / self._factor)
        return asyncio.get_running_loop().call_later(min(delay_s, 86_400.0), callback)

    async def sleep_until(self, ms: int) -> None:
        """See `Clock`."""
        woken = asyncio.Event()
        while ms > self.now_ms():
            woken.clear()
            self.call_at(ms, woken.set)
            await woken.wait()


class SystemClock(ScaledClock):
    """Real time. A step of the wall clock forward is followed, one back is waited out."""

    def __init__(self) -> None:
        super().__init__(0, 1.0)

    def now_ms(self) -> int:
        """See `Clock`."""
        now_ms = time.time_ns() // 1_000_000
        if now_ms > self._newest_ms:
            self._newest_ms = now_ms
        return self._newest_ms


class ManualClock:
    """A clock that a test moves.

    Args:
        start_ms: The time it shows at first.
    """

    mode = 0

    def __init__(self, start_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = start_ms
        self._calls: list[tuple[int, int, _ManualHandle]] = []
        self._ties = itertools.count()

    def now_ms(self) -> int:
        """See `Clock`."""
        return self._now_ms

    def call_at(self, ms: int, callback: Callable[[], object]) -> Handle:
        """See `Clock`."""
        handle = _ManualHandle(callback)
        if ms <= self._now_ms:
            asyncio.get_running_loop().call_soon(handle.run)
        else:
            heapq.heappush(self._calls, (ms, next(self._ties), handle))
        return handle

    async def sleep_until(self, ms: int) -> None:
        """See `Clock`."""
        if ms > self._now_ms:
            woken = asyncio.Event()
            self.call_at(ms, woken.set)
            await woken.wait()

    def advance(self, ms: int) -> None:
        """Moves the time and makes the calls that fall due, each at its own time."""
        until = self._now_ms + ms
        while self._calls and self._calls[0][0] <= until:
            at_ms, _, handle = heapq.heappop(self._calls)
            self._now_ms = max(self._now_ms, at_ms)
            handle.run()
        self._now_ms = until

    def next_call_ms(self) -> int | None:
        """When the next call is due, or None."""
        while self._calls and self._calls[0][2].cancelled:
            heapq.heappop(self._calls)
        return self._calls[0][0] if self._calls else None


class EventClock(ManualClock):
    """Tells a shard that events drive its clock; by itself it stands at 0."""

    mode = 1

    def __init__(self) -> None:
        super().__init__(0)


class _ManualHandle:
    __slots__ = ("_callback", "cancelled")

    def __init__(self, callback: Callable[[], object]) -> None:
        self._callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True

    def run(self) -> None:
        if not self.cancelled:
            self._callback()


def make_clock(spec: str, origin_ms: int) -> Clock:
    """A clock from a setting: `system`, `event`, or a factor such as `60x`.

    Args:
        spec: The setting.
        origin_ms: When a scaled clock showed real time; the same for all of an instance.

    Raises:
        ValueError: The text is none of these.
    """
    if spec == "system":
        return SystemClock()
    if spec == "event":
        return EventClock()
    if spec.endswith("x"):
        return ScaledClock(origin_ms, float(spec[:-1]))
    msg = f"clock {spec!r}: write 'system', 'event', or a factor such as '60x'"
    raise ValueError(msg)
