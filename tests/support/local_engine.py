"""The whole engine in one process, without Ray: real hosts, shards, stores and routers.

What Ray adds is processes; everything else is the code that runs in production. A host can be
crashed (nothing is drained, the store is closed as a dead process would leave it) and started
again on the same store.
"""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import msgpack

from actors import placement
from actors.clock import Clock, ManualClock
from actors.dispatch import Dispatcher
from actors.host import Host
from actors.router import Router
from actors.store.directory import SqliteStore
from engine import commands, definitions
from engine.commands import Command
from engine.program import EMPTY
from engine.reasons import Reason
from engine.slots import catalog_key, shard_of, slot_of


class LocalLink:
    """Calls a host of this process, or fails as a dead one would."""

    def __init__(self, engine: "LocalEngine", name: str) -> None:
        self._engine = engine
        self._name = name

    async def submit(self, call: bytes) -> bytes:
        return await self._host().submit(call)

    async def query(self, call: bytes) -> bytes:
        return await self._host().query(call)

    def _host(self) -> Host:
        host = self._engine.hosts.get(self._name)
        if host is None:
            msg = f"{self._name} is dead"
            raise ConnectionError(msg)
        return host


class LocalDirectory:
    def __init__(self, engine: "LocalEngine") -> None:
        self._engine = engine
        self.shards = engine.shards

    def host_of(self, shard: int) -> str:
        return placement.host_of(shard, self.shards, self._engine.host_count)

    def link(self, host: str) -> LocalLink:
        return LocalLink(self._engine, host)


class SenderRecorder:
    """A pool of one sender that takes every offer and remembers it."""

    def __init__(self) -> None:
        self.offers: list[list[Any]] = []
        self.cancels: list[list[Any]] = []
        self.lanes: dict[str, Any] = {}
        self.forgotten: set[str] = set()
        self.outcomes: list[list[Any]] = []

    def names(self) -> list[str]:
        return ["sender-sms-1"]

    def sender_of(self, workspace: str, channel: str, lane: str) -> str:
        return "sender-sms-1"

    def link(self, name: str) -> "SenderRecorder":
        return self

    async def offer(self, batch: bytes) -> bytes:
        answers = []
        for _, _, _, offers, _ in msgpack.unpackb(batch):
            self.offers.extend(offers)
            answers.append(["ok", bytes([Reason.QUEUED]) * len(offers), 0])
        return msgpack.packb(["one", answers])

    async def cancel(self, batch: bytes) -> None:
        for _, _, offers in msgpack.unpackb(batch):
            self.cancels.extend(offers)

    async def forget(self, keys: bytes) -> None:
        self.forgotten.update(msgpack.unpackb(keys))

    async def feedback(self, batch: bytes) -> None:
        self.outcomes.extend(msgpack.unpackb(batch))

    async def configure(self, workspace: str, version: int, lanes: bytes) -> None:
        self.lanes[workspace] = msgpack.unpackb(lanes)


class LocalEngine:
    """Hosts, shards, stores and a router in this process.

    Args:
        directory: Where the store is.
        shards: How many shards.
        hosts: How many hosts.
        clock: The time; by default one that stands still until a test moves it.
        pool: The senders; by default `SenderRecorder`.
    """

    def __init__(
        self,
        directory: Path,
        shards: int = 2,
        hosts: int = 1,
        clock: Clock | None = None,
        pool: Any = None,
    ) -> None:
        self.shards = shards
        self.host_count = hosts
        self.clock = clock or ManualClock()
        self.pool = pool or SenderRecorder()
        self.hosts: dict[str, Host] = {}
        self.failures: list[BaseException] = []
        self.store = SqliteStore.create(
            directory, shards=shards, store_id="test", created_ms=1, secret="5ec2e7" * 8
        )
        self.directory = LocalDirectory(self)
        self.router = Router(self.directory)

    async def __aenter__(self) -> Self:
        for index in range(self.host_count):
            await self.start_host(index)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.router.close()
        for host in list(self.hosts.values()):
            await host.stop()

    async def start_host(self, index: int = 0) -> Host:
        name = placement.host_name(index)
        stores = {
            shard: self.store.open_shard(shard, 5.0)
            for shard in placement.shards_of(index, self.shards, self.host_count)
        }
        dispatcher = Dispatcher(
            Router(self.directory, control=True), self.pool, self.failures.append
        )
        host = Host(name, stores, self.shards, self.clock, dispatcher, self.failures.append)
        await host.start()
        self.hosts[name] = host
        return host

    async def crash_host(self, index: int = 0) -> None:
        """Ends a host as kill -9 would: what was not committed is gone."""
        host = self.hosts.pop(placement.host_name(index))
        await host.crash()

    async def apply(self, text: str, workspace: str = "default") -> int:
        """Applies definitions and waits until every shard has them; returns the version."""
        documents = definitions.parse(text)
        definitions.check(documents, EMPTY)
        key = catalog_key(workspace)
        catalog = await self.query("catalog", key, workspace=workspace)
        command = commands.apply_definitions(
            key, f"apply-{catalog['version']}", definitions.to_wire(documents), catalog["version"]
        )
        (result,) = await self.submit([command])
        assert result == 0, result
        version = catalog["version"] + 1
        while True:
            statuses = await self.router.broadcast("status", {})
            if all(s["installed"].get(workspace) == version for s in statuses):
                return version
            await asyncio.sleep(0.001)

    async def submit(self, batch: Sequence[Command], timeout_s: float = 10.0) -> bytes:
        """Sends commands to their shards; one result byte each, in order."""
        results = bytearray(len(batch))
        by_shard: dict[int, list[int]] = {}
        for index, command in enumerate(batch):
            by_shard.setdefault(self.shard_of(command[1]), []).append(index)
        deadline = asyncio.get_running_loop().time() + timeout_s
        futures = {
            shard: self.router.post(
                shard, [batch[i] for i in indexes], 100 * len(indexes), deadline
            )
            for shard, indexes in by_shard.items()
        }
        for shard, indexes in by_shard.items():
            for index, result in zip(indexes, await futures[shard], strict=True):
                results[index] = result
        return bytes(results)

    async def query(self, name: str, key: str, **args: Any) -> Any:
        return await self.router.query(self.shard_of(key), name, {"key": key, **args})

    def shard_of(self, key: str) -> int:
        return shard_of(slot_of(key), self.shards)


def real_time_ms() -> int:
    return time.time_ns() // 1_000_000
