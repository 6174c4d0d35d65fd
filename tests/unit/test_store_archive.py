"""The history of a shard comes back whole: from the archive, from the journal, each entry once."""

from pathlib import Path

import pytest

from actors.store.archive import ArchivePolicy, ShardArchive
from actors.store.base import Commit, Entry
from actors.store.directory import SqliteStore
from actors.store.errors import ForeignStore, TornStore
from actors.store.identity import Identity
from actors.store.reader import JournalReader
from actors.store.sqlite import SqliteShardStore
from tests.unit.store_helpers import create, entries

DAY_MS = 86_400_000
SMALL = ArchivePolicy(file_bytes=50)


def archived(directory: Path, policy: ArchivePolicy = SMALL) -> tuple[SqliteStore, int]:
    """A store with 30 entries, of which those below 21 have passed; how many were archived."""
    store = SqliteStore(directory, create(directory).identity, policy)
    shard = store.open_shard(0, 0)
    shard.commit(Commit(entries(1, 30), start_seq=21))
    moved = 0
    while count := shard.archive_passed():
        moved += count
    shard.close()
    return store, moved


def numbers(directory: Path, **bounds: int) -> list[int]:
    return [entry.seq for entry in JournalReader(directory, 0).entries(**bounds)]


def test_the_whole_history_of_a_closed_store(tmp_path: Path) -> None:
    _, moved = archived(tmp_path)
    assert 10 < moved <= 20
    assert list(JournalReader(tmp_path, 0).entries()) == entries(1, 30)
    assert list(JournalReader(tmp_path, 1).entries()) == []


def test_a_reader_leaves_a_closed_store_as_it_was(tmp_path: Path) -> None:
    archived(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.*")}
    list(JournalReader(tmp_path, 0).entries())
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.*")} == before


@pytest.mark.parametrize("from_seq", [1, 2, 10, 20, 21, 29, 30, 31])
def test_from_a_number_on(tmp_path: Path, from_seq: int) -> None:
    archived(tmp_path)
    assert numbers(tmp_path, from_seq=from_seq) == list(range(from_seq, 31))


@pytest.mark.parametrize(
    ("from_ms", "to_ms", "expected"),
    [
        (5_000, 8_000, [5, 6, 7]),
        (19_001, 23_000, [20, 21, 22]),
        (31_000, 99_000, []),
        (0, 1_000, []),
    ],
)
def test_between_two_times(tmp_path: Path, from_ms: int, to_ms: int, expected: list[int]) -> None:
    archived(tmp_path)
    assert numbers(tmp_path, from_ms=from_ms, to_ms=to_ms) == expected


def test_the_history_of_a_store_that_is_open_and_being_archived(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, create(tmp_path).identity, SMALL)
    shard = store.open_shard(0, 0)
    shard.commit(Commit(entries(1, 200), start_seq=201))
    history = JournalReader(tmp_path, 0).entries()
    found = [next(history)]
    while shard.archive_passed():  # Everything moves while the reader is on its way.
        found.append(next(history))
    shard.commit(Commit(entries(201, 50)))
    found.extend(history)
    assert found == entries(1, 250)
    shard.close()


def test_a_crash_between_the_archive_and_the_journal_shows_no_entry_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteStore(tmp_path, create(tmp_path).identity, SMALL)
    shard = store.open_shard(0, 0)
    shard.commit(Commit(entries(1, 30), start_seq=21))
    with monkeypatch.context() as patch:
        patch.setattr(SqliteShardStore, "_forget", lambda *_: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(MemoryError):
            shard.archive_passed()
    shard.close()
    in_both = store.archive(0).last_seq
    assert in_both > 0
    assert numbers(tmp_path) == list(range(1, 31))
    # The next owner makes larger files: archiving the same entries again would show.
    shard = SqliteStore(tmp_path, store.identity, ArchivePolicy(file_entries=15)).open_shard(0, 0)
    assert shard.archive_passed() == in_both
    assert len(store.archive(0).files()) == 1
    with pytest.raises(ValueError, match=f"starts at {in_both + 1}"):
        list(shard.journal(in_both))
    shard.close()
    assert numbers(tmp_path) == list(range(1, 31))


def test_too_little_to_move_waits(tmp_path: Path) -> None:
    _, moved = archived(tmp_path, ArchivePolicy())
    assert moved == 0
    _, moved = archived(tmp_path / "b", ArchivePolicy(file_entries=7))
    assert moved == 14


def archive_of(directory: Path, policy: ArchivePolicy, shards: int = 1) -> ShardArchive:
    return ShardArchive(directory, Identity("s", shards, 0), 0, policy)


def test_the_oldest_files_go_when_there_is_no_room(tmp_path: Path) -> None:
    probe = archive_of(tmp_path / "probe", ArchivePolicy())
    size = probe.append(entries(1, 10), 0).stat().st_size
    archive = archive_of(tmp_path, ArchivePolicy(keep_bytes=2 * (2 * size + size // 2)), shards=2)
    for first in (1, 11, 21, 31):
        archive.append(entries(first, 10), 0)
    assert [path.name[:12] for path in archive.prune(30)] == ["000000000001"]
    assert [path.name[:12] for path in archive.prune(40)] == ["000000000011"]
    assert archive.prune(40) == []
    assert [(first, last) for first, last, _ in archive.files()] == [(21, 30), (31, 40)]


def test_old_files_go_and_the_newest_stays(tmp_path: Path) -> None:
    archive = archive_of(tmp_path, ArchivePolicy(keep_days=2))
    for seq in range(1, 6):
        archive.append([Entry(seq, 1, seq * DAY_MS, 0, b"")], 0)
    assert len(archive.prune(5)) == 2
    assert archive.files()[0][0] == 3
    none = archive_of(tmp_path, ArchivePolicy(keep_days=0, keep_bytes=0))
    assert len(none.prune(5)) == 2
    assert none.last_seq == 5


def test_a_history_whose_beginning_was_pruned_starts_later(tmp_path: Path) -> None:
    store, _ = archived(tmp_path)
    first, last, path = store.archive(0).files()[0]
    path.unlink()
    assert first == 1
    assert numbers(tmp_path) == list(range(last + 1, 31))


def test_a_hole_in_the_archive_is_told(tmp_path: Path) -> None:
    store, _ = archived(tmp_path, ArchivePolicy(file_entries=5))
    store.archive(0).files()[1][2].unlink()
    with pytest.raises(TornStore, match="entry 6 is missing"):
        numbers(tmp_path)


def test_a_file_cut_short_or_changed_is_told(tmp_path: Path) -> None:
    store, _ = archived(tmp_path)
    path = store.archive(0).files()[0][2]
    whole = path.read_bytes()
    for at in range(0, len(whole), 3):
        path.write_bytes(whole[:at])
        with pytest.raises(TornStore, match=path.name):
            list(store.archive(0).read(path))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with pytest.raises((TornStore, ForeignStore), match=path.name):
            list(store.archive(0).read(path))


def test_another_shards_file_is_refused(tmp_path: Path) -> None:
    store, _ = archived(tmp_path)
    with pytest.raises(ForeignStore, match="belongs to shard 0"):
        list(store.archive(1).read(store.archive(0).files()[0][2]))


def test_what_a_crash_left_half_written_is_removed_and_never_read(tmp_path: Path) -> None:
    archive = archive_of(tmp_path, ArchivePolicy())
    archive.append(entries(1, 3), 0)
    half = archive.directory / "000000000004-000000000009.zst.tmp"
    half.write_bytes(b"half")
    assert archive.last_seq == 3
    archive.append(entries(4, 3), 0)
    assert not half.exists()


def test_a_file_is_plain_zstandard_behind_its_header(tmp_path: Path) -> None:
    archive = archive_of(tmp_path, ArchivePolicy())
    path = archive.append(entries(1, 3), 0)
    header = archive.header(path)
    assert (header.first_seq, header.last_seq, header.first_ms, header.last_ms) == (
        1,
        3,
        1000,
        3000,
    )
    assert path.read_bytes()[:4] == (0x184D2A5D).to_bytes(4, "little")
