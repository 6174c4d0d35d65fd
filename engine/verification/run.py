"""The life of a verification: started, asked for again, answered, ended.

Everything is in one entity, the address, so a burned code is burned for everyone at once. A code is
good for one right answer. While a verification is pending, starting it again sends the same code
again, if it is good for long enough, else another one beside it; a person may type either, since
messages overtake each other.

A code whose message has an unknown outcome is never sent again. Once the person could ask again,
and still nobody knows, another code goes out: a start brings a spare one, since none can be drawn
here.
"""

from collections.abc import Iterable, Mapping
from hmac import compare_digest
from typing import Any, Final

from xxhash import xxh3_64_digest

from engine import commands, limits
from engine.activation import Activation
from engine.commands import Command
from engine.content.templates import RenderError
from engine.entity import Entity
from engine.fallback.success import may_follow
from engine.messages.message import OTP, Message, SendRequest
from engine.packing import pack
from engine.reasons import Reason
from engine.verification import counting, record, texts
from engine.verification.definition import Verifier
from engine.verification.record import Answer, Code, Record, Sending
from engine.verification.sealed import CODE_LENGTH, SEALED, mark_of

# A code that is sent again has to be good for at least this part of its validity.
_GOOD_FOR: Final = 0.5
_ANSWERS: Final = 8
_VERIFIED: Final = "verified"
STATE: Final = record.STATE

# Outcomes of a message after which another channel may do better, if it may follow at all.
_TRY_ANOTHER: Final = frozenset(
    {
        Reason.NO_ROUTE, Reason.NO_ADDRESS, Reason.UNROUTABLE_NUMBER, Reason.CARRIER_REJECTED,
        Reason.CARRIER_UNAVAILABLE, Reason.UNDELIVERED, Reason.EXPIRED, Reason.RENDER_FAILED,
        Reason.NO_CONSENT, Reason.FRAUD_BLOCKED, Reason.FRAUD_CHALLENGED, Reason.FRAUD_SHADOWED,
        Reason.LIMIT_REACHED, Reason.LANE_CAPPED,
    }
)  # fmt: skip

_EVENTS: Final = {
    record.PENDING: "Verification Started",
    record.APPROVED: "Verification Approved",
    record.CANCELLED: "Verification Cancelled",
    record.EXPIRED: "Verification Expired",
    record.TOO_MANY_ATTEMPTS: "Verification Failed",
}


def take_start(act: Activation, command: Command) -> Reason:
    """Starts a verification, or sends the code of a pending one again; see `commands.start`.

    Returns:
        ACCEPTED; DUPLICATE for a repeated request; NOT_FOUND for no such definition;
        VERIFICATION_CHANNEL if it does not reach the address; VERIFICATION_TOO_SOON before the time
        of the next sending; VERIFICATION_LIMIT if the address was asked for too many codes;
        OUTBOX_FULL.
    """
    _, _, request_id, name, user, channel, locale, digest, sealed, facts = command[:10]
    spare_digest, spare_sealed = command[10:12] if len(command) > 10 else (b"", "")
    verifier = act.program.verifications.get(name)
    if verifier is None:
        return Reason.NOT_FOUND
    channels = verifier.channels_to(act.entity.id)
    channel = channel or (channels[0] if channels else "")
    if channel not in channels:
        return Reason.VERIFICATION_CHANNEL
    seen_id = "verify " + request_id
    seen = act.entity.seen
    if seen_id in seen:
        return Reason.DUPLICATE
    known = record.find(act.entity, name)
    one = known if known is not None and known.status == record.PENDING else None
    starts = _recent(known.starts if known else (), verifier, act.now)
    if known is not None and act.now < next_send_ms(verifier, known):
        return Reason.VERIFICATION_TOO_SOON
    if _too_many(starts, verifier.limits_of("address"), act.now):
        return Reason.VERIFICATION_LIMIT
    if len(act.entity.outbox) >= limits.OUTBOX:
        return Reason.OUTBOX_FULL
    if one is None:
        if known is None and len(record.names_of(act.entity)) >= limits.VERIFICATIONS:
            return Reason.VERIFICATION_LIMIT
        one = Record(act.next_id(), record.PENDING, user, locale, facts, act.now)
    elif len(one.sendings) >= limits.CODE_SENDS:
        return Reason.VERIFICATION_LIMIT
    if seen.add(seen_id, act.now):
        return Reason.USER_RATE
    one.user, one.facts = user or one.user, facts
    one.asked_ms = act.now if user else one.asked_ms
    one.locale = verifier.locale_of(locale or one.locale)
    one.starts = [*starts, act.now]
    _offer_code(act, verifier, one, Code(digest, sealed, act.now + verifier.validity_ms))
    one.spare = Code(spare_digest, spare_sealed, 0) if spare_sealed else None
    _send(act, verifier, one, channel)
    record.keep(act.entity, name, one)
    act.set_timer(record.TIMER + name, one.due_ms)
    if known is None or known.id != one.id:
        _tell(act, name, one, channel)
    return Reason.ACCEPTED


def take_check(act: Activation, command: Command) -> Reason:
    """Takes an answer; see `commands.check`.

    Returns:
        ACCEPTED for the right code, which is good no more; VERIFICATION_WRONG; VERIFICATION_FAILED
        for the last wrong answer and all after it; NOT_FOUND if nothing is pending. A repeat of
        the same request is told the same; its id with another answer is KEY_REUSED.
    """
    _, _, request_id, name, digest = command[:5]
    one = record.find(act.entity, name)
    if one is None:
        return Reason.NOT_FOUND
    asked = xxh3_64_digest(digest)
    for answer in one.answers:
        if answer.request_id == request_id:
            is_repeat = answer.asked in (asked, b"")
            return Reason(answer.outcome) if is_repeat else Reason.KEY_REUSED
    if one.status == record.TOO_MANY_ATTEMPTS:
        return Reason.VERIFICATION_FAILED
    if one.status != record.PENDING:
        return Reason.NOT_FOUND
    good = False
    for code in one.codes:  # all of them, so that its time tells nothing
        good |= compare_digest(code.digest, digest) and act.now < code.expires_ms
    verifier = act.program.verifications.get(name)
    attempts = verifier.attempts if verifier is not None else limits.CODE_ATTEMPTS
    one.wrong += not good
    if good:
        outcome = Reason.ACCEPTED
        _end(act, name, one, record.APPROVED)
        _tell_guards(act, one)
    elif one.wrong >= attempts:
        outcome = Reason.VERIFICATION_FAILED
        _end(act, name, one, record.TOO_MANY_ATTEMPTS)
    else:
        outcome = Reason.VERIFICATION_WRONG
    one.answers = [*one.answers, Answer(request_id, int(outcome), asked)][-_ANSWERS:]
    record.keep(act.entity, name, one)
    return outcome


def take_close(act: Activation, command: Command) -> Reason:
    """Cancels a pending verification; one that has ended stays as it is."""
    name = command[3]
    one = record.find(act.entity, name)
    if one is None:
        return Reason.NOT_FOUND
    if one.status != record.PENDING:
        return Reason.DUPLICATE
    _end(act, name, one, record.CANCELLED)
    record.keep(act.entity, name, one)
    return Reason.ACCEPTED


def on_timer(act: Activation, name: str) -> None:
    """Ends a verification whose last code is worthless, and forgets one that ended long ago.

    Before that it may be time for another code, since nobody knows what became of the newest.
    """
    one = record.find(act.entity, name)
    if one is None:
        counting.forget(act, name)
        return
    if one.status != record.PENDING:
        _forget(act, name, one)
        return
    if act.now < one.expires_ms:
        if one.try_ms:
            _send_spare(act, name, one)
        act.set_timer(record.TIMER + name, one.due_ms)
    else:
        _end(act, name, one, record.EXPIRED)
    record.keep(act.entity, name, one)


def _forget(act: Activation, name: str, one: Record) -> None:
    """Forgets one that has ended, once no limit counts its starts any more."""
    verifier = act.program.verifications.get(name)
    if verifier is not None and (starts := _recent(one.starts, verifier, act.now)):
        act.set_timer(record.TIMER + name, starts[-1] + _longest_ms(verifier))
    else:
        record.forget(act.entity, name)


def set_timers(act: Activation) -> None:
    """Sets the timers of verifications and of counts, after they were lost in a quarantine."""
    for name in record.names_of(act.entity):
        one = record.find(act.entity, name)
        if one is not None:
            pending = one.status == record.PENDING
            due_ms = one.due_ms if pending else one.ended_ms + limits.VERIFICATION_KEPT_MS
            # Not before now: a row's timers lie after the entry that it is stamped with.
            act.set_timer(record.TIMER + name, max(due_ms, act.now + 1))
    counting.set_timers(act)


def on_outcome(act: Activation, message_id: str, reason: int) -> None:
    """Tries the next channel when a message with a code will not arrive, or may not have."""
    if reason not in _TRY_ANOTHER and reason != Reason.UNKNOWN_OUTCOME:
        return
    for name in record.names_of(act.entity):
        one = record.find(act.entity, name)
        if one is None or one.status != record.PENDING or not one.sendings:
            continue
        last = one.sendings[-1]
        if last.message_id != message_id:
            continue
        verifier = act.program.verifications.get(name)
        if verifier is None or not verifier.fallback:
            continue
        if reason in _TRY_ANOTHER:
            _fall_back(act, name, verifier, one, last.channel, reason)
        elif one.spare is not None:
            # Until then a late receipt may put it right.
            one.try_ms = max(act.now + 1, next_send_ms(verifier, one))
            record.keep(act.entity, name, one)
            act.set_timer(record.TIMER + name, one.due_ms)


def settled(act: Activation, message: Message) -> None:
    """A sender is done with a message: it needs its code no more. The caller puts it back."""
    if message.facts and SEALED in message.facts:
        del message.facts[SEALED]


def next_send_ms(verifier: Verifier, one: Record) -> int:
    """When the next message may be asked for; 0 for at once, as after the right answer."""
    if not one.starts or one.status == record.APPROVED:
        return 0
    pause = verifier.resend_ms[min(len(one.starts), len(verifier.resend_ms)) - 1]
    return one.starts[-1] + pause


def view(entity: Entity, name: str, verifications: Mapping[str, Verifier]) -> dict[str, Any] | None:
    """A verification as plain values, without codes; its messages with what is known of them."""
    one = record.find(entity, name)
    if one is None:
        return None
    verifier = verifications.get(name)
    sendings = []
    for sending in one.sendings:
        message = entity.kept.get(sending.message_id) if sending.message_id else None
        status = 0 if message is None else message.status
        sendings.append([sending.message_id, sending.channel, sending.at_ms, status])
    return {
        "id": one.id,
        "status": one.status,
        "user": one.user,
        "started_ms": one.started_ms,
        "ended_ms": one.ended_ms,
        "expires_ms": one.expires_ms,
        "next_send_ms": next_send_ms(verifier, one) if verifier else 0,
        "attempts_left": max(0, verifier.attempts - one.wrong) if verifier else 0,
        "sendings": sendings,
    }


def _recent(starts: Iterable[int], verifier: Verifier, now_ms: int) -> list[int]:
    since_ms = now_ms - _longest_ms(verifier)
    return [at_ms for at_ms in starts if at_ms > since_ms][-limits.CODE_STARTS :]


def _longest_ms(verifier: Verifier) -> int:
    """How long a start counts."""
    limited = (within_ms for _, within_ms in verifier.limits_of("address"))
    return max(verifier.validity_ms, *limited, 0)


def _too_many(times: list[int], allowed: tuple[tuple[int, int], ...], now_ms: int) -> bool:
    return any(
        sum(at_ms > now_ms - within_ms for at_ms in times) >= at_most
        for at_most, within_ms in allowed
    )


def _offer_code(act: Activation, verifier: Verifier, one: Record, fresh: Code) -> None:
    """Puts a new code beside the good ones, unless the newest is good for long enough.

    One that may have been sent, as far as anybody knows, is not sent again either.
    """
    good = [code for code in one.codes if code.expires_ms > act.now]
    worth_ms = act.now + int(verifier.validity_ms * _GOOD_FOR)
    if not good or good[-1].expires_ms < worth_ms or _is_unknown(act.entity, one):
        good.append(fresh)
    one.codes = good[-limits.CODES_VALID :]


def _is_unknown(entity: Entity, one: Record) -> bool:
    """Whether nobody knows what became of the newest message."""
    message = entity.kept.get(one.sendings[-1].message_id) if one.sendings else None
    return message is not None and message.status == Reason.UNKNOWN_OUTCOME


def _send_spare(act: Activation, name: str, one: Record) -> None:
    """Sends another code, by the next channel or else by the same, if nobody knows even now."""
    verifier, spare, one.try_ms = act.program.verifications.get(name), one.spare, 0
    if verifier is None or not verifier.fallback or spare is None:
        return
    if len(one.sendings) >= limits.CODE_SENDS or not _is_unknown(act.entity, one):
        return
    spare.expires_ms = act.now + verifier.validity_ms
    _offer_code(act, verifier, one, spare)
    one.spare = None
    channel = one.sendings[-1].channel
    if not _next_channel(act, verifier, one, channel, Reason.UNKNOWN_OUTCOME):
        _send(act, verifier, one, channel)
    by = one.sendings[-1].channel
    act.note("verification", name, f"another code by {by} after {channel}: UNKNOWN_OUTCOME")


def _send(act: Activation, verifier: Verifier, one: Record, channel: str) -> None:
    """Makes the message with the newest code; what becomes of it is in its history."""
    code = one.codes[-1]
    mark = mark_of(verifier.length)
    left_ms = code.expires_ms - act.now
    facts = {**one.facts, SEALED: code.sealed, CODE_LENGTH: str(verifier.length)}
    request = SendRequest(
        channel, act.entity.id, OTP, "", validity_ms=left_ms, lane=verifier.lane_of(channel),
        facts=facts, template=verifier.template_of(channel, one.locale),
    )  # fmt: skip
    request.body, request.subject = texts.write(one.locale, channel, verifier.brand, mark, left_ms)
    why = _render(act, verifier, request, mark, left_ms) if request.template else ""
    if why:
        message_id, reason = act.send_failed(request, Reason.RENDER_FAILED, why)
    else:
        message_id, reason = act.send(request)
    one.sendings = [*one.sendings, Sending(message_id, channel, act.now)][-limits.CODE_SENDS :]
    one.try_ms = 0
    if reason in _TRY_ANOTHER and verifier.fallback:
        _next_channel(act, verifier, one, channel, reason)


def _render(
    act: Activation, verifier: Verifier, request: SendRequest, mark: str, left_ms: int
) -> str:
    """Puts what its template says into a request; gives why it can't be rendered, or nothing."""
    template = act.program.templates[request.template]
    data = {"brand": verifier.brand, "code": mark, "minutes": max(1, left_ms // 60_000)}
    context = {"profile": {}, "data": data, "event": data, "user_id": ""}
    try:
        rendered = template.render(context, request.channel)
    except RenderError as error:
        return f"template {request.template!r}: {error}"
    request.body, request.subject = rendered.body, rendered.subject
    request.warnings, request.content = rendered.warnings, rendered.content
    return ""


def _fall_back(
    act: Activation, name: str, verifier: Verifier, one: Record, channel: str, reason: int
) -> None:
    if not one.codes or one.codes[-1].expires_ms <= act.now:
        return
    if _next_channel(act, verifier, one, channel, reason):
        by, why = one.sendings[-1].channel, Reason(reason).name
        act.note("verification", name, f"by {by} after {channel}: {why}")
        record.keep(act.entity, name, one)


def _next_channel(
    act: Activation, verifier: Verifier, one: Record, channel: str, reason: int
) -> bool:
    """Sends the code by the next channel that was not tried since the newest start.

    Args:
        act: The activation on the address.
        verifier: The definition.
        one: The verification.
        channel: The channel that did not do, which is not tried again.
        reason: Why it did not: see `may_follow`.
    """
    since_ms = one.starts[-1]
    tried = {sending.channel for sending in one.sendings if sending.at_ms >= since_ms}
    for following in verifier.channels_to(act.entity.id):
        if following in tried or following == channel or not may_follow(reason, following):
            continue
        if len(one.sendings) >= limits.CODE_SENDS:
            return False
        _send(act, verifier, one, following)
        return True
    return False


def _end(act: Activation, name: str, one: Record, status: str) -> None:
    """Ends a verification: its codes are wiped, and what has not left does not leave."""
    one.status, one.ended_ms, one.codes = status, act.now, []
    one.spare, one.try_ms, one.facts = None, 0, {}
    for sending in one.sendings:
        if sending.message_id in act.entity.outbox:
            act.cancel(sending.message_id, f"the verification is {status}")
    act.set_timer(record.TIMER + name, act.now + limits.VERIFICATION_KEPT_MS)
    _tell(act, name, one, one.sendings[-1].channel if one.sendings else "")


def _tell_guards(act: Activation, one: Record) -> None:
    """Has the fraud guards told that a number is honest: once, so the effect has its id."""
    entity = act.entity
    if "@" not in entity.id:
        act.forward(one.id, commands.feedback(entity.key, one.id, _VERIFIED))


def _tell(act: Activation, name: str, one: Record, channel: str) -> None:
    """Tells the address's trail and the profile that it is for."""
    event = _EVENTS[one.status]
    act.note("verification", name, f"{event.removeprefix('Verification ').lower()} by {channel}")
    if not one.user:
        return
    properties = {
        "verification": name, "id": one.id, "address": act.entity.id, "channel": channel,
        "status": one.status, "wrong_answers": one.wrong,
    }  # fmt: skip
    forward_id = act.next_id()
    act.forward(
        forward_id,
        commands.told(
            one.user, forward_id, event, act.now, pack(properties), one.asked_ms, act.entity.key
        ),
    )
