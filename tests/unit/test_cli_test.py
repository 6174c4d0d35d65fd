"""`denrei test` and the pytest plugin: scenario files that users keep beside their definitions."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app

VIP = "segment: vip\nwhen: {trait: points, at_least: 100}\n"
GOOD = """
definitions: [vip.yaml]
scenarios:
  - name: a hundred points are enough
    when: [{at: 0s, user: ann, identify: {points: 100}}]
    then: [{at: 0s, user: ann, in: [vip]}]
  - name: more is better
    when: [{at: 1d, user: ann, identify: {points: 101}}]
    then: [{at: 1d, user: ann, in: [vip]}]
"""
BAD = GOOD.replace("points: 101", "points: 99")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "definitions").mkdir()
    (tmp_path / "vip.yaml").write_text(VIP)
    (tmp_path / "vip.scenario.yaml").write_text(GOOD)
    return tmp_path


def _run(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["test", *map(str, arguments)], env={"COLUMNS": "200"})
    return done.exit_code, done.output


def test_scenarios_that_pass_are_a_line_each(folder: Path) -> None:
    code, output = _run(folder)
    assert code == 0
    first, second, last = output.splitlines()
    assert first == f"passed  {folder}/vip.scenario.yaml  a hundred points are enough"
    assert second == f"passed  {folder}/vip.scenario.yaml  more is better"
    assert last.startswith("2 passed, 0 failed: 1d of their time in ")


def test_what_failed_is_told_and_is_the_exit_code(folder: Path) -> None:
    (folder / "vip.scenario.yaml").write_text(BAD)
    code, output = _run(folder)
    assert code == 1
    assert f"FAILED  {folder}/vip.scenario.yaml  more is better" in output
    assert f"    {folder}/vip.scenario.yaml:9: then[0] (at 1d, user ann): in" in output
    assert "1 passed, 1 failed" in output


def test_json_is_a_line_for_each_scenario(folder: Path) -> None:
    (folder / "vip.scenario.yaml").write_text(BAD)
    code, output = _run(folder, "--json")
    assert code == 1
    first, second = map(json.loads, output.splitlines())
    assert (first["passed"], first["failures"]) == (True, [])
    assert second["failures"][0]["expected"] == ["vip"]
    assert second["failures"][0]["found"] == []


def test_some_can_be_chosen(folder: Path) -> None:
    assert "1 passed, 0 failed" in _run(folder, "-k", "better")[1]
    assert _run(folder, "-k", "worse")[0] == 1, "nothing that ran is nothing that passed"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("x.yaml", "scenarios: []\n", "scenarios: must not be empty"),
        ("x.yaml", GOOD.replace("vip.yaml", "gone.yaml"), "x.yaml:2: gone.yaml: No such file"),
        ("x.yaml", GOOD + "x: [", "not YAML"),
    ],
)
def test_files_that_are_not_good_run_nothing(
    folder: Path, name: str, text: str, words: str
) -> None:
    (folder / name).write_text(text)
    code, output = _run(folder)
    assert (code, words in output) == (5, True), output
    assert "passed" not in output


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    assert _run(tmp_path / "gone.yaml")[0] == 5
    code, output = _run(tmp_path)
    assert (code, "holds scenarios" in output) == (5, True)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"scenarios:\n\xff")
    code, output = _run(tmp_path / "x.yaml")
    assert (code, "is not a text in UTF-8" in output) == (5, True)


def _pytest(folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-p", "no:denrei", "-p", "gateway.pytest_plugin",
            "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(folder), str(folder),
        ],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_pytest_runs_scenario_files(folder: Path) -> None:
    (folder / "vip.scenario.yaml").write_text(BAD)
    code, output = _pytest(folder)
    assert (code, "1 failed, 1 passed" in output) == (1, True), output
    assert "vip.scenario.yaml:9: then[0] (at 1d, user ann): in" in output
    assert "Traceback" not in output
    (folder / "vip.scenario.yaml").write_text("scenarios: []\n")
    code, output = _pytest(folder)
    assert (code, "scenarios: must not be empty" in output) == (2, True), output
