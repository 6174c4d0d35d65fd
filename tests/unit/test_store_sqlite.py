"""A shard's store keeps what was committed, refuses what is not its own, and says why."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from actors.store import connection, lock
from actors.store.archive import ArchivePolicy
from actors.store.base import Commit, DefinitionRow, EntityRow, Entry, ShardStore, Store
from actors.store.directory import SqliteStore
from actors.store.errors import DiskFull, Fenced, StoreError, StoreLocked, TornStore, WriteFailed
from actors.store.memory import MemoryStore
from actors.store.sqlite import SqliteShardStore
from actors.store.wal import wal_path
from engine import limits
from tests.unit.store_helpers import create, entries, row


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Both implementations of the interface must pass what is asked of the interface."""
    return create(tmp_path) if request.param == "sqlite" else MemoryStore(shards=2)


@pytest.fixture
def shard(store: Store) -> Iterator[ShardStore]:
    opened = store.open_shard(0, 0)
    yield opened
    opened.close()


def test_a_new_shard_is_empty(shard: ShardStore) -> None:
    assert (shard.shard, shard.epoch, shard.start_seq, shard.last_seq) == (0, 1, 1, 0)
    assert list(shard.journal(1)) == []
    assert shard.load("w/user/u") is None
    assert (list(shard.due()), list(shard.pending()), shard.segment_counts()) == ([], [], {})
    assert shard.definitions() == []
    assert shard.scan("", 10) == []


def test_committed_entries_come_back_in_order_to_the_next_owner(store: Store) -> None:
    first = store.open_shard(0, 0)
    first.commit(Commit(entries(1, 40)))
    first.commit(Commit(entries(41, 1)))
    first.close()
    second = store.open_shard(0, 0)
    assert second.epoch == 2
    assert list(second.journal(1)) == entries(1, 41)
    assert list(second.journal(40)) == entries(40, 2)
    second.close()


def test_rows_are_written_changed_and_deleted(shard: ShardStore) -> None:
    shard.commit(Commit(entries(1, 1), [row("b", data=b"1"), row("a", data=b"2")]))
    shard.commit(Commit(entries(2, 1), [row("b", seq=2, data=b"3"), row("a", data=None)]))
    assert shard.load("b") == (2, b"3")
    assert shard.load("a") is None


def test_of_two_rows_with_one_key_the_last_counts(shard: ShardStore) -> None:
    shard.commit(Commit(rows=[row("a", data=None), row("a", data=b"x")]))
    assert shard.load("a") == (0, b"x")
    shard.commit(Commit(rows=[row("a", data=b"y"), row("a", data=None)]))
    assert shard.load("a") is None


def test_what_start_up_asks_for(shard: ShardStore) -> None:
    shard.commit(
        Commit(
            rows=[
                EntityRow("w/user/a", 1, 0, 50, False, "w/vip\nw/new", b"a"),
                EntityRow("w/user/b", 2, 0, None, True, "w/vip", b"b"),
                EntityRow("w/user/c", 3, 0, 0, True, "", b"c"),
            ]
        )
    )
    assert sorted(shard.due()) == [("w/user/a", 50), ("w/user/c", 0)]
    assert sorted(shard.pending()) == ["w/user/b", "w/user/c"]
    assert shard.segment_counts() == {"w/new": 1, "w/vip": 2}
    assert shard.scan("w/user/a", 1) == [("w/user/b", 0, b"b")]
    assert [key for key, _, _ in shard.scan("", 10)] == ["w/user/a", "w/user/b", "w/user/c"]


def test_definitions_are_only_added(shard: ShardStore) -> None:
    one, two = DefinitionRow("w", 1, 5, b"one"), DefinitionRow("w", 2, 6, b"two")
    shard.commit(Commit(definitions=[two]))
    shard.commit(Commit(definitions=[one, two]))  # A replay writes them again.
    assert shard.definitions() == [one, two]
    with pytest.raises(TornStore, match="w"):
        shard.commit(Commit(definitions=[DefinitionRow("w", 2, 6, b"other")]))


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param([Entry(2, 1, 0, 0, b"")], id="leaves a number out"),
        pytest.param([Entry(0, 1, 0, 0, b"")], id="goes back"),
        pytest.param([Entry(1, 2, 0, 0, b"")], id="another epoch"),
        pytest.param([Entry(1, 1, 0, 0, b""), Entry(1, 1, 0, 0, b"")], id="twice"),
    ],
)
def test_entries_that_do_not_follow_are_fenced(shard: ShardStore, wrong: list[Entry]) -> None:
    with pytest.raises(Fenced, match="nothing was written"):
        shard.commit(Commit(wrong))
    with pytest.raises(WriteFailed, match="poisoned"):
        shard.commit(Commit(entries(1, 1)))
    with pytest.raises(WriteFailed, match="poisoned"):
        shard.load("a")


@pytest.mark.parametrize("start_seq", [0, 4])
def test_start_seq_must_lie_within_the_journal(shard: ShardStore, start_seq: int) -> None:
    shard.commit(Commit(entries(1, 1)))
    with pytest.raises(ValueError, match="start_seq"):
        shard.commit(Commit(entries(2, 1), start_seq=start_seq))
    shard.commit(Commit(entries(2, 1), start_seq=3))
    assert (shard.start_seq, shard.last_seq) == (3, 2)
    with pytest.raises(ValueError, match="start_seq"):
        shard.commit(Commit(start_seq=2))


def test_a_closed_shard_answers_nothing(store: Store) -> None:
    shard = store.open_shard(0, 0)
    shard.close()
    shard.close()
    with pytest.raises(StoreError, match="closed"):
        shard.commit(Commit(entries(1, 1)))
    with pytest.raises(StoreError, match="closed"):
        shard.load("a")


def test_an_owner_that_lost_its_shard_without_noticing_writes_nothing(tmp_path: Path) -> None:
    store = create(tmp_path)
    old = store.open_shard(0, 0)
    old.commit(Commit(entries(1, 1)))
    (tmp_path / "shard-000.lock").unlink()  # What no one should do: now two own the file.
    new = store.open_shard(0, 0)
    with pytest.raises(Fenced, match="newer epoch"):
        old.commit(Commit(entries(2, 1), [row("a", data=b"zombie")], start_seq=2))
    assert new.load("a") is None
    new.commit(Commit([Entry(2, 2, 9, 0, b"new")]))
    assert [entry.payload for entry in new.journal(2)] == [b"new"]
    new.close()
    old.close()


def test_a_replaced_owner_that_closes_does_not_mark_the_file_whole(tmp_path: Path) -> None:
    store = create(tmp_path)
    old = store.open_shard(0, 0)
    (tmp_path / "shard-000.lock").unlink()
    new = store.open_shard(0, 0)
    with pytest.raises(Fenced):
        old.close()
    new.commit(Commit(entries(1, 1, epoch=2)))
    new.close()
    store.open_shard(0, 0).close()


def test_an_owner_in_memory_is_fenced_by_the_next() -> None:
    store = MemoryStore(shards=1)
    old = store.open_shard(0)
    new = store.open_shard(0)
    with pytest.raises(Fenced):
        old.commit(Commit(entries(1, 1)))
    new.crash()
    with pytest.raises(WriteFailed, match="crashed"):
        list(new.journal(1))
    assert store.open_shard(0).epoch == 3


def test_a_locked_shard_names_its_holder(tmp_path: Path) -> None:
    store = create(tmp_path)
    shard = store.open_shard(0, 0)
    with pytest.raises(StoreLocked, match=f"held by process {os.getpid()}"):
        store.open_shard(0, 0)
    store.open_shard(1, 0).close()
    shard.close()
    store.open_shard(0, 0).close()


def test_a_successor_waits_for_the_death_of_the_owner(tmp_path: Path) -> None:
    store = create(tmp_path)
    shard = store.open_shard(0, 0)
    opened: list[ShardStore] = []
    waiter = threading.Thread(target=lambda: opened.append(store.open_shard(0, 30)))
    waiter.start()
    shard.close()
    waiter.join()
    assert opened[0].epoch == 2
    opened[0].close()


def test_a_lock_on_a_file_that_was_removed_meanwhile_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, try_lock = tmp_path / "x.lock", lock._try_lock

    def removed_first(descriptor: int, kind: int) -> bool:
        monkeypatch.undo()
        path.unlink()
        return try_lock(descriptor, kind)

    monkeypatch.setattr(lock, "_try_lock", removed_first)
    held = lock.FileLock.acquire(path, 30)
    with pytest.raises(StoreLocked):
        lock.FileLock.acquire(path, 0)
    held.release()


def test_loads_see_each_commit_and_the_log_stays_short(tmp_path: Path) -> None:
    shard = create(tmp_path).open_shard(0, 0)
    for seq in range(1, 120):
        shard.commit(
            Commit([Entry(seq, 1, seq, 0, os.urandom(60_000))], [row("a", data=b"%d" % seq)])
        )
        assert shard.load("a") == (0, b"%d" % seq)
    pages = wal_path(tmp_path / "shard-000.db").stat().st_size / connection.PAGE_BYTES
    assert pages < 2 * limits.STORE_LOG_PAGES
    shard.close()


def test_a_load_during_a_commit_sees_the_old_state_and_one_after_it_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = create(tmp_path).open_shard(0, 0)
    shard.commit(Commit(rows=[row("a", data=b"old")]))
    during = []
    write = shard._write_definitions

    def load_and_write(commit: Commit) -> None:
        during.append(shard.load("a"))
        write(commit)

    monkeypatch.setattr(shard, "_write_definitions", load_and_write)
    shard.commit(Commit(rows=[row("a", data=b"new")]))
    assert during == [(0, b"old")]
    assert shard.load("a") == (0, b"new")
    shard.close()


def test_loads_while_the_log_is_copied_do_not_let_it_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = create(tmp_path).open_shard(0, 0)
    end, seen = shard._reader.end, [0]

    def end_and_load() -> None:
        end()
        if shard.last_seq != seen[0]:  # Just committed: the copying comes next.
            seen[0] = shard.last_seq
            shard.load("a")

    monkeypatch.setattr(shard._reader, "end", end_and_load)
    for seq in range(1, 200):
        shard.commit(Commit([Entry(seq, 1, seq, 0, bytes(60_000))]))
    pages = wal_path(tmp_path / "shard-000.db").stat().st_size / connection.PAGE_BYTES
    assert pages < 2 * limits.STORE_LOG_PAGES
    shard.close()


def test_closing_leaves_one_whole_file(tmp_path: Path) -> None:
    shard = create(tmp_path).open_shard(0, 0)
    shard.commit(Commit(entries(1, 3)))
    shard.close()
    assert not wal_path(tmp_path / "shard-000.db").exists()


def test_commits_are_synced(tmp_path: Path) -> None:
    """What law 1 rests on: the writing connection syncs its log at every commit."""
    shard = create(tmp_path).open_shard(0, 0)
    assert isinstance(shard, SqliteShardStore)
    pragmas = {name: shard._writer.pragma(name) for name in ("journal_mode", "synchronous")}
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}
    shard.close()


def test_an_old_sqlite_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.2")
    source = Path(connection.__file__)
    with pytest.raises(ImportError, match=r"3\.51\.2 can lose commits"):
        exec(compile(source.read_text(), str(source), "exec"), {"__name__": "again"})


def test_a_full_disk_is_called_by_its_name(tmp_path: Path) -> None:
    shard = create(tmp_path).open_shard(0, 0)
    shard._writer.execute("PRAGMA max_page_count=20").fetchall()  # SQLite's own "disk is full".
    with pytest.raises(DiskFull, match="Make room on this disk"):
        shard.commit(Commit([Entry(1, 1, 0, 0, bytes(200_000))]))
    with pytest.raises(WriteFailed, match="poisoned"):
        shard.scan("", 1)
    shard.close()


_FILL = """
import resource, sys
from pathlib import Path
from actors.store.base import Commit, Entry
from actors.store.directory import SqliteStore
from actors.store.errors import WriteFailed
shard = SqliteStore.open(Path(sys.argv[1])).open_shard(0, 0)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
seq = 0
try:
    while seq < 1000:
        shard.commit(Commit([Entry(seq + 1, shard.epoch, 0, 0, bytes(10_000))]))
        seq += 1
except WriteFailed as error:
    print(error)
try:
    shard.load("a")
except WriteFailed as error:
    print(error)
print(seq)
"""


def test_a_disk_without_room_poisons_the_store_and_loses_nothing(tmp_path: Path) -> None:
    store = create(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", _FILL, str(tmp_path)], capture_output=True, text=True, check=True
    )
    failed, poisoned, acknowledged = done.stdout.splitlines()
    assert f"cannot commit to {tmp_path / 'shard-000.db'}" in failed
    assert "poisoned" in poisoned
    assert int(acknowledged) > 5
    shard = store.open_shard(0, 0)
    assert len(list(shard.journal(1))) == int(acknowledged)
    shard.close()


def test_passed_entries_move_to_the_archive(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, create(tmp_path).identity, ArchivePolicy(file_bytes=50))
    shard = store.open_shard(0, 0)
    shard.commit(Commit(entries(1, 30), start_seq=21))
    moved = []
    while count := shard.archive_passed():
        moved.append(count)
    archive = store.archive(0)
    assert sum(moved) == archive.last_seq <= 20
    assert len(moved) > 1
    assert [e for _, _, path in archive.files() for e in archive.read(path)] == entries(
        1, archive.last_seq
    )
    assert list(shard.journal(21)) == entries(21, 10)
    with pytest.raises(ValueError, match="archive"):
        list(shard.journal(1))
    shard.close()
    shard = store.open_shard(0, 0)
    assert list(shard.journal(21)) == entries(21, 10)
    shard.close()
