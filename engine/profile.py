"""What an event does to a profile: context, traits, windows, then segments.

Only what the event can touch is looked at: windows by its name, and the segments that read a
window, a trait or another fact that changed. A segment that time alone will change has a timer at
that very moment, so it is never true a second too long.

Whatever changes at one moment is settled in one pass, in which each segment comes after those that
it reads and is asked once. So nobody enters a segment for no time, only because one of two things
that it reads changed before the other.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgpack

from engine import computed, event_context, limits
from engine.activation import Activation, EventView
from engine.commands import ALIAS, GROUP, IDENTIFY, NAMED_TYPES, PAGE, SCREEN
from engine.conditions import held
from engine.conditions.context import FACT as CONTEXT
from engine.conditions.windows import trim
from engine.journeys import refresh as journeys
from engine.privacy.record import is_gone
from engine.reasons import Reason
from engine.segment_definition import SEGMENT_TIMER, Segment
from engine.slots import PROFILES, TASK

_TIMERS = (SEGMENT_TIMER, "s:")  # the second is in stores of earlier versions


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
            reason, changed = set_traits(act, event.properties)
            if reason is not Reason.ACCEPTED:
                return reason
    elif event.type == GROUP:
        changed = _set_group(act, event.name)
    elif event.type == ALIAS:
        act.note("alias", event.name, "the other id was recorded")
    program = act.program
    index = program.index
    touched: Sequence[Segment] = ()
    if index.keeps_context and event.context_raw:
        touched = _take_context(act, event)
    if event.type in NAMED_TYPES:
        name = event.name
        kept = index.by_event.get(name)
        if kept is not None:
            entity = act.entity
            for window in kept:
                if window.take(entity.windows, event, entity, act.now):
                    touched = _both(touched, window.segments) if touched else window.segments
        traits = program.computed_by_event.get(name)
        if traits is not None:
            changed = [*changed, *computed.take_event(act, event, traits)]
    if changed:
        touched = _both(touched, _readers(act, changed))
    if touched:
        settle(act, touched)
    return Reason.ACCEPTED


def traits_changed(act: Activation, names: Iterable[str]) -> None:
    """Evaluates the segments that read some traits; whoever changes traits calls it."""
    touched = _readers(act, names)
    if touched:
        settle(act, touched)


def fact_changed(act: Activation, fact: str) -> None:
    """Evaluates the segments that read another fact, by its name in `Compiled.facts`."""
    touched = act.program.index.by_fact.get(fact)
    if touched:
        settle(act, touched)


def settle(act: Activation, touched: Sequence[Segment]) -> None:
    """Evaluates segments, and those that read what these enter and leave, each once.

    Args:
        act: The activation.
        touched: A tuple as the index has it, in its order; or a list in any order.

    Cost: 0.3 µs and up for each segment; nothing moves in most.
    """
    index = act.program.index
    entity = act.entity
    if entity.due_ms is not None and entity.due_ms <= act.now:
        touched = [*touched, *_due(act)]  # a timer is at work: more may change at this moment
    waiting = index.sorted(touched) if touched.__class__ is list else touched
    while waiting:
        for segment in waiting:
            if _evaluate(act, segment):
                readers = index.by_segment.get(segment.name)
                if readers:
                    rest = waiting[waiting.index(segment) + 1 :]
                    waiting = index.sorted((*rest, *readers))
                    break
        else:
            return


def on_timer(act: Activation, name: str) -> None:
    """Evaluates a segment at the very moment at which time alone may change it."""
    segment = act.program.segments.get(name)
    settle(act, (segment,) if segment is not None else ())


def refresh(act: Activation) -> None:
    """Brings an entity's segments and windows in line with the definitions of now."""
    entity = act.entity
    program = act.program
    index = program.index
    if is_gone(entity):
        entity.program_version = program.version
        return
    is_new = not entity.program_version and not (entity.traits or entity.windows or entity.state)
    if entity.instances or entity.state or entity.kind == TASK:
        journeys.refresh(act)
    entity.program_version = program.version
    if entity.kind not in PROFILES or "merged_into" in entity.state:
        return
    for name in [name for name in entity.segments if name not in program.segments]:
        del entity.segments[name]
        _moved(act, name, False, "the segment was deleted")
    for token in [token for token in entity.timers if token[:2] in _TIMERS]:
        if token[:2] != SEGMENT_TIMER or token[2:] not in program.segments:
            act.clear_timer(token)
    windows = entity.windows
    entity.windows = {
        name: trim(index.windows[name], windows[name]) for name in windows if name in index.windows
    }
    computed.refresh(act)
    held.refresh(entity, index.held, act.now)
    settle(act, index.of_the_unknown if is_new else tuple(program.segments.values()))


def _evaluate(act: Activation, segment: Segment) -> bool:
    """Evaluates one segment: enters, leaves, and sets its timer for the next change by time.

    Returns:
        Whether it was entered or left.
    """
    entity = act.entity
    is_true, changes_ms = segment.evaluate(entity, act.now)
    token = segment.timer
    if changes_ms is None:
        if token in entity.timers:
            act.clear_timer(token)
    elif entity.timers.get(token) != changes_ms:
        act.set_timer(token, changes_ms)
    name = segment.name
    if is_true == (name in entity.segments):
        return False
    if is_true:
        entity.segments[name] = act.now
    else:
        del entity.segments[name]
    _moved(act, name, is_true, "its condition became " + ("true" if is_true else "false"))
    return True


def _due(act: Activation) -> list[Segment]:
    """The segments whose timers are due at this moment; their timers are cleared."""
    timers, segments, now = act.entity.timers, act.program.segments, act.now
    due = [token for token, ms in timers.items() if ms <= now and token[:2] in _TIMERS]
    for token in due:
        act.clear_timer(token)
    names = (token[2:] for token in due)
    return [segments[name] for name in names if name in segments]


def _take_context(act: Activation, event: EventView) -> Sequence[Segment]:
    if not event_context.take(act.entity, event.context_raw, event.timestamp_ms):
        return ()
    return act.program.index.by_fact.get(CONTEXT, ())


def _both(some: Sequence[Segment], others: Sequence[Segment]) -> Sequence[Segment]:
    """Two lists as one; a copy only if both hold something."""
    return [*some, *others] if some and others else some or others


def _readers(act: Activation, traits: Iterable[str]) -> Sequence[Segment]:
    """The segments that read some traits; what those have held is noted first."""
    index = act.program.index
    touched: Sequence[Segment] = ()
    for trait in traits:
        comparisons = index.held_by_trait.get(trait)
        if comparisons is not None:
            held.update(act.entity, comparisons, act.now)
        touched = _both(touched, index.by_trait.get(trait, ()))
    return touched


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


def set_traits(act: Activation, traits: dict[str, Any]) -> tuple[Reason, list[str]]:
    """Sets traits, None unsets one; segments are the caller's to evaluate.

    What is computed is not written, and its bounds are its own.

    Returns:
        ACCEPTED and the traits that changed; or TRAITS_FULL if the traits would pass their limits
        (nothing was changed).
    """
    own = act.program.computed
    if own and not own.keys().isdisjoint(traits):
        traits = computed.without_own(act, traits)
    mine = act.entity.traits
    changed = [name for name, value in traits.items() if not _is_same(mine.get(name), value)]
    if not changed:
        return Reason.ACCEPTED, changed
    merged = {**mine, **traits}
    for name in [name for name, value in merged.items() if value is None]:
        del merged[name]  # the Segment Spec's way to unset a trait
    bound = {n: value for n, value in merged.items() if n not in own} if own else merged
    if len(bound) > limits.TRAITS or len(msgpack.packb(bound)) > limits.TRAIT_BYTES:
        return Reason.TRAITS_FULL, []
    act.entity.traits = merged
    return Reason.ACCEPTED, changed


def _is_same(known: Any, value: Any) -> bool:
    """Whether a trait has this very value already; to Python 1 is True and 1.0, to us it is not."""
    if known != value or known.__class__ is not value.__class__:
        return False
    return value.__class__ not in (list, dict) or msgpack.packb(known) == msgpack.packb(value)


def _set_group(act: Activation, group_id: str) -> list[str]:
    if act.entity.traits.get("group_id") == group_id:
        return []
    act.entity.traits = {**act.entity.traits, "group_id": group_id}
    act.note("group", group_id, "joined")
    return ["group_id"]
