"""The pace of filling: how much at a time, and how long the others then have for themselves.

On a host's loop one slice is under way at a time, of 2.5 ms, or of an eighth of what it takes just
now until a slice is acknowledged. After it the filling rests four times as long as the slice took
of the loop, and as long again as it waited in line. So nobody waits noticeably longer for a slice;
an idle host gives a fifth of its time, and one that is busy, where a slice waits in line like every
command, a twentieth: less the busier it is, but never so little that a filling would not end.

To wait costs nobody anything, so what a slice waited for must not be taken for its cost. On a busy
host it is nearly all of the time until a slice is acknowledged. What a slice took of the loop is
therefore told from what the shard spent on applying entries meanwhile, less what the other commands
in them took (`Cost`). A slice that took its waiting for its cost would become ever smaller, and
rest ever longer, until a filling stood still.

What a filling does besides (a thread reads a short past, the loop looks for whom it has to
evaluate) is measured by the processor's time, and rests likewise (`WorkPace`): four times as long,
longer as it could not run, for somebody else did, and eleven times as long at most. All rests are
longer as long as others feel the filling (`actors.filling_ease`).

All this decides only when commands are given to a shard, and never what they are.
"""

import asyncio
import statistics
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from actors.filling_ease import LOOK_S, Ease
from actors.runner_stats import RunnerStats
from engine import commands, limits
from engine.errors import Overloaded

if TYPE_CHECKING:
    from actors.shard_runner import ShardRunner

_SLICE_S: Final = 0.002_5
_PART: Final = 8  # of the time of an acknowledgement is a slice on a busy host
_REST: Final = 4.0  # for each second of its own a filling rests so many,
_REST_OF_WAITING: Final = 1.0  # and for each in which a slice waited so many more;
_REST_OF_CONTENDING: Final = 5.0  # for each in which other work could not run, so many more,
_MOST_REST: Final = 11.0  # but so many for each of its own at most
_WORK_S: Final = 0.002  # that other work goes on before it asks whether to rest
_LONGEST_S: Final = 0.25  # that it rests for a slice that waited, however long that did
_FULL_S: Final = 0.25  # after which a queue that is full is tried again
_FIRST: Final = 8  # people in the first slice, of which nothing is known
_FEWEST: Final = 4
_REMEMBERED: Final = 16  # slices
_LEAST_S: Final = 1e-6  # that a person costs, so that nothing is divided by 0


class Cost:
    """What a person costs the loop, told from a shard's entries; see the module's text.

    Entries hold what others have sent, too. What a command of theirs costs is known from the rests,
    in which there is nothing else. Of both the median of the last slices counts: now and then the
    system takes the processor away in the middle of an entry.

    Args:
        stats: Of the shard.
    """

    def __init__(self, stats: RunnerStats) -> None:
        self._stats = stats
        self._applied_s, self._commands = stats.apply_s, stats.commands
        self._other_s: deque[float] = deque([0.0], maxlen=_REMEMBERED)
        self._person_s: deque[float] = deque(maxlen=_REMEMBERED)

    def begins(self) -> None:
        """A slice is about to be given to the shard; all since the last was others'."""
        applied_s, others = self._since()
        if others:
            self._other_s.append(applied_s / others)

    def ended(self, people: int) -> float:
        """A slice was applied; gives the seconds that each of its people took."""
        applied_s, all_ = self._since()
        other_s = statistics.median(self._other_s)
        left_s = applied_s - other_s * (all_ - people)
        self._person_s.append(max(left_s / people, other_s, _LEAST_S))
        return statistics.median(self._person_s)

    def _since(self) -> tuple[float, int]:
        """What was applied since it was asked last: the seconds, and the commands."""
        before = self._applied_s, self._commands
        self._applied_s, self._commands = self._stats.apply_s, self._stats.commands
        return self._applied_s - before[0], self._commands - before[1]


class Pace:
    """How many people a slice holds, and how long the rest after it is.

    Attributes:
        people: How many the next slice should hold.
    """

    def __init__(self) -> None:
        self.people = _FIRST
        self._took_s: deque[float] = deque(maxlen=_REMEMBERED)

    def rest_s(self, people: int, took_s: float, person_s: float) -> float:
        """Notes a slice; gives how long to rest after it.

        Args:
            people: How many it held; at least one.
            took_s: From when it began until it was acknowledged.
            person_s: What each of them took of the loop; more than 0.
        """
        self._took_s.append(took_s)
        slice_s = max(_SLICE_S, statistics.median(self._took_s) / _PART)
        fit = int(min(slice_s / person_s, 2.0 * self.people))
        self.people = max(_FEWEST, min(fit, limits.FILL_PEOPLE))
        own_s = people * person_s
        waited_s = max(0.0, took_s - own_s)
        return _REST * own_s + min(_REST_OF_WAITING * waited_s, _LONGEST_S)


def rest_after_s(own_s: float, waited_s: float = 0.0) -> float:
    """How long to rest after some work in one go.

    Args:
        own_s: What it took of the processor.
        waited_s: For how long it could not run meanwhile.
    """
    return min(_REST * own_s + _REST_OF_CONTENDING * max(0.0, waited_s), _MOST_REST * own_s)


class Slices:
    """Gives commands to a shard, a slice at a time; see the module's text.

    Args:
        runner: The shard.
        ease: Of the host.
    """

    def __init__(self, runner: "ShardRunner", ease: Ease) -> None:
        self._runner = runner
        self._ease = ease
        self._pace = Pace()
        self._cost = Cost(runner.stats)

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
            await self._ease.may_go_on.wait()
            began_s = now()
            self._cost.begins()
            try:
                await self._runner.admit(chunk, len(batch), control=True)
            except Overloaded:
                await asyncio.sleep(_FULL_S)
                continue
            person_s = self._cost.ended(len(batch))
            took_s = now() - began_s
            self._ease.own(took_s)
            rest_s = self._pace.rest_s(len(batch), took_s, person_s)
            await asyncio.sleep(self._ease.factor * rest_s)
            return


class WorkPace:
    """When some work of one thread should rest: asked in that thread, between two pieces of it.

    Args:
        ease: Of the host.
    """

    def __init__(self, ease: Ease) -> None:
        self._ease = ease
        self._begin()

    def rest_s(self) -> float:
        """How long to rest now; mostly 0. The work goes on when the caller says `resumed`."""
        if not self._ease.may_go_on.is_set():
            return LOOK_S
        took_s = time.perf_counter() - self._began_s
        if took_s < _WORK_S:
            return 0.0
        own_s = time.thread_time() - self._cpu_s
        return self._ease.factor * rest_after_s(own_s, took_s - own_s)

    def resumed(self) -> None:
        """The rest is over."""
        self._begin()

    def _begin(self) -> None:
        self._began_s = time.perf_counter()
        self._cpu_s = time.thread_time()
