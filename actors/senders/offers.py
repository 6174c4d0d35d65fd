"""What shards offer to a sender, and what they take back.

Every message gets one byte for an answer, and each shard an answer of its own. Nothing is written
here but the newest epoch of a shard. The ledger has it before anything of it leaves, since what
leaves is written after it: a sender that has seen a newer owner refuses the older one, also after a
restart.
"""

from collections.abc import Sequence
from typing import Final

from msgspec.msgpack import Decoder

from actors.clock import Clock
from actors.senders.book import MessageBook
from actors.senders.inbound import InboundDesk
from actors.senders.lane import LaneRunner
from actors.senders.lanes import Lanes
from actors.senders.ledger_writer import LedgerWriter
from engine import limits
from engine.lanes.queue import QueuedMessage, rooms
from engine.messages.message import SMS, TRANSACTIONAL
from engine.reasons import Reason

Answer = tuple[str, bytes, int]
"""To a shard: a code, a `Reason` byte a message, and when to offer again what had no room (ms)."""

# An offer is unpacked straight into what waits in a lane's queue.
_OFFERS: Final = Decoder(list[tuple[int, int, int, list[QueuedMessage], dict[str, int]]])
_CANCELS: Final = Decoder(list[tuple[int, int, list[str | QueuedMessage]]])
_QUEUED: Final = Reason.QUEUED  # a member is found slowly, and this is asked of each message


class OfferDesk:
    """See the module's text.

    Args:
        epochs: The newest that was seen of each shard.
        event_time: Whether events move the shards' clocks.
        clock: The sender's.
        writer: The ledger.
        book: What is known of message ids.
        lanes: The sender's lanes.
        inbound: Told of the messages of lanes whose carriers bring answers.

    Attributes:
        draining: Whether nothing is taken any more.
        counts: What became of offers, for a status page.
    """

    def __init__(
        self,
        epochs: dict[int, int],
        event_time: bool,
        clock: Clock,
        writer: LedgerWriter,
        book: MessageBook,
        lanes: Lanes,
        inbound: InboundDesk,
    ) -> None:
        self._epochs = epochs
        self._event_time = event_time
        self._clock = clock
        self._writer = writer
        self._book = book
        self._lanes = lanes
        self._inbound = inbound
        self._rooms = rooms(limits.SENDER_QUEUE_MESSAGES)
        self.draining = False
        self.counts = dict.fromkeys(("offered", "admitted", "duplicate", "full", "stale"), 0)

    async def take(self, batch: bytes) -> list[Answer]:
        """Takes what the shards of a host offer; see `SenderCore.offer`."""
        return [await self._take(*part) for part in _OFFERS.decode(batch)]

    def cancel(self, batch: bytes) -> None:
        """Takes messages back that have not left; see `SenderCore.cancel`."""
        for shard, epoch, messages in _CANCELS.decode(batch):
            if epoch >= self._epochs.get(shard, -1):
                for message in messages:
                    self.cancel_one(message, shard)

    async def _take(
        self,
        shard: int,
        epoch: int,
        shard_now_ms: int,
        messages: list[QueuedMessage],
        versions: dict[str, int],
    ) -> Answer:
        known_epoch = self._epochs.get(shard, -1)
        if epoch < known_epoch:
            self.counts["stale"] += 1
            return "stale_epoch", b"", 0
        runs = _runs(messages)
        for workspace in {run[0].workspace for run in runs}:
            if self._lanes.version(workspace) < versions.get(workspace, 0):
                return "need_lanes", b"", 0
        if epoch > known_epoch:
            self._epochs[shard] = epoch
            await self._writer.epoch(shard, epoch)
            if epoch < self._epochs[shard]:  # a newer owner came meanwhile
                self.counts["stale"] += 1
                return "stale_epoch", b"", 0
        now_ms, event_time = self._clock.now_ms(), self._event_time
        for message in messages:
            message.shard = shard
            # The two clocks may show different times: what is carried over is the remaining time.
            message.expires_ms += now_ms - (message.created_ms if event_time else shard_now_ms)
        admissions = b"".join([self._admit_run(run) for run in runs])
        self.counts["offered"] += len(messages)
        full = admissions.count(Reason.QUEUE_FULL)
        self.counts["full"] += full
        return "ok", admissions, limits.OFFER_PAUSE_MS if full else 0

    def _admit_run(self, run: list[QueuedMessage]) -> bytes:
        """Lets messages of one lane and purpose wait in it; an answer for each.

        Nearly always all of them are new and have room: then they are admitted together, which
        takes a third of the time.
        """
        book = self._book
        new = {message.id: message for message in run}
        room = not self.draining and len(book.held) + len(run) <= self._rooms[-1]
        if room and len(new) == len(run) and book.knows_none(new):
            runner = self._lanes.find(f"{run[0].workspace}/{run[0].lane}")
            if runner is not None and runner.takes_all:
                _weigh(run, runner)
                if runner.queue.put_all(run):
                    book.hold_all(new)
                    self._admitted(run, runner)
                    return bytes((_QUEUED,)) * len(run)
        return bytes([self._admit(message) for message in run])

    def _admit(self, message: QueuedMessage) -> Reason:
        """Lets a message wait in its lane, or says the last word on it."""
        book = self._book
        if book.known(message.id):
            self.counts["duplicate"] += 1
            return Reason.DUPLICATE
        if self.draining or len(book.held) >= self._rooms[message.level]:
            return Reason.QUEUE_FULL
        runner = self._lanes.find(f"{message.workspace}/{message.lane}")
        if runner is None or not runner.defined:
            book.hold(message)
            why = f"lane '{message.lane}' is not defined"
            book.finish(message, Reason.NO_ROUTE, self._clock.now_ms(), detail=why)
            return _QUEUED
        if not message.last and runner.away is not None:
            book.hold(message)
            book.finish(message, runner.away[0], self._clock.now_ms(), detail=runner.away[1])
            return _QUEUED
        _weigh((message,), runner)
        reason = runner.queue.put(message)
        if reason is _QUEUED:
            book.hold(message)
            self._admitted((message,), runner)
        return reason

    def _admitted(self, messages: Sequence[QueuedMessage], runner: LaneRunner) -> None:
        """Messages wait in their lane: whoever has to hear of it does."""
        self.counts["admitted"] += len(messages)
        if runner.key in self._lanes.listening:
            for message in messages:
                self._inbound.met(message)
        runner.wake()

    def cancel_one(self, offer: str | QueuedMessage, shard: int) -> None:
        """Takes one message back: its id, or the whole offer of one that may not be here yet."""
        now_ms = self._clock.now_ms()
        id_ = offer if isinstance(offer, str) else offer.id
        held = self._book.held.get(id_)
        if held is not None:
            runner = self._lanes.running.get(f"{held.workspace}/{held.lane}")
            if runner is not None and runner.cancel(id_) is not None:
                self._book.finish(held, Reason.CANCELLED, now_ms, code=held.code)
        elif not isinstance(offer, str) and not self._book.known(id_):
            doubt = id_ in self._book.open
            offer.shard = shard
            self._book.hold(offer)
            reason = Reason.UNKNOWN_OUTCOME if doubt else Reason.CANCELLED
            self._book.finish(offer, reason, now_ms)


def _runs(messages: Sequence[QueuedMessage]) -> list[list[QueuedMessage]]:
    """Messages by lane and purpose, as they follow each other: most often they are of one."""
    runs: list[list[QueuedMessage]] = []
    workspace = lane = purpose = None
    for message in messages:
        if message.lane != lane or message.purpose != purpose or message.workspace != workspace:
            workspace, lane, purpose = message.workspace, message.lane, message.purpose
            run: list[QueuedMessage] = []
            runs.append(run)
        run.append(message)
    return runs


def _weigh(messages: Sequence[QueuedMessage], runner: LaneRunner) -> None:
    """Counts what messages take of their lane's limits, and lets no code be sent twice."""
    parts = runner.parts
    for message in messages:
        if message.channel == SMS and (units := parts(message.body)) != 1:
            message.units = units
        if message.resend_unknown and message.purpose != TRANSACTIONAL:
            message.resend_unknown = False  # a code is not sent twice, nor is marketing
