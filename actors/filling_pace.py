"""The pace of filling: how much at a time, and how long the others then have for themselves.

On the loop a filling works in slices of a few milliseconds. What a person costs is known from the
cheapest of the last slices, for nothing makes one cheaper than it is; what a slice took beyond that
is time for which it waited for others, or they for it. So a rest is a multiple of a slice's own
time, which is the share of an idle host that a filling has, and a larger multiple of its waiting:
the busier the host, the less is asked of it. In a thread it is the same, with the processor's time
for its own. No rest is longer than a moment, so every filling comes to its end.

All this decides only when commands are given to a shard, and never what they are.
"""

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from engine import commands, limits
from engine.errors import Overloaded

if TYPE_CHECKING:
    from actors.shard_runner import ShardRunner

_REST: Final = 3.0  # for each second of its own a filling rests so many,
_REST_OF_WAITING: Final = 5.0  # for each in which its commands waited so many more,
_REST_OF_CONTENDING: Final = 20.0  # and for each in which its thread could not run
_LONGEST_REST_S: Final = 0.25  # so a hundredth of the time is its own on any host,
_LONGEST_REST_OF_THREAD_S: Final = 0.1  # and a fiftieth its thread's
_SLICE_S: Final = 0.002_5
_THREAD_SLICE_S: Final = 0.002
_FIRST: Final = 8  # people in the first slice, of which nothing is known
_FEWEST: Final = 4
_REMEMBERED: Final = 16  # slices


class Pace:
    """How many people a slice holds, and how long the rest after it is.

    Attributes:
        people: How many the next slice should hold.
    """

    def __init__(self) -> None:
        self.people = _FIRST
        self._costs_s: deque[float] = deque(maxlen=_REMEMBERED)

    def rest_s(self, people: int, took_s: float) -> float:
        """Notes a slice; gives how long to rest after it.

        Args:
            people: How many it held; at least one.
            took_s: From when it began until it was acknowledged.
        """
        self._costs_s.append(max(took_s, 1e-6) / people)
        least_s = min(self._costs_s)
        fit = int(min(_SLICE_S / least_s, 2.0 * self.people))
        self.people = max(_FEWEST, min(fit, limits.FILL_PEOPLE))
        own_s = people * least_s
        waited_s = took_s - own_s
        return min(_REST * own_s + _REST_OF_WAITING * waited_s, _LONGEST_REST_S)


def rest_after_s(own_s: float, waited_s: float = 0.0) -> float:
    """How long to rest after some work in one go.

    Args:
        own_s: What it took of the processor.
        waited_s: For how long it could not run meanwhile.
    """
    rest_s = _REST * own_s + _REST_OF_CONTENDING * max(0.0, waited_s)
    return min(rest_s, _LONGEST_REST_OF_THREAD_S)


class Slices:
    """Gives commands to a shard, a slice at a time; see the module's text.

    Args:
        runner: The shard.
    """

    def __init__(self, runner: "ShardRunner") -> None:
        self._runner = runner
        self._pace = Pace()

    @property
    def people(self) -> int:
        """How many commands the next slice should hold."""
        return self._pace.people

    async def admit(self, batch: list[commands.Command]) -> None:
        """Gives one slice, and rests; a queue that is full is waited for.

        Durability: The commands are synced and applied when it returns.

        Raises:
            Unavailable: The shard is closing.
        """
        now = asyncio.get_running_loop().time
        chunk = commands.pack_chunk(batch)
        while True:
            began_s = now()
            try:
                await self._runner.admit(chunk, len(batch), control=True)
            except Overloaded:
                await asyncio.sleep(_LONGEST_REST_S)
                continue
            await asyncio.sleep(self._pace.rest_s(len(batch), now() - began_s))
            return


class ThreadPace:
    """When a thread that reads should rest: asked between two pieces of its work."""

    def __init__(self) -> None:
        self._begin()

    def rest_s(self) -> float:
        """How long to rest now; mostly 0. The work goes on when the caller asks `resumed`."""
        took_s = time.perf_counter() - self._began_s
        if took_s < _THREAD_SLICE_S:
            return 0.0
        own_s = time.thread_time() - self._cpu_s
        return rest_after_s(own_s, took_s - own_s)

    def resumed(self) -> None:
        """The rest is over."""
        self._begin()

    def _begin(self) -> None:
        self._began_s = time.perf_counter()
        self._cpu_s = time.thread_time()
