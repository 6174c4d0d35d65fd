"""What a carrier adapter is: batches in, one result a message out, receipts by a callback.

An adapter says what it knows and nothing more. A message that was refused was not taken; one whose
fate is not known (a time-out after the request left, a connection that broke before the answer) is
UNKNOWN, never REJECTED, because the sender gives a rejected message away again and an unknown one
not. An exception out of `submit` counts as unknown for the whole batch.

Each message has one of these values at every stage, so they are structs of msgspec: it makes one in
a fifth of the time that a named tuple takes.
"""

from collections.abc import Awaitable, Callable, Sequence
from enum import IntEnum
from typing import Any, Final, Protocol

from msgspec import Struct
from pydantic import BaseModel, ConfigDict

from engine.names import DefinitionName
from engine.reasons import Reason

PART_SEPARATOR: Final = ","
"""What stands between the carrier's ids of a message that it has taken in several parts."""


class CarrierMessage(Struct, frozen=True, gc=False):
    """A message as an adapter gets it.

    Attributes:
        id: Its id, 32 hex characters; for carriers that take a client reference.
        channel: `sms`, `email`, `push` …
        sender: What it comes from, its own or the lane's: a number, a name, an address.
        to: The address; a phone number in E.164.
        subject: The subject or title; often empty.
        body: The text.
        units: What it counts in the lane's limits: SMS parts, or 1.
        attempt: How often it was given to the carrier before.
        purpose: `otp`, `transactional` or `marketing`.
        expires_ms: When it becomes worthless, on the node's clock.
        content: The channel's own form of what is richer than text, a JSON object; or empty.
        facts: What is known of it beside: `ip`, `device`, `country` …
        key: The entity whose message it is, such as `workspace/user/ann`.
    """

    id: str
    channel: str
    sender: str
    to: str
    subject: str
    body: str
    units: int
    attempt: int
    purpose: str = ""
    expires_ms: int = 0
    content: str = ""
    facts: dict[str, str] | None = None
    key: str = ""


class Outcome(IntEnum):
    """What a carrier said to a message."""

    ACCEPTED = 0
    REJECTED = 1  # for good: another try would be rejected as well
    FAILED = 2  # for now: not taken, another try may be
    THROTTLED = 3  # not taken, and the whole lane has to slow down
    UNKNOWN = 4  # may or may not have been taken


class SubmitResult(Struct, frozen=True, gc=False):
    """What a carrier said to one message.

    Attributes:
        outcome: See `Outcome`.
        provider_id: The carrier's id of an accepted message; its receipts carry it.
        code: The carrier's own code.
        detail: The carrier's words.
        retry_after_ms: After THROTTLED: how long the carrier wants peace; 0 if it did not say.
            After FAILED: how long this message has to wait, though others may go, as where one of
            several servers behind the carrier wants peace. That says nothing against the lane, and
            the message is tried again for as long as it is valid.
    """

    outcome: Outcome
    provider_id: str = ""
    code: str = ""
    detail: str = ""
    retry_after_ms: int = 0


def accepted(provider_id: str) -> SubmitResult:
    """The carrier has taken the message."""
    return SubmitResult(Outcome.ACCEPTED, provider_id)


def rejected(code: str, permanent: bool, detail: str = "") -> SubmitResult:
    """The carrier has not taken the message, for good or for now."""
    outcome = Outcome.REJECTED if permanent else Outcome.FAILED
    return SubmitResult(outcome, "", code, detail)


def throttled(retry_after_ms: int, code: str = "", detail: str = "") -> SubmitResult:
    """The carrier wants less traffic."""
    return SubmitResult(Outcome.THROTTLED, "", code, detail, retry_after_ms)


def unknown(code: str, detail: str = "") -> SubmitResult:
    """Nobody knows whether the carrier has taken the message."""
    return SubmitResult(Outcome.UNKNOWN, "", code, detail)


class CarrierReceipt(Struct, frozen=True, gc=False):
    """What a carrier told later about a message.

    Attributes:
        provider_id: The carrier's id, or empty if only the reference is known.
        reason: SENT, DELIVERED, UNDELIVERED or READ.
        at_ms: When it happened, on the node's clock.
        code: The carrier's own code.
        detail: The carrier's words.
        reference: Our message id, if the carrier gives it back; it finds a message whose submit
            had an unknown outcome.
        key: The entity whose message it is, if the adapter knows that for sure, from a token that
            it had signed; it finds a message that the sender has forgotten.
    """

    provider_id: str
    reason: Reason
    at_ms: int
    code: str = ""
    detail: str = ""
    reference: str = ""
    key: str = ""


class InboundOptions(BaseModel):
    """What the options of an adapter derive from whose carrier may bring messages of people.

    The sender of such a lane connects it as soon as it is defined, not with its first message.

    Attributes:
        keywords: Whether a message that is nothing but STOP, START or the like changes the consent
            of whoever sent it; see `engine.messages.keywords`. Off where the carrier answers for
            that.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    keywords: bool = True


class SecretName(BaseModel):
    """In options, `{secret: twilio-token}`: a secret of the settings, never the secret itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    secret: DefinitionName


class Inbound(Struct, frozen=True, gc=False):
    """A message that somebody sent to us.

    Attributes:
        provider_id: The carrier's id of it: a repeat has the same. Without one a repeat is known
            by all the rest.
        sender: Who sent it: a number in E.164, an address.
        to: The number or address of ours that it came to.
        body: The text.
        at_ms: When it came, on the node's clock.
        media: Where its pictures and files are.
        values: What else the carrier told.
    """

    provider_id: str
    sender: str
    to: str
    body: str
    at_ms: int
    media: tuple[str, ...] = ()
    values: dict[str, str] | None = None


class Callback(Struct, frozen=True, gc=False):
    """An HTTP request that a carrier sent to a lane, as the gateway's door took it in.

    Attributes:
        method: `POST`, `GET` …
        url: The whole address as the carrier called it, which some signatures cover.
        kind: What the address says that it is about, such as `status` or `inbound`.
        headers: Their names in lower case; of one that came twice, all values, with commas.
        body: The bytes, at most `limits.CALLBACK_BYTES`.
    """

    method: str
    url: str
    kind: str
    headers: dict[str, str]
    body: bytes

    @property
    def query(self) -> str:
        """What stands after the question mark, whatever a forger has put before it."""
        return self.url.partition("#")[0].partition("?")[2]


class CallbackReply(Struct, frozen=True, gc=False):
    """What the door answers a carrier: 403 to what is forged, 5xx to what shall come again."""

    status: int
    body: str = ""
    content_type: str = "text/plain"


Deliver = Callable[[Sequence[CarrierReceipt]], Awaitable[None]]
"""Takes receipts in; when it returns they are journaled, so an adapter may then confirm them."""

TakeInbound = Callable[[Sequence[Inbound]], Awaitable[None]]
"""Takes in what people sent; when it returns it is journaled, so an adapter may then confirm it."""


class Carrier(Protocol):
    """An adapter, bound to one lane."""

    async def start(self, deliver: Deliver, inbound: TakeInbound) -> None:
        """Connects, or begins to. Receipts go to `deliver`, in batches, and so on."""

    async def stop(self) -> None:
        """Disconnects; after it no receipt is delivered."""

    async def submit(self, batch: Sequence[CarrierMessage]) -> list[SubmitResult]:
        """Gives messages to the carrier.

        Several calls may be in flight at once. It returns when each message's fate is known, or
        known to be unknown.

        Returns:
            One result a message, in order.
        """

    async def callback(self, request: Callback) -> CallbackReply:
        """Takes in what the carrier sent by HTTP, once it is certain that it was the carrier.

        Anybody can call: what is forged is answered by 403 and changes nothing, and no request
        makes it raise. It is cut off after `limits.CALLBACK_S`, and the door answers 503.

        Returns:
            The answer, when what the request told is journaled.
        """

    def status(self) -> dict[str, Any]:
        """Plain values for a status page."""
