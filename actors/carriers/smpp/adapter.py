"""A carrier that is reached by SMPP 3.4, the protocol of message centres.

`carrier: smpp` in a lane, with `SmppOptions`. Binds are kept alive by themselves; messages go to
whichever has room in its window. What a submit may answer is exact: a message that never left has
FAILED, one that left without an answer is UNKNOWN, and a late answer resolves it. A receipt or a
person's message is confirmed to the carrier only when it is journaled.
"""

import asyncio
import itertools
import logging
from collections import defaultdict, deque
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any, Final

from smpp34 import DeliverSm

from actors.carriers.base import (
    Callback,
    CallbackReply,
    CarrierMessage,
    CarrierReceipt,
    Deliver,
    Inbound,
    Outcome,
    SubmitResult,
    TakeInbound,
    unknown,
)
from actors.carriers.registry import CarrierSetup, register
from actors.carriers.smpp import pdu
from actors.carriers.smpp.inbound import InboundParts
from actors.carriers.smpp.left import left_for
from actors.carriers.smpp.link import Link
from actors.carriers.smpp.options import SmppOptions
from actors.carriers.smpp.queries import Queries, Query, told_by
from actors.carriers.smpp.receipts import is_receipt, plain, read
from actors.carriers.smpp.session import Session
from actors.carriers.smpp.submits import Batch, Job, SubmitWriter
from actors.carriers.smpp.tracking import NO_ARRIVAL, Arrival, Known, Tracking
from engine import limits
from engine.reasons import Reason

Ticket = tuple[Job, int] | Query
_RETRIES: Final = 3  # of parts that were refused for now, of a message of which others were taken
_RETRY_S: Final = 1.0
_log = logging.getLogger("denrei.smpp")
# Before the lane stops waiting, which would make even what has not left unknown.
_SUBMIT_S: Final = limits.SUBMIT_TIMEOUT_S - 3.0
_OUTCOMES: Final = {outcome: outcome.name for outcome in Outcome}  # a name is found slowly
_SLOW: Final = SubmitResult(Outcome.THROTTLED, "", "slow", "the carrier answers too slowly")
_NOT_BOUND: Final = SubmitResult(Outcome.FAILED, "", "not_bound", "there is no bind to the carrier")


@register("smpp", SmppOptions)
class SmppCarrier:
    """See the module's text."""

    def __init__(self, setup: CarrierSetup) -> None:
        options = SmppOptions.model_validate(dict(setup.lane.options))
        password = setup.secret(options.password) if options.password is not None else ""
        self._options = options
        self._clock = setup.clock
        self._writer = SubmitWriter(options)
        self._answers = pdu.Answers(options.rejects, options.throttles)
        commands = [pdu.BIND_TRANSCEIVER]
        if options.bind == "separate":
            commands = [pdu.BIND_TRANSMITTER, pdu.BIND_RECEIVER]
        self._links: list[Link[Ticket]] = [
            Link(self, options, password, command, f"{setup.lane_key} {number}")
            for number in range(options.binds)
            for command in commands
        ]
        self._queue: deque[Job] = deque()
        self._batches = itertools.count(1)
        self._reference = setup.clock.now_ms()  # of messages in parts; restarts differ
        left = left_for(setup, options)
        self._tracking = Tracking(left.ids, left.groups, setup.clock)
        self._repeats = left.repeats
        self._inbound = InboundParts(options.alphabet, self._heard, self._confirm_people)
        self._queries = Queries(options.query_ms / 1_000, self._ask)
        self._people: list[tuple[Inbound, list[Arrival]]] = []
        self._deliver: Deliver | None = None
        self._take: TakeInbound | None = None
        self._unconfirmed = 0
        self._down_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False
        self._counts: defaultdict[str, int] = defaultdict(int)  # a Counter adds slowly

    async def start(self, deliver: Deliver, inbound: TakeInbound) -> None:
        """See `Carrier`."""
        self._deliver, self._take = deliver, inbound
        for link in self._links:
            link.start()

    async def stop(self) -> None:
        """See `Carrier`."""
        self._stopped = True
        await asyncio.gather(*(link.stop() for link in self._links))
        self._inbound.close()
        self._tracking.forget()
        self._queries.close()
        if self._timer is not None:
            self._timer.cancel()
        while self._queue:
            self._give_up(self._queue.popleft(), _NOT_BOUND)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._repeats.left()

    async def callback(self, request: Callback) -> CallbackReply:
        """See `Carrier`; it is told everything by SMPP."""
        return CallbackReply(404, "an SMPP carrier takes no call-backs")

    async def submit(self, batch: Sequence[CarrierMessage]) -> list[SubmitResult]:
        """See `Carrier`. Cost: about 20 µs a message of one part."""
        if not batch:
            return []
        until = asyncio.get_running_loop().time() + self._options.wait_ms / 1_000
        waiting = Batch(next(self._batches), len(batch), until)
        jobs: list[Job] = []
        for place, message in enumerate(batch):
            parts = self._writer.parts(message, self._reference)
            if isinstance(parts, SubmitResult):
                self._counts[_OUTCOMES[parts.outcome]] += 1
                waiting.settle(place, parts)
                continue
            self._reference += len(parts) > 1
            jobs.append(Job(waiting, place, message, parts))
        self._tracking.begin(waiting.number, any(len(job.parts) > 1 for job in jobs))
        self._queue.extend(jobs)
        self._pump()
        try:
            async with asyncio.timeout(_SUBMIT_S):
                await waiting.done
        except TimeoutError:
            self._take_back(jobs)
        finally:
            waiting.gone = True
            self._tell(self._tracking.end(waiting.number))
        return waiting.results

    def _take_back(self, jobs: list[Job]) -> None:
        """The carrier is too slow for its window: what has not left waits in the lane."""
        self._queue = deque(job for job in self._queue if job.batch is not jobs[0].batch)
        for job in jobs:
            job.retries = _RETRIES
            self._give_up(job, _SLOW)

    def status(self) -> dict[str, Any]:
        """See `Carrier`."""
        return {
            "binds": [link.status() for link in self._links],
            "waiting": len(self._queue),
            "receipt_ids": self._tracking.dialect,
            "receipts_unconfirmed": self._unconfirmed,
            "parts_without_receipt": len(self._tracking),
            "queries": len(self._queries),
            "inbound_parts": len(self._inbound),
            "counts": dict(self._counts),
        }

    # Submits.

    def writable(self) -> None:
        """See `smpp_session.Owner`."""
        self._pump()

    def _pump(self) -> None:
        """Sends what there is room for."""
        queue = self._queue
        if not queue:
            return
        now_ms = self._clock.now_ms()
        sessions = [link.session for link in self._links if link.sends and link.session is not None]
        for session in sessions:
            room = session.room
            while room > 0 and queue:
                job = queue[0]
                if job.batch.gone:
                    self._give_up(queue.popleft(), _NOT_BOUND)
                    continue
                part = job.todo.pop()
                if not job.todo:
                    queue.popleft()
                session.send((job, part), partial(self._writer.write, job, part, now_ms))
                room -= 1
            session.flush()
        if sessions:
            self._down_at = None
        elif queue and self._timer is None:
            self._look_later()

    def _look_later(self) -> None:
        """Nobody is bound: what waits fails after a while."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._down_at is None:
            self._down_at = now
        until = max(self._queue[0].batch.until, self._down_at + self._options.wait_ms / 1_000)
        self._timer = loop.call_later(max(0.01, until - now), self._fail_waiting)

    def _fail_waiting(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._down_at is not None and self._queue and self._queue[0].batch.until <= now:
            self._give_up(self._queue.popleft(), _NOT_BOUND)
        self._pump()

    def _give_up(self, job: Job, result: SubmitResult) -> None:
        """What has not been sent of a message will not be."""
        if job.todo and job.give_up(result):
            self._settle(job)

    def answered(self, ticket: Ticket, status: int, body: bytes) -> None:
        """See `smpp_session.Owner`."""
        if isinstance(ticket, Query):
            self._asked(ticket, status, body)
            return
        job, part = ticket
        message_id = id_of(body) if status == pdu.OK else ""
        result = self._answers.result(status, message_id)
        if message_id:
            self._tracking.sent(message_id, job.message.to)
            if self._options.query_ms:
                source = self._writer.source(job.message)
                self._queries.sent(Query(pdu.text_of(body), message_id, source))
        elif result.outcome is Outcome.REJECTED and job.todo:
            job.give_up(result)
            self._queue.remove(job)
        if job.fate(part, result):
            self._settle(job)

    def unanswered(self, ticket: Ticket, why: str) -> None:
        """See `smpp_session.Owner`."""
        if isinstance(ticket, Query):
            self._queries.sent(ticket)
            return
        job, part = ticket
        if job.fate(part, unknown("no_answer", why)):
            self._settle(job)

    def answered_late(self, ticket: Ticket, status: int, body: bytes) -> None:
        """See `smpp_session.Owner`."""
        if isinstance(ticket, Query):
            return
        self._counts["late_answers"] += 1
        message_id = id_of(body) if status == pdu.OK else ""
        if message_id and len(ticket[0].parts) == 1:
            self._taken_late(ticket[0], message_id)

    def _taken_late(self, job: Job, message_id: str) -> None:
        """A message that nobody waits for any more was taken after all: its fate is known now."""
        self._tracking.sent(message_id, job.message.to)
        self._tracking.late(message_id, job.message.id)
        now_ms = self._clock.now_ms()
        receipt = CarrierReceipt(message_id, Reason.SENT, now_ms, "", "", job.message.id)
        self._spawn(self._delivered([Known(receipt, NO_ARRIVAL)]))

    def _settle(self, job: Job) -> None:
        """All parts of a message have a fate."""
        gone = job.batch.gone
        if len(job.parts) > 1:
            if job.retries < _RETRIES and not gone and not self._stopped and job.again():
                self._counts["parts_again"] += len(job.todo)
                asyncio.get_running_loop().call_later(_RETRY_S, self._again, job)
                return
            self._tracking.parts(job)
        result = job.result()
        self._counts[_OUTCOMES[result.outcome]] += 1
        job.batch.settle(job.place, result)
        if gone and result.provider_id and len(job.parts) == 1:
            self._taken_late(job, result.provider_id)

    def _again(self, job: Job) -> None:
        """Parts are sent again, before all else."""
        if self._stopped or job.batch.gone:
            self._give_up(job, _NOT_BOUND)
        else:
            self._queue.appendleft(job)
            self._pump()

    # Queries.

    def _ask(self, query: Query) -> bool:
        for link in self._links:
            session = link.session
            if session is not None and link.sends and session.room > 0:
                self._counts["queries"] += 1
                asked = query._replace(asked=query.asked + 1)
                session.send(asked, partial(pdu.query, asked.body()), pdu.QUERY_SM)
                session.flush()
                return True
        return False

    def _asked(self, query: Query, status: int, body: bytes) -> None:
        told = told_by(query, body) if status == pdu.OK else None
        if told is None:
            return
        if told.reason is Reason.SENT:
            self._queries.sent(query)
            return
        self._tell([self._tracking.asked(query.plain, told)])

    # What the carrier brings.

    def brought(self, session: Session[Ticket], arrived: list[tuple[int, DeliverSm]]) -> None:
        """See `smpp_session.Owner`."""
        if self._stopped:
            return  # not confirmed, so it comes again
        if self._unconfirmed + len(arrived) > limits.SMPP_RECEIPTS:
            self._counts["put_off"] += len(arrived)
            session.confirm([sequence for sequence, _ in arrived], pdu.RX_T_APPN)
            return
        self._unconfirmed += len(arrived)
        known: list[Known] = []
        now_ms = self._clock.now_ms()
        for sequence, message in arrived:
            arrival = (session, sequence)
            if not is_receipt(message):
                self._person(message, arrival, now_ms)
                continue
            told = read(message)
            each = self._tracking.take(told, arrival) if told else Known(None, arrival)
            if told is None:
                self._counts["receipts_unread"] += 1
            elif each is not None and each.receipt is not None and self._options.query_ms:
                self._queries.over(each.receipt.provider_id)
            if each is not None:
                known.append(each)
        self._tell(known)

    def _tell(self, known: list[Known]) -> None:
        """Tells receipts; what says nothing new is confirmed at once."""
        news = [each for each in known if each.receipt is not None]
        self._confirm([each.arrival for each in known if each.receipt is None], pdu.OK)
        if news and not self._stopped:
            self._spawn(self._delivered(news))

    async def _delivered(self, news: list[Known]) -> None:
        assert self._deliver is not None
        receipts = [each.receipt for each in news if each.receipt is not None]
        status = pdu.OK
        try:
            await self._deliver(receipts)
        except Exception:
            _log.exception("receipts were not taken")
            status = pdu.RX_T_APPN
        self._confirm([each.arrival for each in news], status)

    def _person(self, message: DeliverSm, arrival: Arrival, now_ms: int) -> None:
        """Somebody has sent us a message, or a part of one, or the carrier brings it again."""
        seen = self._repeats.arrived(message, arrival, now_ms)
        if seen.over is not None:
            self._counts["brought_again"] += 1
            self._confirm([seen.over], pdu.OK)
        if seen.at_ms is not None:
            self._inbound.arrived(message, arrival, seen.at_ms)

    def _heard(self, inbound: Inbound, arrivals: list[Arrival]) -> None:
        """Somebody has sent us a message; those of one moment are given on together."""
        if not self._people:
            asyncio.get_running_loop().call_soon(self._give_on)
        self._people.append((inbound, arrivals))

    def _give_on(self) -> None:
        people, self._people = self._people, []
        for at in range(0, len(people), limits.INBOUND_BATCH):
            self._spawn(self._taken(people[at : at + limits.INBOUND_BATCH]))

    async def _taken(self, people: list[tuple[Inbound, list[Arrival]]]) -> None:
        assert self._take is not None
        status = pdu.OK
        try:
            await self._take([inbound for inbound, _ in people])
        except Exception as error:
            _log.warning("messages of people were not taken: %s", error)
            status = pdu.RX_T_APPN
        self._confirm_people([each for _, arrivals in people for each in arrivals], status)

    def _confirm_people(self, arrivals: Sequence[Arrival], status: int) -> None:
        """Answers what people sent: where the carrier has brought it again, the repeat."""
        self._confirm([self._repeats.settled(each, status) for each in arrivals], status)

    def _confirm(self, arrivals: Sequence[Arrival], status: int) -> None:
        """Answers what the carrier brought, each in the session that brought it."""
        by_session: dict[Session[Ticket], list[int]] = {}
        for session, sequence in arrivals:
            if session is not None:
                by_session.setdefault(session, []).append(sequence)
        for session, sequences in by_session.items():
            self._unconfirmed -= len(sequences)
            session.confirm(sequences, status)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if self._stopped:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def id_of(body: bytes) -> str:
    """The id in an answer to a submit, in plain form; empty if the carrier gave none."""
    text = pdu.text_of(body)
    return plain(text) if text else ""
