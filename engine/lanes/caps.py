"""Until when a message is held that a daily cap has no room for.

A cap opens again at midnight of its own zone, when those who would get the message may be asleep.
So a limit may say a time of day, and whose: its zone's, another's, or that of the destination. A
number whose zone is not certain waits until it is that time in all that it may be in.
"""

from datetime import timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import phonenumbers
from phonenumbers import timezone

from engine import limits, zones
from engine.lanes.rates import DESTINATION, Limit


def release_ms(limit: Limit, opens_ms: int, number: str) -> int:
    """When a message may leave that a limit holds.

    Args:
        limit: The limit.
        opens_ms: When it has room again.
        number: The message's destination; empty if it is no phone number.

    Returns:
        The first time at or after `opens_ms` that shows the limit's minute of the day.
    """
    if limit.until_minute < 0:
        return opens_ms
    names = zones_of(number) if limit.until_zone == DESTINATION and number else ()
    if not names:
        named = limit.until_zone != DESTINATION
        names = ((limit.until_zone if named else limit.zone) or "UTC",)
    return max(_next(limit.until_minute, opens_ms, ZoneInfo(name)) for name in names)


@lru_cache(maxsize=limits.PHONE_NUMBERS)
def zones_of(number: str) -> tuple[str, ...]:
    """The zones that a number may be in; none if nobody knows. Cost: 20 µs, once a number."""
    try:
        found = timezone.time_zones_for_number(phonenumbers.parse(number, None))
    except phonenumbers.NumberParseException:
        return ()
    return tuple(name for name in found if zones.find(name) is not None)


def _next(minute: int, from_ms: int, zone: ZoneInfo) -> int:
    today = zones.wall(from_ms, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    for day in range(3):
        at_ms = zones.instant(today + timedelta(days=day, minutes=minute), zone)
        if at_ms >= from_ms:
            return at_ms
    raise AssertionError((minute, from_ms, zone))
