"""From the outbox to its receivers: messages to senders, forwards to other shards.

Everything here may be lost at any moment, and nothing is: an effect stays in its entity's outbox
until the receiver's settlement is journaled, and whatever is unsettled is handed over again, with
the same id, after a restart of either side. A sender tells its incarnation with every reply; when
it changes, what the old one had waiting in memory is offered again from the outboxes. A call that
merely failed says nothing about that: what it carried still waits, and goes again. How calls to a
sender are made is in `actors.offer_pump`.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Final, Protocol

from actors import placement
from actors.offer_pump import FIRST_PAUSE_S, LONGEST_PAUSE_S, OfferPump, SenderLink
from actors.offer_queue import Offer
from actors.router import Router
from actors.store.errors import Fenced
from actors.telling import TOLD, Telling
from engine import commands, limits
from engine.errors import DenreiError
from engine.journeys import walk
from engine.lanes.definition import account_of
from engine.program import EMPTY
from engine.reasons import Reason
from engine.shard import Effects

if TYPE_CHECKING:
    from actors.shard_runner import ShardRunner

logger = logging.getLogger(__name__)
# What a target answers that has the last word; whoever is suppressed takes nothing, however often.
_SETTLED: Final = frozenset({Reason.ACCEPTED, Reason.DUPLICATE, Reason.PERSON_SUPPRESSED})


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
        self._pumps = {name: OfferPump(name, self) for name in pool.names()}
        self._telling = Telling(self._pumps, self.spawn)
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
        for pump, offers in self._by_pump(runner, effects.sends):
            pump.add(runner.shard.index, offers)
        for pump, offers in self._by_pump(runner, effects.cancels):
            pump.add_cancels(runner.shard.index, offers)
        for forward in effects.forwards:
            if forward[3][0] == commands.WALK:
                self.spawn(self._walk(runner, forward[3]))
            elif forward[3][0] in TOLD:
                self._telling.add(runner, forward[3])
            else:
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
        sends, cancels = (
            [o for pump, group in self._by_pump(runner, offers) if pump.name == name for o in group]
            for offers in (effects.sends, effects.cancels)
        )
        return sends, cancels

    def _by_pump(
        self, runner: "ShardRunner", offers: Iterable[Offer]
    ) -> list[tuple[OfferPump, list[Offer]]]:
        """Offers by their sender and lane, in their order. Cost: 0.1 µs an offer."""
        lanes: dict[tuple[str, str, str], list[Offer]] = {}
        for offer in offers:
            lanes.setdefault((offer[2], offer[4], offer[3]), []).append(offer)
        return [(self._pumps[self._home(runner, *lane)], group) for lane, group in lanes.items()]

    def _home(self, runner: "ShardRunner", workspace: str, channel: str, lane: str) -> str:
        """The sender that a lane lives in: the lanes of an account live together."""
        program = runner.shard.programs.get(workspace, EMPTY)
        space, name = placement.home_of(workspace, lane, account_of(program, lane) or "")
        return self._pool.sender_of(space, channel, name)

    async def _walk(self, runner: "ShardRunner", asked: Any) -> None:
        """Answers a task that asks who comes next; see `engine.journeys.walk`.

        A full shard makes a broadcast wait: the same people are looked for again, a little later.
        """
        pause_s = FIRST_PAUSE_S
        while True:
            answer = walk.answer(runner.shard, asked)
            try:
                await runner.admit(commands.pack_chunk(answer), len(answer), control=False)
                return
            except DenreiError:
                pass
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)

    async def _forward(
        self, runner: "ShardRunner", key: str, forward_id: str, shard: int, command: Any
    ) -> None:
        """Journals a forward at its target, then settles it at its source."""
        loop = asyncio.get_running_loop()
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                size = sum(len(part) for part in command if isinstance(part, bytes)) + 200
                results = await self._router.submit(
                    shard, [command], size, loop.time() + limits.FORWARD_TIMEOUT_S
                )
                if results[0] in _SETTLED:
                    chunk = commands.pack_chunk([commands.settle(key, forward_id)])
                    await runner.admit(chunk, 1, control=True)
                    return
            except DenreiError:
                pass
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)
