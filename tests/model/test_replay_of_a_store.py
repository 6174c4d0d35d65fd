"""Law 2 on what really lies on the disk: the journals of a run explain every byte of its store.

Hosts, runners and SQLite files as in production, without Ray, with tiny archives, checkpoints that
never rest and so few hot entities that rows are read again all the time. Commands come in while
hosts are killed and started again, and time passes, so that timers fire by ticks. In the end the
hosts stop cleanly. Then each shard's whole history, of archive and journal, is applied from
empty to a fresh shard: its entities and definitions are those of the store, byte by byte.
"""

import asyncio
import functools
import random
import time
from pathlib import Path

import msgpack
import pytest

from actors import checkpoint_pace
from actors.host import Host
from actors.store.archive import ArchivePolicy
from actors.store.reader import JournalReader
from engine import commands, limits
from engine.reasons import Reason
from engine.shard import Shard
from engine.slots import PROFILES
from tests.support import local_engine, shop
from tests.support.local_engine import LocalEngine

SHARDS = 3
USERS = 40
ROUNDS = 60
CHANGED = """
segment: buyer
when: {event: Order Completed, at_least: 1, within: 30m}
---
segment: viewer
when: {event: Product Viewed, at_least: 3}
"""


class Traffic:
    """Commands of some users, in rounds, and receipts for about every second message."""

    def __init__(self, engine: LocalEngine, rng: random.Random) -> None:
        self.engine = engine
        self.rng = rng
        self.number = 0
        self.results: set[int] = set()

    async def round(self) -> None:
        batch = [self.command() for _ in range(self.rng.randrange(1, 12))]
        offers = self.engine.pool.offers
        taken, offers[:] = offers[:], []
        batch += [
            commands.receipt(key, id_, Reason.SENT, self.engine.clock.now_ms(), True, "sandbox")
            for id_, key, *_ in taken
            if self.rng.random() < 0.5
        ]
        self.results.update(await self.engine.submit(batch, timeout_s=30.0))

    def command(self) -> commands.Command:
        self.number += 1
        user, id_ = f"u{self.rng.randrange(USERS)}", f"m{self.number}"
        key, now = f"default/user/{user}", self.engine.clock.now_ms()
        cart = self.rng.choice(("c1", "c2"))
        what = self.rng.randrange(7)
        if what == 0:
            plan = self.rng.choice(("free", "pro"))
            return shop.identify(user, id_, now, phone="+4915112345678", plan=plan, first_name=user)
        if what == 1:
            spec = {"channel": "sms", "body": "Hello", "purpose": "transactional"}
            return commands.send(key, id_, msgpack.packb(spec))
        if what == 2:
            return shop.track(user, id_, "Order Completed", now, cart_id=cart)
        if what == 3:
            return shop.track(user, id_, "Product Viewed", now)
        return shop.track(user, id_, "Product Added", now, cart_id=cart, sku="s")


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits so small that in a run of a second all happens that takes hours in production."""
    monkeypatch.setattr(checkpoint_pace, "ROUND_S", 0.02)
    monkeypatch.setattr(checkpoint_pace, "_WAKE_S", 0.0)
    monkeypatch.setattr(checkpoint_pace, "_LEAST_ROWS", 2)
    # A host that is crashed inside this process leaves its calls hanging, not broken.
    monkeypatch.setattr(limits, "CALL_TIMEOUT_S", 0.5)
    monkeypatch.setattr(local_engine, "Host", functools.partial(Host, hot_entities=4))


async def run(directory: Path, rng: random.Random) -> None:
    """Traffic, crashes, ticks and definitions; then a clean stop."""
    engine = LocalEngine(directory, shards=SHARDS, hosts=2)
    engine.store.policy = ArchivePolicy(file_entries=5)
    async with engine:
        await engine.apply(shop.DEFINITIONS)
        traffic = Traffic(engine, rng)
        archived = 0
        for number in range(ROUNDS):
            sending = asyncio.ensure_future(traffic.round())
            for _ in range(rng.randrange(40)):
                await asyncio.sleep(0)
            if number % 6 == 5:
                index = rng.randrange(2)
                await engine.crash_host(index)
                await engine.start_host(index)
            await sending
            if number == ROUNDS // 2:
                await engine.apply(CHANGED)
            if number % 5 == 4:
                archived += sum(
                    [await r.archive() for h in engine.hosts.values() for r in h.runners.values()]
                )
            engine.clock.advance(rng.randrange(4 * shop.MINUTE_MS))
        assert archived > 0
        assert traffic.results <= {Reason.ACCEPTED, Reason.NOT_FOUND, Reason.DUPLICATE}
    assert not engine.failures


async def test_the_journals_explain_the_store(tmp_path: Path, restless: None) -> None:
    seed = time.time_ns() % 1_000_000
    print(f"seed {seed}")
    await run(tmp_path, random.Random(seed))

    people = timers = 0
    stored = local_engine.SqliteStore.open(tmp_path)
    for index in range(SHARDS):
        replayed = Shard(index, SHARDS, lambda key: None, lambda after, limit: [])
        installed, epochs, last_seq = [], set(), 0
        for entry in JournalReader(tmp_path, index).entries():
            assert entry.seq == last_seq + 1
            last_seq = entry.seq
            epochs.add(entry.epoch)
            effects = replayed.apply(entry.seq, entry.now_ms, entry.mode, entry.payload)
            installed += [(*one, entry.seq) for one in effects.installed]
        shard_store = stored.open_shard(index, 5.0)
        try:
            assert shard_store.last_seq == last_seq
            rows = {key: data for key, _, data in shard_store.scan("", 10_000)}
            assert rows == {e.key: e.pack() for e in replayed.scan("", 10_000)}
            assert dict(shard_store.due()) == {
                e.key: e.due_ms for e in replayed.scan("", 10_000) if e.due_ms is not None
            }
            assert shard_store.segment_counts() == dict(sorted(replayed.sizes.items()))
            assert installed == [
                (row.workspace, row.version, row.documents, row.seq)
                for row in shard_store.definitions()
            ]
        finally:
            shard_store.close()
        assert len(installed) == 2
        assert len(epochs) > 1, "no host of this shard was ever killed"
        people += sum(key.split("/")[1] in PROFILES for key in rows)
        timers += replayed.timers_fired
    assert people == USERS
    assert timers > 0
