"""An entity: everything that is kept for one user, and the unit of durability.

An entity is one row in the store and is changed by one command at a time. Everything that must
agree lives in it (traits, windows, segments, instances, messages, outbox, timers, trail), and
nothing in it depends on another entity, so a row may be written at any moment with the number of
the last journal entry that it includes: recovery loads rows of different ages and replays, for
each, just the entries that it lacks.

What is kept for readers only (messages, ended instances, the trail) is most of it and lies packed,
so that an entity costs little to keep and its row little to write; see `engine.packing.PackedRun`.

The packed form opens with `FORMAT`. A reader keeps the formats of one release back.
"""

from typing import Any, Final

from msgspec import Raw, Struct
from msgspec.msgpack import Decoder

from engine import limits
from engine.dedup import SeenIds
from engine.issues import shortened
from engine.journeys.instance import Instance
from engine.messages.message import Message, Messages
from engine.packing import NO_VALUES, PackedLog, pack, unpack
from engine.slots import parse_key

FORMAT: Final = 2
_READS: Final = (1, FORMAT)  # the first without `state`


class Entity:
    """The state of one entity; see the module's text.

    Attributes:
        key: `workspace/kind/id`.
        seq: The last journal entry that this object, as it was loaded, includes.
        traits: The profile: trait to value, as it came (msgpack types).
        seen: The ids that were applied.
        windows: Ascending times of events (ms) that something still counts; see
            `engine.conditions.windows` for their names.
        segments: Segments it is in, each with the time (ms) it entered.
        instances: Running journey instances by id.
        ended: Ended instances, packed, newest last.
        kept: Its messages, packed, oldest first.
        outbox: Unsettled effects by id: None for a message, `(shard, command)` for a forward.
        timers: Token to due time (ms).
        due_ms: The earliest of the timers, or None.
        scheduled_ms: The earliest time at which the shard's heap will look at this entity.
        trail: `(ms, kind, subject, why)` lines, each packed, newest last.
        counter: How many ids it has given out.
        program_version: The definitions under which its segments were evaluated last.
        error: Why it is in quarantine, or empty.
        state: What features keep for it, by feature, as plain values (msgpack types).
    """

    __slots__ = (
        "counter", "created_ms", "due_ms", "ended", "error", "id", "instances", "kept", "key",
        "kind", "outbox", "program_version", "scheduled_ms", "seen", "segments", "seq",
        "state", "timers", "trail", "traits", "updated_ms", "windows", "workspace",
    )  # fmt: skip

    def __init__(self, key: str, now_ms: int) -> None:
        self.key = key
        self.workspace, self.kind, self.id = parse_key(key)
        self.seq = 0
        self.created_ms = now_ms
        self.updated_ms = now_ms
        self.traits: dict[str, Any] = {}
        self.seen = SeenIds()
        self.windows: dict[str, list[Any]] = {}
        self.segments: dict[str, int] = {}
        self.instances: dict[str, Instance] = {}
        self.ended = PackedLog(limits.INSTANCES_ENDED)
        self.kept = Messages()
        self.outbox: dict[str, tuple[int, bytes] | None] = {}
        self.timers: dict[str, int] = {}
        self.due_ms: int | None = None
        self.scheduled_ms: int | None = None
        self.trail = PackedLog(limits.TRAIL)
        self.counter = 0
        self.program_version = 0
        self.error = ""
        self.state: dict[str, Any] = {}

    def note(self, now_ms: int, kind: str, subject: str, why: str) -> None:
        """Adds a line to the trail; the oldest lines make room."""
        if len(why) > limits.WHY_CHARS:
            why = shortened(why, limits.WHY_CHARS)
        self.trail.add(pack((now_ms, kind, subject, why)))

    def trail_lines(self) -> list[list[Any]]:
        """The trail as `[ms, kind, subject, why]` lines, oldest first."""
        return [unpack(line) for line in self.trail.values()]

    def keep_ended(self, instance: Instance) -> None:
        """Adds an ended instance; the oldest makes room."""
        self.ended.add(pack(instance))

    def ended_instances(self) -> list[Instance]:
        """The ended instances that are kept, oldest first."""
        return [Instance.from_bytes(packed) for packed in self.ended.values()]

    @property
    def messages(self) -> dict[str, Message]:
        """Copies of its messages by id, oldest first, for readers. Cost: 0.6 µs a message."""
        return {message.id: message for message in self.kept.every()}

    def pack(self) -> bytes:
        """The entity as bytes: a function of its state alone. Cost: 4–15 µs."""
        seen, instances = self.seen, self.instances
        ended, kept, trail = self.ended, self.kept, self.trail
        return pack(
            (
                FORMAT, self.created_ms, self.updated_ms, self.counter, self.program_version,
                self.traits, (seen.since_ms, seen.young, seen.old), self.windows, self.segments,
                [*instances.values()] if instances else (),
                ended.array() if ended else NO_VALUES, kept.array() if kept.number else NO_VALUES,
                self.outbox, self.timers, trail.array() if trail else NO_VALUES, self.error,
                self.state,
            )
        )  # fmt: skip

    @classmethod
    def unpack(cls, key: str, seq: int, packed: bytes) -> "Entity":
        """The inverse of `pack`.

        Raises:
            ValueError: The bytes are of a format that this release does not read.
        """
        if packed[3] not in _READS:
            msg = (
                f"entity {key!r} is stored in format {packed[3]}, this release reads {FORMAT}: "
                "start the release that wrote it, or migrate the store"
            )
            raise ValueError(msg)
        row = _unpack(packed)
        self = cls.__new__(cls)
        self.key = key
        self.workspace, self.kind, self.id = parse_key(key)
        self.seq = seq
        self.created_ms = row.created_ms
        self.updated_ms = row.updated_ms
        self.counter = row.counter
        self.program_version = row.program_version
        self.traits = row.traits
        self.seen = SeenIds.unpack(row.seen)
        self.windows = row.windows
        self.segments = row.segments
        self.instances = {instance.id: instance for instance in row.instances}
        self.ended = PackedLog(limits.INSTANCES_ENDED, row.ended)
        self.kept = Messages(row.kept)
        self.outbox = row.outbox
        self.timers = row.timers
        self.due_ms = self.scheduled_ms = min(self.timers.values()) if self.timers else None
        self.trail = PackedLog(limits.TRAIL, row.trail)
        self.error = row.error
        self.state = row.state
        return self


class _Row(Struct, array_like=True, eq=False, gc=False):
    """What `Entity.pack` writes, in its order. A field that a format before lacks has a default."""

    format: int  # the fourth byte, after the head of an array of 16 values or more
    created_ms: int
    updated_ms: int
    counter: int
    program_version: int
    traits: dict[str, Any]
    seen: list[Any]
    windows: dict[str, list[Any]]
    segments: dict[str, int]
    instances: list[Instance]
    ended: Raw
    kept: Raw
    outbox: dict[str, tuple[int, bytes] | None]
    timers: dict[str, int]
    trail: Raw
    error: str
    state: dict[str, Any] = {}


_unpack: Final = Decoder(_Row).decode
