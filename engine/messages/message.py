"""A message: what it says, where it goes, and everything that became of it.

A message belongs to the entity it is for, so that its history, the trail and the outbox change
together, in one journaled command. Its status moves as `engine.messages.states` has it: a receipt
that comes twice changes nothing, one that comes late is kept in the history.

A message may try several routes, one after the other. Each attempt is an effect of its own for the
senders, named `<message id>.<hop>`, so that nothing that is told of one is taken for another.

Most of a person's messages never change again, so they are kept as bytes only, in one run; a
message is an object just while it is made or changed.
"""

from collections.abc import Container, Iterator, Mapping
from typing import Any, Final, Literal

from msgspec import Raw, Struct
from msgspec.msgpack import Decoder
from msgspec.structs import replace
from xxhash import xxh3_128_hexdigest

from engine import limits
from engine.messages.states import ATTEMPTS, MOVES
from engine.packing import ARRAY_16, BYTES_16, BYTES_32, PackedRun, inside, pack
from engine.reasons import Reason

SMS: Final = "sms"
EMAIL: Final = "email"
PUSH: Final = "push"
WHATSAPP: Final = "whatsapp"
VOICE: Final = "voice"
RCS: Final = "rcs"
CHANNELS: Final = (SMS, EMAIL, PUSH, WHATSAPP, VOICE, RCS)
PHONE_CHANNELS: Final = frozenset({SMS, WHATSAPP, VOICE, RCS})  # whose addresses are numbers
Channel = Literal["sms", "email", "push", "whatsapp", "voice", "rcs"]

OTP: Final = "otp"
TRANSACTIONAL: Final = "transactional"
MARKETING: Final = "marketing"
PURPOSES: Final = (OTP, TRANSACTIONAL, MARKETING)

# The trait that holds a profile's address on each channel (Segment Spec's reserved names, and the
# device token that SDKs put into the context).
ADDRESS_TRAITS: Final = {
    SMS: "phone",
    EMAIL: "email",
    PUSH: "push_token",
    WHATSAPP: "phone",
    VOICE: "phone",
    RCS: "phone",
}

Outcome = tuple[int, int, str, str]
"""When (ms), an outcome of `Reason`, the carrier's code, words for a person."""
Way = tuple[str, str]
"""A lane, and the sender in it; an empty sender is the lane's own."""


class SendRequest(Struct, eq=False, gc=False):
    """A rendered message on its way to becoming a `Message`.

    Attributes:
        channel: One of `CHANNELS`.
        to: The address; empty means the profile's trait for the channel.
        purpose: One of `PURPOSES`; decides priority and which guards apply.
        body: The text, rendered.
        subject: The subject (email) or title (push).
        template: The template's name, for the record.
        validity_ms: How long the message may wait before it is worthless.
        lane: A lane's name; empty means the route chooses.
        resend_unknown: Whether a message with an unknown outcome is sent again.
        instance: The id of the journey instance that asked, or empty.
        warnings: What rendering had to leave empty.
        tags: What it is, in words of the workspace, for frequency caps.
        topic: What it is about, of the topics that people subscribe to, or empty.
        priority: How much it counts, 0 to 100, if not all that wait can be sent.
        context: What its template was rendered with, so that it can be rendered again if it has to
            wait; None if it is not of a template.
        content: The channel's own form of what is richer than text, a JSON object; or empty.
        facts: What the fraud guard and adapters may know of it: `ip`, `device`, `country` …
        sender: The number or address that it comes from; empty means the lane's.
        others: See `Message`.
        wanted: See `Message`.
    """

    channel: str
    to: str
    purpose: str
    body: str
    subject: str = ""
    template: str = ""
    validity_ms: int = limits.VALIDITY_MS
    lane: str = ""
    resend_unknown: bool = False
    instance: str = ""
    warnings: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    topic: str = ""
    priority: int = 0
    context: Mapping[str, Any] | None = None
    content: str = ""
    facts: dict[str, str] | None = None
    sender: str = ""
    others: tuple[Way, ...] = ()
    wanted: int = 0


class Message(Struct, array_like=True, eq=False, gc=False):
    """One message and its history of `(ms, reason, code, detail)`.

    Packed it is an array of these fields in this order, which stores hold: new ones come at the
    end and have a default. `content`, `facts` and `sender` are as in `SendRequest`; `hop` counts
    the routes that were tried before the one that it is on, `others` are those that are left.
    `wanted` is the outcome that somebody waits for (SENT, DELIVERED or READ), or 0, and `instead`
    the id of the message that went out in its place; see `engine.fallbacks`.
    """

    id: str
    channel: str
    to: str
    purpose: str
    body: str
    subject: str
    template: str
    lane: str
    carrier: str
    provider_id: str
    instance: str
    created_ms: int
    expires_ms: int
    resend_unknown: bool
    warnings: tuple[str, ...]
    cancelled: bool
    status: int
    history: list[Outcome]
    tags: tuple[str, ...] = ()
    topic: str = ""
    content: str = ""
    facts: dict[str, str] | None = None
    hop: int = 0
    sender: str = ""
    others: tuple[Way, ...] = ()
    wanted: int = 0
    instead: str = ""  # text stays the last field, see `Messages.where`

    def record(self, reason: int, at_ms: int, code: str = "", detail: str = "") -> bool:
        """Takes in an outcome.

        Args:
            reason: What happened, an outcome of `Reason`.
            at_ms: When.
            code: The carrier's own code.
            detail: Words for a person.

        Returns:
            True if the status moved; False for a repeat or for one that came too late to matter.
        """
        status = self.status
        history = self.history
        if history and reason not in MOVES[status] and not self._is_later(reason, at_ms):
            if reason != status or self.hop:
                self.remark(reason, at_ms, code, detail)
            return False
        self.status = reason
        if len(history) >= limits.MESSAGE_HISTORY:
            self._make_room()
        history.append((at_ms, reason, code, detail))
        return True

    def begin_again(self, reason: int, at_ms: int, why: str) -> None:
        """Takes on a status that the table does not have: it waits anew, or goes on anew."""
        self.status = reason
        if len(self.history) >= limits.MESSAGE_HISTORY:
            self._make_room()
        self.history.append((at_ms, reason, "", why))

    def _make_room(self) -> None:
        """Makes room for a line: drops the oldest of an attempt that is over, or else the second.

        So a message that its carrier refuses again and again keeps all else that became of it.
        """
        history = self.history
        while len(history) >= limits.MESSAGE_HISTORY:
            attempts = [at for at, line in enumerate(history) if line[1] in ATTEMPTS]
            del history[attempts[0] if len(attempts) > 2 else 1]

    def _is_later(self, reason: int, at_ms: int) -> bool:
        """Whether an outcome begins or ends an attempt later than any known one of its lane."""
        if reason not in ATTEMPTS or self.status not in ATTEMPTS:
            return False
        told = at_ms, reason == _THROTTLED
        for line in reversed(self.history):
            if line[1] == _QUEUED:
                break
            if line[1] in ATTEMPTS and told <= (line[0], line[1] == _THROTTLED):
                return False
        return True

    def remark(self, reason: int, at_ms: int, code: str = "", detail: str = "") -> bool:
        """Keeps an outcome in the history that does not move the status; False for a repeat.

        The last of a full history are those that moved it, so this one finds no room there.
        """
        history = self.history
        for line in history:
            if line[1] == reason and line[2] == code and line[3] == detail:
                return False
        if len(history) < limits.MESSAGE_HISTORY:
            history.append((at_ms, reason, code, detail))
        return True

    def go_on(self, at_ms: int, why: str) -> None:
        """Begins again by the next of its routes; see `engine.routes.fail_over`."""
        (self.lane, self.sender), *others = self.others
        self.others = tuple(others)
        self.hop += 1
        self.carrier = self.provider_id = ""
        self.begin_again(_QUEUED, at_ms, why)

    def offer(self, key: str, workspace: str, leave_by_ms: int = 0) -> tuple[Any, ...]:
        """The message as a sender takes it; see `engine.lanes.queue.QueuedMessage`.

        Args:
            key: The entity's.
            workspace: The entity's.
            leave_by_ms: Until when it may leave, if that is before its validity ends.
        """
        hop = self.hop
        return (
            f"{self.id}.{hop}" if hop else self.id,
            key, workspace, self.lane, self.channel, self.to, self.purpose, self.body,
            self.subject, leave_by_ms or self.expires_ms, self.resend_unknown, self.created_ms,
            self.sender, self.content, self.facts, hop, not self.others,
        )  # fmt: skip

    def view(self) -> dict[str, Any]:
        """The message as plain values, for queries."""
        return {
            "id": self.id,
            "channel": self.channel,
            "to": self.to,
            "purpose": self.purpose,
            "status": Reason(self.status).name,
            "carrier": self.carrier,
            "provider_id": self.provider_id,
            "lane": self.lane,
            "body": self.body,
            "subject": self.subject,
            "template": self.template,
            "instance": self.instance,
            "tags": list(self.tags),
            "topic": self.topic,
            "created_ms": self.created_ms,
            "expires_ms": self.expires_ms,
            "sender": self.sender,
            "hop": self.hop,
            "instead": self.instead,
            "warnings": list(self.warnings),
            "history": [
                [at_ms, Reason(reason).name, code, detail]
                for at_ms, reason, code, detail in self.history
            ],
        }


def new_message(
    id_: str, request: SendRequest, to: str, lane: str, now_ms: int, reason: int, why: str
) -> Message:
    """A message with its first outcome."""
    return Message(
        id_, request.channel, to, request.purpose, request.body, request.subject,
        request.template, lane, "", "", request.instance, now_ms, now_ms + request.validity_ms,
        request.resend_unknown, request.warnings, False, reason, [(now_ms, reason, "", why)],
        request.tags, request.topic, request.content, request.facts, 0, request.sender,
        request.others, request.wanted,
    )  # fmt: skip


class Messages(PackedRun):
    """The messages of one entity, packed, oldest first.

    What it gives are copies: a changed message is put back in its place.

    Most of what becomes of a message is told soon after it was made. So the newest ones stay
    objects, unpacked, until the bytes are asked for: by a row, by a reader, or by whoever looks for
    a place. Which of them lie packed is no part of the state: the bytes are the same.

    Attributes:
        fresh: The messages, by id, that come after those in the run and are not packed yet.
    """

    __slots__ = ("fresh",)

    def __init__(self, array: Raw | None = None) -> None:
        """Messages from their `array()`; none if none is given."""
        super().__init__(array)
        self.fresh: dict[str, Message] | None = None

    def __bool__(self) -> bool:
        return self.number > 0

    def keep(self, message: Message, waiting: Container[str]) -> None:
        """Adds a message, which is the run's from now on.

        Past the limit the oldest that is not in `waiting` goes.
        """
        fresh = self.fresh
        if fresh is None:
            self.fresh = {message.id: message}
        elif message.id in fresh:
            self.settle()
            self.fresh = {message.id: message}
        else:
            fresh[message.id] = message
        number = self.number = self.number + 1
        if number > limits.MESSAGES:
            for at in self.starts():
                head = self.span(at)[0] + 3 + len(_ID_HEAD)
                if self[head : head + 32].decode() not in waiting:
                    self.drop(at)
                    break

    def settle(self) -> None:
        """Packs the messages that are objects yet."""
        fresh, self.fresh = self.fresh, None
        if fresh is not None:
            self += inside([pack(message) for message in fresh.values()])

    def borrow(self, id_: str) -> Message | None:
        """A copy of a message that is not packed yet, to be changed; None if it is."""
        fresh = self.fresh
        kept = fresh.get(id_) if fresh is not None else None
        if kept is None:
            return None
        message = replace(kept, history=kept.history[:])
        if kept.facts:
            message.facts = dict(kept.facts)
        return message

    def give_back(self, message: Message) -> None:
        """Puts a changed message back in its place, wherever that is by now."""
        fresh = self.fresh
        if fresh is not None and message.id in fresh:
            fresh[message.id] = message
        else:
            self.put(self.where(message.id), message)

    def starts(self) -> Iterator[int]:
        """See `PackedRun`."""
        if self.fresh is not None:
            self.settle()
        return PackedRun.starts(self)

    def array(self) -> Raw:
        """See `PackedRun`."""
        if self.fresh is not None:
            self.settle()
        return PackedRun.array(self)

    def where(self, id_: str) -> int:
        """Where the message with this id begins, or -1. Cost: 0.6 µs if it is one of the newest.

        A message begins with the head of an array of fewer than 40 fields and its id. Nothing else
        in the run reads like that: no text holds the head, since it is no UTF-8, and after a time
        that ends like one comes an outcome of `Reason`, all of which are 40 and more.
        """
        head = _ID_HEAD + id_.encode()
        if len(head) != _HEAD_BYTES:
            return -1  # no message's id: queries bring what people typed
        if self.fresh is not None:
            self.settle()
        found = self.rfind(head)
        while found >= 0:
            start = found - 3
            if self[start] == ARRAY_16 and not self[start + 1] and self[start + 2] < _FIELDS:
                # What stands before is the head of the byte string, and before that a text, the end
                # of another message. No text ends with the head of a longer one, nor holds one that
                # is followed by a zero: it would be no UTF-8.
                if start >= 3 and self[start - 3] == BYTES_16:
                    return start - 3
                if start >= 5 and self[start - 5] == BYTES_32 and not self[start - 4]:
                    return start - 5
                return start - 2
            found = self.rfind(head, 0, found)
        return -1

    def at(self, at: int) -> Message:
        """The message that begins at a place."""
        start, end = self.span(at)
        return _unpack(self[start:end])

    def put(self, at: int, message: Message) -> None:
        """Puts a changed message back in the place where it begins. The places after it move."""
        self[at : self.span(at)[1]] = pack(pack(message))

    def get(self, id_: str) -> Message | None:
        """The message with this id."""
        message = self.borrow(id_)
        if message is not None:
            return message
        at = self.where(id_)
        return None if at < 0 else self.at(at)

    def every(self) -> list[Message]:
        """All messages, oldest first."""
        return [_unpack(packed) for packed in self.values()]


_unpack: Final = Decoder(Message).decode
_QUEUED: Final = int(Reason.QUEUED)
_THROTTLED: Final = int(Reason.THROTTLED)
_ID_HEAD: Final = b"\xd9\x20"  # of a text of 32 bytes
_ID_CHARS: Final = 32
_HEAD_BYTES: Final = len(_ID_HEAD) + _ID_CHARS
_FIELDS: Final = 40  # fewer, so that their number is no outcome of `Reason`


def hop_of(offer_id: str) -> tuple[str, int]:
    """The id of a message and the hop, from the id under which it was offered to a sender."""
    if len(offer_id) == _ID_CHARS:
        return offer_id, 0
    id_, _, hop = offer_id.partition(".")
    return id_, int(hop) if hop.isdecimal() else 0


def api_message_id(key: str, request_id: str) -> str:
    """The id of a message that the API asked for: a hash, so that a repeat finds the first."""
    return xxh3_128_hexdigest(f"{key}!{request_id}".encode())
