"""Moving: how an instance goes from step to step, waits, and ends.

A run may loop but not spin: one activation moves it at most `limits.INSTANCE_MOVES` times, and a
run whose trail grows by more than `limits.INSTANCE_LINES_PER_S` lines in a second fails, with a
line that says so.
"""

from typing import TYPE_CHECKING

from engine import limits
from engine.journeys import calling
from engine.journeys.compile import Journey
from engine.journeys.exits import Exit
from engine.journeys.instance import COMPLETED, FAILED, Instance
from engine.journeys.lingering import linger
from engine.journeys.steps.registry import END, LOOK_TIMER, TIMER, Move

if TYPE_CHECKING:
    from engine.activation import Activation

EXIT_TIMER = LOOK_TIMER


def is_paused(act: "Activation", name: str) -> bool:
    """Whether a journey's newest version says that nobody moves."""
    return name in act.program.journey_index.paused


def advance(act: "Activation", instance: Instance, journey: Journey, move: Move) -> None:
    """Moves an instance, unless its journey is paused: then the move waits."""
    if is_paused(act, instance.journey):
        instance.held = move
        instance.due_ms = act.now
        act.clear_timer(TIMER + instance.id)
        instance.record(act.now, "waits", f"the journey is paused: {move[1]}")
        return
    walk(act, instance, journey, move)


def walk(act: "Activation", instance: Instance, journey: Journey, move: Move | None) -> None:
    """Moves an instance from step to step until one parks it or it ends."""
    moves = 0
    if move is not None and instance.memory and act.entity.outbox:
        calling.take_back(act, instance)  # it goes another way than by the answer
    while move is not None:
        if instance.due_ms:
            instance.due_ms = 0
            act.clear_timer(TIMER + instance.id)
        name, why = move
        if name == END:
            if journey.lingers and instance.messages and linger(act, instance, move):
                return
            end(act, instance, COMPLETED, why)
            return
        moves += 1
        if moves > limits.INSTANCE_MOVES:
            end(act, instance, FAILED, f"more than {limits.INSTANCE_MOVES} moves at once")
            return
        if len(instance.trail) >= limits.INSTANCE_LINES_PER_S and _spins(instance, act.now):
            lines = limits.INSTANCE_LINES_PER_S
            end(act, instance, FAILED, f"more than {lines} lines of its trail in a second")
            return
        instance.step = name
        instance.record(act.now, "entered", why)
        move = journey.steps[name].enter(act, instance, journey)


def _spins(instance: Instance, now_ms: int) -> bool:
    return instance.trail[-limits.INSTANCE_LINES_PER_S][0] > now_ms - 1_000


def leave_by(act: "Activation", instance: Instance, rule: Exit) -> None:
    """Ends an instance by one of its exit rules; what has not left is called back."""
    cancel_messages(act, instance, rule.why)
    end(act, instance, rule.status, rule.why)


def cancel_messages(act: "Activation", instance: Instance, why: str) -> None:
    """Cancels what it sent and what has not left; the activation knows which that is."""
    for message_id in instance.messages:
        act.cancel(message_id, f"journey {instance.journey!r}: {why}")


def end(act: "Activation", instance: Instance, status: str, why: str) -> None:
    """Ends an instance and keeps the record of it."""
    entity = act.entity
    if instance.due_ms:
        act.clear_timer(TIMER + instance.id)
    if entity.timers:
        act.clear_timer(EXIT_TIMER + instance.id)
    if instance.memory and entity.outbox:
        calling.take_back(act, instance)
    instance.end(act.now, status, why)
    del entity.instances[instance.id]
    entity.keep_ended(instance)
    act.note("journey", instance.journey, f"{status} at step {instance.step!r}: {why}")
