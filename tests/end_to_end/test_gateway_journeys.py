"""Journeys over the contract: begun and stopped by the API."""

import asyncio
from pathlib import Path

import msgpack
from grpc import StatusCode

from gateway.pb.denrei.v1 import events_pb2 as e
from gateway.pb.denrei.v1 import instances_pb2 as i
from gateway.pb.denrei.v1 import reason_pb2 as r
from tests.support.gateway_client import Client, over_engine
from tests.support.gateway_support import refused
from tests.support.local_engine import LocalEngine

TRIAL = """
journey: trial
entry: {api: true, key: properties.plan}
steps:
  wait: {delay: 7d}
"""

NEWS = """
journey: news
entry: {broadcast: {trait: a, is: 1}}
steps:
  wait: {delay: 7d}
"""


def enter(**fields: object) -> i.EnterJourneyRequest:
    plain = {"parent": "users/ann", "journey": "journeys/trial", "context_json": b'{"plan": "p1"}'}
    return i.EnterJourneyRequest(**{**plain, **fields})  # type: ignore[arg-type]


async def runs(client: Client) -> list[i.Instance]:
    listed = await client.instances.ListInstances(i.ListInstancesRequest(parent="users/ann"))
    return list(listed.instances)


def test_the_api_begins_a_run_once_and_stops_it(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await client.apply(TRIAL)
        entered = await client.instances.EnterJourney(enter(request_id="r1"))
        assert entered.outcome == r.ACCEPTED
        again = await client.instances.EnterJourney(enter(request_id="r1"))
        assert again.outcome == r.DUPLICATE
        packed = msgpack.packb({"plan": "p2"})
        other = i.EnterJourneyRequest(
            parent="users/ann", journey="journeys/trial", context_msgpack=packed
        )
        await client.instances.EnterJourney(other)
        assert sorted(run.key for run in await runs(client)) == ["p1", "p2"]
        name = next(run.name for run in await runs(client) if run.key == "p1")
        stopped = await client.instances.StopInstance(i.StopInstanceRequest(name=name, why="asked"))
        assert stopped.state == i.Instance.STOPPED
        assert stopped.trail[-1].why == "asked"
        assert await client.instances.StopInstance(i.StopInstanceRequest(name=name)) == stopped
        assert [run.state for run in await runs(client) if run.key == "p2"] == [i.Instance.RUNNING]

    over_engine(tmp_path, scenario)


def test_what_cannot_be_entered_or_stopped_is_refused_with_its_reason(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await client.apply(TRIAL)
        await client.instances.EnterJourney(enter())
        for request, code, reason in [
            (enter(), StatusCode.FAILED_PRECONDITION, "ALREADY_RUNNING"),
            (enter(journey="journeys/nowhere"), StatusCode.NOT_FOUND, "NOT_FOUND"),
            (enter(journey=""), StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
            (enter(journey="segments/x"), StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
            (enter(parent="ann"), StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
            (enter(context_json=b"{"), StatusCode.INVALID_ARGUMENT, "BAD_PROPERTIES"),
            (enter(context_json=b"{}"), StatusCode.FAILED_PRECONDITION, "ENTRY_REFUSED"),
            (enter(request_id="x" * 501), StatusCode.INVALID_ARGUMENT, "TOO_LONG"),
        ]:
            refusal = await refused(client.instances.EnterJourney(request))
            assert (refusal.code, refusal.reason) == (code, reason), request
        unknown = i.StopInstanceRequest(name=f"users/ann/instances/{'0' * 32}")
        assert (await refused(client.instances.StopInstance(unknown))).code is StatusCode.NOT_FOUND
        nobody = i.StopInstanceRequest(name=f"users/bob/instances/{'0' * 32}")
        assert (await refused(client.instances.StopInstance(nobody))).code is StatusCode.NOT_FOUND
        (run,) = await runs(client)
        long = i.StopInstanceRequest(name=run.name, why="x" * 201)
        assert (await refused(client.instances.StopInstance(long))).reason == "TOO_LONG"

    over_engine(tmp_path, scenario)


def test_how_far_a_broadcast_has_come_is_told(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await client.publish(
            *(e.Event(type=e.IDENTIFY, user_id=f"u{n}", traits_json=b'{"a": 1}') for n in range(8))
        )
        await client.apply(NEWS)
        request = i.ListBroadcastsRequest(parent="journeys/news")
        while True:
            (told,) = (await client.instances.ListBroadcasts(request)).broadcasts
            if told.state == i.Broadcast.DONE:
                break
            await asyncio.sleep(0.01)
            engine.clock.advance(1_000)
        assert (told.number, told.visited, told.offered) == (0, 8, 8)
        assert told.start_time.ToMilliseconds() <= told.end_time.ToMilliseconds()
        assert not told.HasField("due_time")
        nothing = i.ListBroadcastsRequest(parent="journeys/other")
        assert not (await client.instances.ListBroadcasts(nothing)).broadcasts
        wrong = await refused(client.instances.ListBroadcasts(i.ListBroadcastsRequest()))
        assert wrong.code is StatusCode.INVALID_ARGUMENT

    over_engine(tmp_path, scenario)
