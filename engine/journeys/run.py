"""Runs: what events and timers do to a person's instances.

For an event the order is fixed: exit rules first, then holds that wait for it, then entries. So an
event may end a run and begin the next, and the event that begins a run never moves that same run.
One activation moves an instance at most `limits.INSTANCE_MOVES` times, so nothing can spin.

Nearly every event concerns nobody's journey: the first look-up must be all that it costs.
"""

from typing import TYPE_CHECKING

from engine import limits
from engine.commands import NAMED_TYPES
from engine.journeys.compile import Journey
from engine.journeys.context import text_of
from engine.journeys.instance import COMPLETED, EXITED, FAILED, STOPPED, Instance
from engine.journeys.steps.registry import END, NO_EVENTS, TIMER, Move

if TYPE_CHECKING:
    from engine.activation import Activation, EventView


def on_event(act: "Activation", event: "EventView") -> None:
    """Lets an event exit, move and begin the entity's instances.

    Cost: 0.1 µs if no journey knows the event; 3 µs if it resets a hold.
    """
    name = event.name
    entering = act.program.listened.get(name)
    if entering is None or event.type not in NAMED_TYPES:
        return
    instances = act.entity.instances
    if instances:
        journeys = act.program.journeys
        for instance in list(instances.values()):
            journey = journeys.get(instance.pin)
            if journey is not None and name in journey.listens:
                _take_event(act, instance, journey, event)
    for journey in entering:
        _maybe_enter(act, journey, event)


def on_segment(act: "Activation", name: str, entered: bool) -> None:
    """Lets a segment that was entered or left begin and move the entity's instances."""


def on_timer(act: "Activation", instance_id: str) -> None:
    """Lets an instance's timer move it; `act.now` is the moment at which the timer was due."""
    instance = act.entity.instances.get(instance_id)
    if instance is None:
        return
    instance.due_ms = 0
    journey = act.program.journeys.get(instance.pin)
    if journey is None:
        _end(act, instance, FAILED, f"version {instance.version} of the journey is gone")
        return
    _move(act, instance, journey, journey.steps[instance.step].on_timer(act, instance))


def stop(act: "Activation", instance_id: str, why: str) -> bool:
    """Stops an instance from outside; its messages that have not left are cancelled.

    Returns:
        False if no such instance is running.
    """
    instance = act.entity.instances.get(instance_id)
    if instance is None:
        return False
    _cancel_messages(act, instance, why)
    _end(act, instance, STOPPED, why)
    return True


def _take_event(
    act: "Activation", instance: Instance, journey: Journey, event: "EventView"
) -> None:
    for rule in journey.exits.get(event.name, ()):
        if rule.matches(act, instance, event):
            _cancel_messages(act, instance, rule.words)
            _end(act, instance, EXITED, rule.words)
            return
    step = journey.steps[instance.step]
    if event.name in step.listens:
        move = step.on_event(act, instance, event)
        if move is not None:
            _move(act, instance, journey, move)


def _maybe_enter(act: "Activation", journey: Journey, event: "EventView") -> None:
    """Begins a run, unless a filter, the key, a run of the same key or the limit speaks against."""
    entry = journey.entry
    entity = act.entity
    where = entry.where
    if where is not None:
        properties = event.properties if where.reads_properties else NO_EVENTS
        if not where.check(entity, act.now, properties)[0]:
            return
    key = ""
    if entry.key is not None:
        key = text_of(entry.key(event.properties))
        if not key:
            why = f"not entered: event {event.name!r} has no usable {entry.key_path}"
            act.note("journey", journey.name, why)
            return
    name = journey.name
    for running in entity.instances.values():
        if running.key == key and running.pin[0] == name:
            return
    if len(entity.instances) >= limits.INSTANCES:
        act.note("journey", name, f"not entered: {limits.INSTANCES} instances are running already")
        return
    instance = Instance(act.next_id(), (name, journey.version), key, act.now, event.raw)
    entity.instances[instance.id] = instance
    with_key = f" with key {key!r}" if key else ""
    act.note("journey", name, f"entered{with_key}: {entry.words}")
    _move(act, instance, journey, (journey.first, entry.words))


def _move(act: "Activation", instance: Instance, journey: Journey, move: Move | None) -> None:
    """Moves an instance from step to step until one parks it or it ends."""
    moves = 0
    while move is not None:
        if instance.due_ms:
            instance.due_ms = 0
            act.clear_timer(TIMER + instance.id)
        name, why = move
        if name == END:
            _end(act, instance, COMPLETED, why)
            return
        moves += 1
        if moves > limits.INSTANCE_MOVES:
            _end(act, instance, FAILED, f"more than {limits.INSTANCE_MOVES} moves at once")
            return
        instance.step = name
        instance.record(act.now, "entered", why)
        move = journey.steps[name].enter(act, instance, journey)


def _cancel_messages(act: "Activation", instance: Instance, why: str) -> None:
    """Cancels what it sent and what has not left; the activation knows which that is."""
    for message_id in instance.messages:
        act.cancel(message_id, f"journey {instance.journey!r}: {why}")


def _end(act: "Activation", instance: Instance, status: str, why: str) -> None:
    entity = act.entity
    if instance.due_ms:
        act.clear_timer(TIMER + instance.id)
    instance.end(act.now, status, why)
    del entity.instances[instance.id]
    entity.ended.append(instance.to_bytes())
    if len(entity.ended) > limits.INSTANCES_ENDED:
        del entity.ended[0]
    act.note("journey", instance.journey, f"{status} at step {instance.step!r}: {why}")
