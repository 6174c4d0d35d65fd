"""Messages that people send to us by SMPP: their text read, their parts put together.

A part is not confirmed before its message is whole and journaled, so that a carrier whose session
breaks brings it again. But a carrier may wait with the second part until the first is confirmed;
so after a while a part is confirmed that is in memory only. A message whose parts do not all come
is given on as far as it came, after a longer while. Both waits are bounded, and so is the number
of parts that wait; past it the carrier is asked to come again.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct
from smpp34 import DeliverSm

from actors.carriers.base import Inbound
from actors.carriers.smpp import pdu
from actors.carriers.smpp.tracking import Arrival
from engine import limits
from engine.content import sms_coding

_UNCONFIRMED_S: Final = 3.0  # how long a part alone is not confirmed
_INCOMPLETE_S: Final = 300.0  # and how long the others are waited for


class _Waiting(Struct, gc=False):
    """The parts of one message that are there.

    Attributes:
        at_ms: When the first of them came.
        texts: By their number, from 1.
        arrivals: Those of the parts that are not confirmed.
        timer: When the wait is over.
    """

    parts: int
    at_ms: int
    texts: dict[int, str]
    arrivals: list[Arrival]
    timer: Any = None


class InboundParts:
    """See the module's text.

    Args:
        alphabet: The carrier's default alphabet: `gsm` or `latin1`.
        take: Takes a message, and what is to be confirmed once it is journaled.
        confirm: Confirms what is not journaled, with a status.
    """

    def __init__(
        self,
        alphabet: str,
        take: Callable[[Inbound, list[Arrival]], None],
        confirm: Callable[[list[Arrival], int], None],
    ) -> None:
        self._alphabet = alphabet
        self._take = take
        self._confirm = confirm
        self._waiting: dict[tuple[str, str, int, int], _Waiting] = {}
        self._held = 0

    def __len__(self) -> int:
        return self._held

    def arrived(self, message: DeliverSm, arrival: Arrival, at_ms: int) -> None:
        """Takes in a message, or a part of one, and when it came first."""
        payload = message.short_message
        if not payload:
            payload = pdu.value_of(message.tlvs, pdu.MESSAGE_PAYLOAD) or b""
        start, reference, parts, number = 0, 0, 0, 0
        if message.esm_class & pdu.UDH:
            start, reference, parts, number = sms_coding.header_of(payload)
        else:
            reference, parts, number = _sar(message)
        text = sms_coding.decode(message.data_coding, payload[start:], self._alphabet)
        if parts <= 1:
            inbound = _inbound(message.source_addr, message.destination_addr, text, at_ms)
            self._take(inbound, [arrival])
            return
        key = (message.source_addr, message.destination_addr, reference, parts)
        self._part(key, number, text, arrival, at_ms)

    def close(self) -> None:
        """Waits for nothing any more: what is not confirmed comes again."""
        for waiting in self._waiting.values():
            waiting.timer.cancel()
        self._waiting.clear()
        self._held = 0

    def _part(
        self, key: tuple[str, str, int, int], number: int, text: str, arrival: Arrival, at_ms: int
    ) -> None:
        waiting = self._waiting.get(key)
        if self._held >= limits.SMPP_INBOUND_PARTS and waiting is None:
            self._confirm([arrival], pdu.RX_T_APPN)
            return
        loop = asyncio.get_running_loop()
        if waiting is None:
            waiting = self._waiting[key] = _Waiting(key[3], at_ms, {}, [])
        else:
            waiting.timer.cancel()
        if number not in waiting.texts:
            self._held += 1
        waiting.texts[number] = text
        waiting.at_ms = min(waiting.at_ms, at_ms)
        waiting.arrivals.append(arrival)
        if len(waiting.texts) == waiting.parts:
            self._whole(key)
        else:
            waiting.timer = loop.call_later(_UNCONFIRMED_S, self._reassure, key)

    def _reassure(self, key: tuple[str, str, int, int]) -> None:
        """The others may wait for a word on these."""
        waiting = self._waiting[key]
        arrivals, waiting.arrivals = waiting.arrivals, []
        self._confirm(arrivals, pdu.OK)
        loop = asyncio.get_running_loop()
        waiting.timer = loop.call_later(_INCOMPLETE_S, self._whole, key)

    def _whole(self, key: tuple[str, str, int, int]) -> None:
        waiting = self._waiting.pop(key)
        self._held -= len(waiting.texts)
        text = "".join(waiting.texts[number] for number in sorted(waiting.texts))
        values = None
        if len(waiting.texts) < waiting.parts:
            values = {"parts": f"{len(waiting.texts)} of {waiting.parts}"}
        self._take(_inbound(key[0], key[1], text, waiting.at_ms, values), waiting.arrivals)


def _inbound(
    source: str, destination: str, text: str, at_ms: int, values: dict[str, str] | None = None
) -> Inbound:
    return Inbound("", _number(source), _number(destination), text, at_ms, (), values)


def _number(address: str) -> str:
    """A long number in the form that we write numbers in; a name or a short code as it is."""
    digits = address.removeprefix("+")
    return f"+{digits}" if digits.isdecimal() and len(digits) > 8 else address


def _sar(message: DeliverSm) -> tuple[int, int, int]:
    """What optional parameters tell of a part: 5.3.2.22 to 24."""
    tlvs = message.tlvs
    if not tlvs:
        return 0, 0, 0
    reference, parts, number = (
        int.from_bytes(pdu.value_of(tlvs, tag) or b"", "big")
        for tag in (pdu.SAR_MSG_REF_NUM, pdu.SAR_TOTAL_SEGMENTS, pdu.SAR_SEGMENT_SEQNUM)
    )
    return (reference, parts, number) if 1 <= number <= parts <= 255 else (0, 0, 0)
