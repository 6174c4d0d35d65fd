"""What a store's journals tell of the past, for commands that play it again.

It reads files and takes nothing from an instance that runs. The archive keeps some days and bytes
only; what was before is not in it, and `History.complete` says whether that matters.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from actors.store.base import Entry
from actors.store.errors import ForeignStore
from actors.store.identity import Identity, read_identity
from actors.store.reader import JournalReader
from actors.store.tables import TableFiles
from engine.simulation.past import Definitions, Past, Recorded
from engine.slots import shard_of, slot_of
from gateway.cli.errors import FAILED, CliError


def identity_of(store: Path) -> Identity:
    """A store's identity.

    Raises:
        ForeignStore: There is no store.
    """
    identity = read_identity(store)
    if identity is None:
        raise ForeignStore(f"{store} holds no store", "Name one with --store")
    return identity


class History:
    """What is kept of one shard's history.

    Args:
        store: The store's directory.
        shard: Which shard.

    Attributes:
        first_ms: The time of the first entry that is kept; None if there is none.
        complete: Whether that is the first entry that there ever was.
        definitions: The versions of definitions from before it.
    """

    def __init__(self, store: Path, shard: int) -> None:
        self._reader = JournalReader(store, shard)
        self._entries = self._reader.entries()
        first = self._first = next(self._entries, None)
        self.first_ms: int | None = None
        self.complete = True
        self.definitions: list[Definitions] = []
        if first is not None:
            self.first_ms = first.now_ms
            self.complete = first.seq == 1
            self.definitions = [
                Definitions(row.workspace, row.version, row.documents)
                for row in (() if self.complete else self._reader.definitions())
                if row.seq < first.seq
            ]

    def entries(self) -> Iterator[Recorded]:
        """All entries that are kept, oldest first; once."""
        begin: tuple[Entry, ...] = () if self._first is None else (self._first,)
        for entry in chain(begin, self._entries):
            yield Recorded(entry.now_ms, entry.mode, entry.payload)


def past_of(store: Path, key: str, until_ms: int | None = None) -> tuple[Past, History]:
    """One entity as it stood at a moment.

    Args:
        store: The store's directory.
        key: The entity.
        until_ms: The moment; left out, the end of the journal.

    Cost: about 1 µs for each command that the shard ever took.

    Raises:
        CliError: The moment lies before what is kept.
        StoreError: There is no store, or it is damaged.
    """
    identity = identity_of(store)
    shards = identity.shards
    history = History(store, shard_of(slot_of(key), shards))
    if until_ms is not None and history.first_ms is not None and until_ms < history.first_ms:
        raise CliError(
            "that lies before everything that is kept",
            "see from when on with `denrei journal`",
            FAILED,
        )
    past = Past(key, shards, history.definitions, identity.key)
    past.shard.tables = TableFiles(store)
    for entry in history.entries():
        if not past.play(entry, until_ms):
            break
    if until_ms is not None:
        past.end(until_ms)
    return past, history
