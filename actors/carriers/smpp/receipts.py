"""Delivery receipts of SMPP: what they say, and of which message.

A receipt comes as a text (appendix B: `id:… stat:DELIVRD err:000 …`), as optional parameters, or as
both. Only what the carrier itself marks as one is a receipt: by `esm_class`, or by the parameters
for an id and a state. The same text from a telephone is a message like any other.

Carriers write one id in several ways: hexadecimal in the answer to a submit and decimal in the
receipt, or the other way round; with zeros in front or without; in capitals or not. So ids are
compared in one plain form. Which of hexadecimal and decimal it is, is known from the lane's options
or learned from receipts that fit one message only, the recipient's number being the same.
"""

import re
from collections import Counter
from collections.abc import Callable
from typing import Final, Literal

from msgspec import Struct
from smpp34 import DeliverSm

from actors.carriers.smpp import pdu
from engine import limits
from engine.reasons import Reason

IdDialect = Literal["auto", "same", "hex_to_decimal", "decimal_to_hex"]
"""How the id of an answer comes back in a receipt."""

_RECEIPT: Final = 0x04  # in esm_class: a receipt of the carrier's
_INTERMEDIATE: Final = 0x20
_KIND: Final = 0x3C  # the bits of esm_class that tell the kind
# The text as the specification shows it, which nearly all are; other texts are read field by field.
_STANDARD: Final = re.compile(rb"id:(\S{1,65}) [^\0]{0,100}?stat:([A-Z]{5,7}) err:(\w{1,8})(?= |$)")
_FIELD: Final = re.compile(r"\b(id|stat|err)\s*:\s*([^\s:]*)", re.IGNORECASE)
_TEXT: Final = re.compile(r"\btext\s*:", re.IGNORECASE)
_ID_CHARS: Final = 65
_LEARNED: Final = 20  # receipts after which it is known how they write ids
_ADDRESS_DIGITS: Final = 7  # that two forms of one number have in common at their ends

# 5.2.28 and appendix B. What is no last word means SENT, which changes nothing.
_STATES: Final = {
    1: "ENROUTE", 2: "DELIVRD", 3: "EXPIRED", 4: "DELETED", 5: "UNDELIV", 6: "ACCEPTD",
    7: "UNKNOWN", 8: "REJECTD",
}  # fmt: skip
_REASONS: Final = {
    "ENROUTE": Reason.SENT, "ACCEPTD": Reason.SENT, "UNKNOWN": Reason.SENT,
    "DELIVRD": Reason.DELIVERED, "EXPIRED": Reason.UNDELIVERED, "DELETED": Reason.UNDELIVERED,
    "UNDELIV": Reason.UNDELIVERED, "REJECTD": Reason.UNDELIVERED,
}  # fmt: skip
_DELIVERED: Final = Reason.DELIVERED  # a member is found slowly, and this is asked of each receipt
# What some carriers write instead.
_ALIASES: Final = {
    "DELIVERED": "DELIVRD", "UNDELIVERED": "UNDELIV", "UNDELIVERABLE": "UNDELIV",
    "ACCEPTED": "ACCEPTD", "REJECTED": "REJECTD", "FAILED": "UNDELIV", "BUFFERED": "ENROUTE",
}  # fmt: skip
_WORDS: Final = {
    "ENROUTE": "on its way", "ACCEPTD": "accepted", "UNKNOWN": "the carrier does not know",
    "DELIVRD": "", "EXPIRED": "expired at the carrier", "DELETED": "deleted at the carrier",
    "UNDELIV": "undeliverable", "REJECTD": "rejected by the network",
}  # fmt: skip


class Told(Struct, frozen=True, gc=False):
    """What a receipt says.

    Attributes:
        id: The carrier's id of the message, as the receipt writes it.
        reason: SENT, DELIVERED or UNDELIVERED.
        code: The network's error, or the state, of what did not arrive.
        detail: The state in words.
        recipient: The number that the message went to.
    """

    id: str
    reason: Reason
    code: str
    detail: str
    recipient: str


def is_receipt(arrived: DeliverSm) -> bool:
    """Whether the carrier says that it is a receipt; a text that looks like one is none.

    A message of a person may have an id of the carrier's as well, but no state.
    """
    kind = arrived.esm_class & _KIND
    if kind in (_RECEIPT, _INTERMEDIATE):
        return True
    tlvs = arrived.tlvs
    return (
        bool(tlvs)
        and pdu.value_of(tlvs, pdu.RECEIPTED_MESSAGE_ID) is not None
        and pdu.value_of(tlvs, pdu.MESSAGE_STATE) is not None
    )


def read(arrived: DeliverSm) -> Told | None:
    """What a receipt says; None if it names no message or no state."""
    tlvs = arrived.tlvs
    text = arrived.short_message or pdu.value_of(tlvs, pdu.MESSAGE_PAYLOAD) or b""
    message_id, state, error = _of_text(text)
    if tlvs:
        named = pdu.value_of(tlvs, pdu.RECEIPTED_MESSAGE_ID)
        message_id = (pdu.text_of(named) if named else "").strip() or message_id
        state = _state(pdu.value_of(tlvs, pdu.MESSAGE_STATE)) or state
    if not message_id or len(message_id) > _ID_CHARS:
        return None
    reason = _REASONS.get(state)
    if reason is None:
        return None
    if tlvs and not error:
        error = _network_error(pdu.value_of(tlvs, pdu.NETWORK_ERROR_CODE))
    code = (error or state) if reason is not _DELIVERED else ""
    return Told(message_id, reason, code[:32], _WORDS[state], arrived.source_addr)


def of_state(message_id: str, state: int, error: int) -> Told | None:
    """What an answer to query_sm says: 4.8.2."""
    name = _STATES.get(state, "")
    if name not in _REASONS:
        return None
    reason = _REASONS[name]
    code = "" if reason is Reason.DELIVERED else str(error) if error else name
    return Told(message_id, reason, code, _WORDS[name], "")


def _of_text(text: bytes) -> tuple[str, str, str]:
    """The id, the state and the error that a text tells, each empty if it does not."""
    match = _STANDARD.match(text)
    if match is not None and b"ext:" not in match[0]:
        message_id, state, error = match[1].decode("latin-1"), match[2].decode(), match[3]
        return message_id, _word(state), error.decode("latin-1") if error.strip(b"0") else ""
    head = _TEXT.split(text.decode("latin-1"), 1)[0]  # what follows is the message's own
    fields: dict[str, str] = {}
    for name, value in _FIELD.findall(head):
        fields.setdefault(name.lower(), value)
    error = fields.get("err", "")
    state = _word(fields.get("stat", "").upper())
    return fields.get("id", ""), state, error if error.strip("0") else ""


def _word(state: str) -> str:
    return state if state in _REASONS else _ALIASES.get(state, state[:7])


def _state(value: bytes | None) -> str:
    return _STATES.get(value[-1], "") if value else ""


def _network_error(value: bytes | None) -> str:
    """5.3.2.31: the kind of network, and its error in two bytes."""
    if value is None or len(value) != 3 or value[1:] == b"\0\0":
        return ""
    return str(int.from_bytes(value[1:], "big"))


def plain(message_id: str) -> str:
    """An id in the form in which ids are compared."""
    return message_id.strip().lower().lstrip("0") or "0"


class Ids:
    """What an id in a receipt is in the answers to submits.

    Args:
        dialect: What the lane's options say, or what was learnt before.
        learnt: Is told once when it is known how receipts write ids.
    """

    def __init__(
        self, dialect: IdDialect, learnt: Callable[[IdDialect], None] = lambda dialect: None
    ) -> None:
        self.dialect: IdDialect = dialect
        self._learnt = learnt
        self._recent: dict[str, str] = {}  # plain ids and who the messages are for
        self._read = 0  # receipts that only one message could be meant by
        self._fitting: Counter[IdDialect] = Counter()

    @property
    def learning(self) -> bool:
        """Whether it is not known yet how receipts write ids."""
        return self.dialect == "auto"

    def sent(self, message_id: str, to: str) -> None:
        """The carrier has given a message this id, in plain form."""
        if self.dialect != "auto":
            return
        if len(self._recent) >= limits.SMPP_LEARNING_IDS:
            del self._recent[next(iter(self._recent))]
        self._recent[message_id] = _tail(to)

    def find(self, told: Told) -> str | None:
        """The plain id of the message that a receipt is about.

        Returns:
            None while it is not known: of no message sent lately, or of several.
        """
        if self.dialect != "auto":
            return _translated(plain(told.id), self.dialect)
        tail = _tail(told.recipient)
        found: dict[str, list[IdDialect]] = {}
        for dialect in _READINGS:
            message_id = _translated(plain(told.id), dialect)
            if self._recent.get(message_id) == tail:
                found.setdefault(message_id, []).append(dialect)
        if len(found) != 1:
            return None
        ((message_id, dialects),) = found.items()
        self._learn(dialects)
        return message_id

    def _learn(self, fitting: list[IdDialect]) -> None:
        """A receipt could only be read in these dialects: the one that always fits is the one."""
        self._read += 1
        self._fitting.update(fitting)
        if self._read < _LEARNED:
            return
        always = [each for each in _READINGS if self._fitting[each] == self._read]
        if always:
            self.dialect = always[0]
            self._recent.clear()
            self._learnt(self.dialect)


_READINGS: Final[tuple[IdDialect, ...]] = ("same", "hex_to_decimal", "decimal_to_hex")


def _translated(message_id: str, dialect: IdDialect) -> str:
    """What an id of a receipt was in the answer, both plain; what is no number is the same."""
    if dialect == "hex_to_decimal" and message_id.isdecimal():
        return format(int(message_id), "x")
    if dialect == "decimal_to_hex" and _is_hex(message_id):
        return str(int(message_id, 16))
    return message_id


def _is_hex(message_id: str) -> bool:
    return not message_id.strip("0123456789abcdef")


def _tail(number: str) -> str:
    digits = "".join(filter(str.isdecimal, number))
    return digits[-_ADDRESS_DIGITS:]
