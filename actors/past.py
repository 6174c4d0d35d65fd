"""The past of new windows and computed traits: read from the archive and journal, beside the work.

A thread reads, and rests most of the time; what it finds goes to the shard as commands, a few
people at a time (`actors.filling_pace`), so an event never waits long for either. All that grows
with the number of people is done in the thread, down to forgetting it. When everything is in, a
command says so to an entity of the shard (`engine.history.marker_key`); a crash before that begins
it again, which does no harm.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final

from actors.filling_ease import Ease
from actors.filling_pace import Slices, WorkPace
from actors.store.base import Entry
from engine import commands, limits
from engine.commands import Command
from engine.computed.definition import ComputedTrait
from engine.computed.retelling import New, Retelling, Version
from engine.conditions.windows import Window
from engine.definition_kinds import TRAIT
from engine.errors import Unavailable
from engine.history import FILLED, History, can_be_filled, marker_key
from engine.slots import slots_of

if TYPE_CHECKING:
    from actors.shard_runner import ShardRunner

_BACK: Final = "\x1f\x1f"  # before how far back a window was filled, in what is remembered of it


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is to be filled.

    Attributes:
        workspace: Whose.
        windows: The windows that are not.
        news: The computed traits that are not, by the version that brought them.
        versions: All versions of the workspace's definitions.
        parts: The slots, in parts whose people are told again together.
        upto: The last entry to read: what comes after it the windows and traits see for themselves.
    """

    workspace: str
    windows: list[Window]
    news: list[New]
    versions: list[Version]
    parts: list[range]
    upto: int

    @property
    def readings(self) -> int:
        """How often all will be read, if no window has too much in it."""
        return bool(self.windows) + len(self.news) * len(self.parts)


class Past:
    """Fills the windows of one shard with what was before them; see the module's text.

    Args:
        runner: The shard.
        shards: How many there are.
        thread: Where it reads.
        ease: Of the host.

    Attributes:
        read: Which part of the past is read, from 0 to 1.
    """

    def __init__(self, runner: "ShardRunner", shards: int, thread: Executor, ease: Ease) -> None:
        self.read = 1.0
        self._runner = runner
        self._shards = shards
        self._thread = thread
        self._stopping = threading.Event()
        self._ease = ease
        self._pace = WorkPace(ease)

    def stop(self) -> None:
        """Ends a reading that is under way."""
        self._stopping.set()

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
        try:
            found = self._found(wanted)
            while batch := await self._beside(partial(_some, found, slices.people)):
                await slices.admit(batch)
                people += len(batch)
            marker = marker_key(workspace, self._runner.shard.index, self._shards)
            await slices.admit([commands.filled(marker, labels)])
        finally:
            self.read = 1.0
        return people

    # --- what is wanted, and what is there --------------------------------------------------

    def _wanted(self, workspace: str) -> _Wanted:
        runner, filled = self._runner, self._filled(workspace)
        windows = [
            window
            for window in self._windows(workspace).values()
            if can_be_filled(window) and not _reaches(filled, window)
        ]
        traits = [one for label, one in self._traits(workspace).items() if label not in filled]
        rows = [row for row in runner.store.definitions() if row.workspace == workspace]
        versions = [Version(row.version, row.seq, row.documents) for row in rows]
        if not {trait.since for trait in traits} <= {one.version for one in versions}:
            raise Unavailable(f"the definitions of {workspace} are not stored yet")
        brought = {trait.since for trait in traits}
        news = [self._new(workspace, v, traits) for v in versions if v.version in brought]
        slots = slots_of(runner.shard.index, self._shards)
        parts = list(_in_parts(slots, runner.shard.entities))
        return _Wanted(workspace, windows, news, versions, parts, runner.shard.seq)

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

    # --- in the thread ----------------------------------------------------------------------

    async def _beside(self, work: Callable[[], list[Command]]) -> list[Command]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _found(self, wanted: _Wanted) -> Iterator[Command]:
        """A `commands.fill` for each person of whom something is found; reads as it is asked."""
        done = 0
        slots = slots_of(self._runner.shard.index, self._shards)
        left = slots if wanted.windows else range(0)
        while left:
            history = History(wanted.workspace, wanted.windows, left, limits.FILL_TIMES)
            self._read(wanted, partial(_read_into, history), done)
            left = range(history.slots.stop, slots.stop)
            yield from history.found()
            del history  # here, in the thread: it may be large
            done = int(not left)
        for new in wanted.news:
            for part in wanted.parts:
                place = self._runner.shard.index, self._shards
                told = Retelling(wanted.workspace, new, wanted.versions, place, part)
                told.secret = self._runner.shard.secret
                self._read(wanted, partial(_tell, told), done)
                yield from told.found()
                del told
                done += 1
        self.read = 1.0

    def _read(self, wanted: _Wanted, take: Callable[[Entry], Iterable[bool]], done: int) -> None:
        """Reads what is kept, as long as it is asked for, and rests between.

        Args:
            wanted: What is to be filled.
            take: Takes an entry in, piece by piece; says of each whether to go on.
            done: How many readings were before.
        """
        first = 0
        self._pace.resumed()
        for entry in self._runner.store.history():
            first = first or entry.seq
            if entry.seq > wanted.upto:
                return
            for goes_on in take(entry):
                if self._stopping.is_set():
                    raise Unavailable("the host is closing")
                if not goes_on:
                    return
                if rest_s := self._pace.rest_s():
                    read = (entry.seq - first) / max(1, wanted.upto - first)
                    self.read = (done + read) / wanted.readings
                    self._stopping.wait(rest_s)
                    self._pace.resumed()


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


def _in_parts(slots: range, entities: int) -> Iterator[range]:
    """Slots in so many parts that not too many people are in one."""
    parts = min(len(slots), -(-max(entities, 1) // limits.FILL_TOLD))
    for part in range(parts):
        yield slots[part * len(slots) // parts : (part + 1) * len(slots) // parts]


def _some(found: Iterator[Command], people: int) -> list[Command]:
    """The next few people; fewer if much was found of them, none if it was all."""
    batch: list[Command] = []
    size = 0
    for command in islice(found, people):
        batch.append(command)
        size += len(command[2]) + len(command[3])
        if size >= limits.FILL_BYTES:
            break
    return batch


def _read_into(history: History, entry: Entry) -> Iterator[bool]:
    for _ in history.read_in_pieces(entry.now_ms, entry.mode, entry.payload):
        yield True


def _tell(told: Retelling, entry: Entry) -> Iterator[bool]:
    yield told.read(entry.seq, entry.now_ms, entry.mode, entry.payload)
