"""A broadcast over real hosts and stores: everyone once, though hosts die on the way.

Rows of different ages are what makes it hard: after a crash the cursor may be older or younger than
the people that it has passed. So checkpoints are small and ceaseless here, hosts are killed again
and again, and in the end each shard's journal, played from the beginning, explains the store.
"""

import asyncio
import functools
import random
import time
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest

from actors import checkpoint_pace
from actors.clock import ManualClock
from actors.host import Host
from actors.store.reader import JournalReader
from engine import commands, limits
from engine.journeys import broadcast
from engine.shard import Shard
from tests.support import local_engine
from tests.support.local_engine import LocalEngine

SHARDS = 3
PEOPLE = {f"default/user/u{number}": number % 3 != 0 for number in range(150)}
NEWS = """
journey: news
again: always
entry: {broadcast: {trait: vip, is: true}, speed: 900/min}
steps: {wait: {delay: 1s, then: rest}, rest: {delay: 30d}}
"""


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints without a pause, and hardly anybody in memory."""
    monkeypatch.setattr(checkpoint_pace, "ROUND_S", 0.02)
    monkeypatch.setattr(checkpoint_pace, "_WAKE_S", 0.0)
    monkeypatch.setattr(checkpoint_pace, "_LEAST_ROWS", 2)
    monkeypatch.setattr(limits, "CALL_TIMEOUT_S", 0.5)
    monkeypatch.setattr(local_engine, "Host", functools.partial(Host, hot_entities=4))


def runs(engine: LocalEngine) -> dict[str, int]:
    """How many runs each person has."""
    found = {}
    for host in engine.hosts.values():
        for key in PEOPLE:
            runner = host.owns(key)
            entity = runner.shard.peek(key) if runner else None
            if entity is not None:
                assert not entity.error, entity.error
                found[key] = len(entity.instances) + len(entity.ended_instances())
    return found


def states(engine: LocalEngine) -> Iterator[str]:
    """The state of the broadcast in each shard."""
    for host in engine.hosts.values():
        for index, runner in host.runners.items():
            task = runner.shard.peek(broadcast.task_key("default", "news", index, SHARDS))
            for told in broadcast.progress(task) if task else ():
                yield told["state"]


async def play(directory: Path, rng: random.Random) -> None:
    """People, a broadcast, and a host that dies every now and then, until everyone was asked."""
    clock = ManualClock()
    engine = LocalEngine(directory, shards=SHARDS, hosts=2, clock=clock)
    async with engine:
        await engine.submit(
            [
                commands.event(
                    key, f"m{key}", commands.IDENTIFY, "", 1, msgpack.packb({"vip": is_vip})
                )
                for key, is_vip in PEOPLE.items()
            ]
        )
        await engine.apply(NEWS)
        crashes = 0
        while set(states(engine)) != {"done"}:
            clock.advance(rng.randrange(1, 400))
            for _ in range(rng.randrange(1, 30)):
                await asyncio.sleep(0)
            await asyncio.sleep(0.001)
            if crashes < 8 and rng.random() < 0.2:
                crashes += 1
                index = rng.randrange(2)
                await engine.crash_host(index)
                await engine.start_host(index)
        assert crashes > 0
        assert runs(engine) == {key: int(is_vip) for key, is_vip in PEOPLE.items()}
        asked = {"workspace": "default", "journey": "news"}
        told = [one for (one,) in await engine.router.broadcast("broadcasts", asked)]
        assert sum(one["visited"] for one in told) == len(PEOPLE)
        assert sum(one["offered"] for one in told) >= sum(PEOPLE.values())
    assert not engine.failures


async def test_everyone_is_taken_in_once_and_the_journals_explain_the_store(
    tmp_path: Path, restless: None
) -> None:
    seed = time.time_ns() % 1_000_000
    print(f"seed {seed}")
    async with asyncio.timeout(120):
        await play(tmp_path, random.Random(seed))
    stored = local_engine.SqliteStore.open(tmp_path)
    for index in range(SHARDS):
        replayed = Shard(index, SHARDS, lambda key: None, lambda after, limit: [])
        for entry in JournalReader(tmp_path, index).entries():
            replayed.apply(entry.seq, entry.now_ms, entry.mode, entry.payload)
        shard_store = stored.open_shard(index, 5.0)
        try:
            rows = {key: data for key, _, data in shard_store.scan("", 10_000)}
        finally:
            shard_store.close()
        assert rows == {entity.key: entity.pack() for entity in replayed.scan("", 10_000)}
