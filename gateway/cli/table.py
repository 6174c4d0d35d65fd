"""`denrei table`: tables that journeys look into, loaded from files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from engine import limits
from engine.packing import pack
from gateway.cli import options
from gateway.cli.client import Client, plain
from gateway.cli.errors import REFUSED, CliError
from gateway.cli.output import console, print_json, say
from gateway.cli.output import table as shown
from gateway.cli.table_rows import TableRows
from gateway.pb.denrei.v1 import tables_pb2

app = typer.Typer(
    no_args_is_help=True,
    help="Load, list, read and delete tables that journeys look into.\n\n"
    "Example: `denrei table load products.csv --key-column sku`\n\n"
    "Exit codes: 0 done; 3 no answer; 4 the key is not accepted; 5 refused.",
)

_PART_BYTES = 256 * 1024
Name = Annotated[str, typer.Argument(metavar="NAME", help="A table.")]


@app.command()
def load(
    file: Annotated[Path, typer.Argument(help="CSV, JSON lines or Parquet.")],
    name: Annotated[str, typer.Option("--name", "-n", help="The table; else the file's.")] = "",
    key_column: Annotated[
        str, typer.Option("--key-column", help="The column whose value finds a row.")
    ] = "",
    text: Annotated[
        list[str] | None, typer.Option("--text", help="A column of a CSV file that stays text.")
    ] = None,
    address: options.Address = "",
    key: options.Key = "",
    store: options.Store = options.DEFAULT_STORE,
    ca: options.Ca = None,
    json: options.Json = False,
) -> None:
    """Make a table's rows those of a file, all at once.

    Example: `denrei table load products.csv --key-column sku`

    Exit codes: 0 done; 3 no answer; 4 the key is not accepted; 5 the file or a row is refused.
    """
    rows = TableRows(file, {key_column, *(text or ())})
    name = name or file.name.partition(".")[0]
    begin = tables_pb2.LoadTableBegin(name=f"tables/{name}", key=key_column, columns=rows.columns)
    with Client(address, key, store, ca) as client:
        if not key_column:
            begin.key = _key_of(client, name, file)
        (answer,) = client.tables.LoadTable(
            _parts(begin, rows), metadata=client.metadata, timeout=limits.TABLE_LOAD_S
        )
    if json:
        print_json(plain(answer))
        return
    say(f"{answer.table.row_count:,} rows in tables/{name}, version {answer.version}")


@app.command("list")
def list_(
    address: options.Address = "",
    key: options.Key = "",
    store: options.Store = options.DEFAULT_STORE,
    ca: options.Ca = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT_S,
    json: options.Json = False,
) -> None:
    """List tables.

    Example: `denrei table list`

    Exit codes: 0 done; 3 no answer; 4 the key is not accepted.
    """
    with Client(address, key, store, ca, timeout) as client:
        request = tables_pb2.ListTablesRequest(page_size=500)
        found = list(client.pages(client.tables.ListTables, request, "tables"))
    if json:
        print_json([plain(one) for one in found])
        return
    rows = [
        (one.name.partition("/")[2], one.key, one.row_count, one.size_bytes, ", ".join(one.columns))
        for one in found
    ]
    console.print(shown("", ("table", "key", "#rows", "#bytes", "columns"), rows))


@app.command()
def get(
    name: Name,
    row: Annotated[str, typer.Argument(metavar="KEY", help="The key of a row.")],
    address: options.Address = "",
    key: options.Key = "",
    store: options.Store = options.DEFAULT_STORE,
    ca: options.Ca = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT_S,
    json: options.Json = False,
) -> None:
    """Show a row.

    Example: `denrei table get products SKU-7`

    Exit codes: 0 done; 3 no answer; 4 the key is not accepted; 5 there is no such row.
    """
    with Client(address, key, store, ca, timeout) as client:
        request = tables_pb2.GetRowRequest(parent=f"tables/{name}", key=row)
        found: dict[str, Any] = plain(client.call(client.tables.GetRow, request).columns)
    if json:
        print_json(found)
        return
    for column, value in found.items():
        say(f"{column}: {value}")


@app.command()
def delete(
    name: Name,
    address: options.Address = "",
    key: options.Key = "",
    store: options.Store = options.DEFAULT_STORE,
    ca: options.Ca = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT_S,
    json: options.Json = False,
) -> None:
    """Delete a table that no journey looks into.

    Example: `denrei table delete products`

    Exit codes: 0 done; 3 no answer; 4 the key is not accepted; 5 it is in use, or not there.
    """
    with Client(address, key, store, ca, timeout) as client:
        request = tables_pb2.DeleteTableRequest(name=f"tables/{name}")
        version = client.call(client.tables.DeleteTable, request).version
    if json:
        print_json({"deleted": name, "version": version})
    else:
        say(f"deleted tables/{name}")


def _key_of(client: Client, name: str, file: Path) -> str:
    """The key of a table that is there."""
    request = tables_pb2.ListTablesRequest(page_size=500)
    for one in client.pages(client.tables.ListTables, request, "tables"):
        if one.name == f"tables/{name}":
            return str(one.key)
    raise CliError(f"there is no table {name!r} yet", f"{file}: name its --key-column", REFUSED)


def _parts(
    begin: tables_pb2.LoadTableBegin, rows: TableRows
) -> Iterator[tables_pb2.LoadTableRequest]:
    """The requests of an upload."""
    yield tables_pb2.LoadTableRequest(begin=begin)
    part: list[Any] = []
    size_bytes = 0
    for row in rows:
        part.append(row)
        size_bytes += 64 + sum(len(str(value)) for value in row.values())
        if size_bytes >= _PART_BYTES:
            yield tables_pb2.LoadTableRequest(rows_msgpack=pack(part))
            part, size_bytes = [], 0
    if part:
        yield tables_pb2.LoadTableRequest(rows_msgpack=pack(part))
