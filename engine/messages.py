"""A message: what it says, where it goes, and everything that became of it.

A message belongs to the entity it is for, so that its history, the trail and the outbox change
together, in one journaled command. Its status only moves forward: a receipt that comes twice
changes nothing, one that comes late is kept in the history without turning the status back.
"""

from dataclasses import dataclass
from typing import Any, Final

from xxhash import xxh3_128_hexdigest

from engine import limits
from engine.packing import pack, unpack_tuple
from engine.reasons import Reason

SMS: Final = "sms"
EMAIL: Final = "email"
PUSH: Final = "push"
CHANNELS: Final = (SMS, EMAIL, PUSH)

OTP: Final = "otp"
TRANSACTIONAL: Final = "transactional"
MARKETING: Final = "marketing"
PURPOSES: Final = (OTP, TRANSACTIONAL, MARKETING)

# The trait that holds a profile's address on each channel (Segment Spec's reserved names, and the
# device token that SDKs put into the context).
ADDRESS_TRAITS: Final = {SMS: "phone", EMAIL: "email", PUSH: "push_token"}

# How far along a status is; a receipt may only move a message to a higher rank.
_RANK: Final[dict[int, int]] = {
    Reason.QUEUED: 0,
    Reason.THROTTLED: 0,
    Reason.UNKNOWN_OUTCOME: 1,
    Reason.SENT: 2,
    Reason.CANCELLED: 3,
    Reason.EXPIRED: 3,
    Reason.NO_ROUTE: 3,
    Reason.INVALID_NUMBER: 3,
    Reason.UNROUTABLE_NUMBER: 3,
    Reason.FRAUD_BLOCKED: 3,
    Reason.CARRIER_REJECTED: 3,
    Reason.CARRIER_UNAVAILABLE: 3,
    Reason.QUEUE_FULL: 3,
    Reason.RENDER_FAILED: 3,
    Reason.NO_ADDRESS: 3,
    Reason.UNDELIVERED: 3,
    Reason.DELIVERED: 4,
    Reason.READ: 5,
}


@dataclass(slots=True)
class SendRequest:
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


class Message:
    """One message and its history of `(ms, reason, code, detail)`."""

    __slots__ = (
        "body", "cancelled", "carrier", "channel", "created_ms", "expires_ms", "history", "id",
        "instance", "lane", "packed", "provider_id", "purpose", "resend_unknown", "status",
        "subject", "template", "to", "warnings",
    )  # fmt: skip

    def __init__(self, id_: str, request: SendRequest, to: str, lane: str, now_ms: int) -> None:
        self.id = id_
        self.channel = request.channel
        self.to = to
        self.purpose = request.purpose
        self.body = request.body
        self.subject = request.subject
        self.template = request.template
        self.lane = lane
        self.carrier = ""
        self.provider_id = ""
        self.instance = request.instance
        self.created_ms = now_ms
        self.expires_ms = now_ms + request.validity_ms
        self.resend_unknown = request.resend_unknown
        self.warnings = request.warnings
        self.cancelled = False
        self.status: int = Reason.QUEUED
        self.history: list[tuple[int, int, str, str]] = []
        self.packed: bytes | None = None

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
        if reason == status and self.history and reason != Reason.THROTTLED:
            return False
        moved = not self.history or _RANK.get(reason, 0) > _RANK.get(status, 0)
        if moved:
            self.status = reason
        if len(self.history) < limits.MESSAGE_HISTORY or moved:
            if len(self.history) >= limits.MESSAGE_HISTORY:
                del self.history[1]
            self.history.append((at_ms, reason, code, detail))
        self.packed = None
        return moved

    def offer(self, key: str, workspace: str) -> tuple[Any, ...]:
        """The message as a sender takes it; see `actors.sender`."""
        return (
            self.id, key, workspace, self.lane, self.channel, self.to, self.purpose, self.body,
            self.subject, self.expires_ms, self.resend_unknown, self.created_ms,
        )  # fmt: skip

    def pack(self) -> bytes:
        """The message as bytes; kept until it changes, since most messages of a user never do."""
        packed = self.packed
        if packed is None:
            packed = self.packed = pack(
                (
                    self.id, self.channel, self.to, self.purpose, self.body, self.subject,
                    self.template, self.lane, self.carrier, self.provider_id, self.instance,
                    self.created_ms, self.expires_ms, self.resend_unknown, self.warnings,
                    self.cancelled, self.status, self.history,
                )
            )  # fmt: skip
        return packed

    @classmethod
    def unpack(cls, packed: bytes) -> "Message":
        """The inverse of `pack`."""
        self = cls.__new__(cls)
        (
            self.id, self.channel, self.to, self.purpose, self.body, self.subject, self.template,
            self.lane, self.carrier, self.provider_id, self.instance, self.created_ms,
            self.expires_ms, self.resend_unknown, self.warnings, self.cancelled, self.status,
            history,
        ) = unpack_tuple(packed)  # fmt: skip
        self.warnings = tuple(self.warnings)
        self.history = [(at, reason, code, text) for at, reason, code, text in history]
        self.packed = packed
        return self

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
            "created_ms": self.created_ms,
            "expires_ms": self.expires_ms,
            "warnings": list(self.warnings),
            "history": [
                [at_ms, Reason(reason).name, code, detail]
                for at_ms, reason, code, detail in self.history
            ],
        }


def api_message_id(key: str, request_id: str) -> str:
    """The id of a message that the API asked for: a hash, so that a repeat finds the first."""
    return xxh3_128_hexdigest(f"{key}!{request_id}".encode())
