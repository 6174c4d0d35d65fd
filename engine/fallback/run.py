"""What the outcomes of messages lead to that somebody waits for, and the time that is up.

Three things may become of such a message. It succeeds: the wait is over. It fails, or its time is
up: the next channel is tried, and what has not left is called back, so that not both go out. Or it
succeeds after it was replaced: then what went out in its place is called back if it can be, and is
recorded as a double if it cannot.

All of it is part of the entity and moved by its commands and timers alone, so a restart changes
nothing.
"""

from typing import Any

from engine.activation import Activation
from engine.fallback.success import (
    STATE,
    TIMER,
    failed,
    following,
    may_follow,
    replace,
    succeeded,
    take,
    why_not,
)
from engine.journeys import run as journeys
from engine.messages import sending
from engine.messages.message import Message
from engine.messages.states import ARRIVED, ENDED, STOPPED
from engine.packing import unpack
from engine.reasons import Reason


def on_outcome(act: Activation, message_id: str) -> None:
    """Takes the news of a message that is or was waited for."""
    message = act.entity.kept.get(message_id)
    if message is None or not message.wanted:
        return
    done = succeeded(message)
    if message.instead:
        if done:
            _too_late(act, message)
    elif done or failed(message):
        if done or message.status == Reason.CANCELLED:
            replace(act, message_id, "", "")
        _news(act, message, done)


def on_timer(act: Activation, message_id: str) -> None:
    """Tries the next channel: the time of a message by the API is up."""
    values = take(act, message_id)
    message = act.entity.kept.get(message_id)
    if values is None or message is None:
        return
    why = why_not(message, values["waited_ms"])
    act.cancel(message_id, why)
    sending.send_next(act, message_id, values, why)


def set_timers(act: Activation) -> None:
    """Sets the timers of what is waited for, after they were lost in a quarantine or a merge."""
    for message_id, packed in act.entity.state.get(STATE, {}).items():
        # Not before now: a row's timers lie after the entry that it is stamped with.
        act.set_timer(TIMER + message_id, max(unpack(packed)["due_ms"], act.now + 1))


def _news(act: Activation, message: Message, done: bool) -> None:
    """Tells who waits for a message that it has succeeded or failed."""
    if message.instance:
        journeys.on_message(act, message, done)
        return
    values = take(act, message.id)
    if values is None or done or message.status == Reason.CANCELLED:
        return
    allowed = _allowed(message.status, values["next"])
    if allowed is None:
        replace(act, message.id, "", "")
        why = f"nothing goes out in its place: {Reason(message.status).name}"
        act.note("message", message.id, why)
    else:
        sending.send_next(act, message.id, {"next": allowed}, why_not(message, 0))


def _allowed(reason: int, values: dict[str, Any]) -> dict[str, Any] | None:
    """Of what is to go out next and after it, what may follow a message that has ended so."""
    rest = [each for each in values["fallbacks"] if may_follow(reason, each["channel"])]
    values = {**values, "fallbacks": rest}
    if may_follow(reason, values["channel"]):
        return values
    return sending.next_of(values) if rest else None


def _too_late(act: Activation, message: Message) -> None:
    """A message has succeeded that was given up: looks at what went out in its place."""
    name = Reason(message.status).name
    why = f"{message.channel} message {message.id} is {name} after all"
    replace(act, message.id, "", "")
    for other in following(act, message):
        if other.status in ARRIVED or other.status in (Reason.SENT, Reason.UNKNOWN_OUTCOME):
            _double(act, message.id, other)
        elif other.status not in ENDED | STOPPED:
            act.cancel(other.id, why)
        if other.wanted and not other.instead:
            replace(act, other.id, "", "")
            _news(act, other, True)


def _double(act: Activation, message_id: str, other: Message) -> None:
    kept = act.entity.kept
    at = kept.where(message_id)
    message = kept.at(at)
    words = f"a double: {other.channel} message {other.id} went out in its place"
    message.remark(message.status, act.now, "", words)
    kept.put(at, message)
    act.note("message", message_id, f"{Reason(message.status).name}, {words}")
