"""Exit rules and steps that wait for a condition: when each instance looks again.

After whatever may have changed an entity, and at the very moment at which time alone may make a
condition true, its instances look at those rules of theirs, and at the step at which they stand.
"""

from typing import TYPE_CHECKING

from engine.journeys.compile import Journey
from engine.journeys.instance import Instance
from engine.journeys.moving import EXIT_TIMER, advance, leave_by
from engine.journeys.order import in_order

if TYPE_CHECKING:
    from engine.activation import Activation


def look_all(act: "Activation") -> None:
    """Lets all instances look; ends those whose condition has become true."""
    journeys = act.program.journeys
    for instance in in_order(act):
        journey = journeys.get(instance.pin)
        if journey is not None and journey.watches:
            look(act, instance, journey)


def look(act: "Activation", instance: Instance, journey: Journey) -> bool:
    """Lets one instance look; True if that ended it, or moved it on."""
    rule, next_ms = journey.exits.look(act)
    if rule is not None:
        leave_by(act, instance, rule)
        return True
    step = journey.steps[instance.step]
    if step.watches and instance.held is None:
        move, step_ms = step.look(act, instance)
        if move is not None:
            _look_again(act, instance, next_ms)  # the rules wait on, wherever it stands
            advance(act, instance, journey, move)
            return True
        next_ms = min((ms for ms in (next_ms, step_ms) if ms is not None), default=None)
    _look_again(act, instance, next_ms)
    return False


def _look_again(act: "Activation", instance: Instance, next_ms: int | None) -> None:
    """Sets the timer for the moment at which time alone may make a condition true."""
    token = EXIT_TIMER + instance.id
    if next_ms is None:
        act.clear_timer(token)
    elif act.entity.timers.get(token) != next_ms:
        act.set_timer(token, next_ms)


def on_timer(act: "Activation", instance_id: str) -> None:
    """Lets an instance look at the moment at which a condition may have become true."""
    instance = act.entity.instances.get(instance_id)
    if instance is not None:
        journey = act.program.journeys.get(instance.pin)
        if journey is not None:
            look(act, instance, journey)
