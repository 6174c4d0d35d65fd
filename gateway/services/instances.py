"""InstancesService: runs through journeys, of one person or of a journey."""

import uuid
from typing import Any, Final

from engine import commands, limits
from engine.reasons import Reason
from engine.slots import shard_of, slot_of
from gateway import errors, names, pages, views
from gateway.admission import check_id
from gateway.binding import Call
from gateway.pb.denrei.v1 import instances_pb2
from gateway.properties import from_json, from_msgpack
from gateway.seams import Router
from gateway.services.one import do, post

# The state of all shards together is the first of these that one of them has.
_BROADCAST_STATES: Final = {
    "walking": instances_pb2.Broadcast.WALKING,
    "cancelled": instances_pb2.Broadcast.CANCELLED,
    "done": instances_pb2.Broadcast.DONE,
}


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

    async def list_broadcasts(
        self, request: instances_pb2.ListBroadcastsRequest, call: Call
    ) -> instances_pb2.ListBroadcastsResponse:
        """Tells how far a journey's broadcasts have come: one question to each shard."""
        journey = names.reference(request.parent, "journey", "parent")
        if not journey:
            raise errors.invalid("parent", "parent is empty; write journeys/{name}")
        args = {"workspace": call.workspace, "journey": journey}
        told: dict[int, list[dict[str, Any]]] = {}
        for shard in range(self._router.shards):
            for one in await self._router.query(shard, "broadcasts", args, call.remaining_s()):
                told.setdefault(one["number"], []).append(one)
        return instances_pb2.ListBroadcastsResponse(
            broadcasts=[_broadcast(number, told[number]) for number in sorted(told)]
        )

    async def enter_journey(
        self, request: instances_pb2.EnterJourneyRequest, call: Call
    ) -> instances_pb2.EnterJourneyResponse:
        """Begins a run of a journey that the API may begin.

        Durability: The run is synced when it returns.
        """
        key = names.entity_key(call.workspace, request.parent, "parent")
        journey = names.reference(request.journey, "journey", "journey")
        if not journey:
            raise errors.invalid("journey", "journey is empty; write journeys/{name}")
        check_id(request.request_id, "request_id")
        request_id = request.request_id or uuid.uuid4().hex
        command = commands.enter(key, request_id, journey, _context(request))
        outcome = await do(self._router, command, len(command[4]), call)
        return instances_pb2.EnterJourneyResponse(outcome=views.reason(outcome))

    async def stop_instance(
        self, request: instances_pb2.StopInstanceRequest, call: Call
    ) -> instances_pb2.Instance:
        """Stops a run; one that has ended stays as it is, and what waits of it is called back.

        Durability: The end is synced when it returns.
        """
        await self.get_instance(
            instances_pb2.GetInstanceRequest(name=request.name), call
        )  # a stop would make an entity that is not there
        key, id_ = names.child(call.workspace, request.name, "instances")
        check_id(request.why, "why", limits.NAME_CHARS)
        why = request.why or "stopped by the API"
        stop = commands.stop(key, uuid.uuid4().hex, "", id_, why)
        for item in (await post(self._router, stop, 0, call)).rejected:
            if item.reason != Reason.NOT_FOUND:  # it has ended, and nothing of it waits
                raise errors.refused(item.reason)
        return await self.get_instance(instances_pb2.GetInstanceRequest(name=request.name), call)

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


def _broadcast(number: int, told: list[dict[str, Any]]) -> instances_pb2.Broadcast:
    """One broadcast, from what each shard tells of it."""
    states = {one.get("state", "") for one in told}
    state = next((state for state in _BROADCAST_STATES if state in states), "")
    ended = [one.get("ended_ms", 0) for one in told]
    return instances_pb2.Broadcast(
        number=number,
        state=_BROADCAST_STATES.get(state, instances_pb2.Broadcast.STATE_UNSPECIFIED),
        visited=sum(one.get("visited", 0) for one in told),
        offered=sum(one.get("offered", 0) for one in told),
        start_time=views.time(_first(told, "started_ms")),
        end_time=views.time(max(ended) if all(ended) else 0),
        due_time=views.time(_first(told, "due_ms")),
    )


def _first(told: list[dict[str, Any]], name: str) -> int:
    """The earliest of the times that are set; 0 if none is."""
    return min((ms for one in told if (ms := one.get(name, 0))), default=0)


def _context(request: instances_pb2.EnterJourneyRequest) -> bytes:
    """The context as a msgpack map; empty for none."""
    field = request.WhichOneof("context")
    if field is None:
        return b""
    read = from_msgpack if field == "context_msgpack" else from_json
    return read(getattr(request, field), field)
