"""The archive: journal entries that recovery no longer needs, in compressed files.

`archive/shard-000/000000000001-000000000250.zst` holds entries 1 to 250. A file is written under
another name, synced, renamed, and its directory synced, before the journal forgets the entries; so
a crash leaves them in the archive, in the journal, or in both, and never in neither. Each file
begins with a skippable zstd frame that holds its `Header`, so that a listing need not decompress
anything and `zstd -d` still reads it. The entries of a file are chained by their checksums as in
the journal; no chain runs across files, so one may be rewritten without the others. It is, when
people are erased: entry for entry, with other payloads, into a new file that takes its place.

Files are kept by days and by bytes, the oldest go first. Days are counted by the entries' own
times, against the newest entry of the archive: no clock is asked, so a replay of old events is kept
as long as a live stream is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from struct import Struct
from typing import Final
from zlib import crc32

import msgpack
import zstandard

from actors.store.base import Entry
from actors.store.checks import check_entry, entry_crc, torn
from actors.store.connection import sync_directory, write_atomically
from actors.store.errors import ForeignStore
from actors.store.identity import Identity
from engine import limits

FORMAT: Final = 1
# A rewritten file: with the number of the sweep, and with commands that stand for an erasure.
_REWRITTEN: Final = 2
_FRAME: Final = Struct("<III")  # zstd's skippable frame: magic, length; then a checksum.
_MAGIC: Final = 0x184D2A5D
_LEVEL: Final = 3
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Header:
    """What a file of the archive holds.

    Attributes:
        format: The version of the file's layout.
        store_id: The store it belongs to.
        shard: The shard it belongs to.
        first_seq: Its first entry.
        last_seq: Its last entry.
        first_ms: The earliest time of its entries.
        last_ms: The latest time of its entries.
        previous_crc: The checksum that the one of its first entry begins with.
        rewritten: The number of the sweep that has rewritten it last, or 0.
    """

    format: int
    store_id: str
    shard: int
    first_seq: int
    last_seq: int
    first_ms: int
    last_ms: int
    previous_crc: int
    rewritten: int = 0


@dataclass(frozen=True, slots=True)
class ArchivePolicy:
    """What is kept, and in what pieces.

    Attributes:
        keep_days: Files whose newest entry is older are removed.
        keep_bytes: The most that all files of the store take, in equal parts for its shards.
        file_bytes: A file is written once this many bytes of payload have passed,
        file_entries: or this many entries.
    """

    keep_days: float = limits.ARCHIVE_DAYS
    keep_bytes: int = limits.ARCHIVE_BYTES
    file_bytes: int = limits.ARCHIVE_FILE_BYTES
    file_entries: int = limits.ARCHIVE_FILE_ENTRIES


DEFAULT_POLICY: Final = ArchivePolicy()


class ShardArchive:
    """The archive of one shard, as its owner writes it and anyone reads it.

    Args:
        directory: The store's directory.
        identity: The store's identity; its id is checked in every file.
        shard: The shard's number.
        policy: What is kept.
    """

    def __init__(
        self,
        directory: Path,
        identity: Identity,
        shard: int,
        policy: ArchivePolicy = DEFAULT_POLICY,
    ) -> None:
        self.directory = directory / "archive" / f"shard-{shard:03d}"
        self.policy = policy
        self._store_id = identity.store_id
        self._shard = shard
        self._keep_ms = int(policy.keep_days * _DAY_MS)
        self._keep_bytes = policy.keep_bytes // identity.shards

    @property
    def last_seq(self) -> int:
        """The newest entry that it holds; 0 if it is empty."""
        files = self.files()
        return files[-1][1] if files else 0

    def files(self) -> list[tuple[int, int, Path]]:
        """Its files as `(first seq, last seq, path)`, oldest first."""
        found = []
        for path in self.directory.glob("*-*.zst"):
            first, _, last = path.stem.partition("-")
            if first.isdigit() and last.isdigit():
                found.append((int(first), int(last), path))
        return sorted(found)

    def append(self, entries: Sequence[Entry], previous_crc: int) -> Path:
        """Writes one file.

        Args:
            entries: Consecutive entries, the first of which follows `last_seq`. Not empty.
            previous_crc: The checksum of the entry before the first.

        Durability: the file and its name are synced when this returns.
        Cost: about 5 ms a megabyte.
        """
        times = [entry.now_ms for entry in entries]
        first, last = entries[0].seq, entries[-1].seq
        header = Header(
            FORMAT, self._store_id, self._shard, first, last, min(times), max(times), previous_crc
        )
        self._prepare_directory()
        path = self.directory / f"{first:012d}-{last:012d}.zst"
        write_atomically(path, _packed(header, entries))
        return path

    def to_rewrite(self, sweep: int, upto: int) -> list[Path]:
        """The files that hold entries up to `upto` and that a sweep has not rewritten."""
        return [
            path
            for first, _, path in self.files()
            if first <= upto and self.header(path).rewritten < sweep
        ]

    def rewrite(self, path: Path, sweep: int, change: Callable[[Entry], bytes]) -> None:
        """Writes a file anew; see `ShardStore.rewrite_next`. Cost: 10 ms a megabyte."""
        header = self.header(path)
        entries = [replace(entry, payload=change(entry)) for entry in self.read(path)]
        new = replace(header, format=_REWRITTEN, rewritten=sweep)
        write_atomically(path, _packed(new, entries))

    def _prepare_directory(self) -> None:
        for cut_short in self.directory.glob("*.tmp"):
            cut_short.unlink()
        if not self.directory.exists():
            self.directory.mkdir(parents=True)
            sync_directory(self.directory.parent)
            sync_directory(self.directory.parent.parent)

    def prune(self, newest_seq: int) -> list[Path]:
        """Removes what is too old or too much, the oldest first; never the newest file.

        Args:
            newest_seq: Only files up to this entry are looked at.

        Returns:
            The files that it removed.
        """
        files = [file for file in self.files() if file[1] <= newest_seq]
        if not files:
            return []
        sizes = {path: path.stat().st_size for _, _, path in files}
        newest_ms = self.header(files[-1][2]).last_ms
        total = sum(sizes.values())
        removed = []
        for _, _, path in files[:-1]:
            too_old = self.header(path).last_ms < newest_ms - self._keep_ms
            if total <= self._keep_bytes and not too_old:
                break
            path.unlink()
            total -= sizes[path]
            removed.append(path)
        if removed:
            sync_directory(self.directory)
        return removed

    def header(self, path: Path) -> Header:
        """The header of a file. Cost: one small read.

        Raises:
            TornStore: It is no file of an archive, or a damaged one.
            ForeignStore: It is another store's or shard's, or a newer denrei wrote it.
        """
        with path.open("rb") as file:
            return self._parse_header(file.read(4096), path)[0]

    def _parse_header(self, data: bytes, path: Path) -> tuple[Header, int]:
        """The header, and where the entries begin."""
        try:
            magic, size, crc = _FRAME.unpack_from(data)
            start = _FRAME.size + size - 4
            head = data[_FRAME.size : start]
            if magic != _MAGIC or crc32(head) != crc:
                raise ValueError("it is not what was written")
            fields = msgpack.unpackb(head)
            if fields[0] > _REWRITTEN:
                raise ForeignStore(
                    f"{path} has format {fields[0]}; this denrei reads formats up to {_REWRITTEN}",
                    "Install the denrei that wrote it, or a newer one",
                )
            header = Header(*fields)
        except ForeignStore:
            raise
        except Exception as error:  # Whatever damage makes of it, it is one thing: torn.
            raise torn(path, f"has no readable header ({error})") from error
        if (header.store_id, header.shard) != (self._store_id, self._shard):
            raise ForeignStore(
                f"{path} belongs to shard {header.shard} of store {header.store_id}",
                "Move it to the archive it came from",
            )
        return header, start

    def read(self, path: Path) -> Iterator[Entry]:
        """The entries of one file, each checked against the one before it.

        Raises:
            TornStore: The file is damaged.
            ForeignStore: It is another store's or shard's.
            FileNotFoundError: It was pruned meanwhile.
        """
        data = path.read_bytes()
        header, start = self._parse_header(data, path)
        try:
            raw = zstandard.ZstdDecompressor().decompress(data[start:])
        except zstandard.ZstdError as error:
            raise torn(path, f"cannot be decompressed ({error})") from error
        unpacker = msgpack.Unpacker(max_buffer_size=max(len(raw), 1))
        unpacker.feed(raw)
        crc, seq = header.previous_crc, header.first_seq
        for *fields, found_crc in unpacker:
            entry = Entry(*fields)
            check_entry(crc, seq, entry, found_crc, path)
            yield entry
            crc = found_crc
            seq += 1
        if seq != header.last_seq + 1:
            raise torn(path, f"ends at entry {seq - 1}, not at {header.last_seq}")


def _packed(header: Header, entries: Sequence[Entry]) -> bytes:
    """A file. The header of one that was never rewritten is as every denrei reads it."""
    crc = header.previous_crc
    packed = []
    for entry in entries:
        crc = entry_crc(crc, entry)
        packed.append(msgpack.packb((*astuple(entry), crc)))
    fields = astuple(header)
    head = msgpack.packb(fields if header.rewritten else fields[:-1])
    body = zstandard.ZstdCompressor(_LEVEL, write_checksum=True).compress(b"".join(packed))
    file: bytes = _FRAME.pack(_MAGIC, 4 + len(head), crc32(head)) + head + body
    return file
