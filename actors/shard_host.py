"""The Ray shell of a host: opens its shards' stores, serves, and ends with its process.

Ray restarts the actor when its process dies. A shard that can't go on ends the process, because
only a recovery can tell what is on disk; the lock on each shard's file keeps the old process and
the new one apart.
"""

import asyncio
import logging
import os
from functools import partial
from pathlib import Path
from typing import Any

import ray

from actors import placement
from actors.clock import make_clock
from actors.collector import FreezesState, tune_interpreter
from actors.directory import RayDirectory
from actors.dispatch import Dispatcher
from actors.host import Host
from actors.metrics import HostMetrics
from actors.opening import Opening
from actors.past_process import PastProcess
from actors.router import Router
from actors.store.archive import ArchivePolicy
from actors.store.base import ShardStore
from actors.store.directory import SqliteStore
from actors.store.tables import TableFiles
from actors.wire import WireServer, listen
from engine import limits
from engine.shard import Shard

logger = logging.getLogger(__name__)


class ShardHostProcess:
    """What the actor does; `ShardHost` is the actor named `shard-host-<index>`.

    Args:
        index: Which host.
        settings: `Settings.plain()`.
    """

    make_shard = Shard

    def __init__(self, index: int, settings: dict[str, Any]) -> None:
        self._name = placement.host_name(index)
        self._index = index
        self._settings = settings
        self._host = Opening(self._name, self._open)
        self._freezes = FreezesState()
        self._wire: WireServer | None = None

    def __repr__(self) -> str:
        return self._name

    async def start(self) -> tuple[str, int]:
        """Opens and recovers the shards; later calls wait for the first.

        Returns:
            See `Opening.start`.
        """
        return await self._host.start()

    async def submit(self, call: bytes) -> bytes:
        """See `Host.submit`."""
        return await (await self._host.get()).submit(call)

    async def query(self, call: bytes) -> bytes:
        """See `Host.query`."""
        return await (await self._host.get()).query(call)

    async def stop(self) -> None:
        """Drains, checkpoints and closes all shards."""
        host = await self._host.stop()
        if host is None:
            return
        if self._wire is not None:
            self._wire.close()
        await host.stop()
        if self._wire is not None:
            await self._wire.cut()

    async def _open(self) -> Host:
        settings = self._settings
        directory = RayDirectory(settings)
        dispatcher = Dispatcher(Router(directory, control=True), directory, self._fail)
        stores: dict[int, ShardStore] = {}
        host: Host | None = None
        tune_interpreter()
        try:
            policy = ArchivePolicy(settings["archive_days"], settings["archive_bytes"])
            store = SqliteStore.open(Path(settings["store"]), policy)
            for shard in placement.shards_of(self._index, settings["shards"], settings["hosts"]):
                stores[shard] = await asyncio.to_thread(store.open_shard, shard, limits.TAKE_OVER_S)
            clock = make_clock(settings["clock"], settings["clock_origin_ms"])
            host = Host(
                self._name, stores, settings["shards"], clock, dispatcher, self._fail,
                settings["hot_entities"], self.make_shard, self._freezes,
                partial(PastProcess, Path(settings["store"])),
            )  # fmt: skip
            tables = TableFiles(Path(settings["store"]))
            for runner in host.runners.values():
                runner.shard.tables = tables
            await host.start()
        except Exception:
            await self._let_go(host, stores)
            raise
        self._wire = await listen(settings["store"], self._name, (self.submit, self.query))
        self._beside = asyncio.get_running_loop().create_task(self._every_second(host))
        return host

    async def _let_go(self, host: Host | None, stores: dict[int, ShardStore]) -> None:
        """Closes what a start that failed has opened: else this process's own locks keep it out."""
        try:
            if host is not None:
                await host.crash()
        except Exception:
            logger.exception("%s can't end what it started", self._name)
        for shard, store in stores.items():
            try:
                store.close()  # the lock is free whatever this says
            except Exception:
                logger.exception("%s can't close shard %d", self._name, shard)

    async def _every_second(self, host: Host) -> None:
        metrics = HostMetrics(self._name)
        seconds = idle_s = thawed_s = entries = 0
        while self._host.now is host:
            await asyncio.sleep(1.0)
            seconds += 1
            before, entries = entries, host.entries
            idle_s = idle_s + 1 if entries == before else 0
            long_ago = seconds - thawed_s >= limits.THAW_S
            if idle_s == limits.THAW_IDLE_S or (idle_s and long_ago):
                thawed_s = seconds
                self._freezes.thaw()
            try:
                metrics.record(host)
            except Exception:
                logger.exception("%s can't record its metrics", self._name)
            if seconds % 10 == 0:
                for runner in host.runners.values():
                    await runner.archive()

    def _fail(self, error: BaseException) -> None:
        """Ends the process: what a failed commit left on disk only a recovery can tell."""
        if isinstance(error, asyncio.CancelledError):
            return
        logger.error("%s ends: %s: %s", self._name, type(error).__name__, error)
        os._exit(70)


ACTOR_OPTIONS: dict[str, Any] = {
    "num_cpus": 0,
    "max_restarts": -1,
    "max_task_retries": 0,
    "enable_task_events": False,
}

ShardHost = ray.remote(**ACTOR_OPTIONS)(ShardHostProcess)
