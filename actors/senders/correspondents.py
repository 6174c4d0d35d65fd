"""To whom addresses belong: the profile that a sender has last had a message to, by address.

A message that somebody sends us names an address, not a person. Most often the person is whoever we
have just written to there, and it is the sender that knows. So it notes that for lanes whose
carrier brings messages, in memory and, a moment later, in a file beside its ledger. A kill -9 loses
the last two seconds of that; an answer to a message of these then stays with the address until the
next message to it.

Addresses are kept as hashes (`actors.store.address_hash`). Whose they are has to be read, so when
somebody is erased the sender is told, and forgets the person; see `actors.telling`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, Final

import apsw

from actors.store.address_hash import AddressHash
from engine import limits
from engine.slots import ADDRESS, parse_key

_log = logging.getLogger("denrei.sender")
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS belongs (
    address TEXT PRIMARY KEY, owner TEXT NOT NULL, at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS belongs_oldest ON belongs (at_ms);
CREATE INDEX IF NOT EXISTS belongs_owner ON belongs (owner);
"""
# What files of earlier versions have, with addresses as they are.
_EARLIER: Final = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'owners'"
_TAKE_OVER: Final = """
INSERT OR REPLACE INTO belongs SELECT address_hash(address), owner, at_ms FROM owners;
DROP TABLE owners;
"""
_PUT: Final = """
INSERT INTO belongs VALUES (?, ?, ?)
ON CONFLICT (address) DO UPDATE SET owner = excluded.owner, at_ms = excluded.at_ms
"""
_GET: Final = "SELECT owner FROM belongs WHERE address = ?"
_ERASE: Final = "DELETE FROM belongs WHERE owner = ?"
_ERASE_ADDRESS: Final = "DELETE FROM belongs WHERE address = ?"
_FORGET: Final = """
DELETE FROM belongs WHERE address IN (
    SELECT address FROM belongs ORDER BY at_ms LIMIT max(0, (SELECT count(*) FROM belongs) - ?)
)
"""
_EVERY: Final = 100  # writes after each of which the oldest are forgotten


class Correspondents:
    """See the module's text.

    Args:
        path: The file; made with the first address that is noted.
        hash_: What addresses are kept as.
    """

    def __init__(self, path: Path, hash_: AddressHash) -> None:
        self._path = path
        self._hash = hash_.of
        self._known: dict[str, str] = {}
        self._new: dict[str, tuple[str, int]] = {}
        self._file: apsw.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="correspondents")
        self._writing: asyncio.Task[None] | None = None
        self._writes = 0

    def met(self, workspace: str, address: str, owner: str, at_ms: int) -> None:
        """A message to an address is an owner's. Cost: 0.3 µs for one that is known."""
        name = f"{workspace}/{address}"
        if self._known.get(name) == owner:
            return
        if len(self._known) >= limits.CORRESPONDENTS:
            # Many at a time: finding the oldest of a dict walks over all that were deleted there.
            for oldest in list(islice(self._known, 1 + limits.CORRESPONDENTS // 64)):
                del self._known[oldest]
        self._known[name] = owner
        self._new[name] = (owner, at_ms)
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write_soon())

    async def owner(self, workspace: str, address: str) -> str:
        """Whose key an address belongs to, as far as is known; else empty."""
        name = f"{workspace}/{address}"
        known = self._known.get(name)
        if known is not None:
            return known
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, self._read, name)
        except apsw.Error:
            _log.exception("%s can't be read", self._path)
            return ""

    async def forget(self, keys: Collection[str]) -> None:
        """Forgets people and addresses.

        Args:
            keys: Their entities.

        Raises:
            apsw.Error: The file can't be written; nothing is sure.

        Durability: Synced when it returns, and the file has no trace of them.
        Cost: 10 ms on the loop if as many are known as may be, however few are forgotten.
        """
        people = set(keys)
        names = [_name_of(key) for key in keys]
        names += [name for name, owner in self._known.items() if owner in people]
        names += [name for name, (owner, _) in self._new.items() if owner in people]
        for name in names:
            self._known.pop(name, None)
            self._new.pop(name, None)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._erase, people, names)

    async def close(self) -> None:
        """Writes what is new, and closes the file."""
        if self._writing is not None:
            self._writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._writing
        new, self._new = self._new, {}
        await asyncio.get_running_loop().run_in_executor(self._thread, self._end, new)
        self._thread.shutdown()

    async def _write_soon(self) -> None:
        try:
            while self._new:
                await asyncio.sleep(limits.CORRESPONDENTS_EVERY_S)
                new, self._new = self._new, {}
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._thread, self._write, new)
        except apsw.Error:
            _log.exception("%s can't be written", self._path)
        finally:
            self._writing = None

    # In the thread.

    def _end(self, new: dict[str, tuple[str, int]]) -> None:
        try:
            self._write(new)
        except apsw.Error:
            _log.exception("%s can't be written", self._path)
        if self._file is not None:
            self._file.close()

    def _write(self, new: dict[str, tuple[str, int]]) -> None:
        if not new:
            return
        file = self._opened()
        self._writes += 1
        with file:
            file.executemany(_PUT, [(self._hash(name), *value) for name, value in new.items()])
            if self._writes % _EVERY == 0:
                file.execute(_FORGET, (limits.CORRESPONDENTS_KEPT,))

    def _erase(self, people: Iterable[str], names: Iterable[str]) -> None:
        if self._file is None and not self._path.exists():
            return
        file = self._opened()
        with file:
            file.executemany(_ERASE, [(key,) for key in people])
            file.executemany(_ERASE_ADDRESS, [(self._hash(name),) for name in names])
        if self._path.stat().st_size <= limits.WIPE_BYTES:
            file.execute("VACUUM")  # or a piece of a row may lie in the unused middle of a page
        # Its log holds what was written before, and is not synced by each commit.
        file.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def _read(self, name: str) -> str:
        if self._file is None and not self._path.exists():
            return ""
        row = self._opened().execute(_GET, [self._hash(name)]).fetchone()
        return str(row[0]) if row else ""

    def _opened(self) -> apsw.Connection:
        if self._file is None:
            try:
                self._file = self._open()
            except (apsw.NotADBError, apsw.CorruptError):
                _log.exception("%s is damaged: it is begun anew", self._path)
                for end in ("", "-wal", "-shm"):
                    self._path.with_name(self._path.name + end).unlink(missing_ok=True)
                self._file = self._open()
        return self._file

    def _open(self) -> apsw.Connection:
        file = apsw.Connection(str(self._path))
        try:
            file.set_busy_timeout(limits.STORE_BUSY_MS)
            file.pragma("journal_mode", "wal")
            file.pragma("synchronous", "normal")  # what is lost is a hint
            file.pragma("secure_delete", True)
            for _ in file.execute(_SCHEMA):
                pass
            if file.execute(_EARLIER).fetchone():
                self._take_over(file)
        except BaseException:
            file.close()
            raise
        return file

    def _take_over(self, file: apsw.Connection) -> None:
        """Puts hashes where a file of an earlier version has addresses. Cost: 10 s a million."""

        def hash_of(*values: Any) -> str:
            return self._hash(str(values[0]))

        file.create_scalar_function("address_hash", hash_of, 1, deterministic=True)
        with file:
            for _ in file.execute(_TAKE_OVER):
                pass
        file.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def _name_of(key: str) -> str:
    """What an address is known by here; of a person's key, nothing that is known."""
    workspace, kind, id_ = parse_key(key)
    return f"{workspace}/{id_}" if kind == ADDRESS else ""
