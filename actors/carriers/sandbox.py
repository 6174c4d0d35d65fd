"""The sandbox carrier: a carrier that misbehaves on demand, for demos, tests and benchmarks.

It is part of the product: `carrier: sandbox` in a lane, with any of `SandboxOptions`. All that it
decides comes from a hash of its seed, the message's id and the attempt, so a run can be repeated.
It counts what it saw at the moment at which a real carrier would: somewhere inside the submit call.
`log` names a file in `senders/sandbox` of the store, to which every message it was given is
appended, in one write a batch, before `submit` returns; what a process wrote before a kill -9 can
be read after it. A line is
`id <tab> lane <tab> seen at ms <tab> units <tab> attempt <tab> outcome`, and the text if `bodies`
asks for it.
"""

import asyncio
import heapq
import itertools
import json
import os
from collections import deque
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from xxhash import xxh3_128_intdigest

from actors.carriers.base import (
    Callback,
    CallbackReply,
    CarrierMessage,
    CarrierReceipt,
    Deliver,
    Outcome,
    SubmitResult,
    TakeInbound,
    accepted,
    rejected,
    throttled,
    unknown,
)
from actors.carriers.registry import CarrierSetup, register
from actors.clock import Handle
from engine import limits
from engine.lanes.rates import UNLIMITED
from engine.reasons import Reason

Rate = Annotated[float, Field(ge=0, le=1)]
Span = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]]


class SandboxOptions(BaseModel):
    """How a sandbox carrier behaves.

    Attributes:
        latency_ms: From and to: how long a submit takes.
        reject: The share of messages rejected for good.
        fail: The share rejected for now.
        throttle: The share answered with "slow down".
        throttle_ms: How long it then wants peace.
        most: Units per `most_window_ms` above which it throttles by itself, as a carrier with
            a limit does; 0 for never.
        most_window_ms: The window of `most`.
        unknown: The share whose outcome is unknown (half of them were taken).
        receipts: Whether it tells of deliveries at all.
        receipt_ms: From and to: how late a receipt is.
        undelivered: The share of taken messages that do not arrive.
        lost: The share of receipts that are lost.
        duplicated: The share of receipts that come twice.
        early: The share of receipts that come before the submit has returned.
        log: The name of a file to append to; see the module's text.
        bodies: Whether a line of it ends with what the message said, as JSON.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    latency_ms: Span = (0, 0)
    reject: Rate = 0.0
    fail: Rate = 0.0
    throttle: Rate = 0.0
    throttle_ms: Annotated[int, Field(ge=0)] = 1_000
    most: Annotated[int, Field(ge=0)] = 0
    most_window_ms: Annotated[int, Field(gt=0)] = 1_000
    unknown: Rate = 0.0
    receipts: bool = True
    receipt_ms: Span = (0, 0)
    undelivered: Rate = 0.0
    lost: Rate = 0.0
    duplicated: Rate = 0.0
    early: Rate = 0.0
    log: Annotated[str, Field(pattern=r"^([A-Za-z0-9_][A-Za-z0-9._-]{0,99})?$")] = ""
    bodies: bool = False


class SeenUnits:
    """What a carrier saw, per millisecond, for the count per window. Bounded."""

    __slots__ = ("_ring", "dropped_until_ms", "units")

    def __init__(self, capacity: int = limits.SANDBOX_SEEN_MS) -> None:
        self._ring: deque[list[int]] = deque(maxlen=capacity)
        self.units = 0
        self.dropped_until_ms = 0

    def add(self, at_ms: int, units: int) -> None:
        """Counts units seen at a time; times do not go back."""
        ring = self._ring
        self.units += units
        if ring and ring[-1][0] == at_ms:
            ring[-1][1] += units
        else:
            if len(ring) == ring.maxlen:
                self.dropped_until_ms = ring[0][0]
            ring.append([at_ms, units])

    def max_in_any_window(self, window_ms: int) -> int:
        """The most units in any window [t, t + window) since `dropped_until_ms`; exact."""
        most = inside = 0
        first = iter(self._ring)
        oldest = next(first, None)
        for at_ms, units in self._ring:
            inside += units
            while oldest is not None and oldest[0] <= at_ms - window_ms:
                inside -= oldest[1]
                oldest = next(first, None)
            most = max(most, inside)
        return most

    def in_last(self, window_ms: int, now_ms: int) -> int:
        """The units in the window that ends now."""
        inside = 0
        for at_ms, units in reversed(self._ring):
            if at_ms <= now_ms - window_ms:
                break
            inside += units
        return inside


@register("sandbox", SandboxOptions)
class SandboxCarrier:
    """See the module's text."""

    def __init__(self, setup: CarrierSetup) -> None:
        options = SandboxOptions.model_validate(dict(setup.lane.options))
        self._options = options
        self._lane_key = setup.lane_key
        self._directory = setup.directory
        sliding = [limit for limit in setup.lane.limits if limit.zone is None]
        self._windows = sorted({limit.window_ms for limit in sliding})
        self._clock = setup.clock
        self._salt = f"{setup.seed}!{setup.lane_key}!"
        self._deliver: Deliver | None = None
        self._due: list[tuple[int, int, CarrierReceipt]] = []
        self._ties = itertools.count()
        self._ready: deque[CarrierReceipt] = deque()  # due already
        self._telling: set[asyncio.Task[None]] = set()
        self._untold = 0  # receipts on their way
        self._wake = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._log = -1
        self.seen = SeenUnits()
        self.counts = dict.fromkeys(Outcome, 0)
        self._plain = not any((
            options.reject, options.fail, options.throttle, options.unknown, options.undelivered,
            options.lost, options.duplicated, options.early, options.most, any(options.receipt_ms),
        ))  # fmt: skip

    async def start(self, deliver: Deliver, inbound: TakeInbound) -> None:
        """See `Carrier`."""
        self._deliver = deliver
        if self._options.log and self._directory is not None:
            folder = self._directory / "sandbox"  # whoever defines lanes writes nowhere else
            folder.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            self._log = os.open(folder / self._options.log, flags, 0o600)
        self._pump = asyncio.create_task(self._run(), name=f"sandbox {self._lane_key}")

    async def stop(self) -> None:
        """See `Carrier`."""
        if self._pump is not None:
            tasks = [self._pump, *self._telling]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._pump = None
        if self._log >= 0:
            os.close(self._log)
            self._log = -1

    async def callback(self, request: Callback) -> CallbackReply:
        """See `Carrier`; it tells its receipts by itself, so nobody calls it back."""
        return CallbackReply(404, "a sandbox carrier takes no call-backs")

    async def submit(self, batch: Sequence[CarrierMessage]) -> list[SubmitResult]:
        """See `Carrier`. Cost: about 1 µs a message when it behaves, 5 µs when it does not."""
        start_ms = end_ms = self._clock.now_ms()
        if self._options.latency_ms[1]:
            draw = _Draw(f"{self._salt}{batch[0].id}{batch[0].attempt}latency")
            latency_ms = draw.within(self._options.latency_ms)
            end_ms = start_ms + latency_ms
            await self._clock.sleep_until(start_ms + draw.within((0, latency_ms)))
        now_ms = self._clock.now_ms()
        results = self._plainly(batch, now_ms) if self._plain else self._badly(batch, now_ms)
        self._wake.set()
        self.seen.add(now_ms, sum([message.units for message in batch]))
        if self._log >= 0:
            self._write(batch, results, now_ms)
        if end_ms > now_ms:
            await self._clock.sleep_until(end_ms)
        return results

    def max_in_any_window(self, window_ms: int) -> int:
        """The most units it ever saw in any sliding window; see `SeenUnits`."""
        return self.seen.max_in_any_window(window_ms)

    def status(self) -> dict[str, Any]:
        """See `Carrier`."""
        return {
            "outcomes": {outcome.name: count for outcome, count in self.counts.items()},
            "units": self.seen.units,
            "receipts_waiting": self._waiting(),
            "most_in_window": {str(ms): self.max_in_any_window(ms) for ms in self._windows},
        }

    def _plainly(self, batch: Sequence[CarrierMessage], now_ms: int) -> list[SubmitResult]:
        taken, delivered = Outcome.ACCEPTED, Reason.DELIVERED
        self.counts[taken] += len(batch)
        results = [SubmitResult(taken, "sb-" + message.id) for message in batch]
        if self._options.receipts and self._waiting() < limits.SENT_IDS:
            self._ready.extend(
                [CarrierReceipt(result.provider_id, delivered, now_ms) for result in results]
            )
        return results

    def _badly(self, batch: Sequence[CarrierMessage], now_ms: int) -> list[SubmitResult]:
        options = self._options
        results = []
        room = UNLIMITED
        if options.most:
            room = options.most - self.seen.in_last(options.most_window_ms, now_ms)
        for message in batch:
            room -= message.units
            if room < 0:
                results.append(throttled(options.throttle_ms, "88", "message rate exceeded"))
                continue
            results.append(self._answer(message, now_ms))
        for result in results:
            self.counts[result.outcome] += 1
        return results

    def _answer(self, message: CarrierMessage, now_ms: int) -> SubmitResult:
        options = self._options
        draw = _Draw(f"{self._salt}{message.id}{message.attempt}")
        if draw.below(options.reject):
            return rejected("11", permanent=True, detail="invalid destination address")
        if draw.below(options.fail):
            return rejected("8", permanent=False, detail="system error")
        if draw.below(options.throttle):
            return throttled(options.throttle_ms, "88", "throttling error")
        provider_id = f"sb-{message.id}"
        if message.attempt:
            provider_id += f"-{message.attempt}"
        lost_answer = draw.below(options.unknown)
        if not lost_answer or draw.below(0.5):
            self._receipt(message, provider_id, draw, now_ms)
        if lost_answer:
            return unknown("timeout", "no answer within the deadline")
        return accepted(provider_id)

    def _receipt(
        self, message: CarrierMessage, provider_id: str, draw: "_Draw", now_ms: int
    ) -> None:
        options = self._options
        if not options.receipts or draw.below(options.lost):
            return
        late_ms = 0 if draw.below(options.early) else draw.within(options.receipt_ms)
        bad = draw.below(options.undelivered)
        receipt = CarrierReceipt(
            provider_id,
            Reason.UNDELIVERED if bad else Reason.DELIVERED,
            now_ms + late_ms,
            "absent subscriber" if bad else "",
            "",
            message.id,
        )
        self._later(receipt, now_ms + late_ms)
        if draw.below(options.duplicated):
            self._later(receipt, now_ms + late_ms + draw.within(options.receipt_ms))

    def _later(self, receipt: CarrierReceipt, at_ms: int) -> None:
        if self._waiting() < limits.SENT_IDS:
            heapq.heappush(self._due, (at_ms, next(self._ties), receipt))

    def _waiting(self) -> int:
        return len(self._due) + len(self._ready)

    async def _run(self) -> None:
        """Delivers what is due, in batches, several of which may be on their way."""
        timer: Handle | None = None
        while True:
            await self._wake.wait()
            self._wake.clear()
            if timer is not None:
                timer.cancel()
                timer = None
            now_ms = self._clock.now_ms()
            while self._due and self._due[0][0] <= now_ms:
                self._ready.append(heapq.heappop(self._due)[2])
            while self._ready and self._untold < limits.SANDBOX_UNTOLD:
                self._tell()
            if self._due:
                timer = self._clock.call_at(max(now_ms, self._due[0][0]), self._wake.set)

    def _tell(self) -> None:
        """Sends off a batch; tasks begin in the order of their making, so none overtakes."""
        room = limits.SANDBOX_UNTOLD - self._untold
        count = min(len(self._ready), room, limits.CALL_COMMANDS)
        receipts = [self._ready.popleft() for _ in range(count)]
        self._untold += count
        task = asyncio.get_running_loop().create_task(self._delivered(receipts))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _delivered(self, receipts: list[CarrierReceipt]) -> None:
        assert self._deliver is not None
        try:
            await self._deliver(receipts)
        finally:
            self._untold -= len(receipts)
            self._wake.set()

    def _write(
        self, batch: Sequence[CarrierMessage], results: Sequence[SubmitResult], now_ms: int
    ) -> None:
        lines = "".join(
            f"{message.id}\t{self._lane_key}\t{now_ms}\t{message.units}\t{message.attempt}\t"
            f"{result.outcome.name}{self._said(message)}\n"
            for message, result in zip(batch, results, strict=True)
        )
        os.write(self._log, lines.encode())

    def _said(self, message: CarrierMessage) -> str:
        return "\t" + json.dumps(message.body, ensure_ascii=False) if self._options.bodies else ""


class _Draw:
    """Random numbers of one message, 16 bits each, from hashes of its name."""

    __slots__ = ("_bits", "_left", "_name")

    def __init__(self, name: str) -> None:
        self._name = name
        self._bits = xxh3_128_intdigest(name.encode())
        self._left = 8

    def below(self, rate: float) -> bool:
        return self._next() < rate * 0x10000

    def within(self, span: tuple[int, int]) -> int:
        return span[0] + self._next() * (span[1] - span[0] + 1) // 0x10000

    def _next(self) -> int:
        if not self._left:
            self._name += "+"
            self._bits = xxh3_128_intdigest(self._name.encode())
            self._left = 8
        self._left -= 1
        bits = self._bits & 0xFFFF
        self._bits >>= 16
        return bits
