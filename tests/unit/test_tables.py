"""Tables: files of rows, what is refused of an upload, and rows that a replay sees again."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import hypothesis.strategies as st
import msgpack
import pytest
from google.protobuf.struct_pb2 import Struct
from hypothesis import given, settings
from journey_helpers import Town

from actors.store.tables import TableFile, TableFiles, TableRefused, TableWriter
from engine import commands, limits
from engine.shard import Shard
from engine.slots import catalog_key
from engine.tables.source import TableMissing, TablesUnreadable
from gateway.pb.denrei.v1 import definitions_pb2, definitions_pb2_grpc, tables_pb2, tables_pb2_grpc
from tests.support.gateway_support import WORKSPACE, open_door, refusal_of
from tests.support.local_engine import LocalEngine

COLUMNS = ["sku", "name", "price"]


def write(folder: Path, rows: list[dict[str, Any]]) -> str:
    writer = TableWriter(folder, "sku", COLUMNS)
    for row in rows:
        writer.add(row)
    return writer.finish().content


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=20).filter(lambda text: len(text.encode()) < 500),
        st.one_of(st.none(), st.integers(-(2**40), 2**40), st.text(max_size=50)),
        max_size=60,
    ),
    st.text(max_size=20),
)
def test_every_row_is_found_by_its_key_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, rows: dict[str, Any], other: str
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    written = [{"sku": key, "name": value} for key, value in rows.items()]
    table = TableFile(folder / f"{write(folder, written)}.table")
    assert table.count == len(rows)
    for row in written:
        assert msgpack.unpackb(table.row(row["sku"]) or b"") == row
    assert [msgpack.unpackb(row) for _, row in table.rows()] == written
    assert (table.row(other) is not None) == (other in rows)


def test_the_same_rows_are_the_same_file_and_nothing_else_is_left(tmp_path: Path) -> None:
    one = write(tmp_path, [{"sku": "a"}, {"sku": 7, "price": 1.5}])
    assert write(tmp_path, [{"sku": "a"}, {"sku": 7, "price": 1.5}]) == one
    assert [path.name for path in tmp_path.iterdir()] == [f"{one}.table"]
    table = TableFile(tmp_path / f"{one}.table")
    assert msgpack.unpackb(table.row("7") or b"") == {"sku": 7, "price": 1.5}


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"name": "x"}, "row 2 has no key"),
        ({"sku": ""}, "has no key"),
        ({"sku": True}, "has no key"),
        ({"sku": "k" * 1_000}, "has no key"),
        ({"sku": "a"}, "two rows with the key 'a'"),
        ({"sku": "b", "colour": 1}, "a column 'colour', which the table has not"),
        ({"sku": "b", "price": msgpack.Timestamp(1)}, "row 2 .'b'. cannot be kept: .*Timestamp"),
        ({"sku": "b", "price": 2**70}, "cannot be kept"),
        ({"sku": "b", "name": "x" * limits.TABLE_ROW_BYTES}, "more than 16384"),
    ],
)
def test_what_is_no_row_is_refused_with_its_place(
    tmp_path: Path, row: dict[str, Any], what: str
) -> None:
    writer = TableWriter(tmp_path, "sku", COLUMNS)
    writer.add({"sku": "a"})
    with pytest.raises(TableRefused, match=what):
        writer.add(row)
    writer.abandon()
    assert list(tmp_path.iterdir()) == []


def test_too_many_rows_and_bytes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TABLE_ROWS", 2)
    writer = TableWriter(tmp_path, "sku", COLUMNS)
    writer.add({"sku": "a"})
    writer.add({"sku": "b"})
    with pytest.raises(TableRefused, match="more than 2 rows"):
        writer.add({"sku": "c"})
    monkeypatch.setattr(limits, "TABLE_ROWS", 9)
    monkeypatch.setattr(limits, "TABLE_BYTES", 100)
    with pytest.raises(TableRefused, match="more than 100 bytes"):
        writer.add({"sku": "c", "name": "x" * 100})
    writer.abandon()


@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "foreign"])
def test_a_file_that_is_lost_or_torn_is_said_to_be_missing(tmp_path: Path, damage: str) -> None:
    files = TableFiles(tmp_path)
    content = write(files.folder("w"), [{"sku": "a"}])
    path = files.folder("w") / f"{content}.table"
    if damage == "gone":
        path.unlink()
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-8])
    else:
        path.write_bytes(b"x" * 64)
    with pytest.raises(TableMissing) as raised:
        files.row("w", content, "a")
    # It goes into a person's record, which is the same wherever it is replayed.
    assert str(raised.value) == f"the rows {content[:12]}… are not in this store"


def test_a_machine_that_cannot_read_now_is_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = TableFiles(tmp_path)
    content = write(files.folder("w"), [{"sku": "a"}])

    def full(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", full)
        with pytest.raises(TablesUnreadable):
            files.row("w", content, "a")
    assert files.row("w", content, "a") is not None


@pytest.mark.parametrize("workspace", ["..", ".", "a/b", "../w", "w.x"])
def test_no_workspace_reaches_outside_of_its_folder(tmp_path: Path, workspace: str) -> None:
    assert TableFiles(tmp_path).folder(workspace).resolve().parent == tmp_path / "tables"


def test_a_file_goes_when_nobody_can_ask_for_it(tmp_path: Path) -> None:
    files = TableFiles(tmp_path)
    folder = files.folder("w")
    contents = [write(folder, [{"sku": str(number)}]) for number in range(4)]
    for content in contents[:3]:
        os.utime(folder / f"{content}.table", (1, 1))
    files.touch("w", contents[1])  # it was current until now
    assert files.sweep("w", {contents[2]}, 1_000) == 1
    left = {path.stem for path in folder.iterdir()}
    assert left == set(contents[1:])


JOURNEY = """
table: products
key: sku
columns: [sku, name, price]
---
journey: j
entry: {event: Go}
steps:
  find: {lookup: {table: products, key: properties.sku, as: it}, then: keep, else: lost}
  keep: {update: {set: {name: {from: events.it.name}}}}
  lost: {update: {set: {lost: true}}}
"""


def rows_of(content: str) -> str:
    return f"rows: products\ncontent: '{content}'\ncount: 1\nsize_bytes: 1\n"


def test_a_replay_sees_the_rows_that_were_current_then(tmp_path: Path) -> None:
    files = TableFiles(tmp_path)
    old = write(files.folder("w"), [{"sku": "s1", "name": "Tea"}])
    new = write(files.folder("w"), [{"sku": "s1", "name": "Green tea"}])
    journal: list[tuple[int, bytes]] = []

    class Recorded(Town):
        def apply(self, *chunk: commands.Command) -> Any:
            payload = commands.pack_payload([commands.pack_chunk(chunk)]) if chunk else b""
            journal.append((self.now, payload))
            return super().apply(*chunk)

    town = Recorded(JOURNEY)
    town.shard.tables = files
    town.define(rows_of(old))
    town.track("Go", "ann", sku="s1")
    town.define(rows_of(new))
    town.track("Go", "bob", sku="s1")
    town.track("Go", "cid", sku="s2")
    assert town.person("ann").traits == {"name": "Tea"}
    assert town.person("bob").traits == {"name": "Green tea"}
    assert town.person("cid").traits == {"lost": True}

    again = Shard(0, 1, lambda key: None, lambda after, limit: [])
    again.tables = TableFiles(tmp_path)
    for seq, (now_ms, payload) in enumerate(journal, 1):
        again.apply(seq, now_ms, 0, payload)
    for user in ("ann", "bob", "cid"):
        entity = again.peek(f"w/user/{user}")
        assert entity is not None
        assert entity.pack() == town.person(user).pack()


def test_a_table_without_rows_or_whose_rows_are_lost_leads_to_else(tmp_path: Path) -> None:
    town = Town(JOURNEY)
    town.track("Go", "ann", sku="s1")
    assert "has no rows" in town.only("ann").trail[-2][3]
    town.shard.tables = TableFiles(tmp_path)
    town.define(rows_of("0" * 64))
    town.track("Go", "bob", sku="s1")
    assert "are not in this store" in town.only("bob").trail[1][3]


# --- Over the contract --------------------------------------------------------------------------


class Upload:
    """A client of a gateway over real shards."""

    def __init__(self, door: Any) -> None:
        self.door = door
        self.tables = tables_pb2_grpc.TablesServiceStub(door.channel)
        self.definitions = definitions_pb2_grpc.DefinitionsServiceStub(door.channel)

    async def load(self, *parts: Any, name: str = "products", **begin: Any) -> Any:
        async def requests() -> AsyncIterator[tables_pb2.LoadTableRequest]:
            yield tables_pb2.LoadTableRequest(
                begin=tables_pb2.LoadTableBegin(name=f"tables/{name}", **begin)
            )
            for part in parts:
                yield part

        call = self.tables.LoadTable(requests(), metadata=self.door.metadata, timeout=20)
        (answer,) = [one async for one in call]
        return answer

    async def call(self, method: str, request: Any) -> Any:
        return await getattr(self.tables, method)(request, metadata=self.door.metadata, timeout=20)

    async def apply(self, text: str) -> Any:
        source = definitions_pb2.DefinitionSource(filename="test", yaml=text)
        return await self.definitions.ApplyDefinitions(
            definitions_pb2.ApplyDefinitionsRequest(sources=[source]),
            metadata=self.door.metadata, timeout=20,
        )  # fmt: skip


def packed(*rows: dict[str, Any]) -> tables_pb2.LoadTableRequest:
    return tables_pb2.LoadTableRequest(rows_msgpack=msgpack.packb(list(rows)))


def structs(*rows: dict[str, Any]) -> Iterator[Struct]:
    for row in rows:
        made = Struct()
        made.update(row)
        yield made


@pytest.fixture
async def upload(tmp_path: Path) -> AsyncIterator[Upload]:
    async with LocalEngine(tmp_path, shards=2) as engine:
        for host in engine.hosts.values():
            for runner in host.runners.values():
                runner.shard.tables = TableFiles(tmp_path)
        async with open_door(tmp_path, engine.router) as door:
            yield Upload(door)


async def test_a_table_is_loaded_read_replaced_and_deleted(upload: Upload, tmp_path: Path) -> None:
    rows = tables_pb2.RowList(rows=list(structs({"sku": "b", "price": 2, "name": "B"})))
    answer = await upload.load(
        packed({"sku": "a", "price": 1.5}), tables_pb2.LoadTableRequest(rows=rows),
        key="sku", columns=COLUMNS,
    )  # fmt: skip
    assert (answer.table.row_count, answer.pending_shards, answer.version) == (2, 0, 1)
    row = await upload.call("GetRow", tables_pb2.GetRowRequest(parent="tables/products", key="b"))
    assert dict(row.columns) == {"sku": "b", "price": 2, "name": "B"}
    page = await upload.call(
        "ListRows", tables_pb2.ListRowsRequest(parent="tables/products", page_size=1)
    )
    following = await upload.call(
        "ListRows",
        tables_pb2.ListRowsRequest(
            parent="tables/products", page_size=1, page_token=page.next_page_token
        ),
    )
    assert [r.columns["sku"] for r in (*page.rows, *following.rows)] == ["a", "b"]
    assert not following.next_page_token
    listed = await upload.call("ListTables", tables_pb2.ListTablesRequest())
    assert [(one.name, one.key, one.row_count) for one in listed.tables] == [
        ("tables/products", "sku", 2)
    ]
    answer = await upload.load(packed({"sku": "c"}))  # its key and columns are known
    assert answer.table.row_count == 1
    gone = tables_pb2.GetRowRequest(parent="tables/products", key="a")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await upload.call("GetRow", gone)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    await upload.call("DeleteTable", tables_pb2.DeleteTableRequest(name="tables/products"))
    listed = await upload.call("ListTables", tables_pb2.ListTablesRequest())
    assert list(listed.tables) == []
    assert len(list((tmp_path / "tables" / WORKSPACE).iterdir())) == 2, "a replay may ask for both"


@pytest.mark.parametrize(
    ("parts", "begin", "what"),
    [
        ([], {}, "there is no table 'products' yet"),
        ([], {"key": "sku"}, "name its key and its columns"),
        ([packed({"sku": "a"}, {"sku": "a"})], {"key": "sku", "columns": COLUMNS}, "two rows"),
        ([packed({"sku": "a", "x": 1})], {"key": "sku", "columns": COLUMNS}, "a column 'x'"),
        ([packed({"sku": "a"})], {"key": "id", "columns": COLUMNS}, "none of the columns"),
        (
            [tables_pb2.LoadTableRequest(rows_msgpack=b"\xc1")],
            {"key": "sku", "columns": COLUMNS},
            "no msgpack array",
        ),
        ([tables_pb2.LoadTableRequest()], {"key": "sku", "columns": COLUMNS}, "come rows"),
    ],
)
async def test_an_upload_that_is_wrong_changes_nothing(
    upload: Upload, tmp_path: Path, parts: Any, begin: Any, what: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await upload.load(*parts, **begin)
    refusal = refusal_of(caught.value)
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert what in refusal.message or what in str(caught.value), refusal
    listed = await upload.call("ListTables", tables_pb2.ListTablesRequest())
    assert list(listed.tables) == []
    left = [p.name for p in tmp_path.glob("tables/*/*") if p.suffix == ".part"]
    assert left == []


async def test_what_a_journey_needs_of_a_table_stays(upload: Upload) -> None:
    await upload.load(packed({"sku": "a"}), key="sku", columns=COLUMNS)
    await upload.apply(
        "journey: j\nentry: {event: Go}\nsteps:\n"
        "  a: {lookup: {table: products, key: properties.s, as: p, columns: [price]}}\n"
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await upload.load(packed({"sku": "a"}), key="sku", columns=["sku", "name"])
    assert "it has no 'price', which journey 'j'" in str(caught.value)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await upload.call("DeleteTable", tables_pb2.DeleteTableRequest(name="tables/products"))
    assert refusal_of(caught.value).reason == "IN_USE"


async def test_nobody_writes_rows_by_hand(upload: Upload) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await upload.apply(rows_of("0" * 64))
    assert "denrei table load" in str(caught.value)


async def test_rows_come_into_force_for_runs_and_survive_a_crash(tmp_path: Path) -> None:
    async with LocalEngine(tmp_path, shards=2) as engine:

        def give_tables() -> None:
            for host in engine.hosts.values():
                for runner in host.runners.values():
                    runner.shard.tables = TableFiles(tmp_path)

        give_tables()
        async with open_door(tmp_path, engine.router) as door:
            upload = Upload(door)
            await upload.apply(JOURNEY)
            await upload.load(packed({"sku": "s1", "name": "Tea"}))
            raw = msgpack.packb({"sku": "s1"})
            key = f"{WORKSPACE}/user/ann"
            await engine.submit([commands.event(key, "m1", commands.TRACK, "Go", 1, raw)])
            profile = await engine.query("profile", key)
            assert profile["traits"] == {"name": "Tea"}
            await upload.load(packed({"sku": "s1", "name": "Green tea"}))
        await engine.crash_host()
        original = Shard.__init__

        def with_tables(self: Shard, *args: Any) -> None:
            original(self, *args)
            self.tables = TableFiles(tmp_path)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Shard, "__init__", with_tables)
            await engine.start_host()
        assert (await engine.query("profile", key))["traits"] == {"name": "Tea"}
        catalog = await engine.query("catalog", catalog_key(WORKSPACE), workspace=WORKSPACE)
        assert catalog["version"] == 3
    assert not engine.failures
    await asyncio.sleep(0)
