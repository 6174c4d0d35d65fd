"""Messages on their way to an SMPP carrier: their parts, their requests, and what the answers mean.

A message is a `Job` of one or several parts, each a request of its own. Its result is known when
each part's fate is: taken, refused, or unknown. A part that was never sent was certainly not taken.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from smpp34 import SubmitSm, Tlv

from actors.carriers.base import (
    PART_SEPARATOR,
    CarrierMessage,
    Outcome,
    SubmitResult,
    rejected,
    unknown,
)
from actors.carriers.smpp import pdu
from actors.carriers.smpp.options import SmppOptions
from engine.content import sms_coding
from engine.content.sms_coding import UCS2_CODING, Part

_ADDRESS_CHARS: Final = 20
_SENDERS: Final = 1_000  # whose kind is remembered
_UNTAKEN: Final = frozenset({Outcome.REJECTED, Outcome.FAILED, Outcome.THROTTLED})
# The worst of them is what a message is of which nothing was taken.
_WORST: Final = (Outcome.REJECTED, Outcome.THROTTLED, Outcome.FAILED)


class Batch:
    """The messages of one submit.

    Args:
        number: Counts up with each.
        size: How many messages.
        until: When those that nobody could be given have failed; on the loop's clock.
    """

    __slots__ = ("done", "gone", "left", "number", "results", "until")

    def __init__(self, number: int, size: int, until: float) -> None:
        self.number = number
        self.left = size
        self.until = until
        self.gone = False  # nobody waits for it any more: what has not left must not leave
        self.results: list[SubmitResult] = [unknown("no_answer", "no answer in time")] * size
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(self, place: int, result: SubmitResult) -> None:
        """The fate of a message is known."""
        self.results[place] = result
        self.left -= 1
        if not self.left and not self.done.done():
            self.done.set_result(None)


class Job:
    """A message of a batch.

    Attributes:
        todo: The places of its parts that are still to be sent, the next one last.
        left: How many parts have no fate.
        fates: What is known of each part.
        retries: How often parts were sent again.
    """

    __slots__ = (
        "batch", "fates", "left", "message", "parts", "place", "retries", "todo",
    )  # fmt: skip

    def __init__(
        self, batch: Batch, place: int, message: CarrierMessage, parts: Sequence[Part]
    ) -> None:
        self.batch = batch
        self.place = place
        self.message = message
        self.parts = parts
        count = self.left = len(parts)
        self.todo = [0] if count == 1 else list(range(count - 1, -1, -1))
        self.fates: list[SubmitResult | None] = [None] * count
        self.retries = 0

    def fate(self, part: int, result: SubmitResult) -> bool:
        """Notes what became of a part; True if it was the last."""
        self.fates[part] = result
        self.left -= 1
        return not self.left

    def give_up(self, result: SubmitResult) -> bool:
        """What has not been sent will not be; True if nothing else is waited for."""
        while self.todo:
            self.fates[self.todo.pop()] = result
            self.left -= 1
        return not self.left

    def again(self) -> bool:
        """Lines up the parts that were refused for now, if others were taken; True if there are."""
        refused = [
            at
            for at, each in enumerate(self.fates)
            if each is not None and each.outcome in {Outcome.FAILED, Outcome.THROTTLED}
        ]
        taken = sum(each is not None and each.outcome is Outcome.ACCEPTED for each in self.fates)
        if not taken or taken + len(refused) < len(self.parts) or not refused:
            return False
        self.todo = refused[::-1]
        self.left = len(refused)
        self.retries += 1
        return True

    def ids(self) -> list[str]:
        """The carrier's ids of the parts that it has taken; some carriers give none."""
        return [each.provider_id for each in self.fates if each and each.provider_id]

    def result(self) -> SubmitResult:
        """The fate of the message, which is that of its parts."""
        first = self.fates[0]
        if first is not None and len(self.fates) == 1:
            return first
        fates = [each for each in self.fates if each is not None]
        if len(fates) == 1:
            return fates[0]
        taken = sum(each.outcome is Outcome.ACCEPTED for each in fates)
        if taken == len(fates):
            return SubmitResult(Outcome.ACCEPTED, PART_SEPARATOR.join(self.ids()))
        if all(each.outcome in _UNTAKEN for each in fates):
            return min(fates, key=lambda each: _WORST.index(each.outcome))
        why = next(each for each in fates if each.outcome is not Outcome.ACCEPTED)
        detail = f"{taken} of {len(fates)} parts were taken; {why.detail}"
        return unknown(why.code, detail)


class SubmitWriter:
    """Makes parts of messages, and requests of parts, as a lane's options say.

    Args:
        options: They.
    """

    def __init__(self, options: SmppOptions) -> None:
        self._options = options
        self._registered = 1 if options.receipts else 0
        self._tells = options.validity == "relative"
        self._senders: dict[str, pdu.Address] = {}

    def parts(self, message: CarrierMessage, reference: int) -> list[Part] | SubmitResult:
        """The parts of a message, or why it cannot be sent."""
        options = self._options
        digits = message.to.removeprefix("+")
        if not 0 < len(digits) <= _ADDRESS_CHARS or not digits.isascii():
            return rejected("11", permanent=True, detail="destination address is invalid")
        sender = message.sender.removeprefix("+")
        if len(sender) > _ADDRESS_CHARS or not sender.isascii() or "\0" in sender + digits:
            return rejected("10", permanent=True, detail="source address is invalid")
        body = sms_coding.fold(message.body) if options.fold else message.body
        parts = self._encoded(body, reference)
        if len(parts) == 1:
            return parts
        if len(parts) > sms_coding.MOST_PARTS:
            detail = f"its text takes {len(parts)} parts, and there cannot be more than 255"
            return rejected("1", permanent=True, detail=detail)
        if len(parts) > message.units and options.alphabet == "latin1":
            detail = f"in this carrier's alphabets its text takes {len(parts)} parts"
            return rejected("1", permanent=True, detail=detail)
        if options.long_messages == "payload":
            return [Part(parts[0].data_coding, b"", b"".join(part.body for part in parts))]
        return parts

    def _encoded(self, body: str, reference: int) -> list[Part]:
        if self._options.alphabet == "gsm":
            return sms_coding.encode(body, reference)
        return sms_coding.latin1_parts(body, reference) or sms_coding.ucs2_parts(body, reference)

    def source(self, message: CarrierMessage) -> pdu.Address:
        """What a message comes from."""
        source = self._senders.get(message.sender)
        if source is None:
            options = self._options
            source = pdu.address_of(message.sender, options.source_ton, options.source_npi)
            if len(self._senders) < _SENDERS:
                self._senders[message.sender] = source
        return source

    def write(self, job: Job, place: int, now_ms: int, sequence: int) -> bytes:
        """The request of a part.

        Cost: 4 µs.
        """
        options, message, part = self._options, job.message, job.parts[place]
        source = self.source(message)
        dest = pdu.address_of(message.to, options.dest_ton, options.dest_npi)
        esm_class, text = 0, part.body
        tlvs: list[Tlv] = []
        if part.header and options.long_messages == "sar":
            tlvs = _sar(part.header)
        elif part.header:
            esm_class, text = pdu.UDH, part.header + part.body
        if len(text) > pdu.SHORT_MESSAGE_BYTES:
            tlvs = [Tlv(pdu.MESSAGE_PAYLOAD, text)]
            text = b""
        left_ms = message.expires_ms - now_ms
        coding = part.data_coding
        if options.alphabet_coding is not None and coding != UCS2_CODING:
            coding = options.alphabet_coding
        return SubmitSm(
            source.digits,
            dest.digits,
            text,
            service_type=options.service_type,
            source_addr_ton=source.ton,
            source_addr_npi=source.npi,
            dest_addr_ton=dest.ton,
            dest_addr_npi=dest.npi,
            esm_class=esm_class,
            validity_period=pdu.span_of(left_ms) if self._tells and message.expires_ms else "",
            registered_delivery=self._registered,
            data_coding=coding,
            tlvs=tlvs,
            sequence_number=sequence,
        ).encode()


def _sar(header: bytes) -> list[Tlv]:
    """What a header says, as optional parameters: 5.3.2.22 to 24."""
    reference, parts, number = header[3:6]
    return [
        Tlv(pdu.SAR_MSG_REF_NUM, bytes((0, reference))),
        Tlv(pdu.SAR_TOTAL_SEGMENTS, bytes((parts,))),
        Tlv(pdu.SAR_SEGMENT_SEQNUM, bytes((number,))),
    ]
