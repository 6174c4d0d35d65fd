"""The documentation as data: its pages and the snippets in them.

A fence says what a snippet is: a language, and perhaps a mark after it.

    ```yaml             definitions; all of a page hold together
    ```yaml settings    a denrei.yaml
    ```yaml scenario    a file of scenarios, which pass
    ```python           runs as it stands, or as a doctest if it has prompts
    ```python instance  runs where `denrei up` runs
    ```bash             shown, not run: it starts things
    ```bash run         runs in the repository
    ```bash instance    runs where `denrei up` runs
"""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```(\w+)?(?: (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)

LANGUAGES = {"yaml", "python", "bash", ""}
MARKS = {"", "settings", "scenario", "instance", "run"}


class Snippet(NamedTuple):
    """A fenced block."""

    page: str
    line: int
    language: str
    mark: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """README first, then docs/ by name."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "tests/README.md"]


def snippets(page: Path, language: str = "", mark: str = "") -> list[Snippet]:
    """The snippets of a page, of one language and mark if they are given."""
    text = page.read_text()
    found = [
        Snippet(
            str(page.relative_to(ROOT)),
            text.count("\n", 0, match.start()) + 2,
            match[1] or "",
            match[2] or "",
            match[3],
        )
        for match in _FENCE.finditer(text)
    ]
    if not language:
        return found
    return [s for s in found if s.language == language and s.mark == mark]


def table(page: Path, heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, without backquotes."""
    _, found, rest = f"\n{page.read_text()}".partition(f"\n{heading}\n")
    assert found, f"{page.name} has no heading {heading!r}"
    rows: list[list[str]] = []
    for line in rest.splitlines():
        if line.startswith("|"):
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
            rows.append([cell.strip().replace("`", "").replace("\\|", "|") for cell in cells])
        elif rows:
            break
    return rows[2:]
