"""What new definitions do to the instances that are under way.

It happens when the entity is touched next, or when the host's sweep comes to it; either way in the
order of the versions, so that the outcome does not hang on when. First each version that was
published since takes over as it says; then the newest one's status holds: an archived journey has
no runs, and a journey that is no longer paused goes on where it stood.
"""

from typing import TYPE_CHECKING, Final

from engine.governance import held
from engine.journeys import again, broadcast
from engine.journeys.compile import Journey
from engine.journeys.instance import COMPLETED, STOPPED, Instance
from engine.journeys.lingering import call_back, left
from engine.journeys.moving import advance, cancel_messages, end
from engine.journeys.publish import STOP, same_kind
from engine.journeys.steps.registry import END, TIMER
from engine.journeys.watching import look_all
from engine.slots import TASK

if TYPE_CHECKING:
    from engine.activation import Activation


def refresh(act: "Activation") -> None:
    """Brings an entity's instances in line with the definitions of now.

    It runs before the entity's `program_version` is set to the program's.
    """
    entity = act.entity
    if entity.kind == TASK:
        broadcast.refresh(act)
        return
    index = act.program.journey_index
    for instance in list(entity.instances.values()):
        for journey in index.versions.get(instance.journey, ()):
            after = max(instance.version, entity.program_version)
            if journey.version > after and instance.id in entity.instances:
                _publish(act, instance, journey)
        if instance.id not in entity.instances:
            continue
        if instance.journey in index.archived:
            _stop(act, instance, _ARCHIVED)
        elif instance.journey not in index.paused:
            _resume(act, instance)
    if index.archived:
        call_back(act, index.archived, _ARCHIVED)
    held.go_on(act)
    if entity.instances and index.watches:
        look_all(act)
    if again.STATE in entity.state or again.REFUSALS in entity.state:
        again.prune(entity, index.newest, act.now)


_ARCHIVED: Final = "the journey was archived"


def _publish(act: "Activation", instance: Instance, journey: Journey) -> None:
    """Lets a version take over an instance of an older one, as it says."""
    publish = journey.publish
    words = f"version {journey.version} was published"
    step = instance.held[0] if instance.held is not None else instance.step
    target = END if step == END and publish.migrates else publish.target(step)
    if target:
        _migrate(act, instance, journey, target)
    elif publish.rest == STOP:
        _stop(act, instance, f"{words}: stop")
    elif publish.migrates:
        why = f"{words}, and step {step!r} has no place in it"
        instance.record(act.now, "drains", why)
        act.note("journey", journey.name, f"drains at step {instance.step!r}: {why}")


def _migrate(act: "Activation", instance: Instance, journey: Journey, target: str) -> None:
    before = act.program.journeys.get(instance.pin)
    old = before.steps.get(instance.step) if before is not None else None
    why = f"from version {instance.version} to {journey.version}"
    if target == END and instance.held is None:
        cancel_messages(act, instance, why)
        end(act, instance, COMPLETED, f"migrated {why}")
        return
    instance.version = journey.version
    act.note("journey", journey.name, f"migrated {why}: step {instance.step!r} → {target!r}")
    if instance.held is not None:
        instance.held = target, instance.held[1]
        instance.step = instance.step if instance.step in journey.steps else journey.first
        instance.record(act.now, "migrated", why)
        return
    new = journey.steps[target]
    if same_kind(old, new):
        instance.step = target
        instance.record(act.now, "migrated", f"{why}; it keeps its place and time")
        return
    instance.record(act.now, "migrated", why)
    advance(act, instance, journey, (target, f"migrated {why}"))


def _stop(act: "Activation", instance: Instance, why: str) -> None:
    cancel_messages(act, instance, why)
    end(act, instance, STOPPED, why)


def _resume(act: "Activation", instance: Instance) -> None:
    """Sets the timer that fired for nothing while the journey was paused."""
    left(act, instance.id)
    token = TIMER + instance.id
    if instance.due_ms and token not in act.entity.timers:
        # Not before now: a row's timers lie after the entry that it is stamped with.
        act.set_timer(token, max(instance.due_ms, act.now + 1))
