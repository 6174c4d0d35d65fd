"""A running instance beside a server that speaks Twilio's API: out, reported on, and back in."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc.aio
import pytest

from gateway.pb.denrei.v1 import definitions_pb2 as d
from gateway.pb.denrei.v1 import definitions_pb2_grpc, messages_pb2_grpc, profiles_pb2_grpc
from gateway.pb.denrei.v1 import messages_pb2 as m
from gateway.pb.denrei.v1 import profiles_pb2 as p
from gateway.pb.denrei.v1 import reason_pb2 as r
from tests.support.fake_twilio import ACCOUNT, TOKEN, FakeTwilio
from tests.support.peers import LOOPBACK
from tests.support.running import RunningInstance

WAIT_S = 60.0
LANE = """
lane: us
channel: sms
carrier: twilio
sender: "+12025550100"
options: {{account_sid: {account}, auth_token: {{secret: twilio}}, url: "{url}"}}
"""


class Shop:
    """The contract of an instance, asked again and again until it says what it should."""

    def __init__(self, running: RunningInstance) -> None:
        self.running = running
        self.door = json.loads((running.store / "running.json").read_text())["http"]
        self.channel = grpc.aio.insecure_channel(running.address)
        self.metadata = (("authorization", f"Bearer {running.key}"),)
        self.messages = messages_pb2_grpc.MessagesServiceStub(self.channel)
        self.profiles = profiles_pb2_grpc.ProfilesServiceStub(self.channel)

    async def apply(self, text: str) -> None:
        stub = definitions_pb2_grpc.DefinitionsServiceStub(self.channel)
        await stub.ApplyDefinitions(
            d.ApplyDefinitionsRequest(sources=[d.DefinitionSource(filename="test", yaml=text)]),
            metadata=self.metadata,
            timeout=WAIT_S,
        )

    async def send(self, user: str, to: str, purpose: int) -> m.Message:
        request = m.SendMessageRequest(
            parent=f"users/{user}", to=to, channel=m.SMS, purpose=purpose, body="Hello"
        )
        return await self.messages.SendMessage(request, metadata=self.metadata, timeout=WAIT_S)

    async def message(self, name: str) -> m.Message:
        request = m.GetMessageRequest(name=name)
        return await self.messages.GetMessage(request, metadata=self.metadata, timeout=WAIT_S)

    async def trail(self, user: str) -> list[str]:
        request = p.GetProfileRequest(name=f"users/{user}")
        profile = await self.profiles.GetProfile(request, metadata=self.metadata, timeout=WAIT_S)
        return [f"{line.kind} {line.subject} {line.detail}" for line in profile.trail]

    async def until(self, done: Callable[[], Awaitable[bool]], what: str) -> None:
        async with asyncio.timeout(WAIT_S):
            while not await done():
                await asyncio.sleep(0.05)


def test_a_text_goes_out_is_delivered_and_its_answer_ends_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = json.dumps({"default": {"twilio": TOKEN}})
    monkeypatch.setenv("DENREI_CARRIER_SECRETS", secrets)
    monkeypatch.setenv("DENREI_CARRIER_ALLOW", json.dumps(LOOPBACK))
    with RunningInstance(tmp_path / "store") as running:
        asyncio.run(_story(running))


async def _story(running: RunningInstance) -> None:
    async with FakeTwilio() as twilio:
        twilio.fates = lambda form: ["queued", "sent", "delivered"]
        shop = Shop(running)
        await shop.apply(LANE.format(account=ACCOUNT, url=twilio.url))
        sent = await shop.send("ann", "+12025550123", m.TRANSACTIONAL)

        async def delivered() -> bool:
            return (await shop.message(sent.name)).status == r.DELIVERED

        await shop.until(delivered, "it is delivered")
        found = await shop.message(sent.name)
        story = [r.QUEUED, r.SENDING, r.SENT, r.DELIVERED]
        assert [each.status for each in found.history] == story
        times = [each.time.ToNanoseconds() for each in found.history]
        assert times == sorted(times)
        assert found.provider_id.startswith("SM")
        (form,) = twilio.requests
        url = form["StatusCallback"]
        assert url.startswith(f"{shop.door}/v1/carriers/default/us/status?m=")

        # What is forged, and what comes again, changes nothing.
        report = {"MessageSid": found.provider_id, "MessageStatus": "failed"}
        assert await twilio.call(url, report, token="another") == 403
        assert await twilio.call(url, {**report, "MessageStatus": "delivered"}) == 200
        assert (await shop.message(sent.name)).status == r.DELIVERED

        # An answer of the person: it is the profile that hears STOP.
        inbound = f"{shop.door}/v1/carriers/default/us/inbound"
        said = {"MessageSid": "SMin1", "From": "+12025550123", "To": "+12025550100", "Body": "Stop"}
        assert await twilio.call(inbound, said, token="another") == 403
        assert await twilio.call(inbound, said) == 200
        assert await twilio.call(inbound, said) == 200

        async def stopped() -> bool:
            return any("by a reply of STOP" in line for line in await shop.trail("ann"))

        await shop.until(stopped, "the answer is heard")
        trail = await shop.trail("ann")
        assert sum(line.startswith("inbound ") for line in trail) == 1, trail
        refused = await shop.send("ann", "+12025550123", m.MARKETING)
        assert refused.status == r.NO_CONSENT

        # After the death of the sender its lane is connected again before anything is sent.
        for actor in [name for name in running.pids() if name.startswith("sender:")]:
            running.kill(actor)
        again = {**said, "MessageSid": "SMin2", "Body": "START"}

        async def taken() -> bool:
            return await twilio.call(inbound, again) == 200

        await shop.until(taken, "the door takes it")

        async def begun() -> bool:
            return any("by a reply of START" in line for line in await shop.trail("ann"))

        await shop.until(begun, "START is heard")
        await shop.channel.close()
