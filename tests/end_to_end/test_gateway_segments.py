"""Segments over the contract: sizes, filling, and the members, page by page and streamed."""

import asyncio
from pathlib import Path

from grpc import StatusCode

from gateway.pb.denrei.v1 import events_pb2 as e
from gateway.pb.denrei.v1 import segments_pb2 as seg
from tests.support.gateway_client import Client, over_engine
from tests.support.gateway_support import refused
from tests.support.local_engine import LocalEngine

PEOPLE = 60


async def fill(client: Client) -> None:
    """People first, then the segment, so that only the filling can bring them in."""
    await client.publish(
        *(
            e.Event(type=e.IDENTIFY, user_id=f"u{n:02}", traits_json=b'{"plan": "%s"}' % plan)
            for n in range(PEOPLE)
            for plan in [b"pro" if n % 2 else b"free"]
        )
    )
    await client.apply("segment: payers\nwhen: {trait: plan, is: pro}")
    while True:
        segment = await client.segments.GetSegment(seg.GetSegmentRequest(name="segments/payers"))
        assert segment.evaluated <= segment.entities
        if segment.filled:
            break
        await asyncio.sleep(0)
    assert segment.members == PEOPLE // 2
    assert segment.evaluated == segment.entities > PEOPLE


def test_a_new_segment_is_filled_and_its_members_can_be_listed(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await fill(client)
        wanted = {f"users/u{n:02}" for n in range(1, PEOPLE, 2)}
        listed: list[str] = []
        token = ""
        while True:
            page = await client.segments.ListMembers(
                seg.ListMembersRequest(parent="segments/payers", page_size=7, page_token=token)
            )
            assert len(page.members) <= 7
            assert all(member.enter_time.ToMilliseconds() for member in page.members)
            listed += [member.profile for member in page.members]
            token = page.next_page_token
            if not token:
                break
        assert len(listed) == len(set(listed))
        assert set(listed) == wanted
        streamed = [
            member.profile
            async for chunk in client.segments.StreamMembers(
                seg.StreamMembersRequest(parent="segments/payers")
            )
            for member in chunk.members
        ]
        assert sorted(streamed) == sorted(wanted)

    over_engine(tmp_path, scenario)


def test_a_member_who_leaves_is_gone_from_the_list_at_once(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await fill(client)
        await client.publish(
            e.Event(type=e.IDENTIFY, user_id="u01", traits_json=b'{"plan": "free"}')
        )
        request = seg.ListMembersRequest(parent="segments/payers", page_size=500)
        members: list[str] = []
        while True:
            page = await client.segments.ListMembers(request)
            members += [member.profile for member in page.members]
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        assert "users/u01" not in members
        assert len(members) == PEOPLE // 2 - 1
        segment = await client.segments.GetSegment(seg.GetSegmentRequest(name="segments/payers"))
        assert segment.members == PEOPLE // 2 - 1

    over_engine(tmp_path, scenario)


def test_a_segment_that_nobody_has_defined_is_not_found(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await fill(client)
        unknown = seg.GetSegmentRequest(name="segments/nobody")
        refusal = await refused(client.segments.GetSegment(unknown))
        assert refusal.code is StatusCode.NOT_FOUND
        wrong = seg.ListMembersRequest(parent="journeys/payers")
        assert (
            await refused(client.segments.ListMembers(wrong))
        ).code is StatusCode.INVALID_ARGUMENT
        empty = seg.ListMembersRequest()
        assert (
            await refused(client.segments.ListMembers(empty))
        ).code is StatusCode.INVALID_ARGUMENT

    over_engine(tmp_path, scenario)
