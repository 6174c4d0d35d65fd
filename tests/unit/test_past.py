"""The past of one person, played again from the journal of a store on which a town lived."""

from pathlib import Path

import msgpack
import pytest
from typer.testing import CliRunner

from actors.clock import EventClock, ManualClock
from actors.store.archive import ArchivePolicy
from actors.store.base import Commit, DefinitionRow, Entry
from actors.store.directory import SqliteStore
from engine import commands, definitions
from engine.simulation.past import Past, Recorded, moments
from gateway.cli.archived import past_of
from gateway.cli.errors import CliError
from gateway.cli.main import app
from tests.support.local_engine import LocalEngine
from tests.unit.store_helpers import create

START = 1_700_000_000_000
HOUR = 3_600_000
TOWN = 12
DEFINITIONS = """
segment: busy
when: {event: Order Completed, at_least: 2, within: 3h}
---
journey: cart
entry: {event: Product Added}
exit: [{event: Order Completed}]
steps:
  wait: {hold: 2h, on: [{event: Product Added, reset: true}], timeout: nudge}
  nudge: {message: {purpose: marketing, channel: sms, template: nudge}, then: rest}
  rest: {delay: 1h}
---
template: nudge
channel: sms
body: Hi {{ profile.name }}
sample: {profile: {name: Ann}}
---
lane: sms
channel: sms
carrier: sandbox
prefixes: ["+"]
"""


def _key(number: int) -> str:
    return f"default/user/u{number}"


def _event(number: int, hour: int, name: str, at_ms: int) -> commands.Command:
    return commands.event(_key(number), f"{name}-{number}-{hour}", commands.TRACK, name, at_ms)


def _identify(number: int, at_ms: int) -> commands.Command:
    raw = msgpack.packb({"name": f"N{number}", "phone": "+34600111222"})
    return commands.event(_key(number), f"i{number}", commands.IDENTIFY, "", at_ms, raw)


@pytest.fixture
async def store(tmp_path: Path) -> tuple[Path, dict[int, dict[str, bytes]]]:
    """A store with two days of a town, and everyone's bytes at some hours of them."""
    clock = ManualClock(START)
    seen: dict[int, dict[str, bytes]] = {}
    async with LocalEngine(tmp_path / "store", shards=2, clock=clock) as engine:
        await engine.apply(DEFINITIONS)
        await engine.submit([_identify(number, START) for number in range(TOWN)])
        for hour in range(20):
            at_ms = clock.now_ms()
            events = [
                _event(
                    n, hour, "Order Completed" if (n + hour) % 5 == 0 else "Product Added", at_ms
                )
                for n in range(TOWN)
                if (n * 7 + hour) % 4 == 0
            ]
            await engine.submit(events)
            if hour == 9:
                await engine.apply("segment: shy\nwhen: {not: {event: Order Completed}}\n")
            await _tick(engine, at_ms)
            seen[at_ms] = _bytes(engine)
            clock.advance(HOUR)
    return tmp_path / "store", seen


async def _tick(engine: LocalEngine, at_ms: int) -> None:
    for host in engine.hosts.values():
        for runner in host.runners.values():
            await runner.tick(at_ms)


def _bytes(engine: LocalEngine) -> dict[str, bytes]:
    found = {}
    for number in range(TOWN):
        entity = (
            engine.hosts["shard-host-0"]
            .runners[engine.shard_of(_key(number))]
            .shard.peek(_key(number))
        )
        assert entity is not None
        found[_key(number)] = entity.pack()
    return found


async def test_everyone_is_byte_for_byte_who_they_were(
    store: tuple[Path, dict[int, dict[str, bytes]]],
) -> None:
    path, seen = store
    for at_ms in list(seen)[::4]:
        for number in range(TOWN):
            past, history = past_of(path, _key(number), at_ms)
            assert history.complete
            assert past.entity is not None
            assert past.entity.pack() == seen[at_ms][_key(number)], (number, at_ms)


async def test_nobody_has_a_past_before_the_journal(
    store: tuple[Path, dict[int, dict[str, bytes]]],
) -> None:
    with pytest.raises(CliError, match="before everything that is kept"):
        past_of(store[0], _key(1), START - 1)
    past, _ = past_of(store[0], "default/user/nobody")
    assert past.entity is None


async def test_the_command_shows_a_moment(
    store: tuple[Path, dict[int, dict[str, bytes]]],
) -> None:
    arguments = ["profile", "u1", "--store", str(store[0]), "--at"]
    done = CliRunner().invoke(app, [*arguments, "2023-11-15T01:00:00Z"], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "users/u1, known since 2023-11-14 22:13:20, as of 2023-11-15 01:00:00" in done.output
    assert "name: N1" in done.output
    done = CliRunner().invoke(app, [*arguments, "2023-11-15T01:00:00Z", "--json"])
    assert '"name":"users/u1"' in done.output
    assert CliRunner().invoke(app, [*arguments, "2020-01-01"]).exit_code == 1
    assert CliRunner().invoke(app, [*arguments, "soon"]).exit_code == 2
    arguments[1] = "nobody"
    assert CliRunner().invoke(app, [*arguments, "2023-11-15T01:00:00Z"]).exit_code == 5


async def test_a_journal_in_event_time(tmp_path: Path) -> None:
    async with LocalEngine(tmp_path / "store", shards=1, clock=EventClock()) as engine:
        await engine.apply(DEFINITIONS)
        at_ms = START
        for hour in range(0, 12, 2):
            at_ms = START + hour * HOUR
            await engine.submit(
                [_event(n, hour, "Product Added", at_ms + n) for n in range(0, TOWN, 1 + hour // 4)]
            )
        entities = _bytes_of_one(engine)
    for number in range(TOWN):
        past, _ = past_of(tmp_path / "store", _key(number))
        past.end(past.shard.now)
        assert past.entity is not None
        assert past.entity.pack() == entities[_key(number)]


def _bytes_of_one(engine: LocalEngine) -> dict[str, bytes]:
    shard = engine.hosts["shard-host-0"].runners[0].shard
    return {entity.key: entity.pack() for entity in shard.scan("", 100)}


def test_an_entry_in_event_time_is_as_many_moments_as_its_events_have() -> None:
    chunk = [_event(1, 0, "a", 5), _event(2, 0, "a", 7), _event(1, 1, "a", 6)]
    entry = Recorded(4, 1, commands.pack_payload([commands.pack_chunk(chunk)]))
    found = [
        (now_ms, [command[2] for command in gathered]) for now_ms, gathered in moments(entry, 0)
    ]
    assert found == [(4, []), (5, ["a-1-0"]), (7, ["a-2-0", "a-1-1"])]
    assert list(moments(Recorded(4, 0, b""), 9)) == [(9, [])]


def test_definitions_from_before_what_is_kept_are_in_force() -> None:
    packed = msgpack.packb(
        [["segment", "all", {"segment": "all", "when": {"trait": "a", "is": 1}}]]
    )
    past = Past(_key(1), 2, [("other", 1, packed), ("default", 1, packed)])  # type: ignore[list-item]
    raw = msgpack.packb({"a": 1})
    command = commands.event(_key(1), "m", commands.IDENTIFY, "", 5, raw)
    past.play(Recorded(5, 0, commands.pack_payload([commands.pack_chunk([command])])))
    assert past.entity is not None
    assert list(past.entity.segments) == ["all"]


def test_an_archive_whose_beginning_is_gone_says_so(tmp_path: Path) -> None:
    identity = create(tmp_path, shards=1).identity
    store = SqliteStore(tmp_path, identity, ArchivePolicy(file_bytes=50))
    shard = store.open_shard(0, 0)
    wire = definitions.to_wire(definitions.parse("segment: all\nwhen: {trait: a, is: 1}\n"))
    install = commands.install("f", "default/catalog/definitions", "default", 1, wire)
    raw = msgpack.packb({"a": 1})
    chunks: list[commands.Command] = [install]
    chunks += [commands.event(_key(1), f"m{n}", 0, "", n * 1_000, raw) for n in range(2, 9)]
    journal = [
        Entry(n, 1, n * 1_000, 0, commands.pack_payload([commands.pack_chunk([command])]))
        for n, command in enumerate(chunks, 1)
    ]
    shard.commit(Commit(journal, [], [DefinitionRow("default", 1, 1, wire)], start_seq=9))
    while shard.archive_passed():
        pass
    shard.close()
    whole, history = past_of(tmp_path, _key(1), 8_500)
    assert (history.complete, history.definitions, history.first_ms) == (True, [], 1_000)
    for path in sorted((tmp_path / "archive/shard-000").glob("*.zst"))[:2]:
        path.unlink()
    past, history = past_of(tmp_path, _key(1), 8_500)
    assert (history.complete, len(history.definitions)) == (False, 1)
    assert whole.entity is not None
    assert past.entity is not None
    assert list(past.entity.segments) == list(whole.entity.segments) == ["all"]
    assert past.entity.created_ms > whole.entity.created_ms
    done = CliRunner().invoke(
        app, ["profile", "u1", "--store", str(tmp_path), "--at", "1970-01-01T00:00:08Z"]
    )
    assert "what happened before is not in it" in done.output
