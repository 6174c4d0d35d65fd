"""SMPP 3.4 on the wire: what the frames of a session hold, and what a carrier's statuses mean.

Submits are written and deliveries read by the codec of `smpp34`; what a session needs beside is a
header and a text that ends with a zero. Sections are those of the SMPP 3.4 specification, issue
1.2.
"""

import re
import struct
from functools import lru_cache
from typing import Final, NamedTuple

from smpp34 import SmppError, Tlv

from actors.carriers.base import Outcome, SubmitResult
from engine import limits

GENERIC_NACK: Final = 0x80000000
BIND_RECEIVER: Final = 0x01
BIND_TRANSMITTER: Final = 0x02
QUERY_SM: Final = 0x03
SUBMIT_SM: Final = 0x04
DELIVER_SM: Final = 0x05
UNBIND: Final = 0x06
BIND_TRANSCEIVER: Final = 0x09
ENQUIRE_LINK: Final = 0x15
ALERT_NOTIFICATION: Final = 0x102
RESPONSE: Final = 0x80000000  # the bit that makes an answer of a command

OK: Final = 0x00
RINVCMDLEN: Final = 0x02
RINVCMDID: Final = 0x03
RSYSERR: Final = 0x08
RMSGQFUL: Final = 0x14
RTHROTTLED: Final = 0x58
RX_T_APPN: Final = 0x64  # for now; it comes again
RUNKNOWNERR: Final = 0xFF

# Tags of optional parameters: 5.3.1.
RECEIPTED_MESSAGE_ID: Final = 0x001E
SAR_MSG_REF_NUM: Final = 0x020C
SAR_TOTAL_SEGMENTS: Final = 0x020E
SAR_SEGMENT_SEQNUM: Final = 0x020F
NETWORK_ERROR_CODE: Final = 0x0423
MESSAGE_PAYLOAD: Final = 0x0424
MESSAGE_STATE: Final = 0x0427

UDH: Final = 0x40  # in esm_class: the text begins with a header
VERSION: Final = 0x34
HEADER_BYTES: Final = 16
MOST_SEQUENCE: Final = 0x7FFFFFFF
SHORT_MESSAGE_BYTES: Final = 254
_HEADER: Final = struct.Struct(">IIII")
head_at: Final = _HEADER.unpack_from  # length, command, status, sequence
_length_at: Final = struct.Struct(">I").unpack_from

# 5.1.3, and what each means for a message: R rejected for good, F failed for now, T too much.
_STATUSES: Final = """
0x01 R message length is invalid        0x02 R command length is invalid
0x03 R command is not supported         0x04 F bind status is wrong
0x05 F already bound                    0x06 R priority flag is invalid
0x07 R registered delivery is invalid   0x08 F system error
0x0A R source address is invalid        0x0B R destination address is invalid
0x0C R message id is invalid            0x0D F bind failed
0x0E F password is invalid              0x0F F system id is invalid
0x11 F cancel failed                    0x13 F replace failed
0x14 T message queue is full            0x15 R service type is invalid
0x33 R number of destinations           0x34 R distribution list is invalid
0x40 R destination flag is invalid      0x42 R esm_class is invalid
0x43 R submit to distribution list      0x44 F submit failed
0x45 F submit failed                    0x48 R source TON is invalid
0x49 R source NPI is invalid            0x50 R destination TON is invalid
0x51 R destination NPI is invalid       0x53 R system type is invalid
0x54 R replace_if_present is invalid    0x55 R number of messages is invalid
0x58 T throttling error                 0x61 R scheduled time is invalid
0x62 R validity period is invalid       0x63 R predefined message is invalid
0x64 F receiver has a temporary error   0x65 R receiver has a permanent error
0x66 R receiver rejects the message     0x67 F query failed
0xC0 R optional part is invalid         0xC1 R optional parameter not allowed
0xC2 R parameter length is invalid      0xC3 R an expected parameter is missing
0xC4 R parameter value is invalid       0xFE F delivery failed
0xFF F unknown error
"""
_ACCEPTED: Final = Outcome.ACCEPTED  # a member is found slowly, and this is asked of each message
_OUTCOMES: Final = {"R": Outcome.REJECTED, "F": Outcome.FAILED, "T": Outcome.THROTTLED}
_MEANINGS: Final = {
    int(status, 16): (_OUTCOMES[kind], words.strip())
    for status, kind, words in re.findall(r"0x(\w\w) ([RFT]) (.{1,36}?)(?=\s{2,}|\n)", _STATUSES)
}


def frame(command: int, sequence: int, body: bytes = b"", status: int = OK) -> bytes:
    """A PDU."""
    return _HEADER.pack(HEADER_BYTES + len(body), command, status, sequence) + body


def bind_body(system_id: str, password: str, system_type: str) -> bytes:
    """The body of a bind request: 4.1."""
    texts = b"".join(each.encode("latin-1", "replace") + b"\0" for each in (system_id, password))
    return texts + system_type.encode("latin-1", "replace") + bytes((0, VERSION, 0, 0, 0))


def query_body(message_id: str, source: "Address") -> bytes:
    """The body of a query_sm: 4.8."""
    number = source.digits.encode("latin-1", "replace")
    name = message_id.encode("latin-1", "replace")
    return name + bytes((0, source.ton, source.npi)) + number + b"\0"


def query(body: bytes, sequence: int) -> bytes:
    """A query_sm."""
    return frame(QUERY_SM, sequence, body)


def text_of(body: bytes) -> str:
    """The text at the beginning of a body, up to its zero."""
    return body.partition(b"\0")[0].decode("latin-1")


def words_of(status: int) -> str:
    """What a status means, for a person."""
    meaning = _MEANINGS.get(status)
    return meaning[1] if meaning else "a status of the carrier's own"


class Answers:
    """What a carrier's answers to submits mean for a message.

    A carrier's own statuses (0x400 and above, mostly) count as failed for now, unless the lane
    knows better.

    Args:
        rejects: Statuses that are for good.
        throttles: Statuses that ask for less traffic.
    """

    def __init__(self, rejects: tuple[int, ...], throttles: tuple[int, ...]) -> None:
        own = {
            **dict.fromkeys(rejects, Outcome.REJECTED),
            **dict.fromkeys(throttles, Outcome.THROTTLED),
        }
        self._own = own

    def result(self, status: int, message_id: str) -> SubmitResult:
        """The result of one submit."""
        if status == OK:
            return SubmitResult(_ACCEPTED, message_id)
        outcome, words = _MEANINGS.get(status, (Outcome.FAILED, words_of(status)))
        outcome = self._own.get(status, outcome)
        return SubmitResult(outcome, "", str(status), words)


class Address(NamedTuple):
    """An address as SMPP has it: 5.2.5, 5.2.6."""

    ton: int
    npi: int
    digits: str


def address_of(text: str, ton: int | None, npi: int | None) -> Address:
    """The address of a text, its kind guessed where it is not given.

    `+…` and long numbers are international, letters make it alphanumeric, and a few digits are a
    short code, a number of the network's own.
    """
    digits = text.removeprefix("+")
    if not digits.isdecimal():
        guess = (5, 0) if text else (0, 0)
        digits = text
    elif len(digits) > 8 or text != digits:
        guess = (1, 1)
    else:
        guess = (3, 1)
    # What a class of named values does beside this costs more than all that stands before.
    values = guess[0] if ton is None else ton, guess[1] if npi is None else npi, digits
    return tuple.__new__(Address, values)


def span_of(left_ms: int) -> str:
    """A validity period, relative: 7.1.1; at least a second and at most 30 days."""
    return _span(min(max(left_ms // 1_000, 1), 30 * 86_400))


@lru_cache(1_000)
def _span(seconds: int) -> str:
    days, seconds = divmod(seconds, 86_400)
    return f"0000{days:02}{seconds // 3600:02}{seconds // 60 % 60:02}{seconds % 60:02}000R"


def value_of(tlvs: list[Tlv], tag: int) -> bytes | None:
    """The value of an optional parameter."""
    for tlv in tlvs:
        if tlv.tag == tag:
            return tlv.value
    return None


class Framer:
    """Cuts what arrives into PDUs.

    Raises:
        SmppError: What came cannot be a PDU, so nothing after it can be either.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The whole PDUs there are now."""
        data = self._rest + data if self._rest else data
        frames: list[bytes] = []
        at, end, most = 0, len(data), limits.SMPP_PDU_BYTES
        while end - at >= HEADER_BYTES:
            (length,) = _length_at(data, at)
            if not HEADER_BYTES <= length <= most:
                raise SmppError(f"a PDU of {length} bytes")
            until = at + length
            if until > end:
                break
            frames.append(data[at:until])
            at = until
        self._rest = data[at:]
        return frames
