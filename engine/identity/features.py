"""How what features keep in `Entity.state` comes together when two profiles become one.

A feature whose values do not simply go side by side has an entry here, under the name of its state:
a function of what this profile has and what the other one brings. It gives what is kept. Without
an entry maps are joined, key by key, and where both sides have a value this profile's stays.
"""

from collections.abc import Callable
from typing import Any, Final

from engine import event_context
from engine.computed import merging as computed
from engine.conditions import consent, held
from engine.governance import caps
from engine.journeys import again
from engine.journeys.steps import goal
from engine.messages import inbound
from engine.privacy import ties

Join = Callable[[Any, Any], Any]
"""What this profile has, what the other brings: what is kept. Neither may be changed in place."""


def side_by_side(mine: Any, theirs: Any) -> Any:
    """Maps joined key by key, all the way down; otherwise this profile's value."""
    if not (isinstance(mine, dict) and isinstance(theirs, dict)):
        return mine
    joined = dict(mine)
    for name, value in theirs.items():
        joined[name] = side_by_side(mine[name], value) if name in mine else value
    return joined


def _earliest(mine: dict[str, int], theirs: dict[str, int]) -> dict[str, int]:
    """Since when something holds: since it first held for either, if it still does."""
    joined = dict(mine)
    for name, since_ms in theirs.items():
        joined[name] = min(since_ms, mine.get(name, since_ms))
    return joined


def _newest(mine: dict[str, list[Any]], theirs: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """`[what, ms]` by name: what was said last."""
    newer = {n: said for n, said in theirs.items() if n not in mine or mine[n][1] < said[1]}
    return {**mine, **newer}


def _goals(mine: dict[str, list[int]], theirs: dict[str, list[int]]) -> dict[str, list[int]]:
    """`[count, ms of the last]` by goal: both count."""
    joined = dict(mine)
    for name, (count, last_ms) in theirs.items():
        known, known_ms = mine.get(name, (0, 0))
        joined[name] = [known + count, max(known_ms, last_ms)]
    return joined


# By the name of the feature's state.
JOINS: Final[dict[str, Join]] = {
    again.STATE: again.join,
    caps.STATE: caps.join,
    computed.STATE: computed.join,
    computed.TOLD: computed.join_told,
    consent.STATE: _newest,
    event_context.STATE: event_context.join,
    goal.STATE: _goals,
    held.STATE: _earliest,
    inbound.STATE: inbound.join,
    ties.TOLD_BY: ties.join_tellers,
}


def join(mine: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """The state of all features of two profiles that are one from now on."""
    joined = dict(mine)
    for name, value in theirs.items():
        if name in mine:
            joined[name] = JOINS.get(name, side_by_side)(mine[name], value)
        else:
            joined[name] = value
    return joined
