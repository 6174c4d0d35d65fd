"""Where the process that reads the past begins: with imports, which must not be felt either.

They take most of a second of a processor in one go. So here is the pace of the whole process, which
needs nothing to be imported, and between two modules it rests, too.
"""

import os
import sys
import time
from typing import Final

_WORK_S: Final = 0.002  # that it goes on before it asks whether to rest
_REST_OF_WAITING: Final = 5.0  # it rests as long for each second in which it waited for a processor
_MOST_REST: Final = 4.0  # for each second of its own, at most
_LOOK_S: Final = 0.25  # between two looks at what the machine has left
_ROOM: Final = 0.9  # processors that nobody else uses: so much is left that it need not rest
_PART: Final = 0.125  # of what is left it takes, if that is less than this,
_LEAST: Final = 0.03  # and so much of a processor even where nothing is left: it ends some day
_LEAST_AT_FIRST: Final = 0.1  # for imports, which are soon over
_PLENTY: Final = 1_000.0  # processors, where the system does not tell
_STAT: Final = "/proc/stat"


class Pace:
    """When a process that has nothing in common with others but processors should rest.

    Where a whole processor is left, it rests only if it had to wait for one: then it works a fifth
    of the time at least. Where less is left, it takes a small part of that. A machine that answers
    in milliseconds while seven eighths of it are in use answers in twice as many when another tenth
    is: the queues grow, though whoever reads goes last in each of them. What it takes grows no
    faster than to twice as much from look to look.

    Args:
        least: How much of a processor it takes even where nothing is left.
    """

    def __init__(self, least: float = _LEAST) -> None:
        self._least = least
        self._share = least  # of a processor
        self._looked_s = time.perf_counter()
        self._own_s = time.thread_time()
        self._idle_s = idle_s()
        self._begin()

    def rest(self) -> None:
        """Rests, if it is time to; called between two pieces of work."""
        took_s = time.perf_counter() - self._began_s
        if took_s < _WORK_S:
            return
        own_s = time.thread_time() - self._cpu_s
        waited_s = took_s - own_s
        of_waiting_s = min(_REST_OF_WAITING * max(0.0, waited_s), _MOST_REST * own_s)
        began_s = time.perf_counter()
        while True:
            self._look()
            rest_s = max(of_waiting_s, own_s / self._share - own_s)
            left_s = began_s + rest_s - time.perf_counter()
            if left_s <= 0:
                break
            time.sleep(min(left_s, _LOOK_S))
        self._begin()

    def _begin(self) -> None:
        self._began_s = time.perf_counter()
        self._cpu_s = time.thread_time()

    def _look(self) -> None:
        """Looks at what the machine has left, now and then."""
        now = time.perf_counter()
        passed_s = now - self._looked_s
        if passed_s < _LOOK_S:
            return
        idle, own_s = idle_s(), time.thread_time()
        left = (idle - self._idle_s + own_s - self._own_s) / passed_s
        # Other readers look at the same: all at once they would take it, and leave it, in turns.
        self._share = min(share(left, self._least), 2.0 * self._share)
        self._looked_s, self._idle_s, self._own_s = now, idle, own_s


def share(left: float, least: float) -> float:
    """How much of a processor to take, of 1, where so many are left that nobody else uses."""
    return 1.0 if left >= _ROOM else max(least, _PART * left)


def idle_s() -> float:
    """The seconds that this machine's processors had nothing to do, added up; since it started.

    It is told of the whole machine, also in a container that may use a part of it only. Where the
    system does not tell, they always have: then only waiting tells that they are needed.
    """
    try:
        with open(_STAT, "rb") as stat:
            fields = stat.readline().split()
    except OSError:
        fields = []
    idle = sum(map(int, fields[4:6]))  # idle, and idle while something is read from a disk
    return idle / os.sysconf("SC_CLK_TCK") or _PLENTY * time.perf_counter()


class _RestingImports:
    """Stands first among the finders of modules, finds nothing, and rests when it is time to."""

    def __init__(self) -> None:
        self._pace = Pace(_LEAST_AT_FIRST)

    def find_spec(self, *_: object) -> None:
        """Says that others have to find the module."""
        self._pace.rest()


def run() -> int:
    """Imports, and reads."""
    resting = _RestingImports()
    sys.meta_path.insert(0, resting)
    from actors.past_process import main  # noqa: PLC0415 - what takes long comes last

    sys.meta_path.remove(resting)
    return main(*sys.argv[1:])


if __name__ == "__main__":
    sys.exit(run())
