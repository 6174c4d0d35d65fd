"""Messages by the API, and what senders tell of them.

Both are commands on the entity that the message is for, so that a message's history is journaled
like everything else.
"""

from typing import Any

import msgpack

from engine import commands, limits
from engine.activation import Activation
from engine.dedup import SEEN
from engine.governance import caps
from engine.messages import MARKETING, Message, SendRequest
from engine.reasons import Reason
from engine.templates import RenderError

# Outcomes that a marketer would want to find in the user's trail, not only in the message.
_NOTED = frozenset(
    {
        Reason.CANCELLED, Reason.EXPIRED, Reason.INVALID_NUMBER, Reason.UNROUTABLE_NUMBER,
        Reason.FRAUD_BLOCKED, Reason.CARRIER_REJECTED, Reason.CARRIER_UNAVAILABLE,
        Reason.UNKNOWN_OUTCOME, Reason.UNDELIVERED,
    }
)  # fmt: skip

# Outcomes with which a message ends that no carrier has taken.
_NEVER_LEFT = frozenset(
    {
        Reason.CANCELLED, Reason.EXPIRED, Reason.NO_ROUTE, Reason.INVALID_NUMBER,
        Reason.UNROUTABLE_NUMBER, Reason.FRAUD_BLOCKED, Reason.CARRIER_REJECTED,
        Reason.CARRIER_UNAVAILABLE,
    }
)  # fmt: skip


def sent_id(message_id: str) -> str:
    """What an entity remembers of a message that it was asked for."""
    return "send " + message_id


def send_by_api(act: Activation, message_id: str, spec: bytes) -> Reason:
    """Makes the message that a caller asked for.

    Args:
        act: An activation on the user or address.
        message_id: `messages.api_message_id` of the caller's request id.
        spec: See `commands.send`.

    Returns:
        ACCEPTED (also for a message that has no address or route, cannot be rendered, or is stopped
        by governance: its history says so), DUPLICATE if the request was taken before,
        TEMPLATE_MISSING, or OUTBOX_FULL.
    """
    seen_id = sent_id(message_id)
    seen = act.entity.seen.add(seen_id, act.now)
    if seen:
        return Reason.DUPLICATE if seen == SEEN else Reason.USER_RATE
    reason = _send(act, message_id, msgpack.unpackb(spec))
    if reason is not Reason.ACCEPTED:
        act.entity.seen.forget(seen_id)
    return reason


def _send(act: Activation, message_id: str, values: dict[str, Any]) -> Reason:
    request = _request(act, values)
    if request.template:
        template = act.program.templates.get(request.template)
        if template is None or template.channel != request.channel:
            return Reason.TEMPLATE_MISSING
        request.context = _context(act, values.get("data") or {})
        try:
            rendered = template.render(request.context)
        except RenderError as error:
            why = f"template {request.template!r}: {error}"
            act.send_failed(request, Reason.RENDER_FAILED, why, message_id)
            return Reason.ACCEPTED
        request.body, request.subject = rendered.body, rendered.subject
        request.warnings = rendered.warnings
    _, reason = act.send(request, message_id)
    return Reason.OUTBOX_FULL if reason is Reason.OUTBOX_FULL else Reason.ACCEPTED


def _request(act: Activation, values: dict[str, Any]) -> SendRequest:
    """What the caller asked for, not yet rendered."""
    entity = act.entity
    return SendRequest(
        channel=values["channel"],
        to=values.get("to", "") or (entity.id if entity.kind == "address" else ""),
        purpose=values.get("purpose", MARKETING),
        body=values.get("body", ""),
        subject=values.get("subject", ""),
        template=values.get("template", ""),
        validity_ms=values.get("validity_ms") or limits.VALIDITY_MS,
        lane=values.get("lane", ""),
        resend_unknown=bool(values.get("resend_unknown")),
        tags=tuple(map(str, values.get("tags") or ())),
        topic=str(values.get("topic") or ""),
        priority=int(values.get("priority") or 0),
    )


def take_receipt(act: Activation, command: commands.Command) -> Reason:
    """Takes in what a sender tells of a message; see `commands.receipt`.

    The time that it brings is of the sender's clock, which may show another time than the shard's
    (events may move that one): a message's history stays between its making and now.

    Returns:
        ACCEPTED, DUPLICATE for what was known, or NOT_FOUND for a message that the entity has
        forgotten (its effect is settled all the same). Of several outcomes it is the first's.
    """
    _, _, message_id, reason, at_ms, settle, carrier, lane, code, detail, provider_id = command[:11]
    entity = act.entity
    if settle:
        entity.outbox.pop(message_id, None)
    kept = entity.kept
    at = kept.where(message_id)
    if at < 0:
        return Reason.NOT_FOUND
    message = kept.at(at)
    if carrier:
        message.carrier = carrier
    if lane:
        message.lane = lane
    if provider_id:
        message.provider_id = provider_id
    moved = _take_outcome(act, message, reason, at_ms, code, detail)
    if len(command) > 11:
        for each in command[11]:
            _take_outcome(act, message, *each)
    kept.put(at, message)
    return Reason.ACCEPTED if moved else Reason.DUPLICATE


def _take_outcome(
    act: Activation, message: Message, reason: int, at_ms: int, code: str, detail: str
) -> bool:
    """Takes in one outcome; False for a repeat, or one that came too late to matter."""
    at_ms = min(max(at_ms, message.created_ms), act.now)
    if not message.record(reason, at_ms, code, detail):
        return False
    outcomes = act.effects.outcomes
    outcomes[reason] = outcomes.get(reason, 0) + 1
    if reason in _NEVER_LEFT and caps.STATE in act.entity.state:
        _take_back(act, message)
    if reason in _NOTED:
        name = Reason(reason).name
        words = ", ".join(part for part in (code, detail) if part)
        act.note("message", message.id, f"{name}: {words}" if words else name)
    elif act.feed is not None:
        act.tell("message", message.id, Reason(reason).name)
    return True


def _take_back(act: Activation, message: Message) -> None:
    """Lets a message that never left count for no frequency cap."""
    outcomes = [outcome for _, outcome, _, _ in message.history]
    if Reason.SENT in outcomes:
        return
    label = caps.label_of(message.channel, message.purpose, message.topic, message.tags)
    queued = [at_ms for at_ms, outcome, _, _ in message.history if outcome == Reason.QUEUED]
    caps.uncount(act.entity, label, queued[-1] if queued else message.created_ms)


def _context(act: Activation, data: dict[str, Any]) -> dict[str, Any]:
    entity = act.entity
    return {"profile": entity.traits, "data": data, "event": data, "user_id": entity.id}
