"""The past, read beside a shard in a thread: a short one, or that of a store in memory.

It has the interpreter in turns with the host's loop, so it works for a moment and rests for longer;
see `actors.filling_pace`.
"""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from actors.filling_ease import Ease
from actors.filling_pace import WorkPace
from actors.past_reading import Reading, Wanted
from engine.commands import Command
from engine.conditions.windows import Window
from engine.errors import Unavailable

if TYPE_CHECKING:
    from actors.shard_runner import ShardRunner


class PastThread:
    """Reads in the thread that asks it; a `PastReader`.

    Args:
        runner: The shard.
        ease: Of the host.
    """

    def __init__(self, runner: "ShardRunner", ease: Ease) -> None:
        self._runner = runner
        self._pace = WorkPace(ease)
        self._stopping = threading.Event()

    def found(self, wanted: Wanted, told: Callable[[float], None]) -> Iterator[Command]:
        """See `PastReader.found`."""
        self._pace.resumed()
        history, between = self._runner.store.history, partial(self._between, told)
        yield from Reading(wanted, self._windows(wanted), history, between).found()

    def hold(self, held: bool) -> None:
        """See `PastReader.hold`. There is nothing to do: its pace asks the host's ease."""

    def stop(self) -> None:
        """See `PastReader.stop`."""
        self._stopping.set()

    def _windows(self, wanted: Wanted) -> list[Window]:
        """The windows as the shard has them; newer definitions may have none of some."""
        program = self._runner.shard.programs.get(wanted.workspace)
        windows = program.index.windows if program else {}
        return [windows[name] for name in wanted.windows if name in windows]

    def _between(self, told: Callable[[float], None], done: Callable[[], float]) -> None:
        if self._stopping.is_set():
            raise Unavailable("the host is closing")
        if rest_s := self._pace.rest_s():
            told(done())
            self._stopping.wait(rest_s)
            self._pace.resumed()
