"""What the engine does, row by row: each scenario of `tests/semantics/*/*.yaml` is one test.

Each runs three times: as it is; with a restart before everything that happens, where only what is
packed survives; and as a replay of its journal. All three must leave the same bytes.
"""

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from engine.issues import DefinitionError
from engine.simulation.runner import run
from engine.simulation.scenario import Loaded, load

ROOT = Path(__file__).parent


@cache
def _loaded(path: Path) -> Loaded:
    source = str(path.relative_to(ROOT.parent.parent))
    return load(path.read_text(), source, lambda name: (path.parent / name).read_text())


def _scenarios() -> list[Any]:
    found = []
    for path in sorted(ROOT.glob("**/*.yaml")):
        row = str(path.relative_to(ROOT).with_suffix(""))
        try:
            names = [scenario.name for scenario in _loaded(path).file.scenarios]
        except DefinitionError:
            names = ["the file can be read"]  # the test tells what is wrong with it
        found += [
            pytest.param(path, number, id=f"{row}::{name}") for number, name in enumerate(names)
        ]
    return found


@pytest.mark.parametrize(("path", "number"), _scenarios())
def test_scenario(path: Path, number: int) -> None:
    try:
        loaded = _loaded(path)
    except DefinitionError as error:
        pytest.fail(str(error), pytrace=False)
    result = run(loaded, number)
    if not result.passed:
        pytest.fail("\n".join(map(str, result.failures)), pytrace=False)
    assert result.world is not None
    left = result.world.snapshot()
    assert result.world.replayed().snapshot() == left, "a replay of the journal differs"
    restarted = run(loaded, number, restarts=True)
    if not restarted.passed:
        words = "\n".join(map(str, restarted.failures))
        pytest.fail(f"with restarts in between:\n{words}", pytrace=False)
    assert restarted.world is not None
    assert restarted.world.snapshot() == left, "a world that restarted differs"
