"""To whom addresses belong: the profile that a sender has last had a message to, by address.

A message that somebody sends us names an address, not a person. Most often the person is whoever we
have just written to there, and it is the sender that knows. So it notes that for lanes whose
carrier brings messages, in memory and, a moment later, in a file beside its ledger. A kill -9 loses
the last two seconds of that; an answer to a message of these then stays with the address until the
next message to it.
"""

import asyncio
import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import apsw

from engine import limits

_log = logging.getLogger("denrei.sender")
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS owners (
    address TEXT PRIMARY KEY, owner TEXT NOT NULL, at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS oldest ON owners (at_ms);
"""
_PUT: Final = """
INSERT INTO owners VALUES (?, ?, ?)
ON CONFLICT (address) DO UPDATE SET owner = excluded.owner, at_ms = excluded.at_ms
"""
_GET: Final = "SELECT owner FROM owners WHERE address = ?"
_FORGET: Final = """
DELETE FROM owners WHERE address IN (
    SELECT address FROM owners ORDER BY at_ms LIMIT max(0, (SELECT count(*) FROM owners) - ?)
)
"""
_EVERY: Final = 100  # writes after each of which the oldest are forgotten


class Correspondents:
    """See the module's text.

    Args:
        path: The file; made with the first address that is noted.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
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
            del self._known[next(iter(self._known))]
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

    async def close(self) -> None:
        """Writes what is new, and closes the file."""
        if self._writing is not None:
            self._writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._writing
        await asyncio.get_running_loop().run_in_executor(self._thread, self._end)
        self._thread.shutdown()

    async def _write_soon(self) -> None:
        try:
            while self._new:
                await asyncio.sleep(limits.CORRESPONDENTS_EVERY_S)
                await asyncio.get_running_loop().run_in_executor(self._thread, self._write)
        except apsw.Error:
            _log.exception("%s can't be written", self._path)
        finally:
            self._writing = None

    # In the thread.

    def _end(self) -> None:
        try:
            self._write()
        except apsw.Error:
            _log.exception("%s can't be written", self._path)
        if self._file is not None:
            self._file.close()

    def _write(self) -> None:
        new, self._new = self._new, {}
        if not new:
            return
        file = self._opened()
        self._writes += 1
        with file:
            file.executemany(_PUT, [(name, *value) for name, value in new.items()])
            if self._writes % _EVERY == 0:
                file.execute(_FORGET, (limits.CORRESPONDENTS_KEPT,))

    def _read(self, name: str) -> str:
        if self._file is None and not self._path.exists():
            return ""
        row = self._opened().execute(_GET, [name]).fetchone()
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
            for _ in file.execute(_SCHEMA):
                pass
        except BaseException:
            file.close()
            raise
        return file
