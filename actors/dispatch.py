"""From the outbox to its receivers: messages to senders, forwards to other shards.

Everything here may be lost at any moment, and nothing is: an effect stays in its entity's outbox
until the receiver's settlement is journaled, and whatever is unsettled is handed over again, with
the same id, after a restart of either side. A sender tells its incarnation with every reply; when
it changes, what the old one had waiting in memory is offered again from the outboxes.
"""

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

import msgpack

from actors.router import Router
from engine import commands, limits
from engine.errors import DenreiError, Overloaded
from engine.reasons import Reason
from engine.shard import Effects

if TYPE_CHECKING:
    from actors.shard_runner import ShardRunner

_HEARTBEAT_S = 1.0


class SenderLink(Protocol):
    """A way to call one sender; see `actors.sender`."""

    async def offer(self, batch: bytes) -> bytes:
        """Offers messages."""

    async def cancel(self, batch: bytes) -> None:
        """Asks for messages not to be sent."""

    async def configure(self, workspace: str, version: int, lanes: bytes) -> None:
        """Tells a workspace's lanes."""


class SenderPool(Protocol):
    """Who sends what: a lane lives in exactly one sender, so that its limits need no agreement."""

    def names(self) -> list[str]:
        """All senders."""

    def sender_of(self, workspace: str, channel: str, lane: str) -> str:
        """The sender that a lane lives in."""

    def link(self, name: str) -> SenderLink:
        """A way to call a sender."""


class Dispatcher:
    """Hands the effects of a host's shards to their receivers; see the module's text.

    Args:
        router: The way to shards, for forwards and their settlements.
        pool: The senders.
    """

    def __init__(self, router: Router, pool: SenderPool) -> None:
        self._router = router
        self._pool = pool
        self._runners: dict[int, ShardRunner] = {}
        self._pumps = {name: _Pump(name, self) for name in pool.names()}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False

    @property
    def pool(self) -> SenderPool:
        """The senders."""
        return self._pool

    @property
    def runners(self) -> "dict[int, ShardRunner]":
        """The shards whose effects come through here."""
        return self._runners

    def take(self, runner: "ShardRunner", effects: Effects) -> None:
        """Takes the effects of an entry that is durable and applied. It returns at once."""
        self._runners[runner.shard.index] = runner
        if self._stopped:
            return
        for workspace, _, _ in effects.installed:
            for pump in self._pumps.values():
                pump.configure_soon(runner, workspace)
        for offer in effects.sends:
            self._pump_of(offer).add(runner.shard.index, offer)
        for offer in effects.cancels:
            self._pump_of(offer).add_cancel(runner.shard.index, offer)
        for forward in effects.forwards:
            self.spawn(self._forward(runner, *forward))

    async def stop(self) -> None:
        """Ends all calls; what is unsettled stays in the outboxes."""
        self._stopped = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._router.close()

    def spawn(self, work: Any) -> None:
        """Runs something beside, until `stop`."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _pump_of(self, offer: tuple[Any, ...]) -> "_Pump":
        return self._pumps[self._pool.sender_of(offer[2], offer[4], offer[3])]

    def unsettled_for(self, name: str) -> list[tuple[int, Effects]]:
        """All unsettled messages of one sender, by shard."""
        found = []
        for index, runner in self._runners.items():
            effects = runner.shard.unsettled(runner.store.pending())
            mine = Effects({})
            mine.sends = [o for o in effects.sends if self._pump_of(o).name == name]
            mine.cancels = [o for o in effects.cancels if self._pump_of(o).name == name]
            found.append((index, mine))
        return found

    async def _forward(
        self, runner: "ShardRunner", key: str, forward_id: str, shard: int, command: Any
    ) -> None:
        """Journals a forward at its target, then settles it at its source."""
        loop = asyncio.get_running_loop()
        pause_s = 0.05
        while True:
            try:
                size = len(command[-1]) + 200
                results = await self._router.submit(
                    shard, [command], size, loop.time() + limits.FORWARD_TIMEOUT_S
                )
                if results[0] in (Reason.ACCEPTED, Reason.DUPLICATE):
                    chunk = commands.pack_chunk([commands.settle(key, forward_id)])
                    await runner.admit(chunk, 1, control=True)
                    return
            except DenreiError:
                pass
            await asyncio.sleep(pause_s)
            pause_s = min(1.0, pause_s * 2)


class _Pump:
    """What waits for one sender."""

    def __init__(self, name: str, dispatcher: Dispatcher) -> None:
        self.name = name
        self._dispatcher = dispatcher
        self._offers: dict[int, deque[tuple[Any, ...]]] = {}
        self._cancels: dict[int, list[tuple[Any, ...]]] = {}
        self._configure: dict[str, tuple[int, ShardRunner]] = {}
        self._incarnation: str | None = None
        self._news = asyncio.Event()
        self._running = False

    def add(self, shard: int, offer: tuple[Any, ...]) -> None:
        waiting = self._offers.get(shard)
        if waiting is None:
            waiting = self._offers[shard] = deque()
        waiting.append(offer)
        self._wake()

    def add_cancel(self, shard: int, offer: tuple[Any, ...]) -> None:
        self._cancels.setdefault(shard, []).append(offer)
        self._wake()

    def configure_soon(self, runner: "ShardRunner", workspace: str) -> None:
        version = runner.shard.programs[workspace].version
        if self._configure.get(workspace, (0, None))[0] < version:
            self._configure[workspace] = (version, runner)
            self._wake()

    def _wake(self) -> None:
        self._news.set()
        if not self._running:
            self._running = True
            self._dispatcher.spawn(self._run())

    async def _run(self) -> None:
        pause_s = 0.05
        while True:
            self._news.clear()
            try:
                await self._hand_over()
                pause_s = 0.05
            except asyncio.CancelledError:
                raise
            except Overloaded as error:
                await asyncio.sleep(error.retry_after_ms / 1_000)
            except Exception:
                # The sender is away, and what it had in memory is gone with it.
                self._incarnation = ""
                await asyncio.sleep(pause_s)
                pause_s = min(1.0, pause_s * 2)
                self._news.set()
            if not self._has_work():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_HEARTBEAT_S):
                        await self._news.wait()

    def _has_work(self) -> bool:
        return any(self._offers.values()) or bool(self._cancels) or bool(self._configure)

    async def _hand_over(self) -> None:
        link = self._dispatcher.pool.link(self.name)
        while self._configure:
            workspace, (_, runner) = next(iter(self._configure.items()))
            await self._tell_lanes(link, runner, workspace)
            self._configure.pop(workspace, None)
        for shard in list(self._cancels):
            runner = self._dispatcher.runners[shard]
            offers = self._cancels[shard]
            batch = msgpack.packb([shard, runner.store.epoch, offers])
            await link.cancel(batch)
            self._cancels.pop(shard)
        runners = self._dispatcher.runners
        if not self._has_work() and any(runner.shard.outbox for runner in runners.values()):
            await self._offer(link, next(iter(runners)), ())
        for shard in list(self._offers):
            waiting = self._offers[shard]
            batch_offers = tuple(
                waiting.popleft() for _ in range(min(len(waiting), limits.OFFER_MESSAGES))
            )
            if not batch_offers:
                continue
            try:
                await self._offer(link, shard, batch_offers)
            except BaseException:
                waiting.extendleft(reversed(batch_offers))
                raise

    async def _offer(self, link: SenderLink, shard: int, offers: tuple[Any, ...]) -> None:
        runner = self._dispatcher.runners[shard]
        versions = {name: p.version for name, p in runner.shard.programs.items()}
        batch = msgpack.packb([shard, runner.store.epoch, runner.shard.now, offers, versions])
        code, admissions, retry_ms, incarnation = msgpack.unpackb(await link.offer(batch))
        if self._incarnation not in (None, incarnation):
            self._incarnation = incarnation
            self._offer_again()
            return
        self._incarnation = incarnation
        if code == "need_lanes":
            for workspace in runner.shard.programs:
                await self._tell_lanes(link, runner, workspace)
            self._offers[shard].extendleft(reversed(offers))
        elif code == "ok":
            full = [
                offer
                for offer, admission in zip(offers, admissions, strict=True)
                if admission == Reason.QUEUE_FULL
            ]
            if full:
                self._offers[shard].extendleft(reversed(full))
                raise Overloaded(retry_ms or 200, f"the queue of {self.name} is full")
        else:
            msg = f"{self.name} answered {code!r} to shard {shard}, epoch {runner.store.epoch}"
            raise RuntimeError(msg)

    async def _tell_lanes(self, link: SenderLink, runner: "ShardRunner", workspace: str) -> None:
        program = runner.shard.programs[workspace]
        lanes = {
            name: versions[-1][1]
            for (kind, name), versions in program.documents.items()
            if kind == "lane" and versions[-1][1] is not None
        }
        await link.configure(workspace, program.version, msgpack.packb(lanes))

    def _offer_again(self) -> None:
        """The sender began anew: everything unsettled goes to it again."""
        self._offers.clear()
        self._cancels.clear()
        for shard, effects in self._dispatcher.unsettled_for(self.name):
            self._offers[shard] = deque(effects.sends)
            if effects.cancels:
                self._cancels[shard] = list(effects.cancels)
