"""The Twilio adapter against a server made from Twilio's own OpenAPI files.

Prism refuses whatever the files do not allow: a form without a field that is required, a value of
another kind or form, no credentials. So what the adapter asks is what Twilio says that it takes.
It cannot read a field of a form that comes several times, so media are left to the unit tests.
"""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import aiohttp
import pytest

from actors.carriers.base import CarrierMessage, CarrierReceipt, Inbound, Outcome
from actors.carriers.registry import CarrierSetup
from actors.carriers.twilio import TwilioCarrier
from actors.clock import SystemClock
from engine.content.down import render_down
from engine.lanes.definition import lane_from
from tests.support import peers
from tests.support.fake_twilio import ACCOUNT, TOKEN
from tests.support.peers import LOOPBACK

APPROVED = {
    "text": "Hi Ann",
    "template": {
        "name": "cart", "language": "en_US",
        "content_sid": "HX" + "c" * 32, "variables": {"1": "Ann"},
    },
}  # fmt: skip
SPEC = "@twilio-alpha/mcp/twilio-oai/spec/yaml/twilio_api_v2010.yaml"


@pytest.fixture(scope="module")
def twilio() -> Iterator[str]:
    """Where Prism serves Twilio's API."""
    peers.need("@twilio-alpha/mcp", "@stoplight/prism-cli")
    spec = peers.PEERS / "node_modules" / SPEC
    port = peers.free_port()
    command = peers.bin_of("prism", "mock", "-h", "127.0.0.1", "-p", port, "--errors", spec)
    with peers.Peer(command, port):
        yield f"http://127.0.0.1:{port}"


class Lane:
    def __init__(self, url: str, channel: str, **options: Any) -> None:
        given = {"account_sid": ACCOUNT, "auth_token": {"secret": "t"}, "url": url, **options}
        lane = lane_from(
            {
                "lane": "main", "channel": channel, "carrier": "twilio",
                "sender": "+12025550100", "options": given,
            }
        )  # fmt: skip
        base = "https://example.com/v1/carriers/shop/main/"
        self.clock = SystemClock()
        self.carrier = TwilioCarrier(
            CarrierSetup(lane, "shop/main", self.clock, 1, base, {"t": TOKEN}, allow=LOOPBACK)
        )

    async def submit(self, **fields: Any) -> Any:
        async def deliver(receipts: Sequence[CarrierReceipt]) -> None:
            raise AssertionError(receipts)

        async def inbound(messages: Sequence[Inbound]) -> None:
            raise AssertionError(messages)

        values = {
            "id": "0" * 32, "channel": "sms", "sender": "+12025550100", "to": "+12025550123",
            "subject": "", "body": "Grüße 👋 & more", "units": 1, "attempt": 0,
            "expires_ms": self.clock.now_ms() + 90_000, **fields,
        }  # fmt: skip
        await self.carrier.start(deliver, inbound)
        try:
            return (await self.carrier.submit([CarrierMessage(**values)]))[0]
        finally:
            await self.carrier.stop()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_prism_refuses_what_twilio_would(twilio: str, client: aiohttp.ClientSession) -> None:
    url = f"{twilio}/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    login = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT, TOKEN)}
    async with client.post(url, data={"Body": "no To"}, headers=login) as answer:
        assert answer.status in {400, 422}
    async with client.post(url, data={"To": "+12025550123", "Body": "x"}) as answer:
        assert answer.status == 401
    wrong = {"To": "+12025550123", "ValidityPeriod": "soon"}
    async with client.post(url, data=wrong, headers=login) as answer:
        assert answer.status in {400, 422}


@pytest.mark.parametrize(
    ("channel", "options", "fields"),
    [
        ("sms", {}, {}),
        ("sms", {"messaging_service": "MG" + "b" * 32}, {"sender": ""}),
        ("whatsapp", {}, {"channel": "whatsapp"}),
        ("whatsapp", {}, {
            "channel": "whatsapp", "body": "Hi Ann",
            "content": json.dumps(render_down(APPROVED, "whatsapp").rich),
        }),
        ("rcs", {"messaging_service": "MG" + "b" * 32}, {"channel": "rcs", "sender": ""}),
        ("voice", {"repeat": 2}, {"channel": "voice"}),
    ],
)  # fmt: skip
async def test_what_is_asked_is_what_the_files_allow(
    twilio: str, channel: str, options: dict[str, Any], fields: dict[str, Any]
) -> None:
    result = await Lane(twilio, channel, **options).submit(**fields)
    assert result.outcome is Outcome.ACCEPTED, result
    assert result.provider_id[:2] in {"SM", "MM", "CA"}


async def test_what_the_files_do_not_allow_is_no_message(twilio: str) -> None:
    result = await Lane(twilio, "sms", account_sid="nobody").submit()
    assert result.outcome is not Outcome.ACCEPTED
