"""The gateway over the real engine: what a client does, from the contract to a shard and back.

Real gRPC on loopback, real hosts, journals and shards in this process; only Ray is left out.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from engine import profile as profiles
from gateway.pb.denrei.v1 import definitions_pb2 as d
from gateway.pb.denrei.v1 import events_pb2 as e
from gateway.pb.denrei.v1 import instances_pb2 as i
from gateway.pb.denrei.v1 import messages_pb2 as m
from gateway.pb.denrei.v1 import profiles_pb2 as p
from gateway.pb.denrei.v1 import reason_pb2 as r
from gateway.pb.denrei.v1 import system_pb2 as s
from tests.support.gateway_client import Client, added, over_engine
from tests.support.gateway_support import NOW_MS, refused
from tests.support.local_engine import LocalEngine


def test_an_event_is_in_the_profile_when_it_is_acknowledged(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await client.apply()
        reply = await client.publish(
            e.Event(type=e.IDENTIFY, user_id="ann", traits_json=b'{"plan": "pro", "age": 30}'),
            added("c1"),
        )
        assert list(reply.outcomes) == [r.ACCEPTED, r.ACCEPTED]
        profile = await client.profiles.GetProfile(p.GetProfileRequest(name="users/ann"))
        assert profile.name == "users/ann"
        assert json_format.MessageToDict(profile.traits) == {"plan": "pro", "age": 30.0}
        assert msgpack.unpackb(profile.traits_msgpack) == {"plan": "pro", "age": 30}
        assert "segments/pro" in [one.segment for one in profile.segments]
        (instance,) = profile.instances
        assert (instance.journey, instance.key, instance.step) == ("journeys/cart", "c1", "wait")
        assert instance.state == i.Instance.RUNNING
        assert instance.due_time.ToMilliseconds() == NOW_MS + 20 * 60_000
        assert profile.trail
        bare = p.GetProfileRequest(name="users/ann", omit_trail=True)
        assert not (await client.profiles.GetProfile(bare)).trail

    over_engine(tmp_path, scenario)


def test_a_profile_in_quarantine_is_released_once_the_defect_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(act: object, event: object) -> None:
        raise ZeroDivisionError("a bug")

    async def scenario(client: Client, engine: LocalEngine) -> None:
        with monkeypatch.context() as broken:
            broken.setattr(profiles, "take_event", defect)
            reply = await client.publish(added("c1"), added("c2"))
        assert list(reply.outcomes) == [r.INTERNAL, r.QUARANTINED]
        get = p.GetProfileRequest(name="users/ann")
        profile = await client.profiles.GetProfile(get)
        assert profile.quarantine == "ZeroDivisionError: a bug"
        release = p.ReleaseProfileRequest(name="users/ann")
        profile = await client.profiles.ReleaseProfile(release)
        assert not profile.quarantine
        assert (profile.trail[-1].kind, profile.trail[-1].detail) == ("quarantine", "released")
        assert await client.profiles.ReleaseProfile(release) == profile, "once more does no harm"
        assert list((await client.publish(added("c3"))).outcomes) == [r.ACCEPTED]

        unheard = p.ReleaseProfileRequest(name="users/nobody")
        refusal = await refused(client.profiles.ReleaseProfile(unheard))
        assert refusal.code is StatusCode.NOT_FOUND
        get = p.GetProfileRequest(name="users/nobody")
        refusal = await refused(client.profiles.GetProfile(get))
        assert refusal.code is StatusCode.NOT_FOUND, "and none was made"

    over_engine(tmp_path, scenario)


def test_a_lane_that_its_carrier_does_not_take_is_refused_with_all_that_is_wrong(
    tmp_path: Path,
) -> None:
    wrong = (
        "lane: a\nchannel: sms\ncarrier: sandbx\n---\n"
        "lane: b\nchannel: sms\ncarrier: sandbox\noptions: {reject: 2, lag: 1}\n---\n"
        "segment: s\nwhen: {segment: gone}"
    )

    async def scenario(client: Client, engine: LocalEngine) -> None:
        for only_check in (True, False):
            refusal = await refused(client.apply(wrong, validate_only=only_check))
            assert refusal.reason == "INVALID_DEFINITION"
            assert "lane 'a': there is no carrier 'sandbx'; did you mean" in refusal.message
            assert "lane 'b': options.lag: Extra inputs are not permitted" in refusal.message
            assert set(refusal.fields) > {"shop.yaml:1: carrier", "shop.yaml:5: options.reject"}
            assert "segment 's'" in refusal.message, "not only what carriers say"

    over_engine(tmp_path, scenario)


def test_an_id_is_applied_once(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        request = e.PublishRequest(event=added("c1", "m1"))
        first = await client.events.Publish(request)
        again = await client.events.Publish(request)
        assert (first.message_id, first.outcome) == ("m1", r.ACCEPTED)
        assert (again.message_id, again.outcome) == ("m1", r.DUPLICATE)
        reply = await client.publish(added("c1", "m1"), added("c1", "m2"))
        assert list(reply.outcomes) == [r.DUPLICATE, r.ACCEPTED]
        assert not reply.rejections

    over_engine(tmp_path, scenario)


def test_a_stream_acknowledges_every_chunk_in_the_order_of_one_user(tmp_path: Path) -> None:
    chunks, width = 300, 7

    async def requests() -> AsyncIterator[e.PublishStreamRequest]:
        for sequence in range(chunks):
            traits = [msgpack.packb({"n": sequence * width + k}) for k in range(width)]
            yield e.PublishStreamRequest(
                sequence=sequence,
                events=[
                    e.Event(type=e.IDENTIFY, user_id="ann", traits_msgpack=raw) for raw in traits
                ],
            )

    async def scenario(client: Client, engine: LocalEngine) -> None:
        acknowledged = {}
        async for reply in client.events.PublishStream(requests()):
            acknowledged[reply.sequence] = list(reply.outcomes)
        assert acknowledged == {sequence: [0] * width for sequence in range(chunks)}
        profile = await client.profiles.GetProfile(p.GetProfileRequest(name="users/ann"))
        assert msgpack.unpackb(profile.traits_msgpack) == {"n": chunks * width - 1}

    over_engine(tmp_path, scenario)


def test_definitions_are_applied_read_and_deleted_in_versions(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        checked = await client.apply(validate_only=True)
        assert (checked.version, checked.definitions[0].version) == (0, 0)
        first = await client.apply(request_id="one")
        assert (first.version, first.pending_shards) == (1, 0)
        assert [one.name for one in first.definitions][:2] == ["segments/buyer", "segments/pro"]
        changed = "template: cart\nchannel: sms\nbody: 'Come back'\nsample: {}"
        assert (await client.apply(changed, expected_version=1)).version == 2

        get = client.definitions.GetDefinition
        newest = await get(d.GetDefinitionRequest(name="templates/cart"))
        assert newest.version == 2
        assert newest.body["body"] == "Come back"
        assert (await client.apply(newest.yaml, validate_only=True)).version == 2
        oldest = await get(d.GetDefinitionRequest(name="templates/cart", version=1))
        assert "waits" in oldest.body["body"]
        listed = await client.definitions.ListDefinitionVersions(
            d.ListDefinitionVersionsRequest(name="templates/cart", page_size=1)
        )
        assert [one.version for one in listed.definitions] == [2]
        assert listed.definitions[0].create_time.ToMilliseconds() == NOW_MS
        rest = await client.definitions.ListDefinitionVersions(
            d.ListDefinitionVersionsRequest(
                name="templates/cart", page_size=1, page_token=listed.next_page_token
            )
        )
        assert ([one.version for one in rest.definitions], rest.next_page_token) == ([1], "")

        delete = client.definitions.DeleteDefinition
        told = await refused(delete(d.DeleteDefinitionRequest(name="templates/cart")))
        assert (told.code, told.reason) == (StatusCode.FAILED_PRECONDITION, "IN_USE")
        assert (await delete(d.DeleteDefinitionRequest(name="journeys/cart"))).version == 3
        gone = await refused(get(d.GetDefinitionRequest(name="journeys/cart")))
        assert gone.code is StatusCode.NOT_FOUND
        assert (await get(d.GetDefinitionRequest(name="journeys/cart", version=1))).yaml

    over_engine(tmp_path, scenario)


def test_a_change_based_on_an_old_version_is_aborted(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await client.apply()
        await client.apply("segment: x\nwhen: {trait: a, is: 1}")
        told = await refused(
            client.apply("segment: y\nwhen: {trait: a, is: 1}", expected_version=1)
        )
        assert (told.code, told.reason) == (StatusCode.ABORTED, "VERSION_CONFLICT")
        assert told.fields == ["expected_version"]

    over_engine(tmp_path, scenario)


def test_changes_at_the_same_time_all_take_their_turn(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        texts = [f"segment: s{n}\nwhen: {{trait: a, is: {n}}}" for n in range(4)]
        replies = await asyncio.gather(*(client.apply(text) for text in texts))
        assert sorted(reply.version for reply in replies) == [1, 2, 3, 4]
        listed = await client.definitions.ListDefinitions(d.ListDefinitionsRequest())
        assert [one.name for one in listed.definitions] == [f"segments/s{n}" for n in range(4)]
        assert listed.version == 4

    over_engine(tmp_path, scenario)


def test_definitions_come_as_yaml_json_and_structures(tmp_path: Path) -> None:
    body = {"segment": "c", "when": {"event": "Bought", "at_least": 2, "within": "1d"}}
    structure = Struct()
    structure.update(body)
    sources = [
        d.DefinitionSource(yaml="segment: a\nwhen: {trait: x, is: 1}"),
        d.DefinitionSource(json='{"segment": "b", "when": {"trait": "x", "is": 1}}'),
        d.DefinitionSource(struct=structure),
    ]

    async def scenario(client: Client, engine: LocalEngine) -> None:
        request = d.ApplyDefinitionsRequest(sources=sources)
        reply = await client.definitions.ApplyDefinitions(request)
        assert [one.name for one in reply.definitions] == ["segments/a", "segments/b", "segments/c"]
        found = await client.definitions.ListDefinitions(
            d.ListDefinitionsRequest(kind="segments", page_size=2)
        )
        assert [one.name for one in found.definitions] == ["segments/a", "segments/b"]
        found = await client.definitions.ListDefinitions(
            d.ListDefinitionsRequest(kind="segments", page_size=2, page_token=found.next_page_token)
        )
        assert [one.name for one in found.definitions] == ["segments/c"]
        assert found.next_page_token == ""
        assert json_format.MessageToDict(found.definitions[0].body) == body

    over_engine(tmp_path, scenario)


def test_a_new_version_of_a_journey_says_what_becomes_of_those_who_wait(tmp_path: Path) -> None:
    old = (
        "journey: j\nentry: {event: Go}\nsteps: {wait: {delay: 1d, then: rest}, rest: {delay: 1d}}"
    )
    new = (
        "journey: j\npublish: {migrate: {rest: end}, else: stop}\nentry: {event: Go}\n"
        "steps: {wait: {delay: 2d}}"
    )

    async def scenario(client: Client, engine: LocalEngine) -> None:
        apply = client.definitions.ApplyDefinitions
        first = await apply(d.ApplyDefinitionsRequest(sources=[d.DefinitionSource(yaml=old)]))
        assert not first.handovers
        request = d.ApplyDefinitionsRequest(sources=[d.DefinitionSource(yaml=new)])
        request.validate_only = True
        foretold = await apply(request)
        request.validate_only = False
        told = await apply(request)
        assert list(foretold.handovers) == list(told.handovers)
        (handover,) = told.handovers
        assert handover.journey == "journeys/j"
        assert [(one.step, one.outcome) for one in handover.steps] == [
            ("wait", "keeps its place and time"), ("rest", "completes"),
        ]  # fmt: skip

    over_engine(tmp_path, scenario)


def test_instances_of_a_person_and_of_a_journey(tmp_path: Path) -> None:
    users, carts = 30, 3

    async def scenario(client: Client, engine: LocalEngine) -> None:
        await client.apply()
        events = [added(f"c{n}", user=f"u{k}") for k in range(users) for n in range(carts)]
        await client.publish(*events)
        found = await pages(client, parent="users/u7")
        assert [one.key for one in found] == ["c0", "c1", "c2"]
        get = client.instances.GetInstance
        assert await get(i.GetInstanceRequest(name=found[1].name)) == found[1]
        everyone = await pages(client, parent="users/-", journey="journeys/cart")
        assert len(everyone) == len({one.name for one in everyone}) == users * carts
        assert {one.name.split("/")[1] for one in everyone} == {f"u{k}" for k in range(users)}
        assert await pages(client, parent="users/-", journey="journeys/other") == []

    over_engine(tmp_path, scenario)


async def pages(client: Client, **fields: Any) -> list[i.Instance]:
    found: list[i.Instance] = []
    token = ""
    for _ in range(200):
        reply = await client.instances.ListInstances(
            i.ListInstancesRequest(page_size=2, page_token=token, **fields)
        )
        found += reply.instances
        token = reply.next_page_token
        if not token:
            return found
    raise AssertionError("the pages do not end")


def test_a_message_is_made_once_and_keeps_its_history(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await client.apply()
        request = m.SendMessageRequest(
            parent="addresses/+15005550001",
            request_id="r1",
            channel=m.SMS,
            purpose=m.OTP,
            body="Your code is 1234",
        )
        made = await client.messages.SendMessage(request)
        assert made.name.startswith("addresses/+15005550001/messages/")
        assert (made.to, made.status, made.lane) == ("+15005550001", r.QUEUED, "lanes/main")
        assert (made.purpose, made.body) == (m.OTP, "Your code is 1234")
        assert made.expire_time.ToMilliseconds() == NOW_MS + 36_000_000
        again = await client.messages.SendMessage(request)
        assert again.name == made.name
        got = await client.messages.GetMessage(m.GetMessageRequest(name=made.name))
        assert [one.status for one in got.history] == [r.QUEUED]
        listed = await client.messages.ListMessages(
            m.ListMessagesRequest(parent="addresses/+15005550001")
        )
        assert [one.name for one in listed.messages] == [made.name]

    over_engine(tmp_path, scenario)


def test_a_message_from_a_template_to_a_user(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await client.apply()
        traits = b'{"first_name": "Ann", "phone": "+15005550001"}'
        await client.publish(e.Event(type=e.IDENTIFY, user_id="ann", traits_json=traits))
        request = m.SendMessageRequest(
            parent="users/ann",
            channel=m.SMS,
            purpose=m.MARKETING,
            template="templates/cart",
            data_json=b'{"sku": "hat"}',
        )
        made = await client.messages.SendMessage(request)
        assert (made.body, made.to) == ("Hi Ann, hat waits", "+15005550001")
        assert made.template == "templates/cart"
        request.template = "templates/none"
        told = await refused(client.messages.SendMessage(request))
        assert (told.code, told.reason) == (StatusCode.FAILED_PRECONDITION, "TEMPLATE_MISSING")
        assert told.fields == ["template"]

    over_engine(tmp_path, scenario)


def test_a_message_that_no_lane_takes_is_a_recorded_outcome(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        request = m.SendMessageRequest(
            parent="users/ann", channel=m.EMAIL, purpose=m.MARKETING, body="Hi"
        )
        assert (await client.messages.SendMessage(request)).status == r.NO_ADDRESS
        request.to = "ann@example.com"
        assert (await client.messages.SendMessage(request)).status == r.NO_ROUTE

    over_engine(tmp_path, scenario)


def test_messages_are_listed_newest_first_in_pages(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await client.apply()
        requests = [
            m.SendMessageRequest(
                parent="addresses/+15005550001",
                request_id=f"r{n}",
                channel=m.SMS,
                purpose=m.TRANSACTIONAL,
                body=f"{n}",
            )
            for n in range(5)
        ]
        reply = await client.messages.SendMessages(m.SendMessagesRequest(requests=requests))
        assert [result.outcome for result in reply.results] == [r.QUEUED] * 5
        again = await client.messages.SendMessages(m.SendMessagesRequest(requests=requests))
        assert [result.outcome for result in again.results] == [r.DUPLICATE] * 5
        assert [x.name for x in again.results] == [x.name for x in reply.results]
        bodies, token = [], ""
        for _ in range(3):
            page = await client.messages.ListMessages(
                m.ListMessagesRequest(
                    parent="addresses/+15005550001", page_size=2, page_token=token
                )
            )
            bodies.append([one.body for one in page.messages])
            token = page.next_page_token
        assert (bodies, token) == ([["4", "3"], ["2", "1"], ["0"]], "")

    over_engine(tmp_path, scenario)


def test_a_token_is_good_for_its_own_request_only(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await client.apply()
        page = await client.definitions.ListDefinitions(d.ListDefinitionsRequest(page_size=1))
        other = d.ListDefinitionsRequest(kind="lanes", page_token=page.next_page_token)
        told = await refused(client.definitions.ListDefinitions(other))
        assert told.fields == ["page_token"]

    over_engine(tmp_path, scenario)


def test_the_status_shows_every_part(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await client.apply()
        await client.publish(added("c1"))
        status = await client.system.GetStatus(s.GetStatusRequest())
        assert [shard.index for shard in status.shards] == [0, 1]
        assert all(shard.serving and shard.definitions_version == 1 for shard in status.shards)
        assert {shard.host for shard in status.shards} == {"shard-host-0"}
        assert sum(shard.details["entities"] for shard in status.shards) == 2
        assert "installed" not in status.shards[0].details
        assert [(one.name, one.serving) for one in status.senders] == [("sender-sms-1", False)]
        assert status.senders[0].details["lanes"][0]["in_flight"] == 3
        assert [one.name for one in status.hosts] == ["shard-host-0"]
        assert [one.name for one in status.gateways] == ["gateway-0"]

    over_engine(tmp_path, scenario)


def test_a_real_clock_is_not_moved_by_hand(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        request = s.AdvanceClockRequest(time=Timestamp(seconds=2_000_000_000))
        told = await refused(client.system.AdvanceClock(request))
        assert told.code is StatusCode.FAILED_PRECONDITION

    over_engine(tmp_path, scenario)


def test_keys_are_made_listed_and_revoked(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        made = await client.system.CreateKey(s.CreateKeyRequest(scopes=[s.Key.READ, s.Key.PUBLISH]))
        bearer = (("x-api-key", made.secret),)
        request = e.PublishRequest(event=added("c1"))
        assert (await client.events.Publish(request, metadata=bearer)).message_id
        listed = await client.system.ListKeys(s.ListKeysRequest())
        assert made.key in listed.keys
        assert made.secret not in str(listed)
        revoked = await client.system.RevokeKey(s.RevokeKeyRequest(name=made.key.name))
        assert revoked.HasField("revoke_time")
        told = await refused(client.events.Publish(request, metadata=bearer))
        assert told.code is StatusCode.UNAUTHENTICATED

    over_engine(tmp_path, scenario)


def test_a_key_of_another_workspace_sees_and_revokes_nothing_here(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await client.publish(added("c1"))
        info, secret = client.door.keys.create("other", ("read", "admin"), NOW_MS)
        theirs = (("x-api-key", secret),)
        get = client.profiles.GetProfile(p.GetProfileRequest(name="users/ann"), metadata=theirs)
        assert (await refused(get)).code is StatusCode.NOT_FOUND
        own = client.door.secret.split("_")[1]
        revoke = client.system.RevokeKey(s.RevokeKeyRequest(name=f"keys/{own}"), metadata=theirs)
        assert (await refused(revoke)).code is StatusCode.NOT_FOUND
        listed = await client.system.ListKeys(s.ListKeysRequest(), metadata=theirs)
        assert [key.name for key in listed.keys] == [f"keys/{info.id}"]

    over_engine(tmp_path, scenario)


def test_a_watch_of_one_user_does_not_show_another_with_the_same_id(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        lines = aiter(client.system.Watch(s.WatchRequest(name="users/ann")))
        reading = asyncio.ensure_future(anext(lines))
        while not reading.done():  # until the host knows that someone watches
            await client.publish(
                e.Event(type=e.TRACK, anonymous_id="ann", event="Theirs"),
                e.Event(type=e.TRACK, user_id="ann", event="Mine"),
            )
        await client.publish(e.Event(type=e.TRACK, user_id="ann", event="Mine"))
        shown = [await reading, await anext(lines)]
        assert {(line.name, line.detail) for line in shown} == {("users/ann", "Mine")}

    over_engine(tmp_path, scenario)


def test_a_watch_shows_changes_of_definitions_without_a_name(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        lines = aiter(client.system.Watch(s.WatchRequest(kinds=["definition"])))
        reading = asyncio.ensure_future(anext(lines))
        number = 0
        while not reading.done():
            number += 1
            await client.apply(f"segment: new-{number}\nwhen: {{trait: plan, is: pro}}")
        line = await reading
        assert (line.kind, line.name) == ("definition", "")
        assert line.subject.startswith("segment/new-")

    over_engine(tmp_path, scenario)
