"""Finding actors: the one place where names become Ray handles.

A handle stays good while Ray restarts its actor. When the actor is gone for ever the supervisor
makes a new one under the same name, so a handle that failed is looked up again. Calls that are
frequent go over a wire to actors of the same machine (`actors.wire`).
"""

import asyncio
from typing import Any, Final

import ray

from actors import placement
from actors.router import HostLink
from actors.wire import Wire, socket_path
from engine import limits
from engine.commands import Compressor
from engine.journeys.calling import CHANNEL as WEBHOOK

# What may be called over a wire: places in the methods of a host's server, and of a sender's.
SUBMIT: Final = 0
QUERY: Final = 1
OFFER: Final = 0


class RayDirectory:
    """Finds hosts and senders by name; see `actors.router.Directory`, `actors.dispatch.SenderPool`.

    Args:
        settings: `Settings.plain()`.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.shards: int = settings["shards"]
        self.compressor = Compressor()
        self._hosts: int = settings["hosts"]
        self._senders: dict[str, int] = settings["senders"]
        self._callers: int = settings["callers"]
        self._handles: dict[str, Any] = {}
        self._store: str = settings["store"]
        self._wires: dict[str, Wire | None] = {}

    def host_of(self, shard: int) -> str:
        """See `Directory`."""
        return placement.host_of(shard, self.shards, self._hosts)

    def link(self, name: str) -> "RayLink":
        """A way to call a host or a sender."""
        return RayLink(name, self)

    def names(self) -> list[str]:
        """All senders, and the callers of webhooks, which hosts reach in the same way."""
        return [
            *(
                placement.sender_name(channel, index)
                for channel, count in sorted(self._senders.items())
                for index in range(1, count + 1)
            ),
            *(placement.caller_name(index) for index in range(1, self._callers + 1)),
        ]

    def pool(self, channel: str) -> list[str]:
        """The senders of a channel's pool."""
        pool = placement.pool_of(channel)
        return [placement.sender_name(pool, index) for index in range(1, self._senders[pool] + 1)]

    def sender_of(self, workspace: str, channel: str, lane: str) -> str:
        """The sender that a lane lives in; of a webhook, the caller of its receiver."""
        if channel == WEBHOOK:
            return placement.caller_of(lane, self._callers)
        return placement.sender_of(
            workspace, channel, lane, self._senders[placement.pool_of(channel)]
        )

    def handle(self, name: str) -> Any:
        """The actor of this name.

        Raises:
            ValueError: There is none (yet).
        """
        handle = self._handles.get(name)
        if handle is None:
            handle = self._handles[name] = ray.get_actor(name, namespace=placement.NAMESPACE)
        return handle

    async def wire(self, name: str) -> Wire | None:
        """A wire to an actor, if it is on this machine and listens."""
        if name not in self._wires:
            path = socket_path(self._store, name)
            self._wires[name] = None if path is None else Wire(path)
        wire = self._wires[name]
        return wire if wire is not None and await wire.open() else None

    def forget(self, name: str) -> None:
        """Looks the name up again next time."""
        self._handles.pop(name, None)


class RayLink(HostLink):
    """Calls one actor. Every call has a deadline: Ray's own are as good as infinite."""

    __slots__ = ("_directory", "_name")

    def __init__(self, name: str, directory: RayDirectory) -> None:
        self._name = name
        self._directory = directory

    async def submit(self, call: bytes) -> bytes:
        """See `HostLink`."""
        return await self._pass(SUBMIT, "submit", call)

    async def query(self, call: bytes) -> bytes:
        """See `HostLink`."""
        return await self._pass(QUERY, "query", call)

    async def offer(self, batch: bytes) -> bytes:
        """See `SenderLink`."""
        wire = await self._directory.wire(self._name)
        if wire is not None and len(batch) <= limits.WIRE_FRAME_BYTES:
            return await wire.call(OFFER, batch, limits.CALL_TIMEOUT_S)
        reply: bytes = await self._call("offer", self._directory.compressor.compress(batch))
        return reply

    async def cancel(self, batch: bytes) -> None:
        """See `SenderLink`."""
        await self._call("cancel", batch)

    async def callback(self, lane_key: str, request: bytes) -> bytes:
        """See `SenderCore.callback`."""
        reply: bytes = await self._call("callback", lane_key, request)
        return reply

    async def configure(self, workspace: str, version: int, lanes: bytes) -> None:
        """See `SenderLink`."""
        await self._call("configure", workspace, version, lanes)

    async def forget(self, keys: bytes) -> None:
        """See `SenderLink`."""
        await self._call("forget", keys)

    async def feedback(self, batch: bytes) -> None:
        """See `SenderLink`."""
        await self._call("feedback", batch)

    async def _pass(self, place: int, method: str, call: bytes) -> bytes:
        wire = await self._directory.wire(self._name)
        if wire is not None and len(call) <= limits.WIRE_FRAME_BYTES:
            return await wire.call(place, call, limits.CALL_TIMEOUT_S)
        reply: bytes = await self._call(method, call)
        return reply

    async def _call(self, method: str, *args: Any) -> Any:
        try:
            reference = getattr(self._directory.handle(self._name), method).remote(*args)
            async with asyncio.timeout(limits.CALL_TIMEOUT_S):
                return await reference
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._directory.forget(self._name)
            raise
