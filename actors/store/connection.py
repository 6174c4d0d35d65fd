"""SQLite as every part of the store opens it: one place for versions, pragmas and error words.

Why this is safe: WAL with synchronous=FULL syncs the log before COMMIT returns, so what returned
is on the disk. Versions before 3.51.3 can lose commits when a log is reset under two connections,
so they are refused at import. Pages are checked cell by cell, and no schema is trusted.
Pages of 8 KiB were measured: rows of 0.8 kB that come in the order of their keys, as a sweep writes
them, cost 12 µs each (19 µs with 4 KiB), scattered ones the same with both. A longer log makes the
commit that copies it stall longer (12 ms for 4 MB, 50 ms for 16). What is deleted is overwritten
with zeros (secure_delete): who was erased is then not in free pages, either.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

import apsw

from actors.store.errors import DiskFull, StoreError, StoreLocked, TornStore, WriteFailed
from engine import limits

SQLITE_MINIMUM: Final = (3, 51, 3)
PAGE_BYTES: Final = 8192

if tuple(int(part) for part in apsw.sqlite_lib_version().split(".")) < SQLITE_MINIMUM:
    raise ImportError(
        f"SQLite {apsw.sqlite_lib_version()} can lose commits when its log is reset; "
        "install the apsw that requirements.lock names, which brings 3.51.3 or later"
    )


def open_connection(
    path: Path,
    *,
    create: bool = False,
    read_only: bool = False,
    alone: bool = False,
    page_bytes: int = PAGE_BYTES,
    cache_bytes: int = limits.STORE_CACHE_BYTES,
    mmap_bytes: int = limits.STORE_MMAP_BYTES,
    checkpoint_pages: int = limits.STORE_LOG_PAGES,
) -> apsw.Connection:
    """Opens a SQLite file with the settings that make its commits durable.

    A connection may be used from any thread, by one thread at a time.

    Args:
        path: The file.
        create: Make it if it is missing. Otherwise a missing file is an error.
        read_only: For readers beside a writer, also in another process.
        alone: Nobody writes while this reader is open (the caller has made sure of it), so the
            file is read as it is and nothing is made beside it.
        page_bytes: Used only when the file is made.
        cache_bytes: The most that this connection caches.
        mmap_bytes: How much of the file is read through a memory map.
        checkpoint_pages: A commit that leaves the log longer than this copies it into the file;
            0 for never (then call `wal_checkpoint`).

    Durability: each transaction is synced when its COMMIT returns.

    Raises:
        TornStore: The file is missing or no database.
        WriteFailed: The file cannot be opened for writing.
    """
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE
    if create:
        flags |= apsw.SQLITE_OPEN_CREATE
    elif not path.exists():
        raise TornStore(f"{path} is missing", "Restore it from a backup, whole, with its -wal file")
    with store_errors(path, "open"):
        name = f"{path.absolute().as_uri()}{'?immutable=1' if alone else ''}"
        connection = apsw.Connection(
            name, flags=flags | apsw.SQLITE_OPEN_URI, statementcachesize=50
        )
        connection.set_busy_timeout(limits.STORE_BUSY_MS)
        pragmas = [
            f"PRAGMA cache_size={-(cache_bytes // 1024)}",
            f"PRAGMA mmap_size={mmap_bytes}",
            "PRAGMA cell_size_check=ON",
            "PRAGMA trusted_schema=OFF",
            "PRAGMA temp_store=MEMORY",
        ]
        if not read_only:
            pragmas = [
                f"PRAGMA page_size={page_bytes}",
                "PRAGMA secure_delete=ON",
                "PRAGMA journal_mode=WAL",
                "PRAGMA synchronous=FULL",
                f"PRAGMA wal_autocheckpoint={checkpoint_pages}",
                f"PRAGMA journal_size_limit={limits.STORE_LOG_BYTES}",
                *pragmas,
            ]
        try:
            for pragma in pragmas:
                connection.execute(pragma).fetchall()
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """One write transaction: committed and synced at the end, rolled back if anything is raised."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            with suppress(apsw.Error):  # The first error is the one to tell.
                connection.execute("ROLLBACK")
        raise


@contextmanager
def store_errors(path: Path, doing: str) -> Iterator[None]:
    """Turns SQLite's errors and the system's into the family of errors.py.

    Args:
        path: The file, for the words.
        doing: A verb, for the words: "open", "commit to", "read".
    """
    try:
        yield
    except apsw.Error as error:
        raise translated(error, path, doing) from error
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        raise (DiskFull if full else WriteFailed)(
            f"cannot {doing} {path}: {error.strerror}",
            "Check the room on the disk and the permissions, then start again",
        ) from error


def translated(error: apsw.Error, path: Path, doing: str) -> StoreError:
    """The error of errors.py that tells a SQLite error in words."""
    said = f"cannot {doing} {path}: {error}"
    if isinstance(error, apsw.FullError):
        return DiskFull(said, "Make room on this disk (or give the archive less), then start again")
    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return TornStore(
            said, "The file is damaged: keep a copy of it and its -wal, and restore a backup"
        )
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return StoreLocked(said, "Another process has the file open for writing; end it first")
    if isinstance(error, apsw.ReadOnlyError | apsw.CantOpenError | apsw.PermissionsError):
        return WriteFailed(said, "Check the owner and the permissions of the store directory")
    return WriteFailed(said, "Check the disk (dmesg, smartctl), then start again")


def sync_directory(directory: Path) -> None:
    """Makes what was created, renamed or removed in a directory survive power loss."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Writes a file so that after a crash it is there whole, or not there.

    Args:
        path: The file.
        data: All of it.
        mode: Who may read and write it, less what the process's mask takes away.

    Durability: the file and its name are synced when this returns.
    """
    temporary = path.with_name(path.name + ".tmp")
    temporary.unlink(missing_ok=True)  # or it would keep the mode that it had
    with open(temporary, "wb", opener=partial(os.open, mode=mode)) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    sync_directory(path.parent)
