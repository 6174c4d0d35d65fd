"""The supervisor: makes the actors of an instance, watches them, and tells who owns what.

It holds no state of its own: what should run follows from the settings, what runs is asked of Ray.
So it may die and start again at any moment: it watches from its first moment on, whether somebody
started the instance through it or Ray started its own process again. Ray restarts an actor whose
process died; the supervisor makes the actor anew if Ray has given it up, and asks each one to
serve.
"""

import asyncio
import contextlib
import logging
import os
from typing import Any

import ray
from ray.exceptions import RayActorError

from actors import placement
from actors.callers.actor import CallerActor
from actors.senders.actor import SenderActor
from actors.shard_host import ShardHost
from engine import limits
from engine.slots import shard_of

logger = logging.getLogger(__name__)

_CHECK_S = 1.0


class SupervisorProcess:
    """The supervisor; see the module's text.

    Args:
        settings: `Settings.plain()`.
        gateway_class: The gateway's actor class. It is handed in, since this floor does not know
            the one above it.
        host_class: The hosts' actor class; a measurement may put another in its place.
    """

    def __init__(
        self, settings: dict[str, Any], gateway_class: Any, host_class: Any = ShardHost
    ) -> None:
        self._settings = settings
        self._host_class = host_class
        self._gateway_class = gateway_class
        self._state: dict[str, dict[str, Any]] = {
            name: {"state": "starting", "error": "", "pid": 0, "restarts": 0}
            for name in [*self._hosts(), *self._senders(), *self._callers(), *self._gateways()]
        }
        for name in self._gateways():
            self._state[name].update(
                grpc_port=settings["grpc_port"], http_port=settings["http_port"],
                http_url=settings["http_url"],
            )  # fmt: skip
        self._known: dict[str, Any] = {}
        self._starting = False
        self._stopping = False
        self._watching = asyncio.get_running_loop().create_task(self._watch())

    def __repr__(self) -> str:
        return placement.SUPERVISOR

    async def start(self) -> dict[str, str]:
        """Makes everything, hosts first, and waits until it serves.

        Returns:
            Why parts do not serve, by actor name; empty if all do.
        """
        self._starting = True
        try:
            rest = [*self._senders(), *self._callers(), *self._gateways()]
            for names in (self._hosts(), rest):
                await asyncio.gather(*(self._ensure(name) for name in names))
        finally:
            self._starting = False
        return {name: state["error"] for name, state in self._state.items() if state["error"]}

    async def stop(self) -> None:
        """Drains: gateways first, then senders and callers, then hosts, which checkpoint."""
        self._stopping = True
        self._watching.cancel()
        for names in (self._gateways(), [*self._senders(), *self._callers()], self._hosts()):
            await asyncio.gather(*(self._stop_one(name) for name in names))

    async def status(self) -> dict[str, Any]:
        """Every actor with its state, process and restarts; shards with their hosts."""
        shards, hosts = self._settings["shards"], self._settings["hosts"]
        return {
            "actors": [{"name": name, **state} for name, state in sorted(self._state.items())],
            "shards": {
                str(shard): placement.host_of(shard, shards, hosts) for shard in range(shards)
            },
            "pid": os.getpid(),
        }

    async def owner(self, slot: int) -> tuple[int, str]:
        """The shard that owns a slot, and the host that owns the shard.

        Raises:
            ValueError: There is no such slot.
        """
        if not 0 <= slot < limits.SLOTS:
            msg = f"slot {slot}: there are {limits.SLOTS}, from 0"
            raise ValueError(msg)
        shards = self._settings["shards"]
        shard = shard_of(slot, shards)
        return shard, placement.host_of(shard, shards, self._settings["hosts"])

    def _hosts(self) -> list[str]:
        return [placement.host_name(index) for index in range(self._settings["hosts"])]

    def _gateways(self) -> list[str]:
        return [placement.gateway_name(index) for index in range(self._settings["gateways"])]

    def _senders(self) -> list[str]:
        return [
            placement.sender_name(channel, index)
            for channel, count in sorted(self._settings["senders"].items())
            for index in range(1, count + 1)
        ]

    def _callers(self) -> list[str]:
        return [placement.caller_name(n) for n in range(1, self._settings["callers"] + 1)]

    async def _watch(self) -> None:
        while not self._stopping:
            await asyncio.sleep(_CHECK_S)
            if not self._starting:
                await asyncio.gather(*(self._ensure(name) for name in self._state))

    async def _ensure(self, name: str) -> None:
        """Makes an actor if there is none, and asks it to serve."""
        state = self._state[name]
        try:
            failure, pid = await self._ask(name)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            state["state"] = "away"
            state["error"] = f"{type(error).__name__}: {error}".splitlines()[0][:300]
            return
        if state["pid"] not in (0, pid):
            state["restarts"] += 1
            logger.warning("%s came back as process %d", name, pid)
        state.update(state="failed" if failure else "serving", error=failure, pid=pid)

    async def _ask(self, name: str) -> tuple[str, int]:
        """Asks an actor to serve.

        To look an actor up costs as much as to ask it, so handles are kept. One that fails may be
        of an actor that is gone for good, so that one is looked up and asked again at once.
        """
        known = self._known.pop(name, None)
        if known is not None:
            with contextlib.suppress(RayActorError):
                return await self._start(name, known)
        return await self._start(name, self._handle(name))

    async def _start(self, name: str, handle: Any) -> tuple[str, int]:
        async with asyncio.timeout(limits.ACTOR_START_S):
            answer: tuple[str, int] = await handle.start.remote()
        self._known[name] = handle
        return answer

    def _handle(self, name: str) -> Any:
        with contextlib.suppress(ValueError):
            found: Any = ray.get_actor(name, namespace=placement.NAMESPACE)
            return found
        options: dict[str, Any] = {
            "name": name,
            "namespace": placement.NAMESPACE,
            "lifetime": "detached",
            "get_if_exists": True,
        }
        kind, _, rest = name.partition("-")
        if kind == "caller":
            return CallerActor.options(**options).remote(int(rest), self._settings)
        # Nobody else needs the ones, and only senders the others.
        settings = {**self._settings, "webhook_secrets": {}, "carrier_secrets": {}}
        secrets = self._settings["carrier_secrets"]
        if kind == "shard":
            index = int(rest.partition("-")[2])
            return self._host_class.options(**options).remote(index, settings)
        if kind == "sender":
            channel, _, number = rest.partition("-")
            return SenderActor.options(**options).remote(
                channel, int(number), {**settings, "carrier_secrets": secrets}
            )
        return self._gateway_class.options(**options).remote(int(rest), settings)

    async def _stop_one(self, name: str) -> None:
        try:
            handle: Any = ray.get_actor(name, namespace=placement.NAMESPACE)
            async with asyncio.timeout(limits.ACTOR_STOP_S):
                await handle.stop.remote()
            ray.kill(handle, no_restart=True)
        except Exception as error:
            logger.warning("%s did not stop: %s: %s", name, type(error).__name__, error)
        self._state[name]["state"] = "stopped"


Supervisor = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=0)(SupervisorProcess)
