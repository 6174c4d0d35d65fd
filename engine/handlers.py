"""What each command to an entity does, and each timer: the two tables that a shard looks into.

A feature brings its commands and timers here and nowhere else. A handler works through the
activation only, so it is deterministic like everything that is built on it.
"""

from collections.abc import Callable
from typing import Final

from engine import catalog, commands, computed, dedup, profile
from engine.activation import Activation, EventView
from engine.commands import Command
from engine.journeys import run as journeys
from engine.journeys.steps.registry import TIMER
from engine.messages import api_message_id
from engine.reasons import Reason
from engine.sending import send_by_api, take_receipt

Handler = Callable[[Activation, Command], int]
"""Does a command to `act.entity`; gives a `Reason`."""
Wake = Callable[[Activation, str], None]
"""Does what is due at `act.now`; the text is what follows the timer's kind in its token."""


def _event(act: Activation, command: Command) -> int:
    _, _, message_id, type_, name, at_ms, raw, context, _ = command
    entity = act.entity
    seen = entity.seen.add(message_id, act.now)
    if seen:
        return Reason.DUPLICATE if seen == dedup.SEEN else Reason.USER_RATE
    if at_ms > act.now:
        at_ms = act.now
    if type_ != commands.TRACK:
        name = profile.event_name(type_, name)
    event = EventView(type_, name, message_id, at_ms, raw, context)
    reason = profile.take_event(act, event)
    if reason is Reason.ACCEPTED:
        entity.updated_ms = act.now
        if act.feed is not None:
            kind = commands.EVENT_TYPES[type_]
            act.tell("event", kind, event.name or kind)
        journeys.on_event(act, event)
    else:
        entity.seen.forget(message_id)  # nothing was changed, so the same event may come again
    if event.unreadable:
        act.note("event", event.name, "its properties could not be read: taken as none")
    return reason


def _send(act: Activation, command: Command) -> int:
    return send_by_api(act, api_message_id(command[1], command[2]), command[3])


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
    return Reason.ACCEPTED


COMMANDS: Final[dict[int, Handler]] = {
    commands.EVENT: _event,
    commands.SEND: _send,
    commands.RECEIPT: take_receipt,
    commands.SETTLE: _settle,
    commands.APPLY: _apply_definitions,
    commands.REFRESH: _refresh,
    commands.RELEASE: _release,
}

# By what stands before the colon in a timer's token.
TIMERS: Final[dict[str, Wake]] = {
    "j": journeys.on_timer,
    "s": profile.on_timer,
    "c": computed.on_timer,
}
