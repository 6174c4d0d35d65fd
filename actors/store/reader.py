"""Reads a shard's whole history: the archive, then the live journal, of a store open or not.

It takes nothing from an owner that runs: it only reads, in short pieces, and never holds a
snapshot while its caller thinks (which would keep the owner's log from starting again). An entry
that moves from the journal to the archive meanwhile is found there; one that is in both comes once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import apsw

from actors.store.archive import ShardArchive
from actors.store.base import DefinitionRow, Entry
from actors.store.checks import check_entry, row_crc, torn
from actors.store.connection import open_connection, store_errors
from actors.store.errors import ForeignStore
from actors.store.identity import read_identity
from actors.store.lock import FileLock
from actors.store.schema import State, check_identity, lock_file, read_state, shard_file
from actors.store.wal import log_missing, wal_path
from engine import limits

Found = TypeVar("Found")


class JournalReader:
    """The history of one shard, read-only, from any process.

    Args:
        directory: The store's directory.
        shard: The shard's number.

    Raises:
        ForeignStore: There is no store, or it has no such shard.
    """

    def __init__(self, directory: Path, shard: int) -> None:
        identity = read_identity(directory)
        if identity is None or not 0 <= shard < identity.shards:
            raise ForeignStore(
                f"{directory} has no shard {shard}"
                + (f" (it has {identity.shards})" if identity else ": it holds no store"),
                "Give the directory that `denrei up --store` was given, and a shard it has",
            )
        self._identity = identity
        self._shard = shard
        self._path = shard_file(directory, shard)
        self._lock_path = lock_file(directory, shard)
        self.archive = ShardArchive(directory, identity, shard)

    def entries(
        self, from_seq: int = 1, *, from_ms: int | None = None, to_ms: int | None = None
    ) -> Iterator[Entry]:
        """The entries that are kept, in order, each once.

        Args:
            from_seq: Leaves out entries below it.
            from_ms: Leaves out entries whose time is before it.
            to_ms: Leaves out entries whose time is at it or after it.

        Raises:
            TornStore: An entry is changed, or missing between two others.
        """
        at, started = from_seq, False
        while True:
            size = 0
            try:
                for entry in self._piece(at, None if started else from_ms):
                    if started and entry.seq != at:
                        raise torn(self._path, f"entry {at} is missing, here and in the archive")
                    at, started, size = entry.seq + 1, True, size + 1
                    if (from_ms is None or entry.now_ms >= from_ms) and (
                        to_ms is None or entry.now_ms < to_ms
                    ):
                        yield entry
            except FileNotFoundError:  # Pruned meanwhile: go on with what is still kept.
                started, size = False, 1
            if size == 0:
                return

    def definitions(self) -> list[DefinitionRow]:
        """All versions of definitions that the shard was given, in the order in which it was."""

        def read(connection: apsw.Connection, _: State) -> list[DefinitionRow]:
            check_identity(connection, self._path, self._shard, self._identity)
            found: list[DefinitionRow] = []
            for *fields, crc in connection.execute(
                "SELECT workspace, version, seq, documents, crc FROM definition"
                " ORDER BY seq, workspace, version"
            ):
                row = DefinitionRow(*fields)
                if row_crc(f"{row.workspace}/{row.version}", row.seq, row.documents) != crc:
                    what = f"definitions {row.workspace} {row.version} were changed"
                    raise torn(self._path, what)
                found.append(row)
            return found

        return self._look(read)

    def _piece(self, at: int, from_ms: int | None) -> Iterator[Entry]:
        """Some entries from `at` on: the archive's, or else the next few of the journal."""
        for _, last, path in self.archive.files():
            if last < at:
                continue
            if from_ms is not None and self.archive.header(path).last_ms < from_ms:
                continue
            for entry in self.archive.read(path):
                if entry.seq >= at:
                    at = entry.seq + 1
                    yield entry
        entries = self._live(at)
        if entries and entries[0].seq > at and self.archive.last_seq >= at:
            yield from self._piece(at, None)  # They went into the archive since it was read.
        else:
            yield from entries

    def _live(self, at: int) -> list[Entry]:
        return self._look(lambda connection, state: self._read(connection, at, state))

    def _look(self, read: Callable[[apsw.Connection, State], Found]) -> Found:
        """Reads the shard's file in one snapshot."""
        # With a log SQLite shares the file with its owner. Without one the file is read as it is,
        # leaving no trace, under a lock that keeps an owner from starting in this moment.
        lock = None if wal_path(self._path).exists() else FileLock.share(self._lock_path)
        try:
            connection = open_connection(
                self._path,
                read_only=True,
                alone=lock is not None,
                cache_bytes=limits.STORE_READER_CACHE_BYTES,
            )
            try:
                with store_errors(self._path, "read"):
                    connection.execute("BEGIN")  # One snapshot for all of it.
                    state = read_state(connection, self._path)
                    if lock is not None and not state.closed:
                        raise log_missing(self._path)
                    return read(connection, state)
            finally:
                connection.close()
        finally:
            if lock is not None:
                lock.release()

    def _read(self, connection: apsw.Connection, at: int, state: State) -> list[Entry]:
        check_identity(connection, self._path, self._shard, self._identity)
        first = max(at, state.floor_seq + 1)
        crc = state.floor_crc
        rows: list[Any] = connection.execute(
            "SELECT seq, epoch, now_ms, mode, payload, crc FROM journal"
            " WHERE seq >= ? ORDER BY seq LIMIT ?",
            (first - 1, limits.STORE_ENTRIES_PER_READ),
        ).fetchall()
        if rows and rows[0][0] == first - 1:
            crc = rows.pop(0)[-1]
        entries = []
        for *fields, found_crc in rows:
            entry = Entry(*fields)
            check_entry(crc, first, entry, found_crc, self._path)
            entries.append(entry)
            crc = found_crc
            first += 1
        return entries
