"""Recorded rows as events, each with the same id every time.

The id of an event is made from the file's name and its row, so that a file replayed twice, or a
chunk sent again after a failure, changes nothing: the engine takes an id once. (It remembers ids
for 24 hours of its clock; see `replay`.)
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgpack
from xxhash import xxh3_64_hexdigest

from engine import limits
from gateway.cli.errors import REFUSED, CliError
from gateway.cli.history.mapping import Mapping
from gateway.cli.history.rows import Recording, Row
from gateway.cli.history.times import ReadTime, detect_unit, reader
from gateway.pb.denrei.v1 import events_pb2

_INT: Final = re.compile(r"-?(?:0|[1-9]\d{0,17})")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*)\.\d+(?:[eE][+-]?\d+)?")
_FILE_CHARS: Final = limits.MESSAGE_ID_CHARS - 30
_BOOLS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_TYPES: Final = {
    "identify": events_pb2.IDENTIFY,
    "track": events_pb2.TRACK,
    "page": events_pb2.PAGE,
    "screen": events_pb2.SCREEN,
    "group": events_pb2.GROUP,
    "alias": events_pb2.ALIAS,
}
_SPEC_DATA: Final = {"identify": "traits", "group": "traits"}


class Recorded(NamedTuple):
    """One event with its time and its place in the file."""

    ms: int
    row: int
    event: Any


class Reader:
    """Makes events of a recording's rows.

    Args:
        recording: The file.
        mapping: What its columns mean.

    Attributes:
        skipped: Rows left out because the mapping names no event for them.

    Raises:
        CliError: The file lacks a column of the mapping.
    """

    def __init__(self, recording: Recording, mapping: Mapping) -> None:
        self.skipped = 0
        self._recording = recording
        self._mapping = mapping
        self._prefix = _id_prefix(recording.path)
        self._identified: set[str] = set()
        self._read_time: ReadTime | None = None
        if mapping.is_segment_spec:
            if recording.format != "jsonl":
                mapping.check(recording.columns(), str(recording.path))
        else:
            columns = recording.columns()
            if recording.format == "csv":
                mapping.check(columns, str(recording.path))
            self._properties = _properties_of(mapping, columns)

    def events(self, late_is_fine: bool = False) -> Iterator[Recorded]:
        """The events in the order of their times.

        Args:
            late_is_fine: Takes the file's order as it is.

        Cost: about 10 µs an event; with `sort`, all events in memory (about 500 bytes each), and
        with `identify`, the ids of all users.

        Raises:
            CliError: A row is no event, or it is earlier than the one before it.
        """
        make = self._spec_events if self._mapping.is_segment_spec else self._mapped_events
        if self._mapping.sort:
            yield from self._sorted(make)
            return
        newest = Recorded(0, 0, None)
        for row in self._recording.rows():
            for recorded in make(row):
                if recorded.ms < newest.ms and not late_is_fine:
                    raise self._error(
                        recorded.row,
                        f"is earlier than line {newest.row}: the file is not in the order of time",
                        "say --sort to bring it into order (in memory); `denrei replay --late` "
                        "sends it as it is: no timer goes back for what comes late",
                    )
                newest = recorded if recorded.ms >= newest.ms else newest
                yield recorded

    def _sorted(self, make: Callable[[Row], Iterator[Recorded]]) -> Iterator[Recorded]:
        times = []
        for row in self._recording.rows():
            times.append((self._time_of(row), row))
            if len(times) > limits.REPLAY_SORTED_ROWS:
                words = f"is one of more than {limits.REPLAY_SORTED_ROWS:,}, too many for memory"
                hint = "sort the file itself first, for example with `sort`"
                raise self._error(row.number, words, hint)
        times.sort(key=lambda item: (item[0], item[1].number))
        for _, row in times:
            yield from make(row)

    def _mapped_events(self, row: Row) -> Iterator[Recorded]:
        mapping, values = self._mapping, row.values
        ms = self._time_of(row)
        name = self._name_of(row)
        if name is None:
            self.skipped += 1
            return
        event = events_pb2.Event(type=events_pb2.TRACK, event=name)
        if mapping.user_id:
            event.user_id = _text(values.get(mapping.user_id))
        if mapping.anonymous_id:
            event.anonymous_id = _text(values.get(mapping.anonymous_id))
        if mapping.identify:
            yield from self._identify(event, row, ms)
        own_id = _text(values.get(mapping.message_id)) if mapping.message_id else ""
        event.message_id = own_id or f"{self._prefix}{row.number}"
        event.timestamp.FromMilliseconds(ms)
        properties = {}
        for key, column, convert in self._properties:
            value = values.get(column)
            if value is not None and value != "":
                try:
                    properties[key] = convert(value)
                except ValueError as error:
                    raise self._error(row.number, f"{column}: {error}") from None
        if properties:
            event.properties_msgpack = msgpack.packb(properties)
        yield Recorded(ms, row.number, event)

    def _identify(self, event: Any, row: Row, ms: int) -> Iterator[Recorded]:
        person = event.user_id or event.anonymous_id
        if person in self._identified:
            return
        self._identified.add(person)
        try:
            traits = {
                trait: text.format_map(row.values) for trait, text in self._mapping.identify.items()
            }
        except (KeyError, ValueError, IndexError) as error:
            raise self._error(row.number, f"identify: {error}") from None
        told = events_pb2.Event(
            type=events_pb2.IDENTIFY,
            user_id=event.user_id,
            anonymous_id=event.anonymous_id,
            message_id=f"{self._prefix}{row.number}:identify",
            traits_msgpack=msgpack.packb(traits),
        )
        told.timestamp.FromMilliseconds(ms)
        yield Recorded(ms, row.number, told)

    def _name_of(self, row: Row) -> str | None:
        source = self._mapping.event
        assert source is not None, "checked when the reader was made"
        if source.is_ is not None:
            return source.is_
        value = _text(row.values.get(source.column or ""))
        if source.only_named:
            return source.names.get(value)
        return source.names.get(value, value)

    def _time_of(self, row: Row) -> int:
        source = self._mapping.timestamp
        column = source.column if source else "timestamp"
        value = _text(row.values.get(column))
        if self._read_time is None:
            unit = source.unit if source else "auto"
            zone = source.zone if source else "UTC"
            self._read_time = reader(detect_unit(value) if unit == "auto" else unit, zone)
        try:
            return self._read_time(value)
        except (ValueError, OverflowError) as error:
            words = f"has no time in {column!r}: {value[:60]!r} ({error})"
            hint = "name the unit with --time-unit s, ms, iso or date"
            raise self._error(row.number, words, hint) from None

    def _spec_events(self, row: Row) -> Iterator[Recorded]:
        """A row that is a whole event of the Segment Spec."""
        values = row.values
        ms = self._time_of(row)
        type_ = _text(values.get("type")) or "track"
        if type_ not in _TYPES:
            raise self._error(row.number, f"has the type {type_[:40]!r}, which is none of a call")
        event = events_pb2.Event(
            type=_TYPES[type_],
            user_id=_text(values.get("userId")),
            anonymous_id=_text(values.get("anonymousId")),
            event=_text(values.get("event")),
            name=_text(values.get("name")),
            group_id=_text(values.get("groupId")),
            previous_id=_text(values.get("previousId")),
            message_id=_text(values.get("messageId")) or f"{self._prefix}{row.number}",
        )
        event.timestamp.FromMilliseconds(ms)
        field = _SPEC_DATA.get(type_, "properties")
        data, context = values.get(field), values.get("context")
        if data:
            setattr(event, f"{field}_msgpack", msgpack.packb(data))
        if context:
            event.context_msgpack = msgpack.packb(context)
        yield Recorded(ms, row.number, event)

    def _error(self, line: int, what: str, hint: str = "") -> CliError:
        return CliError(f"{self._recording.path}: line {line} {what}", hint, REFUSED)


def _id_prefix(path: Path) -> str:
    """`file name:`, shortened with a hash if ids would get too long."""
    name = path.name
    if len(name) > _FILE_CHARS:
        name = f"{name[: _FILE_CHARS - 17]}-{xxh3_64_hexdigest(name.encode())}"
    return f"{name}:"


def _properties_of(
    mapping: Mapping, columns: list[str]
) -> list[tuple[str, str, Callable[[Any], Any]]]:
    """Name, column and conversion of each property."""
    if mapping.properties is not None:
        return [
            (name, source.column, CONVERT[source.type])
            for name, source in mapping.properties.items()
        ]
    used = {column for _, column in mapping.uses()}
    return [(column, column, CONVERT["auto"]) for column in columns if column not in used]


def _auto(value: Any) -> Any:
    """A text of a CSV file as the number it is, if it is one; other values as they are."""
    if value.__class__ is not str:
        return value
    if _INT.fullmatch(value):
        return int(value)
    return float(value) if _NUMBER.fullmatch(value) else value


def _bool(value: Any) -> bool:
    found = _BOOLS.get(str(value).strip().lower())
    if found is None:
        msg = f"{value!r} is neither true nor false"
        raise ValueError(msg)
    return found


def _text(value: Any) -> str:
    return value if value.__class__ is str else "" if value is None else str(value)


CONVERT: Final[dict[str, Callable[[Any], Any]]] = {
    "auto": _auto,
    "text": _text,
    "int": int,
    "number": float,
    "bool": _bool,
}
