"""How a new owner takes a shard's file over: lock, look, and only then write.

The order is the proof. The lock comes first, so nobody else writes. Then everything is looked at
before anything is changed, so that a file which is refused is left exactly as it was found, log and
all. The new epoch is durable, and copied into the file itself, before the shard is served: from
then on the file says "open", so that a log that was later lost or not copied along is noticed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from actors.store.archive import ShardArchive
from actors.store.checks import torn
from actors.store.connection import open_connection, store_errors, transaction
from actors.store.errors import TornStore
from actors.store.identity import Identity
from actors.store.lock import FileLock
from actors.store.schema import (
    ERASURE_TABLE,
    STATE_WRITE,
    State,
    check_header,
    check_identity,
    check_journal,
    lock_file,
    read_state,
    shard_file,
)
from actors.store.wal import log_missing, synced_frames, wal_path

_NO_LOG: Final = -1


@dataclass(frozen=True, slots=True)
class Opened:
    """A shard's file in the hands of its owner."""

    path: Path
    lock: FileLock
    writer: apsw.Connection
    state: State


def take_over(
    directory: Path, shard: int, identity: Identity, archive: ShardArchive, wait_s: float
) -> Opened:
    """Locks a shard's file, checks all that can be checked quickly, and begins a new epoch.

    Durability: the new epoch is synced when this returns.

    Raises:
        StoreLocked: Its owner still lives after `wait_s`.
        ForeignStore: The file is not this shard of this store.
        TornStore: Something committed is missing or changed.
    """
    path = shard_file(directory, shard)
    lock = FileLock.acquire(lock_file(directory, shard), wait_s)
    try:
        return _take_over_locked(path, lock, shard, identity, archive)
    except BaseException:
        lock.release()
        raise


def _take_over_locked(
    path: Path, lock: FileLock, shard: int, identity: Identity, archive: ShardArchive
) -> Opened:
    if not path.exists():
        raise TornStore(
            f"{path} is missing; the store was created with it",
            "Restore it from a backup, whole, with its -wal file",
        )
    log = wal_path(path)
    log_bytes = log.stat().st_size if log.exists() else _NO_LOG
    check_header(path, max(log_bytes, 0))
    synced = synced_frames(log) if log_bytes > 0 else 0
    writer = open_connection(path, checkpoint_pages=0)
    try:
        # Until all is checked (and after a failed write) the log must stay as it was found.
        writer.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        with store_errors(path, "open"):
            check_identity(writer, path, shard, identity)
            state = read_state(writer, path)
            _check_log(writer, path, state, log_bytes, synced)
            check_journal(writer, path, state)
            _check_archive(path, state, archive)
            state = _begin_epoch(writer, path, state)
    except BaseException:
        writer.close()
        raise
    return Opened(path, lock, writer, state)


def _check_log(
    writer: apsw.Connection, path: Path, state: State, log_bytes: int, synced: int
) -> None:
    if log_bytes == _NO_LOG and not state.closed:
        raise log_missing(path)
    if synced < 0:
        raise torn(wal_path(path), "its header is damaged, with commits behind it")
    frames, _ = writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
    if max(frames, 0) < synced:
        raise torn(
            wal_path(path),
            f"is damaged at frame {max(frames, 0) + 1}, with synced commits up to frame {synced}",
        )


def _check_archive(path: Path, state: State, archive: ShardArchive) -> None:
    if archive.last_seq >= state.start_seq:
        raise torn(
            path,
            f"recovery starts at entry {state.start_seq}, but {archive.directory} has entries up to"
            f" {archive.last_seq}: this file is an older copy",
        )


def _begin_epoch(writer: apsw.Connection, path: Path, old: State) -> State:
    new = old._replace(epoch=old.epoch + 1, closed=0)
    with transaction(writer):
        writer.execute(ERASURE_TABLE)
        writer.execute(STATE_WRITE, (*new, new.crc(), old.epoch, old.last_seq))
        if writer.changes() != 1:
            raise torn(path, "its state changed while it was being opened")
    writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    return new
