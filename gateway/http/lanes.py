"""Which lanes there are, for a door that strangers knock at.

A carrier names its lane in the address; which sender the lane lives in depends on its channel, and
only the shards know that. What they said is kept for a moment, also that there is no such
workspace, and only so many questions a second are asked: a flood of invented names stays here.
"""

import asyncio
from typing import Any, Final, NamedTuple

import msgpack

from engine import limits
from engine.errors import Overloaded
from engine.slots import catalog_key, shard_of, slot_of
from gateway.http.pace import Pace
from gateway.seams import Router


class Known(NamedTuple):
    """The lanes of a workspace.

    Attributes:
        version: Of its catalog; -1 if there is no such workspace.
        bodies: The lanes' definitions, by name.
        until_s: When to ask again.
    """

    version: int
    bodies: dict[str, Any]
    until_s: float

    @property
    def packed(self) -> bytes:
        """The definitions as `SenderCore.configure` takes them."""
        packed: bytes = msgpack.packb(self.bodies)
        return packed


class KnownLanes:
    """See the module's text.

    Args:
        router: The way to the shards.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._known: dict[str, Known] = {}
        self._asking: dict[str, asyncio.Task[Known]] = {}
        self._pace = Pace(limits.HTTP_LOOKUPS_PER_S, limits.HTTP_LOOKUPS_PER_S, 1)

    async def of(self, workspace: str) -> Known:
        """The lanes of a workspace.

        Raises:
            Overloaded: Too many have asked for names that are not known.
            Unavailable: The shards did not answer.
        """
        now_s = asyncio.get_running_loop().time()
        known = self._known.get(workspace)
        if known is not None and known.until_s > now_s:
            return known
        asking = self._asking.get(workspace)
        if asking is None:
            if not self._pace.take("", now_s):
                raise Overloaded(_LATER_MS, "too many look-ups of workspaces")
            asking = asyncio.get_running_loop().create_task(self._ask(workspace))
            self._asking[workspace] = asking
            asking.add_done_callback(lambda _: self._asking.pop(workspace, None))
        return await asyncio.shield(asking)

    async def _ask(self, workspace: str) -> Known:
        shard = shard_of(slot_of(catalog_key(workspace)), self._router.shards)
        answer = await self._router.query(shard, "lanes", {"workspace": workspace})
        version, bodies = answer.get(workspace, (-1, {}))
        known = Known(
            version, bodies, asyncio.get_running_loop().time() + limits.HTTP_LANES_KNOWN_S
        )
        self._known.pop(workspace, None)
        if len(self._known) >= limits.HTTP_WORKSPACES:
            del self._known[next(iter(self._known))]
        self._known[workspace] = known
        return known


_LATER_MS: Final = 1_000
