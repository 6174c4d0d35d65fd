"""Bad input: every malformed request gets its typed error, and nothing of it reaches a shard.

Real gRPC on loopback, through the whole gateway; the router behind it records. A row is a method,
a request, and what a client must be told: code, reason, field.
"""

import asyncio
from pathlib import Path
from typing import Any

import grpc.aio
import msgpack
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from engine import limits
from gateway.pb.denrei.v1 import definitions_pb2 as d
from gateway.pb.denrei.v1 import events_pb2 as e
from gateway.pb.denrei.v1 import instances_pb2 as i
from gateway.pb.denrei.v1 import messages_pb2 as m
from gateway.pb.denrei.v1 import profiles_pb2 as p
from gateway.pb.denrei.v1 import system_pb2 as s
from gateway.server import SERVICES
from tests.support.gateway_support import Door, RecordingRouter, open_door, refusal_of, refused

INVALID = StatusCode.INVALID_ARGUMENT
METHODS = {
    method.name: (service.full_name, method) for service in SERVICES for method in service.methods
}


def publish(**fields: Any) -> e.PublishRequest:
    return e.PublishRequest(
        event=e.Event(**{"type": e.TRACK, "user_id": "ann", "event": "Bought", **fields})
    )


def batch(count: int, **fields: Any) -> e.PublishBatchRequest:
    return e.PublishBatchRequest(events=[publish(**fields).event] * count)


def send(**fields: Any) -> m.SendMessageRequest:
    good = {"parent": "users/ann", "channel": m.SMS, "purpose": m.OTP, "body": "Hi"}
    return m.SendMessageRequest(**{**good, **fields})


def template(**fields: Any) -> m.SendMessageRequest:
    request = send(**fields)
    request.template = fields.get("template", "templates/code")
    return request


def yaml(text: str, **fields: Any) -> d.ApplyDefinitionsRequest:
    return d.ApplyDefinitionsRequest(sources=[d.DefinitionSource(yaml=text)], **fields)


EVENTS = [
    ("Publish", e.PublishRequest(), "INVALID_ARGUMENT", "event"),
    ("Publish", publish(type=0), "INVALID_ARGUMENT", "event.type"),
    ("Publish", publish(type=99), "INVALID_ARGUMENT", "event.type"),
    ("Publish", publish(user_id=""), "MISSING_USER", "event.user_id"),
    ("Publish", publish(event=""), "MISSING_NAME", "event.event"),
    ("Publish", publish(type=e.GROUP), "MISSING_NAME", "event.group_id"),
    ("Publish", publish(type=e.ALIAS), "MISSING_NAME", "event.previous_id"),
    ("Publish", publish(user_id="x" * 501), "TOO_LONG", "event.user_id"),
    ("Publish", publish(user_id="a\x1bb"), "BAD_KEY", "event.user_id"),
    ("Publish", publish(event="x" * 201), "TOO_LONG", "event.event"),
    ("Publish", publish(message_id="x" * 101), "TOO_LONG", "event.message_id"),
    ("Publish", publish(properties_json=b"{"), "BAD_PROPERTIES", "event.properties_json"),
    ("Publish", publish(properties_json=b"[1]"), "BAD_PROPERTIES", "event.properties_json"),
    ("Publish", publish(properties_msgpack=b"\xc1"), "BAD_PROPERTIES", "event.properties_msgpack"),
    ("Publish", publish(traits_json=b"{}"), "BAD_PROPERTIES", "event.traits_json"),
    ("Publish", publish(context_json=b"7"), "BAD_PROPERTIES", "event.context_json"),
    (
        "Publish",
        publish(properties_msgpack=msgpack.packb({str(n): n for n in range(301)})),
        "TOO_MANY_KEYS",
        "event.properties_msgpack",
    ),
    (
        "Publish",
        publish(properties_json=b'{"a":"' + b"x" * 40_000 + b'"}'),
        "TOO_LARGE",
        "event.properties_json",
    ),
    ("Publish", publish(timestamp=Timestamp(seconds=-1)), "BAD_TIMESTAMP", "event.timestamp"),
    ("Publish", publish(timestamp=Timestamp(seconds=2**40)), "BAD_TIMESTAMP", "event.timestamp"),
    ("PublishBatch", e.PublishBatchRequest(), "INVALID_ARGUMENT", "events"),
    ("PublishBatch", batch(limits.BATCH_EVENTS + 1), "TOO_LARGE", "events"),
    (
        "PublishBatch",
        batch(160, properties_msgpack=msgpack.packb({"a": "x" * 30_000})),
        "TOO_LARGE",
        "events",
    ),
    (
        "PublishBatch",
        e.PublishBatchRequest(events=[publish().event], sent_at=Timestamp(seconds=-1)),
        "BAD_TIMESTAMP",
        "sent_at",
    ),
]
MESSAGES = [
    ("SendMessage", send(parent=""), "INVALID_ARGUMENT", "parent"),
    ("SendMessage", send(parent="ann"), "INVALID_ARGUMENT", "parent"),
    ("SendMessage", send(parent="users/"), "INVALID_ARGUMENT", "parent"),
    ("SendMessage", send(parent="people/ann"), "INVALID_ARGUMENT", "parent"),
    ("SendMessage", send(parent="anonymousUsers/a"), "INVALID_ARGUMENT", "parent"),
    ("SendMessage", send(parent="users/" + "x" * 501), "TOO_LONG", "parent"),
    ("SendMessage", send(parent="users/a\nb"), "BAD_KEY", "parent"),
    ("SendMessage", send(channel=0), "INVALID_ARGUMENT", "channel"),
    ("SendMessage", send(channel=42), "INVALID_ARGUMENT", "channel"),
    ("SendMessage", send(purpose=0), "INVALID_ARGUMENT", "purpose"),
    ("SendMessage", send(body=""), "INVALID_ARGUMENT", "content"),
    ("SendMessage", send(body="x" * 4_097), "TOO_LONG", "body"),
    ("SendMessage", send(data_json=b"{}"), "INVALID_ARGUMENT", "data_json"),
    ("SendMessage", send(subject="x" * 201), "TOO_LONG", "subject"),
    ("SendMessage", send(request_id="x" * 101), "TOO_LONG", "request_id"),
    ("SendMessage", send(to="a\x00"), "BAD_KEY", "to"),
    ("SendMessage", send(parent="addresses/+155", to="+155"), "INVALID_ARGUMENT", "to"),
    ("SendMessage", send(lane="sms-main"), "INVALID_ARGUMENT", "lane"),
    ("SendMessage", send(lane="templates/x"), "INVALID_ARGUMENT", "lane"),
    ("SendMessage", send(validity=Duration(seconds=0)), "INVALID_ARGUMENT", "validity"),
    ("SendMessage", send(validity=Duration(seconds=-5)), "INVALID_ARGUMENT", "validity"),
    ("SendMessage", send(validity=Duration(seconds=36_001)), "INVALID_ARGUMENT", "validity"),
    ("SendMessage", template(template="code"), "INVALID_ARGUMENT", "template"),
    ("SendMessage", template(subject="Hello"), "INVALID_ARGUMENT", "subject"),
    ("SendMessage", template(data_json=b"[]"), "BAD_PROPERTIES", "data_json"),
    ("SendMessage", template(data_msgpack=b"\x01"), "BAD_PROPERTIES", "data_msgpack"),
    ("SendMessages", m.SendMessagesRequest(), "INVALID_ARGUMENT", "requests"),
    ("SendMessages", m.SendMessagesRequest(requests=[send()] * 501), "TOO_LARGE", "requests"),
    ("GetMessage", m.GetMessageRequest(name="users/ann"), "INVALID_ARGUMENT", "name"),
    ("GetMessage", m.GetMessageRequest(name="users/ann/messages/"), "INVALID_ARGUMENT", "name"),
    ("GetMessage", m.GetMessageRequest(name="users/ann/messages/zz"), "INVALID_ARGUMENT", "name"),
    ("GetMessage", m.GetMessageRequest(name="x/messages/" + "0" * 32), "INVALID_ARGUMENT", "name"),
    ("ListMessages", m.ListMessagesRequest(parent="x"), "INVALID_ARGUMENT", "parent"),
    (
        "ListMessages",
        m.ListMessagesRequest(parent="users/a", page_size=-1),
        "INVALID_ARGUMENT",
        "page_size",
    ),
    (
        "ListMessages",
        m.ListMessagesRequest(parent="users/a", page_token="!!"),
        "INVALID_ARGUMENT",
        "page_token",
    ),
    ("WatchMessages", m.WatchMessagesRequest(parent="ann"), "INVALID_ARGUMENT", "parent"),
]
READS = [
    ("GetProfile", p.GetProfileRequest(), "INVALID_ARGUMENT", "name"),
    ("GetProfile", p.GetProfileRequest(name="profiles/ann"), "INVALID_ARGUMENT", "name"),
    ("GetProfile", p.GetProfileRequest(name="users/a\rb"), "BAD_KEY", "name"),
    ("GetInstance", i.GetInstanceRequest(name="users/ann"), "INVALID_ARGUMENT", "name"),
    ("GetInstance", i.GetInstanceRequest(name="users/a/messages/b"), "INVALID_ARGUMENT", "name"),
    ("ListInstances", i.ListInstancesRequest(), "INVALID_ARGUMENT", "parent"),
    ("ListInstances", i.ListInstancesRequest(parent="users/-"), "INVALID_ARGUMENT", "journey"),
    (
        "ListInstances",
        i.ListInstancesRequest(parent="users/a", journey="cart"),
        "INVALID_ARGUMENT",
        "journey",
    ),
    (
        "ListInstances",
        i.ListInstancesRequest(parent="users/-", journey="journeys/c", page_token="AAAA"),
        "INVALID_ARGUMENT",
        "page_token",
    ),
    ("GetDefinition", d.GetDefinitionRequest(name="cart"), "INVALID_ARGUMENT", "name"),
    ("GetDefinition", d.GetDefinitionRequest(name="journey/cart"), "INVALID_ARGUMENT", "name"),
    ("ListDefinitions", d.ListDefinitionsRequest(kind="journey"), "INVALID_ARGUMENT", "kind"),
    ("ListDefinitions", d.ListDefinitionsRequest(kind="cats"), "INVALID_ARGUMENT", "kind"),
    (
        "ListDefinitionVersions",
        d.ListDefinitionVersionsRequest(name="journeys/"),
        "INVALID_ARGUMENT",
        "name",
    ),
    ("DeleteDefinition", d.DeleteDefinitionRequest(name="journeys"), "INVALID_ARGUMENT", "name"),
    ("Watch", s.WatchRequest(name="ann"), "INVALID_ARGUMENT", "name"),
    ("AdvanceClock", s.AdvanceClockRequest(), "INVALID_ARGUMENT", "time"),
    (
        "AdvanceClock",
        s.AdvanceClockRequest(time=Timestamp(seconds=-1)),
        "BAD_TIMESTAMP",
        "time",
    ),
    ("CreateKey", s.CreateKeyRequest(), "INVALID_ARGUMENT", "scopes"),
    ("CreateKey", s.CreateKeyRequest(scopes=[0]), "INVALID_ARGUMENT", "scopes"),
    ("CreateKey", s.CreateKeyRequest(scopes=[9]), "INVALID_ARGUMENT", "scopes"),
    ("RevokeKey", s.RevokeKeyRequest(name="dk_1"), "INVALID_ARGUMENT", "name"),
    ("ListKeys", s.ListKeysRequest(page_size=-3), "INVALID_ARGUMENT", "page_size"),
]
JOURNEY = "journey: cart\nentry: {event: Bought}\nsteps:\n"
DEFINITIONS = [
    (d.ApplyDefinitionsRequest(), "INVALID_ARGUMENT"),
    (d.ApplyDefinitionsRequest(sources=[d.DefinitionSource()]), "INVALID_ARGUMENT"),
    (yaml("segment: a\nwhen: {trait: b, is: 1}", request_id="x" * 101), "TOO_LONG"),
    (yaml(""), "INVALID_DEFINITION"),
    (yaml("just a text"), "INVALID_DEFINITION"),
    (yaml("{unclosed"), "INVALID_DEFINITION"),
    (yaml("a: &x [1]\nb: *x"), "INVALID_DEFINITION"),
    (yaml("!!python/object:os.system {}"), "INVALID_DEFINITION"),
    (yaml("campaign: x"), "INVALID_DEFINITION"),
    (yaml("segment: vip"), "INVALID_DEFINITION"),
    (yaml("segment: 'a/b'\nwhen: {trait: b, is: 1}"), "INVALID_DEFINITION"),
    (yaml("segment: vip\nwhen: {trait: b, resembles: 1}"), "INVALID_DEFINITION"),
    (yaml("segment: vip\nwhen: {segment: gold}"), "INVALID_DEFINITION"),
    (yaml("segment: vip\nwhen: {event: A, at_least: many, within: 1d}"), "INVALID_DEFINITION"),
    (yaml(f"{JOURNEY}  a: {{delay: 1d, then: b}}"), "INVALID_DEFINITION"),
    (yaml(f"{JOURNEY}  a: {{delay: soon}}"), "INVALID_DEFINITION"),
    (yaml(f"{JOURNEY}  a: {{dance: 1d}}"), "INVALID_DEFINITION"),
    (
        yaml(f"{JOURNEY}  a: {{message: {{purpose: marketing, channel: sms, template: no}}}}"),
        "INVALID_DEFINITION",
    ),
    (yaml("template: t\nchannel: sms\nbody: '{{ profile.x '"), "INVALID_DEFINITION"),
    (yaml("lane: l\nchannel: fax\ncarrier: sandbox"), "INVALID_DEFINITION"),
    (yaml("lane: l\nchannel: sms\ncarrier: sandbx"), "INVALID_DEFINITION"),
    (yaml("lane: l\nchannel: sms\ncarrier: sandbox\noptions: {lag: 1}"), "INVALID_DEFINITION"),
    (yaml("# " + "x" * 300_000), "TOO_LARGE"),
    (
        yaml("\n---\n".join(f"segment: s{n}\nwhen: {{trait: b, is: 1}}" for n in range(101))),
        "TOO_LARGE",
    ),
    (
        d.ApplyDefinitionsRequest(
            sources=[d.DefinitionSource(json='{"segment": "a", "segment": 1}')]
        ),
        "INVALID_DEFINITION",
    ),
    (
        d.ApplyDefinitionsRequest(sources=[d.DefinitionSource(struct=Struct())]),
        "INVALID_DEFINITION",
    ),
    (
        d.ApplyDefinitionsRequest(
            sources=[d.DefinitionSource(filename="x" * 201, yaml="segment: a")]
        ),
        "TOO_LONG",
    ),
]
TABLE = [*EVENTS, *MESSAGES, *READS]


def call(door: Door, name: str, request: Message | bytes, **options: Any) -> Any:
    """Calls a method by its bare name, without a stub."""
    service, method = METHODS[name]
    path = f"/{service}/{name}"
    reply = GetMessageClass(method.output_type).FromString
    options.setdefault("metadata", door.metadata)
    raw = request if isinstance(request, bytes) else request.SerializeToString()
    if method.client_streaming:
        stream = door.channel.stream_stream(path, response_deserializer=reply)
        return anext(aiter(stream(iter([raw]), **options)))
    if method.server_streaming:
        return anext(
            aiter(door.channel.unary_stream(path, response_deserializer=reply)(raw, **options))
        )
    return door.channel.unary_unary(path, response_deserializer=reply)(raw, **options)


def quiet_router() -> RecordingRouter:
    router = RecordingRouter()
    router.answers = {"catalog": {"version": 0, "documents": []}}
    return router


def names(table: list[Any]) -> list[str]:
    return [f"{n}-{row[0]}-{row[-2]}" for n, row in enumerate(table)]


@pytest.mark.parametrize(("method", "request_", "reason", "field"), TABLE, ids=names(TABLE))
def test_a_malformed_request(
    tmp_path: Path, method: str, request_: Message, reason: str, field: str
) -> None:
    async def scenario() -> None:
        async with open_door(tmp_path, quiet_router()) as door:
            told = await refused(call(door, method, request_))
            assert (told.code, told.reason, told.domain) == (INVALID, reason, "denrei")
            assert told.fields == [field]
            assert told.message
            assert told.retry_ms == 0
            assert door.router.posted == []
            assert door.router.asked == []
            assert len(door.keys.list()) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(("request_", "reason"), DEFINITIONS)
def test_a_malformed_definition(
    tmp_path: Path, request_: d.ApplyDefinitionsRequest, reason: str
) -> None:
    async def scenario() -> None:
        async with open_door(tmp_path, quiet_router()) as door:
            told = await refused(call(door, "ApplyDefinitions", request_))
            assert (told.code, told.reason, told.domain) == (INVALID, reason, "denrei")
            assert told.fields
            assert all(told.fields), "each violation names a place"
            assert door.router.posted == []

    asyncio.run(scenario())


def test_the_table_is_long_enough() -> None:
    assert len(TABLE) + len(DEFINITIONS) >= 100


@pytest.mark.parametrize("name", sorted(METHODS))
def test_bytes_that_are_no_message_are_an_error_of_the_caller(tmp_path: Path, name: str) -> None:
    async def scenario() -> None:
        async with open_door(tmp_path, quiet_router()) as door:
            told = await refused(call(door, name, b"\xff\xff\xff"))
            assert (told.code, told.reason) == (INVALID, "MALFORMED_REQUEST")
            assert door.router.posted == []

    asyncio.run(scenario())


@pytest.mark.parametrize("name", sorted(METHODS))
def test_no_method_is_open_to_strangers(tmp_path: Path, name: str) -> None:
    async def scenario() -> None:
        async with open_door(tmp_path, quiet_router()) as door:
            told = await refused(call(door, name, b"", metadata=()))
            assert (told.code, told.reason) == (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
            assert door.router.posted == []

    asyncio.run(scenario())


@pytest.mark.parametrize("name", sorted(METHODS))
def test_no_method_is_open_to_another_scope(tmp_path: Path, name: str) -> None:
    service, _ = METHODS[name]

    async def scenario() -> None:
        admins = ("Clock", "Key", "Release", "Erase", "Suppress", "Export")
        other = "publish" if any(word in name for word in admins) else "admin"
        async with open_door(tmp_path, quiet_router(), scopes=[other]) as door:
            told = await refused(call(door, name, b""))
            assert (told.code, told.reason) == (StatusCode.PERMISSION_DENIED, "SCOPE_MISSING")
            assert door.router.posted == []

    assert service.startswith("denrei.v1.")
    asyncio.run(scenario())


def test_in_a_batch_only_the_bad_items_are_refused(tmp_path: Path) -> None:
    bad = [row[1].event for row in EVENTS if row[0] == "Publish" and row[1].HasField("event")]
    wanted = [row for row in EVENTS if row[0] == "Publish" and row[1].HasField("event")]
    events = [event for one in bad for event in (publish(message_id="good").event, one)]

    async def scenario() -> None:
        async with open_door(tmp_path, quiet_router()) as door:
            reply = await call(door, "PublishBatch", e.PublishBatchRequest(events=events))
            assert set(reply.outcomes[::2]) == {0}
            assert [rejection.index for rejection in reply.rejections] == list(
                range(1, len(events), 2)
            )
            for rejection, (_, _, reason, field) in zip(reply.rejections, wanted, strict=True):
                assert rejection.field == field.removeprefix("event.")
                assert reply.outcomes[rejection.index] == rejection.reason
                assert not rejection.retry
                kind = rejection.DESCRIPTOR.fields_by_name["reason"].enum_type
                assert kind.values_by_number[rejection.reason].name == reason
            assert {command[2] for command in door.router.commands} == {"good"}
            assert len(door.router.commands) == len(bad)

    asyncio.run(scenario())


def test_in_a_batch_of_messages_only_the_bad_ones_are_refused(tmp_path: Path) -> None:
    rows = [row for row in MESSAGES if row[0] == "SendMessage"]
    requests = [one for row in rows for one in (send(request_id="good"), row[1])]

    async def scenario() -> None:
        async with open_door(tmp_path, quiet_router()) as door:
            reply = await call(door, "SendMessages", m.SendMessagesRequest(requests=requests))
            assert [rejection.field for rejection in reply.rejections] == [row[3] for row in rows]
            assert all(result.name for result in reply.results[::2])
            assert not any(result.name for result in reply.results[1::2])
            assert {command[2] for command in door.router.commands} == {"good"}

    asyncio.run(scenario())


def test_on_a_stream_a_bad_chunk_is_refused_and_the_stream_goes_on(tmp_path: Path) -> None:
    chunks = [
        e.PublishStreamRequest(sequence=1),
        e.PublishStreamRequest(sequence=2, events=[publish().event] * 2_501),
        e.PublishStreamRequest(sequence=3, events=[publish().event], sent_at=Timestamp(seconds=-1)),
        e.PublishStreamRequest(sequence=4, events=[publish(user_id="").event]),
        e.PublishStreamRequest(sequence=5, events=[publish(message_id="good").event]),
    ]

    async def scenario() -> None:
        async with open_door(tmp_path, quiet_router()) as door:
            stream = door.channel.stream_stream(
                "/denrei.v1.EventsService/PublishStream",
                request_serializer=e.PublishStreamRequest.SerializeToString,
                response_deserializer=e.PublishStreamResponse.FromString,
            )
            replies = {
                reply.sequence: reply
                async for reply in stream(iter(chunks), metadata=door.metadata)
            }
            told = {
                sequence: [(r.index, r.field) for r in reply.rejections]
                for sequence, reply in replies.items()
            }
            assert told == {
                1: [(-1, "events")],
                2: [(-1, "events")],
                3: [(-1, "sent_at")],
                4: [(0, "user_id")],
                5: [],
            }
            assert len(replies[2].outcomes) == 2_501
            assert [command[2] for command in door.router.commands] == ["good"]

    asyncio.run(scenario())


def test_what_the_transport_itself_refuses(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_door(tmp_path, quiet_router()) as door:
            with pytest.raises(grpc.aio.AioRpcError) as large:
                await call(door, "Publish", b"\x00" * (9 * 1024 * 1024))
            assert large.value.code() is StatusCode.RESOURCE_EXHAUSTED
            with pytest.raises(grpc.aio.AioRpcError) as unknown:
                await door.channel.unary_unary("/denrei.v1.EventsService/Nothing")(b"")
            assert unknown.value.code() is StatusCode.UNIMPLEMENTED
            assert door.router.posted == []

    asyncio.run(scenario())


def test_a_name_that_does_not_exist_is_not_found(tmp_path: Path) -> None:
    rows = [
        ("GetProfile", p.GetProfileRequest(name="users/nobody")),
        ("GetMessage", m.GetMessageRequest(name="users/a/messages/" + "0" * 32)),
        ("GetInstance", i.GetInstanceRequest(name="users/a/instances/" + "0" * 32)),
        ("GetDefinition", d.GetDefinitionRequest(name="journeys/none")),
        ("ListDefinitionVersions", d.ListDefinitionVersionsRequest(name="journeys/none")),
        ("DeleteDefinition", d.DeleteDefinitionRequest(name="journeys/none")),
        ("RevokeKey", s.RevokeKeyRequest(name="keys/123456789abc")),
    ]
    router = quiet_router()
    router.answers |= {
        "profile": None, "message": None, "instances": {"items": [], "next": ""}, "versions": [],
    }  # fmt: skip

    async def scenario() -> None:
        async with open_door(tmp_path, router) as door:
            for method, request in rows:
                told = await refused(call(door, method, request))
                assert (told.code, told.reason) == (StatusCode.NOT_FOUND, "NOT_FOUND"), method
            assert router.posted == []

    asyncio.run(scenario())


def test_a_defect_is_told_as_internal_without_its_words(tmp_path: Path) -> None:
    router = quiet_router()
    router.answers["profile"] = {"not": "a profile"}

    async def scenario() -> None:
        async with open_door(tmp_path, router) as door:
            with pytest.raises(grpc.aio.AioRpcError) as defect:
                await call(door, "GetProfile", p.GetProfileRequest(name="users/ann"))
            told = refusal_of(defect.value)
            assert (told.code, told.reason) == (StatusCode.INTERNAL, "INTERNAL")
            assert "key" not in told.message.lower()

    asyncio.run(scenario())
