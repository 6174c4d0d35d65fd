"""New segments and computed traits get their past from the archive, on hosts with real stores."""

import asyncio
import functools
import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgpack
import pytest

from actors import checkpoint_pace
from actors.clock import ManualClock
from actors.filling import Trouble
from actors.host import Host
from actors.store.archive import ArchivePolicy
from actors.store.base import Entry
from actors.store.errors import TornStore
from engine import commands, limits
from engine.commands import Command
from engine.reasons import Reason
from tests.support import local_engine
from tests.support.local_engine import LocalEngine

PEOPLE = 20
DEFINITIONS = """
trait: revenue
compute: {sum: {event: Order Completed, property: total}}
---
trait: last_day
compute: {count: {event: Order Completed, within: 1d}}
---
segment: buyers
when: {event: Order Completed, at_least: 3}
---
segment: rich
when: {trait: revenue, at_least: 30}
"""


def order(number: int, total: int, visitor: str = "") -> Command:
    raw = msgpack.packb({"total": total})
    key = f"default/user/u{number % PEOPLE}"
    return commands.event(
        key, f"m{number}", commands.TRACK, "Order Completed", 1, raw, b"", visitor
    )


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints that never rest, so that there is an archive at once."""
    monkeypatch.setattr(checkpoint_pace, "ROUND_S", 0.02)
    monkeypatch.setattr(checkpoint_pace, "_WAKE_S", 0.0)
    monkeypatch.setattr(limits, "REFRESH_PAUSE_S", 0.005)
    monkeypatch.setattr(limits, "CALL_TIMEOUT_S", 0.5)
    monkeypatch.setattr(limits, "FILL_TOLD", 7)  # so that the archive is read several times
    monkeypatch.setattr(local_engine, "Host", functools.partial(Host, hot_entities=4))


def engine_of(directory: Path) -> LocalEngine:
    engine = LocalEngine(directory, shards=2)
    engine.store.policy = ArchivePolicy(file_entries=3)
    return engine


async def orders(engine: LocalEngine, first: int) -> None:
    """Four orders of everyone, one of them by a visitor who is somebody by that."""
    for at in range(4):
        batch = [
            order(first + at * PEOPLE + n, 4, f"v{n}" if at == 1 else "") for n in range(PEOPLE)
        ]
        assert set(await engine.submit(batch)) <= {Reason.ACCEPTED, Reason.DUPLICATE}


async def archive(engine: LocalEngine) -> int:
    moved = 0
    for host in engine.hosts.values():
        for runner in host.runners.values():
            moved += await runner.archive()
    return moved


async def told(engine: LocalEngine) -> list[dict[str, object]]:
    args = {"workspace": "default", "segment": "rich"}
    return await engine.router.broadcast("segment", args)


async def filled(engine: LocalEngine) -> None:
    while not all(one["filled"] for one in await told(engine)):
        await asyncio.sleep(0.002)


async def test_the_past_counts_once_whatever_is_killed(tmp_path: Path) -> None:
    engine = engine_of(tmp_path)
    async with engine:
        await orders(engine, 0)
        while not await archive(engine):
            await orders(engine, 0)  # the same once more: they are known
        await engine.apply(DEFINITIONS)
        await orders(engine, 1_000)
        await engine.crash_host()
        await engine.start_host()
        await orders(engine, 2_000)
        await filled(engine)
        for n in range(PEOPLE):
            person = await engine.query("profile", f"default/user/u{n}", workspace="default")
            assert person["traits"]["revenue"] == 3 * 4 * 4, n
            assert {"rich", "buyers"} <= set(person["segments"])
    assert not engine.failures


async def test_a_damaged_archive_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FILL_AGAIN_S", 0.01)
    monkeypatch.setattr(limits, "FILL_LONGEST_S", 0.01)
    engine = engine_of(tmp_path)
    async with engine:
        await orders(engine, 0)
        while not await archive(engine):
            await orders(engine, 0)
        files = sorted(tmp_path.rglob("*.zst"))
        good = {path: path.read_bytes() for path in files}
        for path in files:
            path.write_bytes(good[path][:-20])
        await engine.apply(DEFINITIONS)
        while not any(one["error"] for one in await told(engine)):
            await asyncio.sleep(0.002)
        for path in files:
            path.write_bytes(good[path])
        while any(one["error"] for one in await told(engine)):
            await asyncio.sleep(0.002)
        await filled(engine)
        person = await engine.query("profile", "default/user/u1", workspace="default")
        assert person["traits"]["revenue"] == 16
    assert not engine.failures


async def test_whatever_goes_wrong_in_reading_ends_no_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FILL_AGAIN_S", 0.01)
    monkeypatch.setattr(limits, "FILL_LONGEST_S", 0.01)
    engine = engine_of(tmp_path)
    wrong: list[Exception] = [PermissionError("not yours"), ValueError("odd"), TornStore("x", "y")]
    async with engine:
        await orders(engine, 0)
        for runner in engine.hosts["shard-host-0"].runners.values():
            history = runner.store.history

            def read(history: Callable[[], Iterator[Entry]] = history) -> Iterator[Entry]:
                if wrong:
                    raise wrong.pop()
                return history()

            monkeypatch.setattr(runner.store, "history", read)
        await engine.apply(DEFINITIONS)
        while wrong or any(one["error"] for one in await told(engine)):
            await asyncio.sleep(0.002)
        await filled(engine)
        person = await engine.query("profile", "default/user/u1", workspace="default")
        assert person["traits"]["revenue"] == 16
    assert not engine.failures


def test_what_cannot_be_read_is_tried_ever_more_seldom() -> None:
    trouble, now_s = Trouble(), 1_000.0
    pauses_s = []
    for _ in range(2_000):
        trouble.again(OSError("no"), now_s)
        pauses_s.append(trouble.again_s - now_s)
        now_s = trouble.again_s
    assert pauses_s[:7] == [60, 120, 240, 480, 960, 1_920, 3_600]
    assert pauses_s[-1] == 3_600


async def test_a_segment_that_looks_further_back_gets_its_past(tmp_path: Path) -> None:
    clock = ManualClock()
    engine = LocalEngine(tmp_path, shards=2, clock=clock)
    day_ms = 86_400_000

    async def regulars(days: int) -> int:
        when = f"{{event: Order Completed, at_least: 2, within: {days}d}}"
        await engine.apply(f"segment: regulars\nwhen: {when}")
        args = {"workspace": "default", "segment": "regulars"}
        while not all(one["filled"] for one in await engine.router.broadcast("segment", args)):
            await asyncio.sleep(0.002)
        return sum(one["members"] for one in await engine.router.broadcast("segment", args))

    def orders_of(number: int) -> list[Command]:
        key, at_ms = f"default/user/u{number % 10}", clock.now_ms()
        return [commands.event(key, f"o{number}", commands.TRACK, "Order Completed", at_ms)]

    async with engine:
        for number in range(20):
            await engine.submit(orders_of(number))
            clock.advance(day_ms // 10 if number != 9 else 9 * day_ms)
        assert await regulars(days=5) == 0
        assert await regulars(days=20) == 10
        assert await regulars(days=5) == 0
        assert await regulars(days=20) == 10
    assert not engine.failures


async def test_a_reading_says_how_far_it_is_and_holds_up_no_archiving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.filling_pace.WorkPace.rest_s", lambda _: 0.000_01)
    engine, go_on = engine_of(tmp_path), threading.Event()
    async with engine:
        await orders(engine, 0)
        for runner in engine.hosts["shard-host-0"].runners.values():
            history = runner.store.history

            def read(history: Callable[[], Iterator[Entry]] = history) -> Iterator[Entry]:
                for number, entry in enumerate(history()):
                    if number == 3:
                        go_on.wait(10)
                    yield entry

            monkeypatch.setattr(runner.store, "history", read)
        try:
            await engine.apply(DEFINITIONS)
            while not any(0 < one["read"] < 1 for one in await told(engine)):
                await asyncio.sleep(0.002)
            while not await archive(engine):
                await orders(engine, 0)
        finally:
            go_on.set()
        await filled(engine)
        assert all(one["read"] == 1 for one in await told(engine))
    assert not engine.failures


async def test_a_reading_ends_where_it_began_though_the_journal_grows_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of(tmp_path)
    async with engine:
        await orders(engine, 0)
        for runner in engine.hosts["shard-host-0"].runners.values():
            history = runner.store.history

            def grows(history: Callable[[], Iterator[Entry]] = history) -> Iterator[Entry]:
                seq = 0
                for entry in history():
                    seq = entry.seq
                    yield entry
                for more in itertools.count(seq + 1):
                    yield Entry(more, 1, 1, 0, b"")

            monkeypatch.setattr(runner.store, "history", grows)
        await engine.apply(DEFINITIONS)
        await filled(engine)
        person = await engine.query("profile", "default/user/u1", workspace="default")
        assert person["traits"]["revenue"] == 16
        assert "buyers" in person["segments"]
    assert not engine.failures
