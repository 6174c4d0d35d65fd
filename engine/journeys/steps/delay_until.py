"""Delays until a moment: of the day, of the calendar, or one that a trait or property tells of.

Everything is of the person's zone (see `zones.zone_of`; UTC if none is known), unless the step
names a zone. What a zone does to a day twice a year is in `engine.zones`. A time of day is always
one ahead; a moment may have passed, and then the run goes on at once and its trail says why.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, model_validator

from engine import limits, zones
from engine.conditions.context import READS_ZONE
from engine.conditions.paths import resolver
from engine.durations import UNITS_MS, render, up_to
from engine.issues import did_you_mean, kind_of
from engine.journeys.instance import Instance
from engine.journeys.steps.chance import number_of
from engine.journeys.steps.registry import DELAY_MS, Move, Step, park
from engine.schema import Strict, refusal

if TYPE_CHECKING:
    from engine.activation import Activation
    from engine.journeys.compile import Journey

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY: Final = timedelta(days=1)
_DAY_MS: Final = UNITS_MS["d"]
_TIME: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")
_ROOTS: Final = ("traits", "properties")
_EXAMPLES: Final = "write a time (09:30), a date (2026-12-24) or a path (traits.renews_at)"


def _day(value: Any) -> str:
    if value in DAYS:
        return str(value)
    hint = did_you_mean(str(value).lower()[:3], DAYS) or "the days are mon, tue … sun"
    raise refusal(f"must be a day of the week, not {kind_of(value)}", hint)


def _time(value: Any) -> time:
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise refusal(f"must be a time of day, not {kind_of(value)}", "write it like 09:30")
    hour, minute, second = (int(part or 0) for part in match.groups())
    return time(hour, minute, second)


def _until(value: Any) -> "time | datetime | str":
    """A time of day, a date (with an offset or not), or a path."""
    if not isinstance(value, str):
        raise refusal(f"must be a moment, not {kind_of(value)}", _EXAMPLES)
    if _TIME.fullmatch(value):
        return _time(value)
    root, dot, rest = value.partition(".")
    if root in _ROOTS and dot:
        if not all(rest.split(".")) or len(value) > limits.NAME_CHARS:
            raise refusal(f"{value!r} is not a path", f"write it like {root}.name")
        return value
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        near = did_you_mean(root, _ROOTS).replace("'?", f".{rest}'?") if dot else ""
        raise refusal(f"{value!r} is not a moment", near or _EXAMPLES) from None


Days = Annotated[list[Annotated[str, BeforeValidator(_day)]], Field(min_length=1, max_length=7)]
TimeOfDay = Annotated[time, BeforeValidator(_time, json_schema_input_type=str)]
Zone = Annotated[str, zones.ZONE]
Offset = Annotated[int, up_to(DELAY_MS)]


class UntilModel(Strict):
    """A delay until a moment."""

    noun: ClassVar[str] = "a delay until a moment"
    until: Annotated[Any, BeforeValidator(_until, json_schema_input_type=str)]
    days: Days | None = None
    before: Offset | None = None
    after: Offset | None = None
    time: TimeOfDay | None = None
    zone: Zone | None = None

    @property
    def may_be_past(self) -> bool:
        """Whether the moment may have passed when someone comes; a time of day never has."""
        return not isinstance(self.until, time)

    @model_validator(mode="after")
    def _fields_fit(self) -> "UntilModel":
        of_path = isinstance(self.until, str)
        if self.days is not None and self.may_be_past:
            raise refusal("'days' stands beside a date", "only a time of day has days")
        if not of_path:
            for field in ("before", "after", "time"):
                if getattr(self, field) is not None:
                    hint = "only a path such as traits.renews_at has it"
                    raise refusal(f"{field!r} stands beside a moment of your own", hint)
        if self.before is not None and self.after is not None:
            raise refusal("'before' stands beside 'after'", "keep one of them")
        return self

    def compile(self, name: str, then: str, past: str) -> Step:
        """Compiles the step; `past` is where a run goes whose moment has passed."""
        if isinstance(self.until, time):
            return _UntilTime(name, self, then)
        return _UntilMoment(name, self, then, past)


class WindowModel(Strict):
    """A delay until the time of day lies between two others."""

    noun: ClassVar[str] = "a delay until a window"
    window: tuple[TimeOfDay, TimeOfDay]
    days: Days | None = None
    zone: Zone | None = None

    @model_validator(mode="before")
    @classmethod
    def _pair(cls, value: Any) -> Any:
        pair = value.get("window") if isinstance(value, dict) else None
        if not isinstance(pair, list) or len(pair) != 2:
            raise refusal("'window' must be two times of day", 'write it like ["09:00", "18:00"]')
        return {**value, "window": tuple(pair)}

    @model_validator(mode="after")
    def _opens(self) -> "WindowModel":
        if self.window[0] == self.window[1]:
            raise refusal("'window' opens and closes at the same time", "leave it out")
        return self

    def compile(self, name: str, then: str) -> Step:
        """Compiles the step."""
        return _Window(name, self, then)


class _InZone(Step):
    """The base of steps that look at a clock on a wall."""

    __slots__ = ("_zone",)

    def __init__(self, name: str, zone: str | None) -> None:
        super().__init__(name, conditions=() if zone else (READS_ZONE,))
        self._zone = zones.find(zone) if zone else None

    def _zone_for(self, act: "Activation", instance: Instance) -> ZoneInfo:
        if self._zone is not None:
            return self._zone
        zone, wrong = zones.zone_of(act.entity)
        if wrong:
            instance.record(act.now, "zone", wrong)
        return zone

    def _wait(self, act: "Activation", instance: Instance, due_ms: int, zone: ZoneInfo) -> None:
        instance.record(act.now, "waits", f"until {zones.shown(due_ms, zone)}")
        park(act, instance, due_ms)


class _UntilTime(_InZone):
    __slots__ = ("_at", "_days", "_move")

    def __init__(self, name: str, model: UntilModel, then: str) -> None:
        super().__init__(name, model.zone)
        self._at: time = model.until
        self._days = _numbers(model.days)
        self._move = (then, f"it is {_words(self._at, model.days)}")

    def enter(self, act: "Activation", instance: Instance, journey: "Journey") -> Move | None:
        zone = self._zone_for(act, instance)
        self._wait(act, instance, _next(act.now, zone, self._at, self._days), zone)
        return None

    def on_timer(self, act: "Activation", instance: Instance) -> Move | None:
        return self._move


class _Window(_InZone):
    __slots__ = ("_closes", "_days", "_move", "_opens")

    def __init__(self, name: str, model: WindowModel, then: str) -> None:
        super().__init__(name, model.zone)
        self._opens, self._closes = model.window
        self._days = _numbers(model.days)
        span = f"{_clock(self._opens)}-{_clock(self._closes)}"
        self._move = (then, f"it is between {span}{_on(model.days)}")

    def enter(self, act: "Activation", instance: Instance, journey: "Journey") -> Move | None:
        zone = self._zone_for(act, instance)
        if self._is_open(zones.wall(act.now, zone)):
            return self._move
        self._wait(act, instance, _next(act.now, zone, self._opens, self._days), zone)
        return None

    def on_timer(self, act: "Activation", instance: Instance) -> Move | None:
        return self._move

    def _is_open(self, clock: datetime) -> bool:
        """Whether a window is open; one over midnight belongs to the day on which it opened."""
        now = clock.time()
        if self._opens < self._closes:
            return self._opens <= now < self._closes and clock.weekday() in self._days
        if now >= self._opens:
            return clock.weekday() in self._days
        return now < self._closes and (clock - _DAY).weekday() in self._days


class _UntilMoment(_InZone):
    __slots__ = ("_find", "_fixed", "_from_event", "_past", "_path", "_shift_ms", "_then", "_time")

    def __init__(self, name: str, model: UntilModel, then: str, past: str) -> None:
        super().__init__(name, model.zone)
        self._find: Callable[[Mapping[str, Any]], Any] | None = None
        self._path = ""
        self._fixed = ""
        if isinstance(model.until, str):
            self._path = model.until
            self._find = resolver(model.until.partition(".")[2])
        else:
            self._fixed = model.until.isoformat()
        self._from_event = self._path.startswith("properties.")
        self._shift_ms = (model.after or 0) - (model.before or 0)
        self._time = model.time
        words = _shifted(self._path or str(model.until), model)
        self._then = (then, f"{words} has come")
        self._past = (past, words)

    def enter(self, act: "Activation", instance: Instance, journey: "Journey") -> Move | None:
        zone = self._zone_for(act, instance)
        due_ms = self._due(act, instance, zone)
        target, words = self._past
        if due_ms is None:
            why = f"{words} is not known: no date was found there"
        elif due_ms < act.now or self._has_let_go(instance, due_ms):
            why = f"{words} has passed"
        elif due_ms - act.now > DELAY_MS:
            why = f"{words} is more than {render(DELAY_MS)} ahead"
        else:
            # Not at once: a row's timers lie after the entry that it is stamped with.
            self._wait(act, instance, max(due_ms, act.now + 1), zone)
            return None
        instance.record(act.now, "not waited", why)
        return target, why

    def on_timer(self, act: "Activation", instance: Instance) -> Move | None:
        instance.memory = number_of(self.name, act.now)
        return self._then

    def _has_let_go(self, instance: Instance, due_ms: int) -> bool:
        """Whether a run that loops waited here for this very moment, so that it is over."""
        return instance.memory == number_of(self.name, due_ms)

    def _due(self, act: "Activation", instance: Instance, zone: ZoneInfo) -> int | None:
        value: Any = self._fixed
        if self._find is not None:
            traits = act.entity.traits
            value = self._find(act.properties_of(instance.newest) if self._from_event else traits)
        moment_ms = zones.moment_of(value, zone)
        if moment_ms is None or not (self._shift_ms or self._time):
            return moment_ms
        try:
            return _shift(moment_ms, self._shift_ms, self._time, zone)
        except OverflowError:
            return None


def _shift(moment_ms: int, shift_ms: int, at: time | None, zone: ZoneInfo) -> int:
    """Whole days are days of the calendar, so that 3 days before midnight is a midnight."""
    days = int(shift_ms / _DAY_MS)  # towards zero
    clock = zones.wall(moment_ms, zone) + days * _DAY
    moment_ms = zones.instant(clock, zone) + shift_ms - days * _DAY_MS
    if at is None:
        return moment_ms
    return zones.instant(datetime.combine(zones.wall(moment_ms, zone), at), zone)


def _next(now_ms: int, zone: ZoneInfo, at: time, days: frozenset[int]) -> int:
    """The first moment after now at which it is that time on one of those days."""
    clock = datetime.combine(zones.wall(now_ms, zone).date(), at)
    while True:
        due_ms = zones.instant(clock, zone)
        if due_ms > now_ms and clock.weekday() in days:
            return due_ms
        clock += _DAY


def _numbers(days: list[str] | None) -> frozenset[int]:
    return frozenset(map(DAYS.index, days or DAYS))


def _clock(at: time) -> str:
    return at.isoformat("seconds" if at.second else "minutes")


def _on(days: list[str] | None) -> str:
    return f" on {', '.join(days)}" if days else ""


def _words(at: time, days: list[str] | None) -> str:
    return _clock(at) + _on(days)


def _shifted(what: str, model: UntilModel) -> str:
    if model.before is not None:
        what = f"{render(model.before)} before {what}"
    elif model.after is not None:
        what = f"{render(model.after)} after {what}"
    return f"{what} at {_clock(model.time)}" if model.time is not None else what
