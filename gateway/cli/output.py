"""How the command writes: tables for people on a terminal, JSON for scripts, errors on stderr."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.errors import CliError

_PIPE_COLUMNS = 120  # what is not a terminal has no width of its own

console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_COLUMNS)
errors = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else _PIPE_COLUMNS)


def say_error(error: CliError) -> None:
    """Tells a person what is wrong and what to do."""
    errors.print(Text.assemble(("error: ", "bold red"), error.what), soft_wrap=True)
    if error.hint:
        errors.print(Text.assemble(("hint: ", "bold"), error.hint), soft_wrap=True)


def note(words: str) -> None:
    """A remark for a person: on stderr, so that it stays out of a script's way."""
    errors.print(Text(words, style="dim"), soft_wrap=True)


def say(words: str = "") -> None:
    """A line for a person, as it is: brackets are no markup."""
    console.print(Text(words), soft_wrap=True)


def print_json(value: Any) -> None:
    """One value as one line of JSON, for scripts."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """A table; columns whose name begins with `#` hold numbers and stand to the right."""
    made = Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        header_style="dim",
        box=SIMPLE_HEAD,
        show_header=any(columns),
        pad_edge=False,
    )
    for column in columns:
        right = column.startswith("#")
        made.add_column(column.lstrip("#"), justify="right" if right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(_cell(value) for value in row))
    return made


def _cell(value: Any) -> Text:
    if isinstance(value, Text):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Text(f"{value:,}")
    return Text(str(value))


def time_of(ms: int) -> str:
    """A time as a person reads it, in UTC: with milliseconds if it has any, a day for midnight."""
    if ms <= 0:
        return "—"
    at = datetime.fromtimestamp(ms // 1_000, UTC)
    if ms % 86_400_000 == 0:
        return at.strftime("%Y-%m-%d")
    text = at.strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}.{ms % 1_000:03d}" if ms % 1_000 else text


def span_of(ms: float) -> str:
    """A length of time in its two largest units: `3d 4h`, `12 s`, `8.2 ms`."""
    if ms < 1_000:
        return f"{ms:.3g} ms"
    if ms < 60_000:
        return f"{ms / 1_000:.3g} s"
    units = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000))
    parts = []
    left = int(ms)
    for name, size in units:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{name}")
    return " ".join(parts[:2])
