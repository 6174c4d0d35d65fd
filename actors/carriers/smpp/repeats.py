"""What people sent and we could not confirm: the carrier brings it again, and it counts once.

A deliver_sm has no id of its own, so a repeat is known by what it says: from whom, to whom, and
the text as it was coded. Somebody may well say the same thing twice, so only as many repeats are
looked for as there were deliveries which the carrier cannot know to be taken: those whose session
ended before they were confirmed, and those that were answered with a status that asks for them
again. Each stands for one repeat, for a while.

A repeat of what is still being journaled is confirmed with it; of what was journaled since, at
once; and of what may or may not have been journaled, it is taken in with the time of the first, by
which its shard knows that it is the same message.
"""

import asyncio
from collections import deque
from typing import Final, NamedTuple

from msgspec import Struct
from smpp34 import DeliverSm
from xxhash import xxh3_128_digest

from actors.carriers.smpp import pdu
from actors.carriers.smpp.tracking import Arrival
from engine import limits
from engine.packing import pack

_TAGS: Final = (
    pdu.MESSAGE_PAYLOAD, pdu.SAR_MSG_REF_NUM, pdu.SAR_TOTAL_SEGMENTS, pdu.SAR_SEGMENT_SEQNUM,
)  # fmt: skip


class _Taken(Struct, gc=False):
    """What is not confirmed yet.

    Attributes:
        print: What it says.
        at_ms: When it came first.
        latest: What is to be confirmed: the repeat, once there is one.
    """

    print: bytes
    at_ms: int
    latest: Arrival


class _Owed(Struct, gc=False):
    """A repeat that is looked for.

    Attributes:
        print: What it says.
        at_ms: When it came first.
        until: How long it is looked for, on the loop's clock.
        journaled: Whether the first is journaled for certain.
    """

    print: bytes
    at_ms: int
    until: float
    journaled: bool


class Seen(NamedTuple):
    """What is to be done with a delivery.

    Attributes:
        at_ms: When it came first; None if it is not to be taken in.
        over: What is to be answered at once, with no news in it; None for nothing.
    """

    at_ms: int | None
    over: Arrival | None = None


class Repeats:
    """See the module's text."""

    def __init__(self) -> None:
        self._open: dict[Arrival, _Taken] = {}
        self._by_print: dict[bytes, list[_Taken]] = {}
        self._owed: dict[bytes, deque[_Owed]] = {}
        self._order: deque[_Owed] = deque()  # the oldest first, and some that have come since

    def __len__(self) -> int:
        return sum(map(len, self._owed.values()))

    def arrived(self, message: DeliverSm, arrival: Arrival, now_ms: int) -> Seen:
        """Takes note of what the carrier has brought. Cost: 2 µs."""
        print_ = _print_of(message)
        alike = self._by_print.get(print_, ())
        for taken in alike:
            if _ended(taken.latest):
                lost, taken.latest = taken.latest, arrival
                return Seen(None, lost)
        owed = self._come(print_)
        if owed is not None and owed.journaled:
            return Seen(None, arrival)
        # Two that say the same in one moment are two: their shard tells them apart by the time.
        at_ms = max([now_ms, *(each.at_ms + 1 for each in alike)]) if owed is None else owed.at_ms
        taken = _Taken(print_, at_ms, arrival)
        self._open[arrival] = taken
        self._by_print.setdefault(print_, []).append(taken)
        return Seen(taken.at_ms)

    def settled(self, arrival: Arrival, status: int) -> Arrival:
        """What was brought is about to be answered.

        Args:
            arrival: What `arrived` was told; others are nothing to it.
            status: The answer.

        Returns:
            What is to be answered in its place.
        """
        taken = self._open.pop(arrival, None)
        if taken is None:
            return arrival
        alike = self._by_print[taken.print]
        alike[:] = [each for each in alike if each is not taken]
        if not alike:
            del self._by_print[taken.print]
        if status != pdu.OK or _ended(taken.latest):
            self._owe(taken, status == pdu.OK)
        return taken.latest

    def left(self) -> None:
        """The adapter has ended: of nothing that it had is it certain any more."""
        for taken in self._open.values():
            self._owe(taken, journaled=False)
        self._open.clear()
        self._by_print.clear()
        for alike in self._owed.values():
            for owed in alike:
                owed.journaled = False  # it may have been a part, which was in memory only

    def _owe(self, taken: _Taken, journaled: bool) -> None:
        now = asyncio.get_running_loop().time()
        self._expire(now, limits.SMPP_REPEATS - 1)
        owed = _Owed(taken.print, taken.at_ms, now + limits.SMPP_REPEAT_S, journaled)
        self._order.append(owed)
        self._owed.setdefault(taken.print, deque()).append(owed)

    def _come(self, print_: bytes) -> _Owed | None:
        """The repeat that was looked for longest, which is looked for no more."""
        if not self._order:
            return None
        self._expire(asyncio.get_running_loop().time(), limits.SMPP_REPEATS)
        alike = self._owed.get(print_)
        if alike is None:
            return None
        owed = alike.popleft()
        if not alike:
            del self._owed[print_]
        return owed

    def _expire(self, now: float, most: int) -> None:
        order = self._order
        while order and (order[0].until <= now or len(order) > most):
            oldest = order.popleft()
            alike = self._owed.get(oldest.print)
            if alike is not None and alike[0] is oldest:
                alike.popleft()
                if not alike:
                    del self._owed[oldest.print]


def _print_of(message: DeliverSm) -> bytes:
    """What stands for all that a delivery says, without what may differ in its repeat."""
    tlvs = message.tlvs
    values = [pdu.value_of(tlvs, tag) for tag in _TAGS] if tlvs else []
    fields = [
        message.source_addr, message.destination_addr, message.esm_class, message.data_coding,
        message.short_message, values,
    ]  # fmt: skip
    return xxh3_128_digest(pack(fields))


def _ended(arrival: Arrival) -> bool:
    return bool(arrival[0].ended.done())
