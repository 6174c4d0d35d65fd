"""Clocks: the only way in which time enters a host or a sender.

A clock is handed in, never read from the air, so that a test or a replay decides what time it is.
`SystemClock` is real time, `ScaledClock` runs it faster, `ManualClock` moves when it is told, and
`EventClock` is moved by the events themselves: then each event's own time is the shard's time, and
18 months of history take as long as the CPU needs.
"""

import asyncio
import heapq
import itertools
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
    """Real time, a given number of times faster, from a given start.

    Args:
        start_ms: The time it shows at first, Unix milliseconds.
        factor: Clock seconds per real second; above 0.
    """

    mode = 0

    def __init__(self, start_ms: int, factor: float) -> None:
        if factor <= 0:
            msg = f"a clock needs a factor above 0, not {factor}"
            raise ValueError(msg)
        self._start_ms = start_ms
        self._factor = factor
        self._origin = time.monotonic()

    def now_ms(self) -> int:
        """See `Clock`."""
        return self._start_ms + int((time.monotonic() - self._origin) * 1_000 * self._factor)

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
        self._newest_ms = 0

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
    """A clock that events move: it shows the newest event's time that it was told."""

    mode = 1

    def __init__(self) -> None:
        super().__init__(0)

    def saw(self, ms: int) -> None:
        """Takes in an event's time; an older one changes nothing."""
        if ms > self.now_ms():
            self.advance(ms - self.now_ms())


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


def make_clock(spec: str) -> Clock:
    """A clock from a setting: `system`, `event`, or a factor such as `60x`.

    Raises:
        ValueError: The text is none of these.
    """
    if spec == "system":
        return SystemClock()
    if spec == "event":
        return EventClock()
    if spec.endswith("x"):
        return ScaledClock(time.time_ns() // 1_000_000, float(spec[:-1]))
    msg = f"clock {spec!r}: write 'system', 'event', or a factor such as '60x'"
    raise ValueError(msg)
