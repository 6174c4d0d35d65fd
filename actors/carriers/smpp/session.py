"""One SMPP session: a connection that is bound, with requests in flight, until it ends.

Answers are matched with requests by sequence number and by what they answer: an answer to something
else says nothing about a request, which then waits on. A generic_nack refuses what it answers,
whatever its status. What has no answer when the connection ends, or after the time-out, is handed
back as lost. What the carrier brings is confirmed by its owner, when
that is done, and not here: a receipt that is confirmed is the carrier's to forget.

A session that hears nothing asks with enquire_link, and ends if nothing is heard still. All waiting
is in real time, whatever the node's clock shows: the other side lives in it.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar, cast

from smpp34 import DeliverSm, SmppError, decode

from actors.carriers.smpp import pdu

Ticket = TypeVar("Ticket")
_log = logging.getLogger("denrei.smpp")

_TICKS: Final = 4  # how often in a time-out the oldest requests are looked at
_GOODBYE_S: Final = 2.0  # how long an answer to unbind is waited for
_LATE: Final = 10_000  # requests that were given up, whose answer may still come


class Owner(Protocol[Ticket]):
    """Who a session tells. Nothing of it is called after `Session.close`."""

    def answered(self, ticket: Ticket, status: int, body: bytes) -> None:
        """A request has its answer."""

    def unanswered(self, ticket: Ticket, why: str) -> None:
        """A request has none: it may or may not have reached the carrier."""

    def answered_late(self, ticket: Ticket, status: int, body: bytes) -> None:
        """A request that was told to have no answer has one."""

    def brought(self, session: "Session[Ticket]", arrived: list[tuple[int, DeliverSm]]) -> None:
        """The carrier has brought these; each sequence number is to be confirmed."""

    def writable(self) -> None:
        """There may be room for more requests."""


class Session(asyncio.Protocol, Generic[Ticket]):
    """See the module's text.

    Args:
        owner: Who is told.
        window: How many requests may be without an answer.
        response_s: How long a request may be.
        enquire_s: After how long without a word the carrier is asked for one.
    """

    def __init__(
        self, owner: Owner[Ticket], window: int, response_s: float, enquire_s: float
    ) -> None:
        self._owner = owner
        self._window = window
        self._response_s = response_s
        self._enquire_s = enquire_s
        self._loop = asyncio.get_running_loop()
        # Who waits, until when on the loop's clock, and the command of the answer.
        self._pending: dict[int, tuple[Ticket | asyncio.Future[tuple[int, bytes]], float, int]] = {}
        self._late: dict[int, tuple[Ticket, int]] = {}  # and the commands of their answers
        self._odd = False
        self._framer = pdu.Framer()
        self._transport: asyncio.Transport | None = None
        self._sequence = 0
        self._binding = 0
        self._blocked = False
        self._heard_at = self._loop.time()
        self._enquired = False
        self._tick: asyncio.TimerHandle | None = None
        self._out: list[bytes] = []
        self.bound = False
        self.ended: asyncio.Future[str] = self._loop.create_future()

    @property
    def room(self) -> int:
        """How many requests may be sent now."""
        if not self.bound or self._blocked:
            return 0
        return self._window - len(self._pending)

    @property
    def in_flight(self) -> int:
        """How many requests have no answer."""
        return len(self._pending)

    async def bind(self, command: int, body: bytes) -> tuple[int, str]:
        """Binds; the status and what the carrier calls itself.

        Raises:
            ConnectionError: The connection has ended.
            TimeoutError: There was no answer.
        """
        self._binding = self._sequence + 1
        async with asyncio.timeout(self._response_s):
            status, answer = await self._request(command, body)
        return status, pdu.text_of(answer)

    async def unbind(self) -> None:
        """Says goodbye, and ends."""
        if self.bound:
            self.bound = False
            try:
                async with asyncio.timeout(min(self._response_s, _GOODBYE_S)):
                    await self._request(pdu.UNBIND, b"")
            except (TimeoutError, ConnectionError):
                pass  # it is over either way
        self.close("unbound")

    def send(
        self, ticket: Ticket, encode: Callable[[int], bytes], command: int = pdu.SUBMIT_SM
    ) -> None:
        """Sends a request; the owner is told of its answer. `flush` lets it leave.

        Args:
            ticket: What the owner knows it by.
            encode: Makes the PDU of a sequence number.
            command: What it is.
        """
        sequence = self._next()
        self._out.append(encode(sequence))
        until = self._loop.time() + self._response_s
        self._pending[sequence] = (ticket, until, command | pdu.RESPONSE)

    def flush(self) -> None:
        """Writes what `send` and `confirm` have laid ready."""
        if self._out and self._transport is not None:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def confirm(self, sequences: list[int], status: int = pdu.OK) -> None:
        """Answers what the carrier has brought."""
        if self._transport is None:
            return
        answer = pdu.DELIVER_SM | pdu.RESPONSE
        body = b"\0" if status == pdu.OK else b""
        self._out += [pdu.frame(answer, sequence, body, status) for sequence in sequences]
        self.flush()

    def close(self, why: str, abort: bool = False) -> None:
        """Ends the session; what has no answer is lost.

        Args:
            why: What the owner and the status are told.
            abort: Whether what is not written yet is of no use any more.
        """
        self.bound = False
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        transport, self._transport = self._transport, None
        if transport is not None:
            if abort:
                transport.abort()
            else:
                transport.close()
        if self.ended.done():
            return
        self.ended.set_result(why)
        pending, self._pending = self._pending, {}
        for waiting, _, _ in pending.values():
            if isinstance(waiting, asyncio.Future):
                if not waiting.done():
                    waiting.set_exception(ConnectionResetError(why))
            else:
                self._owner.unanswered(waiting, why)

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)
        self._look()

    def connection_lost(self, error: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self.close(f"the connection broke: {error}" if error else "the carrier has hung up")

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._blocked = True

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._blocked = False
        self._owner.writable()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._heard_at = self._loop.time()
        self._enquired = False
        brought: list[tuple[int, DeliverSm]] = []
        try:
            for frame in self._framer.feed(data):
                self._take(frame, brought)
        except SmppError as error:
            self.close(f"the carrier speaks no SMPP: {error}", abort=True)
            return
        if brought:
            self._owner.brought(self, brought)
        self._owner.writable()
        self.flush()

    # Frames.

    def _take(self, frame: bytes, brought: list[tuple[int, DeliverSm]]) -> None:
        _, command, status, sequence = pdu.head_at(frame)
        if command & pdu.RESPONSE:
            self._answered(command, sequence, status, frame[pdu.HEADER_BYTES :])
        elif command == pdu.DELIVER_SM:
            self._brought(frame, sequence, brought)
        elif command == pdu.ENQUIRE_LINK:
            self._out.append(pdu.frame(pdu.ENQUIRE_LINK | pdu.RESPONSE, sequence))
        elif command == pdu.UNBIND:
            self._out.append(pdu.frame(pdu.UNBIND | pdu.RESPONSE, sequence))
            self.flush()
            self.close("the carrier has unbound")
        elif command != pdu.ALERT_NOTIFICATION:
            self._out.append(pdu.frame(pdu.GENERIC_NACK, sequence, b"", pdu.RINVCMDID))

    def _brought(self, frame: bytes, sequence: int, brought: list[tuple[int, DeliverSm]]) -> None:
        if not self.bound:
            return  # it comes again
        try:
            brought.append((sequence, cast("DeliverSm", decode(frame))))
        except SmppError:
            self.confirm([sequence], pdu.RINVCMDLEN)

    def _answered(self, command: int, sequence: int, status: int, body: bytes) -> None:
        entry = self._pending.get(sequence)
        if entry is None:
            self._answered_late(command, sequence, status, body)
            return
        waiting, _, answer = entry
        if command != answer:
            if command != pdu.GENERIC_NACK:
                self._no_answer(command, sequence)
                return
            status = status or pdu.RUNKNOWNERR
        del self._pending[sequence]
        if isinstance(waiting, asyncio.Future):
            if sequence == self._binding and status == pdu.OK:
                self.bound = True  # what it brings may stand right behind the answer
            if not waiting.done():
                waiting.set_result((status, body))
        else:
            self._owner.answered(waiting, status, body)

    def _answered_late(self, command: int, sequence: int, status: int, body: bytes) -> None:
        ticket, answer = self._late.get(sequence, (None, 0))
        if ticket is None or command not in (answer, pdu.GENERIC_NACK):
            return
        del self._late[sequence]
        if command != answer:
            status = status or pdu.RUNKNOWNERR
        self._owner.answered_late(ticket, status, body)

    def _no_answer(self, command: int, sequence: int) -> None:
        """The carrier has answered a request as if it were another: nothing is known of it."""
        if not self._odd:
            self._odd = True
            _log.warning("the carrier answers request %d with %#x: ignored", sequence, command)

    async def _request(self, command: int, body: bytes) -> tuple[int, bytes]:
        if self._transport is None:
            raise ConnectionResetError("the session has ended")
        answer: asyncio.Future[tuple[int, bytes]] = self._loop.create_future()
        sequence = self._next()
        until = self._loop.time() + self._response_s
        self._pending[sequence] = (answer, until, command | pdu.RESPONSE)
        self._out.append(pdu.frame(command, sequence, body))
        self.flush()
        return await answer

    def _next(self) -> int:
        while True:
            self._sequence = self._sequence % pdu.MOST_SEQUENCE + 1
            if self._sequence not in self._pending:
                return self._sequence

    # Time.

    def _look(self) -> None:
        """Gives up what is without an answer for too long, and asks whether anybody is there."""
        now = self._loop.time()
        period_s = min(self._response_s, self._enquire_s) / _TICKS
        self._tick = self._loop.call_later(period_s, self._look)
        self._give_up(now)
        silent_s = now - self._heard_at
        if self._enquired and silent_s >= self._enquire_s + self._response_s:
            self.close("the carrier is silent", abort=True)
        elif self.bound and not self._enquired and silent_s >= self._enquire_s:
            self._enquired = True
            self._out.append(pdu.frame(pdu.ENQUIRE_LINK, self._next()))
            self.flush()

    def _give_up(self, now: float) -> None:
        overdue: list[tuple[int, Any, int]] = []
        for sequence, (waiting, until, answer) in self._pending.items():
            if until > now:
                break  # they stand in the order in which they were sent
            overdue.append((sequence, waiting, answer))
        for sequence, waiting, answer in overdue:
            del self._pending[sequence]
            if isinstance(waiting, asyncio.Future):
                if not waiting.done():
                    waiting.set_exception(TimeoutError())
                continue
            if len(self._late) >= _LATE:
                del self._late[next(iter(self._late))]
            self._late[sequence] = (waiting, answer)
            self._owner.unanswered(waiting, f"no answer in {self._response_s:g} s")
        if overdue:
            self._owner.writable()
