"""The documentation tells what is: its snippets run, and its tables are those of the code."""

import doctest
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from actors.carriers.sandbox import SandboxOptions
from actors.settings import Settings
from actors.store.keys import SCOPES
from engine import definitions, limits
from engine.commands import EVENT_TYPES
from engine.conditions import registry as conditions
from engine.conditions.operators import Comparison
from engine.journeys.steps import registry as steps
from engine.program import EMPTY
from engine.reasons import Reason
from engine.simulation.runner import run_file
from engine.simulation.scenario import load
from gateway import errors
from gateway.cli.main import app
from tests.support.docs import LANGUAGES, MARKS, ROOT, Snippet, pages, snippets, table

DOCS = ROOT / "docs"
PAGES = pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))


def _all(language: str, mark: str = "") -> list[Snippet]:
    return [snippet for page in pages() for snippet in snippets(page, language, mark)]


# --- Snippets -----------------------------------------------------------------------------------


@PAGES
def test_every_snippet_is_of_a_known_kind(page: Path) -> None:
    for snippet in snippets(page):
        assert snippet.language in LANGUAGES, snippet.where
        assert snippet.mark in MARKS, snippet.where
    assert page.read_text().count("\n```") == 2 * len(snippets(page)), "a fence is not closed"


@PAGES
def test_the_definitions_of_a_page_hold_together(page: Path) -> None:
    found = snippets(page, "yaml")
    documents = [d for snippet in found for d in definitions.parse(snippet.text, snippet.where)]
    definitions.check(documents, EMPTY)


@pytest.mark.parametrize("snippet", _all("yaml", "settings"), ids=lambda s: s.where)
def test_settings_in_snippets_are_settings(
    snippet: Snippet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "denrei.yaml").write_text(snippet.text)
    monkeypatch.setenv("DENREI_CONFIG", str(tmp_path / "denrei.yaml"))
    load: Any = Settings
    settings = load()
    for name in yaml.safe_load(snippet.text):
        assert name in settings.model_fields_set


@pytest.mark.parametrize("snippet", _all("yaml", "scenario"), ids=lambda s: s.where)
def test_scenarios_in_snippets_pass(snippet: Snippet) -> None:
    for result in run_file(load(snippet.text, snippet.where)):
        assert result.passed, "\n".join(map(str, result.failures))


@PAGES
def test_python_runs_and_prints_what_the_page_says(page: Path) -> None:
    names: dict[str, object] = {}
    for snippet in snippets(page, "python"):
        if ">>>" not in snippet.text:
            exec(compile(snippet.text, snippet.where, "exec"), names)
            continue
        test = doctest.DocTestParser().get_doctest(
            snippet.text, names, page.name, str(page), snippet.line - 1
        )
        report: list[str] = []
        result = doctest.DocTestRunner(verbose=False).run(
            test, out=report.append, clear_globs=False
        )
        assert result.failed == 0, "".join(report)
        names = test.globs


@pytest.mark.parametrize("snippet", _all("python", "instance"), ids=lambda s: s.where)
def test_python_for_an_instance_compiles(snippet: Snippet) -> None:
    compile(snippet.text, snippet.where, "exec")


@pytest.mark.parametrize("snippet", _all("bash", "run"), ids=lambda s: s.where)
def test_bash_runs(snippet: Snippet) -> None:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", snippet.text],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, f"{snippet.where}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("mark", ["", "run", "instance"])
def test_bash_is_bash_and_its_programs_exist(mark: str) -> None:
    denrei: Any = typer.main.get_command(app)
    known = {
        "make",
        "git",
        "cd",
        "export",
        "ulimit",
        "denrei",
        "ray",
        "cp",
        "tar",
        "curl",
        "$EDITOR",
    }
    for snippet in _all("bash", mark):
        checked = subprocess.run(
            ["bash", "-n", "-c", snippet.text], capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, f"{snippet.where}: {checked.stderr}"
        for line in snippet.text.replace("\\\n", " ").splitlines():
            line = re.sub(r"(^|\s)#.*", "", line).strip()
            for call in filter(None, re.split(r"&&|\|\||[|;]", line)):
                words = [word for word in call.split() if "=" not in word.partition("-")[0]]
                program = words[0].rpartition("/")[2] if words else "cd"
                assert program in known, f"{snippet.where}: {program} is not known here"
                if program == "denrei" and len(words) > 1 and not words[1].startswith("-"):
                    names = denrei.list_commands(None)
                    assert words[1] in names, f"{snippet.where}: no command {words[1]}"


# --- What pages name exists ---------------------------------------------------------------------


@PAGES
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(), flags=re.MULTILINE)
            assert anchor in map(_anchor, headings), f"{page.name} links to {target}"


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-")


@PAGES
def test_files_that_are_named_exist(page: Path) -> None:
    folders = "engine|actors|gateway|proto|tests|docs|bench|deploy|examples"
    for name in re.findall(rf"`((?:{folders})/[\w./*-]+)`", page.read_text()):
        if name != "bench/out.json":
            assert list(ROOT.glob(name)), f"{page.name} names {name}"


@PAGES
def test_no_page_names_a_path_of_somebodys_machine(page: Path) -> None:
    found = re.search(r"(?<![\w.~])/(?:root|home|work|opt|Users|tmp/w)\b\S*", page.read_text())
    assert found is None, found


@PAGES
def test_words_of_make_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    inline = re.findall(r"`make ([a-z]+)[^`]*`", page.read_text())
    in_snippets = re.findall(r"^make ([a-z]+)", page.read_text(), flags=re.MULTILINE)
    assert {*inline, *in_snippets} <= targets


def test_the_readme_opens_with_the_two_commands() -> None:
    first = snippets(ROOT / "README.md", "bash")[0].text
    assert re.findall(r"^make (\w+)", first, flags=re.MULTILINE) == ["demo", "test"]


# --- Tables are those of the code ---------------------------------------------------------------


def test_every_reason_has_its_meaning_and_remedy() -> None:
    headings = (
        "## Accepted",
        "## Refused at the door",
        "## Refused by the shard",
        "## Come back later",
        "## Outcomes of a message",
    )
    rows = [row for heading in headings for row in table(DOCS / "errors.md", heading)]
    assert [(name, number) for name, number, _, _ in rows] == [
        (reason.name, str(reason.value)) for reason in Reason
    ]
    for name, _, meaning, remedy in rows:
        assert len(meaning) > 20, name
        assert len(remedy) > 5, name


def test_every_reason_of_a_call_is_there() -> None:
    told = {row[0] for row in table(DOCS / "errors.md", "## Reasons of a call alone")}
    assert told == {
        errors.UNAUTHENTICATED,
        errors.SCOPE_MISSING,
        errors.DEVELOPMENT_KEY,
        errors.MALFORMED_REQUEST,
        "CONFLICT",
    }


def test_every_setting_has_its_row() -> None:
    rows = table(DOCS / "operations.md", "## Settings")
    told = {row[0]: row for row in rows}
    fields = Settings.model_fields
    assert list(told) == list(fields)
    for name, (_, variable, default, meaning) in told.items():
        assert variable == f"DENREI_{name.upper()}"
        assert len(meaning) > 10, name
        field = fields[name]
        if field.default_factory is None:
            value = field.default
            spoken = "" if value in (None, "") else str(value).lower()
            assert default.replace(",", "").lower() == spoken, name


def test_every_scope_has_its_row() -> None:
    rows = table(DOCS / "operations.md", "## Keys")
    assert [row[0] for row in rows] == list(SCOPES)


def test_limits_are_those_of_the_code() -> None:
    for name, value, _ in table(DOCS / "operations.md", "## Limits"):
        assert str(getattr(limits, name)) == value.replace(",", ""), name


def test_the_sandbox_options_are_those_of_the_code() -> None:
    rows = table(DOCS / "sandbox-carrier.md", "# The sandbox carrier")
    told = {name: yaml.safe_load(default) for name, default, _ in rows}
    expected = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in SandboxOptions().model_dump().items()
    }
    assert told == expected


def test_every_event_type_has_its_row() -> None:
    rows = table(DOCS / "events.md", "## The six types")
    assert [row[0].lower() for row in rows] == list(EVENT_TYPES)


def test_every_kind_of_step_and_condition_is_told() -> None:
    journeys = " ".join(row[0] for row in table(DOCS / "journeys.md", "## Steps"))
    assert set(re.findall(r"\{(\w+):", journeys)) >= set(steps._kinds)
    segments = " ".join(row[0] for row in table(DOCS / "segments.md", "## Conditions"))
    assert set(re.findall(r"\{(\w+):", segments)) == set(conditions._kinds)


def test_every_operator_is_told() -> None:
    text = (DOCS / "segments.md").read_text()
    for name in Comparison.model_fields:
        assert f"`{name.rstrip('_')}`" in text
