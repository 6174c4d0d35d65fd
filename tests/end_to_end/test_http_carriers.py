"""From a message to a carrier over HTTP and back, in one process: shards, a sender and the door."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgpack
import pytest

from actors.clock import SystemClock
from actors.senders.sender import SenderCore
from engine import commands, limits
from engine.commands import Command
from engine.messages.message import api_message_id
from gateway.http.door import HttpDoor, Within
from tests.support.fake_twilio import ACCOUNT, TOKEN, FakeTwilio
from tests.support.local_engine import LocalEngine
from tests.support.peers import LOOPBACK

ANN, OURS = "+12025550123", "+12025550100"
LANE = """
lane: us
channel: sms
carrier: twilio
sender: "+12025550100"
options: {{account_sid: {account}, auth_token: {{secret: twilio}}, url: "{url}"{more}}}
"""


class OneSender:
    """A pool whose one sender is in this process; it may be away."""

    def __init__(self) -> None:
        self.core: SenderCore

    def names(self) -> list[str]:
        return ["sender-sms-1"]

    def sender_of(self, workspace: str, channel: str, lane: str) -> str:
        return "sender-sms-1"

    def link(self, name: str) -> SenderCore:
        return self.core


class Shop:
    """An engine with a sender, a door and a carrier."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._clock = SystemClock()
        self.pool = OneSender()
        self.engine = LocalEngine(directory / "store", clock=self._clock, pool=self.pool)
        inside = Within(self.engine.router, self.pool, self._clock, {})  # type: ignore[arg-type]
        self.door = HttpDoor(inside)
        self.twilio = FakeTwilio()
        self.url = ""
        self._requests = 0

    async def open_sender(self) -> None:
        self.pool.core = await SenderCore.open(
            "sender-sms-1",
            self._directory / "senders",
            self._clock,
            self._report,
            self.engine.shards,
            callback_url=self.url,
            secrets={"default": {"twilio": TOKEN}},
            carrier_allow=LOOPBACK,
        )

    async def restart_sender(self) -> None:
        """As after a kill -9 of which only the file was written."""
        await self.pool.core.close()
        await self.open_sender()

    async def _report(self, shard: int, batch: Sequence[Command], size: int) -> bytes:
        deadline = asyncio.get_running_loop().time() + limits.REPORT_TIMEOUT_S
        return await self.engine.router.submit(shard, batch, size, deadline)

    async def apply(self, more: str = "") -> None:
        await self.engine.apply(LANE.format(account=ACCOUNT, url=self.twilio.url, more=more))

    async def send(self, key: str, purpose: str, to: str = ANN) -> str:
        self._requests += 1
        request = f"r{self._requests}"
        spec = {"channel": "sms", "to": to, "purpose": purpose, "body": "Hello"}
        await self.engine.submit([commands.send(key, request, msgpack.packb(spec))])
        return api_message_id(key, request)

    async def history(self, key: str, id_: str) -> list[str]:
        found = await self.engine.query("message", key, id=id_)
        times = [at_ms for at_ms, _, _, _ in found["history"]]
        assert times == sorted(times)
        return [reason for _, reason, _, _ in found["history"]]

    async def heard(self, key: str) -> list[str]:
        return [one["body"] for one in (await self.engine.query("inbound", key))["items"]]

    async def trail(self, key: str) -> list[str]:
        found = await self.engine.query("profile", key)
        return [" ".join(line[1:]) for line in found["trail"]] if found else []

    async def says(self, body: str, number: int, sender: str = ANN, token: str = TOKEN) -> int:
        fields = {"MessageSid": f"SMin{number}", "From": sender, "To": OURS, "Body": body}
        url = f"{self.url}/v1/carriers/default/us/inbound"
        return await self.twilio.call(url, fields, token)


async def until(done: Callable[[], Awaitable[bool]]) -> None:
    while not await done():
        await asyncio.sleep(0.01)


@asynccontextmanager
async def shop(directory: Path) -> AsyncIterator[Shop]:
    made = Shop(directory)
    async with made.twilio, asyncio.timeout(120):
        port = await made.door.start("127.0.0.1", 0)
        made.url = f"http://127.0.0.1:{port}"
        (directory / "senders").mkdir()
        await made.open_sender()
        async with made.engine:
            try:
                yield made
            finally:
                await made.pool.core.close()
        await made.door.stop()


async def test_a_text_is_reported_on_and_its_answer_ends_texts(tmp_path: Path) -> None:
    async with shop(tmp_path) as here:
        here.twilio.fates = lambda form: ["queued", "sent", "delivered"]
        await here.apply()
        id_ = await here.send("default/user/ann", "transactional")

        async def delivered() -> bool:
            return "DELIVERED" in await here.history("default/user/ann", id_)

        await until(delivered)
        await here.twilio.settled()
        story = ["QUEUED", "SENDING", "SENT", "DELIVERED"]
        assert await here.history("default/user/ann", id_) == story
        url = here.twilio.requests[0]["StatusCallback"]
        late = {"MessageSid": f"SM{1:032x}", "MessageStatus": "failed"}
        assert await here.twilio.call(url, late, token="another") == 403
        assert await here.twilio.call(url, {**late, "MessageStatus": "delivered"}) == 200
        assert await here.history("default/user/ann", id_) == story

        assert await here.says("Stop", 1, token="another") == 403
        assert [await here.says("Stop", 1) for _ in range(3)] == [200, 200, 200]

        async def heard() -> bool:
            return await here.heard("default/user/ann") == ["Stop"]

        await until(heard)
        assert any("by a reply of STOP" in line for line in await here.trail("default/user/ann"))
        refused = await here.send("default/user/ann", "marketing")
        assert await here.history("default/user/ann", refused) == ["NO_CONSENT"]


async def test_a_report_finds_its_message_when_the_answer_was_lost(tmp_path: Path) -> None:
    async with shop(tmp_path) as here:
        here.twilio.decide = lambda form: None  # it hangs up
        await here.apply()
        id_ = await here.send("default/user/ann", "transactional")

        async def unknown() -> bool:
            return "UNKNOWN_OUTCOME" in await here.history("default/user/ann", id_)

        await until(unknown)
        url = here.twilio.requests[0]["StatusCallback"]
        report = {"MessageSid": "SMlost", "MessageStatus": "delivered"}
        assert await here.twilio.call(url, report) == 200
        history = await here.history("default/user/ann", id_)
        assert history == ["QUEUED", "SENDING", "UNKNOWN_OUTCOME", "DELIVERED"]


async def test_after_a_restart_the_lane_hears_and_knows_whom_it_wrote_to(tmp_path: Path) -> None:
    async with shop(tmp_path) as here:
        await here.apply()
        id_ = await here.send("default/user/ann", "transactional")

        async def sent() -> bool:
            return "SENT" in await here.history("default/user/ann", id_)

        await until(sent)
        await here.restart_sender()
        assert await here.says("who is it?", 1) == 200

        async def heard() -> bool:
            return await here.heard("default/user/ann") == ["who is it?"]

        await until(heard)
        assert await here.heard(f"default/address/{ANN}") == []


async def test_a_stranger_is_heard_at_the_address(tmp_path: Path) -> None:
    async with shop(tmp_path) as here:
        await here.apply(", keywords: false")
        assert await here.says("STOP", 1, sender="+12025550999") == 200
        assert await here.heard("default/address/+12025550999") == ["STOP"]
        trail = await here.trail("default/address/+12025550999")
        assert not any(line.startswith("consent") for line in trail)
        (found,) = (await here.engine.query("inbound", "default/address/+12025550999"))["items"]
        assert (found["from"], found["to"], found["channel"]) == ("+12025550999", OURS, "sms")


async def test_what_is_not_journaled_is_not_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop(tmp_path) as here:
        await here.apply()
        await here.engine.crash_host()
        with monkeypatch.context() as patched:
            patched.setattr(limits, "INBOUND_TRY_S", 0.2)
            assert await here.says("hello", 1) == 503
        await here.engine.start_host()

        async def taken() -> bool:
            return await here.says("hello", 1) == 200

        await until(taken)
        assert await here.heard(f"default/address/{ANN}") == ["hello"]
