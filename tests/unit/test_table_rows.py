"""Files that become tables: what their values are."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.errors import CliError
from gateway.cli.table_rows import TableRows
from tests.support import parquet

CSV = """sku,name,price,stock,zip,note,big
1,Tea,4.5,true,01067,,12345678901234567890
2,Coffee,12,FALSE,80331,,1
3,Milk,,,99084,x,2
"""


def test_a_csv_file_says_by_its_values_what_its_columns_are(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text(CSV)
    rows = TableRows(path, {"sku"})
    assert rows.columns == ["sku", "name", "price", "stock", "zip", "note", "big"]
    assert list(rows) == [
        {"sku": "1", "name": "Tea", "price": 4.5, "stock": True, "zip": "01067",
         "big": "12345678901234567890"},
        {"sku": "2", "name": "Coffee", "price": 12, "stock": False, "zip": "80331", "big": "1"},
        {"sku": "3", "name": "Milk", "zip": "99084", "note": "x", "big": "2"},
    ]  # fmt: skip
    assert next(iter(TableRows(path, {"sku", "price"})))["price"] == "4.5"


def test_json_lines_say_it_themselves(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    rows = [{"sku": "a", "tags": ["x"], "no": None}, {"sku": 2, "more": {"y": 1.5}}]
    path.write_text("\n".join(map(json.dumps, rows)))
    read = TableRows(path)
    assert read.columns == ["sku", "tags", "no", "more"]
    assert list(read) == [{"sku": "a", "tags": ["x"]}, {"sku": 2, "more": {"y": 1.5}}]


def test_parquet_is_read_with_its_types(tmp_path: Path) -> None:
    path = tmp_path / "o'clock.parquet"
    parquet.copy(
        """SELECT * FROM (VALUES
            ('a', 1::BIGINT, 1.50::DECIMAL(9, 2), true, DATE '2026-01-05', [1, 2], 1::HUGEINT),
            ('b', NULL, 2.00::DECIMAL(9, 2), false, NULL, NULL,
             170141183460469231731687303715::HUGEINT)
        ) AS t(sku, n, price, on_sale, since, sizes, big)""",
        path,
    )
    columns, rows = parquet.read(path)
    assert columns == ["sku", "n", "price", "on_sale", "since", "sizes", "big"]
    assert rows == [
        {"sku": "a", "n": 1, "price": 1.5, "on_sale": True, "since": "2026-01-05",
         "sizes": [1, 2], "big": 1},
        {"sku": "b", "price": 2, "on_sale": False, "big": 1.7014118346046924e29},
    ]  # fmt: skip


def test_without_duckdb_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    path = tmp_path / "p.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(CliError) as caught:
        TableRows(path)
    assert "needs duckdb" in caught.value.what
    assert "denrei[parquet]" in caught.value.hint


@pytest.mark.parametrize("name", ["none.csv", "none.parquet"])
def test_a_file_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(CliError, match="there is no file"):
        TableRows(tmp_path / name)
