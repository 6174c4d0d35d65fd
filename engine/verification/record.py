"""What an address keeps of its verifications: one of each definition, the newest."""

from collections.abc import Collection
from typing import Final

from msgspec import Struct
from msgspec.msgpack import Decoder, Encoder

from engine.entity import Entity

STATE: Final = "verification"  # in `Entity.state`: name to the packed record
TIMER: Final = "v:"  # and the definition's name

PENDING: Final = "pending"
APPROVED: Final = "approved"
CANCELLED: Final = "cancelled"
EXPIRED: Final = "expired"
TOO_MANY_ATTEMPTS: Final = "too_many_attempts"


class Code(Struct, array_like=True):
    """A code that is good.

    Attributes:
        digest: What an answer is held against.
        sealed: The code as only a sender can read it.
        expires_ms: Until when.
    """

    digest: bytes
    sealed: str
    expires_ms: int


class Sending(Struct, array_like=True):
    """A message that brought a code, or was to.

    Attributes:
        message_id: The message; empty if none could be made.
        channel: By which channel.
        at_ms: When.
    """

    message_id: str
    channel: str
    at_ms: int


class Answer(Struct, array_like=True):
    """An answer that was given. It is packed as an array: new fields come at the end.

    Attributes:
        request_id: The id of its request.
        outcome: What it was told.
        asked: A hash of what was typed; empty if an older version took it.
    """

    request_id: str
    outcome: int
    asked: bytes = b""


class Record(Struct, array_like=True):
    """One verification. It is packed as an array: new fields come at the end and have a default.

    Attributes:
        id: Its id; a new one begins after the old one ended.
        status: One of this module's.
        user: The key of the profile that it is for, or empty.
        locale: The language of its texts.
        facts: What is known of who asks: `ip`, `device` …
        started_ms: When it began.
        ended_ms: When it ended; 0 while it is pending.
        wrong: Wrong answers so far.
        codes: The codes that are good, oldest first.
        sendings: Its messages, oldest first.
        answers: The newest answers, so that a repeat is told the same.
        starts: When it was started or asked for again, of this one and those before it.
        asked_ms: When its user was named last.
        spare: A code that nobody was sent yet, for when it is unknown what became of a message.
        try_ms: When it is sent, if that is still unknown then; 0 if nothing is.
    """

    id: str
    status: str
    user: str
    locale: str
    facts: dict[str, str]
    started_ms: int
    ended_ms: int = 0
    wrong: int = 0
    codes: list[Code] = []
    sendings: list[Sending] = []
    answers: list[Answer] = []
    starts: list[int] = []
    asked_ms: int = 0
    spare: Code | None = None
    try_ms: int = 0

    @property
    def expires_ms(self) -> int:
        """When the last code is worthless; 0 if there is none."""
        return max((code.expires_ms for code in self.codes), default=0)

    @property
    def due_ms(self) -> int:
        """When there is something to do for one that is pending."""
        return min(self.try_ms or self.expires_ms, self.expires_ms)


_encode: Final = Encoder().encode
_decode: Final = Decoder(Record).decode


def find(entity: Entity, name: str) -> Record | None:
    """The newest verification of a definition."""
    packed = entity.state.get(STATE, {}).get(name)
    return None if packed is None else _decode(packed)


def keep(entity: Entity, name: str, record: Record) -> None:
    """Keeps a verification that is new or was changed."""
    entity.state.setdefault(STATE, {})[name] = _encode(record)


def forget(entity: Entity, name: str) -> None:
    """Forgets a verification."""
    records = entity.state.get(STATE, {})
    records.pop(name, None)
    if not records:
        entity.state.pop(STATE, None)


def forget_user(entity: Entity, names: Collection[str]) -> bool:
    """Forgets for whom verifications are, and who asked; False if none was for one of these."""
    found = False
    for name in names_of(entity):
        record = find(entity, name)
        if record is not None and record.user and record.user in names:
            found = True
            record.user, record.facts = "", {}
            keep(entity, name, record)
    return found


def names_of(entity: Entity) -> list[str]:
    """The definitions of which the address has a verification."""
    return sorted(entity.state.get(STATE, ()))
