"""ProfilesService: all that is known about one person."""

from engine.slots import shard_of, slot_of
from gateway import errors, names, views
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
        """Gets a profile as its shard holds it now."""
        key = names.entity_key(call.workspace, request.name, "name")
        shard = shard_of(slot_of(key), self._router.shards)
        args = {"key": key, "trail": not request.omit_trail}
        found = await self._router.query(shard, "profile", args, call.remaining_s())
        if found is None:
            raise errors.not_found(request.name)
        return views.profile(found)
