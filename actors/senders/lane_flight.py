"""What a lane has in flight: batches that were decided on, until their results are told.

The order of the steps is the law, see `lane`: the ledger has a batch's ids, synced, before the
carrier gets it, and its results before anybody is told of them.

The one thing that is told before is that the carrier has a message, if its answer is long in
coming (`limits.SENDING_UNTOLD_MS`). It is no last word, so a crash after it takes nothing back.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

from actors.carriers.base import Carrier, SubmitResult
from actors.senders.lane_health import LaneHealth
from actors.senders.lane_shared import Shared
from actors.senders.receipts import LEFT, LaneReceipts
from actors.senders.submit import results_row, submit, waits_ms
from actors.store.errors import StoreError
from actors.store.ledger import BatchRow, ResultsRow
from engine import commands, limits
from engine.lanes.circuit import State
from engine.lanes.definition import Lane
from engine.lanes.lane_limits import LaneLimits, Reservation
from engine.lanes.queue import QueuedMessage
from engine.reasons import Reason

Again = Callable[[QueuedMessage, int, int], None]
"""Lines up a message that is tried again: now, and how long the carrier wants it to wait (ms)."""
_log = logging.getLogger("denrei.sender")


class _Batch:
    __slots__ = (
        "carrier", "given_ms", "id", "is_told", "lane", "messages", "probe", "reservation",
    )  # fmt: skip

    def __init__(
        self, id_: int, messages: list[QueuedMessage], reservation: Reservation, probe: bool,
        carrier: Carrier, lane: Lane,
    ) -> None:  # fmt: skip
        self.id = id_
        self.messages = messages
        self.reservation = reservation
        self.probe = probe
        self.carrier = carrier
        self.lane = lane
        self.given_ms = 0  # when the carrier was given it
        self.is_told = False  # whether the shards know that


class Flight:
    """See the module's text.

    Args:
        key: `workspace/lane name`.
        shared: What all lanes of the sender use.
        limits: The lane's.
        health: Told what the carrier answers.
        receipts: Told of batches, and tells of messages that have left.
        again: What becomes of a message that is tried again.
        wake: Called when there is room again.
        ended: Called when the task of a batch has ended, by whatever.

    Attributes:
        messages: How many messages the carrier has, or is about to get.
    """

    __slots__ = (
        "_again", "_ended", "_health", "_key", "_landed", "_limits", "_receipts", "_shared",
        "_tasks", "_wake", "messages",
    )  # fmt: skip

    def __init__(
        self,
        key: str,
        shared: Shared,
        limits: LaneLimits,
        health: LaneHealth,
        receipts: LaneReceipts,
        again: Again,
        wake: Callable[[], None],
        ended: Callable[["asyncio.Task[None]"], None],
    ) -> None:
        self._key = key
        self._shared = shared
        self._limits = limits
        self._health = health
        self._receipts = receipts
        self._again = again
        self._wake = wake
        self._ended = ended
        self._tasks: set[asyncio.Task[None]] = set()
        self._landed = asyncio.Event()
        self.messages = 0

    def give(
        self, carrier: Carrier, lane: Lane, messages: list[QueuedMessage], now_ms: int
    ) -> None:
        """Sends off a batch that the limits have room for."""
        units = sum([message.units for message in messages])
        reservation = self._limits.reserve(units, now_ms, len(messages), messages)
        circuit = self._health.circuit
        probe = circuit.state is State.HALF_OPEN
        circuit.probing = probe
        batch = _Batch(next(self._shared.batches), messages, reservation, probe, carrier, lane)
        self._receipts.begin(batch.id)
        self.messages += len(messages)
        self._shared.book.owe(batch.id, messages)
        row = BatchRow(
            batch.id, self._key, lane.carrier, units, now_ms,
            [each.id for each in messages], [each.key for each in messages],
            [at for at, each in enumerate(messages) if each.resend_unknown],
            self._limits.draws(reservation),
        )  # fmt: skip
        written = self._shared.writer.open(row)
        task = asyncio.get_running_loop().create_task(self._send(batch, written))
        self._tasks.add(task)
        task.add_done_callback(self._landed_task)

    async def land(self) -> None:
        """Returns when nothing is in flight."""
        while self._tasks:
            self._landed.clear()
            await self._landed.wait()

    async def stop(self) -> None:
        """Ends all batches at once."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, batch: _Batch, written: "asyncio.Future[None]") -> None:
        shared = self._shared
        try:
            await written
        except StoreError:
            self._limits.release(batch.reservation, shared.clock.now_ms())
            return  # The writer has told the owner, which exits.
        batch.given_ms = shared.clock.now_ms()
        long_ms = batch.given_ms + limits.SENDING_UNTOLD_MS
        long = shared.clock.call_at(long_ms, partial(self._tell_given, batch))
        try:
            results = await submit(batch.carrier, batch.lane, batch.messages, shared.codes)
        finally:
            long.cancel()
        returned_ms = shared.clock.now_ms()
        self._limits.stamp(batch.reservation, returned_ms)
        shared.writer.stamp(batch.id, returned_ms)
        self.messages -= len(batch.messages)
        row = results_row(batch.id, batch.messages, results)
        if row.reasons.count(Reason.SENT) == len(results):
            self._health.fine(len(results), returned_ms, batch.probe)
        else:
            self._health.saw(results, returned_ms, batch.probe)
        self._wake()
        try:
            await shared.writer.results(row)
        except StoreError:
            return
        self._tell(batch, row, results, returned_ms)

    def _tell_given(self, batch: _Batch) -> None:
        """The carrier has had a batch for a while: its shards are told."""
        carrier = batch.lane.carrier
        batch.is_told = self._receipts.sending(batch.messages, batch.given_ms, carrier)

    def _tell(
        self, batch: _Batch, row: ResultsRow, results: Sequence[SubmitResult], at_ms: int
    ) -> None:
        """The results are synced: tells the shards, and lines up what is tried again."""
        carrier = batch.lane.carrier
        took_ms = commands.UNKNOWN if batch.is_told else at_ms - batch.given_ms
        self._receipts.told(batch.messages, row, at_ms, carrier, took_ms)
        if row.reasons.count(Reason.SENT) < len(row.reasons):
            self._tell_others(batch, row, results, at_ms, took_ms)
        self._receipts.end(batch.id)

    def _tell_others(
        self,
        batch: _Batch,
        row: ResultsRow,
        results: Sequence[SubmitResult],
        at_ms: int,
        took_ms: int,
    ) -> None:
        """Tells of those messages of a batch that have not left."""
        carrier = batch.lane.carrier
        if Reason.QUEUED in row.reasons:
            self._receipts.refused(batch.messages, row, at_ms, carrier, took_ms)
        for at, reason in enumerate(row.reasons):
            if reason == Reason.QUEUED:
                self._again(batch.messages[at], at_ms, waits_ms(results[at]))
            elif reason not in LEFT:
                code, detail = row.words.get(at, ("", ""))
                self._shared.book.finish(
                    batch.messages[at], reason, at_ms, carrier, code, detail, took_ms
                )

    def _landed_task(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._landed.set()
        self._ended(task)
