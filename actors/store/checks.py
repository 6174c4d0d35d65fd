"""Checksums: how a changed, missing or misplaced record is found.

A disk that returns wrong data says nothing (about three in ten thousand do in a year), so every
record carries a CRC32. The one of a journal entry covers the one of the entry before it: an entry
that is missing, doubled or moved breaks the chain as surely as a changed byte does.
"""

from struct import Struct
from typing import Final
from zlib import crc32

from actors.store.base import Entry
from actors.store.errors import TornStore

_ENTRY_HEADER: Final = Struct(">IQQqB")
_ROW_HEADER: Final = Struct(">Q")


def entry_crc(previous_crc: int, entry: Entry) -> int:
    """The checksum of an entry that follows one with `previous_crc` (0 before the first).

    Cost: 0.7 µs for a payload of 600 bytes, 2.5 µs for 6 kB, 19 µs for 60 kB.
    """
    header = _ENTRY_HEADER.pack(previous_crc, entry.seq, entry.epoch, entry.now_ms, entry.mode)
    return crc32(entry.payload, crc32(header))


def row_crc(key: str, seq: int, data: bytes) -> int:
    """The checksum of a keyed record."""
    return crc32(data, crc32(key.encode(), crc32(_ROW_HEADER.pack(seq))))


def check_entry(
    previous_crc: int, expected_seq: int, entry: Entry, crc: int, where: object
) -> None:
    """Checks that an entry is the one that was written at its place.

    Raises:
        TornStore: It is not.
    """
    if entry.seq != expected_seq:
        raise torn(where, f"entry {expected_seq} is missing (entry {entry.seq} comes instead)")
    if entry_crc(previous_crc, entry) != crc:
        raise torn(where, f"entry {entry.seq} is not what was written")


def torn(where: object, what: str) -> TornStore:
    """The error of a record that is not as it was written."""
    return TornStore(
        f"{where}: {what}",
        "Keep a copy of the file and its -wal, then restore the store from a backup",
    )
