"""What events and time do to a person's computed traits.

What a trait keeps lies in the entity's state: `[mark, kept, capped ms]` by the trait's name. Its
value is a trait like any other, written whenever it changes, and unset where there is nothing: no
event in the window, no session. A window or session has a timer at the very moment at which time
alone changes it next.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from engine import limits
from engine.computed.definition import ComputedTrait
from engine.computed.functions import Items
from engine.computed.merging import PART, STATE, TOLD, parts_of
from engine.computed.spans import EXACT, FOR_EVER
from engine.packing import pack

if TYPE_CHECKING:
    from engine.activation import Activation, EventView

OVERRULED: Final = "overruled"  # in `Entity.state`: trait to when its trail was told (ms)
_TIMER: Final = "c:"
Records = dict[str, list[Any]]


def take_event(act: "Activation", event: "EventView", traits: Iterable[ComputedTrait]) -> list[str]:
    """Takes an event into the traits that read it; gives the names of those that changed.

    Cost: 2 to 10 µs for a trait that the event passes into, by its function.
    """
    entity = act.entity
    changed: list[str] = []
    for trait in traits:
        found = trait.read(entity, event)
        if found[0] or found[1]:
            _take(act, trait, event.timestamp_ms, found)
            if _settle(act, trait):
                changed.append(trait.name)
    return changed


def on_timer(act: "Activation", name: str) -> None:
    """Computes what time changes at this very moment: all of it, before anything reads it."""
    from engine import profile  # noqa: PLC0415 - it stands above, and takes events in by this

    timers, now = act.entity.timers, act.now
    due = [token for token, ms in timers.items() if ms <= now and token.startswith(_TIMER)]
    for token in due:
        act.clear_timer(token)
    defined = act.program.computed
    names = dict.fromkeys([name, *sorted(token[len(_TIMER) :] for token in due)])
    changed = [name for name in names if name in defined and _settle(act, defined[name])]
    if changed:
        profile.traits_changed(act, changed)
        if act.program.journey_index.watches:
            act.follow_ups.append(("look", None))


def refresh(act: "Activation") -> None:
    """Brings an entity's computed traits in line with the definitions of now.

    It is also what makes one of what two profiles have kept that are one from now on. The segments
    are the caller's to evaluate.
    """
    entity, defined = act.entity, act.program.computed
    records: Records = entity.state.get(STATE) or {}
    changed = False
    for name, record in list(records.items()):
        trait = defined.get(name)
        if trait is None:
            changed |= _write(entity.traits, name, None)
            del records[name]
        elif record[0] != trait.mark or len(record) > PART:
            _unite(act, trait, records)
    told: dict[str, Any] = entity.state.get(TOLD) or {}
    for name in [name for name in told if name not in defined]:
        del told[name]
    if not told:
        entity.state.pop(TOLD, None)
    for token in [token for token in entity.timers if token.startswith(_TIMER)]:
        if token[len(_TIMER) :] not in records:
            act.clear_timer(token)
    if not records:
        entity.state.pop(STATE, None)
    for name, trait in defined.items() if records or entity.traits else ():
        if name in records:
            changed |= _settle(act, trait)
        elif name in entity.traits:
            changed = True
            del entity.traits[name]
            act.note("computed", name, "unset what was there: it is computed from now on")
    if changed and act.program.journey_index.watches:
        act.follow_ups.append(("look", None))


def unite(act: "Activation", trait: ComputedTrait, record: list[Any]) -> bool:
    """Joins a record of one part or several with what is kept; True if the value changed."""
    records: Records = act.entity.state.setdefault(STATE, {})
    mine = records.get(trait.name, [])
    if mine:
        mine[0] = trait.mark  # of an earlier release: what it holds was counted under this one
    records[trait.name] = [*mine, *record]
    _unite(act, trait, records)
    return _settle(act, trait)


def without_own(act: "Activation", traits: Mapping[str, Any]) -> dict[str, Any]:
    """Traits to be written, without those that are computed: what is computed stands.

    The trail says so, once a day for a trait.
    """
    entity, computed = act.entity, act.program.computed
    told: dict[str, int] = entity.state.get(OVERRULED) or {}
    for name in traits:
        if name in computed and told.get(name, 0) <= act.now - limits.OVERRULED_MS:
            told[name] = act.now
            act.note("computed", name, "a value that was written is not taken: it is computed")
    entity.state[OVERRULED] = {name: at_ms for name, at_ms in told.items() if name in computed}
    return {name: value for name, value in traits.items() if name not in computed}


def _take(act: "Activation", trait: ComputedTrait, at_ms: int, found: Items) -> None:
    """Takes what an event gives a trait into what is kept for it."""
    state = act.entity.state
    records: Records | None = state.get(STATE)
    if records is None:
        records = state[STATE] = {}
    record = records.get(trait.name)
    if record is None:
        record = records[trait.name] = [trait.mark, None, EXACT]
    room = _room(act, trait, records, len(found[0]))
    record[1], capped_ms = trait.span.take(record[1], at_ms, found, act.now, room)
    if capped_ms:
        _cap(act, trait, record, capped_ms)


def _unite(act: "Activation", trait: ComputedTrait, records: Records) -> None:
    """Makes one of the parts of a record; those of another definition are of no use."""
    name, span = trait.name, trait.span
    record: list[Any] = [trait.mark, None, EXACT]
    parts = [part for part in parts_of(records[name]) if part[0] == trait.mark]
    records[name] = record
    for _, kept, capped_ms in parts:
        if record[1] is None or kept is None:
            record[1] = kept if record[1] is None else record[1]
        else:
            room = _room(act, trait, records, span.size(kept))
            record[1], more_ms = span.join(record[1], kept, act.now, room)
            if more_ms:
                _cap(act, trait, record, more_ms)
        if capped_ms:
            record[2] = _later(record[2], capped_ms)


def _room(act: "Activation", trait: ComputedTrait, records: Records, more: int) -> int:
    """How many values or entries a trait may keep of this person; see `limits`."""
    if trait.span.size(records[trait.name][1]) + more <= limits.COMPUTED_SHARE:
        return limits.COMPUTED_EVENTS
    others, defined = 0, act.program.computed
    for name, record in records.items():
        if name != trait.name and name in defined:
            others += defined[name].span.size(record[1])
    most = min(limits.COMPUTED_EVENTS, limits.COMPUTED_ENTRIES - others)
    return max(limits.COMPUTED_SHARE, most)


def _cap(act: "Activation", trait: ComputedTrait, record: list[Any], capped_ms: int) -> None:
    """Notes that something found no room, and until when that matters."""
    if record[2] == EXACT:
        why = "capped: a value or an event found no room, so the trait is computed without it"
        act.note("computed", trait.name, why)
    record[2] = _later(record[2], capped_ms)


def _later(one_ms: int, other_ms: int) -> int:
    return FOR_EVER if FOR_EVER in (one_ms, other_ms) else max(one_ms, other_ms)


def _settle(act: "Activation", trait: ComputedTrait) -> bool:
    """Brings what is kept, the timer and the value to this moment; True if the value changed."""
    entity, name, span = act.entity, trait.name, trait.span
    records: Records = entity.state.get(STATE) or {}
    record = records.get(name)
    if record is None:
        return _write(entity.traits, name, None)
    next_ms = None
    kept = record[1]
    if kept is not None:
        kept, next_ms = span.pass_time(kept, act.now)
    capped_ms = record[2]
    if 0 < capped_ms <= act.now:
        capped_ms = record[2] = EXACT
        act.note("computed", name, "exact again: what found no room would count no more")
    if capped_ms > 0:
        next_ms = capped_ms if next_ms is None else min(next_ms, capped_ms)
    is_over = kept is None and (record[1] is not None or capped_ms == EXACT)
    record[1] = kept
    if is_over and capped_ms <= 0:
        del records[name]
        if not records:
            del entity.state[STATE]
    token = _TIMER + name
    if next_ms is None:
        act.clear_timer(token)
    elif entity.timers.get(token) != next_ms:
        act.set_timer(token, next_ms)
    return _write(entity.traits, name, None if kept is None else span.value(kept))


def _write(traits: dict[str, Any], name: str, value: Any) -> bool:
    """Writes or unsets a value; True if that is a change."""
    before = traits.get(name)
    if value is None:
        traits.pop(name, None)
        return before is not None
    if before == value and pack(before) == pack(value):
        return False  # to Python 1 and true are equal, alone and in lists
    traits[name] = value
    return True
