"""One lane at work: its queue, its limits, its carrier, and the loop between them.

A message goes: queue → guard → reservation → ledger (synced) → carrier → ledger (result) → its
shard. Every step works on a batch. The reservation counts in all windows from the decision until a
window after the submit returned (see engine/lanes/rates.py), so the order of these steps is what
keeps the limits; the ledger before the carrier is what keeps an id from being given away twice; the
result in the ledger before the receipt is what keeps two different last words from being told.

Nothing here ends unnoticed: if the loop or a batch ends by an error that nobody expected, the owner
is told and has to exit. A restart finds in the ledger what was in doubt; a lane that had just
stopped would keep its messages for ever.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from actors.carriers import registry
from actors.carriers.base import Carrier
from actors.clock import Handle
from actors.senders.book import OUTCOME_NAMES
from actors.senders.counting import counter_of, recount
from actors.senders.lane_flight import Flight
from actors.senders.lane_health import LaneHealth
from actors.senders.lane_overflow import Overflow
from actors.senders.lane_shared import Shared
from actors.senders.receipts import LaneReceipts
from actors.senders.screen_looks import SecondLook
from engine import backoff, commands, limits
from engine.lanes.definition import Lane
from engine.lanes.lane_limits import LaneLimits
from engine.lanes.queue import LaneQueue, QueuedMessage
from engine.lanes.rates import Room, Use
from engine.lanes.turns import Contender, Turns
from engine.lanes.waits import Aside
from engine.reasons import Reason

# How often a lane that is held up looks for messages that have expired behind the first.
_SWEEP_MS: Final = 60_000
_NOW: Final = -1  # of a time to look again: at once
_log = logging.getLogger("denrei.sender")


class LaneRunner:
    """One lane; see the module's text.

    Args:
        key: `workspace/lane name`.
        lane: Its definition.
        uses: What it had sent before a restart.
        shared: What all lanes of the sender use.

    Attributes:
        parts: How many SMS a text is as the lane's carrier gets it.
    """

    def __init__(self, key: str, lane: Lane, uses: Sequence[Use], shared: Shared) -> None:
        now_ms = shared.clock.now_ms()
        self.key = key
        self.workspace = key.partition("/")[0]
        self.lane = lane
        self.parts = self._counted_by = counter_of(lane)
        self.queue = LaneQueue()
        self.limits = LaneLimits(
            lane.limits, now_ms, key, lane.account, shared.meters, self._value_of
        )
        self.limits.restore(uses, now_ms)
        self.carrier: Carrier | None = None
        self.error = ""
        self.defined = True
        self.counts: defaultdict[str, int] = defaultdict(int)  # a Counter adds slowly
        self._shared = shared
        self._health = LaneHealth(lane, f"{shared.seed}{key}", self.limits.slow)
        self._aside = Aside()
        self._delayed = Aside()  # by the fraud guard; they have no place in the queue
        self._turns: Turns | None = None
        self._contender = Contender(self.workspace, self.queue.busy, self._hindered, self.wake)
        self._overflow = Overflow(self.queue, self._aside, self._health, self.counts, self._finish)
        self._receipts = LaneReceipts(
            key, lane.channel, shared.book, self.counts, self._undelivered
        )
        self._flight = Flight(
            key, shared, self.limits, self._health, self._receipts, self._retry, self.wake,
            self._ended,
        )  # fmt: skip
        self._swept_ms = now_ms
        self._news = asyncio.Event()
        self._stopping = False
        self._stale = True
        self._tune()
        self._loop = asyncio.get_running_loop().create_task(self._run(), name=f"lane {key}")
        self._loop.add_done_callback(self._ended)

    @property
    def away(self) -> tuple[Reason, str] | None:
        """Why messages with another route take it at once; None if they may stay."""
        return self._overflow.away

    @property
    def takes_all(self) -> bool:
        """Whether messages may wait here whatever other routes they have."""
        return self.defined and self._overflow.away is None

    def wake(self) -> None:
        """There is something new to do."""
        self._news.set()

    def configure(self, lane: Lane) -> None:
        """Takes a changed definition. Limits hold at once; a changed carrier is connected anew."""
        now_ms = self._shared.clock.now_ms()
        old, self.lane = self.lane, lane
        self.defined = True
        learnt = self.limits.configure(lane.limits, now_ms, lane.account)
        if learnt:
            self._shared.writer.learnt(learnt)
        self._health.configure(lane, now_ms)
        self._overflow.reset()
        self._receipts.configure(lane.channel)
        self._tune()
        self.parts = counter_of(lane)
        if (old.carrier, old.options, old.sender) != (lane.carrier, lane.options, lane.sender):
            self._stale = True
        self.wake()

    def cancel(self, message_id: str) -> QueuedMessage | None:
        """Takes a message back that has not left; None if it has, or is not here.

        One that its carrier has just now is not tried again, if it turns out not to have left.
        """
        message = self._shared.book.held.get(message_id)
        if message is not None and self.queue.cancel(message):
            return message
        waited = self._aside.cancel(message_id) or self._delayed.cancel(message_id)
        if waited is None and message is not None:
            message.called_back = True  # its carrier has it, and may refuse it for now
        return waited

    def remove(self) -> None:
        """The lane is defined no more: what waits in it has no route."""
        self.defined = False
        waiting = self.queue.clear()
        for aside in (self._aside, self._delayed):
            waiting += aside.pull(lambda _: True)
        for message in waiting:
            self._finish_removed(message)
        self._leave_turns()

    async def land(self) -> None:
        """Stops giving messages away; returns when none is in flight."""
        self._stopping = True
        self.wake()
        await self._flight.land()

    async def stop(self) -> None:
        """Ends the lane's work at once."""
        self._stopping = True
        self._loop.cancel()
        await self._flight.stop()
        await asyncio.gather(self._loop, return_exceptions=True)
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
            "account": self.lane.account,
            "waiting": self.queue.depths(),
            "retrying": self._aside.timed,
            "waiting_for_value": len(self._aside) - self._aside.timed,
            "delayed": len(self._delayed),
            "in_flight": self._flight.messages,
            "limits": [list(each) for each in self.limits.used(now_ms)],
            "values": self.limits.values(),
            "away": self.away[1] if self.away else "",
            **self._health.status(now_ms),
            "error": self.error,
            "counts": {**self.counts, "throttled": self._health.throttled},
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
        await self._flight.land()
        if self.carrier is not None:
            await self.carrier.stop()
            self.carrier = None
        self._stale = False
        if self._counted_by is not self.parts:
            self._counted_by = self.parts
            recount(self._shared.book.held.values(), self.workspace, self.lane.name, self.parts)
        try:
            carrier = registry.make(self._shared.setup(self.key, self.lane))
            inbound = partial(self._shared.inbound, self.key, self.lane)
            await carrier.start(self._receipts.take, inbound)
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
            if len(self._aside):
                for message in self._aside.due(now_ms):
                    self.queue.put_back(message)
                self.queue.outside = len(self._aside)
            if len(self._delayed):
                for message in self._delayed.due(now_ms):
                    self._look_again(message)
            if self.carrier is None:
                self._refuse_all()
                return None
            if self._overflow.send_elsewhere(now_ms):
                return now_ms
            free = limits.LANE_IN_FLIGHT_MESSAGES - self._flight.messages
            free = min(limits.SUBMIT_MESSAGES, free)
            healthy = self._health.room(now_ms)
            if free <= 0 or healthy <= 0:
                self._leave_turns()
                if free <= 0:
                    return None
                return self._held_until(self._health.next_ms(now_ms), now_ms)
            room = self.limits.room(now_ms)
            only = -1
            turns = self._turns
            if turns is not None and not turns.alone(self.key) and room.pace > 0:
                turns.want(self.key, self._contender)
                only, quota = turns.turn(self.key, self.limits.meters)
                if only < 0:
                    return self._held_until(now_ms + self._grain_ms, now_ms)
                room = Room(min(room.pace, quota), room.units, room.messages)
            admit = self._admit if self.limits.keyed else None
            waiting = len(self.queue)
            taken, expired = self.queue.take(min(free, healthy), room, now_ms, admit, only)
            for message in expired:
                self._expire(message)
            if taken:
                if turns is not None and only >= 0:
                    turns.spent(self.key, only, sum([message.units for message in taken]))
                self._give(self.carrier, taken, now_ms)
            elif len(self.queue) == waiting:
                again_ms = self._next_look(now_ms)
                if again_ms != _NOW:
                    return again_ms

    def _give(self, carrier: Carrier, taken: list[QueuedMessage], now_ms: int) -> None:
        """Sends off a batch: what the guard lets through."""
        screen = self._shared.screen
        messages = screen.pass_through(taken, self.lane, now_ms, self._finish, self._delay)
        if len(messages) < len(taken) and self.limits.keyed:
            passed = {message.id for message in messages}
            for message in taken:
                if message.id not in passed:
                    self.limits.dismiss(message, now_ms)
        if messages:
            self._flight.give(carrier, self.lane, messages, now_ms)

    def _next_look(self, now_ms: int) -> int | None:
        """Nothing may leave now: when that changes by time alone, or `_NOW`."""
        message, expired = self.queue.first(now_ms)
        for each in expired:
            self._expire(each)
        if message is None:
            self._leave_turns()
            return _earliest(self._aside.next_ms(), self._delayed.next_ms())
        if message.units > self.limits.largest:
            self.queue.cancel(message)
            why = f"its {message.units} segments can never fit into the limit of"
            self._finish(message, Reason.NO_ROUTE, "", f"{why} {self.limits.largest}")
            return _NOW
        limit = self.limits.capped(message.units, now_ms)
        if limit is not None:
            opens_ms = self.limits.ends_ms(limit, message.units, now_ms)
            if self._overflow.at_limit(message, limit, opens_ms):
                self.queue.cancel(message)
                return _NOW
        if self._turns is not None:
            self._turns.want(self.key, self._contender)
        earliest_ms = self.limits.earliest(message.units, now_ms)
        return self._held_until(max(earliest_ms, now_ms + self._grain_ms), now_ms)

    def _held_until(self, until_ms: int | None, now_ms: int) -> int:
        """When to look again at a lane that is held up: also for what is aside or has expired."""
        if now_ms - self._swept_ms >= _SWEEP_MS:
            self._swept_ms = now_ms
            late = self._aside.pull(lambda message: message.expires_ms <= now_ms)
            for message in self.queue.expire(now_ms) + late:
                self._expire(message)
        next_ms = _earliest(until_ms, self._aside.next_ms(), self._delayed.next_ms())
        sweep_ms = self._swept_ms + _SWEEP_MS
        return sweep_ms if next_ms is None else min(next_ms, sweep_ms)

    # Limits that do not let a message wait in front of the lane.

    def _value_of(self, message: QueuedMessage, per: str) -> str:
        return self._shared.value_of(message, per, self.lane.sender)

    def _admit(self, message: QueuedMessage) -> bool:
        """Whether the limits per recipient, country … have room; if not, the message waits."""
        now_ms = self._shared.clock.now_ms()
        blocked = self.limits.admit(message, now_ms)
        if blocked is None:
            return True
        limit = blocked.limit
        if limit.waits or not self._overflow.at_limit(message, limit, blocked.ready_ms):
            self._aside.behind(message, blocked)
        return False

    # Messages that the fraud guard looks at twice.

    def _delay(self, message: QueuedMessage, look: SecondLook) -> None:
        """Lets a message wait for another look; its shard is told why, again after a restart."""
        self.counts["fraud_delayed"] += 1
        self._delayed.until(message, min(look.until_ms, message.expires_ms))
        told = commands.receipt(
            message.key, message.id, Reason.FRAUD_DELAYED, look.since_ms, False, "", message.lane,
            look.code, look.why,
        )  # fmt: skip
        self._shared.book.reporter.add(message.shard, told)

    def _look_again(self, message: QueuedMessage) -> None:
        """It has waited: it goes on, and the guard looks at it when it is about to leave."""
        if message.last or self.away is None:
            self.queue.put_back(message)
        else:
            self._finish(message, self.away[0], message.code, self.away[1])

    def _undelivered(self, message_id: str) -> None:
        """A receipt says that a message never came: a code that did not says nothing of fraud."""
        self._shared.screen.undelivered(message_id, self._shared.clock.now_ms())

    # Lanes that share limits.

    def _leave_turns(self) -> None:
        if self._turns is not None:
            self._turns.leave(self.key)

    def _hindered(self) -> "frozenset[object] | None":
        """What keeps the lane from sending now; None if that is not what its account shares."""
        now_ms = self._shared.clock.now_ms()
        busy = self._flight.messages >= limits.LANE_IN_FLIGHT_MESSAGES
        if self.carrier is None or self._stopping or busy or not self._health.room(now_ms):
            return None
        message, expired = self.queue.first(now_ms)
        for each in expired:
            self._expire(each)
        return self.limits.hindered(message.units, now_ms) if message is not None else None

    def _refuse_all(self) -> None:
        self._leave_turns()
        for message in self.queue.clear():
            self._finish(message, Reason.NO_ROUTE, "", self.error)

    def _tune(self) -> None:
        """Takes two figures from the limits.

        The queue holds what the lane can send in ten hours. And a lane that is held up sleeps at
        least a while, so that it works in batches; that costs half a percent of the rate at most.
        """
        sliding = [limit for limit in self.limits.limits if limit.zone is None and not limit.per]
        capacity = limits.LANE_QUEUE_MESSAGES
        for limit in sliding:
            in_queue = limit.units * limits.LANE_QUEUE_S * 1_000 // limit.window_ms
            capacity = min(capacity, in_queue)
        self.queue.resize(max(capacity, limits.OFFER_MESSAGES))
        shortest_ms = min((limit.window_ms for limit in sliding), default=0)
        self._grain_ms = max(1, min(20, shortest_ms // 200))
        account = self.lane.account
        turns = self._shared.turns(account) if account and self.limits.shares else None
        if turns is not self._turns:
            self._leave_turns()
            self._turns = turns

    def _retry(self, message: QueuedMessage, now_ms: int, wait_ms: int) -> None:
        if message.called_back:
            self._finish(message, Reason.CANCELLED, message.code, "")
            return
        if not self.defined:
            self._finish_removed(message)
            return
        away = "" if message.last else self._health.away(now_ms)
        if away:
            self._finish(message, Reason.CARRIER_UNAVAILABLE, message.code, away)
            return
        paused_ms = self._health.paused_until_ms
        due_ms = now_ms + backoff.delay_ms(message.failures, f"{self._shared.seed}{message.id}")
        due_ms = max(due_ms, paused_ms) if message.failures else paused_ms
        due_ms = max(due_ms, now_ms + wait_ms)
        if due_ms >= message.expires_ms:
            self._expire(message)
            return
        self.counts["retries"] += 1
        self._aside.until(message, due_ms)
        self.wake()

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

    def _ended(self, task: "asyncio.Task[None]") -> None:
        error: BaseException | None
        if task.cancelled():
            error = None if self._stopping else asyncio.CancelledError("nobody has stopped it")
        else:
            error = task.exception()
        if error is not None:
            _log.error("lane %s ends", self.key, exc_info=error)
            self._shared.fail(error)


def _earliest(*times_ms: int | None) -> int | None:
    """The first of some times, if there is any."""
    return min((at_ms for at_ms in times_ms if at_ms is not None), default=None)
