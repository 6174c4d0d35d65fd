"""cluster.yaml is what Ray's launcher takes, and what it runs on a machine exists."""

import copy
import importlib.resources
import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer.main
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import cli as ray_cli

from actors import instance
from gateway.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ("setup_commands", "head_start_ray_commands", "worker_start_ray_commands")


@pytest.fixture
def config() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    return loaded


def _schema() -> Any:
    return json.loads((importlib.resources.files("ray.autoscaler") / "ray-schema.json").read_text())


def _commands(config: dict[str, Any]) -> list[str]:
    return [command for name in COMMANDS for command in config[name]]


def _calls(config: dict[str, Any], program: str) -> list[list[str]]:
    """The arguments of each call of `.venv/bin/<program>`."""
    found = []
    for command in _commands(config):
        for part in re.split(r"&&|\|\||[;()<>]", command):
            words = shlex.split(part)
            if f".venv/bin/{program}" in words:
                found.append(words[words.index(f".venv/bin/{program}") + 1 :])
    return found


def test_it_fits_rays_schema(config: dict[str, Any]) -> None:
    jsonschema.validate(config, _schema())


def test_the_schema_would_refuse_a_typing_error(config: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError, match="setup_command"):
        jsonschema.validate({**config, "setup_command": []}, _schema())


def test_ray_itself_takes_it_with_its_defaults_filled_in(config: dict[str, Any]) -> None:
    before = copy.deepcopy(config)
    prepared = prepare_config(config)
    validate_config(prepared)
    assert prepared["head_start_ray_commands"] == before["head_start_ray_commands"]
    assert prepared["provider"]["worker_ips"] == []


def test_every_command_is_good_bash(config: dict[str, Any]) -> None:
    for command in _commands(config):
        checked = subprocess.run(
            ["bash", "-n", "-c", command], capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, f"{command}\n{checked.stderr}"


def test_rays_options_exist(config: dict[str, Any]) -> None:
    calls = _calls(config, "ray")
    assert [call[0] for call in calls] == ["stop", "start", "stop", "start"]
    for name, *arguments in calls:
        command = ray_cli.commands[name]
        given = {argument.partition("=")[0] for argument in arguments}
        known = {option for parameter in command.params for option in parameter.opts}
        assert given <= known, f"ray {name} has no {given - known}"


def test_denreis_options_exist(config: dict[str, Any]) -> None:
    denrei: Any = typer.main.get_command(app)
    calls = _calls(config, "denrei")
    assert [call[0] for call in calls] == ["down", "up"]
    for name, *arguments in calls:
        command = denrei.get_command(None, name)
        known = {option for parameter in command.params for option in parameter.opts}
        given = {argument for argument in arguments if argument.startswith("--")}
        assert given <= known, f"denrei {name} has no {given - known}"


def test_every_start_has_rays_environment_and_enough_files(config: dict[str, Any]) -> None:
    starts = [c for c in _commands(config) if "/ray start" in c or "/denrei up" in c]
    assert len(starts) == 3
    for command in starts:
        assert ". deploy/ray.env" in command
        assert "ulimit -n 65536" in command


def test_a_cluster_runs_with_what_a_single_machine_does_but_for_the_token() -> None:
    text = (ROOT / "deploy" / "ray.env").read_text()
    exported = dict(re.findall(r"^export (\w+)=(\S+)$", text, flags=re.MULTILINE))
    assert exported.pop("RAY_AUTH_MODE") == "token"
    assert exported == instance._RAY_ENVIRONMENT


def test_the_head_offers_no_cpu_to_others(config: dict[str, Any]) -> None:
    (head,) = [call for call in _calls(config, "ray") if "--head" in call]
    assert "--num-cpus=0" in head
    assert "--dashboard-host=127.0.0.1" in head


def test_the_token_is_never_in_the_file(config: dict[str, Any]) -> None:
    text = (ROOT / "cluster.yaml").read_text() + (ROOT / "deploy" / "ray.env").read_text()
    assert not re.search(r"[0-9a-f]{32}", text)
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
