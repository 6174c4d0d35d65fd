"""What it means that a message succeeds, and the marks on messages that are waited for.

A message with `wanted` and without `instead` is waited for; one with both was replaced; one that
has succeeded, or after which nothing is left to try, has neither. So who gets word of a message can
tell by the message alone what it is to somebody.
"""

from typing import TYPE_CHECKING, Any, Final

from engine.durations import render
from engine.fraud import PAID_PHONE_CHANNELS
from engine.messages.message import Message
from engine.messages.states import ENDED, STOPPED
from engine.packing import unpack
from engine.reasons import Reason

if TYPE_CHECKING:
    from engine.activation import Activation

STATE: Final = "fallback"  # in `Entity.state`: a message's id to what is sent in its place, packed
TIMER: Final = "f:"
MESSAGE: Final = "message"  # of a follow-up: a message that is waited for has news

SENT: Final = "sent"
DELIVERED: Final = "delivered"
READ: Final = "read"
SUCCESSES: Final = {
    SENT: int(Reason.SENT), DELIVERED: int(Reason.DELIVERED), READ: int(Reason.READ),
}  # fmt: skip
_NAMES: Final = {number: name for name, number in SUCCESSES.items()}
_ENOUGH: Final[dict[int, frozenset[int]]] = {
    Reason.SENT: frozenset(
        {
            Reason.SENT,
            Reason.PARTIALLY_DELIVERED,
            Reason.DELIVERED,
            Reason.READ,
            Reason.COMPLAINED,
        }
    ),
    Reason.DELIVERED: frozenset({Reason.DELIVERED, Reason.READ, Reason.COMPLAINED}),
    Reason.READ: frozenset({Reason.READ, Reason.COMPLAINED}),
}
_HANDED_OUT: Final = frozenset({Reason.QUEUED, Reason.HELD, Reason.SCHEDULED})
_FAILED: Final = ENDED | STOPPED


def handed_out(reason: int) -> bool:
    """Whether a message that was made is on its way, or waits for its time."""
    return reason in _HANDED_OUT


def succeeded(message: Message) -> bool:
    """Whether a message has come as far as is wanted."""
    return message.status in _ENOUGH.get(message.wanted, ())


def failed(message: Message) -> bool:
    """Whether it is certain that a message does not succeed."""
    return message.status in _FAILED


def may_follow(reason: int, channel: str) -> bool:
    """Whether a channel may be tried in the place of a message that has ended so.

    After a block of the fraud guard no other channel whose messages to numbers are paid for: that
    would only be another way to be paid. After a shadow none at all: whoever asked is to believe
    that the message was sent, and what goes out in its place says that it was not.
    """
    if reason == Reason.FRAUD_SHADOWED:
        return False
    return reason != Reason.FRAUD_BLOCKED or channel not in PAID_PHONE_CHANNELS


def why_not(message: Message, within_ms: int) -> str:
    """Why the next channel is tried."""
    if failed(message):
        return f"{message.channel} message {message.id} ended as {Reason(message.status).name}"
    wanted = _NAMES[message.wanted]
    return f"{message.channel} message {message.id} was not {wanted} within {render(within_ms)}"


def replace(act: "Activation", message_id: str, by: str, why: str) -> None:
    """Marks a message as replaced; without another one in its place it is waited for no more."""
    kept = act.entity.kept
    at = kept.where(message_id)
    if at < 0:
        return
    message = kept.at(at)
    if by:
        message.instead = by
        act.note("message", by, f"goes out since {why}")
    else:
        message.wanted = 0
    kept.put(at, message)


def forget(act: "Activation", message_id: str) -> None:
    """Waits no more for a message by the API: it is called back, and so is what replaced it."""
    take(act, message_id)
    replace(act, message_id, "", "")


def following(act: "Activation", message: Message) -> list[Message]:
    """The messages that went out in the place of one, in turn."""
    found: list[Message] = []
    known = {message.id}
    after: Message | None = message
    while after is not None and after.instead and after.instead not in known:
        known.add(after.instead)
        after = act.entity.kept.get(after.instead)
        if after is not None:
            found.append(after)
    return found


def take(act: "Activation", message_id: str) -> dict[str, Any] | None:
    """What would be sent in the place of a message; nobody waits for it from now on."""
    state = act.entity.state
    waiting = state.get(STATE)
    packed = waiting.pop(message_id, None) if waiting else None
    if packed is None:
        return None
    if not waiting:
        del state[STATE]
    act.clear_timer(TIMER + message_id)
    values: dict[str, Any] = unpack(packed)
    return values
