"""What an event does to a profile: traits, windows, then segments.

Only what the event can touch is looked at: windows by its name, segments by its name and by the
traits that changed. A segment that time alone will change has a timer at that very moment, so it
is never true a second too long.
"""

from bisect import bisect_right, insort
from typing import Any

import msgpack

from engine import computed, limits
from engine.activation import Activation, EventView
from engine.commands import ALIAS, GROUP, IDENTIFY, NAMED_TYPES, PAGE, SCREEN
from engine.reasons import Reason
from engine.segment_definition import Segment
from engine.slots import PROFILES

SEGMENT_TIMER = "s:"


def event_name(type_: int, name: str) -> str:
    """The name under which journeys and segments know an event.

    Page and screen views have the names that Segment gives them for destinations.
    """
    if type_ == PAGE:
        return f"Viewed {name} Page" if name else "Viewed Page"
    if type_ == SCREEN:
        return f"Viewed {name} Screen" if name else "Viewed Screen"
    return name


def take_event(act: Activation, event: EventView) -> Reason:
    """Takes an event into the profile: traits, windows, segments, in that order.

    Returns:
        ACCEPTED, or TRAITS_FULL if the traits would pass their limits (nothing was changed).
    """
    changed: tuple[str, ...] | list[str] = ()
    if event.type == IDENTIFY:
        if event.raw:
            reason, changed = _set_traits(act, event.properties)
            if reason is not Reason.ACCEPTED:
                return reason
    elif event.type == GROUP:
        changed = _set_group(act, event.name)
    elif event.type == ALIAS:
        act.note("alias", event.name, "the other id was recorded")
    program = act.program
    if event.type in NAMED_TYPES:
        name = event.name
        horizon = program.windows.get(name)
        if horizon is not None:
            _add_to_window(act, name, event.timestamp_ms, horizon)
        traits = program.computed_by_event.get(name)
        if traits is not None:
            changed = [*changed, *computed.take_event(act, event, traits)]
        for segment in program.segments_by_event.get(name, ()):
            evaluate(act, segment)
    for trait in changed:
        for segment in program.segments_by_trait.get(trait, ()):
            evaluate(act, segment)
    return Reason.ACCEPTED


def evaluate(act: Activation, segment: Segment) -> None:
    """Evaluates one segment: enters, leaves, and sets its timer for the next change by time."""
    entity = act.entity
    name = segment.name
    is_true, changes_ms = segment.evaluate(entity, act.now)
    token = SEGMENT_TIMER + name
    if changes_ms is None:
        if token in entity.timers:
            act.clear_timer(token)
    elif entity.timers.get(token) != changes_ms:
        act.set_timer(token, changes_ms)
    if is_true != (name in entity.segments):
        if is_true:
            entity.segments[name] = act.now
        else:
            del entity.segments[name]
        _moved(act, name, is_true, "its condition became " + ("true" if is_true else "false"))


def on_timer(act: Activation, name: str) -> None:
    """Evaluates a segment at the very moment at which time alone may change it."""
    segment = act.program.segments.get(name)
    if segment is not None:
        evaluate(act, segment)


def refresh(act: Activation) -> None:
    """Brings an entity's segments and windows in line with the definitions of now."""
    entity = act.entity
    program = act.program
    entity.program_version = program.version
    if entity.kind not in PROFILES:
        return
    for name in [name for name in entity.segments if name not in program.segments]:
        del entity.segments[name]
        act.clear_timer(SEGMENT_TIMER + name)
        _moved(act, name, False, "the segment was deleted")
    for token in [token for token in entity.timers if token.startswith(SEGMENT_TIMER)]:
        if token[len(SEGMENT_TIMER) :] not in program.segments:
            act.clear_timer(token)
    for name in [name for name in entity.windows if name not in program.windows]:
        del entity.windows[name]
    computed.refresh(act)
    for segment in program.segments.values():
        evaluate(act, segment)


def _moved(act: Activation, name: str, entered: bool, why: str) -> None:
    entity = act.entity
    act.note("segment", name, ("entered: " if entered else "left: ") + why)
    sizes = act.effects.sizes
    label = f"{entity.workspace}/{name}"
    size = sizes.get(label, 0) + (1 if entered else -1)
    if size:
        sizes[label] = size
    else:
        sizes.pop(label, None)
    moves = act.effects.entered if entered else act.effects.left
    moves[label] = moves.get(label, 0) + 1
    act.follow_ups.append(("segment", (name, entered)))
    for dependent in act.program.segments_by_segment.get(name, ()):
        evaluate(act, dependent)


def _set_traits(act: Activation, traits: dict[str, Any]) -> tuple[Reason, list[str]]:
    mine = act.entity.traits
    changed = [
        name for name, value in traits.items() if mine.get(name) != value or name not in mine
    ]
    if not changed:
        return Reason.ACCEPTED, changed
    merged = {**mine, **traits}
    for name in [name for name, value in merged.items() if value is None]:
        del merged[name]  # the Segment Spec's way to unset a trait
    if len(merged) > limits.TRAITS or len(msgpack.packb(merged)) > limits.TRAIT_BYTES:
        return Reason.TRAITS_FULL, []
    act.entity.traits = merged
    return Reason.ACCEPTED, changed


def _set_group(act: Activation, group_id: str) -> list[str]:
    if act.entity.traits.get("group_id") == group_id:
        return []
    act.entity.traits = {**act.entity.traits, "group_id": group_id}
    act.note("group", group_id, "joined")
    return ["group_id"]


def _add_to_window(act: Activation, name: str, at_ms: int, horizon_ms: int) -> None:
    """Adds a time to an event's window and forgets what no segment can count any more."""
    windows = act.entity.windows
    times = windows.get(name)
    if times is None:
        times = windows[name] = []
    if not times or times[-1] <= at_ms:
        times.append(at_ms)
    else:
        insort(times, at_ms)
    if horizon_ms:
        oldest = act.now - horizon_ms
        if times[0] <= oldest:
            del times[: bisect_right(times, oldest)]
    if len(times) > limits.WINDOW_EVENTS:
        del times[0]
