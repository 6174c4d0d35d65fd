"""DuckDB for tests, in a process of its own: imported into pytest's, it prints what it leaks after
pytest's last line.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

_WRITE = "import duckdb, sys; duckdb.connect(':memory:').execute(sys.argv[1])"
_READ = """
import sys
from pathlib import Path
from gateway.cli.table_rows import TableRows
rows = TableRows(Path(sys.argv[1]))
print(repr((rows.columns, list(rows))))
"""


def copy(query: str, path: Path) -> None:
    """Writes what a query gives into a Parquet file."""
    quoted = str(path).replace("'", "''")
    _python(_WRITE, f"COPY ({query}) TO '{quoted}' (FORMAT parquet)")


def read(path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """Columns and rows of a file, as `TableRows` gives them."""
    columns, rows = eval(_python(_READ, str(path)))
    return columns, rows


def _python(script: str, argument: str) -> str:
    command = [sys.executable, "-c", script, argument]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
