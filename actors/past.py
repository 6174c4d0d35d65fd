"""The past of new windows: read from the archive and the journal, beside the work.

Reading happens in a thread that rests most of the time, and what was found goes to the shard as
commands, a few people at a time, so an event never waits long for either. When all of it is in, a
command says so to an entity of the shard (`engine.history.marker_key`); a crash before that begins
it again, which does no harm.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Final

from actors.store.errors import StoreError
from engine import commands, limits
from engine.conditions.windows import Window
from engine.history import FILLED, History, can_be_filled, marker_key
from engine.slots import slots_of

if TYPE_CHECKING:
    from actors.shard_runner import ShardRunner

_log: Final = logging.getLogger(__name__)
_WORK_S: Final = 0.002  # how long the reading thread works,
_REST_S: Final = 0.006  # and how long it then leaves the interpreter to the others


class Past:
    """Fills the windows of one shard with what was before them; see the module's text.

    Args:
        runner: The shard.
        shards: How many there are.
    """

    def __init__(self, runner: "ShardRunner", shards: int) -> None:
        self._runner = runner
        self._shards = shards
        self._stopping = False

    def stop(self) -> None:
        """Ends a reading that is under way."""
        self._stopping = True

    def is_missing(self, workspace: str) -> bool:
        """Whether a window of a workspace is not filled, or one that was is gone."""
        return self._filled(workspace) != set(self._windows(workspace))

    async def fill(self, workspace: str) -> int:
        """Fills what is not filled; gives how many people it found something of.

        Durability: All that was found is synced and applied when it returns.
        """
        runner, index = self._runner, self._runner.shard.index
        wanted = self._windows(workspace)
        known = self._filled(workspace)
        windows = [w for name, w in wanted.items() if name not in known and can_be_filled(w)]
        people = 0
        slots = slots_of(index, self._shards)
        left = slots if windows else range(0)
        loop = asyncio.get_running_loop()
        while left:
            history = History(workspace, windows, left, limits.FILL_TIMES)
            try:
                await loop.run_in_executor(runner.beside, self._read, history)
            except StoreError as error:  # what is served needs none of the past
                _log.error("the past of %s is not filled: %s", workspace, error)
                return people
            found = history.found()
            while batch := list(islice(found, limits.FILL_PEOPLE)):
                people += len(batch)
                await self._admit(batch)
                await asyncio.sleep(limits.REFRESH_SLICE_S)
            left = range(history.slots.stop, slots.stop)
        marker = marker_key(workspace, index, self._shards)
        await self._admit([commands.filled(marker, sorted(wanted))])
        return people

    def _read(self, history: History) -> None:
        """In a thread: reads all that is kept, and rests between."""
        until = time.perf_counter() + _WORK_S
        for entry in self._runner.store.history():
            history.read(entry.now_ms, entry.mode, entry.payload)
            if self._stopping:
                return
            if time.perf_counter() > until:
                time.sleep(_REST_S)
                until = time.perf_counter() + _WORK_S

    async def _admit(self, batch: list[commands.Command]) -> None:
        await self._runner.admit(commands.pack_chunk(batch), len(batch), control=True)

    def _windows(self, workspace: str) -> Mapping[str, Window]:
        program = self._runner.shard.programs.get(workspace)
        return program.index.windows if program else {}

    def _filled(self, workspace: str) -> set[str]:
        key = marker_key(workspace, self._runner.shard.index, self._shards)
        marker = self._runner.shard.peek(key)
        return set(marker.state.get(FILLED, ())) if marker else set()
