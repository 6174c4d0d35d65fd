"""Backtests: the past played again is the past, and a change shows as what it changes."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest
from typer.testing import CliRunner

from actors.clock import ManualClock
from engine import commands, definitions
from engine.issues import DefinitionError
from engine.reasons import Reason
from engine.simulation.backtest import Backtest, Happened, Moment, counts, differences
from engine.simulation.moments import START
from engine.simulation.past import Definitions
from gateway.cli.main import app
from tests.support.local_engine import LocalEngine

HOUR = 3_600_000
CART = """
journey: cart
entry: {event: Product Added}
exit: [{event: Order Completed}]
steps:
  wait: {hold: 2h, on: [{event: Product Added, reset: true}], timeout: nudge}
  nudge: {message: {purpose: marketing, channel: sms, template: nudge}, then: rest}
  rest: {delay: 1h}
"""
REST = """
template: nudge
channel: sms
body: Hi
---
lane: sms
channel: sms
carrier: sandbox
prefixes: ["+"]
"""
QUICK = CART.replace("hold: 2h", "hold: 1h")
PEOPLE = 5


def _command(user: int, name: str, ms: int, **traits: str) -> commands.Command:
    raw = msgpack.packb(traits) if traits else b""
    type_ = commands.IDENTIFY if traits else commands.TRACK
    return commands.event(f"default/user/u{user}", f"{name}{user}{ms}", type_, name, ms, raw)


def _moments() -> Iterator[Moment]:
    """Five people add to their carts at the first hour; of these the third one orders at 2h30."""
    wire = definitions.to_wire(definitions.parse(CART + "---" + REST))
    install = commands.install("f", "default/catalog/definitions", "default", 1, wire)
    yield START.ms, [install]
    yield START.ms, [_command(u, "", START.ms, phone=f"+3460011122{u}") for u in range(PEOPLE)]
    at_ms = START.ms + HOUR
    yield at_ms, [_command(user, "Product Added", at_ms) for user in range(PEOPLE)]
    at_ms = START.ms + 2 * HOUR + HOUR // 2
    yield at_ms, [_command(2, "Order Completed", at_ms)]
    at_ms = START.ms + 2 * HOUR + HOUR // 2
    yield at_ms, []


def _run(text: str, from_h: float = 0.5, to_h: float = 24) -> tuple[list[Happened], list[Happened]]:
    documents = definitions.parse(text)
    part = Backtest(
        documents, START.ms + int(from_h * HOUR), START.ms + int(to_h * HOUR), (0, 1), "default"
    )
    for moment in _moments():
        if not part.play(moment):
            break
    return part.end()


def test_the_same_definitions_do_the_same() -> None:
    real, changed = _run(CART)
    assert real == changed
    assert counts(real) == {("entered", "cart"): (5, 5), ("sent", "nudge"): (4, 4)}


def test_a_change_is_what_it_changes() -> None:
    real, changed = _run(QUICK)
    assert counts(changed) == {("entered", "cart"): (5, 5), ("sent", "nudge"): (5, 5)}
    found = differences(real, changed)
    assert len(found) == 9
    assert [one.with_change for one in found] == [True] * 5 + [False] * 4
    assert {(one.happened.ms - START.ms) / HOUR for one in found} == {2.0, 3.0}


def test_the_period_is_half_open_and_old_runs_drain() -> None:
    real, changed = _run(QUICK, from_h=1.5)
    assert real == changed, "those who are in it keep the version that they entered with"
    real, changed = _run(QUICK, to_h=2)
    assert counts(real) == counts(changed) == {("entered", "cart"): (5, 5)}
    assert differences(real, changed) == []


def test_a_new_segment_has_its_members_at_once() -> None:
    text = """
segment: reachable
when: {trait: phone, exists: true}
---
journey: hello
entry: {segment: reachable}
steps: {hi: {message: {purpose: marketing, channel: sms, template: nudge}}}
"""
    _, changed = _run(text)
    found = [one for one in changed if one.name == "hello"]
    assert {(one.ms, one.what) for one in found} == {(START.ms + HOUR // 2, "entered")}
    assert len(found) == PEOPLE


def test_a_broadcast_begins_with_everyone_of_its_audience() -> None:
    text = """
journey: news
entry: {broadcast: {trait: phone, exists: true}, speed: 60/min}
steps: {hi: {message: {purpose: marketing, channel: sms, template: nudge}}}
"""
    real, changed = _run(text)
    found = [one for one in changed if one.name == "news"]
    assert [one.what for one in found] == ["entered"] * PEOPLE
    assert found[0].ms < START.ms + 0.51 * HOUR
    assert not [one for one in real if one.name == "news"]


def test_what_could_not_be_sent_says_why() -> None:
    _, changed = _run(
        CART.replace("channel: sms", "channel: email")
        + "---\n"
        + """
template: nudge
channel: email
subject: Hi
body: Hi
"""
    )
    assert {one.detail for one in changed if one.what == "not sent"} == {Reason.NO_ADDRESS.name}


def test_changed_definitions_are_checked_against_those_of_the_time() -> None:
    with pytest.raises(DefinitionError, match="there is no template 'nugde'"):
        _run(CART.replace("template: nudge", "template: nugde"))


def test_definitions_from_before_what_is_kept_are_in_force() -> None:
    wire = definitions.to_wire(definitions.parse(CART + "---" + REST))
    part = Backtest(
        definitions.parse(QUICK), START.ms, START.ms + 24 * HOUR, (0, 1), "default",
        [Definitions("default", 7, wire)],
    )  # fmt: skip
    for now_ms, chunk in list(_moments())[1:]:
        part.play((now_ms, chunk))
    real, changed = part.end()
    assert counts(real)["sent", "nudge"] == (4, 4)
    assert counts(changed)["sent", "nudge"] == (5, 5)


# --- The command --------------------------------------------------------------------------------


@pytest.fixture
async def store(tmp_path: Path) -> Path:
    clock = ManualClock(START.ms)
    async with LocalEngine(tmp_path / "store", shards=2, clock=clock) as engine:
        await engine.apply(CART + "---" + REST)
        for now_ms, chunk in list(_moments())[1:]:
            clock.advance(now_ms - clock.now_ms())
            await engine.submit(chunk)
        clock.advance(5 * HOUR)
        for host in engine.hosts.values():
            for runner in host.runners.values():
                await runner.tick(clock.now_ms())
    return tmp_path / "store"


def _denrei(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["backtest", *map(str, arguments)], env={"COLUMNS": "200"})
    return done.exit_code, done.stdout if "--json" in arguments else done.output


async def test_over_the_journals_of_a_store(store: Path, tmp_path: Path) -> None:
    (tmp_path / "same.yaml").write_text(CART)
    code, output = _denrei(tmp_path / "same.yaml", "--store", store)
    assert (code, "nothing would have been different" in output) == (0, True), output
    (tmp_path / "quick.yaml").write_text(QUICK)
    since = ("--from", "2026-01-05T00:30:00Z")
    code, output = _denrei(tmp_path / "quick.yaml", "--store", store, *since, "-n", "3")
    assert code == 0
    assert "9 differences, the first 3:" in output
    assert "2026-01-05 02:00:00  would  u0  sent nudge" in output
    _, output = _denrei(tmp_path / "quick.yaml", "--store", store, *since, "--json")
    told = json.loads(output)
    assert told["real"][1] == {"what": "sent", "name": "nudge", "times": 4, "people": 4}
    assert told["changed"][1]["times"] == 5
    assert len(told["differences"]) == 9


def test_over_a_recorded_file(tmp_path: Path) -> None:
    lines = [
        {
            "type": "identify",
            "userId": "ann",
            "traits": {"phone": "+34600111222"},
            "timestamp": "0",
        },
        {"type": "track", "userId": "ann", "event": "Product Added", "timestamp": "1"},
        {"type": "track", "userId": "bob", "event": "Other", "timestamp": "9"},
    ]
    for line in lines:
        line["timestamp"] = f"2026-01-05T0{line['timestamp']}:00:00Z"
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "all.yaml").write_text(CART + "---" + REST)
    code, output = _denrei(tmp_path / "all.yaml", "--replay", tmp_path / "events.jsonl", "--json")
    assert code == 0, output
    assert json.loads(output)["changed"] == [
        {"what": "entered", "name": "cart", "times": 1, "people": 1},
        {"what": "sent", "name": "nudge", "times": 1, "people": 1},
    ]


async def test_what_is_wrong_is_told(store: Path, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(CART.replace("template: nudge", "template: nugde"))
    code, output = _denrei(tmp_path / "x.yaml", "--store", store)
    assert (code, "did you mean 'nudge'?" in output) == (5, True), output
    (tmp_path / "x.yaml").write_text(CART)
    assert _denrei(tmp_path / "x.yaml", "--store", tmp_path / "gone")[0] == 1
    assert _denrei(tmp_path / "x.yaml", "--store", store, "--from", "soon")[0] == 2
    span = ("--from", "2026-01-02", "--to", "2026-01-01")
    assert _denrei(tmp_path / "x.yaml", "--store", store, *span)[0] == 2
