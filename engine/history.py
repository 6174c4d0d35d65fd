"""History: what windows would hold, had they been kept from the beginning.

A new segment asks for times that nobody has kept so far. They are in the journal and its archive:
`History` reads the events of those entries, off to the side, and `take_fill` puts what it found
into a person's windows. Both ends may have seen the same event, so two lists of times become one
by taking each time as often as the list that has it more often. That makes a repeat harmless, and
is exact unless two different events of one name and person, one before and one after, were at the
very same millisecond.

A filter that asks for anything but the event's own properties cannot be answered about the past;
such a window fills from its definition on.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

from xxhash import xxh3_64_intdigest

from engine import commands, profile
from engine.activation import Activation, EventView
from engine.commands import NAMED_TYPES, Command
from engine.computed.told import take_told
from engine.conditions.windows import Window, take, trim
from engine.messages import inbound
from engine.packing import pack, unpack
from engine.reasons import Reason
from engine.segments.definition import Segment
from engine.slots import CATALOG, PROFILES, shard_of, slot_of

FILLED: Final = "filled"


def can_be_filled(window: Window) -> bool:
    """Whether the past of a window is in the events alone."""
    where = window.where
    return where is None or not (where.traits or where.windows or where.segments or where.facts)


def marker_key(workspace: str, shard: int, shards: int) -> str:
    """The key of the entity of a shard that remembers which windows were filled there."""
    number = 0
    while True:
        key = f"{workspace}/{CATALOG}/filled-{shard}-{number}"
        if shard_of(slot_of(key), shards) == shard:
            return key
        number += 1


class History:
    """What the events of some journal entries leave in some windows.

    Args:
        workspace: Whose events.
        windows: The windows.
        slots: Only the people of these slots.
        most: How many times may be held; past it the later half of the slots is given up.

    Attributes:
        slots: The slots that are still looked at; go on with the others in another reading.
    """

    def __init__(self, workspace: str, windows: Iterable[Window], slots: range, most: int) -> None:
        self.slots = slots
        self._prefix = f"{workspace}/"
        self._most = most
        self._times = 0
        self._people: dict[str, _Past] = {}
        self._by_event: dict[str, list[Window]] = {}
        for window in windows:
            self._by_event.setdefault(window.event, []).append(window)

    def read(self, now_ms: int, mode: int, payload: bytes) -> int:
        """Takes an entry's events in, in the order of the journal; gives its number of commands."""
        return sum(self.read_in_pieces(now_ms, mode, payload))

    def read_in_pieces(self, now_ms: int, mode: int, payload: bytes) -> Iterator[int]:
        """Takes an entry's events in, in the order of the journal.

        Yields:
            After each chunk of commands, how many it held.

        Cost: 1 µs a command, 3 µs for an event that a window takes.
        """
        for chunk in commands.unpack_payload(payload):
            for command in chunk:
                if command[0] == commands.PASS and command[7]:
                    inner = commands.unpack_command(command[7])
                    command = (inner[0], command[1], *inner[2:])
                if command[0] == commands.INBOUND and not mode:
                    command = inbound.as_event(command)
                elif command[0] == commands.TOLD:
                    command = commands.as_event(command)
                if command[0] == commands.EVENT and command[1].startswith(self._prefix):
                    self._take(now_ms, mode, command)
            yield len(chunk)

    def found(self) -> Iterator[Command]:
        """A `commands.fill` for each person of whom something was found, in the journal's order.

        It forgets them one by one: all at once, or in an order of their own, would be a pause.
        """
        for key in list(self._people):
            windows = self._people.pop(key).windows
            if windows:
                yield commands.fill(key, pack(windows))

    def _take(self, now_ms: int, mode: int, command: Command) -> None:
        _, key, message_id, type_, name, at_ms, raw, context, _ = command
        if type_ not in NAMED_TYPES:
            return
        windows = self._by_event.get(profile.event_name(type_, name))
        if windows is None or slot_of(key) not in self.slots:
            return
        past = self._people.get(key)
        if past is None:
            past = self._people[key] = _Past()
        id_ = xxh3_64_intdigest(message_id.encode())
        if id_ in past.seen:
            return
        past.seen.add(id_)
        self._times += 1
        if mode == 0:
            at_ms = min(at_ms, now_ms)
        event = EventView(type_, name, message_id, at_ms, raw, context)
        for window in windows:
            take(window, past.windows, event, past, now_ms)
        while self._times > self._most and len(self.slots) > 1:
            self._give_up_half()

    def _give_up_half(self) -> None:
        self.slots = self.slots[: len(self.slots) // 2]
        self._people = {k: past for k, past in self._people.items() if slot_of(k) in self.slots}
        self._times = sum(len(past.seen) for past in self._people.values())


class _Past:
    """One person, as far as conditions may ask for it here."""

    __slots__ = ("id", "kind", "seen", "segments", "state", "traits", "windows")

    def __init__(self) -> None:
        self.id = self.kind = ""
        self.traits: dict[str, Any] = {}
        self.segments: dict[str, int] = {}
        self.state: dict[str, Any] = {}
        self.windows: dict[str, list[Any]] = {}
        self.seen: set[int] = set()


def take_fill(act: Activation, command: Command) -> int:
    """Puts the past into an entity's windows and computed traits, and evaluates who reads them."""
    entity, index = act.entity, act.program.index
    if entity.kind not in PROFILES:
        return Reason.NOT_FOUND
    touched: list[Segment] = []
    for name, times in unpack(command[2]).items():
        window = index.windows.get(name)
        if window is None:
            continue
        both = _united(entity.windows.get(name, ()), times)
        entity.windows[name] = trim(window, both)
        for kept in index.by_event.get(window.event, ()):
            if kept.window.name == name:
                touched += kept.segments
    if touched:
        profile.settle(act, touched)
    if len(command) > 3 and command[3]:
        changed = take_told(act, command[1], command[3])
        if changed:
            profile.traits_changed(act, changed)
            if act.program.journey_index.watches:
                act.follow_ups.append(("look", None))
    return Reason.ACCEPTED


def take_filled(act: Activation, command: Command) -> int:
    """Remembers which windows of the shard were filled."""
    act.entity.state[FILLED] = sorted(command[2])
    return Reason.ACCEPTED


def _united(some: Iterable[Any], others: Iterable[Any]) -> list[Any]:
    """Two lists of times as one, ascending; each time as often as where it is more often."""
    counts = Counter(map(_hashable, some)) | Counter(map(_hashable, others))
    return [list(item) if item.__class__ is tuple else item for item in sorted(counts.elements())]


def _hashable(item: Any) -> Any:
    return tuple(item) if item.__class__ is list else item
