"""Time zones: what the clock on a person's wall shows, and when it will show something.

Twice a year a day has no such time, or has it twice. One rule, that of RFC 5545 (calendars): a time
that a day has twice is the first of the two; a time that a day skips counts with the offset before
the gap, so 02:30 in the night to summer time is what the clock calls 03:30.

A zone's rules are data that changes a few times a year, and a replay must read the same. Where the
package `tzdata` is installed, its pinned rules are the only ones that are read; else the system's.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, available_timezones, reset_tzpath

from pydantic import BeforeValidator

from engine import limits
from engine.issues import did_you_mean, kind_of
from engine.schema import refusal

if TYPE_CHECKING:
    from engine.conditions.registry import Facts

if find_spec("tzdata") is not None:
    reset_tzpath(to=())

TRAIT: Final = "timezone"
DEFAULT: Final = ZoneInfo("UTC")
_CONTEXT: Final = "context"  # in `Entity.state`; see `engine.event_context`
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_SECONDS_BELOW: Final = 100_000_000_000  # as seconds the year 5138, as milliseconds 1973


@lru_cache(maxsize=limits.ZONES)
def find(name: str) -> ZoneInfo | None:
    """The zone of this name; None if there is none. Cost: 0.1 µs once it is known."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        return None


def zone_of(entity: "Facts", default: ZoneInfo = DEFAULT) -> tuple[ZoneInfo, str]:
    """A person's zone: the trait `timezone`, else what the context of their events said last.

    Args:
        entity: The person.
        default: The zone of who has told of none.

    Returns:
        The zone, and an empty text; or what is wrong with the trait, in words.

    Cost: 0.2 µs.
    """
    name = entity.traits.get(TRAIT)
    zone = find(name) if name.__class__ is str and name else None
    if zone is not None:
        return zone, ""
    said = entity.state.get(_CONTEXT)
    told = said.get(TRAIT) if said else None
    zone = (find(told[1]) if told else None) or default
    if name is None or name == "":
        return zone, ""
    return zone, f"{str(name)[:60]!r} is no time zone, {zone.key} was taken"


def wall(now_ms: int, zone: ZoneInfo) -> datetime:
    """What the clock on the wall shows, as a time without a zone."""
    return (_EPOCH + now_ms * _MS).astimezone(zone).replace(tzinfo=None)


def instant(shown: datetime, zone: ZoneInfo) -> int:
    """When the clock on the wall shows a time, in Unix milliseconds; see the module's text."""
    return (shown.replace(tzinfo=zone, fold=0) - _EPOCH) // _MS


def instants(shown: datetime, zone: ZoneInfo) -> list[int]:
    """Each moment at which the clock on the wall shows a time: one, or two, or none at all."""
    found = ((shown.replace(tzinfo=zone, fold=fold) - _EPOCH) // _MS for fold in (0, 1))
    return [at_ms for at_ms in sorted(set(found)) if wall(at_ms, zone) == shown]


def moment_of(value: Any, zone: ZoneInfo) -> int | None:
    """The moment that a trait or a property tells of, in Unix milliseconds.

    Args:
        value: A date or date and time in ISO 8601 (without an offset it is of the zone; a date
            alone is its midnight), or Unix time in seconds or milliseconds.
        zone: For what has no offset of its own.

    Returns:
        The moment; None if the value tells of none.
    """
    kind = value.__class__
    if kind is int or kind is float:
        known = -_SECONDS_BELOW * 1_000 < value < _SECONDS_BELOW * 1_000  # and no infinity
        return int(value if abs(value) >= _SECONDS_BELOW else value * 1_000) if known else None
    if kind is not str:
        return None
    try:
        found = _read_iso(value.strip())
        return instant(found, zone) if found.tzinfo is None else (found - _EPOCH) // _MS
    except (ValueError, OverflowError):
        return None


def has_offset(text: str) -> bool:
    """Whether a moment says by itself how far it is from UTC."""
    return _read_iso(text).tzinfo is not None


def _read_iso(text: str) -> datetime:
    return datetime.fromisoformat(text if text[-1:] != "z" else f"{text[:-1]}Z")


def shown(at_ms: int, zone: ZoneInfo) -> str:
    """A moment as it is read in a trail: `2026-01-06 09:00 Europe/Berlin`."""
    clock = wall(at_ms, zone)
    seconds = f"{clock:%S}"
    text = f"{clock:%Y-%m-%d %H:%M}" + (f":{seconds}" if seconds != "00" else "")
    return f"{text} {zone.key}"


def _read(value: Any) -> str:
    if isinstance(value, str) and find(value) is not None:
        return value
    hint = did_you_mean(value, available_timezones()) or "write it like America/Los_Angeles"
    raise refusal(f"must be a time zone, not {kind_of(value)}", hint)


ZONE: Final = BeforeValidator(_read)
