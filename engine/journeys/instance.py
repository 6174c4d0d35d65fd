"""An instance: one person's run through one version of a journey, and the record of it.

It holds plain values and the raw bytes of the events that moved it, so that it packs quickly and
costs nothing to keep. Its trail is bounded: past the limit the middle goes, because how a run
began and what happened last is what people ask; a line says how many are left out.
"""

from typing import Any, Final

from engine import limits
from engine.packing import pack, unpack

RUNNING: Final = "running"
COMPLETED: Final = "completed"
EXITED: Final = "exited"
FAILED: Final = "failed"
STOPPED: Final = "stopped"

Line = tuple[int, str, str, str]


class Instance:
    """One run; see the module's text.

    Attributes:
        id: 32 hexadecimal characters.
        pin: The journey's name and version, which it keeps to the end.
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
    """

    __slots__ = (
        "due_ms", "ended_ms", "entered_ms", "first", "id", "key", "left_out", "messages", "newest",
        "pin", "status", "step", "trail",
    )  # fmt: skip

    def __init__(self, id_: str, pin: tuple[str, int], key: str, now_ms: int, raw: bytes) -> None:
        self.id = id_
        self.pin = pin
        self.key = key
        self.step = ""
        self.status = RUNNING
        self.entered_ms = now_ms
        self.ended_ms = 0
        self.due_ms = 0
        self.first = raw
        self.newest = raw
        self.messages: tuple[str, ...] = ()
        self.trail: list[Line] = []
        self.left_out = 0

    def record(self, now_ms: int, what: str, why: str) -> None:
        """Adds a line about the step at which it stands."""
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

    @property
    def journey(self) -> str:
        """The name of its journey."""
        return self.pin[0]

    @property
    def version(self) -> int:
        """The version of its journey."""
        return self.pin[1]

    def end(self, now_ms: int, status: str, why: str) -> None:
        """Ends it: the record stays, what only a running instance needs goes."""
        self.record(now_ms, status, why)
        self.status = status
        self.ended_ms = now_ms
        self.due_ms = 0
        self.first = self.newest = b""
        self.messages = ()

    def pack(self) -> list[Any]:
        """Plain values, for `unpack`. Cost: 0.3 µs."""
        name, version = self.pin
        return [
            self.id, name, version, self.key, self.step, self.status, self.entered_ms,
            self.ended_ms, self.due_ms, self.first, self.newest, self.messages, self.trail,
            self.left_out,
        ]  # fmt: skip

    @classmethod
    def unpack(cls, values: list[Any]) -> "Instance":
        """The inverse of `pack`."""
        self = cls.__new__(cls)
        (
            self.id, name, version, self.key, self.step, self.status, self.entered_ms,
            self.ended_ms, self.due_ms, self.first, self.newest, messages, trail, self.left_out,
        ) = values  # fmt: skip
        self.pin = (name, version)
        self.messages = tuple(messages)
        self.trail = [(ms, step, what, why) for ms, step, what, why in trail]
        return self

    def to_bytes(self) -> bytes:
        """The packed form as bytes, in which ended instances are kept."""
        return pack(self.pack())

    @classmethod
    def from_bytes(cls, packed: bytes) -> "Instance":
        """The inverse of `to_bytes`."""
        return cls.unpack(unpack(packed))

    def view(self) -> dict[str, Any]:
        """The instance as plain values with names, for queries."""
        return {
            "id": self.id,
            "journey": self.pin[0],
            "version": self.pin[1],
            "key": self.key,
            "step": self.step,
            "status": self.status,
            "entered_ms": self.entered_ms,
            "ended_ms": self.ended_ms,
            "due_ms": self.due_ms,
            "trail": [list(line) for line in self.trail],
        }
