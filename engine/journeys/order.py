"""The order of what journeys do at one moment: the highest priority first.

Two journeys that one event begins or moves, or whose timers are due at the same millisecond, may
both want the last place under a frequency cap. So the one that counts most is done first; of equals
the order is what it is without priorities: that of definitions, of the runs' beginnings, of tokens.
"""

from typing import TYPE_CHECKING

from engine.governance.waiting import STATE as HELD
from engine.governance.waiting import TIMER as HELD_TIMER
from engine.governance.waiting import unpack_waiting
from engine.journeys.instance import Instance
from engine.journeys.steps.registry import LOOK_TIMER, TIMER

if TYPE_CHECKING:
    from engine.activation import Activation

_SENDING = (HELD_TIMER[0], TIMER[0], LOOK_TIMER[0])  # kinds of timers that may send a message


def in_order(act: "Activation") -> list[Instance]:
    """The entity's running instances. Cost: that of a copy, if no journey has a priority."""
    instances = [*act.entity.instances.values()]
    if len(instances) > 1 and act.program.journey_index.ranked:
        instances.sort(key=lambda instance: -_rank_of(act, instance))
    return instances


def first_timer(act: "Activation", due_ms: int) -> str:
    """The token of the timer that comes first of those that are due at a moment."""
    tokens = [token for token, at_ms in act.entity.timers.items() if at_ms == due_ms]
    return min(tokens, key=lambda token: _place(act, token)) if len(tokens) > 1 else tokens[0]


def _place(act: "Activation", token: str) -> tuple[str, int, str]:
    """Where a timer stands among others; those that may send a message are as one kind."""
    kind, _, subject = token.partition(":")
    if kind not in _SENDING:
        return kind, 0, token
    if kind == _SENDING[0]:
        packed = act.entity.state.get(HELD, {}).get(subject)
        priority = unpack_waiting(packed).priority if packed is not None else 0
    else:
        instance = act.entity.instances.get(subject)
        priority = _rank_of(act, instance) if instance is not None else 0
    return _SENDING[0], -priority, token


def _rank_of(act: "Activation", instance: Instance) -> int:
    journey = act.program.journeys.get(instance.pin)
    return journey.priority if journey is not None else 0
