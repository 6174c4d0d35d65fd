"""Tables in a store: one file for the rows of each upload, found by its hash, read by memory map.

    tables/<workspace>/<sha-256 of the file>.table

A file is written whole, synced and moved into place before anybody hears of its hash, and never
changes. So all hosts of a node share the pages that the system keeps of it, and a replay reads what
was read then.

    header   8 bytes of magic, the number of rows, of places in the index, and where that begins
    rows     the length of the key and of the row, 4 bytes each; the key; the row, a msgpack map
    index    for each place the offset of a row, or 0; a row is at the place of its key's hash, or
             at the next free one

At most half of the places are taken, so a look-up takes one or two probes.

What nobody can ask for any more is deleted: files that no kept version of the definitions names and
that are older than what the archive keeps. So replays, backtests and the past of a profile find the
rows that there were.
"""

import hashlib
import logging
import mmap
import os
import struct
import time
from array import array
from collections import OrderedDict
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from xxhash import xxh3_64_intdigest

from engine import limits
from engine.packing import pack
from engine.tables.source import TablesUnreadable, missing

_log = logging.getLogger("denrei.store")
_MAGIC: Final = b"DENREIT1"
_HEADER: Final = struct.Struct("<8sQQQ")
_LENGTHS: Final = struct.Struct("<II")


class TableRefused(ValueError):
    """Rows that are no table; the text says which, and why."""


class Written(NamedTuple):
    """A file that was written."""

    content: str
    rows: int
    size_bytes: int


class TableFile:
    """A file of rows, open for reading; see the module's text."""

    __slots__ = ("_index", "_map", "_mask", "_rows", "count")

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        magic, self.count, places, at = _HEADER.unpack_from(self._map)
        if magic != _MAGIC or at + 8 * places != len(self._map):
            msg = "it is no table, or a part of one"
            raise ValueError(msg)
        self._mask = places - 1
        self._rows = at
        self._index = memoryview(self._map)[at:].cast("Q")

    def row(self, key: str) -> bytes | None:
        """The row with a key. Cost: 1 µs."""
        raw = key.encode()
        mask, index, map_ = self._mask, self._index, self._map
        place = xxh3_64_intdigest(raw) & mask
        while offset := index[place]:
            key_bytes, row_bytes = _LENGTHS.unpack_from(map_, offset)
            start = offset + 8
            end = start + key_bytes
            if map_[start:end] == raw:
                return map_[end : end + row_bytes]
            place = (place + 1) & mask
        return None

    def rows(self, offset: int = 0) -> Iterator[tuple[int, bytes]]:
        """Rows in the order of the upload, each with where the next begins; from an offset on."""
        at = offset or _HEADER.size
        while at + _LENGTHS.size <= self._rows:  # what fills up to the index is less
            key_bytes, row_bytes = _LENGTHS.unpack_from(self._map, at)
            start = at + 8 + key_bytes
            at = start + row_bytes
            yield at, self._map[start:at]


class TableWriter:
    """Writes a file of rows: `add` each, then `finish`; or `abandon`.

    Args:
        directory: The folder of the workspace's tables; made if it is missing.
        key: The column of the key.
        columns: All columns; a row may lack some, and has no others.
    """

    def __init__(self, directory: Path, key: str, columns: Collection[str]) -> None:
        if not directory.exists():
            directory.mkdir(parents=True, exist_ok=True)
            _sync(directory.parent)
            _sync(directory.parent.parent)
        self._directory = directory
        self._path = directory / f".{os.getpid()}-{time.monotonic_ns()}.part"
        self._key = key
        self._columns = frozenset(columns)
        self._file = self._path.open("wb+")
        self._file.write(bytes(_HEADER.size))
        self._at = _HEADER.size
        self._hashes = array("Q")
        self._offsets = array("Q")
        self._keys: set[bytes] = set()

    def add(self, row: dict[str, object]) -> None:
        """Adds a row.

        Raises:
            TableRefused: It has no key, one that was there, or other columns; or it is too large.
        """
        where = f"row {len(self._offsets) + 1}"
        for name in row:
            if name not in self._columns:
                raise TableRefused(f"{where} has a column {name!r}, which the table has not")
        key = _key_text(row.get(self._key))
        if not key:
            what = f"{where} has no key: {self._key!r} must be a text of at most"
            raise TableRefused(f"{what} {limits.ID_CHARS} characters, or a number")
        raw = key.encode()
        if raw in self._keys:
            raise TableRefused(f"{where}: there are two rows with the key {key!r}")
        try:
            packed = pack(row)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise TableRefused(f"{where} ({key!r}) cannot be kept: {error}") from None
        if len(packed) > limits.TABLE_ROW_BYTES:
            what = f"{where} ({key!r}) has {len(packed)} bytes, more than"
            raise TableRefused(f"{what} {limits.TABLE_ROW_BYTES}")
        if len(self._offsets) >= limits.TABLE_ROWS:
            raise TableRefused(f"there are more than {limits.TABLE_ROWS} rows")
        self._keys.add(raw)
        self._hashes.append(xxh3_64_intdigest(raw))
        self._offsets.append(self._at)
        self._file.write(_LENGTHS.pack(len(raw), len(packed)) + raw + packed)
        self._at += 8 + len(raw) + len(packed)
        if self._at > limits.TABLE_BYTES:
            raise TableRefused(f"the rows have more than {limits.TABLE_BYTES} bytes")

    def finish(self) -> Written:
        """Writes the index and moves the file into place.

        Durability: The file and its place are synced when it returns.
        """
        count = len(self._offsets)
        places = 1 << max(3, (2 * count).bit_length())
        index = array("Q", bytes(8 * places))
        for hash_, offset in zip(self._hashes, self._offsets, strict=True):
            place = hash_ & (places - 1)
            while index[place]:
                place = (place + 1) & (places - 1)
            index[place] = offset
        padding = -self._at % 8
        self._file.write(bytes(padding))
        at = self._at + padding
        self._file.write(index.tobytes())
        self._file.seek(0)
        self._file.write(_HEADER.pack(_MAGIC, count, places, at))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.seek(0)
        content = hashlib.file_digest(self._file, "sha256").hexdigest()
        self._file.close()
        self._path.rename(self._directory / f"{content}.table")
        _sync(self._directory)
        return Written(content, count, at + 8 * places)

    def abandon(self) -> None:
        """Leaves nothing behind."""
        self._file.close()
        self._path.unlink(missing_ok=True)


class TableFiles:
    """The tables of a store; see `engine.tables.source.Tables`.

    Args:
        store: The store's directory.
    """

    def __init__(self, store: Path) -> None:
        self._root = store / "tables"
        self._open: OrderedDict[tuple[str, str], TableFile] = OrderedDict()

    def folder(self, workspace: str) -> Path:
        """Where a workspace's files are."""
        return self._root / quote(workspace, safe="").replace(".", "%2E")  # none is `..`

    def row(self, workspace: str, content: str, key: str) -> bytes | None:
        """See `Tables`. Cost: 1.5 µs, once the file is open."""
        file = self._open.get((workspace, content))
        return (file or self.file(workspace, content)).row(key)

    def file(self, workspace: str, content: str) -> TableFile:
        """A file of rows; it stays open.

        Raises:
            TableMissing: There is none, or what there is is damaged: then its rows are lost.
            TablesUnreadable: The machine cannot open it now.
        """
        name = (workspace, content)
        file = self._open.get(name)
        if file is None:
            path = self.folder(workspace) / f"{content}.table"
            try:
                file = TableFile(path)
            except FileNotFoundError:
                raise missing(content) from None
            except OSError as error:
                msg = f"{path} cannot be read: {error}"
                raise TablesUnreadable(msg) from None
            except (ValueError, struct.error) as error:
                _log.error("%s is damaged: %s", path, error)
                raise missing(content) from None
            self._open[name] = file
            if len(self._open) > limits.TABLES_OPEN:
                self._open.popitem(last=False)
        return file

    def touch(self, workspace: str, content: str) -> None:
        """Notes that rows are current still; they are kept from now on as long as the archive."""
        with suppress(OSError):
            os.utime(self.folder(workspace) / f"{content}.table")

    def sweep(self, workspace: str, kept: Collection[str], older_than_s: float) -> int:
        """Deletes files that nobody can ask for any more; returns how many.

        Args:
            workspace: Whose.
            kept: The contents that kept versions of definitions name.
            older_than_s: Unix time: files that were written later stay.
        """
        gone = 0
        for path in sorted(self.folder(workspace).glob("*")):
            if path.stem not in kept and path.stat().st_mtime < older_than_s:
                path.unlink(missing_ok=True)
                gone += 1
        return gone


def _key_text(value: object) -> str:
    """A key as a text: that of `engine.journeys.context.text_of`."""
    from engine.journeys.context import text_of  # noqa: PLC0415 - steps import what we import

    return text_of(value)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
