"""For pytest: files that end in `.scenario.yaml` are tests, one for each scenario.

It is loaded by every pytest that runs where Denrei is installed, so it imports the engine only when
there is such a file.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from engine.simulation.scenario import Loaded

_SUFFIX: Final = ".scenario.yaml"


class _Failed(Exception):
    """A scenario, or its file, is not as it should be; the words say all that there is to say."""


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "pytest.Collector | None":
    """Takes scenario files."""
    if not file_path.name.endswith(_SUFFIX):
        return None
    made: pytest.Collector = _ScenarioFile.from_parent(parent, path=file_path)
    return made


class _ScenarioFile(pytest.File):
    """A file of scenarios."""

    def collect(self) -> Iterable[pytest.Item]:
        from engine.issues import DefinitionError  # noqa: PLC0415 - see the module's text
        from gateway.cli.scenarios import read_scenarios  # noqa: PLC0415

        try:
            loaded = read_scenarios(self.path)
        except DefinitionError as error:
            raise self.CollectError(str(error)) from None
        for number, scenario in enumerate(loaded.file.scenarios):
            yield _Scenario.from_parent(self, name=scenario.name, loaded=loaded, number=number)


class _Scenario(pytest.Item):
    """One scenario."""

    def __init__(self, *, loaded: "Loaded", number: int, **rest: Any) -> None:
        super().__init__(**rest)
        self._loaded = loaded
        self._number = number

    def runtest(self) -> None:
        from engine.simulation.runner import run  # noqa: PLC0415 - see the module's text

        result = run(self._loaded, self._number)
        if not result.passed:
            raise _Failed("\n".join(map(str, result.failures)))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The words of a failure, without a traceback into the engine."""
        if isinstance(excinfo.value, _Failed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where it stands."""
        line = int(self._loaded.place("scenarios", self._number).rpartition(":")[2])
        return self.path, line - 1, self.name
