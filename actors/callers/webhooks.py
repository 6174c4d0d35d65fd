"""A caller: makes the webhooks that journeys ask for, and tells what was answered.

To the hosts it looks like a sender: they offer it webhooks through the same pump, it answers which
it took, and when its incarnation changes they offer all that is unsettled again. It writes nothing
down. What it has is in the outboxes until the answer is journaled, so a caller that dies loses
nothing, and a webhook may be made twice: it has the same id then, which is what receivers tell
repeats by.

A receiver (a host and port) gets a bounded number of requests at a time and in a second, and what
waits for it is bounded: past that its offers rest at the shards, and nobody else's do. An attempt
that found nobody, or was answered 429 or 5xx, is made again after a back-off, or when the receiver
asks for it, as often as the step says and as long as the run waits.
"""

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct
from msgspec.msgpack import Decoder

from actors.callers.http import Answer, WebhookClient
from actors.clock import Clock
from engine import commands, limits
from engine.backoff import delay_ms
from engine.errors import DenreiError
from engine.lanes.rates import Pacer
from engine.packing import pack
from engine.reasons import Reason

Report = Callable[[int, Sequence[commands.Command], int], Awaitable[bytes]]
"""Takes a shard, commands and about their size; one `Reason` byte a command once journaled."""

_LATER: Final = frozenset({Reason.OVERLOADED, Reason.UNAVAILABLE, Reason.DEADLINE})
_log = logging.getLogger("denrei.caller")


class Call(Struct, array_like=True, eq=False):
    """A webhook as it is offered; see `engine.journeys.calling.offer_of`."""

    id: str
    key: str
    workspace: str
    receiver: str
    channel: str
    url: str
    purpose: str
    body: str
    secret: str
    expires_ms: int
    method: str
    headers: list[tuple[str, str, str]]
    retries: int
    timeout_ms: int
    instance: str


_OFFERS: Final = Decoder(list[tuple[int, int, int, list[Call], dict[str, int]]])
_CANCELS: Final = Decoder(list[tuple[int, int, list[Call]]])


class _Receiver:
    """A host and port, and how much it gets."""

    __slots__ = ("calls", "pacer", "slots")

    def __init__(self, now_ms: int) -> None:
        self.calls = 0
        self.slots = asyncio.Semaphore(limits.WEBHOOK_AT_ONCE)
        self.pacer = Pacer(limits.WEBHOOK_PER_S, 1_000, now_ms)


class CallerCore:
    """One caller; see the module's text. It knows nothing of Ray.

    Args:
        clock: The clock by which runs wait; not one that events move.
        report: The way to the shards.
        client: Makes the requests.
        named: The secrets of each workspace, by name.
        event_time: Whether events move the shards' clocks: a webhook's time counts from its
            arrival here then.
    """

    def __init__(
        self,
        clock: Clock,
        report: Report,
        client: WebhookClient,
        named: Mapping[str, Mapping[str, str]],
        event_time: bool = False,
    ) -> None:
        self.incarnation = secrets.token_hex(8)
        self._clock = clock
        self._report = report
        self._client = client
        self._named = named
        self._event_time = event_time
        self._epochs: dict[int, int] = {}
        self._receivers: OrderedDict[str, _Receiver] = OrderedDict()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._answered: OrderedDict[str, None] = OrderedDict()
        self.counts = dict.fromkeys(
            ("offered", "full", "attempts", "answered", "failed", "taken_back"), 0
        )

    # --- what hosts call --------------------------------------------------------------------

    async def offer(self, batch: bytes) -> bytes:
        """Takes webhooks of the shards of a host; the form is that of `SenderCore.offer`.

        Durability: None: the shard's outbox keeps a webhook until its answer is journaled.
        """
        answers = [self._take(*part) for part in _OFFERS.decode(batch)]
        return pack([self.incarnation, answers])

    async def cancel(self, batch: bytes) -> None:
        """Lets go of webhooks that nobody waits for any more."""
        ended: list[asyncio.Task[None]] = []
        for shard, epoch, calls in _CANCELS.decode(batch):
            if epoch >= self._epochs.get(shard, -1):
                ended.extend(self._tasks[call.id] for call in calls if call.id in self._tasks)
        for task in ended:
            task.cancel()
        self.counts["taken_back"] += len(ended)
        await asyncio.gather(*ended, return_exceptions=True)

    async def configure(self, workspace: str, version: int, lanes: bytes) -> None:
        """Takes note of nothing: a webhook brings all that it needs."""

    async def forget(self, keys: bytes) -> None:
        """Nothing of anybody is kept here but what is under way, and that is called back."""

    def status(self) -> dict[str, Any]:
        """What it has and has done, as plain values."""
        return {"calls": len(self._tasks), "receivers": len(self._receivers), **self.counts}

    async def close(self) -> None:
        """Ends all work; what is not answered is offered again to the next incarnation."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.close()

    # --- one webhook ------------------------------------------------------------------------

    def _take(
        self, shard: int, epoch: int, shard_now_ms: int, calls: list[Call], _: dict[str, int]
    ) -> tuple[str, bytes, int]:
        if epoch < self._epochs.get(shard, -1):
            return "stale_epoch", b"", 0
        self._epochs[shard] = epoch
        self.counts["offered"] += len(calls)
        admissions = bytes(self._admit(shard, shard_now_ms, call) for call in calls)
        full = admissions.count(Reason.QUEUE_FULL)
        self.counts["full"] += full
        return "ok", admissions, limits.WEBHOOK_OFFER_PAUSE_MS if full else 0

    def _admit(self, shard: int, shard_now_ms: int, call: Call) -> Reason:
        if call.id in self._tasks or call.id in self._answered:
            return Reason.DUPLICATE
        if len(self._tasks) >= limits.WEBHOOK_CALLS:
            return Reason.QUEUE_FULL
        now_ms = self._clock.now_ms()
        receiver = self._receivers.get(call.receiver)
        if receiver is None:
            receiver = self._receivers[call.receiver] = _Receiver(now_ms)
        self._receivers.move_to_end(call.receiver)
        if receiver.calls >= limits.WEBHOOK_CALLS_PER_RECEIVER:
            return Reason.QUEUE_FULL
        # The two clocks may show different times: what is carried over is the remaining time.
        left_ms = call.timeout_ms if self._event_time else call.expires_ms - shard_now_ms
        receiver.calls += 1
        work = self._run(shard, call, receiver, now_ms + left_ms)
        task = asyncio.get_running_loop().create_task(work, name=f"webhook {call.id}")
        self._tasks[call.id] = task
        task.add_done_callback(lambda _: self._ended(call))
        return Reason.QUEUED

    def _ended(self, call: Call) -> None:
        del self._tasks[call.id]
        self._receivers[call.receiver].calls -= 1
        if len(self._receivers) > limits.WEBHOOK_RECEIVERS:
            idle = next((name for name, one in self._receivers.items() if not one.calls), None)
            if idle is not None:  # there are at most as many others as there are calls
                del self._receivers[idle]

    async def _run(self, shard: int, call: Call, receiver: _Receiver, until_ms: int) -> None:
        try:
            answer, attempts = await self._ask(call, receiver, until_ms)
            await self._tell(shard, call, answer, attempts)
        except Exception:
            _log.exception("webhook %s to %s can't be made", call.id, call.receiver)

    async def _ask(self, call: Call, receiver: _Receiver, until_ms: int) -> tuple[Answer, int]:
        """The last answer, and after how many attempts."""
        loop = asyncio.get_running_loop()
        attempts = 0
        last = Answer(0, None, 0, "no answer before its time was up", again=False)
        scope = asyncio.timeout(None)
        alarm = self._clock.call_at(until_ms, lambda: scope.reschedule(loop.time()))
        try:
            async with scope:
                while True:
                    attempts += 1
                    last = await self._attempt(call, receiver)
                    if not last.again or attempts > call.retries:
                        break
                    pause_ms = max(delay_ms(attempts, call.id), last.after_ms)
                    if self._clock.now_ms() + pause_ms >= until_ms:
                        break
                    await self._clock.sleep_until(self._clock.now_ms() + pause_ms)
        except TimeoutError:
            pass  # what is known best is the answer before
        finally:
            alarm.cancel()
        return last, attempts

    async def _attempt(self, call: Call, receiver: _Receiver) -> Answer:
        """One attempt, when it is its receiver's turn."""
        async with receiver.slots:
            while not receiver.pacer.room(self._clock.now_ms()):
                await self._clock.sleep_until(receiver.pacer.ready_ms())
            receiver.pacer.take(1, self._clock.now_ms())
            known = self._named.get(call.workspace, {})
            for name in (call.secret, *(secret for _, _, secret in call.headers)):
                if name and name not in known:
                    why = f"the settings have no webhook secret {name!r} for this workspace"
                    return Answer(0, None, 0, why, again=False)
            self.counts["attempts"] += 1
            headers = [(n, text + known[s] if s else text) for n, text, s in call.headers]
            return await self._client.attempt(
                call.id, call.method, call.url, headers, call.body, known.get(call.secret, "")
            )

    async def _tell(self, shard: int, call: Call, answer: Answer, attempts: int) -> None:
        """Tells the shard, until the answer is journaled."""
        self.counts["failed" if answer.error else "answered"] += 1
        command = _called(call, answer, attempts)
        size = len(command[5]) + len(command[6]) + len(command[7]) + 300
        pause_s = limits.REPORT_PAUSE_S
        while True:
            try:
                results = await self._report(shard, [command], size)
            except DenreiError as error:
                _log.warning("shard %d takes no answers: %s", shard, error)
            else:
                if results[0] not in _LATER:
                    break
            await asyncio.sleep(pause_s)
            pause_s = min(limits.REPORT_LONGEST_PAUSE_S, pause_s * 2)
        self._answered[call.id] = None
        if len(self._answered) > limits.WEBHOOK_ANSWERED:
            self._answered.popitem(last=False)


def _called(call: Call, answer: Answer, attempts: int) -> commands.Command:
    saved: dict[str, Any] = {"status": answer.status}
    words = "1 attempt" if attempts == 1 else f"{attempts} attempts"
    if answer.body is not None:
        saved["body"] = answer.body
        words += f", {answer.size_bytes} bytes"
    elif answer.size_bytes > limits.WEBHOOK_ANSWER_BYTES:
        words += f", more than {limits.WEBHOOK_ANSWER_BYTES} bytes, which are left out"
    elif answer.size_bytes:
        words += f", {answer.size_bytes} bytes that are no JSON and no text"
    error = answer.error[: limits.ERROR_CHARS]
    if error:
        saved["error"] = error
    return commands.called(
        call.key, call.id, call.instance, answer.status, pack(saved), words, error
    )
