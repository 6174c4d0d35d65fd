"""Answers to webhooks: the run that waits for one goes on by it."""

from typing import TYPE_CHECKING

from engine.commands import Command
from engine.journeys import calling
from engine.journeys.moving import advance
from engine.journeys.steps.webhook import WebhookStep

if TYPE_CHECKING:
    from engine.activation import Activation


def take_called(act: "Activation", command: Command) -> bool:
    """Does a `commands.called`; False if nobody waits for it."""
    _, _, call_id, instance_id, status, answer, words, error = command[:8]
    instance = act.entity.instances.get(instance_id)
    if instance is None or calling.id_of(instance) != call_id:
        return False
    journey = act.program.journeys.get(instance.pin)
    step = journey.steps.get(instance.step) if journey is not None else None
    if journey is None or not isinstance(step, WebhookStep) or instance.held is not None:
        return False
    advance(act, instance, journey, step.answered(act, instance, status, answer, words, error))
    return True
