"""Scenario files on disk: which of some paths they are, and their texts."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from engine.issues import DefinitionError, Issue
from engine.simulation.scenario import Loaded, load
from gateway.cli.errors import REFUSED, CliError

_YAML: Final = (".yaml", ".yml")
_HOLDS_SCENARIOS: Final = re.compile(r"^scenarios:", re.MULTILINE)


def read_scenarios(path: Path) -> Loaded:
    """Reads a scenario file, and the definition files that it names.

    Raises:
        DefinitionError: It is not a good one.
    """
    return load(_text(path), str(path), lambda name: _text(path.parent / name))


def find_scenarios(paths: list[Path]) -> Iterator[Path]:
    """The files among paths; of directories, all YAML files in them that hold scenarios.

    Raises:
        CliError: A path does not exist, or a directory holds none.
    """
    for path in paths:
        if path.is_dir():
            found = [file for file in sorted(path.rglob("*")) if _is_scenario_file(file)]
            if not found:
                raise CliError(
                    f"no file in {path} holds scenarios", "see docs/scenarios.md", REFUSED
                )
            yield from found
        elif path.exists():
            yield path
        else:
            raise CliError(f"there is no {path}", "name files or directories", REFUSED)


def _is_scenario_file(path: Path) -> bool:
    if path.suffix not in _YAML or not path.is_file():
        return False
    try:
        return _HOLDS_SCENARIOS.search(_text(path)) is not None
    except DefinitionError:
        return False


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        issue = Issue(str(path), "it is not a text in UTF-8", source=str(path))
        raise DefinitionError([issue]) from None
