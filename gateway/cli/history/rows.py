"""Rows of recorded files: CSV with or without a header, and JSON lines, also compressed.

A row is a map from column name to value. In a CSV file without a header columns are named by their
numbers, from 0; the values of a CSV file are texts.
"""

import csv
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from gateway.cli.errors import REFUSED, CliError

FORMATS: Final = ("csv", "jsonl")
_SUFFIXES: Final = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".json": "jsonl",
}  # fmt: skip


class Row(NamedTuple):
    """One recorded row.

    Attributes:
        number: Its line in the file as an editor counts it (a CSV field with line breaks apart).
        values: Its values by column name.
    """

    number: int
    values: dict[str, Any]


def format_of(path: Path) -> str:
    """The format that a file's name tells.

    Raises:
        CliError: It tells none.
    """
    name = path.with_suffix("") if path.suffix == ".gz" else path
    found = _SUFFIXES.get(name.suffix.lower())
    if found is None:
        words = f"{path}: the name does not tell the format"
        raise CliError(words, "give --format csv or --format jsonl", REFUSED)
    return found


class Recording:
    """A file of recorded rows.

    Args:
        path: The file; a name that ends with `.gz` is uncompressed while it is read.
        format_: One of `FORMATS`; empty for what the name tells.
        header: Whether the first row of a CSV file names the columns.
        delimiter: What stands between columns of a CSV file.

    Raises:
        CliError: There is no such file, or its name tells no format.
    """

    def __init__(
        self, path: Path, format_: str = "", header: bool = True, delimiter: str = ","
    ) -> None:
        if not path.is_file():
            raise CliError(f"there is no file {path}", "", REFUSED)
        self.path = path
        self.format = format_ or format_of(path)
        self._header = header
        self._delimiter = delimiter
        self._file: io.BufferedReader | None = None

    @property
    def size_bytes(self) -> int:
        """How large the file is, as it lies there."""
        return self.path.stat().st_size

    @property
    def read_bytes(self) -> int:
        """How much of it is read so far, for a progress bar."""
        return self._file.tell() if self._file is not None and not self._file.closed else 0

    def columns(self) -> list[str]:
        """The columns of a CSV file; of JSON lines, the keys of the first."""
        for row in self.rows():
            return list(row.values)
        return []

    def rows(self) -> Iterator[Row]:
        """All rows, in the order of the file. Cost: 1–2 µs a row.

        Raises:
            CliError: The file is not what its format says, with the line.
        """
        with self.path.open("rb") as file:
            self._file = file
            raw = gzip.GzipFile(fileobj=file) if self.path.suffix == ".gz" else file
            text = io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
            try:
                yield from self._csv(text) if self.format == "csv" else self._jsonl(text)
            except UnicodeDecodeError:
                raise self._error("is not a text in UTF-8") from None
            except (EOFError, gzip.BadGzipFile, OSError) as error:
                raise self._error(f"can't be read ({error})") from None

    def _csv(self, text: io.TextIOWrapper) -> Iterator[Row]:
        reader = csv.reader(text, delimiter=self._delimiter, strict=True)
        names: list[str] = []
        try:
            for fields in reader:
                if not fields:
                    continue
                if not names:
                    names = fields if self._header else [str(n) for n in range(len(fields))]
                    self._check_names(names)
                    if self._header:
                        continue
                if len(fields) != len(names):
                    raise self._error(
                        f"line {reader.line_num} has {len(fields)} fields, not {len(names)}"
                    )
                yield Row(reader.line_num, dict(zip(names, fields, strict=True)))
        except csv.Error as error:
            raise self._error(f"line {reader.line_num} is not CSV: {error}") from None

    def _check_names(self, names: list[str]) -> None:
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise self._error(
                f"the header names {', '.join(map(repr, twice))} twice",
                "if the file has no header, say --no-header",
            )

    def _jsonl(self, text: io.TextIOWrapper) -> Iterator[Row]:
        for number, line in enumerate(text, 1):
            if line.isspace():
                continue
            try:
                value = json.loads(line)
            except ValueError as error:
                raise self._error(f"line {number} is not JSON: {error}") from None
            if not isinstance(value, dict):
                raise self._error(f"line {number} is not a JSON object")
            yield Row(number, value)

    def _error(self, what: str, hint: str = "") -> CliError:
        return CliError(f"{self.path}: {what}", hint, REFUSED)
