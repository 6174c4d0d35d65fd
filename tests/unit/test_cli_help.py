"""The command's own words: help with an example and exit codes, errors without tracebacks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from actors.store.keys import KeyStore
from engine import commands
from engine.reasons import Reason
from gateway.cli import owner
from gateway.cli.errors import CliError
from gateway.cli.journal import decode
from gateway.cli.main import COMMANDS, app
from gateway.cli.output import span_of, time_of
from gateway.cli.send import parent_of


def _run(*arguments: str) -> tuple[int, str]:
    environment = {name: "" for name in os.environ if name.startswith("DENREI_")}
    done = CliRunner().invoke(app, list(arguments), env={**environment, "COLUMNS": "200"})
    return done.exit_code, done.output


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example_and_the_exit_codes(command: str) -> None:
    code, help_ = _run(command, "--help")
    assert code == 0
    assert f"denrei {command}" in help_
    assert "Example:" in help_
    if command == "keys":
        code, help_ = _run("keys", "create", "--help")
    assert "Exit codes:" in help_


def test_the_first_page_names_every_command() -> None:
    _, help_ = _run("--help")
    assert all(command in help_ for command in COMMANDS)


def test_commands_start_without_ray_and_help_without_grpc() -> None:
    script = """
import sys
from gateway.cli.main import COMMANDS, app
assert not {"grpc", "ray"} & set(sys.modules), "the list of commands needs neither"
import importlib
for command in COMMANDS:
    importlib.import_module(f"gateway.cli.{command}")
    assert "ray" not in sys.modules, command
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("status",), 3, "no instance runs on"),
        (("status", "--address", "nowhere"), 2, "is not of the form HOST:PORT"),
        (("apply", "gone.yaml"), 5, "there is no gone.yaml"),
        (("send", "ann", "--channel", "sms"), 2, "give either --body or --template"),
        (("send", "ann", "--channel", "fax", "--body", "x"), 2, "choose one of sms, email, push"),
        (("send", "ann", "-c", "sms", "--body", "x", "--data", "{"), 2, "--data is not JSON"),
        (("replay", "gone.csv"), 5, "there is no file gone.csv"),
        (("replay", "x.csv", "--then", "3"), 2, "--then '3'"),
        (("replay", "x.csv", "--until", "soon"), 2, "--until 'soon' is not a time"),
        (("replay", "x.csv", "--until", "2026-01-01", "--then", "1d"), 2, "give either --until"),
        (("journal",), 1, "holds no store"),
        (("journal", "--from", "soon"), 1, "holds no store"),
        (("keys", "list"), 1, "holds no store"),
        (("keys", "create", "--scope", "fly"), 2, "scopes fly"),
        (("up", "--hosts", "0"), 2, "hosts: Input should be greater than or equal to 1"),
        (("up", "--clock", "moon"), 2, "clock 'moon'"),
        (("up", "--bind", "0.0.0.0"), 5, "a development key is refused there"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int,
    words: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    done_code, output = _run(*arguments)
    assert (done_code, words in output) == (code, True), output
    assert "Traceback" not in output


def test_nobody_at_an_address_is_no_answer(tmp_path: Path) -> None:
    code, output = _run(
        "status", "--address", "127.0.0.1:1", "--key", "dk_x", "--timeout", "0.3",
        "--store", str(tmp_path),
    )  # fmt: skip
    assert (code, "no gateway answers at 127.0.0.1:1" in output) == (3, True), output


def test_down_is_fine_when_nothing_runs(tmp_path: Path) -> None:
    assert _run("down", "--store", str(tmp_path), "--json") == (0, '{"stopped":false,"pid":0}\n')


def test_a_store_has_one_owner_and_its_id_counts_only_while_it_lives(tmp_path: Path) -> None:
    serving = owner.Running(os.getpid(), "127.0.0.1:5", "", str(tmp_path), "", "system", False)
    assert owner.owner_pid(tmp_path) == 0
    claim = owner.Owner(tmp_path)
    assert owner.owner_pid(tmp_path) == os.getpid()
    assert owner.running(tmp_path) is None, "it does not serve yet"
    claim.serves(serving)
    assert owner.running(tmp_path) == serving
    with pytest.raises(CliError, match=f"process {os.getpid()} runs an instance"):
        owner.Owner(tmp_path)
    claim.release()
    assert owner.owner_pid(tmp_path) == 0, "the id is still in the file, and means nothing"
    assert owner.running(tmp_path) is None


def test_keys_are_made_listed_and_revoked_in_the_store(tmp_path: Path) -> None:
    store = ("--store", str(tmp_path))
    code, secret = _run("keys", "create", "--scope", "publish", "--scope", "read", *store)
    assert code == 0
    keys = KeyStore(tmp_path)
    info = keys.verify(secret.strip())
    assert info is not None
    assert (info.scopes, info.workspace, info.dev) == (("publish", "read"), "default", False)
    _, listed = _run("keys", "list", *store)
    assert info.id in listed
    assert secret.strip() not in listed
    assert _run("keys", "revoke", info.id, *store)[0] == 0
    assert keys.verify(secret.strip()) is None
    assert _run("keys", "revoke", "nobody", *store)[0] == 5
    keys.close()


@pytest.mark.parametrize(
    ("text", "user", "parent"),
    [
        ("4711", False, "users/4711"),
        ("+15551234567", False, "addresses/+15551234567"),
        ("ann@example.com", False, "addresses/ann@example.com"),
        ("ann@example.com", True, "users/ann@example.com"),
        ("addresses/tok/en", False, "addresses/tok/en"),
    ],
)
def test_whom_a_text_means(text: str, user: bool, parent: str) -> None:
    assert parent_of(text, user) == parent


def test_commands_of_a_journal_are_shown_decoded() -> None:
    event = commands.event("w/user/ann", "m-1", commands.TRACK, "X", 5_000, b"\x81\xa1n\x03")
    assert decode(event) == {
        "command": "event", "key": "w/user/ann", "message_id": "m-1", "type": "track", "name": "X",
        "timestamp_ms": 5_000, "properties": {"n": 3},
    }  # fmt: skip
    receipt = decode(commands.receipt("w/user/ann", "f" * 32, 102, 6_000, True, "sandbox"))
    assert (receipt["outcome"], receipt["carrier"]) == ("DELIVERED", "sandbox")
    assert "more" not in receipt
    more = [(Reason.DELIVERED, 7_000, "", "")]
    both = decode(commands.receipt("w/user/ann", "f" * 32, 101, 6_000, True, more=more))
    assert both["outcome"] == "SENT"
    assert both["more"] == [{"outcome": "DELIVERED", "at_ms": 7_000, "code": "", "detail": ""}]
    assert decode((99, "k", 1)) == {"command": "unknown operation 99", "key": "k"}
    assert decode((*event, "grown"))["name"] == "X", "a command grows at its end"
    broken = commands.event("w/user/ann", "m-1", commands.TRACK, "X", 5_000, b"\xc1")
    assert decode(broken)["properties"] == "(1 unreadable bytes)"


@pytest.mark.parametrize(
    ("ms", "words"),
    [(0.25, "0.25 ms"), (8.234, "8.23 ms"), (1_500, "1.5 s"), (90_000, "1min 30s"),
     (90_061_000, "1d 1h"), (86_400_000, "1d")],
)  # fmt: skip
def test_spans_in_their_two_largest_units(ms: float, words: str) -> None:
    assert span_of(ms) == words


def test_times_as_a_person_reads_them() -> None:
    assert time_of(0) == "—"
    assert time_of(852_076_800_000) == "1997-01-01"
    assert time_of(852_076_801_000) == "1997-01-01 00:00:01"
    assert time_of(852_076_801_005) == "1997-01-01 00:00:01.005"
