"""From the outbox to its receivers: messages to senders, forwards to other shards.

Everything here may be lost at any moment, and nothing is: an effect stays in its entity's outbox
until the receiver's settlement is journaled, and whatever is unsettled is handed over again, with
the same id, after a restart of either side. A sender tells its incarnation with every reply; when
it changes, what the old one had waiting in memory is offered again from the outboxes. A call that
merely failed says nothing about that: what it carried still waits here, and goes again.

One call to a sender is in flight at a time, and what waits is dropped only once a call that
carried it has returned. So whatever comes in the meantime is added to what waits, and no order of
events loses it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import msgpack

from actors.offer_queue import Offer, OfferQueue
from actors.router import Router
from actors.store.errors import Fenced
from engine import commands, limits
from engine.errors import DenreiError
from engine.reasons import Reason
from engine.shard import Effects

if TYPE_CHECKING:
    from actors.shard_runner import ShardRunner

logger = logging.getLogger(__name__)

_HEARTBEAT_S = 1.0
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0


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


def _log_failure(error: BaseException) -> None:
    logger.error("nothing is handed over any more: %s", error)


class Dispatcher:
    """Hands the effects of a host's shards to their receivers; see the module's text.

    Args:
        router: The way to shards, for forwards and their settlements.
        pool: The senders.
        fail: Told `Fenced` if a sender has seen a newer owner of a shard; nothing is taken any
            more, and the process should end. By default it is only logged.
    """

    def __init__(
        self,
        router: Router,
        pool: SenderPool,
        fail: Callable[[BaseException], None] = _log_failure,
    ) -> None:
        self._router = router
        self._pool = pool
        self._fail = fail
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

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Runs something beside, until `stop`."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def fenced(self, error: Fenced) -> None:
        """A newer owner has a shard of this host: from here on everything is the new owner's."""
        if not self._stopped:
            self._stopped = True
            self._fail(error)

    def unsettled(self, shard: int, name: str) -> tuple[list[Offer], list[Offer]]:
        """The unsettled messages of a shard that are for a sender, and those to be cancelled.

        Cost: One pass over what is pending in the shard; nothing else runs meanwhile.
        """
        runner = self._runners[shard]
        effects = runner.shard.unsettled(runner.store.pending())
        return (
            [offer for offer in effects.sends if self._pump_of(offer).name == name],
            [offer for offer in effects.cancels if self._pump_of(offer).name == name],
        )

    def _pump_of(self, offer: Offer) -> "_Pump":
        return self._pumps[self._pool.sender_of(offer[2], offer[4], offer[3])]

    async def _forward(
        self, runner: "ShardRunner", key: str, forward_id: str, shard: int, command: Any
    ) -> None:
        """Journals a forward at its target, then settles it at its source."""
        loop = asyncio.get_running_loop()
        pause_s = _FIRST_PAUSE_S
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
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)


class _Pump:
    """What waits for one sender, and the task that hands it over."""

    def __init__(self, name: str, dispatcher: Dispatcher) -> None:
        self.name = name
        self._dispatcher = dispatcher
        self._offers = OfferQueue()
        self._cancels: dict[int, dict[str, Offer]] = {}
        self._configure: dict[str, tuple[int, ShardRunner]] = {}
        self._lost: set[int] = set()  # shards whose unsettled messages are to be offered again
        self._incarnation: str | None = None
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._beat_at = 0.0

    # --- what comes in, at any time ---------------------------------------------------------

    def add(self, shard: int, offer: Offer) -> None:
        self._offers.add(shard, offer)
        self._wake()

    def add_cancel(self, shard: int, offer: Offer) -> None:
        """A cancel takes the place of its offer: a sender settles one that it never had, too."""
        self._offers.remove(shard, (offer,))
        self._cancels.setdefault(shard, {})[offer[0]] = offer
        self._wake()

    def configure_soon(self, runner: "ShardRunner", workspace: str) -> None:
        version = runner.shard.programs[workspace].version
        if self._configure.get(workspace, (0, None))[0] < version:
            self._configure[workspace] = (version, runner)
            self._wake()

    def _wake(self) -> None:
        self._news.set()
        if self._task is None or self._task.done():
            self._task = self._dispatcher.spawn(self._run())

    # --- the task ---------------------------------------------------------------------------

    async def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            self._news.clear()
            try:
                await self._hand_over()
            except Fenced as error:
                self._dispatcher.fenced(error)
                return
            except Exception as error:
                if pause_s == _FIRST_PAUSE_S:
                    logger.warning("a call to %s failed, trying again: %r", self.name, error)
                await asyncio.sleep(pause_s)
                pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
            else:
                pause_s = _FIRST_PAUSE_S
                await self._rest()

    async def _rest(self) -> None:
        """Until there is news, a lane has rested, or a heartbeat is due."""
        until = min(self._beat_at, self._offers.ready_at())
        if self._configure or self._cancels or self._lost or until <= _now():
            await asyncio.sleep(0)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._news.wait()

    async def _hand_over(self) -> None:
        """One round: what is waiting and may go, at most one call of offers a shard."""
        link = self._dispatcher.pool.link(self.name)
        while self._configure:
            workspace, (version, runner) = next(iter(self._configure.items()))
            await self._tell_lanes(link, runner, workspace)
            if self._configure[workspace][0] == version:
                del self._configure[workspace]
        await self._cancel(link)
        await self._offer_lost()
        for shard in self._offers.ready(_now()):
            offers = self._offers.batch(shard, _now())
            if offers:
                await self._offer(link, shard, offers)
        if self._beat_at <= _now():
            await self._beat(link)

    async def _cancel(self, link: SenderLink) -> None:
        for shard, waiting in list(self._cancels.items()):
            epoch = self._dispatcher.runners[shard].store.epoch
            offers = list(islice(waiting.values(), limits.OFFER_MESSAGES))
            await link.cancel(msgpack.packb([shard, epoch, offers]))
            for offer in offers:
                del waiting[offer[0]]
            if not waiting:
                del self._cancels[shard]

    async def _offer_lost(self) -> None:
        """The sender began anew: everything unsettled goes to it again, shard by shard.

        What comes in between two shards, or waits already, has its place by its id.
        """
        while self._lost:
            shard = min(self._lost)
            offers, cancels = self._dispatcher.unsettled(shard, self.name)
            for offer in offers:
                self._offers.add(shard, offer)
            for offer in cancels:
                self.add_cancel(shard, offer)
            self._lost.discard(shard)
            await asyncio.sleep(0)

    async def _beat(self, link: SenderLink) -> None:
        """Finds out whether the sender began anew, as long as anything is unsettled."""
        self._beat_at = _now() + _HEARTBEAT_S
        for shard, runner in self._dispatcher.runners.items():
            if runner.shard.outbox:
                await self._offer(link, shard, [])
                return

    async def _offer(self, link: SenderLink, shard: int, offers: list[Offer]) -> None:
        runner = self._dispatcher.runners[shard]
        versions = {name: p.version for name, p in runner.shard.programs.items()}
        batch = msgpack.packb([shard, runner.store.epoch, runner.shard.now, offers, versions])
        code, admissions, retry_ms, incarnation = msgpack.unpackb(await link.offer(batch))
        self._beat_at = _now() + _HEARTBEAT_S
        if self._incarnation not in (None, incarnation):
            self._lost.update(self._dispatcher.runners)
        self._incarnation = incarnation
        if code == "ok":
            self._admitted(shard, offers, admissions, retry_ms)
        elif code == "need_lanes":
            for workspace in runner.shard.programs:
                await self._tell_lanes(link, runner, workspace)
        elif code == "stale_epoch":
            raise Fenced(
                f"{self.name} knows a newer owner of shard {shard} than epoch {runner.store.epoch}",
                "End this process. If the store is an older copy, bring back the sender's ledger "
                "of the same time with it",
            )
        else:
            msg = f"{self.name} answered {code!r} to shard {shard}"
            raise RuntimeError(msg)

    def _admitted(self, shard: int, offers: list[Offer], admissions: bytes, retry_ms: int) -> None:
        """Drops what the sender has; lanes that are full keep theirs, and rest."""
        taken: list[Offer] = []
        full: list[Offer] = []
        for offer, admission in zip(offers, admissions, strict=True):
            (full if admission == Reason.QUEUE_FULL else taken).append(offer)
        self._offers.remove(shard, taken)
        if full:
            until = _now() + (retry_ms or limits.OFFER_PAUSE_MS) / 1_000
            self._offers.rest(shard, full, until)

    async def _tell_lanes(self, link: SenderLink, runner: "ShardRunner", workspace: str) -> None:
        program = runner.shard.programs[workspace]
        lanes = {
            name: versions[-1][1]
            for (kind, name), versions in program.documents.items()
            if kind == "lane" and versions[-1][1] is not None
        }
        await link.configure(workspace, program.version, msgpack.packb(lanes))


def _now() -> float:
    return asyncio.get_running_loop().time()
