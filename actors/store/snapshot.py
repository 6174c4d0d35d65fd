"""Reads of a shard's file, beside the connection that writes it.

A load costs half as much if the read transaction stays open from one to the next (SQLite then takes
no locks). But a snapshot that stays open hides newer commits, and keeps the log from starting
again. So the writer ends it: once before it writes, so that the log can restart, and once after, so
that the next load sees the commit. A load never waits for a commit, only for that moment.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Final

import apsw

from actors.store.checks import row_crc, torn
from actors.store.connection import open_connection
from actors.store.errors import StoreError
from engine import limits

_LOAD: Final = "SELECT seq, crc, data FROM entity WHERE key = ?"


class SnapshotReader:
    """A read-only connection to a shard's file.

    Args:
        path: The file.
        cache_bytes: The most that it caches. (Each commit empties the cache.)
    """

    def __init__(self, path: Path, cache_bytes: int = limits.STORE_CACHE_BYTES) -> None:
        self._path = path
        self._connection = open_connection(path, read_only=True, cache_bytes=cache_bytes)
        self._lock = threading.Lock()
        self._open = False

    def load(self, key: str) -> tuple[int, bytes] | None:
        """An entity's `(seq, data)` as of the last commit, or None.

        Cost: 5 to 9 µs from the cache (a quiet and a busy machine), 20 to 29 µs for the first touch
        of a page after a commit.

        Raises:
            TornStore: It is not what was written.
        """
        try:
            with self._lock:
                if not self._open:
                    self._connection.execute("BEGIN")
                    self._open = True
                # `get` takes the whole answer at once: 1 µs less than `fetchone`.
                row = self._connection.execute(_LOAD, (key,)).get
        except apsw.Error as error:
            raise self._failed(error) from error
        if row is None:
            return None
        seq, crc, data = row
        if row_crc(key, seq, data) != crc:
            raise torn(self._path, f"entity {key} is not what was written")
        return seq, data

    def fetch(self, sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """All rows of a query, as of the last commit."""
        try:
            with self._lock:
                return self._connection.execute(sql, values).fetchall()
        except apsw.Error as error:
            raise self._failed(error) from error

    def end(self) -> None:
        """Ends the snapshot. Called by the writer, before and after it writes."""
        with self._lock:
            if self._open:
                self._connection.execute("COMMIT")
                self._open = False

    def close(self) -> None:
        """Closes the connection."""
        with self._lock:
            self._connection.close()

    def _failed(self, error: apsw.Error) -> StoreError:
        if isinstance(error, apsw.CorruptError | apsw.NotADBError):
            return torn(self._path, str(error))
        return StoreError(f"cannot read {self._path}: {error}", "Check the disk, then start again")
