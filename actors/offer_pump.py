"""What waits for one sender, and the task that hands it over.

One call to a sender is in flight at a time, and what waits is dropped only once a call that
carried it has returned. So whatever comes in the meantime is added to what waits, and no order of
events loses it.

A call carries the offers of all shards of the host, because it costs the same however little it
carries, by Ray some milliseconds of CPU over both ends, as much as the sender needs for a thousand
messages. Each shard has its epoch, its time and its lanes' versions in it, and an answer of its
own. For the same reason a call that had little to carry is followed by a rest as long as the call:
on a busy machine calls take long, and twice as much is gathered; on an idle one the rest is over
before anybody notices.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgpack

from actors.notices import Notices
from actors.offer_queue import Offer, OfferQueue
from actors.store.errors import Fenced
from engine import commands, limits
from engine.packing import pack
from engine.reasons import Reason

if TYPE_CHECKING:
    from actors.dispatch import Dispatcher
    from actors.shard_runner import ShardRunner

logger = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 1.0
_HEARTBEAT_S: Final = 1.0


class SenderLink(Protocol):
    """A way to call one sender; see `actors.senders.sender`."""

    async def offer(self, batch: bytes) -> bytes:
        """Offers messages."""

    async def cancel(self, batch: bytes) -> None:
        """Asks for messages not to be sent."""

    async def configure(self, workspace: str, version: int, lanes: bytes) -> None:
        """Tells a workspace's lanes."""

    async def forget(self, keys: bytes) -> None:
        """Asks for what is kept of erased entities to be forgotten; done when it returns."""

    async def feedback(self, batch: bytes) -> None:
        """Tells the fraud guard what became of codes; never called of who texts no phones."""


class OfferPump:
    """See the module's text.

    Args:
        name: The sender's name.
        dispatcher: The owner: it knows the shards and the way to the sender.
    """

    def __init__(self, name: str, dispatcher: "Dispatcher") -> None:
        self.name = name
        self._dispatcher = dispatcher
        self._offers = OfferQueue()
        self._cancels = OfferQueue()
        self._configure: dict[str, tuple[int, ShardRunner]] = {}
        self._notices = {
            commands.FORGET: Notices("erasures", limits.FORGET_KEYS, 0.0, LONGEST_PAUSE_S),
            commands.FEEDBACK: Notices(
                "outcomes of codes", limits.FEEDBACK_ROWS, limits.FEEDBACK_GATHER_S, LONGEST_PAUSE_S
            ),
        }
        self._lost: set[int] = set()  # shards whose unsettled messages are to be offered again
        self._incarnation: str | None = None
        self._news = asyncio.Event()
        self._gather_until = 0.0
        self._task: asyncio.Task[None] | None = None
        self._beat_at = 0.0

    # --- what comes in, at any time ---------------------------------------------------------

    def add(self, shard: int, offers: Sequence[Offer]) -> None:
        """Lets offers wait, each id once."""
        self._offers.add(shard, offers)
        self._wake()

    def add_cancels(self, shard: int, offers: Sequence[Offer]) -> None:
        """A cancel takes the place of its offer: a sender settles one that it never had, too."""
        self._offers.remove(shard, offers)
        self._cancels.add(shard, offers)
        self._wake()

    def configure_soon(self, runner: "ShardRunner", workspace: str) -> None:
        """Has a workspace's lanes told before the next offers."""
        version = runner.shard.programs[workspace].version
        if self._configure.get(workspace, (-1, None))[0] < version:
            self._configure[workspace] = (version, runner)
            self._wake()

    def tell_soon(
        self, operation: int, forward_id: str, row: Any, done: Callable[[], None]
    ) -> None:
        """Has something told, after all that was offered before it; then calls `done`.

        Args:
            operation: FORGET or FEEDBACK.
            forward_id: The effect's id.
            row: What the call says of it.
            done: Called once the sender has done it.
        """
        self._notices[operation].add(forward_id, row, done)
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        if self._task is None or self._task.done():
            self._task = self._dispatcher.spawn(self._run())

    # --- the task ---------------------------------------------------------------------------

    async def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            self._news.clear()
            try:
                await self._hand_over()
            except Fenced as error:
                self._dispatcher.fenced(error)
                return
            except Exception as error:
                if pause_s == FIRST_PAUSE_S:
                    logger.warning("a call to %s failed, trying again: %r", self.name, error)
                await asyncio.sleep(pause_s)
                pause_s = min(LONGEST_PAUSE_S, pause_s * 2)
            else:
                pause_s = FIRST_PAUSE_S
                await self._rest()

    async def _rest(self) -> None:
        """Until there is news and a call is worth it, a lane has rested, or a heartbeat is due."""
        if self._configure or self._lost:
            await asyncio.sleep(0)
            return
        await asyncio.sleep(self._gather_until - _now())
        until = min(self._beat_at, self._offers.ready_at(), self._cancels.ready_at())
        until = min(until, *(notices.ready_at() for notices in self._notices.values()))
        if until > _now():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._news.wait()

    async def _hand_over(self) -> None:
        """One round: what is waiting and may go, at most one call of offers."""
        link = self._dispatcher.pool.link(self.name)
        while self._configure:
            workspace, (version, runner) = next(iter(self._configure.items()))
            await self._tell_lanes(link, runner, workspace)
            if self._configure[workspace][0] == version:
                del self._configure[workspace]
        await self._cancel(link)
        await self._notices[commands.FORGET].tell(self.name, link.forget)
        await self._notices[commands.FEEDBACK].tell(self.name, link.feedback)
        await self._offer_lost()
        offers = self._offers.batch(_now())
        if offers:
            await self._offer(link, offers)
        elif self._beat_at <= _now():
            await self._beat(link)

    async def _cancel(self, link: SenderLink) -> None:
        cancels = self._cancels.batch(_now(), size_bytes=limits.CALL_BYTES)
        if cancels:
            runners = self._dispatcher.runners
            parts = [(shard, runners[shard].store.epoch, cancels[shard]) for shard in cancels]
            await link.cancel(pack(parts))
            for shard, offers in cancels.items():
                self._cancels.remove(shard, offers)

    async def _offer_lost(self) -> None:
        """The sender began anew: everything unsettled goes to it again, shard by shard.

        What comes in between two shards, or waits already, has its place by its id.
        """
        while self._lost:
            shard = min(self._lost)
            offers, cancels = self._dispatcher.unsettled(shard, self.name)
            self.add(shard, offers)
            self.add_cancels(shard, cancels)
            self._lost.discard(shard)
            await asyncio.sleep(0)

    async def _beat(self, link: SenderLink) -> None:
        """Finds out whether the sender began anew, as long as anything is unsettled."""
        self._beat_at = _now() + _HEARTBEAT_S
        for shard, runner in self._dispatcher.runners.items():
            if runner.shard.outbox:
                await self._offer(link, {shard: []})
                return

    async def _offer(self, link: SenderLink, offers: dict[int, list[Offer]]) -> None:
        """One call with offers of any shards, and what follows from the answer to each."""
        batch = pack([self._part(shard, group) for shard, group in offers.items()])
        started = _now()
        incarnation, answers = msgpack.unpackb(await link.offer(batch))
        now = _now()
        self._beat_at = now + _HEARTBEAT_S
        count = sum(map(len, offers.values()))
        if count < limits.OFFER_WORTH_MESSAGES and len(batch) < limits.OFFER_WORTH_BYTES:
            self._gather_until = now + min(now - started, limits.OFFER_GATHER_S)
        if self._incarnation not in (None, incarnation):
            self._lost.update(self._dispatcher.runners)
        self._incarnation = incarnation
        self._answered(offers, answers)

    def _part(self, shard: int, offers: list[Offer]) -> tuple[object, ...]:
        """What a call says of one shard; see `SenderCore.offer`."""
        runner = self._dispatcher.runners[shard]
        programs = runner.shard.programs
        named = {offer[2] for offer in offers}
        versions = {name: programs[name].version for name in named if name in programs}
        return shard, runner.store.epoch, runner.shard.now, offers, versions

    def _answered(
        self, offers: dict[int, list[Offer]], answers: Sequence[tuple[str, bytes, int]]
    ) -> None:
        """Does what each shard's answer asks for; an error comes last, since it ends the round."""
        refused: dict[int, str] = {}
        for (shard, group), answer in zip(offers.items(), answers, strict=True):
            code, admissions, retry_ms = answer
            if code == "ok":
                self._admitted(shard, group, admissions, retry_ms)
            elif code == "need_lanes":
                runner = self._dispatcher.runners[shard]
                for workspace in runner.shard.programs:
                    self.configure_soon(runner, workspace)
            else:
                refused[shard] = code
        for shard, code in refused.items():
            if code == "stale_epoch":
                epoch = self._dispatcher.runners[shard].store.epoch
                raise Fenced(
                    f"{self.name} knows a newer owner of shard {shard} than epoch {epoch}",
                    "End this process. If the store is an older copy, bring back the sender's "
                    "ledger of the same time with it",
                )
        if refused:
            msg = f"{self.name} answered by shard: {refused!r}"
            raise RuntimeError(msg)

    def _admitted(self, shard: int, offers: list[Offer], admissions: bytes, retry_ms: int) -> None:
        """Drops what the sender has; lanes that are full keep theirs, and rest."""
        if Reason.QUEUE_FULL not in admissions and len(offers) == len(admissions):
            self._offers.remove(shard, offers)
            return
        taken: list[Offer] = []
        full: list[Offer] = []
        for offer, admission in zip(offers, admissions, strict=True):
            (full if admission == Reason.QUEUE_FULL else taken).append(offer)
        self._offers.remove(shard, taken)
        until = _now() + (retry_ms or limits.OFFER_PAUSE_MS) / 1_000
        self._offers.rest(shard, full, until)

    async def _tell_lanes(self, link: SenderLink, runner: "ShardRunner", workspace: str) -> None:
        program = runner.shard.programs[workspace]
        await link.configure(workspace, program.version, msgpack.packb(program.for_senders()))


def _now() -> float:
    return asyncio.get_running_loop().time()
