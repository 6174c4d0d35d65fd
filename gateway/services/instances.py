"""InstancesService: runs through journeys, of one person or of a journey."""

from engine.slots import shard_of, slot_of
from gateway import errors, names, pages, views
from gateway.binding import Call
from gateway.pb.denrei.v1 import instances_pb2
from gateway.seams import Router


class InstancesService:
    """See instances.proto.

    Args:
        router: The way to the shards.
    """

    def __init__(self, router: Router) -> None:
        self._router = router

    async def get_instance(
        self, request: instances_pb2.GetInstanceRequest, call: Call
    ) -> instances_pb2.Instance:
        """Gets an instance, running or ended."""
        key, id_ = names.child(call.workspace, request.name, "instances")
        for values in await self._of_entity(key, "", call):
            if values["id"] == id_:
                return views.instance(key, values)
        raise errors.not_found(request.name)

    async def list_instances(
        self, request: instances_pb2.ListInstancesRequest, call: Call
    ) -> instances_pb2.ListInstancesResponse:
        """Lists a page of instances."""
        journey = names.reference(request.journey, "journey", "journey")
        limit = pages.size(request.page_size)
        scope = ("instances", request.parent, request.journey)
        if request.parent == names.ANYONE:
            if not journey:
                raise errors.invalid("journey", "set journey, or name a user in parent")
            return await self._of_journey(journey, limit, request.page_token, scope, call)
        key = names.entity_key(call.workspace, request.parent, "parent")
        (start,) = pages.cursor(request.page_token, [0], *scope)
        found = await self._of_entity(key, journey, call)
        page = found[start : start + limit]
        more = len(found) > start + limit
        return instances_pb2.ListInstancesResponse(
            instances=[views.instance(key, values) for values in page],
            next_page_token=pages.token([start + limit], *scope) if more else "",
        )

    async def _of_entity(self, key: str, journey: str, call: Call) -> list[dict[str, object]]:
        """All kept instances of one entity, oldest first."""
        shard = shard_of(slot_of(key), self._router.shards)
        args = {"workspace": call.workspace, "journey": journey, "key": key, "limit": 0}
        answer = await self._router.query(shard, "instances", args, call.remaining_s())
        return list(answer["items"])

    async def _of_journey(
        self, journey: str, limit: int, token: str, scope: tuple[str, ...], call: Call
    ) -> instances_pb2.ListInstancesResponse:
        """A page of everyone's instances: a slice of one shard after the other."""
        shard, after = pages.cursor(token, [0, ""], *scope)
        if not 0 <= shard < self._router.shards:
            raise errors.invalid("page_token", "page_token is out of date; begin without one")
        args = {"workspace": call.workspace, "journey": journey, "key": "", "after": after}
        answer = await self._router.query(
            shard, "instances", {**args, "limit": limit}, call.remaining_s()
        )
        following = [shard, answer["next"]] if answer["next"] else [shard + 1, ""]
        more = following[0] < self._router.shards
        return instances_pb2.ListInstancesResponse(
            instances=[views.instance(values["entity"], values) for values in answer["items"]],
            next_page_token=pages.token(following, *scope) if more else "",
        )
