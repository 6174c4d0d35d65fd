"""Messages over the contract: request ids, times, fall-backs, lists and streams."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from gateway.pb.denrei.v1 import events_pb2 as e
from gateway.pb.denrei.v1 import messages_pb2 as m
from gateway.pb.denrei.v1 import reason_pb2 as r
from tests.support.gateway_client import Client, over_engine
from tests.support.gateway_support import NOW_MS, refused
from tests.support.local_engine import LocalEngine

ROUTE = """
lane: spare
channel: sms
carrier: sandbox
prefixes: ["+44"]
---
route: sms
rules:
  - {lanes: [{lane: main, senders: ["+12025550100"]}], then: [spare]}
"""


JOURNEY = """
template: hello
channel: sms
body: Hello
---
journey: hello
entry: {event: Signed Up}
steps: {hello: {message: {purpose: marketing, channel: sms, template: hello}}}
"""


def message(**fields: Any) -> m.SendMessageRequest:
    good: dict[str, Any] = {
        "parent": "users/ann",
        "channel": m.SMS,
        "purpose": m.OTP,
        "to": "+15005550001",
    }
    if not {"template", "body"} & fields.keys():
        good["body"] = "Hi"
    return m.SendMessageRequest(**{**good, **fields})


def at(ms: int) -> Timestamp:
    return Timestamp(seconds=ms // 1_000)


def test_a_request_id_stands_for_one_request(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await client.apply()
        made = await client.messages.SendMessage(message(request_id="r1"))
        again = await client.messages.SendMessage(message(request_id="r1"))
        assert again.name == made.name
        told = await refused(client.messages.SendMessage(message(request_id="r1", body="Ho")))
        assert (told.code, told.reason) == (StatusCode.FAILED_PRECONDITION, "KEY_REUSED")
        assert told.fields == ["request_id"]
        requests = [message(request_id="r1"), message(request_id="r1", body="Ho")]
        reply = await client.messages.SendMessages(m.SendMessagesRequest(requests=requests))
        assert [one.outcome for one in reply.results] == [r.DUPLICATE, r.KEY_REUSED]
        assert [one.index for one in reply.rejections] == [1]

    over_engine(tmp_path, scenario)


def test_a_message_for_later_waits_and_is_called_back(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await client.apply()
        due_ms = NOW_MS + 3_600_000
        made = await client.messages.SendMessage(message(send_time=at(due_ms)))
        assert (made.status, made.lane) == (r.SCHEDULED, "")
        assert made.due_time.ToMilliseconds() == due_ms
        assert made.expire_time.ToMilliseconds() == due_ms + 36_000_000
        asked = m.CancelMessageRequest(name=made.name)
        gone = await client.messages.CancelMessage(asked)
        assert (gone.status, gone.name) == (r.CANCELLED, made.name)
        assert not gone.HasField("due_time")
        assert (await client.messages.CancelMessage(asked)).status == r.CANCELLED
        nobody = m.CancelMessageRequest(name="users/eve/messages/" + "0" * 32)
        assert (await refused(client.messages.CancelMessage(nobody))).reason == "NOT_FOUND"
        too_late = message(send_time=at(NOW_MS + 36 * 86_400_000))
        told = await refused(client.messages.SendMessage(too_late))
        assert (told.reason, told.fields) == ("BAD_TIMESTAMP", ["send_time"])

    over_engine(tmp_path, scenario)


def test_a_message_that_waits_in_its_lane_is_called_back(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await client.apply()
        made = await client.messages.SendMessage(message())
        asked = m.CancelMessageRequest(name=made.name)
        assert (await client.messages.CancelMessage(asked)).status == r.QUEUED  # not told yet
        assert (await client.messages.CancelMessage(asked)).status == r.QUEUED

    over_engine(tmp_path, scenario)


def test_a_route_chooses_the_lane_and_the_sender(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await client.apply()
        await client.apply(ROUTE)
        made = await client.messages.SendMessage(message())
        assert (made.lane, made.sender, made.hops) == ("lanes/main", "+12025550100", 0)
        named = await client.messages.SendMessage(message(lane="lanes/spare", sender="ACME"))
        assert (named.lane, named.sender) == ("lanes/spare", "ACME")

    over_engine(tmp_path, scenario)


def test_a_message_with_fallbacks_tells_what_replaced_it(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await client.apply()
        made = await client.messages.SendMessage(
            message(
                channel=m.EMAIL,
                to="",
                within=timedelta(minutes=5),
                success=r.READ,
                fallbacks=[{"channel": m.SMS, "to": "+15005550001", "body": "Hi there"}],
                facts={"ip": "192.0.2.1"},
            )
        )
        assert made.status == r.NO_ADDRESS
        other = await client.messages.GetMessage(m.GetMessageRequest(name=made.replaced_by))
        assert (other.channel, other.body, other.purpose) == (m.SMS, "Hi there", m.OTP)

    over_engine(tmp_path, scenario)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"success": r.READ}, "success"),
        ({"within": timedelta(minutes=1)}, "within"),
        ({"fallbacks": [{"channel": m.SMS, "body": "x"}]}, "within"),
        (
            {"fallbacks": [{"body": "x"}], "within": timedelta(minutes=1)},
            "fallbacks[0].channel",
        ),
        (
            {"fallbacks": [{"channel": m.SMS}], "within": timedelta(minutes=1)},
            "fallbacks[0].content",
        ),
        (
            {
                "fallbacks": [{"channel": m.SMS, "body": "x"}] * 2,
                "within": timedelta(minutes=1),
            },
            "fallbacks[0].within",
        ),
        ({"fallbacks": [{"channel": m.SMS, "body": "x"}] * 5}, "fallbacks"),
        (
            {
                "fallbacks": [{"channel": m.SMS, "body": "x"}],
                "within": timedelta(minutes=1),
                "success": r.QUEUED,
            },
            "success",
        ),
        ({"facts": {f"f{n}": "x" for n in range(17)}}, "facts"),
        ({"facts": {"ip": "x" * 201}}, "facts[ip]"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_field(
    tmp_path: Path, fields: dict[str, Any], field: str
) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await client.apply()
        told = await refused(client.messages.SendMessage(message(**fields)))
        assert told.code == StatusCode.INVALID_ARGUMENT
        assert told.fields == [field]

    over_engine(tmp_path, scenario)


def test_messages_of_everyone_are_listed_and_streamed_by_what_they_are(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await client.apply()
        requests = [
            message(parent=f"users/u{n % 3}", body=f"{n}", channel=(m.SMS, m.EMAIL)[n % 2])
            for n in range(12)
        ]
        made = await client.messages.SendMessages(m.SendMessagesRequest(requests=requests))
        names = {one.name for one in made.results}
        asked = m.ListMessagesRequest(page_size=3)
        found: list[m.Message] = []
        for _ in range(50):
            page = await client.messages.ListMessages(asked)
            assert len(page.messages) <= 3
            found += page.messages
            asked.page_token = page.next_page_token
            if not page.next_page_token:
                break
        assert len(found) == 12
        assert {one.name for one in found} == names
        for user in ("u0", "u1", "u2"):
            bodies = [int(x.body) for x in found if x.name.startswith(f"users/{user}/")]
            assert bodies == sorted(bodies, reverse=True)
        asked = m.ListMessagesRequest(filter={"channel": m.EMAIL, "statuses": [r.NO_ROUTE]})
        streamed = [one async for one in client.messages.StreamMessages(asked)]
        assert sorted(int(one.body) for one in streamed) == [1, 3, 5, 7, 9, 11]
        asked = m.ListMessagesRequest(parent="users/u0", filter={"lane": "lanes/main"})
        listed = await client.messages.ListMessages(asked)
        assert [one.body for one in listed.messages] == ["6", "0"]

    over_engine(tmp_path, scenario)


def test_messages_are_found_by_their_journey(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await client.apply()
        await client.apply(JOURNEY)
        traits = b'{"first_name": "Ann", "phone": "+15005550001"}'
        await client.publish(e.Event(type=e.IDENTIFY, user_id="ann", traits_json=traits))
        await client.publish(e.Event(type=e.TRACK, user_id="ann", event="Signed Up"))
        await client.messages.SendMessage(message())
        asked = m.ListMessagesRequest(filter={"journey": "journeys/hello"})
        (one,) = (await client.messages.ListMessages(asked)).messages
        assert (one.journey, one.body) == ("journeys/hello", "Hello")

    over_engine(tmp_path, scenario)


def test_a_watch_tells_of_what_it_was_asked_for(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await client.apply()
        request = m.WatchMessagesRequest(filter={"channel": m.EMAIL})
        lines = aiter(client.messages.WatchMessages(request))
        reading = asyncio.ensure_future(anext(lines))
        number = 0
        while not reading.done():  # until the host knows that someone watches
            number += 1
            user = f"users/u{number}"
            await client.messages.SendMessage(message(parent=user))
            mail = message(parent=user, channel=m.EMAIL, to="ann@example.com")
            await client.messages.SendMessage(mail)
        change = await reading
        got = await client.messages.GetMessage(m.GetMessageRequest(name=change.name))
        assert got.channel == m.EMAIL

    over_engine(tmp_path, scenario)
