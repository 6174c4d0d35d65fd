"""Entering: who begins a run, and why somebody does not.

A filter that does not match is no refusal, and neither is an entry while the run of that key lives:
the run itself explains it. Everything else that speaks against a run is in the trail.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine import limits
from engine.journeys.again import refuse
from engine.journeys.compile import Journey
from engine.journeys.context import map_in, text_of
from engine.journeys.entries import API, EVENT, SEGMENT, Entry
from engine.journeys.instance import Instance
from engine.journeys.moving import walk
from engine.journeys.steps.registry import NO_EVENTS
from engine.journeys.watching import look
from engine.packing import pack
from engine.reasons import Reason
from engine.slots import PROFILES

if TYPE_CHECKING:
    from engine.activation import Activation, EventView

STEP: Final = "step"
_ACCEPTED: Final = Reason.ACCEPTED  # to find a member of its enum takes ten times as long


def by_event(act: "Activation", journey: Journey, event: "EventView") -> None:
    """Begins a run by the first entry that takes the event."""
    for entry in journey.entries[EVENT].get(event.name, ()):
        where = entry.where
        if where is not None:
            properties = event.properties if where.reads_properties else NO_EVENTS
            if not where.check(act.entity, act.now, properties)[0]:
                continue
        key = ""
        key_of = entry.key
        if key_of is not None:
            key = text_of(key_of(event.properties))
            if not key:
                why = f"event {event.name!r} has no usable {entry.key_path}"
                refuse(act, journey.name, why)
                continue
        begin(act, journey, key, event.raw, entry.words)
        return


def by_segment(act: "Activation", journey: Journey, name: str, entered: bool) -> None:
    """Begins a run by the first entry that takes the segment's change."""
    for entry in journey.entries[SEGMENT].get(name, ()):
        if entry.on_entered is entered and _takes(act, entry, NO_EVENTS):
            begin(act, journey, "", pack({"segment": name}), entry.words)
            return


def by_name(
    act: "Activation", name: str, raw: bytes, kind: str, words: str, number: int = -1
) -> Reason:
    """Begins a run of a journey that somebody names.

    Args:
        act: An activation on the person.
        name: The journey.
        raw: The context (msgpack), which stands where an event's properties would.
        kind: The kind of entry that has to take it; `STEP` for a step of another journey, which
            may begin any live journey, by its API entry if it has one.
        words: Who asks, for the trail.
        number: Which of the journey's schedules and broadcasts asks, if one does. Who is not in
            its audience is passed over, and the trail has nothing of that.

    Returns:
        ACCEPTED; NOT_FOUND; JOURNEY_NOT_LIVE; ALREADY_RUNNING; ENTRY_REFUSED if a filter, the
        key, or `again` speaks against it; INSTANCES_FULL.
    """
    journey = act.program.journey_index.newest.get(name)
    if journey is None or act.entity.kind not in PROFILES:
        return Reason.NOT_FOUND
    if number >= 0:
        return _by_task(act, journey, kind, number)
    if not journey.begins:
        refuse(act, name, f"{words}: the journey is {journey.status}")
        return Reason.JOURNEY_NOT_LIVE
    entries = journey.entries[API if kind == STEP else kind].get("", ())
    if not entries and kind != STEP:
        refuse(act, name, f"{words}: the journey has no entry by the {kind.upper()}")
        return Reason.ENTRY_REFUSED
    properties = (map_in(raw) or {}) if raw else {}
    if not entries:
        return begin(act, journey, _any_key(journey, properties), raw, words)
    for entry in entries:
        if not _takes(act, entry, properties):
            continue
        key = text_of(entry.key(properties)) if entry.key is not None else ""
        if entry.key is not None and not key:
            refuse(act, name, f"{words}: there is no usable {entry.key_path}")
            return Reason.ENTRY_REFUSED
        return begin(act, journey, key, raw, words)
    refuse(act, name, f"{words}: no entry takes it, such as {entries[0].words}")
    return Reason.ENTRY_REFUSED


def _by_task(act: "Activation", journey: Journey, kind: str, number: int) -> Reason:
    if not journey.begins:
        return Reason.JOURNEY_NOT_LIVE
    entry = journey.tasks[number] if number < len(journey.tasks) else None
    if entry is None or entry.kind != kind or not _takes(act, entry, NO_EVENTS):
        return Reason.ENTRY_REFUSED
    return begin(act, journey, "", b"", entry.words)


def _takes(act: "Activation", entry: Entry, properties: Mapping[str, Any]) -> bool:
    where = entry.where
    return where is None or where.check(act.entity, act.now, properties)[0]


def _any_key(journey: Journey, properties: Mapping[str, Any]) -> str:
    """The key that the journey's events would have, if the context has it."""
    for entries in journey.entries[EVENT].values():
        for entry in entries:
            if entry.key is not None and (key := text_of(entry.key(properties))):
                return key
    return ""


def begin(act: "Activation", journey: Journey, key: str, raw: bytes, words: str) -> Reason:
    """Begins a run, unless a run of the same key, a limit, `again` or an exit speaks against it."""
    entity = act.entity
    name = journey.name
    instances = entity.instances
    if instances:
        full = _has_no_room(act, journey, key)
        if full is not None:
            return full
    again = journey.again
    if again is not None and not again.allows(entity, name, act.now):
        refuse(act, name, again.why)
        return Reason.ENTRY_REFUSED
    if journey.exits.by_condition:
        rule, _ = journey.exits.look(act)
        if rule is not None:
            refuse(act, name, f"an exit rule holds already: {rule.why}")
            return Reason.ENTRY_REFUSED
    if again is not None:
        again.remember(entity, name, act.now)
    instance = Instance.begin(act.next_id(), name, journey.version, key, act.now, raw)
    instances[instance.id] = instance
    with_key = f" with key {key!r}" if key else ""
    act.note("journey", name, f"entered{with_key}: {words}")
    walk(act, instance, journey, (journey.first, words))
    if journey.exits.by_condition and instance.id in instances:
        look(act, instance, journey)
    return _ACCEPTED


def _has_no_room(act: "Activation", journey: Journey, key: str) -> Reason | None:
    """Whether the runs that a person has leave no room for one more, and why."""
    instances = act.entity.instances
    name, mine = journey.name, 0
    for running in instances.values():
        if running.journey == name:
            if running.key == key:
                return Reason.ALREADY_RUNNING
            mine += 1
    if len(instances) >= limits.INSTANCES:
        refuse(act, name, f"{limits.INSTANCES} instances are running already")
        return Reason.INSTANCES_FULL
    if mine >= journey.at_once:
        refuse(act, name, f"{mine} instances of this journey are running already")
        return Reason.INSTANCES_FULL
    return None
