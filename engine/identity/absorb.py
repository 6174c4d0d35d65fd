"""Taking another profile in: what each of its parts becomes here.

Where both have a value, what is known of the known person stands: the trait that this profile has,
the run of a journey that is under way here. Chance goes by the one of the two that was first.
Everything else is joined: times of events are counted together, records stand in the order of time.
What finds no room within the limits, and what gave way, is named in a line of the merge log, so
that each merge can be explained.
"""

from typing import Any

import msgpack

from engine import limits, profile
from engine.activation import Activation
from engine.computed.merging import STATE as COMPUTED
from engine.entity import Entity
from engine.governance.waiting import STATE as HELD
from engine.identity import features
from engine.identity.links import wait_from_now
from engine.identity.parts import Parts
from engine.identity.record import (
    ASKED,
    AWAY,
    CLAIMS,
    ID_KINDS,
    IDENTITY,
    LOG,
    MERGED,
    OVER,
    SEED,
    WAITING,
    name_of,
    record_of,
    seed_of,
    settle_verdict,
    write_log,
)
from engine.journeys.instance import STOPPED, Instance
from engine.messages.message import Messages
from engine.packing import PackedLog
from engine.slots import parse_key


def absorb(act: Activation, parts: Parts) -> None:
    """Takes the parts of another profile into the one at work, and evaluates it anew."""
    entity = act.entity
    dropped: dict[str, Any] = dict(parts.dropped)
    moved: dict[str, int] = {}
    kept = _take_traits(entity, parts, moved, dropped)
    _take_windows(entity, parts, moved, dropped)
    _take_messages(entity, parts, moved, dropped)
    stopped = _take_instances(act, parts, moved, dropped)
    _take_ended(entity, parts, moved, dropped)
    _take_trail(entity, parts, moved, dropped)
    _take_segments(act, parts)
    late = entity.seen.join(parts.seen, act.now)
    if late:
        dropped["ids of events"] = dropped.get("ids of events", 0) + late
    entity.state = features.join(entity.state, parts.state)
    _take_record(act, parts)
    _stop(act, stopped)
    entity.created_ms = min(entity.created_ms, parts.since_ms)
    entity.updated_ms = max(entity.updated_ms, parts.updated_ms)
    if parts.key != entity.key and not parts.is_empty():
        _write_log(act, parts, moved, kept, stopped, dropped)
    # Where the other profile was behind, its runs hear now of what was published since.
    entity.program_version = min(entity.program_version, parts.version)
    profile.refresh(act)


def _take_traits(
    entity: Entity, parts: Parts, moved: dict[str, int], dropped: dict[str, Any]
) -> list[str]:
    """Traits that are not set here; gives the names of those that are, with another value."""
    mine = entity.traits
    merged = dict(mine)
    size_bytes = len(msgpack.packb(mine))
    full: list[str] = []
    taken = 0
    for name, value in parts.traits.items():
        if name in mine:
            continue
        size_bytes += len(msgpack.packb(name)) + len(msgpack.packb(value))
        if len(merged) >= limits.TRAITS or size_bytes + _MAP_HEAD > limits.TRAIT_BYTES:
            full.append(name)
            size_bytes -= len(msgpack.packb(name)) + len(msgpack.packb(value))
            continue
        merged[name] = value
        taken += 1
    entity.traits = merged
    _count(moved, "traits", taken)
    if full:
        dropped["traits"] = full[: limits.MERGE_NAMES]
    made_anew = parts.state.get(COMPUTED, ())
    return [
        name
        for name, value in parts.traits.items()
        if name in mine and mine[name] != value and name not in made_anew
    ]


_MAP_HEAD = 4


def _take_windows(
    entity: Entity, parts: Parts, moved: dict[str, int], dropped: dict[str, Any]
) -> None:
    excess = taken = 0
    for name, times in parts.windows.items():
        joined = sorted([*entity.windows.get(name, ()), *times])
        taken += len(times)
        excess += max(0, len(joined) - limits.WINDOW_EVENTS)
        entity.windows[name] = joined[-limits.WINDOW_EVENTS :]
    _count(moved, "times of events", taken)
    _count(dropped, "times of events", excess)


def _take_messages(
    entity: Entity, parts: Parts, moved: dict[str, int], dropped: dict[str, Any]
) -> None:
    mine = entity.messages
    joined = [*mine.values()]
    for message in parts.messages:
        if message.id in mine:  # back where it was sent from: what is here is an older copy
            joined.remove(mine[message.id])
        else:
            _count(moved, "messages", 1)
        joined.append(message)
    joined.sort(key=lambda message: message.created_ms)
    held = (*parts.state.get(HELD, ()), *entity.state.get(HELD, ()))
    away = (*parts.record.get(AWAY, ()), *entity.state.get(IDENTITY, {}).get(AWAY, ()))
    waiting = {*away, *entity.outbox, *held}
    entity.kept = Messages()
    for message in joined:
        entity.kept.keep(message, waiting)
    _count(dropped, "messages", len(joined) - entity.kept.number)


def _take_instances(
    act: Activation, parts: Parts, moved: dict[str, int], dropped: dict[str, Any]
) -> list[Instance]:
    """Runs go on here; gives those that had to give way, as they were."""
    entity = act.entity
    runs = {(running.journey, running.key) for running in entity.instances.values()}
    stopped: list[Instance] = []
    for instance in parts.instances:
        if instance.id in entity.instances:
            continue
        if (instance.journey, instance.key) in runs:
            stopped.append(instance)
        elif len(entity.instances) >= limits.INSTANCES:
            stopped.append(instance)
            _count(dropped, "running instances", 1)
        else:
            runs.add((instance.journey, instance.key))
            entity.instances[instance.id] = instance
            instance.record(act.now, "moved", f"{name_of(parts.key)} is {name_of(entity.key)}")
            _count(moved, "running instances", 1)
    for token, due_ms in parts.timers.items():
        kind, _, subject = token.partition(":")
        if kind in _OF_INSTANCES and subject not in entity.instances:
            continue
        # Not before now: a row's timers lie after the entry that it is stamped with.
        due_ms = max(due_ms, act.now + 1)
        act.set_timer(token, min(due_ms, entity.timers.get(token, due_ms)))
    return stopped


_OF_INSTANCES = ("j", "x")  # timers whose subject is an instance


def _stop(act: Activation, stopped: list[Instance]) -> None:
    """Ends runs that can't go on here, and calls back what they have sent."""
    for instance in stopped:
        for message_id in instance.messages:
            act.cancel(message_id, f"journey {instance.journey!r}: it ended in a merge")
        instance.end(act.now, STOPPED, "the person is in this journey already, or in too many")
        act.entity.keep_ended(instance)


def _take_ended(
    entity: Entity, parts: Parts, moved: dict[str, int], dropped: dict[str, Any]
) -> None:
    if not parts.ended:
        return
    brought = [Instance.from_bytes(packed) for packed in parts.ended]
    joined = sorted([*entity.ended_instances(), *brought], key=lambda ended: ended.ended_ms)
    entity.ended = PackedLog(limits.INSTANCES_ENDED)
    for instance in joined:
        entity.keep_ended(instance)
    _count(moved, "ended instances", len(brought))
    _count(dropped, "ended instances", max(0, len(joined) - limits.INSTANCES_ENDED))


def _take_trail(
    entity: Entity, parts: Parts, moved: dict[str, int], dropped: dict[str, Any]
) -> None:
    if not parts.trail:
        return
    joined = sorted([*entity.trail_lines(), *parts.trail], key=lambda line: int(line[0]))
    entity.trail = PackedLog(limits.TRAIL)
    for at_ms, kind, subject, why in joined[-limits.TRAIL :]:
        entity.note(at_ms, kind, subject, why)
    _count(moved, "lines of the trail", len(parts.trail))
    _count(dropped, "lines of the trail", max(0, len(joined) - limits.TRAIL))


def _take_segments(act: Activation, parts: Parts) -> None:
    """Who was in a segment is in it: nobody enters it anew, and no journey begins by that."""
    entity, sizes = act.entity, act.effects.sizes
    for name, since_ms in parts.segments.items():
        if name not in act.program.segments:
            continue
        if name in entity.segments:
            entity.segments[name] = min(since_ms, entity.segments[name])
            continue
        entity.segments[name] = since_ms
        label = f"{entity.workspace}/{name}"
        sizes[label] = sizes.get(label, 0) + 1


def _take_record(act: Activation, parts: Parts) -> None:
    """The other's ids are this profile's now, and what it waited for is waited for here."""
    entity = act.entity
    record, theirs = record_of(entity), parts.record
    first = theirs.get(SEED, parts.key)
    if not parts.is_empty() and (parts.since_ms, first) < (entity.created_ms, seed_of(entity)):
        record[SEED] = first
    for kind in ID_KINDS:
        mine = record.setdefault(kind, {})
        for id_, verdict in theirs.get(kind, {}).items():
            if verdict == MERGED or id_ not in mine:
                mine[id_] = verdict
        if not mine:
            del record[kind]
    for type_, values in theirs.get(CLAIMS, {}).items():
        mine = record.setdefault(CLAIMS, {}).setdefault(type_, {})
        for value, verdict in values.items():
            if verdict == MERGED or value not in mine:
                mine[value] = verdict
    here = record.get(WAITING, [])
    for key in theirs.get(WAITING, ()):
        _, kind, id_ = parse_key(key)
        if key != entity.key and key not in here and record[kind][id_] == ASKED:
            here.append(key)
    if here:
        record[WAITING] = here
        wait_from_now(act)
    away = {id_: key for id_, key in theirs.get(AWAY, {}).items() if key != entity.key}
    if away:
        record[AWAY] = {**record.get(AWAY, {}), **away}
    for line in theirs.get(LOG, ()):
        write_log(record, line)
    if theirs.get(LOG):
        record[LOG].sort(key=lambda line: line["at_ms"])
    if OVER in theirs:
        record[OVER] = record.get(OVER, 0) + theirs[OVER]
    if parts.key != entity.key:
        settle_verdict(record, parts.key, MERGED)


def _write_log(
    act: Activation,
    parts: Parts,
    moved: dict[str, int],
    kept: list[str],
    stopped: list[Instance],
    dropped: dict[str, Any],
) -> None:
    line: dict[str, Any] = {
        "at_ms": act.now,
        "from": name_of(parts.key),
        "via": parts.via,
        "by": parts.by,
        "moved": moved,
    }
    if kept:
        line["kept"] = kept[: limits.MERGE_NAMES]
    if stopped:
        line["stopped"] = [instance.journey for instance in stopped[: limits.MERGE_NAMES]]
    if dropped:
        line["dropped"] = dropped
    write_log(record_of(act.entity), line)
    act.note("identity", name_of(parts.key), f"merged, by {parts.via} {parts.by}: {_words(line)}")


def _words(line: dict[str, Any]) -> str:
    words = ", ".join(f"{count} {what}" for what, count in line["moved"].items()) or "nothing"
    if "kept" in line:
        words += f"; kept the values of here of {', '.join(line['kept'])}"
    if "stopped" in line:
        words += f"; stopped {', '.join(line['stopped'])}"
    if "dropped" in line:
        words += f"; dropped {line['dropped']}"
    return words[: limits.ERROR_CHARS]


def _count(counts: dict[str, Any], what: str, count: int) -> None:
    if count:
        counts[what] = counts.get(what, 0) + count
