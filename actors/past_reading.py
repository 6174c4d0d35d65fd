"""Reading the past: what entries of a journal leave in windows and traits that are new.

It is the same work wherever it is done: in a process of its own (`actors.past_process`), which is
how hosts read a long one, or in a thread beside the shard (`actors.past_thread`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Protocol

import msgpack

from actors.store.base import Entry
from engine import limits
from engine.commands import Command
from engine.computed.retelling import New, Retelling, Version
from engine.conditions.windows import Window
from engine.history import History
from engine.slots import slots_of
from engine.workspaces import Workspaces


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be read, and for whom.

    Attributes:
        workspace: Whose.
        windows: The names of the windows that are not filled.
        news: The computed traits that are not, by the version that brought them.
        versions: All versions of the workspace's definitions, the last one in force.
        place: Which shard this is, and how many there are.
        entities: How many the shard holds, about: so many are told again in parts.
        upto: The last entry to read: what comes after it the windows and traits see for themselves.
        secret: The store's secret.
    """

    workspace: str
    windows: tuple[str, ...]
    news: tuple[New, ...]
    versions: tuple[Version, ...]
    place: tuple[int, int]
    entities: int
    upto: int
    secret: bytes

    @property
    def slots(self) -> range:
        """The shard's slots."""
        return slots_of(*self.place)

    @property
    def parts(self) -> list[range]:
        """The slots, in parts whose people are told again together."""
        slots = self.slots
        parts = min(len(slots), -(-max(self.entities, 1) // limits.FILL_TOLD))
        size = len(slots)
        return [slots[at * size // parts : (at + 1) * size // parts] for at in range(parts)]

    @property
    def readings(self) -> int:
        """How often all will be read, if no window has too much in it."""
        return bool(self.windows) + len(self.news) * len(self.parts)

    def pack(self) -> bytes:
        """As bytes, for another process."""
        plain = (
            self.workspace, self.windows, self.news, self.versions, self.place, self.entities,
            self.upto, self.secret,
        )  # fmt: skip
        packed: bytes = msgpack.packb(plain)
        return packed

    @classmethod
    def unpack(cls, packed: bytes) -> "Wanted":
        """What `pack` gave."""
        workspace, windows, news, versions, place, entities, upto, secret = msgpack.unpackb(packed)
        return cls(
            workspace,
            tuple(windows),
            tuple(New(Version(*since), bodies, marks) for since, bodies, marks in news),
            tuple(Version(*version) for version in versions),
            (place[0], place[1]),
            entities,
            upto,
            secret,
        )

    def compiled(self) -> list[Window]:
        """The windows, compiled anew from the definitions."""
        if not self.windows:
            return []
        workspaces = Workspaces()
        for each in self.versions:
            workspaces.install(self.workspace, each.version, each.documents)
        index = workspaces.of(self.workspace)[0].index
        return [index.windows[name] for name in self.windows]


Between = Callable[[Callable[[], float]], None]
"""What a reading calls between two pieces of its work, so that others go on, or it ends: by an
error that comes through. It can ask which part of the reading is done, from 0 to 1."""


class PastReader(Protocol):
    """Where the past of a shard is read; `found` and what it gives are used in one thread."""

    def found(self, wanted: Wanted, told: Callable[[float], None]) -> Iterator[Command]:
        """A `commands.fill` for each person of whom something is found.

        Args:
            wanted: What is to be read.
            told: Is told now and then which part is read, from 0 to 1.

        Raises:
            StoreError: The past cannot be read.
            Unavailable: It was stopped.
        """

    def hold(self, held: bool) -> None:
        """Lets a reading stand still, or go on; so it is with those that begin later."""

    def stop(self) -> None:
        """Ends a reading that is under way, from any thread; there will be no other."""


class Reading:
    """One reading of all that is wanted.

    Args:
        wanted: What.
        windows: The windows, compiled.
        history: Gives all entries that are kept, in their order.
        between: Is called between two pieces.
    """

    def __init__(
        self,
        wanted: Wanted,
        windows: Sequence[Window],
        history: Callable[[], Iterable[Entry]],
        between: Between,
    ) -> None:
        self._wanted = wanted
        self._windows = windows
        self._history = history
        self._between = between
        self._done = 0  # readings

    def found(self) -> Iterator[Command]:
        """See `PastReader.found`; reads as it is asked."""
        wanted, slots = self._wanted, self._wanted.slots
        left = slots if self._windows else range(0)
        while left:
            history = History(wanted.workspace, self._windows, left, limits.FILL_TIMES)
            self._read(partial(_read_into, history))
            left = range(history.slots.stop, slots.stop)
            yield from history.found()
            del history  # it may be large
            self._done = int(not left)
        for new in wanted.news:
            for part in wanted.parts:
                told = Retelling(wanted.workspace, new, wanted.versions, wanted.place, part)
                told.secret = wanted.secret
                self._read(partial(_tell, told))
                yield from told.found()
                del told
                self._done += 1

    def _read(self, take: Callable[[Entry], Iterable[bool]]) -> None:
        """Reads what is kept, as long as it is asked for.

        Args:
            take: Takes an entry in, piece by piece; says of each whether to go on.
        """
        wanted, first = self._wanted, 0
        for entry in self._history():
            first = first or entry.seq
            if entry.seq > wanted.upto:
                return
            for goes_on in take(entry):
                if not goes_on:
                    return
                self._between(partial(self._part, entry.seq - first, wanted.upto - first))

    def _part(self, read: int, of: int) -> float:
        return (self._done + read / max(1, of)) / self._wanted.readings


def some(found: Iterator[Command], people: int) -> list[Command]:
    """The next few people; fewer if much was found of them, none if it was all."""
    batch: list[Command] = []
    size = 0
    for command in islice(found, people):
        batch.append(command)
        size += _size(command)
        if size >= limits.FILL_BYTES:
            break
    return batch


def _size(fill: Command) -> int:
    texts: tuple[Any, Any] = fill[2], fill[3]
    return sum(map(len, texts))


def _read_into(history: History, entry: Entry) -> Iterator[bool]:
    for _ in history.read_in_pieces(entry.now_ms, entry.mode, entry.payload):
        yield True


def _tell(told: Retelling, entry: Entry) -> Iterator[bool]:
    yield told.read(entry.seq, entry.now_ms, entry.mode, entry.payload)
