"""Quiet hours: from a time of day to another, by the clock on the person's wall.

Each day's quiet time is a span between two moments, found as `engine.zones` finds every time of
day, so it begins and ends at the exact second also in the nights in which the clock is changed: a
time that such a night has twice is the first one, and a time that it skips comes with the hour.
"""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from engine import zones

_DAY = timedelta(days=1)


class QuietTime:
    """One rule, compiled.

    Attributes:
        channels: The channels it is for.
        applies_to: The purposes it is for.
        holds: Whether messages wait for its end; else they are dropped.
        words: The rule as a person reads it.
    """

    __slots__ = ("_days", "_from", "_known", "_to", "applies_to", "channels", "holds", "words")

    def __init__(
        self,
        from_: time,
        to: time,
        days: frozenset[int],
        channels: frozenset[str],
        applies_to: frozenset[str],
        holds: bool,
    ) -> None:
        self._from = from_
        self._to = to
        # By zone, at most one for each that there is: from when to when an answer holds, and it.
        self._known: dict[str, tuple[int, int, int | None, int]] = {}
        self._days = days
        self.channels = channels
        self.applies_to = applies_to
        self.holds = holds
        self.words = f"quiet hours {_clock(from_)} to {_clock(to)}"

    def end_ms(self, now_ms: int, zone: ZoneInfo) -> int | None:
        """When the quiet time that it is now ends (ms), or None if it is not quiet now.

        Cost: 0.2 µs if the same was asked of the zone not long ago, else 20 µs.
        """
        return self._at(now_ms, zone)[2]

    def next_ms(self, now_ms: int, zone: ZoneInfo) -> int:
        """When it is quiet next (ms): now, if it is so already.

        Cost: as `end_ms`.
        """
        _, _, end_ms, next_ms = self._at(now_ms, zone)
        return next_ms if end_ms is None else now_ms

    def _at(self, now_ms: int, zone: ZoneInfo) -> tuple[int, int, int | None, int]:
        known = self._known.get(zone.key)
        if known is None or not known[0] <= now_ms < known[1]:
            known = self._known[zone.key] = self._look(now_ms, zone)
        return known

    def _look(self, now_ms: int, zone: ZoneInfo) -> tuple[int, int, int | None, int]:
        """From when to when an answer holds, when it ends if it is quiet, and when it begins."""
        today = zones.wall(now_ms, zone).replace(hour=0, minute=0, second=0, microsecond=0)
        holds_ms = zones.instant(today + _DAY, zone)
        latest: int | None = None
        next_ms = 0
        # An hour that is skipped or shown twice can push a span over the edge of its day.
        for day in (today + timedelta(days=number) for number in range(-1, 9)):
            if day.weekday() not in self._days:
                continue
            until = day if self._to > self._from else day + _DAY
            start_ms = zones.instant(_on(day, self._from), zone)
            end_ms = zones.instant(_on(until, self._to), zone)
            if start_ms > now_ms:
                next_ms = start_ms  # sooner or later, since every week has one of the days
                break
            if end_ms > now_ms:
                latest = max(latest or 0, end_ms)
        holds_ms = min(holds_ms, next_ms)
        return now_ms, holds_ms if latest is None else min(holds_ms, latest), latest, next_ms


def _on(day: datetime, clock: time) -> datetime:
    return datetime.combine(day, clock)


def _clock(clock: time) -> str:
    return f"{clock:%H:%M:%S}" if clock.second else f"{clock:%H:%M}"
