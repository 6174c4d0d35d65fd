"""People whose every word is a strange one, among others, and a search for those words in a store.

Their ids, e-mail addresses, phones, traits, properties, messages, keys of journeys: all of it can
be found again, in whatever is left of it, compressed or not.
"""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import apsw
import msgpack
import pytest
import zstandard

from actors.clock import ManualClock
from actors.store.directory import SqliteStore
from actors.store.reader import JournalReader
from engine import commands
from engine.commands import Command
from engine.messages.inbound import CARRIER, Received
from engine.packing import pack, unpack_chunks
from engine.reasons import Reason
from engine.shard import Shard
from tests.support.local_engine import LocalEngine

SHARDS = 3
WORD = "Zweifelstein"
PHONE = "+4915199887766"
STRANGE = (WORD.lower().encode(), PHONE[1:].encode())
DEFINITIONS = """
identity: profiles
identifiers: [email]
---
template: hello
channel: sms
body: "For {{ profile.name }}: {{ event.what }}"
sample: {profile: {name: Ann}, event: {what: a pen}}
---
journey: cart
entry: {event: Product Added, key: properties.cart}
exit: [{event: Order Completed}]
steps:
  hello: {message: {purpose: transactional, channel: sms, template: hello}, then: wait}
  wait: {delay: 2h}
---
segment: known
when: {trait: name, exists: true}
---
segment: busy
when: {event: Product Added, at_least: 3, within: 1d}
---
trait: things
compute: {unique_list: {event: Product Added, property: what}}
---
verification: login
brand: Acme
channels: [sms]
---
lane: texts
channel: sms
carrier: sandbox
limits: [{rate: 10/s}]
"""
Rows = dict[str, bytes]


class Town:
    """What people do, some of whom are strange.

    Args:
        engine: Where they live.
        rng: What they do.
    """

    def __init__(self, engine: LocalEngine, rng: random.Random) -> None:
        self.engine = engine
        self.rng = rng
        self.number = 0

    async def days(self, rounds: int, strange: bool) -> None:
        """Some rounds of commands, hours apart."""
        for _ in range(rounds):
            batch = [
                c for n in range(12) for c in self.doings(f"u{n}", f"u{n}", f"+49151000{n:05}")
            ]
            if strange:
                for n in range(2):
                    batch += self.doings(f"{WORD}-{n}", f"{WORD} {n}", PHONE)
            self.rng.shuffle(batch)
            await self.submit(batch)
            await self.answer()
            assert isinstance(self.engine.clock, ManualClock)
            self.engine.clock.advance(self.rng.randrange(3_600_000))

    def doings(self, user: str, word: str, phone: str) -> Iterator[Command]:
        self.number += 1
        n, rng = self.number, self.rng
        for _ in range(3):
            thing = {"cart": f"{word} {rng.randrange(3)}", "what": f"{word}'s {rng.randrange(9)}"}
            visitor = rng.choice(("", "", f"{word}-visitor"))
            yield self.event(user, commands.TRACK, "Product Added", thing, visitor)
        if n % 3 == 0:
            mail = {"email": f"{word.replace(' ', '-')}@example.com", "phone": phone, "name": word}
            yield self.event(user, commands.IDENTIFY, "", mail)
        if n % 4 == 0:
            yield self.event(
                f"{word}-visitor", commands.PAGE, word, {"url": word}, kind="anonymous"
            )
        if n % 5 == 0:
            yield self.event(user, commands.GROUP, f"acme-{n % 2}", {"plan": "pro"})
        if n % 5 == 1:
            spec = {"channel": "sms", "to": phone, "body": word, "purpose": "transactional"}
            yield commands.send(f"default/user/{user}", f"{word} {n}", msgpack.packb(spec))
        if n % 6 == 0:
            now_ms = self.engine.clock.now_ms()
            wrote = Received(f"{word} {n}", "sms", "texts", word, phone, "+1", word, now_ms)
            address, owner = f"default/address/{phone}", f"default/user/{user}"
            yield commands.inbound(address, CARRIER, pack(wrote), owner)
        if n % 7 == 0:
            yield self.event(user, commands.TRACK, "Order Completed", {"what": word})
        if n % 8 < 2:
            address, code = f"default/address/{phone}", b"d" * 32
            yield commands.start(
                address, f"{word} {n}", "login", f"default/user/{user}", "sms", "en", code, "s",
                {"ip": word},
            )  # fmt: skip
            yield commands.check(address, f"{word} {n}", "login", rng.choice((code, b"x" * 32)))

    def event(
        self, id_: str, type_: int, name: str, values: dict[str, str], other: str = "",
        kind: str = "user",
    ) -> Command:  # fmt: skip
        self.number += 1
        context = msgpack.packb({"page": {"title": id_}})
        return commands.event(
            f"default/{kind}/{id_}", f"{id_} {self.number}", type_, name,
            self.engine.clock.now_ms(), msgpack.packb(values), context, other,
        )  # fmt: skip

    async def answer(self) -> None:
        """Receipts for what senders were offered."""
        pool, now_ms = self.engine.pool, self.engine.clock.now_ms()
        told = [(offer, Reason.SENT) for offer in pool.offers]
        told += [(offer, Reason.CANCELLED) for offer in pool.cancels]
        pool.offers.clear()
        pool.cancels.clear()
        await self.submit(
            [commands.receipt(o[1], o[0], reason, now_ms, True, "x") for o, reason in told]
        )

    async def submit(self, batch: list[Command]) -> set[int]:
        return set(await self.engine.submit(batch, timeout_s=30.0)) if batch else set()

    async def settle(self) -> None:
        """Until nothing is under way."""
        runners = [r for host in self.engine.hosts.values() for r in host.runners.values()]
        while any(runner.shard.outbox for runner in runners):
            assert not self.engine.failures
            await self.answer()
            await asyncio.sleep(0.001)

    async def swept(self, kill: bool) -> None:
        """Asks for a sweep until there is nothing left to take out; kills hosts meanwhile."""
        for number in range(100_000):
            waiting = 0
            for told in await self.engine.router.broadcast("forget", {}):
                waiting += told["waiting"]
                assert "error" not in told
            if not waiting:
                return
            await self.answer()
            if kill and number % 4 == 1 and number < 60:
                index = self.rng.randrange(2)
                await self.engine.crash_host(index)
                await self.engine.start_host(index)
            for _ in range(self.rng.randrange(30)):
                await asyncio.sleep(0)
            await asyncio.sleep(0.002)
        pytest.fail("the sweep does not come to an end")


def everything(directory: Path) -> Iterator[tuple[str, bytes]]:
    """All bytes of a store, and all that is compressed in it, each with where it is."""
    for path in sorted(directory.rglob("*")):
        if path.is_dir():
            continue
        data = path.read_bytes()
        yield path.name, data
        if path.suffix == ".zst":
            opened = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
            yield f"{path.name}, decompressed", opened.read()
    for path in sorted(directory.glob("shard-*.db")):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        (left,) = (connection.execute("SELECT count(*) FROM erasure").get,)
        yield "list of erasures", b"" if left == 0 else b"zweifelstein?"
        connection.close()
    for index in range(SHARDS):
        for entry in JournalReader(directory, index).entries():
            for chunk in unpack_chunks(entry.payload) if entry.payload else ():
                yield f"entry {entry.seq} of shard {index}", commands.open_chunk(chunk)


def found(directory: Path) -> list[str]:
    """Where a strange word is."""
    return [
        f"{where}: {data[max(0, at - 80) : at + 80]!r}"
        for where, data in everything(directory)
        for word in STRANGE
        if (at := data.lower().find(word)) >= 0
    ]


def stored(directory: Path) -> Rows:
    """All rows of a store that is closed, by key."""
    rows: Rows = {}
    store = SqliteStore.open(directory)
    for index in range(SHARDS):
        shard = store.open_shard(index, 5.0)
        rows |= {key: data for key, _, data in shard.scan("", 100_000)}
        shard.close()
    return rows


def replayed(directory: Path) -> Rows:
    """All rows that the history makes."""
    rows: Rows = {}
    for index in range(SHARDS):
        shard = Shard(index, SHARDS, lambda key: None, lambda after, limit: [])
        shard.secret = SqliteStore.open(directory).identity.key
        for entry in JournalReader(directory, index).entries():
            shard.apply(entry.seq, entry.now_ms, entry.mode, entry.payload)
        rows |= {entity.key: entity.pack() for entity in shard.scan("", 100_000)}
    return rows
