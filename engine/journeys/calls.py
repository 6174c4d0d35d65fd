"""What the outside asks of a person's journeys: to enter one, to stop runs; each call once."""

from typing import TYPE_CHECKING

from engine import dedup, limits
from engine.commands import Command
from engine.journeys.entering import by_name
from engine.journeys.entries import API
from engine.journeys.run import stop
from engine.reasons import Reason

if TYPE_CHECKING:
    from engine.activation import Activation


def take_enter(act: "Activation", command: Command) -> Reason:
    """Does a `commands.enter`. One that is refused changes nothing and may come again."""
    _, _, request_id, name, context, kind, number = command
    if len(context) > limits.EVENT_BYTES:
        return Reason.TOO_LARGE
    id_ = f"enter/{request_id}"
    seen = act.entity.seen.add(id_, act.now)
    if seen:
        return Reason.DUPLICATE if seen == dedup.SEEN else Reason.USER_RATE
    words = "the API" if kind == API else f"the {kind}"
    reason = by_name(act, name, context, kind, words, number)
    if reason is not Reason.ACCEPTED:
        act.entity.seen.forget(id_)
    return reason


def take_stop(act: "Activation", command: Command) -> Reason:
    """Does a `commands.stop`."""
    _, _, request_id, name, instance, why = command
    seen = act.entity.seen.add(f"stop/{request_id}", act.now)
    if seen:
        return Reason.DUPLICATE if seen == dedup.SEEN else Reason.USER_RATE
    return stop(act, name, instance, why or "stopped by the API")
