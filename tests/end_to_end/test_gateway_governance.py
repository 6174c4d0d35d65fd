"""What may be sent, over the contract: consent, topics and caps of the API's messages."""

from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from gateway.pb.denrei.v1 import messages_pb2 as m
from gateway.pb.denrei.v1 import profiles_pb2 as p
from gateway.pb.denrei.v1 import reason_pb2 as r
from tests.support.gateway_client import Client, over_engine
from tests.support.gateway_support import refused
from tests.support.local_engine import LocalEngine

POLICY = """
policy: default
topics: {news: opt_in}
caps: [{tag: promo, at_most: 1, per: 7d}]
---
{lane: main, channel: sms, carrier: sandbox, limits: [{rate: 100/s}]}
"""


def message(**fields: Any) -> m.SendMessageRequest:
    plain = {"parent": "users/ann", "to": "+15005550001", "channel": m.SMS, "body": "hi"}
    return m.SendMessageRequest(**{**plain, "purpose": m.MARKETING, **fields})


def test_a_message_of_the_api_is_asked_about_as_one_of_a_journey_is(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await client.apply(POLICY)
        send = client.messages.SendMessage
        assert (await send(message(topic="news"))).status == r.NO_CONSENT
        said = p.SetConsentsRequest.Consent(channel="sms", topic="news", status="subscribed")
        await client.profiles.SetConsents(
            p.SetConsentsRequest(name="users/ann", consents=[said], by="a test")
        )
        assert (await send(message(topic="news"))).status == r.QUEUED
        assert (await send(message(tags=["promo"]))).status == r.QUEUED
        second = await send(message(tags=["promo"], priority=90))
        assert second.status == r.FREQUENCY_CAP
        assert "tagged 'promo' in 7 days already" in second.history[0].detail
        assert (await send(message(tags=["other"]))).status == r.QUEUED

    over_engine(tmp_path, scenario)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"tags": ["a b"]}, "tags[0]"),
        ({"tags": ["fine", ""]}, "tags[1]"),
        ({"tags": [f"t{n}" for n in range(11)]}, "tags"),
        ({"priority": 101}, "priority"),
        ({"priority": -1}, "priority"),
        ({"topic": "x" * 201}, "topic"),
    ],
)
def test_what_is_no_topic_tag_or_priority_is_refused(
    tmp_path: Path, fields: dict[str, Any], field: str
) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        refusal = await refused(client.messages.SendMessage(message(**fields)))
        assert refusal.code is StatusCode.INVALID_ARGUMENT
        assert field in refusal.fields

    over_engine(tmp_path, scenario)
