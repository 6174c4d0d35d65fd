"""SegmentsService: who is in a segment now, and how far the filling of a new one has come."""

from typing import Any

from gateway import errors, names, pages, views
from gateway.binding import Call
from gateway.pb.denrei.v1 import segments_pb2
from gateway.seams import Router


class SegmentsService:
    """See segments.proto.

    Args:
        router: The way to the shards.
    """

    def __init__(self, router: Router) -> None:
        self._router = router

    async def get_segment(
        self, request: segments_pb2.GetSegmentRequest, call: Call
    ) -> segments_pb2.Segment:
        """Gets a segment's size and how far it is filled: one question to each shard."""
        name = await self._known(request.name, "name", call)
        segment = segments_pb2.Segment(name=f"segments/{name}", filled=True)
        args = {"workspace": call.workspace, "segment": name}
        for shard in range(self._router.shards):
            answer = await self._router.query(shard, "segment", args, call.remaining_s())
            segment.members += answer["members"]
            segment.entities += answer["entities"]
            segment.evaluated += answer["evaluated"]
            segment.filled = segment.filled and answer["filled"]
            segment.past_read += answer["read"] / self._router.shards
            segment.error = segment.error or answer["error"]
        return segment

    async def list_members(
        self, request: segments_pb2.ListMembersRequest, call: Call
    ) -> segments_pb2.ListMembersResponse:
        """Lists a page of members: a slice of one shard after the other."""
        limit = pages.size(request.page_size)
        scope = ("members", request.parent)
        shard, after = pages.cursor(request.page_token, [0, ""], *scope)
        if not 0 <= shard < self._router.shards:
            raise errors.invalid("page_token", "page_token is out of date; begin without one")
        name = await self._known(request.parent, "parent", call)
        members, shard, after = await self._slice(name, shard, after, limit, call)
        more = shard < self._router.shards
        return segments_pb2.ListMembersResponse(
            members=members, next_page_token=pages.token([shard, after], *scope) if more else ""
        )

    async def stream_members(self, request: segments_pb2.StreamMembersRequest, call: Call) -> None:
        """Streams all members; the next slice is read when the client has taken the last."""
        name = await self._known(request.parent, "parent", call)
        shard, after = 0, ""
        while shard < self._router.shards:
            members, shard, after = await self._slice(name, shard, after, pages.size(500), call)
            if members:
                await call.write(segments_pb2.StreamMembersResponse(members=members))

    async def _slice(
        self, name: str, shard: int, after: str, limit: int, call: Call
    ) -> tuple[list[segments_pb2.Member], int, str]:
        """Some members, and where to go on."""
        args = {"workspace": call.workspace, "segment": name, "after": after, "limit": limit}
        answer = await self._router.query(shard, "members", args)
        members = [
            segments_pb2.Member(profile=names.entity_name(key), enter_time=views.time(entered_ms))
            for key, entered_ms in answer["items"]
        ]
        following: str = answer["next"]
        return members, (shard if following else shard + 1), following

    async def _known(self, name: str, field: str, call: Call) -> str:
        """The bare name of a segment that is defined."""
        bare = names.reference(name, "segment", field)
        if not bare:
            raise errors.invalid(field, f"{field} is empty; write segments/{{name}}")
        if not await self._defined(bare, call):
            raise errors.not_found(name)
        return bare

    async def _defined(self, name: str, call: Call) -> bool:
        args: dict[str, Any] = {"workspace": call.workspace, "segment": name}
        answer = await self._router.query(0, "segment", args, call.remaining_s())
        return bool(answer["defined"])
