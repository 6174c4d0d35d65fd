"""TablesService: uploads become files of the store, and files become definitions.

An upload is written beside, synced and moved into place, and then a definition of kind `rows` that
names its hash is applied like any other. So a table changes whole or not at all, at one point of
each shard's journal, and what the upload breaks (a column that a journey names) is found before.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple

import msgpack
from google.protobuf import json_format

from actors.store.tables import TableFiles, TableRefused, TableWriter, Written
from engine import limits
from engine.definitions import Document
from engine.packing import unpack
from engine.program import model_of
from engine.tables.definition import ROWS, TABLE
from engine.tables.source import TableMissing
from gateway import errors, names, pages, views
from gateway.binding import Call
from gateway.pb.denrei.v1 import tables_pb2
from gateway.services.definitions import DefinitionsService, whole

_DAY_S: Final = 86_400
_FULL_MS: Final = 10_000


class _Known(NamedTuple):
    """What the catalog says of one table."""

    table: dict[str, Any] | None
    rows: dict[str, Any] | None
    version: int


class TablesService:
    """See tables.proto.

    Args:
        definitions: Applies definitions.
        files: The tables of the store.
        keep_days: How long files stay that are not current any more: as long as the archive.
    """

    def __init__(self, definitions: DefinitionsService, files: TableFiles, keep_days: int) -> None:
        self._definitions = definitions
        self._files = files
        self._keep_days = keep_days

    async def load_table(
        self, requests: AsyncIterator[tables_pb2.LoadTableRequest], call: Call
    ) -> None:
        """Takes an upload in.

        Durability: The rows are synced, and the definition that names them too, when it answers.
        """
        call.extend(limits.TABLE_LOAD_S)
        begin = await _begin(requests)
        name = _bare(begin.name, "name")
        known = await self._known(name, call)
        table = _table(name, begin, known.table)
        folder = self._files.folder(call.workspace)
        try:
            written = await _write(TableWriter(folder, table["key"], table["columns"]), requests)
        except TableRefused as error:
            raise errors.invalid("rows", str(error)) from None
        except OSError as error:
            raise errors.overloaded(f"the rows can't be written: {error}", _FULL_MS) from None
        await call.write(await self._use(table, written, known, call))

    async def get_table(self, request: tables_pb2.GetTableRequest, call: Call) -> tables_pb2.Table:
        """Gets a table."""
        name = _bare(request.name, "name")
        return _view(name, await self._there(name, call))

    async def list_tables(
        self, request: tables_pb2.ListTablesRequest, call: Call
    ) -> tables_pb2.ListTablesResponse:
        """Lists tables by name."""
        limit = pages.size(request.page_size)
        (after,) = pages.cursor(request.page_token, [""], TABLE)
        catalog = await self._catalog(call)
        found = sorted(name for kind, name in catalog if kind == TABLE and name > after)
        page = found[:limit]
        return tables_pb2.ListTablesResponse(
            tables=[_view(name, _of(catalog, name)) for name in page],
            next_page_token=pages.token([page[-1]], TABLE) if len(found) > limit else "",
        )

    async def delete_table(
        self, request: tables_pb2.DeleteTableRequest, call: Call
    ) -> tables_pb2.DeleteTableResponse:
        """Deletes a table; its file goes when nobody can ask for it any more."""
        name = _bare(request.name, "name")
        known = await self._there(name, call)
        gone = [Document(TABLE, name, None)]
        if known.rows is not None:
            self._files.touch(call.workspace, known.rows["content"])
            gone.append(Document(ROWS, name, None))
        version, _ = await self._definitions.submit(gone, "", 0, call)
        return tables_pb2.DeleteTableResponse(version=version)

    async def get_row(self, request: tables_pb2.GetRowRequest, call: Call) -> tables_pb2.Row:
        """Gets a row."""
        name = _bare(request.parent, "parent")
        known = await self._there(name, call)
        row = None
        if known.rows is not None:
            row = self._read(call, known.rows["content"]).row(request.key)
        if row is None:
            raise errors.not_found(f"{request.parent} has no row {request.key[:100]!r}, which")
        return tables_pb2.Row(columns=views.struct(unpack(row)))

    async def list_rows(
        self, request: tables_pb2.ListRowsRequest, call: Call
    ) -> tables_pb2.ListRowsResponse:
        """Lists rows in the order of their upload."""
        name = _bare(request.parent, "parent")
        known = await self._there(name, call)
        if known.rows is None:
            return tables_pb2.ListRowsResponse()
        limit = pages.size(request.page_size)
        content = known.rows["content"]
        scope = (TABLE, name, content)
        (offset,) = pages.cursor(request.page_token, [0], *scope)
        response = tables_pb2.ListRowsResponse()
        for at, row in self._read(call, content).rows(offset):
            if len(response.rows) == limit:
                response.next_page_token = pages.token([offset], *scope)
                break
            offset = at
            response.rows.append(tables_pb2.Row(columns=views.struct(unpack(row))))
        return response

    # --- how it works -----------------------------------------------------------------------

    async def _use(
        self, table: dict[str, Any], written: Written, known: _Known, call: Call
    ) -> tables_pb2.LoadTableResponse:
        """Brings rows that were written into force."""
        name = table[TABLE]
        rows = {
            ROWS: name, "content": written.content, "count": written.rows,
            "size_bytes": written.size_bytes,
        }  # fmt: skip
        if known.rows is not None:
            self._files.touch(call.workspace, known.rows["content"])  # it is in use until now
        documents = [Document(ROWS, name, rows)]
        if table != known.table:
            documents.insert(0, Document(TABLE, name, table))
        version, _ = await self._definitions.submit(documents, "", 0, call)
        pending = await self._definitions.installed(version, call)
        await self._sweep(name, call)
        return tables_pb2.LoadTableResponse(
            table=_view(name, _Known(table, rows, version)), version=version, pending_shards=pending
        )

    async def _sweep(self, name: str, call: Call) -> None:
        """Deletes what nobody can ask for any more."""
        kept: set[str] = set()
        catalog = await self._catalog(call)
        for kind, one in catalog:
            if kind == ROWS:
                versions = await self._definitions.versions(ROWS, one, call)
                kept.update(body["content"] for _, body, _ in versions if body is not None)
        older_than_s = time.time() - (self._keep_days + 1) * _DAY_S
        await asyncio.to_thread(self._files.sweep, call.workspace, kept, older_than_s)

    def _read(self, call: Call, content: str) -> Any:
        try:
            return self._files.file(call.workspace, content)
        except TableMissing as error:
            raise errors.not_found(str(error)) from None

    async def _catalog(self, call: Call) -> dict[tuple[str, str], tuple[int, dict[str, Any]]]:
        catalog = await self._definitions.catalog(call)
        return {
            (kind, name): (version, body)
            for kind, name, version, body in catalog["documents"]
            if kind in (TABLE, ROWS)
        }

    async def _known(self, name: str, call: Call) -> _Known:
        return _of(await self._catalog(call), name)

    async def _there(self, name: str, call: Call) -> _Known:
        known = await self._known(name, call)
        if known.table is None:
            raise errors.not_found(f"tables/{name}")
        return known


def _of(catalog: dict[tuple[str, str], tuple[int, dict[str, Any]]], name: str) -> _Known:
    version, table = catalog.get((TABLE, name), (0, None))
    version, rows = catalog.get((ROWS, name), (version, None))
    return _Known(table, rows, version)


async def _begin(
    requests: AsyncIterator[tables_pb2.LoadTableRequest],
) -> tables_pb2.LoadTableBegin:
    async for request in requests:
        if request.WhichOneof("part") == "begin":
            return request.begin
        break
    raise errors.invalid("begin", "the first request of an upload is 'begin'")


def _table(
    name: str, begin: tables_pb2.LoadTableBegin, known: dict[str, Any] | None
) -> dict[str, Any]:
    """The table that an upload is for, as its definition."""
    before = known or {}
    key = begin.key or before.get("key", "")
    columns = list(begin.columns) or before.get("columns", [])
    if not key or not columns:
        text = f"there is no table {name!r} yet: name its key and its columns"
        raise errors.invalid("begin.columns" if key else "begin.key", text)
    table = {TABLE: name, "key": key, "columns": columns}
    model_of(TABLE, name, table)
    return table


async def _write(
    writer: TableWriter, requests: AsyncIterator[tables_pb2.LoadTableRequest]
) -> Written:
    try:
        async for request in requests:
            await asyncio.to_thread(_add, writer, request)
        return await asyncio.to_thread(writer.finish)
    finally:
        writer.abandon()


def _add(writer: TableWriter, request: tables_pb2.LoadTableRequest) -> None:
    """Adds the rows of a request. It runs in a thread; requests come one after the other."""
    part = request.WhichOneof("part")
    if part == "rows":
        rows: Any = [whole(json_format.MessageToDict(row)) for row in request.rows.rows]
    elif part == "rows_msgpack":
        try:
            rows = msgpack.unpackb(request.rows_msgpack)
        except (ValueError, msgpack.UnpackException):
            rows = None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise TableRefused("rows_msgpack is no msgpack array of maps")
    else:
        raise TableRefused("after 'begin' come rows")
    for row in rows:
        writer.add(row)


def _bare(name: str, field: str) -> str:
    bare = names.reference(name, TABLE, field)
    if not bare:
        raise errors.invalid(field, f"{field} is empty; write tables/{{name}}")
    return bare


def _view(name: str, known: _Known) -> tables_pb2.Table:
    table, rows = known.table or {}, known.rows or {}
    return tables_pb2.Table(
        name=f"tables/{name}",
        key=table.get("key", ""),
        columns=table.get("columns", []),
        row_count=rows.get("count", 0),
        size_bytes=rows.get("size_bytes", 0),
        content=rows.get("content", ""),
        version=known.version,
    )
