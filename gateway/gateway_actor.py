"""The Ray shell of a gateway: wires a GatewayServer to the shards and keeps it open.

It holds no state: when its process dies Ray starts it again, and clients come back to it with the
same ids.
"""

import asyncio
import logging
import os
from pathlib import Path
from typing import Any

import msgpack
import ray

from actors import placement
from actors.clock import make_clock
from actors.codes import Codes
from actors.collector import tune_interpreter
from actors.directory import RayDirectory
from actors.metrics import GatewayMetrics
from actors.router import Router
from actors.shard_host import ACTOR_OPTIONS
from actors.store.keys import KeyStore
from engine import limits
from engine.messages.message import SMS
from gateway.http.door import HttpDoor, Within
from gateway.server import GatewayServer, Tls

logger = logging.getLogger(__name__)


def wire(settings: dict[str, Any]) -> tuple[GatewayServer, HttpDoor, Router]:
    """A gateway's parts, put together.

    Args:
        settings: `Settings.plain()`.
    """
    directory = RayDirectory(settings)
    router = Router(directory)
    keys = KeyStore(Path(settings["store"]))
    clock = make_clock(settings["clock"], settings["clock_origin_ms"])
    door = HttpDoor(Within(router, directory, clock, settings), settings["public_url"])
    codes = Codes(Path(settings["store"]))
    server = GatewayServer(router, RayControl(directory), keys, clock, codes)
    server.archive_days = settings["archive_days"]
    return server, door, router


class RayControl:
    """Asks the supervisor, the senders and the callers; see `gateway.seams.Control`.

    Args:
        directory: Finds them.
    """

    def __init__(self, directory: RayDirectory) -> None:
        self._directory = directory

    async def status(self) -> dict[str, Any]:
        """See `Control`. An actor that does not answer is shown as it was known last."""
        status: dict[str, Any] = await self._ask(placement.SUPERVISOR) or {
            "actors": [], "shards": {}
        }  # fmt: skip
        asked = ("sender-", "caller-")
        senders = [actor for actor in status["actors"] if actor["name"].startswith(asked)]
        told = await asyncio.gather(*(self._ask(actor["name"]) for actor in senders))
        for actor, answer in zip(senders, told, strict=True):
            actor.update({**(answer or {}), **actor})
        return status

    async def feedback(self, workspace: str, address: str, what: str) -> int:
        """See `Control`."""
        packed = msgpack.packb([[workspace, address, what]])
        names = self._directory.pool(SMS)
        return sum(await asyncio.gather(*(self._tell(name, packed) for name in names)))

    async def _tell(self, name: str, packed: bytes) -> bool:
        """Whether a sender has heard it in time: who answers a code does not wait for one."""
        try:
            async with asyncio.timeout(limits.STATUS_S):
                await self._directory.handle(name).feedback.remote(packed)
        except Exception as error:
            self._directory.forget(name)
            logger.warning("%s did not hear of an outcome: %s", name, type(error).__name__)
            return False
        return True

    async def _ask(self, name: str) -> dict[str, Any] | None:
        try:
            async with asyncio.timeout(limits.STATUS_S):
                answer: dict[str, Any] = await self._directory.handle(name).status.remote()
        except Exception as error:
            self._directory.forget(name)
            logger.warning("%s did not answer: %s", name, type(error).__name__)
            return None
        return answer


class GatewayProcess:
    """What the actor does; `GatewayActor` is the actor named `gateway-<index>`.

    Args:
        index: Which gateway; they share the port.
        settings: `Settings.plain()`.
    """

    def __init__(self, index: int, settings: dict[str, Any]) -> None:
        self._name = placement.gateway_name(index)
        self._settings = settings
        self._ready: asyncio.Task[str] | None = None
        self._server: GatewayServer | None = None
        self._door: HttpDoor | None = None
        self._router: Router | None = None
        self._port = 0

    def __repr__(self) -> str:
        return self._name

    async def start(self) -> tuple[str, int]:
        """Opens the door; later calls wait for the first.

        Returns:
            An empty text or why it can't serve; and the process, for operators and tests.
        """
        if self._ready is None:
            self._ready = asyncio.get_running_loop().create_task(self._open())
        return await asyncio.shield(self._ready), os.getpid()

    async def stop(self) -> None:
        """Lets calls in work end, and closes."""
        if self._server is not None and self._router is not None:
            closing = [self._server.stop(limits.DRAIN_S)]
            if self._door is not None:
                closing.append(self._door.stop())
            await asyncio.gather(*closing)
            await self._router.close()
            self._server = None

    async def port(self) -> int:
        """The port it listens on; 0 while it does not."""
        return self._port

    async def _open(self) -> str:
        settings = self._settings
        tls = settings["tls"]
        paths = {name: Path(path) for name, path in (tls or {}).items() if path}
        try:
            server, door, self._router = wire(settings)
            certificate = Tls(**paths) if tls else None
            # The first refuses what only a development key would fit, before the second is open.
            self._port = await server.start(
                f"{settings['bind']}:{settings['grpc_port']}", certificate
            )
            try:
                await door.start(settings["bind"], settings["http_port"], certificate)
            except BaseException:
                await server.stop(0)
                raise
        except Exception as error:
            logger.exception("%s can't open its door", self._name)
            self._ready = None  # the next call tries again
            return f"{type(error).__name__}: {error}"
        tune_interpreter()
        self._server = server
        self._door = door
        self._beside = asyncio.get_running_loop().create_task(self._every_second(server))
        return ""

    async def _every_second(self, server: GatewayServer) -> None:
        metrics = GatewayMetrics(self._name)
        while self._server is server:
            await asyncio.sleep(1.0)
            try:
                metrics.record(server.traffic)
            except Exception:
                logger.exception("%s can't record its metrics", self._name)


GatewayActor = ray.remote(**ACTOR_OPTIONS)(GatewayProcess)
