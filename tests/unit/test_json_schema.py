"""The JSON Schema for editors: it takes whatever is right, and finds what is plainly wrong."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from engine import documents
from engine.definition_kinds import KINDS
from engine.json_schema import generate
from engine.simulation.json_schema import scenario_schema
from gateway.cli.apply import NO_DEFINITIONS
from gateway.cli.main import app
from tests.support.docs import ROOT, pages, snippets

SCHEMA = Draft202012Validator(generate())
SCENARIOS = Draft202012Validator(scenario_schema())


@cache
def _of(kind: str) -> Draft202012Validator:
    return Draft202012Validator(generate(kind))


def _written() -> list[Any]:
    """Every definition of the examples, the pages and the scenarios that hold together."""
    found = []
    for path in sorted((ROOT / "examples").glob("**/*.yaml")):
        if not path.name.endswith(NO_DEFINITIONS):
            place = str(path.relative_to(ROOT))
            found += [(value, f"{place}:{at}") for value, at in _read(path.read_text(), place)]
    for page in pages():
        for snippet in snippets(page, "yaml"):
            found += [
                (value, f"{snippet.where}+{at}") for value, at in _read(snippet.text, snippet.where)
            ]
    for path in sorted((ROOT / "tests/semantics").glob("**/*.yaml")):
        place = str(path.relative_to(ROOT))
        for value, _ in _read(path.read_text(), place):
            items = enumerate(value.get("definitions", ()))
            found += [(item, f"{place}#{at}") for at, item in items if isinstance(item, dict)]
    return [pytest.param(value, id=place) for value, place in found]


def _read(text: str, place: str) -> list[tuple[Any, int]]:
    return documents.read(text, place)


def _errors(value: Any) -> list[str]:
    return [error.message for error in SCHEMA.iter_errors(value)]


@pytest.mark.parametrize("kind", ["", *KINDS])
def test_it_is_a_schema_and_refers_to_nothing_that_is_missing(kind: str) -> None:
    schema = generate(kind)
    Draft202012Validator.check_schema(schema)
    assert "denrei:kind" not in json.dumps(schema)


@pytest.mark.parametrize("value", _written())
def test_it_takes_all_that_is_written_in_this_repository(value: Any) -> None:
    assert not _errors(value)
    kind = next(kind for kind in KINDS if kind in value)
    assert _of(kind).is_valid(value)


CART = {
    "journey": "cart",
    "entry": {"event": "Product Added", "key": "properties.cart_id"},
    "exit": [{"event": "Order Completed", "same": "properties.cart_id"}],
    "steps": {
        "wait": {"hold": "2h", "on": [{"event": "A"}], "timeout": "far"},
        "far": {"split": [{"when": {"trait": "points", "at_least": 1}, "then": "rest"}]},
        "rest": {"delay": "1d 2h"},
    },
}


def _with(step: Any) -> dict[str, Any]:
    return {**CART, "steps": {"one": step}}


def test_a_journey_is_taken() -> None:
    assert not _errors(CART)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"journey": "cart"},
        {**CART, "stesp": {}},
        {**CART, "entry": {"evnt": "x"}},
        {**CART, "again": "sometimes"},
        {**CART, "again": {"after": "2 hours"}},
        _with({"dealy": "2h"}),
        _with({"delay": 7200}),
        _with({"delay": "2 hours"}),
        _with({"delay": ""}),
        _with({"split": [{"when": {"triat": "points"}}]}),
        _with({"split": [{"when": {"all": [{"triat": "points"}]}}]}),
        _with({"message": {"purpose": "spam", "channel": "sms", "template": "x"}}),
        _with({"message": {"purpose": "marketing", "channel": "sms"}}),
        {"segment": "vip"},
        {"segment": "vip", "when": []},
        {"segment": "vip", "when": {"event": "x", "within": 90}},
        {"template": "t", "channel": "fax", "body": "x"},
        {"lane": "l", "channel": "sms"},
    ],
    ids=str,
)
def test_it_finds_what_is_plainly_wrong(value: Any) -> None:
    assert _errors(value)


def _scenario_files() -> list[Any]:
    files = [
        *(ROOT / "tests/semantics").glob("**/*.yaml"),
        *ROOT.glob("examples/**/*.scenario.yaml"),
    ]
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in sorted(files)]


@pytest.mark.parametrize("path", _scenario_files())
def test_the_schema_of_scenarios_takes_all_that_pass(path: Path) -> None:
    ((value, _),) = documents.read(path.read_text(), str(path))
    assert [error.message for error in SCENARIOS.iter_errors(value)] == []


@pytest.mark.parametrize(
    "value",
    [
        {"scenarios": []},
        {"scenarios": [{"name": "x", "then": []}]},
        {"scenarios": [{"name": "x", "then": [{"at": "0s", "inn": []}]}]},
        {"scenarios": [{"name": "x", "when": [{"at": "0s"}], "then": [{"at": "0s"}]}]},
        {
            "scenarios": [
                {"name": "x", "when": [{"at": "0s", "command": "relase"}], "then": [{"at": "0s"}]}
            ]
        },
        {"definitions": [{"segment": "x"}], "scenarios": [{"name": "x", "then": [{"at": "0s"}]}]},
    ],
    ids=str,
)
def test_the_schema_of_scenarios_finds_what_is_plainly_wrong(value: Any) -> None:
    assert not SCENARIOS.is_valid(value)


def test_what_is_shown_while_one_writes_has_no_fields_of_python() -> None:
    assert "Attributes:" not in json.dumps(generate())


def test_the_command_writes_it() -> None:
    done = CliRunner().invoke(app, ["schema"])
    assert (done.exit_code, json.loads(done.output)) == (0, generate())
    done = CliRunner().invoke(app, ["schema", "--kind", "journey"])
    assert json.loads(done.output) == generate("journey")
    done = CliRunner().invoke(app, ["schema", "--kind", "scenario"])
    assert json.loads(done.output) == scenario_schema()
    done = CliRunner().invoke(app, ["schema", "--kind", "jurney"])
    assert (done.exit_code, "did you mean 'journey'?" in done.output) == (2, True)


def test_examples_are_found() -> None:
    assert len(_written()) > 20
    assert Path(ROOT / "examples").is_dir()
