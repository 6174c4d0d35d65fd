"""A store in memory, for tests and simulations: the same promises, without a disk.

`MemoryStore` is the disk: it outlives its owners. `MemoryShardStore` is one owner's handle.
`crash()` loses everything that was not committed, which here is the handle itself: whatever the
owner still does with it raises, as it would for a process that is dead. A new owner fences the old
one by its epoch alone, so tests can have two owners at once, as a frozen machine does.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from actors.store.base import (
    Commit,
    DefinitionRow,
    EntityRow,
    Entry,
    ErasureRow,
    check_commit,
    fenced,
)
from actors.store.checks import torn
from actors.store.errors import ForeignStore, StoreError, WriteFailed


@dataclass(slots=True)
class _Disk:
    """What survives of one shard."""

    epoch: int = 0
    start_seq: int = 1
    last_seq: int = 0
    entries: dict[int, Entry] = field(default_factory=dict)
    archived: list[Entry] = field(default_factory=list)
    rows: dict[str, EntityRow] = field(default_factory=dict)
    definitions: dict[tuple[str, int], DefinitionRow] = field(default_factory=dict)
    erasures: dict[tuple[str, str], ErasureRow] = field(default_factory=dict)
    last_sweep: int = 0


class MemoryStore:
    """All shards of a store in memory.

    Args:
        shards: How many.
        store_id: What tells it from others.
    """

    def __init__(self, shards: int, store_id: str = "memory") -> None:
        self.shards = shards
        self.store_id = store_id
        self._disks = [_Disk() for _ in range(shards)]

    def open_shard(self, shard: int, wait_s: float = 0.0) -> MemoryShardStore:
        """Takes a shard over: fences the owner before; see `base.Store.open_shard`."""
        if not 0 <= shard < self.shards:
            raise ForeignStore(f"there is no shard {shard}", f"Choose 0 to {self.shards - 1}")
        disk = self._disks[shard]
        disk.epoch += 1
        return MemoryShardStore(shard, disk)

    def history(self, shard: int) -> list[Entry]:
        """All entries of a shard, archived and live."""
        disk = self._disks[shard]
        return [*disk.archived, *disk.entries.values()]


class MemoryShardStore:
    """One shard in memory. Made by `MemoryStore.open_shard`; see `base.ShardStore`."""

    def __init__(self, shard: int, disk: _Disk) -> None:
        self.shard = shard
        self.secret = b""
        self.epoch = disk.epoch
        self._disk = disk
        self._poison = ""
        self._staged = Commit()

    @property
    def start_seq(self) -> int:
        """Where recovery starts."""
        return self._disk.start_seq

    @property
    def last_seq(self) -> int:
        """The last entry that is committed."""
        return self._disk.last_seq

    def commit(self, commit: Commit) -> None:
        """Writes all of a commit, or nothing; see `ShardStore.commit`."""
        self.stage(commit)
        self.sync()

    def stage(self, commit: Commit) -> None:
        """Begins a commit; see `ShardStore.stage`."""
        self._check_alive()
        disk = self._disk
        try:
            check_commit(commit, self.shard, self.epoch, disk.start_seq, disk.last_seq)
            if disk.epoch != self.epoch:
                raise fenced(self.shard, f"epoch {disk.epoch}", self.epoch, disk.last_seq + 1)
            for definition in commit.definitions:
                known = disk.definitions.get((definition.workspace, definition.version))
                if known not in (None, definition):
                    raise torn(f"shard {self.shard}", f"{definition.workspace} was redefined")
        except StoreError as error:
            self._poison = str(error)
            raise
        self._staged = commit

    def sync(self) -> None:
        """Ends the commit that was staged; see `ShardStore.sync`."""
        self._check_alive()
        disk, commit = self._disk, self._staged
        for entry in commit.entries:
            disk.entries[entry.seq] = entry
            disk.last_seq = entry.seq
        for row in commit.rows:
            disk.rows.pop(row.key, None)
            if row.data is not None:
                disk.rows[row.key] = row
        for definition in commit.definitions:
            disk.definitions[definition.workspace, definition.version] = definition
        for erasure in commit.erasures:
            disk.erasures[erasure.key, erasure.mark] = erasure
        if commit.swept:
            kept = disk.erasures.items()
            disk.erasures = {k: row for k, row in kept if row.sweep != commit.swept}
        if commit.start_seq is not None:
            disk.start_seq = commit.start_seq

    def journal(self, from_seq: int) -> Iterator[Entry]:
        """The live entries from `from_seq` on."""
        self._check_alive()
        if from_seq <= len(self._disk.archived):
            raise ValueError(f"shard {self.shard}: entry {from_seq} is in the archive")
        return iter([e for e in self._disk.entries.values() if e.seq >= from_seq])

    def history(self) -> Iterator[Entry]:
        """All entries, archived and live."""
        self._check_alive()
        return iter([*self._disk.archived, *self._disk.entries.values()])

    def load(self, key: str) -> tuple[int, bytes] | None:
        """An entity's `(seq, data)` as of the last commit, or None."""
        self._check_alive()
        row = self._disk.rows.get(key)
        return None if row is None or row.data is None else (row.seq, row.data)

    def due(self) -> Iterator[tuple[str, int]]:
        """Every key with a timer, and when it is due."""
        return iter([(row.key, row.due_ms) for row in self._rows() if row.due_ms is not None])

    def pending(self) -> Iterator[str]:
        """Every key with effects that are not settled."""
        return iter([row.key for row in self._rows() if row.pending])

    def segment_counts(self) -> dict[str, int]:
        """How many entities are in each segment."""
        counts: dict[str, int] = {}
        for row in self._rows():
            for segment in row.segments.split("\n") if row.segments else ():
                counts[segment] = counts.get(segment, 0) + 1
        return dict(sorted(counts.items()))

    def entity_count(self) -> int:
        """How many entities there are."""
        return len(self._rows())

    def definitions(self) -> list[DefinitionRow]:
        """All definition rows, in the order in which they were journaled."""
        self._check_alive()
        rows = self._disk.definitions.values()
        return sorted(rows, key=lambda row: (row.seq, row.workspace, row.version))

    def scan(self, after: str, limit: int) -> list[tuple[str, int, bytes]]:
        """Up to `limit` entities with keys above `after`, ascending."""
        rows = self._rows()
        first = bisect_right(rows, after, key=lambda row: row.key)
        return [
            (row.key, row.seq, row.data)
            for row in islice(rows, first, first + limit)
            if row.data is not None
        ]

    def erasures(self, limit: int) -> list[ErasureRow]:
        """The oldest erasures that are not done with; see `ShardStore.erasures`."""
        self._check_alive()
        rows = self._disk.erasures.values()
        return sorted(rows, key=lambda row: (row.sweep == 0, row.seq, row.key, row.mark))[:limit]

    def last_sweep(self) -> int:
        """The highest number of a sweep that has rewritten the archive, or 0."""
        return self._disk.last_sweep

    def rewrite_next(self, sweep: int, upto: int, change: Callable[[Entry], bytes]) -> int:
        """Rewrites all of the archive at once."""
        self._check_alive()
        disk = self._disk
        if disk.last_sweep >= sweep:
            return 0
        disk.archived = [replace(entry, payload=change(entry)) for entry in disk.archived]
        disk.last_sweep = sweep
        return 1

    def wipe(self, most_bytes: int) -> None:
        """What is deleted is nowhere."""

    def archive_passed(self, all_of_it: bool = False) -> int:
        """Moves all entries below `start_seq` to the archive."""
        self._check_alive()
        disk = self._disk
        passed = [entry for entry in disk.entries.values() if entry.seq < disk.start_seq]
        for entry in passed:
            disk.archived.append(disk.entries.pop(entry.seq))
        return len(passed)

    def crash(self) -> None:
        """Ends this owner as a kill would: nothing committed is lost, everything else is."""
        self._poison = "it crashed"

    def close(self) -> None:
        """Gives the shard back."""
        self._poison = self._poison or "it is closed"

    def _rows(self) -> list[EntityRow]:
        self._check_alive()
        return sorted(self._disk.rows.values(), key=lambda row: row.key)

    def _check_alive(self) -> None:
        if self._poison:
            raise WriteFailed(
                f"shard {self.shard} is poisoned: {self._poison}", "Open the shard again"
            )
