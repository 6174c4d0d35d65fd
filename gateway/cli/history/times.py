"""Times as files write them: seconds, milliseconds, ISO 8601, or a date without anything else.

The unit is chosen once for a file, never value by value: a column of seconds that happens to hold
eight digits must not turn into a date in its middle.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

UNITS: Final = ("auto", "s", "ms", "iso", "date")
_DATE: Final = re.compile(r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")
_MS_FROM: Final = 100_000_000_000  # as seconds, the year 5138; as milliseconds, March 1973

ReadTime = Callable[[str], int]


def detect_unit(text: str) -> str:
    """The unit of a file, judged by its first value."""
    if _DATE.fullmatch(text):
        return "date"
    if _NUMBER.fullmatch(text):
        return "ms" if abs(float(text)) >= _MS_FROM else "s"
    return "iso"


def reader(unit: str, zone: str = "UTC") -> ReadTime:
    """A function from a text to Unix milliseconds.

    Args:
        unit: One of `UNITS` but auto.
        zone: The zone of times that name none.

    Raises:
        ValueError: There is no such unit or zone. The function raises it for a text that is no
            time of this unit.
    """
    try:
        tz = UTC if zone == "UTC" else ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        msg = f"there is no time zone {zone!r}; write it like Europe/Berlin"
        raise ValueError(msg) from None
    if unit == "s":
        return lambda text: round(float(text) * 1_000)
    if unit == "ms":
        return lambda text: round(float(text))
    if unit == "iso":
        return lambda text: _iso(text, tz)
    if unit == "date":
        return lambda text: _ms(datetime.strptime(text, "%Y%m%d").replace(tzinfo=tz))
    msg = f"there is no time unit {unit!r}; choose one of {', '.join(UNITS)}"
    raise ValueError(msg)


def read_any(text: str) -> int:
    """One time as a person types it, in any unit; UTC if it names no zone.

    Raises:
        ValueError: It is no time.
    """
    return reader(detect_unit(text))(text)


def _iso(text: str, tz: tzinfo) -> int:
    if text.endswith(" UTC"):
        text = text[:-4] + "+00:00"
    at = datetime.fromisoformat(text)
    return _ms(at if at.tzinfo else at.replace(tzinfo=tz))


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1_000)
