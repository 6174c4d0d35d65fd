"""The Ray shell of a sender: opens its ledger, serves, and ends with its process.

Ray restarts the actor when its process dies. A ledger that cannot be written ends the process,
because only a recovery can tell what is on disk, and so does a defect in a lane; the lock on the
ledger keeps the old process and the new one apart.
"""

import asyncio
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgpack
import ray

from actors import placement
from actors.clock import make_clock
from actors.codes import Codes
from actors.collector import tune_interpreter
from actors.directory import RayDirectory
from actors.metrics import SenderMetrics
from actors.opening import Opening
from actors.router import Router
from actors.senders.reports import Report
from actors.senders.sender import SenderCore
from actors.shard_host import ACTOR_OPTIONS
from actors.store.identity import read_identity
from actors.wire import WireServer, listen
from engine import limits
from engine.commands import Command, open_chunk
from engine.errors import DenreiError
from engine.lanes.definition import Lane

logger = logging.getLogger(__name__)


class SenderProcess:
    """What the actor does; `SenderActor` is the actor named `sender-<channel>-<index>`.

    Args:
        channel: The channel whose lanes it serves.
        index: Which of the channel's senders, from 1.
        settings: `Settings.plain()`.
    """

    def __init__(self, channel: str, index: int, settings: dict[str, Any]) -> None:
        self._name = placement.sender_name(channel, index)
        self._settings = settings
        self._directory = RayDirectory(settings)
        self._core = Opening(self._name, self._open)
        self._router: Router | None = None
        self._wire: WireServer | None = None

    def __repr__(self) -> str:
        return self._name

    async def start(self) -> tuple[str, int]:
        """Opens the ledger; later calls wait for the first.

        Returns:
            See `Opening.start`.
        """
        return await self._core.start()

    async def offer(self, batch: bytes) -> bytes:
        """See `SenderCore.offer`."""
        return await (await self._core.get()).offer(open_chunk(batch))

    async def configure(self, workspace: str, version: int, lanes: bytes) -> None:
        """See `SenderCore.configure`."""
        await (await self._core.get()).configure(workspace, version, lanes)

    async def cancel(self, batch: bytes) -> None:
        """See `SenderCore.cancel`."""
        await (await self._core.get()).cancel(batch)

    async def callback(self, lane_key: str, request: bytes) -> bytes:
        """See `SenderCore.callback`."""
        return await (await self._core.get()).callback(lane_key, request)

    async def forget(self, keys: bytes) -> None:
        """See `SenderCore.forget`."""
        await (await self._core.get()).forget(keys)

    async def feedback(self, batch: bytes) -> None:
        """See `SenderCore.feedback`."""
        await (await self._core.get()).feedback(batch)

    async def status(self) -> dict[str, Any]:
        """See `SenderCore.status`."""
        return (await self._core.get()).status()

    async def stop(self) -> None:
        """Drains and closes; what waits is offered again to the next incarnation."""
        core = await self._core.stop()
        if self._wire is not None:
            await self._wire.cut()
        if core is not None:
            if not await core.drain(limits.SENDER_DRAIN_S):
                logger.warning("%s did not finish in %g s", self._name, limits.SENDER_DRAIN_S)
            await core.close()
        if self._router is not None:
            await self._router.close()

    def _report(self) -> Report:
        """The way to the shards: everything a sender knows of Ray is here."""
        router = self._router = Router(self._directory, control=True)

        async def report(shard: int, commands: Sequence[Command], size_bytes: int) -> bytes:
            deadline = asyncio.get_running_loop().time() + limits.REPORT_TIMEOUT_S
            return await router.submit(shard, commands, size_bytes, deadline)

        return report

    async def _open(self) -> SenderCore:
        settings = self._settings
        event_time = settings["clock"] == "event"
        identity = read_identity(Path(settings["store"]))
        core = await SenderCore.open(
            self._name,
            Path(settings["store"]) / "senders",
            # Carriers live in real time, also when events move the shards' clocks.
            make_clock("system" if event_time else settings["clock"], settings["clock_origin_ms"]),
            self._report(),
            settings["shards"],
            fail=self._fail,
            event_time=event_time,
            is_mine=self._is_mine,
            callback_url=settings["http_url"],
            secrets=settings["carrier_secrets"],
            carrier_allow=settings["carrier_allow"],
            codes=await asyncio.to_thread(Codes, Path(settings["store"])),
            secret=identity.key if identity else b"",
        )
        tune_interpreter(young=50_000)
        self._wire = await listen(settings["store"], self._name, (self.offer,))
        loop = asyncio.get_running_loop()
        self._beside = loop.create_task(self._every_second(core))
        self._learning = loop.create_task(self._learn_lanes(core))
        return core

    def _is_mine(self, workspace: str, lane: Lane) -> bool:
        space, name = placement.home_of(workspace, lane.name, lane.account)
        return self._directory.sender_of(space, lane.channel, name) == self._name

    async def _learn_lanes(self, core: SenderCore) -> None:
        """Asks the shards for all lanes, so that carriers are heard before the first message."""
        assert self._router is not None
        while self._core.now is core:
            try:
                answers = await self._router.broadcast("lanes", {"workspace": ""})
            except DenreiError:
                await asyncio.sleep(limits.REPORT_LONGEST_PAUSE_S)
                continue
            newest: dict[str, tuple[int, dict[str, Any]]] = {}
            for answer in answers:
                for workspace, (version, lanes) in answer.items():
                    if version > newest.get(workspace, (-1,))[0]:
                        newest[workspace] = version, lanes
            for workspace, (version, lanes) in sorted(newest.items()):
                await core.configure(workspace, version, msgpack.packb(lanes))
            return

    async def _every_second(self, core: SenderCore) -> None:
        metrics = SenderMetrics(self._name)
        seconds = 0
        while self._core.now is core:
            await asyncio.sleep(1.0)
            seconds += 1
            if seconds % limits.LEDGER_TIDY_S == 0:
                await core.tidy()
            try:
                metrics.record(core.status())
            except Exception:
                logger.exception("%s can't record its metrics", self._name)

    def _fail(self, error: BaseException) -> None:
        """Ends the process: the ledger knows what is in doubt, and a recovery reads it."""
        logger.error("%s ends: %s: %s", self._name, type(error).__name__, error, exc_info=error)
        os._exit(70)


SenderActor = ray.remote(**ACTOR_OPTIONS)(SenderProcess)
