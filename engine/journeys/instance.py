"""An instance: one person's run through one version of a journey, and the record of it.

It holds plain values and the raw bytes of the events that moved it, so that it packs quickly and
costs nothing to keep. Its trail is bounded: past the limit the middle goes, because how a run
began and what happened last is what people ask; a line says how many are left out.
"""

from typing import Any, Final

from msgspec import Struct
from msgspec.msgpack import Decoder

from engine import limits
from engine.issues import shortened
from engine.packing import pack

RUNNING: Final = "running"
COMPLETED: Final = "completed"
EXITED: Final = "exited"
FAILED: Final = "failed"
STOPPED: Final = "stopped"

Line = tuple[int, str, str, str]


class Instance(Struct, array_like=True, eq=False, gc=False):
    """One run; see the module's text.

    Packed it is an array of these fields in this order, which stores hold: new ones come at the
    end and have a default.

    Attributes:
        id: 32 hexadecimal characters.
        journey: The name of its journey.
        version: The journey's version, which it keeps to the end.
        key: Which run of the person's it is: the text of the entry event's key property, or empty.
        step: Where it stands.
        status: running, completed, exited, failed or stopped.
        entered_ms: When it began.
        ended_ms: When it ended, or 0.
        due_ms: When its timer is due, or 0.
        first: The properties (msgpack) of the event that began it; dropped when it ends.
        newest: Those of the event that moved it last.
        messages: Messages that it sent, oldest first; dropped when it ends.
        trail: `(ms, step, what, why)` lines, oldest first.
        left_out: How many lines of the trail are gone.
        aliases: The properties (msgpack) of events that were given a name, by that name, newest
            last; see `remember`. Dropped when it ends.
        held: The move that a paused journey holds back: the step, and why; or None.
        memory: A number of the step at which it stands, which a step that needs it sets when it is
            entered: how often a hold began anew, the best of ranked paths.
    """

    id: str
    journey: str
    version: int
    key: str
    step: str
    status: str
    entered_ms: int
    ended_ms: int
    due_ms: int
    first: bytes
    newest: bytes
    messages: tuple[str, ...]
    trail: list[Line]
    left_out: int
    aliases: dict[str, bytes] = {}
    held: tuple[str, str] | None = None
    memory: int = 0

    @classmethod
    def begin(
        cls, id_: str, journey: str, version: int, key: str, now_ms: int, raw: bytes
    ) -> "Instance":
        """A run that begins now, with an event whose properties are `raw`."""
        return cls(id_, journey, version, key, "", RUNNING, now_ms, 0, 0, raw, raw, (), [], 0)

    @property
    def pin(self) -> tuple[str, int]:
        """The journey's name and version."""
        return self.journey, self.version

    def remember(self, alias: str, raw: bytes) -> None:
        """Keeps the properties (msgpack) of an event under a name; the oldest names make room."""
        aliases = self.aliases
        aliases.pop(alias, None)
        aliases[alias] = raw
        size_bytes = sum(map(len, aliases.values()))
        while size_bytes > limits.ALIAS_BYTES or len(aliases) > limits.ALIASES:
            size_bytes -= len(aliases.pop(next(iter(aliases))))

    def record(self, now_ms: int, what: str, why: str) -> None:
        """Adds a line about the step at which it stands."""
        if len(why) > limits.WHY_CHARS:
            why = shortened(why, limits.WHY_CHARS)
        trail = self.trail
        trail.append((now_ms, self.step, what, why))
        if len(trail) > limits.INSTANCE_TRAIL:
            self._leave_out()

    def _leave_out(self) -> None:
        """Drops some lines after the head, so that a long run does not pay for it at each line."""
        trail = self.trail
        head, count = limits.INSTANCE_TRAIL_HEAD, limits.INSTANCE_TRAIL_LEFT_OUT
        past = head + count
        self.left_out += count - 1 if self.left_out else count  # one may count the others
        trail[head:past] = [(trail[past - 1][0], "", "left out", f"{self.left_out} lines")]

    def end(self, now_ms: int, status: str, why: str) -> None:
        """Ends it: the record stays, what only a running instance needs goes."""
        self.record(now_ms, status, why)
        self.status = status
        self.ended_ms = now_ms
        self.first = self.newest = b""
        # To set a field takes four times as long as to look whether it is set.
        if self.due_ms:
            self.due_ms = 0
        if self.messages:
            self.messages = ()
        if self.aliases:
            self.aliases = {}
        if self.held is not None:
            self.held = None

    def to_bytes(self) -> bytes:
        """The packed form, in which ended instances are kept. Cost: 0.5 µs."""
        return pack(self)

    @classmethod
    def from_bytes(cls, packed: bytes) -> "Instance":
        """The inverse of `to_bytes`."""
        return _unpack(packed)

    def view(self) -> dict[str, Any]:
        """The instance as plain values with names, for queries."""
        return {
            "id": self.id,
            "journey": self.journey,
            "version": self.version,
            "key": self.key,
            "step": self.step,
            "status": self.status,
            "entered_ms": self.entered_ms,
            "ended_ms": self.ended_ms,
            "due_ms": self.due_ms,
            "trail": [list(line) for line in self.trail],
        }


_unpack: Final = Decoder(Instance).decode
