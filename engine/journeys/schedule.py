"""When a schedule is due: at one time, or by a cron expression, on the wall's clock in a zone.

A cron expression has five fields: minute, hour, day of the month, month, day of the week; `*`,
lists, ranges, steps and English short names as everywhere. If both days are restricted, either is
enough.

Nights in which clocks change are as in the crons of today. If the hour is named, the one rule of
`engine.zones` holds: a time that is skipped comes an hour later by the clock, one that comes twice
counts once. If it is not (`*`, or `*/2`), the schedule goes by what the clock shows: both times
that it shows one, and never at a time that it does not show. So an hourly one misses no hour.
"""

import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from engine import limits
from engine.issues import kind_of
from engine.schema import refusal
from engine.zones import instant, instants, shown, wall

_MONTHS: Final = (
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
)  # fmt: skip
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NO_NAMES: Final[Mapping[str, int]] = {}
_HORIZON_DAYS: Final = 8 * 366 + 1  # a 29 February is at most eight years away
_YEARS: Final = (1970, 9998)  # in every zone all of them can be told
_SPEED: Final = re.compile(r"([0-9]{1,9})/(s|min)")


class _Field(NamedTuple):
    noun: str
    least: int
    most: int
    names: Mapping[str, int] = _NO_NAMES


_FIELDS: Final = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    _Field("day of the week", 0, 7, {name: number for number, name in enumerate(_DAYS)}),
)


class Cron(NamedTuple):
    """A cron expression; days of the week count from Sunday, 0 to 6."""

    text: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool
    every_hour: bool

    def holds(self, day: date) -> bool:
        """Whether the schedule has times on a day."""
        if day.month not in self.months:
            return False
        in_month = day.day in self.days
        in_week = day.isoweekday() % 7 in self.weekdays
        return (in_month or in_week) if self.either_day else (in_month and in_week)


Schedule = datetime | Cron


def read(value: Any) -> Schedule:
    """A schedule as it is written: a cron expression, or a date and time without a zone.

    Raises:
        PydanticCustomError: It is neither.
    """
    forms = "write a time like 2026-02-14T09:00, or cron like '0 9 * * mon'"
    if not isinstance(value, str):
        raise refusal(f"must be a time or a cron expression, not {kind_of(value)}", forms)
    fields = value.split()
    if len(fields) == len(_FIELDS):
        return _cron(value, fields)
    try:
        found = datetime.fromisoformat(value.strip())
    except ValueError:
        raise refusal(f"{value[:60]!r} is no time and no cron expression", forms) from None
    if found.tzinfo is not None:
        raise refusal(f"{value!r} has an offset of its own", "leave it out and set 'zone'")
    if not _YEARS[0] <= found.year <= _YEARS[1]:
        raise refusal(f"{value!r} lies before {_YEARS[0]} or after {_YEARS[1]}", forms)
    return found


def read_speed(value: Any) -> int:
    """People per minute, from `1000/min` or `50/s`.

    Raises:
        ValueError: It is no speed, or too high; the message says what to write.
    """
    match = _SPEED.fullmatch(value) if isinstance(value, str) else None
    number = int(match[1]) * (60 if match[2] == "s" else 1) if match else 0
    if not 0 < number <= limits.BROADCAST_MOST_PER_MINUTE:
        most = f"at most {limits.BROADCAST_MOST_PER_MINUTE}/min"
        msg = f"{value!r} is no speed; write it like 1000/min or 50/s, {most}"
        raise ValueError(msg)
    return number


class Plan:
    """A schedule in its zone.

    Attributes:
        words: The schedule as a person reads it.
    """

    __slots__ = ("_schedule", "_zone", "words")

    def __init__(self, schedule: Schedule, zone: str) -> None:
        self._schedule = schedule
        self._zone = ZoneInfo(zone)
        if isinstance(schedule, Cron):
            self.words = f"{schedule.text} in {zone}"
        else:
            self.words = shown(instant(schedule, self._zone), self._zone)

    def after(self, now_ms: int) -> int | None:
        """The first time after a moment at which it is due; None if it never is again.

        Cost: 1 µs a day that lies between, and 0.5 ms for the day itself at most.
        """
        schedule, zone = self._schedule, self._zone
        if isinstance(schedule, datetime):
            at_ms = instant(schedule, zone)
            return at_ms if at_ms > now_ms else None
        day = wall(now_ms, zone).date()
        for _ in range(_HORIZON_DAYS):
            if schedule.holds(day):
                found = _first_on(schedule, day, zone, now_ms)
                if found is not None:
                    return found
            day += timedelta(days=1)
        return None


def _first_on(cron: Cron, day: date, zone: ZoneInfo, now_ms: int) -> int | None:
    """The first time of a day after a moment; in a gap the clock's order is not the time's."""
    clocks = (
        datetime.combine(day, time(hour, minute)) for hour in cron.hours for minute in cron.minutes
    )
    midnight = datetime.combine(day, time())
    changes = zone.utcoffset(midnight) != zone.utcoffset(midnight + timedelta(days=1))
    if cron.every_hour and changes:
        times = (at_ms for clock in clocks for at_ms in instants(clock, zone))
    else:
        times = (instant(clock, zone) for clock in clocks)
    return min((at_ms for at_ms in times if at_ms > now_ms), default=None)


def _cron(text: str, fields: list[str]) -> Cron:
    read = [_numbers(text, part, field) for part, field in zip(fields, _FIELDS, strict=True)]
    minutes, hours, days, months, weekdays = read
    cron = Cron(
        text=text,
        minutes=tuple(sorted(minutes)),
        hours=tuple(sorted(hours)),
        days=frozenset(days),
        months=frozenset(months),
        weekdays=frozenset(day % 7 for day in weekdays),
        either_day=not fields[2].startswith("*") and not fields[4].startswith("*"),
        every_hour=fields[1].startswith("*"),
    )
    first = date(2096, 3, 1)  # from here it is eight years to the next 29 February
    if not any(cron.holds(first + timedelta(days=n)) for n in range(_HORIZON_DAYS)):
        raise refusal(f"{text!r} never comes: no month has that day")
    return cron


def _numbers(text: str, part: str, field: _Field) -> set[int]:
    """The numbers of one field."""
    found: set[int] = set()
    for item in part.lower().split(","):
        span, slash, every = item.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            low, high = field.least, field.most
        else:
            low = _number(text, first, field)
            high = _number(text, last, field) if dash else (field.most if slash else low)
        if slash and not (every.isascii() and every.isdigit() and int(every)):
            raise _wrong(text, field, item)
        if low > high and field is _FIELDS[-1]:
            high += 7  # fri-sun
        if low > high:
            raise _wrong(text, field, item)
        found.update(range(low, high + 1, int(every) if slash else 1))
    return found


def _number(text: str, word: str, field: _Field) -> int:
    number = field.names.get(word)
    if number is None:
        if not (word.isascii() and word.isdigit()) or not field.least <= int(word) <= field.most:
            raise _wrong(text, field, word)
        number = int(word)
    return number


def _wrong(text: str, field: _Field, word: str) -> Exception:
    return refusal(
        f"{text!r}: {word!r} is no {field.noun}",
        f"it goes from {field.least} to {field.most}; write minute hour day month weekday",
    )
