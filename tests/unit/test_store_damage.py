"""What is torn, foreign or half copied is refused in words, and left as it was found."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from actors.store.base import Commit
from actors.store.directory import SqliteStore
from actors.store.errors import ForeignStore, StoreError, TornStore
from actors.store.identity import FILE_NAME
from actors.store.reader import JournalReader
from actors.store.wal import synced_frames, wal_path
from tests.unit.store_helpers import create, entries, row


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A store with ten entries and three rows, closed."""
    shard = create(tmp_path).open_shard(0, 0)
    shard.commit(Commit(entries(1, 10), [row(key, 3, b"data of " * 20) for key in "abc"]))
    shard.close()
    return tmp_path


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A copy of a store as a kill leaves it: ten commits in the log."""
    live, dead = tmp_path / "live", tmp_path / "dead"
    shard = create(live).open_shard(0, 0)
    for seq in range(1, 11):
        shard.commit(Commit(entries(seq, 1), [row("abc"[seq % 3], seq, b"x" * 300)]))
    shutil.copytree(live, dead)
    shard.close()
    return dead


def edit(directory: Path, sql: str, *values: object) -> None:
    connection = apsw.Connection(str(directory / "shard-000.db"))
    connection.execute(sql, values)
    connection.close()


def open_and_read(directory: Path) -> None:
    shard = SqliteStore.open(directory).open_shard(0, 0)
    try:
        list(shard.journal(shard.start_seq))
        shard.scan("", 100)
        shard.definitions()
    finally:
        shard.close()


def test_what_a_kill_leaves_is_opened(killed: Path) -> None:
    shard = SqliteStore.open(killed).open_shard(0, 0)
    assert list(shard.journal(1)) == entries(1, 10)
    shard.close()


@pytest.mark.parametrize(
    "sql",
    [
        pytest.param("DELETE FROM journal WHERE seq = 10", id="last entry missing"),
        pytest.param("DELETE FROM journal WHERE seq = 1", id="first entry missing"),
        pytest.param("DELETE FROM journal WHERE seq = 5", id="hole"),
        pytest.param(
            "INSERT INTO journal SELECT 11, epoch, now_ms, mode, crc, payload FROM journal"
            " WHERE seq = 10",
            id="an entry too many",
        ),
        pytest.param("UPDATE journal SET payload = x'00' WHERE seq = 5", id="payload"),
        pytest.param("UPDATE journal SET now_ms = 1 WHERE seq = 5", id="time"),
        pytest.param("UPDATE journal SET mode = 1 - mode WHERE seq = 5", id="mode"),
        pytest.param("UPDATE journal SET epoch = 9 WHERE seq = 10", id="epoch"),
        pytest.param(
            "UPDATE journal SET (epoch, now_ms, mode, payload, crc) ="
            " (SELECT epoch, now_ms, mode, payload, crc FROM journal WHERE seq = 4) WHERE seq = 5",
            id="misplaced",
        ),
        pytest.param("UPDATE state SET start_seq = 9", id="start"),
        pytest.param("UPDATE state SET last_seq = 9", id="end"),
        pytest.param("DELETE FROM state", id="no state"),
        pytest.param("DELETE FROM identity", id="no identity"),
        pytest.param("UPDATE identity SET body = '{'", id="identity"),
        pytest.param("UPDATE entity SET data = x'00' WHERE key = 'b'", id="entity"),
        pytest.param("UPDATE entity SET seq = 4 WHERE key = 'b'", id="entity of another time"),
    ],
)
def test_a_changed_record_is_found(closed: Path, sql: str) -> None:
    edit(closed, sql)
    with pytest.raises(TornStore) as caught:
        open_and_read(closed)
    assert "shard-000.db" in caught.value.what
    assert "estore" in caught.value.remedy


def test_a_changed_entity_is_found_by_a_load(closed: Path) -> None:
    edit(closed, "UPDATE entity SET data = x'00' WHERE key = 'b'")
    shard = SqliteStore.open(closed).open_shard(0, 0)
    assert shard.load("a") is not None
    with pytest.raises(TornStore, match="entity b"):
        shard.load("b")
    shard.close()


def test_any_flipped_byte_of_what_was_committed_is_found(closed: Path) -> None:
    """Flips bytes inside stored payloads and data, where SQLite itself would notice nothing."""
    seed = random.randrange(2**32)
    print(f"{seed=}")
    draw = random.Random(seed)
    path = closed / "shard-000.db"
    whole = path.read_bytes()
    for needle in (b"payload 7", b"data of data of"):
        at = whole.index(needle) + draw.randrange(len(needle))
        flipped = bytearray(whole)
        flipped[at] ^= 1 << draw.randrange(8)
        path.write_bytes(flipped)
        with pytest.raises(TornStore):
            open_and_read(closed)


@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        (lambda path: path.unlink(), TornStore, "missing"),
        (lambda path: path.write_bytes(b""), TornStore, "cut short"),
        (lambda path: os.truncate(path, path.stat().st_size - 4096), TornStore, "cut short"),
        (lambda path: path.write_bytes(b"not a database " * 1000), ForeignStore, "not a shard"),
        (lambda path: apsw.Connection(str(path)).execute("PRAGMA application_id=1"), ForeignStore,
         "not a shard"),
        (lambda path: path.write_bytes(path.read_bytes()[:4096] + bytes(40_000)), TornStore,
         "shard-000.db"),
    ],
    ids=["missing", "empty", "cut", "no database", "another program's", "zeros"],
)  # fmt: skip
def test_a_file_that_is_not_whole_is_refused(
    closed: Path, damage: Callable[[Path], object], error: type[StoreError], words: str
) -> None:
    damage(closed / "shard-000.db")
    with pytest.raises(error, match=words):
        open_and_read(closed)
    SqliteStore.open(closed).open_shard(1, 0).close()  # The other shard does not care.


def test_a_lost_log_is_noticed(killed: Path) -> None:
    wal_path(killed / "shard-000.db").unlink()
    with pytest.raises(TornStore, match=r"was open, and its log .* is missing"):
        list(JournalReader(killed, 0).entries())
    with pytest.raises(TornStore, match=r"was open, and its log .* is missing"):
        open_and_read(killed)


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


def test_a_log_damaged_before_acknowledged_commits_is_refused_and_left_alone(killed: Path) -> None:
    """SQLite alone would open it and silently forget the commits behind the damage."""
    log = wal_path(killed / "shard-000.db")
    synced = synced_frames(log)
    assert synced > 20
    flip(log, 32 + (synced // 2) * (24 + 4096) + 1_000)
    before = log.read_bytes()
    for _ in range(2):
        with pytest.raises(TornStore, match="damaged at frame"):
            open_and_read(killed)
        assert log.read_bytes() == before


def test_a_damaged_header_of_a_log_is_refused(killed: Path) -> None:
    flip(wal_path(killed / "shard-000.db"), 17)
    with pytest.raises(TornStore, match="header"):
        open_and_read(killed)


def test_a_torn_last_write_is_what_a_power_cut_leaves_and_is_forgotten(killed: Path) -> None:
    log = wal_path(killed / "shard-000.db")
    os.truncate(log, log.stat().st_size - 2_000)
    shard = SqliteStore.open(killed).open_shard(0, 0)
    assert list(shard.journal(1)) == entries(1, 9)
    shard.close()


def test_a_file_older_than_its_archive_is_refused(closed: Path) -> None:
    store = SqliteStore.open(closed)
    store.archive(0).append(entries(1, 4), 0)
    with pytest.raises(TornStore, match="older copy"):
        store.open_shard(0, 0)


def test_another_stores_file_is_refused(closed: Path, tmp_path: Path) -> None:
    other = create(tmp_path / "other", store_id="o" * 32)
    shutil.copy(other.directory / "shard-000.db", closed / "shard-000.db")
    with pytest.raises(ForeignStore, match="of store oooo"):
        open_and_read(closed)


def test_another_shards_file_is_refused(closed: Path) -> None:
    shutil.copy(closed / "shard-001.db", closed / "shard-000.db")
    with pytest.raises(ForeignStore, match="is shard 1 of store"):
        open_and_read(closed)


def test_a_shard_it_was_not_created_with_is_refused(closed: Path) -> None:
    with pytest.raises(ForeignStore, match="no shard 2"):
        SqliteStore.open(closed).open_shard(2, 0)
    with pytest.raises(ForeignStore, match="no shard 2"):
        JournalReader(closed, 2)


def test_a_lost_identity_is_not_made_again(closed: Path) -> None:
    (closed / FILE_NAME).unlink()
    with pytest.raises(ForeignStore, match=r"shard-000\.db, which was in use"):
        create(closed)
