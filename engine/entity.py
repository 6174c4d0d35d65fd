"""An entity: everything that is kept for one user, and the unit of durability.

An entity is one row in the store and is changed by one command at a time. Everything that must
agree lives in it (traits, windows, segments, instances, messages, outbox, timers, trail), and
nothing in it depends on another entity, so a row may be written at any moment with the number of
the last journal entry that it includes: recovery loads rows of different ages and replays, for
each, just the entries that it lacks.

The packed form opens with `FORMAT`. A reader keeps the formats of one release back.
"""

from typing import Any, Final

from engine import limits
from engine.dedup import SeenIds
from engine.journeys.instance import Instance
from engine.messages import Message
from engine.packing import pack, unpack
from engine.slots import parse_key

FORMAT: Final = 2
_BEFORE: Final = 1  # without `state`


class Entity:
    """The state of one entity; see the module's text.

    Attributes:
        key: `workspace/kind/id`.
        seq: The last journal entry that this object, as it was loaded, includes.
        traits: The profile: trait to value, as it came (msgpack types).
        seen: The ids that were applied.
        windows: Event name to ascending times (ms) that some segment still counts.
        segments: Segments it is in, each with the time (ms) it entered.
        instances: Running journey instances by id.
        ended: Ended instances, packed, newest last.
        messages: Messages by id, oldest first.
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
        "counter", "created_ms", "due_ms", "ended", "error", "id", "instances", "key", "kind",
        "messages", "outbox", "program_version", "scheduled_ms", "seen", "segments", "seq",
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
        self.windows: dict[str, list[int]] = {}
        self.segments: dict[str, int] = {}
        self.instances: dict[str, Instance] = {}
        self.ended: list[bytes] = []
        self.messages: dict[str, Message] = {}
        self.outbox: dict[str, tuple[int, bytes] | None] = {}
        self.timers: dict[str, int] = {}
        self.due_ms: int | None = None
        self.scheduled_ms: int | None = None
        self.trail: list[bytes] = []
        self.counter = 0
        self.program_version = 0
        self.error = ""
        self.state: dict[str, Any] = {}

    def note(self, now_ms: int, kind: str, subject: str, why: str) -> None:
        """Adds a line to the trail; the oldest lines make room."""
        trail = self.trail
        trail.append(pack((now_ms, kind, subject, why)))
        if len(trail) > limits.TRAIL:
            del trail[0]

    def trail_lines(self) -> list[list[Any]]:
        """The trail as `[ms, kind, subject, why]` lines, oldest first."""
        return [unpack(line) for line in self.trail]

    def ended_instances(self) -> list[Instance]:
        """The ended instances that are kept, oldest first."""
        return [Instance.from_bytes(packed) for packed in self.ended]

    def pack(self) -> bytes:
        """The entity as bytes: a function of its state alone. Cost: 4–30 µs."""
        return pack(
            (
                FORMAT, self.created_ms, self.updated_ms, self.counter, self.program_version,
                self.traits, self.seen.pack(), self.windows, self.segments,
                [instance.pack() for instance in self.instances.values()],
                self.ended,
                [message.pack() for message in self.messages.values()],
                self.outbox, self.timers, self.trail, self.error, self.state,
            )
        )  # fmt: skip

    @classmethod
    def unpack(cls, key: str, seq: int, packed: bytes) -> "Entity":
        """The inverse of `pack`.

        Raises:
            ValueError: The bytes are of a format that this release does not read.
        """
        values = unpack(packed)
        if values[0] == _BEFORE:
            values.append({})
        elif values[0] != FORMAT:
            msg = (
                f"entity {key!r} is stored in format {values[0]}, this release reads {FORMAT}: "
                "start the release that wrote it, or migrate the store"
            )
            raise ValueError(msg)
        self = cls.__new__(cls)
        self.key = key
        self.workspace, self.kind, self.id = parse_key(key)
        self.seq = seq
        (
            _, self.created_ms, self.updated_ms, self.counter, self.program_version, self.traits,
            seen, self.windows, self.segments, instances, self.ended, messages, outbox,
            self.timers, self.trail, self.error, self.state,
        ) = values  # fmt: skip
        self.seen = SeenIds.unpack(seen)
        self.instances = {values[0]: Instance.unpack(values) for values in instances}
        self.messages = {m.id: m for m in map(Message.unpack, messages)}
        self.outbox = {k: None if v is None else (v[0], v[1]) for k, v in outbox.items()}
        self.due_ms = self.scheduled_ms = min(self.timers.values()) if self.timers else None
        return self
