"""What a journal entry looks like once people have been erased: a function of entry and erasures.

An archive is replayed, so what is taken out of it must leave everyone else as they were, and the
erased person erased. No entity depends on another, so a command to somebody who is gone can go
without a trace, but for two things. Where events drive the clocks, its time stays, in a command
that does nothing else. And in the place of the erasure a tombstone is put in, under a hash of the
key: with it a replay knows of who comes back what the shard knew (that they are suppressed, which
ids they have given out). It is put in even where nothing is left to take the place of: a recovery
hears again what was said before the erasure, a timer may wake somebody who is gone, and an earlier
sweep has taken out all else.

Where others speak of the person (an account of its members, an identifier of who has claimed it) a
hash stands in for the key, in all their commands alike, so that they count as many as there were.
What came to somebody after they were erased, and was not for them any more, keeps its place without
what it holds, since refusing it was a step of its own.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from engine import commands
from engine.commands import Command, Compressor
from engine.packing import unpack_chunks, unpack_tuples
from engine.privacy.hidden import BACK, LATE, NAMED, WHOLE, hidden_key


class Whole(NamedTuple):
    """Somebody all of whose commands go.

    Attributes:
        upto: The newest entry that they go from.
        at: The entry that gets the tombstone.
        tombstone: It, packed.
    """

    upto: int
    at: int
    tombstone: bytes


@dataclass(slots=True)
class Gone:
    """What is to be taken out of a shard's entries.

    Attributes:
        whole: By key.
        hidden: Their keys, by those of their tombstones.
        named: By key: the keys that it may not speak of any more, and up to which entry.
        late: By key and forward's id: in which entry.
        secret: The store's, for hashes of keys.
    """

    secret: bytes
    whole: dict[str, Whole] = field(default_factory=dict)
    hidden: dict[str, str] = field(default_factory=dict)
    named: dict[str, dict[str, int]] = field(default_factory=dict)
    late: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, key: str, mark: str, at: int, upto: int, tombstone: bytes) -> None:
        """Adds an erasure.

        Args:
            key: See `Erasure`.
            mark: See `Erasure`.
            at: The entry that it was said in.
            upto: The newest entry that it holds for.
            tombstone: See `Erasure`.
        """
        if mark in (WHOLE, BACK):
            known = self.whole.get(key)
            if known is None or known.at < at:
                self.whole[key] = Whole(max(upto, known.upto if known else 0), at, tombstone)
                self.hidden[self.hide(key)] = key
        elif mark.startswith(NAMED):
            names = self.named.setdefault(key, {})
            names[mark[len(NAMED) :]] = max(upto, names.get(mark[len(NAMED) :], 0))
        elif mark.startswith(LATE):
            self.late[key, mark[len(LATE) :]] = at

    def hide(self, key: str) -> str:
        """What stands in a key's place."""
        return hidden_key(key, self.secret)

    @property
    def upto(self) -> int:
        """The newest entry that anything is taken out of."""
        named = (upto for names in self.named.values() for upto in names.values())
        whole = (one.upto for one in self.whole.values())
        return max(0, *whole, *named, *self.late.values(), 0)

    def needles(self) -> set[bytes]:
        """What a chunk that has anything to lose holds, as bytes."""
        keys: Iterable[str] = (
            *self.whole, *self.hidden, *self.named, *(key for key, _ in self.late),
        )  # fmt: skip
        return {key.encode() for key in keys}


# Of so few keys it is quicker to search a chunk for them than to unpack it.
_FEW: Final = 32


class Rewriter:
    """Takes what is gone out of entries. One serves one thread.

    Args:
        gone: What is gone.
    """

    def __init__(self, gone: Gone) -> None:
        self._gone = gone
        self._needles = gone.needles()
        self._places: dict[int, list[str]] = {}  # whose tombstones an entry gets
        for key, whole in gone.whole.items():
            self._places.setdefault(whole.at, []).append(key)
        self._compressor = Compressor()

    def rewrite(self, seq: int, mode: int, payload: bytes) -> bytes:
        """An entry's payload without what is gone; the same bytes if there is nothing to take out.

        Cost: 1 ms a megabyte, unpacked; 1 µs a command of a chunk that has one to lose.
        """
        unplaced = dict.fromkeys(self._places.get(seq, ()))
        if not payload and not unplaced:
            return payload
        chunks = list(unpack_chunks(payload)) if payload else []
        changed = False
        for number, chunk in enumerate(chunks):
            opened = commands.open_chunk(chunk)
            if not self._may_concern(opened):
                continue
            before: list[Command] = unpack_tuples(opened)
            after: list[Command] = []
            for command in before:
                self._take(seq, mode, command, after, unplaced)
            if after != before:
                packed = commands.pack_chunk(after)
                chunks[number] = packed if opened is chunk else self._compressor.compress(packed)
                changed = True
        if unplaced:
            chunks.append(commands.pack_chunk(map(self._tombstone, unplaced)))
            changed = True
        return commands.pack_payload(chunks) if changed else payload

    def _may_concern(self, opened: bytes) -> bool:
        return len(self._needles) > _FEW or any(needle in opened for needle in self._needles)

    def _take(
        self, seq: int, mode: int, command: Command, after: list[Command], unplaced: dict[str, None]
    ) -> None:
        """Adds what stays of a command to those that stay."""
        gone, key = self._gone, command[1]
        if command[0] == commands.ERASED:  # an older tombstone, or this one from an earlier sweep
            key = gone.hidden.get(key, key)
        whole = gone.whole.get(key)
        if whole is not None and seq <= whole.upto:
            if key in unplaced:
                del unplaced[key]
                after.append(self._tombstone(key))
            if mode and command[0] in commands.TIMED:
                after.append(commands.tick(command[5]))
            return
        if gone.late.get((key, command[2] if len(command) > 2 else "")) == seq:
            command = _emptied(command, gone.hide)
        names = gone.named.get(key)
        if names is not None:
            hidden = {name: gone.hide(name) for name, upto in names.items() if seq <= upto}
            command = _renamed(command, hidden)
        elif command[0] == commands.WALKED:
            last = gone.whole.get(command[4])
            if last is not None and seq <= last.upto:
                command = (*command[:4], gone.hide(command[4]), *command[5:])
        after.append(command)

    def _tombstone(self, key: str) -> Command:
        return commands.erased(self._gone.hide(key), self._gone.whole[key].tombstone)


def _renamed(command: Command, hidden: dict[str, str]) -> Command:
    """A command with hashes in place of keys; the event that a claim comes by goes with them."""
    renamed = [_hidden_in(item, hidden) for item in command]
    if tuple(renamed) == command:
        return command
    if command[0] in (commands.CLAIM, commands.LINK):
        renamed[5] = ""
    return tuple(renamed)


def _hidden_in(item: Any, hidden: dict[str, str]) -> Any:
    if item.__class__ is str:
        return hidden.get(item, item)
    if item.__class__ in (list, tuple):
        return item.__class__(_hidden_in(each, hidden) for each in item)
    return item


def _emptied(command: Command, hide: Callable[[str], str]) -> Command:
    """A forward that was refused, without what it says: it is refused as it was."""
    operation, items = command[0], list(command)
    if operation == commands.PASS:
        items[3], items[7] = hide(items[3]), b""
    elif operation == commands.KEPT:
        items[3], items[4] = hide(items[3]), hide(items[4])
    elif operation == commands.CLAIM:
        items[3], items[5] = hide(items[3]), ""
        items[4] = items[4] if items[4] in ("", items[1]) else hide(items[4])
    elif operation == commands.TOLD:
        items[4], items[6], items[10] = "", b"", hide(items[10])
    elif operation == commands.ACCOUNT:
        items[3], items[6] = hide(items[3]), b""
    return tuple(items)
