"""How a run begins: one kind of entry for each way, told apart by its field.

`{event: ...}`, `{segment: vip, on: entered}` and `{api: true}` begin the run of the person to whom
something happens. `{schedule: ...}` and `{broadcast: ...}` begin the runs of all people of an
audience, at a set speed; see `engine.journeys.broadcast`. A journey may have several entries.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, TypeAdapter

from engine import limits
from engine.conditions import Compiled, Condition, ConditionModel, compile_all
from engine.conditions.paths import resolver
from engine.issues import did_you_mean, kind_of, listed
from engine.journeys import schedule
from engine.journeys.matching import Filters, uses_of_filters
from engine.names import DefinitionName
from engine.schema import EventName, PropertyPath, Strict, refusal
from engine.uses import Use
from engine.zones import ZONE

EVENT: Final = "event"
SEGMENT: Final = "segment"
API: Final = "api"
SCHEDULE: Final = "schedule"
BROADCAST: Final = "broadcast"


class EntryModel(Strict):
    """The base of all entries."""

    noun: ClassVar[str] = "an entry"
    kind: ClassVar[str]

    def uses(self, place: str) -> Iterator[Use]:
        """The segments that it reads."""
        raise NotImplementedError

    def compile(self) -> "Entry":
        """The compiled entry."""
        raise NotImplementedError


class EventEntry(EntryModel):
    """An event begins a run.

    With a key a person has one run for each value of it; without, one run at a time.
    """

    kind: ClassVar[str] = EVENT
    event: EventName
    where: Filters = Field(default_factory=list)
    key: PropertyPath | None = None

    def uses(self, place: str) -> Iterator[Use]:
        """The segments that the filters read."""
        return uses_of_filters(self.where, place)

    def compile(self) -> "Entry":
        """The compiled entry."""
        where = compile_all(self.where)
        return Entry(EVENT, self.event, where, self.key, f"event {self.event!r}")


def _no_properties(conditions: list[ConditionModel]) -> list[ConditionModel]:
    if any(condition.compile().reads_properties for condition in conditions):
        raise refusal("there is no event whose property it could read", "use a trait or a segment")
    return conditions


class SegmentEntry(EntryModel):
    """A segment that is entered or left begins a run."""

    kind: ClassVar[str] = SEGMENT
    segment: DefinitionName
    on: Literal["entered", "left"] = "entered"
    where: Annotated[Filters, AfterValidator(_no_properties)] = Field(default_factory=list)

    def uses(self, place: str) -> Iterator[Use]:
        """The segment, and those that the filters read."""
        yield Use("segment", self.segment, f"{place}.segment")
        yield from uses_of_filters(self.where, place)

    def compile(self) -> "Entry":
        """The compiled entry."""
        words = f"{self.on} segment {self.segment!r}"
        entry = Entry(SEGMENT, self.segment, compile_all(self.where), None, words)
        entry.on_entered = self.on == "entered"
        return entry


class ApiEntry(EntryModel):
    """A call of the API begins a run; its context stands where an event's properties would."""

    kind: ClassVar[str] = API
    api: Literal[True]
    where: Filters = Field(default_factory=list)
    key: PropertyPath | None = None

    def uses(self, place: str) -> Iterator[Use]:
        """The segments that the filters read."""
        return uses_of_filters(self.where, place)

    def compile(self) -> "Entry":
        """The compiled entry."""
        return Entry(API, "", compile_all(self.where), self.key, "the API")


def _read_speed(value: Any) -> int:
    try:
        return schedule.read_speed(value)
    except ValueError as error:
        what, _, hint = str(error).partition("; ")
        raise refusal(what, hint) from None


Speed = Annotated[int, BeforeValidator(_read_speed)]
Audience = Annotated[Condition, AfterValidator(lambda model: _no_properties([model])[0])]


class ScheduleEntry(EntryModel):
    """At a time, or again and again, the run of everyone in an audience begins."""

    kind: ClassVar[str] = SCHEDULE
    schedule: Annotated[schedule.Schedule, PlainValidator(schedule.read)]
    zone: Annotated[str, ZONE] = "UTC"
    audience: Audience
    speed: Speed = limits.BROADCAST_PER_MINUTE

    def uses(self, place: str) -> Iterator[Use]:
        """The segments that the audience reads."""
        for segment in self.audience.compile().segments:
            yield Use("segment", segment, f"{place}.audience")

    def compile(self) -> "Entry":
        """The compiled entry."""
        entry = Entry(SCHEDULE, "", self.audience.compile(), None, "the schedule")
        entry.plan = schedule.Plan(self.schedule, self.zone)
        entry.per_minute = self.speed
        return entry


class BroadcastEntry(EntryModel):
    """When the journey goes live, the run of everyone in an audience begins.

    Once; who counts `run` up begins it once more.
    """

    kind: ClassVar[str] = BROADCAST
    broadcast: Audience
    speed: Speed = limits.BROADCAST_PER_MINUTE
    run: Annotated[int, Field(ge=1, le=limits.BROADCAST_RUNS)] = 1

    def uses(self, place: str) -> Iterator[Use]:
        """The segments that the audience reads."""
        for segment in self.broadcast.compile().segments:
            yield Use("segment", segment, f"{place}.broadcast")

    def compile(self) -> "Entry":
        """The compiled entry."""
        entry = Entry(BROADCAST, "", self.broadcast.compile(), None, "the broadcast")
        entry.run = self.run
        entry.per_minute = self.speed
        return entry


KINDS: Final[dict[str, type[EntryModel]]] = {
    model.kind: model
    for model in (EventEntry, SegmentEntry, ApiEntry, ScheduleEntry, BroadcastEntry)
}


def read(value: Any) -> EntryModel:
    """An entry from plain values.

    Raises:
        PydanticCustomError: Nothing tells its kind.
        ValidationError: It is not a good entry of its kind.
    """
    if not isinstance(value, dict):
        raise refusal(f"must be an entry written as a map, not {kind_of(value)}")
    kinds = [key for key in KINDS if key in value]
    if len(kinds) > 1:
        raise refusal(f"is two entries at once: {' and '.join(kinds)}", "write them as a list")
    if not kinds:
        hint = next(filter(None, (did_you_mean(key, KINDS) for key in value)), "")
        raise refusal(f"is not an entry: it has none of {listed(KINDS)}", hint)
    return KINDS[kinds[0]].model_validate(value)


def read_all(value: Any) -> tuple[EntryModel, ...]:
    """One entry, or a list of them.

    Raises:
        PydanticCustomError: There is none, or too many.
        ValidationError: One is not good.
    """
    if not isinstance(value, list):
        return (read(value),)
    if not value or len(value) > limits.ENTRIES:
        raise refusal(f"must have 1 to {limits.ENTRIES} entries, not {len(value)}")
    return tuple(_LIST.validate_python(value))


_LIST: Final = TypeAdapter(list[Annotated[EntryModel, PlainValidator(read)]])
EntryField = Annotated[tuple[EntryModel, ...], PlainValidator(read_all)]


class Entry:
    """A compiled entry.

    Attributes:
        kind: event, segment, api, schedule or broadcast.
        name: The event's or the segment's name, or empty.
        where: The filters, or the audience, as one condition; or None.
        key: Finds the key in the event's properties; None if there is one run at a time.
        key_path: The key's path, for the trail.
        words: `event 'X'`, with its filters.
        on_entered: Whether the segment must be entered, not left.
        plan: When a schedule is due.
        per_minute: How many people a schedule or a broadcast takes in.
        run: Which run of the broadcast it is.
    """

    __slots__ = (
        "key", "key_path", "kind", "name", "on_entered", "per_minute", "plan", "run", "where",
        "words",
    )  # fmt: skip

    def __init__(
        self, kind: str, name: str, where: Compiled | None, key: str | None, words: str
    ) -> None:
        self.kind = kind
        self.name = name
        self.where = where
        self.key_path = key or ""
        path = self.key_path.partition(".")[2]
        self.key: Callable[[Mapping[str, Any]], Any] | None = resolver(path) if path else None
        self.words = words if where is None else f"{words} where {where.words}"
        self.on_entered = True
        self.plan: schedule.Plan | None = None
        self.per_minute = 0
        self.run = 0
