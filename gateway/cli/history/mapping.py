"""A mapping: what the columns of a recorded file mean as events.

It is written as a YAML file, as options on the command line, or as both (options win). Without any
of it a file of JSON lines is read as events of the Segment Spec, as SDKs and warehouses write them.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from gateway.cli.errors import REFUSED, USAGE, CliError
from gateway.cli.history.times import UNITS, reader

TYPES: Final = ("auto", "text", "int", "number", "bool")
# Fields that `--map` sets; every other name on its left side is a property's.
_FIELDS: Final = ("user_id", "anonymous_id", "event", "timestamp", "message_id", "type")
_COLUMN: Final = re.compile(r"(.+?)(?::(auto|text|int|number|bool))?")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _as_text(value: Any) -> Any:
    """A column may be written as its number: `user_id: 0`."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Column = Annotated[str, BeforeValidator(_as_text), Field(min_length=1)]


def _shorthand(field: str) -> BeforeValidator:
    """A column alone stands for a map that names it."""

    def read(value: Any) -> Any:
        value = _as_text(value)
        return {field: value} if isinstance(value, str) else value

    return BeforeValidator(read)


class EventName(_Strict):
    """Where an event's name comes from.

    Attributes:
        column: The column that holds it.
        is_: The name itself, if all rows are the same event.
        names: What the column's values are called; others keep theirs.
        only_named: Leaves out rows whose value is not in `names`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    column: Column | None = None
    is_: Annotated[str | None, Field(alias="is", min_length=1)] = None
    names: dict[str, str] = Field(default_factory=dict)
    only_named: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> "EventName":
        if (self.column is None) == (self.is_ is None):
            msg = "give either 'column' or 'is'"
            raise ValueError(msg)
        return self


class TimeColumn(_Strict):
    """Where an event's time comes from, and how it is written."""

    column: Column
    unit: Literal["auto", "s", "ms", "iso", "date"] = "auto"
    zone: str = "UTC"

    @model_validator(mode="after")
    def _known_zone(self) -> "TimeColumn":
        reader("s", self.zone)
        return self


class PropertyColumn(_Strict):
    """Where a property comes from, and what type it has."""

    column: Column
    type: Literal["auto", "text", "int", "number", "bool"] = "auto"


class Mapping(_Strict):
    """What the columns of a file mean; see docs and `examples/*/*.mapping.yaml`.

    Attributes:
        format: csv or jsonl; left out: by the file's name.
        header: Whether a CSV file's first row names its columns.
        delimiter: What stands between a CSV file's columns.
        sort: Whether rows are brought into the order of their times first, in memory.
        user_id: The column of the user's id.
        anonymous_id: The column of the anonymous id.
        event: The event's name.
        timestamp: The event's time.
        message_id: The column of the event's own id; left out: made from file name and row.
        properties: The properties by name; left out: all columns that nothing else uses.
        identify: Traits that are told once for each user, before the first event; `{column}` in
            them stands for the row's value.
    """

    format: Literal["csv", "jsonl"] | None = None
    header: bool = True
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    sort: bool = False
    user_id: Column | None = None
    anonymous_id: Column | None = None
    event: Annotated[EventName, _shorthand("column")] | None = None
    timestamp: Annotated[TimeColumn, _shorthand("column")] | None = None
    message_id: Column | None = None
    properties: dict[str, Annotated[PropertyColumn, _shorthand("column")]] | None = None
    identify: dict[str, str] = Field(default_factory=dict)

    @property
    def is_segment_spec(self) -> bool:
        """Whether rows are whole events of the Segment Spec: nothing says otherwise."""
        return not (self.user_id or self.anonymous_id or self.event or self.timestamp)

    def check(self, columns: list[str], where: str) -> None:
        """Finds out whether a file has the columns that this names.

        Raises:
            CliError: It lacks one, or the mapping lacks what every event needs.
        """
        for field in ("event", "timestamp"):
            if getattr(self, field) is None:
                words = f"the mapping does not say where an event's {field} comes from"
                hint = f"add it with --map {field}=COLUMN; {where} has {', '.join(columns)}"
                raise CliError(words, hint, USAGE)
        if self.user_id is None and self.anonymous_id is None:
            hint = f"add --map user_id=COLUMN; {where} has {', '.join(columns)}"
            raise CliError("the mapping does not say whose events they are", hint, USAGE)
        for field, column in self.uses():
            if column not in columns:
                raise CliError(
                    f"{where} has no column {column!r} (for {field})",
                    f"it has {', '.join(columns)}"
                    + ("" if not self.header else "; if its first row is data, say --no-header"),
                    REFUSED,
                )

    def uses(self) -> Iterable[tuple[str, str]]:
        """Each field and the column it comes from."""
        plain = {
            "user_id": self.user_id,
            "anonymous_id": self.anonymous_id,
            "message_id": self.message_id,
            "event": self.event.column if self.event else None,
            "timestamp": self.timestamp.column if self.timestamp else None,
        }
        yield from ((field, column) for field, column in plain.items() if column)
        for name, source in (self.properties or {}).items():
            yield f"property {name}", source.column
        for name, text in self.identify.items():
            yield from ((f"trait {name}", part[1]) for part in Formatter().parse(text) if part[1])


def read_mapping(file: Path | None, pairs: Iterable[str], overrides: dict[str, Any]) -> Mapping:
    """The mapping of a file, options, or both.

    Args:
        file: A YAML file, or None.
        pairs: Texts like `user_id=0,event=behavior,price=amount:number`.
        overrides: Fields of `Mapping` that were given as options; None for those that were not.

    Raises:
        CliError: The file is not a mapping, or a pair is not one.
        ValidationError: A field has a value that it may not have.
    """
    fields: dict[str, Any] = {}
    if file is not None:
        try:
            fields = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise CliError(f"{file} is not YAML: {error}", "", REFUSED) from None
        if not isinstance(fields, dict):
            raise CliError(f"{file} is not a mapping", "see examples/cdnow", REFUSED)
    for text in pairs:
        for pair in text.split(","):
            _take_pair(fields, pair.strip())
    unit = overrides.pop("time_unit", None)
    names = overrides.pop("names", None)
    event = overrides.pop("event_is", None)
    fields.update((name, value) for name, value in overrides.items() if value is not None)
    if event is not None:
        fields["event"] = {"is": event}
    if unit is not None:
        fields["timestamp"] = {**_mapped(fields.get("timestamp")), "unit": unit}
    if names:
        fields["event"] = {**_mapped(fields.get("event")), "names": names}
    return Mapping.model_validate(fields)


def _mapped(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"column": value}


def _take_pair(fields: dict[str, Any], pair: str) -> None:
    name, equals, column = pair.partition("=")
    match = _COLUMN.fullmatch(column)
    if not equals or not name or match is None:
        raise CliError(
            f"--map {pair!r} is not of the form FIELD=COLUMN",
            "write it like --map user_id=0,event=behavior,timestamp=time,price=amount:number",
            USAGE,
        )
    if name in ("event", "timestamp"):
        fields[name] = {**_mapped(fields[name]), "column": column} if name in fields else column
        if name == "event":
            fields[name] = {k: v for k, v in _mapped(fields[name]).items() if k != "is"}
    elif name in _FIELDS:
        fields[name] = column
    else:
        properties = fields.setdefault("properties", {})
        properties[name] = {"column": match[1], "type": match[2] or "auto"}


def read_names(pairs: Iterable[str]) -> dict[str, str]:
    """Event names by column value, from texts like `pv=Product Viewed,buy=Order Completed`.

    Raises:
        CliError: A pair is not one.
    """
    names = {}
    for text in pairs:
        for pair in text.split(","):
            value, equals, name = pair.partition("=")
            if not equals or not name.strip():
                words = f"--names {pair!r} is not of the form VALUE=NAME"
                raise CliError(words, 'write it like --names "buy=Order Completed"', USAGE)
            names[value.strip()] = name.strip()
    return names


assert set(UNITS) == {"auto", "s", "ms", "iso", "date"}
