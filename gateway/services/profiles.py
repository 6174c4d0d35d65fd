"""ProfilesService: all that is known about one person, and the way out of quarantine."""

from typing import Any

from engine import commands, limits
from engine.slots import shard_of, slot_of
from gateway import errors, names, views
from gateway.batch import Batch
from gateway.binding import Call
from gateway.pb.denrei.v1 import profiles_pb2
from gateway.seams import Router


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
        batch = Batch(1)
        shard = shard_of(slot_of(key), self._router.shards)
        batch.place(0, shard, commands.release(key), len(key) + limits.ID_CHARS)
        await batch.settle(batch.post(self._router, call.deadline), call.deadline)
        for item in batch.rejected:
            raise errors.refused(item.reason)
        return await self._profile(request.name, True, call)

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
        shard = shard_of(slot_of(key), self._router.shards)
        args = {"key": key, "trail": trail}
        found: dict[str, Any] | None = await self._router.query(
            shard, "profile", args, call.remaining_s()
        )
        return found
