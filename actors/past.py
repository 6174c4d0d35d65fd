"""The past of new windows and computed traits: read from the archive and journal, beside the work.

Another process reads (`actors.past_process`; a past so short that to start one would cost more is
read in a thread), and what it finds goes to the shard as commands, a few people at a time
(`actors.filling_pace`), so an event never waits long for either. When everything is in, a command
says so to an entity of the shard (`engine.history.marker_key`); a crash before that begins it
again, which does no harm.
"""

import asyncio
import contextlib
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING, Final

from actors.filling_ease import Ease
from actors.filling_pace import Slices
from actors.past_reading import PastReader, Wanted, some
from actors.past_thread import PastThread
from engine import commands, limits
from engine.commands import Command
from engine.computed.definition import ComputedTrait
from engine.computed.retelling import New, Version
from engine.conditions.windows import Window
from engine.definition_kinds import TRAIT
from engine.errors import Unavailable
from engine.history import FILLED, can_be_filled, marker_key

if TYPE_CHECKING:
    from actors.shard_runner import ShardRunner

_BACK: Final = "\x1f\x1f"  # before how far back a window was filled, in what is remembered of it


class Past:
    """Fills the windows of one shard with what was before them; see the module's text.

    Args:
        runner: The shard.
        shards: How many there are.
        thread: Where the reader is waited for.
        ease: Of the host.
        elsewhere: Reads a long past, if there is another process to do it.

    Attributes:
        read: Which part of the past is read, from 0 to 1.
    """

    def __init__(
        self,
        runner: "ShardRunner",
        shards: int,
        thread: Executor,
        ease: Ease,
        elsewhere: PastReader | None = None,
    ) -> None:
        self.read = 1.0
        self._runner = runner
        self._shards = shards
        self._thread = thread
        self._ease = ease
        self._here: PastReader = PastThread(runner, ease)
        self._elsewhere = elsewhere or self._here

    def hold(self, held: bool) -> None:
        """Lets a reading stand still, or go on."""
        self._elsewhere.hold(held)

    def stop(self) -> None:
        """Ends a reading that is under way."""
        self._here.stop()
        self._elsewhere.stop()

    def is_missing(self, workspace: str) -> bool:
        """Whether a window or trait of a workspace is not filled, or one that was is gone."""
        return self._filled(workspace) != self._labels(workspace)

    async def fill(self, workspace: str) -> int:
        """Fills what is not filled; gives how many people it found something of.

        Durability: All that was found is synced and applied when it returns.

        Raises:
            StoreError: The past cannot be read. What is served needs none of it.
            Unavailable: The definitions are not stored yet, or the shard is closing.
        """
        labels = sorted(self._labels(workspace))
        wanted = self._wanted(workspace)
        slices = Slices(self._runner, self._ease)
        people = 0
        self.read = 0.0
        found = self._found(wanted)
        try:
            while batch := await self._beside(found, slices.people):
                await slices.admit(batch)
                people += len(batch)
            marker = marker_key(workspace, self._runner.shard.index, self._shards)
            await slices.admit([commands.filled(marker, labels)])
        finally:
            self.read = 1.0
            with contextlib.suppress(RuntimeError):  # there is no thread any more, nor a reading
                self._thread.submit(found.close)
        return people

    def _found(self, wanted: Wanted) -> Generator[Command]:
        if wanted.readings:
            is_short = wanted.upto <= limits.FILL_ENTRIES_HERE
            reader = self._here if is_short else self._elsewhere
            yield from reader.found(wanted, self._tell)

    async def _beside(self, found: Iterator[Command], people: int) -> list[Command]:
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, partial(some, found, people)
        )

    def _tell(self, read: float) -> None:
        self.read = read

    # --- what is wanted, and what is there --------------------------------------------------

    def _wanted(self, workspace: str) -> Wanted:
        runner, filled = self._runner, self._filled(workspace)
        shard = runner.shard
        windows = [
            window.name
            for window in self._windows(workspace).values()
            if can_be_filled(window) and not _reaches(filled, window)
        ]
        traits = [one for label, one in self._traits(workspace).items() if label not in filled]
        rows = [row for row in runner.store.definitions() if row.workspace == workspace]
        versions = [Version(row.version, row.seq, row.documents) for row in rows]
        program = shard.programs.get(workspace)
        if program is not None and program.version not in {each.version for each in versions}:
            raise Unavailable(f"the definitions of {workspace} are not stored yet")
        brought = {trait.since for trait in traits}
        news = [self._new(workspace, v, traits) for v in versions if v.version in brought]
        return Wanted(
            workspace,
            tuple(windows),
            tuple(news),
            tuple(versions),
            (shard.index, self._shards),
            shard.entities,
            shard.seq,
            shard.secret,
        )

    def _new(self, workspace: str, since: Version, traits: list[ComputedTrait]) -> New:
        documents = self._runner.shard.programs[workspace].documents
        those = [trait.name for trait in traits if trait.since == since.version]
        marks = {trait.name: trait.mark for trait in traits if trait.name in those}
        bodies = {name: documents[TRAIT, name][-1][1] or {} for name in those}
        return New(since, bodies, marks)

    def _windows(self, workspace: str) -> Mapping[str, Window]:
        program = self._runner.shard.programs.get(workspace)
        return program.index.windows if program else {}

    def _traits(self, workspace: str) -> dict[str, ComputedTrait]:
        """Computed traits by what is remembered of them once they are filled."""
        program = self._runner.shard.programs.get(workspace)
        traits = program.computed.values() if program else ()
        return {f"{trait.name} {trait.mark}": trait for trait in traits}

    def _labels(self, workspace: str) -> set[str]:
        """What is to be remembered once all is filled."""
        return {*map(_label, self._windows(workspace).values()), *self._traits(workspace)}

    def _filled(self, workspace: str) -> set[str]:
        key = marker_key(workspace, self._runner.shard.index, self._shards)
        marker = self._runner.shard.peek(key)
        return set(marker.state.get(FILLED, ())) if marker else set()


def _label(window: Window) -> str:
    """What is remembered of a window: its name, and how far back it was filled if not for ever."""
    return f"{window.name}{_BACK}{window.horizon_ms}" if window.horizon_ms else window.name


def _reaches(filled: set[str], window: Window) -> bool:
    """Whether a window was filled as far back as it is asked for now, or further."""
    if window.name in filled:
        return True
    backs = (label.rpartition(_BACK) for label in filled)
    return bool(window.horizon_ms) and any(
        name == window.name and int(back) >= window.horizon_ms for name, sep, back in backs if sep
    )
