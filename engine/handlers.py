"""What each command to an entity does, and each timer: the two tables that a shard looks into.

A feature brings its commands and timers here and nowhere else. A handler works through the
activation only, so it is deterministic like everything that is built on it.
"""

from collections.abc import Callable
from typing import Any, Final

from engine import catalog, commands, computed, dedup, history, profile
from engine.activation import Activation, EventView
from engine.commands import ALIAS, GROUP, IDENTIFY, NAMED_TYPES, TRACK, Command
from engine.fallback import run as fallback
from engine.follow_ups import follow_up
from engine.governance import consents, held
from engine.identity import hooks as identity
from engine.journeys import answers, broadcast, calls, watching
from engine.journeys import run as journeys
from engine.journeys.steps.registry import TIMER
from engine.messages import inbound
from engine.messages.message import api_message_id
from engine.messages.sending import asked_before, send_by_api, take_cancel, take_receipt
from engine.privacy import hooks as privacy
from engine.reasons import Reason
from engine.slots import ADDRESS
from engine.verification import counting
from engine.verification import run as verification

Handler = Callable[[Activation, Command], int]
"""Does a command to `act.entity`; gives a `Reason`."""
Wake = Callable[[Activation, str], None]
"""Does what is due at `act.now`; the text is what follows the timer's kind in its token."""


_ACCEPTED: Final = Reason.ACCEPTED  # a global: to find a member of its enum takes ten times as long


def _event(act: Activation, command: Command) -> int:
    entity = act.entity
    known = False
    if entity.state:  # of most people no feature keeps anything
        state = entity.state
        gone = privacy.PRIVACY in state
        if gone and privacy.SUPPRESSED in state:
            return Reason.PERSON_SUPPRESSED
        known = identity.IDENTITY in state
        if known and identity.MERGED_INTO in state:
            return identity.pass_event(act, command)
        if gone:
            privacy.come_back(act)
    seen = entity.seen.add(command[2], act.now)
    if seen:
        return Reason.DUPLICATE if seen == dedup.SEEN else Reason.USER_RATE
    if known or command[8] or command[3] == ALIAS:
        identity.look_at(act, command)
        if identity.hold_back(act, command):
            _take_ready(act)
            return Reason.ACCEPTED
    return _take_event(act, command)


def _take_ready(act: Activation) -> None:
    """Applies what waited for a merge, if none is waited for any more."""
    for command in identity.take_ready(act):
        follow_up(act)
        if command[0] != commands.EVENT:
            _note_refused(act, command[1], COMMANDS[command[0]](act, command))
            continue
        reason = _take_event(act, command)
        if reason is not Reason.ACCEPTED:
            act.note("event", command[4], f"it was taken, waited, and is refused: {reason.name}")


def _take_event(act: Activation, command: Command) -> Reason:
    """Applies an event that is new."""
    _, _, message_id, type_, name, at_ms, raw, context, _ = command
    now, entity = act.now, act.entity
    if at_ms > now:
        at_ms = now
    reason = _ACCEPTED
    if type_ in NAMED_TYPES:
        if type_ != TRACK:
            name = profile.event_name(type_, name)
        event = EventView(type_, name, message_id, at_ms, raw, context)
        profile.take_event(act, event)
        entity.updated_ms = now
        if act.feed is not None:
            _tell_event(act, event)
        journeys.on_event(act, event)
    else:
        event = EventView(type_, name, message_id, at_ms, raw, context)
        reason = _take_said(act, event)
    if reason is _ACCEPTED and act.program.rules.types:
        identity.look_at_identifiers(act, event)
    if event.unreadable:
        act.note("event", name, "its properties could not be read: taken as none")
    return reason


def _take_said(act: Activation, event: EventView) -> Reason:
    """Applies an event that says who somebody is, rather than what they did."""
    entity = act.entity
    before = entity.traits
    reason = profile.take_said(act, event)
    if reason is not _ACCEPTED:
        entity.seen.forget(event.message_id)  # nothing was changed: the same event may come again
        return reason
    entity.updated_ms = act.now
    if act.feed is not None:
        _tell_event(act, event)
    _look_at_what_is_said(act, event, before)
    return reason


def _tell_event(act: Activation, event: EventView) -> None:
    kind = commands.EVENT_TYPES[event.type]
    act.tell("event", kind, event.name or kind)


def _look_at_what_is_said(act: Activation, event: EventView, before: dict[str, Any]) -> None:
    """Looks at consent, groups and reserved traits in an event that says who somebody is."""
    type_ = event.type
    if type_ == IDENTIFY and consents.MARK in event.context_raw:
        consents.take_event(act, event)
    journeys.on_event(act, event)
    if type_ == GROUP:
        identity.look_at_group(act, event)
    elif type_ == IDENTIFY and act.entity.traits is not before:
        identity.look_at_traits(act, event.properties, before)


def _told(act: Activation, command: Command) -> int:
    """Takes an event that another entity tells; who was erased since it was asked for is gone."""
    if privacy.is_late_event(act, command):
        return Reason.DUPLICATE
    state = act.entity.state
    if identity.MERGED_INTO in state:
        return identity.pass_event(act, command)
    if privacy.SUPPRESSED not in state:
        privacy.keep_teller(state, command[10], act.now)
    return _event(act, commands.as_event(command))


def _send(act: Activation, command: Command) -> int:
    message_id = api_message_id(command[1], command[2])
    if identity.MERGED_INTO in act.entity.state:
        known = asked_before(act.entity.seen, message_id, command[3])
        return known if known is not None else identity.pass_on(act, command)
    if privacy.is_gone(act.entity):
        if privacy.SUPPRESSED in act.entity.state:
            return Reason.PERSON_SUPPRESSED
        privacy.come_back(act)
    return send_by_api(act, message_id, command[3])


def _receipt(act: Activation, command: Command) -> int:
    state = act.entity.state
    if state:
        if privacy.PRIVACY in state and privacy.settle_blank(act, command):
            return Reason.NOT_FOUND
        if identity.IDENTITY in state:
            if identity.MERGED_INTO in state:
                return identity.take_receipt_of_stub(act, command)
            identity.take_receipt_of_moved(act, command)
    return take_receipt(act, command)


def _passing(handler: Handler) -> Handler:
    """What does a command to a profile that may have become a part of another one."""

    def handle(act: Activation, command: Command) -> int:
        if identity.MERGED_INTO in act.entity.state:
            return identity.pass_on(act, command)
        return handler(act, command)

    return handle


def _passed(act: Activation, command: Command) -> int:
    """Does what a merged profile has passed on. Its client is gone: what is refused is noted."""
    if privacy.is_of_the_erased(act, command):
        return Reason.DUPLICATE
    inner = identity.open_passed(act, command)
    if isinstance(inner, int):
        return inner
    if identity.MERGED_INTO in act.entity.state and inner[0] != commands.MERGE:
        reason: int = identity.pass_through(act, inner)
    elif (
        inner[0] != commands.MERGE
        and identity.await_origin(act, inner)
        and inner[0] != commands.EVENT  # whose own handler lets it wait
    ):
        identity.hold_back(act, inner)
        _take_ready(act)
        reason = Reason.ACCEPTED
    else:
        reason = COMMANDS[inner[0]](act, inner)
    identity.passed_is_taken(act, command)
    _note_refused(act, command[3], reason)
    return Reason.ACCEPTED


def _note_refused(act: Activation, sender: str, reason: int) -> None:
    if reason not in _NO_NEWS:
        why = f"a command that {sender} passed on was refused: {Reason(reason).name}"
        act.note("identity", "", why)


_NO_NEWS: Final = frozenset({Reason.ACCEPTED, Reason.DUPLICATE, Reason.NOT_FOUND})


def _merge(act: Activation, command: Command) -> int:
    was_suppressed = privacy.SUPPRESSED in act.entity.state
    reason = identity.take_merge(act, command)
    if identity.MERGED_INTO not in act.entity.state:
        privacy.after_merge(act, command[2], was_suppressed)
    _take_ready(act)
    return reason


def _kept(act: Activation, command: Command) -> int:
    if privacy.is_late_kept(act, command):
        return Reason.DUPLICATE
    reason = identity.take_kept(act, command)
    _take_ready(act)
    return reason


def _claim(act: Activation, command: Command) -> int:
    if privacy.is_late_claim(act, command):
        return Reason.DUPLICATE
    if identity.MERGED_INTO in act.entity.state:
        return identity.pass_on(act, command)
    reason = identity.take_claim(act, command)
    _take_ready(act)
    return reason


def _account(act: Activation, command: Command) -> int:
    if privacy.is_late_account(act, command):
        return Reason.DUPLICATE
    return identity.take_account(act, command)


def _waited(act: Activation, what: str) -> None:
    if what == "tell":
        identity.tell_members(act)
        return
    identity.stop_waiting(act)
    _take_ready(act)


def _settle(act: Activation, command: Command) -> int:
    outbox = act.entity.outbox
    if command[2] not in outbox:
        return Reason.DUPLICATE
    del outbox[command[2]]
    return Reason.ACCEPTED


def _apply_definitions(act: Activation, command: Command) -> int:
    seen = act.entity.seen
    if command[2] in seen:
        return Reason.DUPLICATE
    result = catalog.apply_changes(act, command[3], command[4], act.shards)
    if result is Reason.ACCEPTED:
        seen.add(command[2], act.now)
    return result


def _refresh(act: Activation, command: Command) -> int:
    return Reason.ACCEPTED  # the shard has brought the entity up to date before it came here


def _release(act: Activation, command: Command) -> int:
    entity = act.entity
    if not entity.error:
        return Reason.DUPLICATE
    act.note("quarantine", "", "released")
    entity.error = ""
    entity.program_version = -1
    profile.refresh(act)
    for id_, instance in entity.instances.items():
        if instance.due_ms:
            # Not before now: a row's timers lie after the entry that it is stamped with.
            act.set_timer(TIMER + id_, max(instance.due_ms, act.now + 1))
    held.set_timers(act)
    fallback.set_timers(act)
    verification.set_timers(act)
    identity.wait_again(act)
    identity.tell_members_again(act)
    return Reason.ACCEPTED


def _enter(act: Activation, command: Command) -> int:
    if privacy.SUPPRESSED in act.entity.state:
        return Reason.PERSON_SUPPRESSED
    if identity.MERGED_INTO in act.entity.state:
        return identity.pass_on(act, command)
    if command[5:6] not in ((), ("api",)) and privacy.is_gone(act.entity):
        return Reason.NOT_FOUND  # a broadcast found them before they were erased
    privacy.come_back(act)
    return calls.take_enter(act, command)


def _consent(act: Activation, command: Command) -> int:
    if privacy.SUPPRESSED in act.entity.state and privacy.is_gone(act.entity):
        return Reason.PERSON_SUPPRESSED
    privacy.come_back(act)
    return consents.take_consent(act, command)


def _fill(act: Activation, command: Command) -> int:
    filling = privacy.without_past(act, command)
    return filling if isinstance(filling, Reason) else history.take_fill(act, filling)


def _called(act: Activation, command: Command) -> int:
    """Takes the answer to a webhook: settled where it was asked, taken where its run is now."""
    known = act.entity.outbox.pop(command[2], None) is not None
    if identity.MERGED_INTO in act.entity.state:
        return identity.pass_on(act, command) if known else Reason.DUPLICATE
    if act.entity.error or not answers.take_called(act, command):
        return Reason.ACCEPTED if known else Reason.DUPLICATE
    return Reason.ACCEPTED


def _start(act: Activation, command: Command) -> int:
    if privacy.SUPPRESSED in act.entity.state:
        return Reason.PERSON_SUPPRESSED
    privacy.come_back(act)
    return verification.take_start(act, command)


def _inbound(act: Activation, command: Command) -> int:
    if act.entity.kind == ADDRESS:
        if privacy.SUPPRESSED in act.entity.state:
            return Reason.PERSON_SUPPRESSED
        if command[2] == inbound.CARRIER:  # else it came before the erasure
            privacy.come_back(act)
    return inbound.take_inbound(act, command)


def _for_senders(act: Activation, command: Command) -> int:
    """Senders do it. Where there is none (a simulation), there is nothing to do."""
    return Reason.ACCEPTED


def _suppress(act: Activation, command: Command) -> int:
    if identity.MERGED_INTO in act.entity.state and not command[4]:
        return identity.pass_on(act, command)
    return privacy.take_suppress(act, command)


COMMANDS: Final[dict[int, Handler]] = {
    commands.EVENT: _event,
    commands.TOLD: _told,
    commands.SEND: _send,
    commands.RECEIPT: _receipt,
    commands.SETTLE: _settle,
    commands.APPLY: _apply_definitions,
    commands.REFRESH: _refresh,
    commands.RELEASE: _release,
    commands.LINK: identity.take_link,
    commands.MERGE: _merge,
    commands.KEPT: _passing(_kept),
    commands.PASS: _passed,
    commands.ENTER: _enter,
    commands.STOP: _passing(calls.take_stop),
    commands.CONSENT: _passing(_consent),
    commands.CANCEL: _passing(take_cancel),
    commands.WALKED: broadcast.take_walked,
    commands.CALL_BACK: identity.call_back,
    commands.CLAIM: _claim,
    commands.ACCOUNT: _passing(_account),
    commands.FILL: _passing(_fill),
    commands.FILLED: history.take_filled,
    commands.CALLED: _called,
    commands.INBOUND: _passing(_inbound),
    commands.ERASE: privacy.take_erase,
    commands.SUPPRESS: _suppress,
    commands.FORGET: _for_senders,
    commands.FEEDBACK: _for_senders,
    commands.START: _start,
    commands.CHECK: verification.take_check,
    commands.CLOSE: verification.take_close,
    commands.COUNT: counting.take_count,
}

# By what stands before the colon in a timer's token.
TIMERS: Final[dict[str, Wake]] = {
    "j": journeys.on_timer,
    "x": watching.on_timer,
    "b": broadcast.on_timer,
    "c": computed.on_timer,
    "d": profile.on_timer,
    "f": fallback.on_timer,
    "g": held.on_timer,
    "s": profile.on_timer,  # in stores of earlier versions
    "i": _waited,
    "v": verification.on_timer,
}
