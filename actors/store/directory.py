"""A store on one machine: a directory with an identity and one SQLite file a shard.

    denrei.json              who this store is (identity.py)
    shard-000.db, -wal       a shard's journal and state (schema.py)
    shard-000.lock           held by the process that owns the shard (lock.py)
    archive/shard-000/*.zst  passed journal entries (archive.py)
    control.db               API keys (keys.py)

A store is born whole: all shard files are made in a side directory, moved into place, and only then
is `denrei.json` written. So a shard file that is missing later is always a loss and never a
beginning, and a birth that was cut short can be begun again.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from actors.store.archive import DEFAULT_POLICY, ArchivePolicy, ShardArchive
from actors.store.connection import open_connection, store_errors, sync_directory
from actors.store.errors import ForeignStore, StoreError
from actors.store.identity import FILE_NAME, Identity, read_identity
from actors.store.lock import FileLock
from actors.store.schema import check_header, create_shard, read_state, shard_file
from actors.store.sqlite import SqliteShardStore
from actors.store.taking_over import take_over
from engine import limits

_BIRTH: Final = ".birth"


class SqliteStore:
    """All shards of a store directory. Made by `create` or `open`.

    Args:
        directory: The store's directory.
        identity: What `denrei.json` says.
        policy: What the archive keeps.
    """

    def __init__(
        self, directory: Path, identity: Identity, policy: ArchivePolicy = DEFAULT_POLICY
    ) -> None:
        self.directory = directory
        self.identity = identity
        self.policy = policy

    @property
    def store_id(self) -> str:
        """The store's random id."""
        return self.identity.store_id

    @property
    def shards(self) -> int:
        """How many shards it was created with."""
        return self.identity.shards

    @classmethod
    def create(
        cls,
        directory: Path,
        *,
        shards: int,
        store_id: str,
        created_ms: int,
        policy: ArchivePolicy = DEFAULT_POLICY,
        secret: str = "",
    ) -> SqliteStore:
        """Creates a store, or opens the one that is there.

        Args:
            directory: Made if it is missing.
            shards: How many shards, 1 to 1024; an existing store must have as many.
            store_id: A random id, used only at birth.
            created_ms: The time, used only at birth.
            policy: What the archive keeps.
            secret: Hexadecimal digits of a random secret, used only at birth; see
                `actors.store.identity`.

        Durability: everything is synced when this returns.

        Raises:
            ForeignStore: What is there is not a store with so many shards.
            StoreError: It cannot be created.
        """
        if not 1 <= shards <= limits.SLOTS:
            raise StoreError(
                f"a store cannot have {shards} shards", f"Choose 1 to {limits.SLOTS} shards"
            )
        with store_errors(directory, "create a store in"):
            directory.mkdir(parents=True, exist_ok=True)
            lock = FileLock.acquire(directory / "denrei.lock", limits.STORE_BIRTH_WAIT_S)
            try:
                identity = read_identity(directory)
                if identity is None:
                    identity = Identity.born(store_id, shards, created_ms, secret)
                    _bear(directory, identity)
            finally:
                lock.release()
        identity.check_shards(shards, directory)
        return cls(directory, identity, policy)

    @classmethod
    def open(cls, directory: Path, policy: ArchivePolicy = DEFAULT_POLICY) -> SqliteStore:
        """Opens the store that is in a directory.

        Raises:
            ForeignStore: There is none, or another denrei must read it.
        """
        identity = read_identity(directory)
        if identity is None:
            raise ForeignStore(
                f"{directory} holds no store: there is no {FILE_NAME} in it",
                "Give the directory of a store, or create one with `denrei up --store`",
            )
        return cls(directory, identity, policy)

    def archive(self, shard: int) -> ShardArchive:
        """The archive of a shard."""
        return ShardArchive(self.directory, self.identity, shard, self.policy)

    def open_shard(self, shard: int, wait_s: float) -> SqliteShardStore:
        """Takes a shard over; see `base.Store.open_shard`. Cost: about 10 ms."""
        if not 0 <= shard < self.shards:
            raise ForeignStore(
                f"{self.directory} has shards 0 to {self.shards - 1}, no shard {shard}",
                "Ask for a shard that the store was created with",
            )
        archive = self.archive(shard)
        opened = take_over(self.directory, shard, self.identity, archive, wait_s)
        try:
            return SqliteShardStore(shard, opened, archive, self.identity.key)
        except BaseException:
            opened.writer.close()
            opened.lock.release()
            raise


def _bear(directory: Path, identity: Identity) -> None:
    """Makes all files of a new store; `denrei.json` is the last."""
    _remove_unfinished(directory)
    side = directory / _BIRTH
    shutil.rmtree(side, ignore_errors=True)
    side.mkdir()
    for shard in range(identity.shards):
        create_shard(shard_file(side, shard), shard, identity)
    for shard in range(identity.shards):
        shard_file(side, shard).rename(shard_file(directory, shard))
    side.rmdir()
    sync_directory(directory)
    sync_directory(directory.parent)
    identity.write(directory)


def _remove_unfinished(directory: Path) -> None:
    """Removes what a birth that was cut short left: shard files that nobody ever opened."""
    for path in sorted(directory.glob("shard-*.db")):
        check_header(path, 0)
        connection = open_connection(path, read_only=True, alone=True)
        try:
            with store_errors(path, "read"):
                epoch = read_state(connection, path).epoch
        finally:
            connection.close()
        if epoch > 0:
            raise ForeignStore(
                f"{directory} holds {path.name}, which was in use, but no {FILE_NAME}",
                f"Restore {FILE_NAME} from a backup; it cannot be made again without knowing "
                "what the store was created as",
            )
        path.unlink()
