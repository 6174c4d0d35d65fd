"""Lingering: a run at its end goes on for as long as a message of it is held.

A message may be held for hours, for the end of quiet hours say, and a run whose last step it is has
nothing else to do. If the journey has exit rules, such a run stays at that step, so that they still
call the message back. It is marked by the move that it holds, which leads to the end, and has no
timer: the message tells it when it has left, or ended.

What was handed to a lane is held no more: how soon that sends hangs on the world, and the end of a
run must not, or a replay of last year's events would count other runs than the year did. Without
exit rules nothing could end it, so it is completed at once. Who archives the journey or
stops its runs calls back what waits of those all the same: a message names the run that sent it.
"""

from collections.abc import Container, Iterable, Iterator
from typing import TYPE_CHECKING, Final

from engine.governance.waiting import STATE as HELD
from engine.journeys.instance import Instance
from engine.journeys.steps.registry import END, Move

if TYPE_CHECKING:
    from engine.activation import Activation
    from engine.entity import Entity

LEFT: Final = "left"  # of a follow-up: a message of a run that lingers has left, or ended


def linger(act: "Activation", instance: Instance, move: Move) -> bool:
    """Keeps a run that is at its end; False if nothing of it waits, so that it may end."""
    if not any(map(act.entity.state.get(HELD, {}).__contains__, instance.messages)):
        return False
    instance.held = move
    instance.record(act.now, "waits", "for the messages that are held")
    return True


def left(act: "Activation", instance_id: str) -> None:
    """Lets a run know, if it lingers, that a message of it has left, or ended."""
    instance = act.entity.instances.get(instance_id)
    if instance is not None and instance.held is not None:
        act.follow_ups.append((LEFT, instance_id))


def is_over(act: "Activation", instance: Instance) -> bool:
    """Whether a run has lingered long enough. One that a paused journey holds back has a timer."""
    held = instance.held
    return (
        held is not None
        and held[0] == END
        and not instance.due_ms
        and not any(map(act.entity.state.get(HELD, {}).__contains__, instance.messages))
    )


def call_back(act: "Activation", journeys: Container[str], why: str, instance_id: str = "") -> bool:
    """Calls back what has not left of runs that have ended; True if there was something.

    Args:
        act: The activation at work.
        journeys: The journeys whose runs they are.
        why: For the trail.
        instance_id: The run, if it is but one; its journey does not matter then.
    """
    entity = act.entity
    waiting = [*_unsent(entity, (*entity.outbox, *entity.state.get(HELD, ()), *_away(entity)))]
    if not waiting:
        return False
    ended = {
        ended.id: ended.journey
        for ended in entity.ended_instances()
        if ended.id == instance_id or (not instance_id and ended.journey in journeys)
    }
    found = False
    for message_id in dict.fromkeys(waiting):
        message = entity.kept.get(message_id)
        if message is not None and message.instance in ended and not message.cancelled:
            found = True
            act.cancel(message_id, f"journey {ended[message.instance]!r}: {why}")
    return found


def _unsent(entity: "Entity", messages: Iterable[str]) -> Iterator[str]:
    """Those of some ids that are of messages which wait, in the shard or with a sender."""
    outbox, held, away = entity.outbox, entity.state.get(HELD, ()), _away(entity)
    for id_ in messages:
        if outbox.get(id_, b"") is None or id_ in held or id_ in away:
            yield id_


def _away(entity: "Entity") -> dict[str, str]:
    """What profiles that are merged into this one had handed out."""
    record = entity.state.get("identity")
    away: dict[str, str] = record.get("away", {}) if record else {}
    return away
