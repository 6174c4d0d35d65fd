"""What an activation's own doing leads to: changed segments, emitted events, entered journeys.

They wait in a list until the command or timer at hand is done with, then each is taken in turn, in
the same entry. So a journey may react to what another one did, in a fixed order and without
recursion; and since each reaction may lead to more, there is a limit, past which the rest is
dropped and the trail says so.
"""

from typing import Final

from engine import limits, profile
from engine.activation import Activation
from engine.fallback import run as fallback
from engine.fallback.success import MESSAGE
from engine.journeys import run as journeys
from engine.journeys.lingering import LEFT
from engine.journeys.watching import look_all

SEGMENT: Final = "segment"
EVENT: Final = "event"
LOOK: Final = "look"


def follow_up(act: Activation) -> None:
    """Takes all that waits, and what that leads to.

    An item is `("segment", (name, entered))`, `("event", EventView)`, `("look", None)` if traits
    changed that exit rules may read, `("message", id)` if a message has news that somebody waits
    for, `("left", id)` if a message of a run that lingers has left, or what
    `engine.journeys.run.enter` and `leave` ask for.
    """
    waiting = act.follow_ups
    taken = 0
    while waiting:
        kind, item = waiting.pop(0)
        taken += 1
        if taken > limits.FOLLOW_UPS:
            act.note("stopped", "", f"more than {limits.FOLLOW_UPS} reactions to one command")
            waiting.clear()
        elif kind == SEGMENT:
            journeys.on_segment(act, *item)
        elif kind == journeys.ENTER:
            journeys.on_enter(act, *item)
        elif kind == journeys.LEAVE:
            journeys.on_leave(act, *item)
        elif kind == MESSAGE:
            fallback.on_outcome(act, item)
        elif kind == LEFT:
            journeys.on_left(act, item)
        elif kind == LOOK:
            look_all(act)
        else:
            profile.take_event(act, item)
            journeys.on_event(act, item)
