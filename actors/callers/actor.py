"""The Ray shell of a caller: serves from its first moment on, for it keeps nothing."""

import asyncio
import logging
import os
from collections.abc import Sequence
from typing import Any

import ray

from actors import placement
from actors.address_guard import AddressGuard
from actors.callers.http import WebhookClient
from actors.callers.webhooks import CallerCore
from actors.clock import make_clock
from actors.collector import tune_interpreter
from actors.directory import RayDirectory
from actors.router import Router
from actors.shard_host import ACTOR_OPTIONS
from engine import limits
from engine.commands import Command, open_chunk

logger = logging.getLogger(__name__)


class CallerProcess:
    """What the actor does; `CallerActor` is the actor named `caller-<index>`.

    Args:
        index: Which of the callers, from 1.
        settings: `Settings.plain()`.
    """

    def __init__(self, index: int, settings: dict[str, Any]) -> None:
        self._name = placement.caller_name(index)
        self._settings = settings
        self._core: CallerCore | None = None
        self._router: Router | None = None
        self._stopped = False

    def __repr__(self) -> str:
        return self._name

    async def start(self) -> tuple[str, int]:
        """Serves.

        Returns:
            An empty text or why it can't; and the process, for operators and tests.
        """
        if self._stopped:
            return "it was stopped", os.getpid()
        self._started()
        return "", os.getpid()

    async def offer(self, batch: bytes) -> bytes:
        """See `CallerCore.offer`."""
        return await self._started().offer(open_chunk(batch))

    async def cancel(self, batch: bytes) -> None:
        """See `CallerCore.cancel`."""
        await self._started().cancel(batch)

    async def configure(self, workspace: str, version: int, lanes: bytes) -> None:
        """See `CallerCore.configure`."""

    async def forget(self, keys: bytes) -> None:
        """See `CallerCore.forget`."""

    async def status(self) -> dict[str, Any]:
        """See `CallerCore.status`."""
        return self._started().status()

    async def stop(self) -> None:
        """Ends all work; what is not answered is offered again to the next incarnation."""
        self._stopped = True
        core, self._core = self._core, None
        if core is not None:
            await core.close()
        if self._router is not None:
            await self._router.close()

    def _started(self) -> CallerCore:
        if self._stopped:
            msg = f"{self._name} was stopped"
            raise RuntimeError(msg)
        if self._core is None:
            self._core = self._open()
        return self._core

    def _open(self) -> CallerCore:
        settings = self._settings
        event_time = settings["clock"] == "event"
        router = self._router = Router(RayDirectory(settings), control=True)

        async def report(shard: int, commands: Sequence[Command], size_bytes: int) -> bytes:
            deadline = asyncio.get_running_loop().time() + limits.REPORT_TIMEOUT_S
            return await router.submit(shard, commands, size_bytes, deadline)

        tune_interpreter()
        return CallerCore(
            # Receivers live in real time, also when events move the shards' clocks.
            make_clock("system" if event_time else settings["clock"], settings["clock_origin_ms"]),
            report,
            WebhookClient(AddressGuard(settings["webhook_allow"])),
            settings["webhook_secrets"],
            event_time,
        )


CallerActor = ray.remote(**ACTOR_OPTIONS)(CallerProcess)
