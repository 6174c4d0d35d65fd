"""The past of new windows and computed traits: read from the archive and journal, beside the work.

Reading happens in a thread that rests most of the time, and what was found goes to the shard as
commands, a few people at a time, so an event never waits long for either. When all of it is in, a
command says so to an entity of the shard (`engine.history.marker_key`); a crash before that begins
it again, which does no harm. What cannot be read (a damaged file) is tried again some times, and
stands in the progress of the filling until then.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from actors.store.base import Entry
from engine import commands, limits
from engine.computed.definition import ComputedTrait
from engine.computed.retelling import New, Retelling, Version
from engine.conditions.windows import Window
from engine.definition_kinds import TRAIT
from engine.errors import Unavailable
from engine.history import FILLED, History, can_be_filled, marker_key
from engine.slots import slots_of

if TYPE_CHECKING:
    from actors.shard_runner import ShardRunner

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
        """Whether a window or trait of a workspace is not filled, or one that was is gone."""
        return self._filled(workspace) != {*self._windows(workspace), *self._traits(workspace)}

    async def fill(self, workspace: str) -> int:
        """Fills what is not filled; gives how many people it found something of.

        Durability: All that was found is synced and applied when it returns.

        Raises:
            StoreError: The past cannot be read. What is served needs none of it.
        """
        windows, traits = self._windows(workspace), self._traits(workspace)
        wanted = sorted({*windows, *traits})
        known = self._filled(workspace)
        people = await self._fill_windows(
            workspace, [w for name, w in windows.items() if name not in known and can_be_filled(w)]
        )
        people += await self._fill_traits(
            workspace, [trait for label, trait in traits.items() if label not in known]
        )
        marker = marker_key(workspace, self._runner.shard.index, self._shards)
        await self._admit([commands.filled(marker, wanted)])
        return people

    async def _fill_windows(self, workspace: str, windows: list[Window]) -> int:
        people = 0
        slots = slots_of(self._runner.shard.index, self._shards)
        left = slots if windows else range(0)
        while left:
            history = History(workspace, windows, left, limits.FILL_TIMES)
            await self._beside(self._read, partial(_read_into, history))
            people += await self._put_in(history.found())
            left = range(history.slots.stop, slots.stop)
        return people

    async def _fill_traits(self, workspace: str, traits: list[ComputedTrait]) -> int:
        """Tells the past again for traits that are new, once for each version that brought some."""
        runner, index = self._runner, self._runner.shard.index
        rows = [row for row in runner.store.definitions() if row.workspace == workspace]
        versions = [Version(row.version, row.seq, row.documents) for row in rows]
        if not {trait.since for trait in traits} <= {one.version for one in versions}:
            raise Unavailable(f"the definitions of {workspace} are not stored yet")
        people = 0
        for since in [one for one in versions if any(t.since == one.version for t in traits)]:
            new = self._new(workspace, since, traits)
            for slots in _in_parts(slots_of(index, self._shards), runner.shard.entities):
                place = index, self._shards
                retelling = Retelling(workspace, new, versions, place, slots)
                await self._beside(self._read, partial(_tell, retelling))
                people += await self._put_in(retelling.found())
        return people

    def _new(self, workspace: str, since: Version, traits: list[ComputedTrait]) -> New:
        documents = self._runner.shard.programs[workspace].documents
        those = [trait.name for trait in traits if trait.since == since.version]
        marks = {trait.name: trait.mark for trait in traits if trait.name in those}
        bodies = {name: documents[TRAIT, name][-1][1] or {} for name in those}
        return New(since, bodies, marks)

    async def _put_in(self, found: Iterator[commands.Command]) -> int:
        """Gives what was found to the shard, a few people at a time."""
        people = size = 0
        batch: list[commands.Command] = []
        for command in found:
            batch.append(command)
            people += 1
            size += len(command[2]) + len(command[3])
            if len(batch) >= limits.FILL_PEOPLE or size >= limits.FILL_BYTES:
                await self._admit(batch)
                await asyncio.sleep(limits.REFRESH_SLICE_S)
                batch, size = [], 0
        if batch:
            await self._admit(batch)
        return people

    async def _beside(self, work: Callable[..., None], *args: Any) -> None:
        await asyncio.get_running_loop().run_in_executor(self._runner.beside, work, *args)

    def _read(self, take: Callable[[Entry], bool]) -> None:
        """In a thread: reads what is kept, as long as it is asked for, and rests between."""
        until = time.perf_counter() + _WORK_S
        for entry in self._runner.store.history():
            if not take(entry) or self._stopping:
                return
            if time.perf_counter() > until:
                time.sleep(_REST_S)
                until = time.perf_counter() + _WORK_S

    async def _admit(self, batch: list[commands.Command]) -> None:
        await self._runner.admit(commands.pack_chunk(batch), len(batch), control=True)

    def _windows(self, workspace: str) -> Mapping[str, Window]:
        program = self._runner.shard.programs.get(workspace)
        return program.index.windows if program else {}

    def _traits(self, workspace: str) -> dict[str, ComputedTrait]:
        """Computed traits by what is remembered of them once they are filled."""
        program = self._runner.shard.programs.get(workspace)
        traits = program.computed.values() if program else ()
        return {f"{trait.name} {trait.mark}": trait for trait in traits}

    def _filled(self, workspace: str) -> set[str]:
        key = marker_key(workspace, self._runner.shard.index, self._shards)
        marker = self._runner.shard.peek(key)
        return set(marker.state.get(FILLED, ())) if marker else set()


def _in_parts(slots: range, entities: int) -> Iterator[range]:
    """Slots in so many parts that not too many people are in one."""
    parts = min(len(slots), -(-max(entities, 1) // limits.FILL_TOLD))
    for part in range(parts):
        yield slots[part * len(slots) // parts : (part + 1) * len(slots) // parts]


def _read_into(history: History, entry: Entry) -> bool:
    history.read(entry.now_ms, entry.mode, entry.payload)
    return True


def _tell(retelling: Retelling, entry: Entry) -> bool:
    return retelling.read(entry.seq, entry.now_ms, entry.mode, entry.payload)
