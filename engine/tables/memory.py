"""Tables in memory, for scenarios: the same answers as the files of a store."""

from collections.abc import Mapping, Sequence
from typing import Any

from xxhash import xxh3_128_hexdigest

from engine.journeys.context import text_of
from engine.packing import pack
from engine.tables.definition import ROWS, TABLE
from engine.tables.source import missing


class MemoryTables:
    """See `engine.tables.source.Tables`."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, bytes]] = {}

    def row(self, workspace: str, content: str, key: str) -> bytes | None:
        """See `Tables`."""
        rows = self._rows.get(content)
        if rows is None:
            raise missing(content)
        return rows.get(key)

    def load(self, name: str, key: str, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Takes a table in; gives the definitions that bring it into force."""
        packed = [pack(dict(row)) for row in rows]
        content = xxh3_128_hexdigest(b"".join(packed)) * 2
        by_key = zip((text_of(row.get(key)) for row in rows), packed, strict=True)
        self._rows[content] = dict(by_key)
        columns = list(dict.fromkeys([key, *(column for row in rows for column in row)]))
        size_bytes = sum(map(len, packed))
        return [
            {TABLE: name, "key": key, "columns": columns},
            {ROWS: name, "content": content, "count": len(rows), "size_bytes": size_bytes},
        ]
