"""Looks into SQLite's write-ahead log for commits that SQLite would drop without a word.

When SQLite recovers a log it stops at the first frame whose checksum is wrong and takes the rest
as never committed. That is right for the torn end of a write that was never synced. It is wrong
for a log that was damaged later: acknowledged commits behind the damage would vanish in silence.
The two are told apart here. Each commit is synced before the next one begins, so a frame that
comes after a commit's last frame proves that this commit was synced. If such a commit lies behind
the place where SQLite stopped, it was acknowledged, and the store must not be opened.
"""

import os
from pathlib import Path
from struct import Struct
from typing import Final

from actors.store.checks import torn
from actors.store.errors import TornStore

_HEADER_BYTES: Final = 32
_HEADER: Final = Struct(">8I")
_FRAME_HEADER: Final = Struct(">4I")
_FRAME_HEADER_BYTES: Final = 24
_MAGIC: Final = (0x377F0682, 0x377F0683)


def wal_path(path: Path) -> Path:
    """The log of a database file."""
    return path.with_name(path.name + "-wal")


def log_missing(path: Path) -> TornStore:
    """The error of a file that says it was open, without the log it had then."""
    return torn(path, f"was open, and its log {wal_path(path).name} is missing")


def synced_frames(path: Path) -> int:
    """The frames of a log that were synced for certain; SQLite must find at least as many.

    Call it before SQLite opens the file (closing a descriptor of it later would drop its locks).

    Returns:
        The number of the last frame of the last commit that another frame of the same log follows;
        0 if there is none; -1 if the log's header is damaged, so that nothing of it can be read.

    Cost: one small read a frame, 1 ms for 1,000 frames.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        if size <= _HEADER_BYTES:
            return 0
        header = os.pread(descriptor, _HEADER_BYTES, 0)
        magic, _, page_bytes, _, salt_1, salt_2, sum_1, sum_2 = _HEADER.unpack(header)
        if magic not in _MAGIC or _header_checksum(header, magic) != (sum_1, sum_2):
            return -1 if any(header) else 0
        synced = last_commit = 0
        frame_bytes = _FRAME_HEADER_BYTES + page_bytes
        for frame in range(1, (size - _HEADER_BYTES) // frame_bytes + 1):
            at = _HEADER_BYTES + (frame - 1) * frame_bytes
            read = os.pread(descriptor, _FRAME_HEADER.size, at)
            _, commit, frame_salt_1, frame_salt_2 = _FRAME_HEADER.unpack(read)
            if (frame_salt_1, frame_salt_2) == (salt_1, salt_2):  # Else it is an older log's.
                synced = last_commit
                if commit:
                    last_commit = frame
        return synced
    finally:
        os.close(descriptor)


def _header_checksum(header: bytes, magic: int) -> tuple[int, int]:
    order = ">" if magic & 1 else "<"
    words = Struct(f"{order}6I").unpack(header[:24])
    sum_1 = sum_2 = 0
    for even, odd in zip(words[::2], words[1::2], strict=True):
        sum_1 = (sum_1 + even + sum_2) & 0xFFFFFFFF
        sum_2 = (sum_2 + odd + sum_1) & 0xFFFFFFFF
    return sum_1, sum_2
