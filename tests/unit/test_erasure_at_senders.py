"""Nothing of an erased person is left at the senders, whoever of them is away when they are told.

A real sender on a real store: its ledger with limits per recipient, its notes of to whom addresses
belong, its guard. In the end every byte of all its files is searched.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgpack
import pytest

from actors.carriers import registry
from actors.clock import ManualClock
from actors.senders.sender import SenderCore
from engine import commands, limits
from engine.commands import Command
from engine.entity import Entity
from engine.messages.inbound import CARRIER, OWNERS, Received
from engine.packing import pack
from engine.privacy.hidden import is_hidden
from engine.reasons import Reason
from tests.support.local_engine import LocalEngine

ANN, BOB = "default/user/Zweifelstein", "default/user/bob"
PHONE, OTHER = "+4915199887766", "+4915100000001"
STRANGE = (b"zweifelstein", PHONE[1:].encode())
DEFINITIONS = """
lane: main
channel: sms
carrier: sandbox
limits: [{rate: 10/s}, {rate: 3/h, per: recipient}, {rate: 5/day, per: pair}]
"""


class Away(Exception):
    """The sender does not answer."""


class Pool:
    """One sender of this process, which may be away."""

    core: SenderCore
    away = False

    def names(self) -> list[str]:
        return ["sender-sms-1"]

    def sender_of(self, workspace: str, channel: str, lane: str) -> str:
        return "sender-sms-1"

    def link(self, name: str) -> SenderCore:
        if self.away:
            raise Away
        return self.core


class Post:
    """An engine and its sender."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = ManualClock()
        self.pool = Pool()
        self.engine = LocalEngine(directory, shards=1, clock=self.clock, pool=self.pool)

    async def report(self, shard: int, batch: Sequence[Command], size: int) -> bytes:
        deadline = asyncio.get_running_loop().time() + limits.REPORT_TIMEOUT_S
        return await self.engine.router.submit(shard, batch, size, deadline)

    async def open_sender(self) -> None:
        self.pool.core = await SenderCore.open(
            "sender-sms-1", self.directory / "senders", self.clock, self.report, 1,
            secret=self.engine.store.identity.key,
        )  # fmt: skip

    async def send(
        self, key: str, to: str, request: str = "r1", purpose: str = "transactional"
    ) -> None:
        spec = {"channel": "sms", "to": to, "purpose": purpose, "body": "Hi"}
        await self.submit(commands.send(key, request, msgpack.packb(spec)))

    async def submit(self, command: Command) -> None:
        assert await self.engine.submit([command]) == bytes([Reason.ACCEPTED])

    def entity(self, key: str) -> Entity | None:
        (host,) = self.engine.hosts.values()
        return host.runners[0].shard.peek(key)

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not done():
                self.clock.advance(10)
                await asyncio.sleep(0.001)

    async def settled(self) -> None:
        (host,) = self.engine.hosts.values()
        await self.until(lambda: host.runners[0].shard.outbox == 0)

    async def owner(self, address: str) -> str:
        return await self.pool.core._correspondents.owner("default", address)


@asynccontextmanager
async def post(directory: Path) -> AsyncIterator[Post]:
    made = Post(directory)
    async with made.engine:
        await made.open_sender()
        await made.engine.apply(DEFINITIONS)
        try:
            yield made
        finally:
            await made.pool.core.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "listens", lambda lane: True)
    monkeypatch.setattr(limits, "CORRESPONDENTS_EVERY_S", 0.01)
    monkeypatch.setattr("actors.offer_pump.LONGEST_PAUSE_S", 0.02)
    monkeypatch.setattr("actors.offer_pump.FIRST_PAUSE_S", 0.01)


def found(directory: Path) -> list[str]:
    """Where a strange word is in the files of senders."""
    return [
        f"{path.name}: {data[max(0, at - 60) : at + 60]!r}"
        for path in sorted(directory.rglob("*"))
        if path.is_file()
        for data in (path.read_bytes(),)
        for word in STRANGE
        if (at := data.lower().find(word)) >= 0
    ]


async def test_nothing_is_left_in_any_file_of_a_sender(tmp_path: Path) -> None:
    async with post(tmp_path) as here:
        for number in range(2):
            await here.send(ANN, PHONE, f"r{number}")
        await here.send(ANN, PHONE, "r2", purpose="otp")
        await here.send(BOB, OTHER)
        await here.settled()
        await here.pool.core.feedback(msgpack.packb([["default", PHONE, "verified"]]))
        assert await here.owner(PHONE) == ANN
        await here.pool.core._writer.flush()
        assert found(tmp_path / "senders")  # the ledger has the ids of the last hour
        await here.submit(commands.erase(ANN, "r9", False))
        await here.settled()
        assert await here.owner(PHONE) == ""
        assert await here.owner(OTHER) == BOB
        here.clock.advance(limits.SENT_IDS_MS + 60_000)
        await here.pool.core.tidy()
        ann = here.entity(ANN)
        assert ann is not None
        assert is_hidden(ann)
        await here.pool.core.drain(1.0)
    assert found(tmp_path / "senders") == []


@pytest.mark.parametrize("crash", [False, True])
async def test_a_sender_that_is_away_is_told_when_it_is_back(tmp_path: Path, crash: bool) -> None:
    async with post(tmp_path) as here:
        await here.send(ANN, PHONE)
        await here.settled()
        await here.pool.core.close()
        here.pool.away = True
        await here.submit(commands.erase(ANN, "r9", False))
        await asyncio.sleep(0.05)
        ann = here.entity(ANN)
        assert ann is not None
        assert [forward is not None for forward in ann.outbox.values()] == [True]
        if crash:
            await here.engine.crash_host()
            await here.engine.start_host()
        await here.open_sender()
        assert await here.owner(PHONE) == ANN
        here.pool.away = False
        await here.settled()
        assert await here.owner(PHONE) == ""


async def test_a_sender_that_cannot_forget_goes_on_sending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with post(tmp_path) as here:
        broken = True
        forget = here.pool.core.forget

        async def fail(keys: bytes) -> None:
            if broken:
                raise OSError
            await forget(keys)

        monkeypatch.setattr(here.pool.core, "forget", fail)
        await here.submit(commands.erase(ANN, "r9", False))
        await here.send(BOB, OTHER)
        await here.until(lambda: (bob := here.entity(BOB)) is not None and not bob.outbox)
        ann = here.entity(ANN)
        assert ann is not None
        assert ann.outbox
        broken = False
        await here.settled()


async def test_an_answer_after_the_erasure_is_nobodys(tmp_path: Path) -> None:
    async with post(tmp_path) as here:
        await here.send(ANN, PHONE)
        await here.settled()
        await here.submit(commands.erase(ANN, "r9", False))
        await here.settled()
        address = f"default/address/{PHONE}"
        wrote = Received("x", "sms", "main", "p", PHONE, "+1", "hello", here.clock.now_ms())
        owner = await here.owner(PHONE)
        await here.submit(commands.inbound(address, CARRIER, pack(wrote), owner))
        await here.settled()
        known = here.entity(address)
        assert known is not None
        assert OWNERS not in known.state
        ann = here.entity(ANN)
        assert ann is not None
        assert is_hidden(ann)


async def test_an_address_that_is_erased_is_forgotten_too(tmp_path: Path) -> None:
    async with post(tmp_path) as here:
        await here.send(ANN, PHONE)
        await here.settled()
        await here.submit(commands.erase(f"default/address/{PHONE}", "r9", False))
        await here.settled()
        assert await here.owner(PHONE) == ""
