"""The past of one entity, from the journal of its shard: what it was at any moment.

No entity depends on another, so its own commands, the definitions and the time are all that a
replay needs. Of everyone else's commands only the time counts: it is what lets timers fire in the
entry in which they fired. So a person of a shard of millions is played in the time that it takes to
read the journal.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from engine import commands
from engine.commands import Command
from engine.entity import Entity
from engine.privacy.hidden import hidden_key
from engine.shard import Shard
from engine.slots import parse_key, shard_of, slot_of


class Recorded(NamedTuple):
    """A journal entry, as far as a replay needs it; see `Shard.apply`."""

    now_ms: int
    mode: int
    payload: bytes


class Definitions(NamedTuple):
    """One version of a workspace's definitions."""

    workspace: str
    version: int
    documents: bytes


def moments(entry: Recorded, newest_ms: int) -> Iterator[tuple[int, list[Command]]]:
    """The commands of an entry, each with the shard's time when it was applied.

    Args:
        entry: The entry.
        newest_ms: The shard's time before it.

    Yields:
        The time and the commands at it, in order; the first may have none (a tick).
    """
    now_ms = max(newest_ms, entry.now_ms)
    gathered: list[Command] = []
    for chunk in commands.unpack_payload(entry.payload):
        for command in chunk:
            if entry.mode and command[0] in commands.TIMED and command[5] > now_ms:
                yield now_ms, gathered
                now_ms, gathered = command[5], []
            gathered.append(command)
    yield now_ms, gathered


class Past:
    """The past of one entity.

    Args:
        key: The entity.
        shards: How many shards its store has.
        definitions: Versions of definitions from before the first entry that will be played.
        secret: The store's, for hashes of keys.

    Attributes:
        first_ms: The time of the first entry, or None before there is one.
        played: How many of the entity's own commands were played.
    """

    def __init__(
        self,
        key: str,
        shards: int,
        definitions: Iterable[Definitions] = (),
        secret: bytes = b"",
    ) -> None:
        self.key = key
        self._hidden = hidden_key(key, secret)
        self.workspace = parse_key(key).workspace
        self.first_ms: int | None = None
        self.played = 0
        shard = shard_of(slot_of(key), shards)
        self.shard = Shard(shard, shards, lambda key: None, lambda after, limit: [])
        self.shard.secret = secret
        for workspace, version, documents in definitions:
            if workspace == self.workspace:
                self.shard.install(workspace, version, documents)

    @property
    def entity(self) -> Entity | None:
        """The entity as it stands, or None if nothing was heard of it so far."""
        return self.shard.peek(self.key)

    def play(self, entry: Recorded, until_ms: int | None = None) -> bool:
        """Plays an entry.

        Args:
            entry: The next entry of the shard's journal.
            until_ms: The moment to stop at; what happens at it is still played.

        Returns:
            False if the moment is reached.

        Cost: 1 µs for each command of others, in an entry that has one of its own.
        """
        if self.first_ms is None:
            self.first_ms = entry.now_ms
        for now_ms, gathered in moments(entry, self.shard.now):
            if until_ms is not None and now_ms > until_ms:
                return False
            self._play(now_ms, [command for command in gathered if self._concerns(command)])
        return True

    def end(self, ms: int) -> None:
        """Lets the time pass up to a moment: what is due by then happens."""
        if ms > self.shard.now:
            self._play(ms, [])

    def _concerns(self, command: Command) -> bool:
        if command[0] == commands.INSTALL:
            return bool(command[4] == self.workspace)
        return command[1] in (self.key, self._hidden)

    def _play(self, now_ms: int, own: list[Command]) -> None:
        shard = self.shard
        due_ms = shard.next_due_ms()
        if not own and (due_ms is None or due_ms > now_ms):
            shard.now = max(shard.now, now_ms)
            return
        self.played += len(own)
        payload = commands.pack_payload([commands.pack_chunk(own)]) if own else b""
        shard.apply(shard.seq + 1, now_ms, 0, payload)
