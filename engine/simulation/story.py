"""What a world tells of a person: their messages, instances and trail, for checks and reports."""

from collections.abc import Iterator

from engine.entity import Entity
from engine.journeys.instance import Instance
from engine.reasons import Reason
from engine.simulation.moments import offset

Line = tuple[int, str, str]


def instances_of(entity: Entity, journey: str = "") -> list[Instance]:
    """The instances of a person, the oldest first."""
    found = [*entity.ended_instances(), *entity.instances.values()]
    found = [instance for instance in found if not journey or instance.journey == journey]
    return sorted(found, key=lambda instance: instance.entered_ms)


def steps_of(instance: Instance) -> list[str]:
    """The steps that an instance came to, in order; one that was begun anew stands once."""
    return [step for _, step, what, _ in instance.trail if what == "entered"]


def lines_of(entity: Entity) -> list[Line]:
    """All that is on record about a person, as `(ms, subject, words)`, in the order of time."""
    lines = [*_own(entity), *_runs(entity), *_messages(entity)]
    return sorted(lines, key=lambda line: line[0])


def words_of(entity: Entity | None, start_ms: int) -> list[str]:
    """`lines_of` as a person reads them, times counted from the start."""
    if entity is None:
        return ["nothing was ever heard of them"]
    return [
        f"{offset(ms, start_ms):>10}  {subject}: {words}" for ms, subject, words in lines_of(entity)
    ]


def _own(entity: Entity) -> Iterator[Line]:
    for ms, kind, subject, why in entity.trail_lines():
        yield ms, f"{kind} {subject}".rstrip(), why


def _runs(entity: Entity) -> Iterator[Line]:
    for instance in instances_of(entity):
        key = f"[{instance.key}]" if instance.key else ""
        for ms, step, what, why in instance.trail:
            yield ms, f"{instance.journey}{key} step {step}", f"{what} {why}".rstrip()


def _messages(entity: Entity) -> Iterator[Line]:
    for message in entity.messages.values():
        name = message.template or "message"
        for ms, reason, _, _ in message.history:
            yield ms, f"{message.channel} {name}", Reason(reason).name
