"""What an event does to a profile: context, traits, windows, then segments.

Only what the event can touch is looked at: windows by its name, and the segments that read a
window, a trait or another fact that changed. A segment that time alone will change has a timer at
that very moment, so it is never true a second too long.

Whatever changes at one moment is settled in one pass, in which each segment comes after those that
it reads and is asked once. So nobody enters a segment for no time, only because one of two things
that it reads changed before the other.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from engine import computed, event_context, limits
from engine.activation import Activation, EventView
from engine.commands import ALIAS, GROUP, IDENTIFY, PAGE, SCREEN
from engine.conditions import held
from engine.conditions.context import FACT as CONTEXT
from engine.conditions.dates import FACT as ZONE
from engine.conditions.windows import trim
from engine.entity import Entity
from engine.journeys import refresh as journeys
from engine.packing import pack
from engine.privacy.record import is_gone
from engine.reasons import Reason
from engine.segments.definition import SEGMENT_TIMER, Segment
from engine.slots import PROFILES, TASK

_TIMERS = (SEGMENT_TIMER, "s:")  # the second is in stores of earlier versions
_ACCEPTED: Final = Reason.ACCEPTED  # a global: to find a member of its enum takes ten times as long


def event_name(type_: int, name: str) -> str:
    """The name under which journeys and segments know an event.

    Page and screen views have the names that Segment gives them for destinations.
    """
    if type_ == PAGE:
        return f"Viewed {name} Page" if name else "Viewed Page"
    if type_ == SCREEN:
        return f"Viewed {name} Screen" if name else "Viewed Screen"
    return name


def take_event(act: Activation, event: EventView) -> None:
    """Takes an event that says what somebody did into the profile: windows, then segments.

    Its type is one of `commands.NAMED_TYPES`.
    """
    program = act.program
    index = program.index
    touched: Sequence[Segment] = ()
    if index.keeps_context and event.context_raw:
        touched = _take_context(act, event)
    name = event.name
    kept = index.by_event.get(name)
    if kept is not None:
        entity, now = act.entity, act.now
        windows = entity.windows
        for window in kept:
            if window.take(windows, event, entity, now):
                touched = _both(touched, window.segments) if touched else window.segments
    traits = program.computed_by_event.get(name)
    if traits is not None:
        changed = computed.take_event(act, event, traits)
        if changed:
            touched = _both(touched, _readers(act, changed))
    if act.unsettled:
        _settle_all(act, touched)
    elif touched:
        settle(act, touched)


def take_said(act: Activation, event: EventView) -> Reason:
    """Takes an event that says who somebody is into the profile: traits, then segments.

    Returns:
        ACCEPTED, or TRAITS_FULL if the traits would pass their limits (nothing was changed).
    """
    index = act.program.index
    touched: Sequence[Segment] = ()
    reason, changed = _take_what_is_said(act, event)
    if reason is not _ACCEPTED:
        return reason
    if index.keeps_context and event.context_raw:
        touched = _take_context(act, event)
    if changed:
        touched = _both(touched, _readers(act, changed))
    if touched or act.unsettled:
        _settle_all(act, touched)
    return reason


def _settle_all(act: Activation, touched: Sequence[Segment]) -> None:
    """Evaluates segments together with what `refresh` has left for the event at hand."""
    if act.unsettled:
        touched = _both(touched, act.unsettled)
        act.unsettled = ()
    settle(act, touched)


def _take_what_is_said(act: Activation, event: EventView) -> tuple[Reason, Sequence[str]]:
    """Takes in what is said of a person rather than done; gives the traits that changed."""
    type_ = event.type
    if type_ == IDENTIFY:
        return set_traits(act, event.properties) if event.raw else (Reason.ACCEPTED, ())
    if type_ == GROUP:
        return Reason.ACCEPTED, _set_group(act, event.name)
    if type_ == ALIAS:
        act.note("alias", event.name, "the other id was recorded")
    return Reason.ACCEPTED, ()


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
    due_ms = act.entity.due_ms
    if due_ms is not None and due_ms <= act.now:
        touched = [*touched, *_due(act)]  # a timer is at work: more may change at this moment
    index = act.program.index
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


def settle_rest(act: Activation) -> None:
    """Evaluates what `refresh` left for an event that was then not taken."""
    touched, act.unsettled = act.unsettled, ()
    if touched:
        settle(act, touched)


def catch_up(act: Activation, is_event: bool = False) -> None:
    """As `refresh`, for somebody who was in line with an older version.

    Where only segments came since, these alone are evaluated: a new segment should not cost as much
    as all that there are, for in the first seconds everybody who does something pays it.
    """
    entity, program = act.entity, act.program
    is_profile = entity.kind in PROFILES and "merged_into" not in entity.state
    before = entity.program_version
    added = program.added_since(before) if before > 0 and is_profile else None
    if added is None or is_gone(entity):
        refresh(act, is_event)
        return
    entity.program_version = program.version
    held.refresh(entity, program.index.held, act.now)
    if added:
        settle(act, added)


def refresh(act: Activation, is_event: bool = False) -> None:
    """Brings an entity's segments and windows in line with the definitions of now.

    Args:
        act: The activation.
        is_event: Whether an event is at hand. Somebody of whom nothing was known is then evaluated
            with it (or in `settle_rest`): they never were somebody who has done nothing.
    """
    entity = act.entity
    program = act.program
    index = program.index
    if not entity.program_version and entity.kind in PROFILES and _is_unknown(entity):
        entity.program_version = program.version
        if index.held:
            held.refresh(entity, index.held, act.now)
        if is_event:
            act.unsettled = index.of_the_unknown
        elif index.of_the_unknown:
            settle(act, index.of_the_unknown)
        return
    if is_gone(entity):
        entity.program_version = program.version
        return
    if entity.instances or entity.state or entity.outbox or entity.kind == TASK:
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
    settle(act, tuple(program.segments.values()))


def _is_unknown(entity: Entity) -> bool:
    """Whether nothing is kept of somebody that definitions could bear on."""
    return not (
        entity.state
        or entity.traits
        or entity.windows
        or entity.segments
        or entity.instances
        or entity.timers
    )


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
    by_fact = act.program.index.by_fact
    return _both(by_fact.get(CONTEXT, ()), by_fact.get(ZONE, ()))


def _both(some: Sequence[Segment], others: Sequence[Segment]) -> Sequence[Segment]:
    """Two lists as one; a copy only if both hold something."""
    return [*some, *others] if some and others else some or others


def _readers(act: Activation, traits: Iterable[str]) -> Sequence[Segment]:
    """The segments that read some traits; what those have held is noted first."""
    index = act.program.index
    touched: Sequence[Segment] = ()
    by_trait, held_by_trait = index.by_trait, index.held_by_trait
    for trait in traits:
        if held_by_trait and trait in held_by_trait:
            held.update(act.entity, held_by_trait[trait], act.now)
        readers = by_trait.get(trait)
        if readers is not None:
            touched = _both(touched, readers) if touched else readers
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
    changed = [
        name
        for name, value in traits.items()
        if (known := mine.get(name)) != value
        or (value.__class__ is not str and not _is_same(known, value))
    ]
    if not changed:
        return Reason.ACCEPTED, changed
    merged = {**mine, **traits}
    for name in [name for name, value in merged.items() if value is None]:
        del merged[name]  # the Segment Spec's way to unset a trait
    bound = {n: value for n, value in merged.items() if n not in own} if own else merged
    if len(bound) > limits.TRAITS or len(pack(bound)) > limits.TRAIT_BYTES:
        return Reason.TRAITS_FULL, []
    act.entity.traits = merged
    return Reason.ACCEPTED, changed


def _is_same(known: Any, value: Any) -> bool:
    """Whether equal values are the same; to Python 1 is True and 1.0, to us it is not."""
    if known.__class__ is not value.__class__:
        return False
    return value.__class__ not in (list, dict) or pack(known) == pack(value)


def _set_group(act: Activation, group_id: str) -> list[str]:
    if act.entity.traits.get("group_id") == group_id:
        return []
    act.entity.traits = {**act.entity.traits, "group_id": group_id}
    act.note("group", group_id, "joined")
    return ["group_id"]
