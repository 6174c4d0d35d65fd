"""ProfilesService: all that is known about one person, and what may be done with that."""

import asyncio
import json
import uuid
from typing import Any, Final

from engine import commands, limits
from engine.governance.topics import STATUSES
from engine.messages.message import CHANNELS
from engine.slots import shard_of, slot_of
from gateway import errors, names, views
from gateway.admission import check_id
from gateway.binding import Call
from gateway.pb.denrei.v1 import profiles_pb2
from gateway.seams import Router
from gateway.services.one import do

_ANSWER_S: Final = 2.0  # what is left of a call's time when a sweep is not waited for any longer
_SWEEP_LOOK_S: Final = 0.2
_PIECE_BYTES: Final = 256 * 1024


class ProfilesService:
    """See profiles.proto.

    Args:
        router: The way to the shards.
    """

    def __init__(self, router: Router) -> None:
        self._router = router

    async def get_profile(
        self, request: profiles_pb2.GetProfileRequest, call: Call
    ) -> profiles_pb2.Profile:
        """Gets a profile as its shard holds it now; a merged one is the one that it is part of."""
        return await self._profile(request.name, not request.omit_trail, call)

    async def release_profile(
        self, request: profiles_pb2.ReleaseProfileRequest, call: Call
    ) -> profiles_pb2.Profile:
        """Lets a profile out of quarantine; one that is not in it stays as it is.

        Durability: The release is synced when it returns.
        """
        await self._profile(request.name, False, call)  # a release would make one that is not there
        key = names.entity_key(call.workspace, request.name, "name")
        await do(self._router, commands.release(key), 0, call)
        return await self._profile(request.name, True, call)

    async def erase_profile(
        self, request: profiles_pb2.EraseProfileRequest, call: Call
    ) -> profiles_pb2.EraseProfileResponse:
        """Erases a person.

        Durability: The erasure of the named id is synced when it returns; the person's other ids
        follow by forwards, which survive a crash.
        """
        key = names.entity_key(call.workspace, request.name, "name")
        check_id(request.request_id, "request_id")
        request_id = request.request_id or uuid.uuid4().hex
        outcome = await do(self._router, commands.erase(key, request_id, request.suppress), 0, call)
        waiting = await self._sweep(call) if request.now else 0
        return profiles_pb2.EraseProfileResponse(outcome=views.reason(outcome), waiting=waiting)

    async def _sweep(self, call: Call) -> int:
        """Has all shards swept of the erased; how many erasures wait when the time is over."""
        while True:
            timeout_s = call.remaining_s() / 2
            asked = [
                self._router.query(shard, "forget", {}, timeout_s)
                for shard in range(self._router.shards)
            ]
            waiting = sum([int(told["waiting"]) for told in await asyncio.gather(*asked)])
            if not waiting or call.remaining_s() < _ANSWER_S:
                return waiting
            await asyncio.sleep(_SWEEP_LOOK_S)

    async def suppress_profile(
        self, request: profiles_pb2.SuppressProfileRequest, call: Call
    ) -> profiles_pb2.SuppressProfileResponse:
        """Suppresses a person, or lifts that; also somebody of whom nothing is known yet.

        Durability: As for `erase_profile`.
        """
        key = names.entity_key(call.workspace, request.name, "name")
        command = commands.suppress(key, uuid.uuid4().hex, not request.lift)
        outcome = await do(self._router, command, 0, call)
        return profiles_pb2.SuppressProfileResponse(outcome=views.reason(outcome))

    async def export_profile(self, request: profiles_pb2.ExportProfileRequest, call: Call) -> None:
        """Writes everything that is kept of a person, a piece after the other."""
        key = names.entity_key(call.workspace, request.name, "name")
        found = await self._ask("export", {"key": key}, call)
        for _ in range(limits.MERGES):
            if found is None or "merged_into" not in found:
                break
            key = found["merged_into"]
            found = await self._ask("export", {"key": key}, call)
        if found is None:
            raise errors.not_found(request.name)
        text = json.dumps({"name": names.entity_name(key), **found}, indent=2, ensure_ascii=False)
        document = text.encode()
        for start in range(0, len(document), _PIECE_BYTES):
            piece = document[start : start + _PIECE_BYTES]
            await call.write(profiles_pb2.ExportProfileResponse(json=piece))

    async def set_consents(
        self, request: profiles_pb2.SetConsentsRequest, call: Call
    ) -> profiles_pb2.SetConsentsResponse:
        """Keeps what a person has said they want to get.

        Durability: Synced when it returns.
        """
        key = names.entity_key(call.workspace, request.name, "name")
        check_id(request.request_id, "request_id")
        check_id(request.by, "by", limits.NAME_CHARS)
        changes = _changes(request)
        request_id = request.request_id or uuid.uuid4().hex
        at_ms = request.time.ToMilliseconds() if request.HasField("time") else 0
        command = commands.consent(key, request_id, changes, request.by, at_ms)
        outcome = await do(self._router, command, sum(map(_size, changes)), call)
        return profiles_pb2.SetConsentsResponse(outcome=views.reason(outcome))

    async def _profile(self, name: str, trail: bool, call: Call) -> profiles_pb2.Profile:
        key = names.entity_key(call.workspace, name, "name")
        found = await self._find(key, trail, call)
        for _ in range(limits.MERGES):
            if found is None or not found.get("merged_into"):
                break
            found = await self._find(found["merged_into"], trail, call)
        if found is None:
            raise errors.not_found(name)
        return views.profile(found)

    async def _find(self, key: str, trail: bool, call: Call) -> dict[str, Any] | None:
        return await self._ask("profile", {"key": key, "trail": trail}, call)

    async def _ask(self, query: str, args: dict[str, Any], call: Call) -> dict[str, Any] | None:
        shard = shard_of(slot_of(args["key"]), self._router.shards)
        found: dict[str, Any] | None = await self._router.query(
            shard, query, args, call.remaining_s()
        )
        return found


def _changes(request: profiles_pb2.SetConsentsRequest) -> list[tuple[str, str, str]]:
    """The consents of a request, checked."""
    if not request.consents:
        raise errors.invalid("consents", "consents is empty: say what changes")
    if len(request.consents) > limits.CONSENTS:
        raise errors.invalid("consents", f"more than {limits.CONSENTS} consents")
    for at, one in enumerate(request.consents):
        field = f"consents[{at}]"
        if one.channel not in CHANNELS:
            raise errors.invalid(f"{field}.channel", f"it is none of {', '.join(CHANNELS)}")
        if not one.topic:
            raise errors.invalid(f"{field}.topic", "it is empty: name a topic, or 'all'")
        check_id(one.topic, f"{field}.topic", limits.NAME_CHARS)
        if one.status not in STATUSES:
            raise errors.invalid(f"{field}.status", f"it is none of {', '.join(STATUSES)}")
    return [(one.channel, one.topic, one.status) for one in request.consents]


def _size(change: tuple[str, str, str]) -> int:
    return sum(map(len, change)) + 8
