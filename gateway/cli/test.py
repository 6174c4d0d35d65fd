"""`denrei test`: runs scenarios, in virtual time and without an instance."""

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer

from engine.issues import DefinitionError
from engine.simulation.runner import Failure, Result, run
from engine.simulation.scenario import Loaded
from gateway.cli import options
from gateway.cli.errors import FAILED, REFUSED, CliError
from gateway.cli.output import print_json, say, span_of
from gateway.cli.scenarios import find_scenarios, read_scenarios

app = typer.Typer()


@app.command()
def run_files(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Scenario files, or directories.")
    ],
    only: Annotated[
        str,
        typer.Option("--only", "-k", metavar="WORDS", help="Those with these words in the name."),
    ] = "",
    json: options.Json = False,
) -> None:
    """Run scenarios (docs/scenarios.md): what happens to people, and what must then be so.

    Example: `denrei test tests/semantics`

    Definitions that a scenario names as files are read beside it. Nothing is sent, and no
    instance is needed.

    Exit codes: 0 all passed; 1 some did not; 5 a file is not a good scenario file (none was run).
    """
    started = perf_counter()
    passed = failed = span_ms = 0
    for file, result in _run_all(_read_all(files), only):
        passed += result.passed
        failed += not result.passed
        span_ms += result.world.now - result.world.start_ms if result.world else 0
        if json:
            print_json(_plain(file, result))
            continue
        say(f"{'passed' if result.passed else 'FAILED'}  {file}  {result.name}")
        for failure in result.failures:
            say("\n".join(f"    {line}" for line in str(failure).splitlines()))
    if not json:
        took = span_of((perf_counter() - started) * 1_000)
        say(f"{passed} passed, {failed} failed: {span_of(span_ms)} of their time in {took}")
    if failed or not passed:
        raise typer.Exit(FAILED)


def _read_all(paths: list[Path]) -> list[Loaded]:
    """All files, or what is wrong with any of them."""
    loaded: list[Loaded] = []
    wrong: list[str] = []
    for path in find_scenarios(paths):
        try:
            loaded.append(read_scenarios(path))
        except DefinitionError as error:
            wrong += map(str, error.issues)
    if wrong:
        raise CliError("\n".join(wrong), "", REFUSED)
    return loaded


def _run_all(files: list[Loaded], only: str) -> Iterator[tuple[str, Result]]:
    for loaded in files:
        for number, scenario in enumerate(loaded.file.scenarios):
            if only in scenario.name:
                yield loaded.source, run(loaded, number)


def _plain(file: str, result: Result) -> dict[str, Any]:
    return {
        "file": file,
        "scenario": result.name,
        "place": result.place,
        "passed": result.passed,
        "failures": [_plain_failure(failure) for failure in result.failures],
    }


def _plain_failure(failure: Failure) -> dict[str, Any]:
    return {
        "place": failure.place,
        "item": failure.item,
        "what": failure.what,
        "expected": _json(failure.expected),
        "found": _json(failure.found),
        "hint": failure.hint,
        "trail": failure.trail,
    }


def _json(value: Any) -> Any:
    """A value without what JSON has not."""
    if isinstance(value, dict):
        return {str(name): _json(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(item) for item in value]
    return value if value is None or isinstance(value, (str, int, float)) else repr(value)
