"""What the store's tests build their stores and entries from."""

from pathlib import Path

from actors.store.base import EntityRow, Entry
from actors.store.directory import SqliteStore


def create(directory: Path, shards: int = 2, store_id: str = "s" * 32) -> SqliteStore:
    return SqliteStore.create(directory, shards=shards, store_id=store_id, created_ms=1_000)


def entries(first: int, count: int, epoch: int = 1) -> list[Entry]:
    return [
        Entry(seq, epoch, 1_000 * seq, seq % 2, b"payload %d" % seq)
        for seq in range(first, first + count)
    ]


def row(key: str, seq: int = 0, data: bytes | None = b"") -> EntityRow:
    return EntityRow(key, 7, seq, None, False, "", data)
