"""One lane at work: its queue, its limits, its carrier, and the loop between them.

A message goes: queue → guard → reservation → ledger (synced) → carrier → ledger (result) → its
shard. Every step works on a batch. The reservation counts in all windows from the decision until a
window after the submit returned (see engine/rates.py), so the order of these steps is what keeps
the limits; the ledger before the carrier is what keeps an id from being given away twice; the
result in the ledger before the receipt is what keeps two different last words from being told.

Nothing here ends unnoticed: if the loop or a batch ends by an error that nobody expected, the owner
is told and has to exit. A restart finds in the ledger what was in doubt; a lane that had just
stopped would keep its messages for ever.
"""

import asyncio
import heapq
import itertools
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final

from actors.carriers import registry
from actors.carriers.base import Carrier, Outcome, SubmitResult, TakeInbound
from actors.clock import Clock, Handle
from actors.ledger_writer import LedgerWriter
from actors.sender_book import OUTCOME_NAMES, MessageBook
from actors.sender_receipts import LEFT, LaneReceipts
from actors.sender_screen import Screen
from actors.sender_submit import results_row, submit
from actors.store.errors import StoreError
from actors.store.ledger import BatchRow, ResultsRow
from engine import backoff, limits
from engine.lane_definition import Lane
from engine.lane_queue import LaneQueue, QueuedMessage
from engine.rates import UNLIMITED, LaneLimits, Room, Use
from engine.reasons import Reason

# How often a lane that is held up looks for messages that have expired behind the first.
_SWEEP_MS: Final = 60_000
_log = logging.getLogger("denrei.sender")


class Shared:
    """What all lanes of a sender use."""

    __slots__ = ("batches", "book", "clock", "fail", "inbound", "screen", "seed", "writer")

    def __init__(
        self,
        clock: Clock,
        writer: LedgerWriter,
        book: MessageBook,
        screen: Screen,
        seed: int,
        first_batch: int,
        fail: Callable[[BaseException], object],
        inbound: TakeInbound,
    ) -> None:
        self.clock = clock
        self.writer = writer
        self.book = book
        self.screen = screen
        self.seed = seed
        self.batches = itertools.count(first_batch)
        self.fail = fail
        self.inbound = inbound


class _Batch:
    __slots__ = ("id", "messages", "reservation", "units")

    def __init__(self, id_: int, messages: list[QueuedMessage], units: int, reservation: int):
        self.id = id_
        self.messages = messages
        self.units = units
        self.reservation = reservation


class LaneRunner:
    """One lane; see the module's text.

    Args:
        key: `workspace/lane name`.
        lane: Its definition.
        uses: What it had sent before a restart.
        shared: What all lanes of the sender use.
    """

    def __init__(self, key: str, lane: Lane, uses: Sequence[Use], shared: Shared) -> None:
        now_ms = shared.clock.now_ms()
        self.key = key
        self.lane = lane
        self.queue = LaneQueue()
        self.limits = LaneLimits(lane.limits, now_ms)
        self.limits.restore(uses, now_ms)
        self.carrier: Carrier | None = None
        self.error = ""
        self.defined = True
        self.counts: defaultdict[str, int] = defaultdict(int)  # a Counter adds slowly
        self._shared = shared
        self._retries: dict[str, QueuedMessage] = {}
        self._due: list[tuple[int, int, QueuedMessage]] = []
        self._ties = itertools.count()
        self._receipts = LaneReceipts(key, lane.channel, shared.book, self.counts)
        self._in_flight = 0
        self._paused_until_ms = 0
        self._throttles = 0
        self._swept_ms = now_ms
        self._news = asyncio.Event()
        self._landed = asyncio.Event()
        self._stopping = False
        self._stale = True
        self._tasks: set[asyncio.Task[None]] = set()
        self._tune()
        self._loop = asyncio.get_running_loop().create_task(self._run(), name=f"lane {key}")
        self._loop.add_done_callback(self._ended)

    def wake(self) -> None:
        """There is something new to do."""
        self._news.set()

    def configure(self, lane: Lane) -> None:
        """Takes a changed definition. Limits hold at once; a changed carrier is connected anew."""
        now_ms = self._shared.clock.now_ms()
        old, self.lane = self.lane, lane
        self.defined = True
        self.limits.configure(lane.limits, now_ms)
        self._receipts.configure(lane.channel)
        self._tune()
        if (old.carrier, old.options, old.sender) != (lane.carrier, lane.options, lane.sender):
            self._stale = True
        self.wake()

    def cancel(self, message_id: str) -> QueuedMessage | None:
        """Takes a message back that has not left; None if it has, or is not here."""
        message = self._shared.book.held.get(message_id)
        if message is not None and self.queue.cancel(message):
            return message
        return self._retries.pop(message_id, None)

    def remove(self) -> None:
        """The lane is defined no more: what waits in it has no route."""
        self.defined = False
        waiting = self.queue.clear() + list(self._retries.values())
        self._retries.clear()
        for message in waiting:
            self._finish_removed(message)

    async def land(self) -> None:
        """Stops giving messages away; returns when none is in flight."""
        self._stopping = True
        self.wake()
        while self._tasks:
            self._landed.clear()
            await self._landed.wait()

    async def stop(self) -> None:
        """Ends the lane's work at once."""
        self._stopping = True
        tasks = [self._loop, *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.carrier is not None:
            await self.carrier.stop()
            self.carrier = None

    def status(self) -> dict[str, Any]:
        """Plain values for a status page."""
        now_ms = self._shared.clock.now_ms()
        return {
            "lane": self.key,
            "channel": self.lane.channel,
            "carrier": self.lane.carrier,
            "waiting": self.queue.depths(),
            "retrying": len(self._retries),
            "in_flight": self._in_flight,
            "limits": [list(each) for each in self.limits.used(now_ms)],
            "paused_ms": max(0, self._paused_until_ms - now_ms),
            "error": self.error,
            "counts": dict(self.counts),
            "carrier_status": self.carrier.status() if self.carrier is not None else {},
        }

    # The loop.

    async def _run(self) -> None:
        while True:
            self._news.clear()
            if self._stale:
                await self._connect()
            again_ms = None if self._stopping else self._dispatch()
            timer: Handle | None = None
            if again_ms is not None:
                timer = self._shared.clock.call_at(again_ms, self._news.set)
            await self._news.wait()
            if timer is not None:
                timer.cancel()

    async def _connect(self) -> None:
        """Makes the carrier anew once nothing is in flight; a definition it refuses is told."""
        while self._tasks:
            self._landed.clear()
            await self._landed.wait()
        if self.carrier is not None:
            await self.carrier.stop()
            self.carrier = None
        self._stale = False
        setup = registry.CarrierSetup(self.lane, self.key, self._shared.clock, self._shared.seed)
        try:
            carrier = registry.make(setup)
            await carrier.start(self._receipts.take, self._shared.inbound)
        except Exception as error:
            self.error = str(error)
            _log.exception("lane %s has no carrier", self.key)
        else:
            self.carrier, self.error = carrier, ""

    def _dispatch(self) -> int | None:
        """Gives away all that may leave now; when to look again, or None for at the next news."""
        clock = self._shared.clock
        while True:
            now_ms = clock.now_ms()
            self._put_back_due(now_ms)
            if self.carrier is None:
                self._refuse_all()
                return None
            free = min(limits.SUBMIT_MESSAGES, limits.LANE_IN_FLIGHT_MESSAGES - self._in_flight)
            if free <= 0:
                return None
            if now_ms < self._paused_until_ms:
                return self._held_until(self._paused_until_ms, now_ms)
            room = self.limits.room(now_ms)
            taken, expired = self.queue.take(free, room, now_ms)
            for message in expired:
                self._expire(message)
            if taken:
                self._give(taken, now_ms)
            elif not expired:
                return self._next_look(now_ms)

    def _give(self, taken: list[QueuedMessage], now_ms: int) -> None:
        """Sends off a batch: what the guard lets through, reserved in the limits."""
        messages = self._shared.screen.pass_through(taken, self.lane, now_ms, self._finish)
        if not messages:
            return
        units = sum([message.units for message in messages])
        reservation = self.limits.reserve(units, now_ms)
        batch = _Batch(next(self._shared.batches), messages, units, reservation)
        self._receipts.begin(batch.id)
        self._in_flight += len(messages)
        self._shared.book.owe(batch.id, messages)
        row = BatchRow(
            batch.id, self.key, self.lane.carrier, units, now_ms,
            [each.id for each in messages], [each.key for each in messages],
            [at for at, each in enumerate(messages) if each.resend_unknown],
        )  # fmt: skip
        written = self._shared.writer.open(row)
        task = asyncio.get_running_loop().create_task(self._send(batch, written))
        self._tasks.add(task)
        task.add_done_callback(self._landed_task)

    def _next_look(self, now_ms: int) -> int | None:
        """Nothing may leave now: when that changes by time alone."""
        units, expired = self.queue.next_units(now_ms)
        for message in expired:
            self._expire(message)
        if units > self.limits.largest:
            message = self.queue.take(1, Room(UNLIMITED, UNLIMITED), now_ms)[0][0]
            why = f"its {units} segments can never fit into the limit of {self.limits.largest}"
            self._finish(message, Reason.NO_ROUTE, "", why)
            return now_ms
        if not units:
            return self._due[0][0] if self._due else None
        earliest_ms = self.limits.earliest(units, now_ms)
        return self._held_until(max(earliest_ms, now_ms + self._grain_ms), now_ms)

    def _held_until(self, until_ms: int, now_ms: int) -> int:
        """When to look again at a lane that is held up: also for retries, and for the expired."""
        if now_ms - self._swept_ms >= _SWEEP_MS:
            self._swept_ms = now_ms
            for message in self.queue.expire(now_ms):
                self._expire(message)
        return min(until_ms, self._swept_ms + _SWEEP_MS)

    def _put_back_due(self, now_ms: int) -> None:
        due = self._due
        while due and due[0][0] <= now_ms:
            message = heapq.heappop(due)[2]
            if self._retries.pop(message.id, None) is not None:
                self.queue.put_back(message)

    def _refuse_all(self) -> None:
        for message in self.queue.clear():
            self._finish(message, Reason.NO_ROUTE, "", self.error)

    def _tune(self) -> None:
        """Takes two figures from the limits.

        The queue holds what the lane can send in ten hours. And a lane that is held up sleeps at
        least a while, so that it works in batches; that costs half a percent of the rate at most.
        """
        sliding = [limit for limit in self.limits.limits if limit.zone is None]
        capacity = limits.LANE_QUEUE_MESSAGES
        for units, window_ms, _ in sliding:
            capacity = min(capacity, units * limits.LANE_QUEUE_S * 1_000 // window_ms)
        self.queue.resize(max(capacity, limits.OFFER_MESSAGES))
        shortest_ms = min((limit.window_ms for limit in sliding), default=0)
        self._grain_ms = max(1, min(20, shortest_ms // 200))

    # One batch.

    async def _send(self, batch: _Batch, written: "asyncio.Future[None]") -> None:
        shared = self._shared
        try:
            await written
        except StoreError:
            self.limits.release(batch.reservation)
            return  # The writer has told the owner, which exits.
        assert self.carrier is not None
        results = await submit(self.carrier, self.lane, batch.messages)
        returned_ms = shared.clock.now_ms()
        self.limits.stamp(batch.reservation, returned_ms)
        shared.writer.stamp(batch.id, returned_ms)
        self._in_flight -= len(batch.messages)
        row = results_row(batch.id, batch.messages, results)
        self._pause_if_throttled(row, results, returned_ms)
        self.wake()
        try:
            await shared.writer.results(row)
        except StoreError:
            return
        self._tell(batch, row, returned_ms)

    def _tell(self, batch: _Batch, row: ResultsRow, at_ms: int) -> None:
        """The results are synced: tells the shards, and lines up what is tried again."""
        carrier = self.lane.carrier
        self._receipts.told(batch.messages, row, at_ms, carrier)
        for at, reason in enumerate(row.reasons):
            if reason == Reason.QUEUED:
                self._retry(batch.messages[at], at_ms)
            elif reason not in LEFT:
                code, detail = row.words.get(at, ("", ""))
                self._shared.book.finish(batch.messages[at], reason, at_ms, carrier, code, detail)
        self._receipts.end(batch.id)

    def _retry(self, message: QueuedMessage, now_ms: int) -> None:
        if not self.defined:
            self._finish_removed(message)
            return
        due_ms = now_ms + backoff.delay_ms(message.failures, f"{self._shared.seed}{message.id}")
        due_ms = max(due_ms, self._paused_until_ms) if message.failures else self._paused_until_ms
        if due_ms >= message.expires_ms:
            self._expire(message)
            return
        self.counts["retries"] += 1
        self._retries[message.id] = message
        heapq.heappush(self._due, (due_ms, next(self._ties), message))
        self.wake()

    def _pause_if_throttled(
        self, row: ResultsRow, results: list[SubmitResult], now_ms: int
    ) -> None:
        asked: list[int] = []
        if Reason.QUEUED in row.reasons:
            asked = [each.retry_after_ms for each in results if each.outcome is Outcome.THROTTLED]
        if not asked:
            self._throttles = 0
            return
        self._throttles += 1
        self.counts["throttled"] += len(asked)
        own_ms = backoff.delay_ms(self._throttles, f"{self._shared.seed}{self.key}")
        self._paused_until_ms = max(self._paused_until_ms, now_ms + (max(asked) or own_ms))

    # Words.

    def _finish_removed(self, message: QueuedMessage) -> None:
        why = f"lane '{self.lane.name}' was deleted"
        self._finish(message, Reason.NO_ROUTE, message.code, why)

    def _expire(self, message: QueuedMessage) -> None:
        detail = "it waited longer than its validity"
        if message.attempt:
            detail += f"; the carrier was asked {message.attempt} times"
        self._finish(message, Reason.EXPIRED, message.code, detail)

    def _finish(self, message: QueuedMessage, reason: Reason, code: str, detail: str) -> None:
        now_ms = self._shared.clock.now_ms()
        self.counts[OUTCOME_NAMES[reason]] += 1
        self._shared.book.finish(message, reason, now_ms, self.lane.carrier, code, detail)

    def _landed_task(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._landed.set()
        self._ended(task)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        error: BaseException | None
        if task.cancelled():
            error = None if self._stopping else asyncio.CancelledError("nobody has stopped it")
        else:
            error = task.exception()
        if error is not None:
            _log.error("lane %s ends", self.key, exc_info=error)
            self._shared.fail(error)
