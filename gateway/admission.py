"""Admission: the hot loop that turns a client's events into commands for shards.

Everything that can be wrong with an event is found here, with a reason and a field, so that what
reaches a journal can always be applied. An event that is refused costs its neighbours nothing; an
event that is taken becomes one tuple in the list of its shard, without a future, a task or a
protobuf message of its own.

Time: `timestamp = received - (sent - original)` takes the client's clock out. What comes out later
than the moment of receipt becomes that moment, since nothing can be received before it happened. A
client's time more than a day ahead without a `sent_at` to correct it is refused, as is one before
1970: such clocks are broken, and a guess would put the event into the wrong windows. On an
event-time clock (a replay) events bring the time with them: each needs one, it is taken as it is,
and the moment of receipt is still that of real time. A replay is of the past; one event from far
ahead would move its shard's clock there, for ever, so it is refused as well.
"""

import os
from collections.abc import Sequence
from typing import Final, NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from engine import commands, limits, slots
from engine.commands import Command
from engine.limits import (
    EVENT_BYTES,
    ID_CHARS,
    MESSAGE_ID_CHARS,
    NAME_CHARS,
)
from engine.reasons import Reason
from gateway.batch import Batch
from gateway.pb.denrei.v1 import events_pb2
from gateway.properties import Refused, from_json, from_msgpack

_LAST_SECOND: Final = 253_402_300_799  # 9999-12-31, the end of protobuf's time
_DECODERS: Final = {
    "properties_msgpack": from_msgpack,
    "properties_json": from_json,
    "traits_msgpack": from_msgpack,
    "traits_json": from_json,
    "context_msgpack": from_msgpack,
    "context_json": from_json,
}
_PROPERTIES: Final = ("properties_msgpack", "properties_json")
_TRAITS: Final = ("traits_msgpack", "traits_json")
# As functions: a message takes as long to look up its method as to answer.
_has: Final = events_pb2.Event.HasField
_which: Final = events_pb2.Event.WhichOneof
_EVENT: Final = commands.EVENT
_ALIAS: Final = commands.ALIAS
# What a command costs in bytes beside its texts and maps.
_FRAME_BYTES: Final = 24


class _Shape(NamedTuple):
    """What one of the Segment Spec's calls looks like."""

    type: int
    name_field: str
    name_needed: bool
    name_chars: int
    msgpack: str
    json: str


_SHAPES: Final[dict[int, _Shape]] = {
    events_pb2.TRACK: _Shape(commands.TRACK, "event", True, NAME_CHARS, *_PROPERTIES),
    events_pb2.IDENTIFY: _Shape(commands.IDENTIFY, "", False, 0, *_TRAITS),
    events_pb2.PAGE: _Shape(commands.PAGE, "name", False, NAME_CHARS, *_PROPERTIES),
    events_pb2.SCREEN: _Shape(commands.SCREEN, "name", False, NAME_CHARS, *_PROPERTIES),
    events_pb2.GROUP: _Shape(commands.GROUP, "group_id", True, ID_CHARS, *_TRAITS),
    events_pb2.ALIAS: _Shape(commands.ALIAS, "previous_id", True, ID_CHARS, "", ""),
}


class Admission:
    """Admits events for a given number of shards; see the module's text."""

    def __init__(self, shards: int, event_time: bool = False) -> None:
        """Makes an admission.

        Args:
            shards: How many shards there are.
            event_time: Whether events drive the clock.
        """
        self._shard_of = [slots.shard_of(slot, shards) for slot in range(limits.SLOTS)]
        self._event_time = event_time

    def admit(
        self,
        workspace: str,
        events: Sequence[events_pb2.Event],
        received_ms: int,
        sent_at: Timestamp | None = None,
    ) -> Batch:
        """Checks events and sorts them by shard, in their order.

        Args:
            workspace: Whose events they are.
            events: The events.
            received_ms: The time of receipt, Unix milliseconds, in real time (or on a scaled
                clock), also while events drive the clock of the shards.
            sent_at: When the client sent them, for events that do not say so themselves.

        Returns:
            A batch, with a rejection for each event that cannot be taken.

        Raises:
            Refused: `sent_at` itself is not a time; nothing is admitted.

        Cost: about 3 µs an event with five properties in msgpack.
        """
        sent_ms = None if sent_at is None else milliseconds(sent_at, "sent_at")
        batch = Batch(len(events))
        place, command_of = batch.place, self._command
        shard_of, slot_of = self._shard_of, slots.slot_of
        for index, event in enumerate(events):
            try:
                command, size_bytes = command_of(workspace, event, received_ms, sent_ms)
            except Refused as refused:
                batch.reject(index, refused.reason, refused.field, refused.message)
            else:
                place(index, shard_of[slot_of(command[1])], command, size_bytes)
        return batch

    def _command(
        self, workspace: str, event: events_pb2.Event, received_ms: int, sent_ms: int | None
    ) -> tuple[Command, int]:
        """One event as a command, and its size in bytes."""
        shape = _SHAPES.get(event.type)
        if shape is None:
            text = f"type {event.type} is none of identify, track, page, screen, group, alias"
            raise Refused(Reason.INVALID_ARGUMENT, "type", text)
        type_, name_field, name_needed, _, msgpack_field, _ = shape

        id_, other_id = event.user_id, event.anonymous_id
        if id_:
            key = f"{workspace}/user/{id_}"
        elif other_id and type_ != _ALIAS:
            key = f"{workspace}/anonymous/{other_id}"
            other_id = ""
        else:
            raise _missing_user(type_)
        name = getattr(event, name_field) if name_field else ""
        message_id = event.message_id or os.urandom(16).hex()

        # What is short and printable all together is so piece by piece.
        texts = f"{key}{other_id}{name}{message_id}"
        if (
            len(texts) > NAME_CHARS
            or len(message_id) > MESSAGE_ID_CHARS
            or not texts.isprintable()
            or (name_needed and not name)
        ):
            _check_texts(event, shape, name)

        data = getattr(event, msgpack_field) if msgpack_field else b""
        if data:
            from_msgpack(data, msgpack_field)
        else:
            field = _which(event, "data")
            if field is not None:
                if field not in (shape.msgpack, shape.json):
                    raise _misplaced(shape, field)
                data = _DECODERS[field](getattr(event, field), field)
        context = b""
        field = _which(event, "context")
        if field is not None:
            context = _DECODERS[field](getattr(event, field), field)

        size_bytes = len(texts) + len(data) + len(context)
        if size_bytes > EVENT_BYTES:
            text = f"the event takes {size_bytes} bytes, more than {EVENT_BYTES}"
            raise Refused(Reason.TOO_LARGE, "", text)
        happened_ms = received_ms
        if self._event_time or _has(event, "timestamp") or _has(event, "original_timestamp"):
            happened_ms = self._happened_ms(event, received_ms, sent_ms)
        command = _EVENT, key, message_id, type_, name, happened_ms, data, context, other_id
        return command, size_bytes + _FRAME_BYTES

    def _happened_ms(self, event: events_pb2.Event, received_ms: int, sent_ms: int | None) -> int:
        """When an event happened that says so, or has to; see the module's text."""
        if _has(event, "timestamp"):
            field, time = "timestamp", event.timestamp
        elif _has(event, "original_timestamp"):
            field, time = "original_timestamp", event.original_timestamp
        else:
            text = "the clock is driven by events: set timestamp"
            raise Refused(Reason.BAD_TIMESTAMP, "timestamp", text)
        happened_ms = milliseconds(time, field)
        if self._event_time:
            if happened_ms > received_ms + limits.FUTURE_SKEW_MS:
                text = f"{field} lies more than a day in the future; events drive the clock"
                raise Refused(Reason.BAD_TIMESTAMP, field, text)
            return happened_ms
        if _has(event, "sent_at"):
            sent_ms = milliseconds(event.sent_at, "sent_at")
        if field == "timestamp" and sent_ms is not None and _has(event, "original_timestamp"):
            sent_ms = None  # corrected already
        if sent_ms is not None:
            happened_ms = max(0, received_ms - (sent_ms - happened_ms))
        if happened_ms <= received_ms:
            return happened_ms
        if sent_ms is None and happened_ms > received_ms + limits.FUTURE_SKEW_MS:
            text = f"{field} lies more than a day in the future; set sent_at to correct a clock"
            raise Refused(Reason.BAD_TIMESTAMP, field, text)
        return received_ms


def _check_texts(event: events_pb2.Event, shape: _Shape, name: str) -> None:
    """Checks an event's ids and its name, one after the other."""
    check_id(event.user_id, "user_id")
    check_id(event.anonymous_id, "anonymous_id")
    if shape.name_needed and not name:
        text = f"{commands.EVENT_TYPES[shape.type]} needs {shape.name_field}"
        raise Refused(Reason.MISSING_NAME, shape.name_field, text)
    check_id(name, shape.name_field, shape.name_chars)
    check_id(event.message_id, "message_id", MESSAGE_ID_CHARS)


def check_id(value: str, field: str, chars: int = ID_CHARS) -> None:
    """Checks an id or a name: not too long, no control characters.

    An id may hold anything else, spaces and slashes too: a key's first two parts hold no slash.

    Raises:
        Refused: TOO_LONG or BAD_KEY.
    """
    if len(value) > chars:
        text = f"{field} has {len(value)} characters, more than {chars}"
        raise Refused(Reason.TOO_LONG, field, text)
    if value.isprintable():
        return
    for character in value:
        if character < " " or "\x7f" <= character <= "\x9f":
            text = f"{field} holds the control character U+{ord(character):04X}"
            raise Refused(Reason.BAD_KEY, field, text)


def milliseconds(time: Timestamp, field: str) -> int:
    """A time as Unix milliseconds.

    Raises:
        Refused: BAD_TIMESTAMP: it lies before 1970 or after 9999, or is not a time at all.
    """
    seconds, nanos = time.seconds, time.nanos
    if not 0 <= seconds <= _LAST_SECOND or not 0 <= nanos < 1_000_000_000:
        text = f"{field} is not a time between 1970 and 9999 (seconds {seconds}, nanos {nanos})"
        raise Refused(Reason.BAD_TIMESTAMP, field, text)
    return seconds * 1000 + nanos // 1_000_000


def _missing_user(type_: int) -> Refused:
    if type_ == commands.ALIAS:
        return Refused(Reason.MISSING_USER, "user_id", "alias needs user_id")
    return Refused(Reason.MISSING_USER, "user_id", "set user_id or anonymous_id")


def _misplaced(shape: _Shape, field: str) -> Refused:
    name = commands.EVENT_TYPES[shape.type]
    takes = f"{shape.msgpack} or {shape.json}" if shape.msgpack else "neither properties nor traits"
    return Refused(Reason.BAD_PROPERTIES, field, f"{name} takes {takes}, not {field}")
