"""Fail-over: a message that its lane could not send goes on by the next lane of its route.

The lanes that are left stand in the message itself, so what is tried next was decided when it was
made. The word that ends one attempt and the offer of the next are one command on one entity: none
is lost and none is doubled by any crash between the two. Each attempt has a name of its own
(`<message id>.<hop>`), so that a late word of an earlier one is known as such.

A message goes on only where it is certain that this attempt did not reach the person. An outcome
that is not known never makes it go on.
"""

from typing import TYPE_CHECKING, Final

from engine import limits
from engine.governance.judge import leave_by_ms, unwilling
from engine.lanes.carrier_rules import plain_code
from engine.messages.message import Message
from engine.reasons import Reason
from engine.verification.sealed import CODE_LENGTH, SEALED

if TYPE_CHECKING:
    from engine.activation import Activation

# The lane is at fault, whatever the message.
_LANE_AT_FAULT: Final = frozenset(
    {Reason.CARRIER_UNAVAILABLE, Reason.NO_ROUTE, Reason.LANE_CAPPED}
)  # fmt: skip
# Codes of rejections that every carrier would answer: the address is at fault, or the person has
# said no. Of SMPP, Twilio, SMTP (with `_SMTP_ADDRESS`), WhatsApp, FCM and web push.
_ADDRESS_AT_FAULT: Final = frozenset(
    {
        "11", "ESME_RINVDSTADR",
        "21211", "21408", "21610", "21614", "30004", "30005", "30006",
        "131026", "131050",
        "UNREGISTERED", "404", "410", "BAD_ADDRESS", "BAD_SUBSCRIPTION",
    }
)  # fmt: skip
_SMTP_ADDRESS: Final = "5.1."


def goes_on(act: "Activation", message: Message, reason: int, code: str) -> bool:
    """Whether an outcome of its lane makes a message go on by the next one."""
    if not message.others or message.cancelled or message.expires_ms <= act.now:
        return False
    if _is_forgotten(message):
        return False
    if unwilling(act, message) is not None:
        return False  # since it was made, the person has said no
    if reason in _LANE_AT_FAULT:
        return True
    route = act.program.routes.get(message.channel)
    if reason == Reason.UNDELIVERED:
        return route is not None and route.undelivered and len(act.entity.outbox) < limits.OUTBOX
    if reason != Reason.CARRIER_REJECTED:
        return False
    code = plain_code(code)
    named = route.names_code(code) if route is not None else None
    return not _is_of_address(code) if named is None else named


def go_on(act: "Activation", message: Message, reason: int, at_ms: int, code: str, why: str) -> str:
    """Lets a message go on by its next lane. The caller puts it back in its place.

    Args:
        act: The activation on its entity.
        message: The message.
        reason: What its lane told.
        at_ms: When.
        code: The carrier's code.
        why: In words.

    Returns:
        What is to be said of it in the trail.
    """
    entity = act.entity
    message.remark(reason, at_ms, code, by_lane(message.lane, why))
    message.go_on(at_ms, f"goes on by lane {message.others[0][0]!r}")
    entity.outbox[message.id] = None
    leave_by = leave_by_ms(act.program.policy, entity, message, act.now)
    act.effects.sends.append(message.offer(entity.key, entity.workspace, leave_by))
    words = ", ".join(part for part in (code, why) if part)
    told = f"{Reason(reason).name}: {words}" if words else Reason(reason).name
    return f"goes on by lane {message.lane!r}, since {told}"


def by_lane(lane: str, why: str) -> str:
    """What was told of one of several attempts, with the lane of it."""
    return f"lane {lane!r}: {why}" if why else f"lane {lane!r}"


def _is_forgotten(message: Message) -> bool:
    """Whether the code that a message is to bring was forgotten when its sender was done."""
    facts = message.facts
    return facts is not None and CODE_LENGTH in facts and SEALED not in facts


def _is_of_address(code: str) -> bool:
    return code.upper() in _ADDRESS_AT_FAULT or code.startswith(_SMTP_ADDRESS)
