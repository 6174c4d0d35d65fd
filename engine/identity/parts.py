"""What a profile is made of when it moves: taken out of one entity, bounded, packed.

What is taken leaves its entity. What stays there is only what a later repeat or answer needs: the
ids it has seen, the messages that a sender still has (the sender answers to it, and their effects
are settled where they were made), and the counts of what it has passed on.
"""

from typing import Any, Final

from msgspec import Struct
from msgspec.msgpack import Decoder

from engine import commands, limits
from engine.activation import Activation
from engine.dedup import HASH_BYTES
from engine.entity import Entity
from engine.governance.waiting import STATE as HELD
from engine.identity.record import (
    AWAY,
    GOT,
    IDENTITY,
    MERGED_INTO,
    PARKED,
    RETURNED,
    SENT,
    Record,
)
from engine.journeys.instance import Instance
from engine.messages.message import Message, Messages
from engine.packing import PackedLog, pack
from engine.privacy.record import PRIVACY

# Timers that are made anew where the profile goes: those of segments, and of the merge itself.
_LEFT_TIMERS: Final = ("d:", "s:", "i:")
_OF_THE_PLACE: Final = (IDENTITY, MERGED_INTO, PRIVACY)


class Parts(Struct, eq=False):
    """A profile on its way to another one.

    Attributes:
        key: Whose it was.
        version: The definitions that it was in line with.
        by: The id of the event that led to this.
        via: How: `event`, `alias` or a kind of identifier.
        since_ms: When the profile was made.
        updated_ms: When an event changed it last.
        traits: Its traits.
        windows: Its windows.
        segments: The segments it was in.
        instances: Its running instances.
        ended: Its ended instances, packed, oldest first.
        messages: Its messages, oldest first.
        timers: Its timers.
        trail: `[ms, kind, subject, why]` lines, oldest first.
        seen: The ids it has applied: see `SeenIds.pack`.
        state: What features keep for it.
        record: Its identity record, without what belongs to the place it was at.
        dropped: What was left out to hold the limit: what, and how many.
    """

    key: str
    version: int
    by: str
    via: str
    since_ms: int
    updated_ms: int
    traits: dict[str, Any]
    windows: dict[str, list[Any]]
    segments: dict[str, int]
    instances: list[Instance]
    ended: list[bytes]
    messages: list[Message]
    timers: dict[str, int]
    trail: list[list[Any]]
    seen: list[Any]
    state: dict[str, Any]
    record: Record
    dropped: dict[str, int]

    def pack(self) -> bytes:
        """The parts as bytes, for `unpack`."""
        return pack(self)

    def is_empty(self) -> bool:
        """Whether nothing was ever known of this profile."""
        return not (
            self.traits or self.windows or self.instances or self.ended or self.messages
            or self.trail or self.state
        )  # fmt: skip


unpack: Final = Decoder(Parts).decode


def take_out(act: Activation, by: str, via: str) -> tuple[Parts, list[bytes]]:
    """Takes a profile out of the entity at work.

    Returns:
        Its parts, within `limits.MERGE_BYTES`; and the events that waited, to go after them.
    """
    entity = act.entity
    state = {k: v for k, v in entity.state.items() if k not in _OF_THE_PLACE}
    record: Record = dict(entity.state.get(IDENTITY, {}))
    parked: list[bytes] = record.pop(PARKED, [])
    stays = {name: record.pop(name) for name in (SENT, GOT, RETURNED) if name in record}
    unsettled = [id_ for id_, forward in entity.outbox.items() if forward is None]
    if unsettled:
        record[AWAY] = {**record.get(AWAY, {}), **dict.fromkeys(unsettled, entity.key)}
    parts = Parts(
        key=entity.key,
        version=entity.program_version,
        by=by,
        via=via,
        since_ms=entity.created_ms,
        updated_ms=entity.updated_ms,
        traits={n: v for n, v in entity.traits.items() if n not in act.program.computed},
        windows=entity.windows,
        segments=entity.segments,
        instances=list(entity.instances.values()),
        ended=entity.ended.values(),
        messages=entity.kept.every(),
        timers={t: at for t, at in entity.timers.items() if not t.startswith(_LEFT_TIMERS)},
        trail=entity.trail_lines(),
        seen=entity.seen.pack_without(commands.unpack_command(each)[2] for each in parked),
        state=state,
        record=record,
        dropped={},
    )
    _leave_segments(act)
    _empty(entity)
    erased = entity.state.get(PRIVACY)
    entity.state = {IDENTITY: stays} if stays else {}
    if erased:
        entity.state[PRIVACY] = erased
    act.timers_changed = True
    return parts, parked


def is_nobody(entity: Entity) -> bool:
    """Whether an entity never had an event or anything else: it is there since it was asked for."""
    return not (
        entity.traits or entity.windows or entity.instances or entity.ended or entity.kept
        or entity.state or entity.seen.young or entity.seen.old
    )  # fmt: skip


def forget_nobody(act: Activation) -> None:
    """Undoes that somebody who never was entered segments, the moment that they were asked for."""
    entity, moves = act.entity, act.effects.entered
    act.follow_ups.clear()
    for name in entity.segments:
        label = f"{entity.workspace}/{name}"
        if moves.get(label, 0) > 1:
            moves[label] -= 1
        else:
            moves.pop(label, None)
    _leave_segments(act)
    _empty(entity)
    act.timers_changed = True


def bounded(parts: Parts) -> bytes:
    """The parts, packed, within `limits.MERGE_BYTES`: the oldest of what is least needed goes.

    What readers only look at goes first, then ids and times that count a long way back; a running
    instance goes only if nothing else is left, and a trait never does: they have a limit below.
    """
    packed = parts.pack()
    for name, drop in _DROPS:
        while len(packed) > limits.MERGE_BYTES:
            count = drop(parts)
            if not count:
                break
            parts.dropped[name] = parts.dropped.get(name, 0) + count
            packed = parts.pack()
    return packed


def _empty(entity: Entity) -> None:
    waiting = [message for message in entity.kept.every() if message.id in entity.outbox]
    entity.traits = {}
    entity.windows = {}
    entity.segments = {}
    entity.instances = {}
    entity.ended = PackedLog(limits.INSTANCES_ENDED)
    entity.kept = Messages()
    for message in waiting:
        entity.kept.keep(message, entity.outbox)
    entity.timers = {}
    entity.trail = PackedLog(limits.TRAIL)


def _leave_segments(act: Activation) -> None:
    """The sizes lose a member; nobody has left, so no journey hears of it."""
    entity, sizes = act.entity, act.effects.sizes
    for name in entity.segments:
        label = f"{entity.workspace}/{name}"
        if sizes.get(label, 0) > 1:
            sizes[label] -= 1
        else:
            sizes.pop(label, None)


def _drop_half(values: list[Any]) -> int:
    count = (len(values) + 1) // 2
    del values[:count]
    return count


def _drop_trail(parts: Parts) -> int:
    return _drop_half(parts.trail)


def _drop_ended(parts: Parts) -> int:
    return _drop_half(parts.ended)


def _drop_seen(parts: Parts) -> int:
    since_ms, young, old = parts.seen
    parts.seen = [since_ms, b"", b""] if not old else [since_ms, young, b""]
    return (len(old) or len(young)) // HASH_BYTES


def _drop_messages(parts: Parts) -> int:
    needed = {*parts.record.get(AWAY, ()), *parts.state.get(HELD, ())}
    settled = [message.id for message in parts.messages if message.id not in needed]
    gone = set(settled[: (len(settled) + 1) // 2])
    parts.messages = [message for message in parts.messages if message.id not in gone]
    return len(gone)


def _drop_windows(parts: Parts) -> int:
    most = max(map(len, parts.windows.values()), default=0)
    if most < 2:
        return 0
    dropped = 0
    for times in parts.windows.values():
        if len(times) > most // 2:
            dropped += _drop_half(times)
    return dropped


def _drop_log(parts: Parts) -> int:
    return _drop_half(parts.record.get("log", []))


def _drop_instances(parts: Parts) -> int:
    gone = parts.instances[:1]
    del parts.instances[:1]
    for instance in gone:
        for kind in ("j", "x"):
            parts.timers.pop(f"{kind}:{instance.id}", None)
    return len(gone)


_DROPS: Final = (
    ("trail", _drop_trail),
    ("ended instances", _drop_ended),
    ("ids of events", _drop_seen),
    ("messages", _drop_messages),
    ("times of events", _drop_windows),
    ("merge log", _drop_log),
    ("running instances", _drop_instances),
)
