"""Rows of a file that becomes a table: CSV, JSON lines or Parquet.

A CSV file holds texts. A column of it whose values are all numbers, written the plain way (`7`,
`-0.5`; not `007`, not `1e3`), becomes numbers, one with nothing but true and false becomes that,
and an empty field is not there. JSON lines and Parquet say what their values are.
"""

import datetime
import decimal
import importlib
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

from gateway.cli.errors import REFUSED, CliError
from gateway.cli.history.rows import Recording

PARQUET: Final = "parquet"
_NUMBER: Final = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d{1,17})?")
_TRUTH: Final = {"true": True, "false": False}
_AT_ONCE: Final = 2_000
_WIDEST: Final = 2**63


class TableRows:
    """The rows of a file; see the module's text.

    Args:
        path: The file.
        texts: Columns that stay texts, whatever they look like.

    Raises:
        CliError: There is no such file, or it cannot be read.
    """

    def __init__(self, path: Path, texts: Collection[str] = ()) -> None:
        self._path = path
        self._parquet: Any = None
        self._kinds: dict[str, str] = {}
        if path.suffix.lower() == ".parquet":
            self._parquet = _duckdb(path)
            described = self._parquet.execute(f"DESCRIBE SELECT * FROM {_source(path)}").fetchall()
            self.columns: list[str] = [str(row[0]) for row in described]
            return
        self._recording = Recording(path)
        if self._recording.format == "csv":
            self.columns = self._recording.columns()
            self._kinds = self._kinds_of_columns(texts)
            return
        names: dict[str, None] = {}
        for row in self._recording.rows():
            names.update(dict.fromkeys(row.values))
        self.columns = list(names)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The rows, in the order of the file."""
        if self._parquet is not None:
            yield from self._of_parquet()
            return
        kinds = self._kinds
        for row in self._recording.rows():
            if kinds:
                values = row.values.items()
                yield {name: _read(value, kinds[name]) for name, value in values if value != ""}
            else:
                yield {name: value for name, value in row.values.items() if value is not None}

    def _of_parquet(self) -> Iterator[dict[str, Any]]:
        found = self._parquet.execute(f"SELECT * FROM {_source(self._path)}")
        while rows := found.fetchmany(_AT_ONCE):
            for row in rows:
                values = zip(self.columns, row, strict=True)
                yield {name: _plain(value) for name, value in values if value is not None}

    def _kinds_of_columns(self, texts: Collection[str]) -> dict[str, str]:
        """Which columns of a CSV file hold numbers, and which true and false: one pass over it."""
        may = {name: {"number", "truth"} for name in self.columns if name not in texts}
        seen: set[str] = set()
        for row in self._recording.rows():
            for name, kinds in may.items():
                value = row.values[name]
                if value == "" or not kinds:
                    continue
                seen.add(name)
                if not _NUMBER.fullmatch(value):
                    kinds.discard("number")
                if value.lower() not in _TRUTH:
                    kinds.discard("truth")
        found = dict.fromkeys(self.columns, "text")
        found.update((name, next(iter(kinds))) for name, kinds in may.items() if kinds)
        return {name: kind if name in seen else "text" for name, kind in found.items()}


def _read(value: str, kind: str) -> Any:
    if kind == "number":
        return float(value) if "." in value else int(value)
    return _TRUTH[value.lower()] if kind == "truth" else value


def _plain(value: Any) -> Any:
    """A value of a Parquet file as a table can hold it."""
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, int) and not -_WIDEST <= value < 2 * _WIDEST:
        return float(value)
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    return str(value)


def _source(path: Path) -> str:
    quoted = str(path).replace("'", "''")
    return f"read_parquet('{quoted}')"


def _duckdb(path: Path) -> Any:
    if not path.is_file():
        raise CliError(f"there is no file {path}", "", REFUSED)
    try:
        duckdb = importlib.import_module("duckdb")
    except ImportError:
        hint = "install it with `pip install 'denrei[parquet]'`, or give a CSV file"
        raise CliError("reading Parquet needs duckdb, which is not installed", hint) from None
    return duckdb.connect(":memory:")
