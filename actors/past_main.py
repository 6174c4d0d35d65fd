"""Where the process that reads the past begins: with imports, which must not be felt either.

They take most of a second of a processor in one go. So here is the pace of the whole process, which
needs nothing to be imported, and between two modules it rests, too.
"""

import sys
import time
from typing import Final

_WORK_S: Final = 0.002  # that it goes on before it asks whether to rest
_REST_OF_WAITING: Final = 5.0  # it rests as long for each second in which it waited for a processor
_MOST_REST: Final = 4.0  # for each second of its own, at most


class Pace:
    """When a process that has nothing in common with others but processors should rest.

    While it need not wait for one, nobody needs it: it does not rest. Else it works at most a fifth
    of the time.
    """

    def __init__(self) -> None:
        self._begin()

    def rest(self) -> None:
        """Rests, if it is time to; called between two pieces of work."""
        took_s = time.perf_counter() - self._began_s
        if took_s < _WORK_S:
            return
        own_s = time.thread_time() - self._cpu_s
        waited_s = took_s - own_s
        time.sleep(min(_REST_OF_WAITING * max(0.0, waited_s), _MOST_REST * own_s))
        self._begin()

    def _begin(self) -> None:
        self._began_s = time.perf_counter()
        self._cpu_s = time.thread_time()


class _RestingImports:
    """Stands first among the finders of modules, finds nothing, and rests when it is time to."""

    def __init__(self) -> None:
        self._pace = Pace()

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
