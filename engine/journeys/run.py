"""Runs: what events, segments, timers and commands do to a person's instances.

For an event or a segment the order is fixed: exit rules first, then holds that wait for it, then
entries. So an event may end a run and begin the next, and the event that begins a run never moves
that same run.

Nearly every event concerns nobody's journey: the first look-up must be all that it costs.
"""

from typing import TYPE_CHECKING, Final

from engine.commands import NAMED_TYPES
from engine.journeys.compile import Journey
from engine.journeys.entering import STEP, by_event, by_name, by_segment
from engine.journeys.instance import COMPLETED, EXITED, FAILED, STOPPED, Instance
from engine.journeys.lingering import call_back, is_over
from engine.journeys.moving import advance, cancel_messages, end, is_paused, leave_by, walk
from engine.journeys.order import in_order
from engine.journeys.steps.registry import TIMER
from engine.journeys.watching import look, look_all
from engine.reasons import Reason

if TYPE_CHECKING:
    from engine.activation import Activation, EventView
    from engine.messages.message import Message

ENTER: Final = "enter"
LEAVE: Final = "leave"


def on_event(act: "Activation", event: "EventView") -> None:
    """Lets an event exit, move and begin the entity's instances.

    Cost: 0.1 µs if no journey knows the event; 3 µs if it resets a hold.
    """
    name = event.name
    program = act.program
    instances = act.entity.instances
    if instances and program.journey_index.watches:
        look_all(act)
    entering = program.listened.get(name)
    if entering is None or event.type not in NAMED_TYPES:
        return
    act.event = event
    if instances:
        journeys = program.journeys
        for instance in in_order(act):
            journey = journeys.get((instance.journey, instance.version))
            if journey is not None and name in journey.listens:
                _take_event(act, instance, journey, event)
    for journey in entering:
        by_event(act, journey, event)


def on_segment(act: "Activation", name: str, entered: bool) -> None:
    """Lets a segment that was entered or left exit, move and begin the entity's instances."""
    program = act.program
    instances = act.entity.instances
    if instances and program.journey_index.watches:
        look_all(act)
    entering = program.journey_index.segments.get(name)
    if entering is None:
        return
    for instance in in_order(act):
        journey = program.journeys.get(instance.pin)
        if journey is not None and name in journey.listens_segments:
            _take_segment(act, instance, journey, name, entered)
    for journey in entering:
        by_segment(act, journey, name, entered)


def on_timer(act: "Activation", instance_id: str) -> None:
    """Lets an instance's timer move it; `act.now` is the moment at which the timer was due."""
    instance = act.entity.instances.get(instance_id)
    if instance is None:
        return
    if is_paused(act, instance.journey):
        instance.record(act.now, "waits", "the journey is paused")
        return  # its due time stays, so that it goes on when the journey does
    instance.due_ms = 0
    journey = act.program.journeys.get(instance.pin)
    if journey is None:
        end(act, instance, FAILED, f"version {instance.version} of the journey is gone")
        return
    if journey.watches and look(act, instance, journey):
        return
    move = instance.held
    if move is not None:
        instance.held = None
    else:
        move = journey.steps[instance.step].on_timer(act, instance)
    walk(act, instance, journey, move)


def on_message(act: "Activation", message: "Message", done: bool) -> None:
    """Lets a run that waits for a message go on: it has succeeded, or it failed."""
    instance = act.entity.instances.get(message.instance)
    if instance is None or instance.messages[-1:] != (message.id,):
        return
    journey = act.program.journeys.get(instance.pin)
    step = journey.steps.get(instance.step) if journey is not None else None
    if journey is None or step is None or instance.held is not None:
        return
    if not done and is_paused(act, instance.journey):
        instance.due_ms = act.now  # it looks again when the journey goes on
        act.clear_timer(TIMER + instance.id)
        return
    move = step.on_message(act, instance, message, done)
    if move is not None:
        advance(act, instance, journey, move)


def on_left(act: "Activation", instance_id: str) -> None:
    """Ends a run that lingered until its last message had left, or had ended."""
    instance = act.entity.instances.get(instance_id)
    if instance is not None and instance.held is not None and is_over(act, instance):
        end(act, instance, COMPLETED, instance.held[1])


def enter(act: "Activation", name: str, raw: bytes = b"", words: str = "a step") -> None:
    """Begins a run of another journey, as soon as the step at work is done.

    Args:
        act: The activation at work.
        name: The journey; if it cannot be entered, the trail says why.
        raw: Its context: the properties (msgpack) of an event.
        words: Who asks, for the trail: `step 'x' of journey 'y'`.
    """
    act.follow_ups.append((ENTER, (name, raw, words)))


def leave(act: "Activation", name: str, words: str = "a step") -> None:
    """Ends all runs of a journey, as soon as the step at work is done."""
    act.follow_ups.append((LEAVE, (name, words)))


def on_enter(act: "Activation", name: str, raw: bytes, words: str) -> None:
    """Does what `enter` asked for."""
    by_name(act, name, raw, STEP, words)


def on_leave(act: "Activation", name: str, words: str) -> None:
    """Does what `leave` asked for."""
    for instance in list(act.entity.instances.values()):
        if instance.journey == name:
            cancel_messages(act, instance, words)
            end(act, instance, EXITED, words)


def stop(act: "Activation", journey: str, instance_id: str, why: str) -> Reason:
    """Stops instances from outside; their messages that have not left are cancelled.

    So are those of runs that have ended already.

    Args:
        act: An activation on the person.
        journey: The journey whose instances stop, if no instance is named.
        instance_id: The instance, or empty.
        why: For the trail.

    Returns:
        ACCEPTED; NOT_FOUND if no such instance is running, and no message of one waits.
    """
    instances = act.entity.instances
    if instance_id:
        found = [instances[instance_id]] if instance_id in instances else []
    else:
        found = [instance for instance in instances.values() if instance.journey == journey]
    for instance in found:
        cancel_messages(act, instance, why)
        end(act, instance, STOPPED, why)
    called_back = call_back(act, (journey,), why, instance_id)
    return Reason.ACCEPTED if found or called_back else Reason.NOT_FOUND


def _take_event(
    act: "Activation", instance: Instance, journey: Journey, event: "EventView"
) -> None:
    for rule in journey.exits.by_event.get(event.name, ()):
        if rule.match is not None and rule.match.matches(act, instance, event):
            leave_by(act, instance, rule)
            return
    step = journey.steps[instance.step]
    if event.name in step.listens and instance.held is None:
        move = step.on_event(act, instance, event)
        if move is not None:
            advance(act, instance, journey, move)


def _take_segment(
    act: "Activation", instance: Instance, journey: Journey, name: str, entered: bool
) -> None:
    for rule in journey.exits.by_segment.get((name, entered), ()):
        leave_by(act, instance, rule)
        return
    step = journey.steps[instance.step]
    if name in step.listens_segments and instance.held is None:
        move = step.on_segment(act, instance, name, entered)
        if move is not None:
            advance(act, instance, journey, move)
