"""A store is the one it was created as, or it is not opened."""

import json
from pathlib import Path

import pytest

from actors.store.directory import SqliteStore
from actors.store.errors import ForeignStore, StoreError, TornStore
from actors.store.identity import FILE_NAME, read_identity
from actors.store.schema import create_shard
from engine import limits, slots
from tests.unit.store_helpers import create


def test_birth_writes_who_the_store_is(tmp_path: Path) -> None:
    create(tmp_path / "new" / "store", shards=4)
    assert json.loads((tmp_path / "new" / "store" / FILE_NAME).read_text()) == {
        "format": 1,
        "store_id": "s" * 32,
        "hash_name": slots.HASH_NAME,
        "hash_seed": slots.HASH_SEED,
        "slots": limits.SLOTS,
        "shards": 4,
        "created_ms": 1_000,
    }
    names = sorted(path.name for path in (tmp_path / "new" / "store").glob("shard-*"))
    assert names == [f"shard-00{shard}.db" for shard in range(4)]


def test_a_store_that_is_there_keeps_its_identity(tmp_path: Path) -> None:
    first = create(tmp_path)
    again = create(tmp_path, store_id="x" * 32)
    assert again.identity == first.identity == SqliteStore.open(tmp_path).identity


def test_another_number_of_shards_is_refused(tmp_path: Path) -> None:
    create(tmp_path, shards=4)
    with pytest.raises(ForeignStore, match="was created with 4 shards; it cannot be opened with 8"):
        create(tmp_path, shards=8)


@pytest.mark.parametrize("shards", [0, -1, 1025])
def test_a_number_of_shards_without_sense_is_refused(tmp_path: Path, shards: int) -> None:
    with pytest.raises(StoreError, match="Choose 1 to 1024"):
        create(tmp_path, shards=shards)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("format", 3, "reads formats up to 2"),
        ("hash_name", "md5", "places keys by hash"),
        ("hash_seed", 1, "places keys by hash"),
        ("slots", 2048, "places keys by hash"),
    ],
)
def test_a_store_that_places_keys_elsewhere_is_refused(
    tmp_path: Path, field: str, value: object, words: str
) -> None:
    create(tmp_path)
    path = tmp_path / FILE_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(ForeignStore, match=words):
        SqliteStore.open(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"store_id": "a"}'])
def test_a_damaged_identity_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(TornStore, match=FILE_NAME):
        SqliteStore.open(tmp_path)


def test_a_directory_without_a_store_is_refused(tmp_path: Path) -> None:
    assert read_identity(tmp_path) is None
    with pytest.raises(ForeignStore, match="holds no store"):
        SqliteStore.open(tmp_path)


def test_a_birth_that_was_cut_short_is_begun_again(tmp_path: Path) -> None:
    born = create(tmp_path)
    (tmp_path / FILE_NAME).unlink()  # The last step of a birth: it was cut short before it.
    (tmp_path / ".birth").mkdir()
    create_shard(tmp_path / ".birth" / "shard-001.db", 1, born.identity)
    again = create(tmp_path, store_id="n" * 32, shards=1)
    assert again.store_id == "n" * 32
    assert [path.name for path in tmp_path.glob("shard-*.db")] == ["shard-000.db"]
    shard = again.open_shard(0, 0)
    assert shard.epoch == 1
    shard.close()


def test_a_secret_is_for_the_owner_alone_and_no_shard_file_has_it(tmp_path: Path) -> None:
    secret = "5ec2e7" * 8
    store = SqliteStore.create(tmp_path, shards=1, store_id="s", created_ms=1, secret=secret)
    store.open_shard(0, 0).close()
    assert store.identity.key == bytes.fromhex(secret)
    path = tmp_path / FILE_NAME
    assert path.stat().st_mode & 0o077 == 0
    assert json.loads(path.read_text())["format"] == 2
    files = [each for each in tmp_path.rglob("*") if each.is_file() and each != path]
    assert files
    assert not any(secret.encode() in each.read_bytes() for each in files)


@pytest.mark.parametrize("secret", ["", "ab" * 32])
def test_another_secret_is_refused(tmp_path: Path, secret: str) -> None:
    SqliteStore.create(tmp_path, shards=1, store_id="s", created_ms=1, secret="cd" * 32)
    path = tmp_path / FILE_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | {"secret": secret}))
    with pytest.raises(ForeignStore, match="is shard 0 of store s"):
        SqliteStore.open(tmp_path).open_shard(0, 0)


def test_a_store_of_an_earlier_version_goes_on_without_a_secret(tmp_path: Path) -> None:
    create(tmp_path, shards=1)
    again = SqliteStore.create(tmp_path, shards=1, store_id="x", created_ms=2, secret="ab" * 32)
    assert again.identity.key == b""
    shard = again.open_shard(0, 0)
    assert shard.secret == b""
    shard.close()
