"""Messages by the API, and what senders tell of them.

Both are commands on the entity that the message is for, so that a message's history is journaled
like everything else.

A request's id and a hash of all that it says are both remembered, so that the same id with another
message is refused instead of being taken for a repeat.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgpack
from xxhash import xxh3_64_hexdigest

from engine import commands, limits
from engine.activation import Activation
from engine.content.templates import RenderError
from engine.dedup import SEEN, SeenIds
from engine.fallback import success
from engine.governance import caps, consents, held
from engine.journeys import run as journeys
from engine.journeys.lingering import left
from engine.messages.message import EMAIL, MARKETING, PHONE_CHANNELS, Message, SendRequest, hop_of
from engine.messages.states import ARRIVED, WAITING
from engine.packing import pack
from engine.privacy.record import is_gone
from engine.reasons import Reason
from engine.routes import fail_over
from engine.verification import run as verification

# Outcomes that a marketer would want to find in the user's trail, not only in the message.
_NOTED = frozenset(
    {
        Reason.CANCELLED, Reason.EXPIRED, Reason.INVALID_NUMBER, Reason.UNROUTABLE_NUMBER,
        Reason.FRAUD_BLOCKED, Reason.CARRIER_REJECTED, Reason.CARRIER_UNAVAILABLE,
        Reason.UNKNOWN_OUTCOME, Reason.UNDELIVERED, Reason.REVOKED, Reason.FRAUD_CHALLENGED,
        Reason.FRAUD_SHADOWED, Reason.LIMIT_REACHED, Reason.LANE_CAPPED, Reason.NO_ROUTE,
        Reason.COMPLAINED,
    }
)  # fmt: skip

# Outcomes with which a message ends that no carrier has taken.
_NEVER_LEFT = frozenset(
    {
        Reason.CANCELLED, Reason.EXPIRED, Reason.NO_ROUTE, Reason.INVALID_NUMBER,
        Reason.UNROUTABLE_NUMBER, Reason.FRAUD_BLOCKED, Reason.CARRIER_REJECTED,
        Reason.CARRIER_UNAVAILABLE, Reason.FRAUD_CHALLENGED, Reason.FRAUD_SHADOWED,
        Reason.LIMIT_REACHED, Reason.LANE_CAPPED,
    }
)  # fmt: skip

# All others are taken in, and that is all.
_REMARKABLE: Final = _NOTED | _NEVER_LEFT | {Reason.COMPLAINED}

# To find a member of its enum takes ten times as long as a global.
_ACCEPTED: Final = Reason.ACCEPTED
_DUPLICATE: Final = Reason.DUPLICATE
_COMPLAINED: Final = int(Reason.COMPLAINED)
_EXPIRED: Final = int(Reason.EXPIRED)
_DELIVERED: Final = int(Reason.DELIVERED)
_QUEUED: Final = int(Reason.QUEUED)
_SENDING: Final = int(Reason.SENDING)

_RECEIPT_ITEMS: Final = 13  # of `commands.receipt`
_RECEIPT_ENDS: Final = ((), commands.UNKNOWN)  # what the last of them are in older journals


def sent_id(message_id: str) -> str:
    """What an entity remembers of a message that it was asked for."""
    return "send " + message_id


def asked_before(seen: SeenIds, message_id: str, spec: bytes) -> Reason | None:
    """What a request is answered that was taken: DUPLICATE, or KEY_REUSED if it was another one.

    Returns:
        None for a request that is new.
    """
    if sent_id(message_id) not in seen:
        return None
    return Reason.DUPLICATE if _said_id(message_id, spec) in seen else Reason.KEY_REUSED


def _said_id(message_id: str, spec: bytes) -> str:
    """What an entity remembers of all that a request said."""
    return f"said {message_id} {xxh3_64_hexdigest(spec)}"


def send_by_api(act: Activation, message_id: str, spec: bytes) -> Reason:
    """Makes the message that a caller asked for.

    Args:
        act: An activation on the user or address.
        message_id: `messages.api_message_id` of the caller's request id.
        spec: See `commands.send`.

    Returns:
        ACCEPTED (also for a message that has no address or route, cannot be rendered, or is stopped
        by governance: its history says so), DUPLICATE if the request was taken before, KEY_REUSED
        if another one was taken under its id, TEMPLATE_MISSING, BAD_TIMESTAMP, USER_RATE or
        OUTBOX_FULL.
    """
    ids = (_said_id(message_id, spec), sent_id(message_id))
    seen = act.entity.seen
    known = seen.add(ids[0], act.now)
    if known:
        return Reason.DUPLICATE if known == SEEN else Reason.USER_RATE
    known = seen.add(ids[1], act.now)
    if known:
        seen.forget(ids[0])
        return Reason.KEY_REUSED if known == SEEN else Reason.USER_RATE
    reason = _send(act, message_id, msgpack.unpackb(spec))
    if reason is not Reason.ACCEPTED:
        seen.forget(ids[1])
        seen.forget(ids[0])
    return reason


def send_next(act: Activation, before: str, values: dict[str, Any], why: str) -> None:
    """Sends what is to go out in the place of a message that did not succeed, if anything can.

    Args:
        act: An activation on its entity.
        before: The id of the message.
        values: What `_wait` has kept.
        why: Why it did not succeed.
    """
    message_id = act.next_id()
    reason = _send(act, message_id, values["next"])
    made = act.entity.kept.where(message_id) >= 0
    success.replace(act, before, message_id if made else "", why)
    if reason is not Reason.ACCEPTED:
        act.note("message", before, f"nothing goes out in its place: {reason.name}")


def _send(act: Activation, message_id: str, values: dict[str, Any]) -> Reason:
    """Sends a message, or if that fails at once and it has fall-backs, the next one that does not.

    Returns:
        ACCEPTED; or TEMPLATE_MISSING (of any of them), BAD_TIMESTAMP (it is too far ahead) or
        OUTBOX_FULL: then nothing was done.
    """
    if (values.get("send_at_ms") or 0) > act.now + limits.SEND_AHEAD_MS:
        return Reason.BAD_TIMESTAMP
    rest = values.get("fallbacks") or ()
    if rest and len(act.entity.state.get(success.STATE) or ()) >= limits.FALLBACKS:
        return Reason.OUTBOX_FULL
    for each in rest:
        if each.get("template") and not _has_template(act, each):
            return Reason.TEMPLATE_MISSING
    reason = _send_one(act, message_id, values)
    if reason is Reason.TEMPLATE_MISSING or reason is Reason.OUTBOX_FULL:
        return reason
    if not rest:
        return Reason.ACCEPTED
    if success.handed_out(reason):
        _wait(act, message_id, values)
    elif reason is Reason.SUPPRESSED:
        success.replace(act, message_id, "", "")
    else:
        send_next(act, message_id, {"next": next_of(values)}, f"{message_id} was {reason.name}")
    return Reason.ACCEPTED


def next_of(values: dict[str, Any]) -> dict[str, Any]:
    """What is sent in the place of a message: the next channel, with what holds for all."""
    first, *rest = values["fallbacks"]
    common = {name: value for name, value in values.items() if name not in _OF_ONE}
    return {**common, **first, "fallbacks": rest}


def _has_template(act: Activation, values: dict[str, Any]) -> bool:
    template = act.program.templates.get(values["template"])
    return template is not None and template.serves(values["channel"])


# What each of several channels has for itself.
_OF_ONE: Final = frozenset(
    {
        "channel", "to", "template", "body", "subject", "lane", "sender", "success", "within_ms",
        "fallbacks", "send_at_ms",
    }
)  # fmt: skip


def _wait(act: Activation, message_id: str, values: dict[str, Any]) -> None:
    """Waits for the success of a message, and keeps what is sent if it does not come."""
    within_ms = values.get("within_ms") or limits.FALLBACK_WITHIN_MS
    due_ms = max(values.get("send_at_ms") or 0, act.now) + within_ms
    kept = {"next": next_of(values), "due_ms": due_ms, "waited_ms": within_ms}
    act.entity.state.setdefault(success.STATE, {})[message_id] = pack(kept)
    act.set_timer(success.TIMER + message_id, due_ms)


def _send_one(act: Activation, message_id: str, values: dict[str, Any]) -> Reason:
    """Sends or schedules one message; gives what became of it, or why it was refused."""
    request = _request(act, values)
    if request.template:
        template = act.program.templates.get(request.template)
        if template is None or not template.serves(request.channel):
            return Reason.TEMPLATE_MISSING
        request.context = _context(act, values.get("data") or {})
        try:
            rendered = template.render(request.context, request.channel)
        except RenderError as error:
            why = f"template {request.template!r}: {error}"
            return act.send_failed(request, Reason.RENDER_FAILED, why, message_id)[1]
        request.body, request.subject = rendered.body, rendered.subject
        request.warnings, request.content = rendered.warnings, rendered.content
    at_ms = values.get("send_at_ms") or 0
    if at_ms > act.now:
        return act.schedule(request, at_ms, message_id)[1]
    return act.send(request, message_id)[1]


def _request(act: Activation, values: dict[str, Any]) -> SendRequest:
    """What the caller asked for, not yet rendered."""
    entity = act.entity
    to = values.get("to", "")
    if not to and entity.kind == "address" and _is_for(entity.id, values["channel"]):
        to = entity.id
    return SendRequest(
        channel=values["channel"],
        to=to,
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
        facts=values.get("facts") or None,
        sender=values.get("sender", ""),
        wanted=values.get("success") or _DELIVERED if values.get("fallbacks") else 0,
    )


def _is_for(address: str, channel: str) -> bool:
    """Whether an address may be one of a channel: only numbers and mail addresses show it."""
    if address.startswith("+"):
        return channel in PHONE_CHANNELS
    return ("@" in address) == (channel == EMAIL)


def take_receipt(act: Activation, command: commands.Command) -> Reason:
    """Takes in what a sender tells of a message; see `commands.receipt`.

    The time that it brings is of the sender's clock, which may show another time than the shard's
    (events may move that one): a message's history stays between its making and now.

    Returns:
        ACCEPTED, DUPLICATE for what was known, or NOT_FOUND for a message that the entity has
        forgotten (its effect is settled all the same). Of several outcomes it is the first's.
    """
    if len(command) != _RECEIPT_ITEMS:
        command = _of_other_version(command)
    (
        _, _, message_id, reason, at_ms, settle, carrier, lane, code, detail, provider_id, more,
        took_ms,
    ) = command  # fmt: skip
    entity = act.entity
    outbox = entity.outbox
    hop = 0
    if message_id not in outbox:
        message_id, hop = hop_of(message_id)
    kept = entity.kept
    message = kept.get(message_id)
    if message is None:
        if settle:
            outbox.pop(message_id, None)
        by = act.program.lanes.get(lane)
        # A complaint may come weeks later. Of who was erased there is nobody to unsubscribe.
        if reason == _COMPLAINED and by is not None and not is_gone(entity):
            consents.complain(act, by.channel)
        return Reason.NOT_FOUND
    if hop != message.hop:
        return _take_late(act, message, lane, [(reason, at_ms, code, detail), *more])
    if settle:
        outbox.pop(message_id, None)
        if entity.instances:
            left(act, message.instance)
    if carrier:
        message.carrier = carrier
    if lane:
        message.lane = lane
    if provider_id:
        message.provider_id = provider_id
    if reason == _EXPIRED:
        why = held.hold_back(act, kept.where(message_id), message)
        if not why:
            _take_back(act, message)
            return Reason.ACCEPTED
        detail = detail or why
    moved = _take_outcome(act, message, reason, at_ms, code, detail, took_ms)
    for number, each in enumerate(more):
        if message.hop != hop:  # it has gone on: the rest is of the attempt before
            _take_late(act, message, lane, more[number:])
            message = kept.get(message_id) or message  # it may have been called back
            break
        _take_outcome(act, message, *each)
    if settle and (message.facts or message.content) and message_id not in outbox:
        if not message.others:  # no lane is left that could need it
            message.content = ""  # the sender is done with it; the text stays for the record
        verification.settled(act, message)
    kept.give_back(message)
    if not moved:
        return _DUPLICATE
    if message.wanted:
        act.follow_ups.append((success.MESSAGE, message_id))
    if entity.state and verification.STATE in entity.state:
        verification.on_outcome(act, message.id, message.status)
    return _ACCEPTED


def _of_other_version(receipt: commands.Command) -> commands.Command:
    """A receipt of an older version, with what it lacks; of a newer one, without what it adds."""
    lacks = _RECEIPT_ITEMS - len(receipt)
    return (*receipt, *_RECEIPT_ENDS[-lacks:]) if lacks > 0 else receipt[:_RECEIPT_ITEMS]


def _take_late(
    act: Activation,
    message: Message,
    lane: str,
    outcomes: Sequence[commands.Outcome],
) -> Reason:
    """Takes in what is told of an attempt after which the message went on by another lane.

    It is kept, and moves nothing but if the message has arrived by it after all: then the newest
    attempt is called back, and if that has left, the person may have got it twice.
    """
    moved = arrived = False
    for reason, at_ms, code, detail in outcomes:
        at_ms = min(max(at_ms, message.created_ms), act.now)
        words = fail_over.by_lane(lane, detail)
        if reason == Reason.COMPLAINED:
            consents.complain(act, message.channel)
        if reason not in ARRIVED:
            message.remark(reason, at_ms, code, words)
            continue
        arrived = True
        moved |= message.record(reason, at_ms, code, f"{words}, after it went on by another")
    act.entity.kept.give_back(message)
    if arrived and moved:
        name = Reason(message.status).name
        act.note("message", message.id, f"{name} by lane {lane!r} after it went on: maybe a double")
        act.cancel(message.id, f"it has arrived by lane {lane!r}")
        if message.wanted:
            act.follow_ups.append((success.MESSAGE, message.id))
    return Reason.ACCEPTED if moved else Reason.DUPLICATE


def _take_outcome(
    act: Activation,
    message: Message,
    reason: int,
    at_ms: int,
    code: str,
    detail: str,
    took_ms: int = commands.UNKNOWN,
) -> bool:
    """Takes in one outcome; False for a repeat, or one that came too late to matter."""
    if at_ms < message.created_ms:
        at_ms = message.created_ms
    if at_ms > act.now:
        at_ms = act.now
    outcomes = act.effects.outcomes
    if took_ms >= 0:
        given_ms = at_ms - took_ms
        if given_ms < message.created_ms:
            given_ms = message.created_ms
        if message.status == _QUEUED and act.feed is None:  # as nearly always, and cheaper so
            message.status = _SENDING
            message.history.append((given_ms, _SENDING, "", ""))
            outcomes[_SENDING] = outcomes.get(_SENDING, 0) + 1
        else:
            _take_outcome(act, message, _SENDING, given_ms, "", "")
    if message.others and fail_over.goes_on(act, message, reason, code):
        words = fail_over.go_on(act, message, reason, at_ms, code, detail)
        outcomes[reason] = outcomes.get(reason, 0) + 1
        act.note("message", message.id, words)
        return True
    if message.hop and reason != _SENDING:
        detail = fail_over.by_lane(message.lane, detail)
    if not message.record(reason, at_ms, code, detail):
        return False
    outcomes[reason] = outcomes.get(reason, 0) + 1
    if reason not in _REMARKABLE:
        if act.feed is not None:
            act.tell("message", message.id, Reason(reason).name)
        return True
    if reason in _NEVER_LEFT and caps.STATE in act.entity.state:
        _take_back(act, message)
    if reason == _COMPLAINED:
        consents.complain(act, message.channel)
    if reason in _NOTED:
        name = Reason(reason).name
        words = ", ".join(part for part in (code, detail) if part)
        act.note("message", message.id, f"{name}: {words}" if words else name)
    elif act.feed is not None:
        act.tell("message", message.id, Reason(reason).name)
    return True


def take_cancel(act: Activation, command: commands.Command) -> Reason:
    """Calls a message back, and whatever went or would go out in its place.

    Returns:
        ACCEPTED, also if it is too late: the message's history tells how it ends. NOT_FOUND if the
        entity has no such message.
    """
    _, _, message_id, why = command
    message = act.entity.kept.get(message_id)
    if message is None:
        return Reason.NOT_FOUND
    for each in (message, *success.following(act, message)):
        is_waited_for = bool(each.wanted) and not each.instead
        success.forget(act, each.id)
        act.cancel(each.id, why or "asked by the API")
        if is_waited_for and each.instance:
            each.status = Reason.CANCELLED  # of this copy: even if it has left, its run goes on
            journeys.on_message(act, each, done=False)
    return Reason.ACCEPTED


def _take_back(act: Activation, message: Message) -> None:
    """Lets a message that never left count for no frequency cap."""
    counted_ms, anew = message.created_ms, True
    for at_ms, outcome, _, _ in message.history:
        if outcome == Reason.SENT:
            return
        if outcome in WAITING:
            anew = True  # what was held counts anew when it goes out again; a hop does not
        elif outcome == Reason.QUEUED and anew:
            counted_ms, anew = at_ms, False
    label = caps.label_of(message.channel, message.purpose, message.topic, message.tags)
    caps.uncount(act.entity, label, counted_ms)


def _context(act: Activation, data: dict[str, Any]) -> dict[str, Any]:
    entity = act.entity
    return {"profile": entity.traits, "data": data, "event": data, "user_id": entity.id}
