"""The past, read in a process of its own, that a host's interpreter has no part in.

A thread of a host that reads has the interpreter for a millisecond again and again, and each of
them is one in which nobody is acknowledged. A process need not be felt: it has a low priority, and
takes a small part of what the machine has left (`actors.past_main`). Not the lowest priority
(SCHED_IDLE): that one never comes on where all processors are always busy.

What is wanted goes to its standard input, what was found comes from its standard output, as msgpack
objects: `["read", part]`, `["found", commands]`, `["wrong", error, remedy]`, and `["done"]` at the
end. It is not asked for more than a pipe holds. It ends when its host does, and if memory is short
the kernel takes it first: the host begins again later.
"""

import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgpack

from actors.past_main import Pace
from actors.past_reading import Reading, Wanted, some
from actors.store.errors import StoreError
from actors.store.reader import JournalReader
from engine import limits
from engine.commands import Command
from engine.errors import Unavailable

_TOLD_S: Final = 0.5  # between two words on how far it is
_ROOT: Final = Path(__file__).parent.parent
_NICE: Final = 10  # a ninth of the weight of others
_FIRST_TO_GO: Final = "1000"  # of -1000 to 1000
_AGAIN: Final = "It is tried again; if it goes on, look into the host's log"


class PastProcess:
    """Reads in a process of its own; a `PastReader`.

    Args:
        directory: The store's.
        shard: The shard's number.
    """

    def __init__(self, directory: Path, shard: int) -> None:
        self._command = [
            sys.executable, "-P", "-m", "actors.past_main", str(directory), str(shard)
        ]  # fmt: skip
        self._running: subprocess.Popen[bytes] | None = None
        self._stopped = self._held = False
        self._holding = threading.Lock()

    def found(self, wanted: Wanted, told: Callable[[float], None]) -> Iterator[Command]:
        """See `PastReader.found`."""
        path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH", ""))))
        process = subprocess.Popen(
            self._command,
            bufsize=0,  # so that what has come is had at once
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            # What is typed at the host's terminal is not for it. No session of its own: the kernel
            # may weigh sessions against each other first (autogroups), and priorities only within.
            process_group=0,
        )
        self._running = process
        try:
            _stand_back(process.pid)
            if self._stopped:  # just before there was something to stop
                raise _closing()
            self._signal()
            yield from self._heard(process, wanted, told)
        finally:
            self._running = None
            process.kill()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
            process.wait()

    def hold(self, held: bool) -> None:
        """See `PastReader.hold`."""
        self._held = held
        self._signal()

    def _signal(self) -> None:
        """Tells the process what it may do, whoever has found out first that there is one."""
        with self._holding:
            running = self._running
            if running is not None:
                running.send_signal(signal.SIGSTOP if self._held else signal.SIGCONT)

    def stop(self) -> None:
        """See `PastReader.stop`."""
        self._stopped = True
        running = self._running
        if running is not None:
            running.kill()

    def _heard(
        self, process: "subprocess.Popen[bytes]", wanted: Wanted, told: Callable[[float], None]
    ) -> Iterator[Command]:
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # why, its end says
            left = memoryview(wanted.pack())
            while left:
                left = left[process.stdin.write(left) :]
            process.stdin.close()
        for kind, *rest in msgpack.Unpacker(process.stdout, use_list=False):
            if kind == "found":
                yield from rest[0]
            elif kind == "read":
                told(rest[0])
            elif kind == "wrong":
                raise StoreError(*rest)
            else:
                return
        if self._stopped:
            raise _closing()
        raise StoreError(f"the process that read the past ended with {process.wait()}", _AGAIN)


def _stand_back(pid: int) -> None:
    """Lets all others go before a process, which has done nothing yet: it begins with imports."""
    with contextlib.suppress(OSError):  # it may be gone; that is told elsewhere
        os.setpriority(os.PRIO_PROCESS, pid, _NICE)
        Path(f"/proc/{pid}/oom_score_adj").write_text(_FIRST_TO_GO)


def _closing() -> Unavailable:
    return Unavailable("the host is closing")


# --- in the process -----------------------------------------------------------------------------


class _Words:
    """What the process says."""

    def __init__(self, to: BinaryIO) -> None:
        self._to = to
        self._told_s = 0.0
        self._host = os.getppid()
        self._pace = Pace()

    def say(self, *words: Any) -> None:
        """Says something; waits while the host listens to something else."""
        self._to.write(msgpack.packb(words))
        self._to.flush()

    def between(self, done: Callable[[], float]) -> None:
        """See `actors.past_reading.Between`."""
        self._pace.rest()
        now = time.monotonic()
        if now - self._told_s >= _TOLD_S:
            self._told_s = now
            if os.getppid() != self._host:
                raise BrokenPipeError
            self.say("read", done())


def main(directory: str, shard: str) -> int:
    """Reads what standard input asks for; says what it found; see `actors.past_main`."""
    gc.disable()  # what it makes grows and has no cycles, and its end is near
    words = _Words(sys.stdout.buffer)
    try:
        wanted = Wanted.unpack(sys.stdin.buffer.read())
        reader = JournalReader(Path(directory), int(shard))
        reading = Reading(wanted, wanted.compiled(), reader.entries, words.between)
        found = reading.found()
        while batch := some(found, limits.FILL_PEOPLE):
            words.say("found", batch)
        words.say("done")
    except BrokenPipeError:  # the host is gone
        os._exit(1)
    except StoreError as error:
        words.say("wrong", error.what, error.remedy)
    except Exception as error:
        words.say("wrong", f"{type(error).__name__}: {error}", _AGAIN)
        raise
    return 0
