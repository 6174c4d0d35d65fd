"""What counts in a limit: windows that slide, days of a zone, and the pace within them.

A carrier sees a message at some time between the decision to send it and the return of the submit
call; nobody here knows when. So a unit counts in every window from its decision on, and goes on
counting until one whole window after the submit *returned*. Take any window [t, t+W) of the
carrier's own clock and the message in it that was decided last, at d < t + W: every other message
in that window was decided before and returned at or after t, so it still counted at d. Therefore
no sliding window ever holds more than the limit, whatever the delays, and the price is that a unit
occupies its window for W plus the carrier's latency.

The pacer is for smoothness alone. Without it a second's worth leaves in one burst and the next
urgent message waits for the whole second; with it an urgent message waits for one message's share.

Time comes in as Unix milliseconds, rounded down; a stamp is rounded up to the next one, so the
argument above also holds between milliseconds.

Who draws on which of these is in `engine.lanes.meters`, and what one lane may send in
`engine.lanes.lane_limits`.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from engine.durations import render
from engine.limits import PACE_TOLERANCE_MS, RATE_BUCKETS

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
# The longest calendar day has 25 hours. This history is kept by every lane, so that a limit that is
# added or changed knows what was sent before it.
DAY_MS: Final = 25 * HOUR_MS
KEPT_MS: Final = (MINUTE_MS, HOUR_MS, DAY_MS)

UNLIMITED: Final = 1 << 60

SEGMENTS: Final = "segments"
MESSAGES: Final = "messages"
HOLD: Final = "hold"
REROUTE: Final = "reroute"
FAIL: Final = "fail"
# The zone of `Limit.until` that stands for the zone of whoever gets the message.
DESTINATION: Final = "destination"


class Limit(NamedTuple):
    """So many units in every sliding window, or in every calendar day of a zone.

    Attributes:
        units: The most.
        window_ms: The window's length; 24 hours if it is a calendar day.
        zone: Whose days these are; None for a window that slides.
        of: What the lanes of an account share by this name; empty means the lane alone.
        per: Of what there is one window each: `recipient`, `sender` … ; empty means one for all.
        unit: `segments` (of texts; elsewhere they are messages) or `messages`.
        at: What becomes of a message that finds no room: `hold`, `reroute` or `fail`.
        until_minute: Until which minute of the day it is then held; -1: until there is room.
        until_zone: Whose minutes these are: a zone, or `destination`.
    """

    units: int
    window_ms: int
    zone: str | None = None
    of: str = ""
    per: str = ""
    unit: str = SEGMENTS
    at: str = HOLD
    until_minute: int = -1
    until_zone: str = ""

    @property
    def waits(self) -> bool:
        """Whether a message that finds no room waits in front of the lane for it."""
        return self.at == HOLD and self.until_minute < 0

    def __str__(self) -> str:
        if self.zone is not None:
            words = f"{self.units} a day ({self.zone})"
        elif self.window_ms % 1_000:
            words = f"{self.units} in {self.window_ms} ms"
        else:
            words = f"{self.units} in {render(self.window_ms)}"
        if self.per:
            words += f" per {self.per}"
        return f"{words} of {self.of}" if self.of else words


class Use(NamedTuple):
    """Units that were sent at some time from `earliest_ms` to `latest_ms`."""

    earliest_ms: int
    latest_ms: int
    units: int


class Pacer:
    """GCRA: spreads a rate evenly; a lane that was idle may catch up 100 ms of it.

    A new pacer has saved up nothing, so neither a restart nor a new limit brings a burst.
    """

    __slots__ = ("_interval_ms", "_next_ms")

    def __init__(self, units: float, window_ms: int, now_ms: int) -> None:
        self._interval_ms = window_ms / units
        self._next_ms: float = now_ms + PACE_TOLERANCE_MS

    def room(self, now_ms: int) -> int:
        """How many units may start now; a message of several may start if one may."""
        ahead_ms = now_ms + PACE_TOLERANCE_MS - max(self._next_ms, now_ms)
        return int(ahead_ms / self._interval_ms) + 1 if ahead_ms >= 0 else 0

    def take(self, units: int, now_ms: int) -> None:
        """Counts units that start now."""
        self._next_ms = max(self._next_ms, now_ms) + units * self._interval_ms

    def ready_ms(self) -> int:
        """When the next unit may start."""
        return -int(-(self._next_ms - PACE_TOLERANCE_MS) // 1)


class SlidingWindow:
    """Units in the last `window_ms`, counted so that the carrier never sees more.

    It keeps its stamps in at most `RATE_BUCKETS` buckets. Rounding up to a bucket's end costs that
    fraction of the rate at most, and never lets too much through.

    Args:
        window_ms: The length of the window.
    """

    # Two lists and where they begin: a deque takes the memory of ten of them, and there may be a
    # window for every recipient.
    __slots__ = ("_first", "_grain_ms", "_stamps", "_units", "_used", "window_ms")

    def __init__(self, window_ms: int) -> None:
        self.window_ms = window_ms
        self._grain_ms = max(1, window_ms // RATE_BUCKETS)
        self._stamps: list[int] = []  # ascending
        self._units: list[int] = []
        self._first = 0
        self._used = 0

    def add(self, units: int, decided_ms: int, returned_ms: int) -> None:
        """Counts units whose submit returned at a time; when it was decided does not matter."""
        stamp = -(-(returned_ms + 1) // self._grain_ms) * self._grain_ms
        stamps = self._stamps
        if len(stamps) > self._first and stamps[-1] >= stamp:
            self._units[-1] += units
        else:
            stamps.append(stamp)
            self._units.append(units)
        self._used += units

    def used(self, now_ms: int) -> int:
        """The units that count now. Cost: 0.2 µs."""
        stamps, first = self._stamps, self._first
        past_ms = now_ms - self.window_ms
        if first < len(stamps) and stamps[first] <= past_ms:
            while first < len(stamps) and stamps[first] <= past_ms:
                self._used -= self._units[first]
                first += 1
            if first * 2 >= len(stamps):
                del stamps[:first], self._units[:first]
                first = 0
            self._first = first
        return self._used

    def free_ms(self, units: int, now_ms: int) -> int:
        """When so many of the counted units will have left; now + window if they never will."""
        for at in range(self._first, len(self._stamps)):
            units -= self._units[at]
            if units <= 0:
                return self._stamps[at] + self.window_ms
        return now_ms + self.window_ms + 1

    def uses(self) -> Iterable[Use]:
        """What is counted, as history for another window."""
        for at in range(self._first, len(self._stamps)):
            stamp = self._stamps[at]
            yield Use(max(0, stamp - self._grain_ms - 1), stamp - 1, self._units[at])


class DailyCap:
    """Units in a calendar day of a zone.

    A unit that was decided on one day and returned on the next may have been seen on either, so it
    counts on both.
    """

    __slots__ = ("_from_ms", "_tomorrow", "_until_ms", "_used", "_zone")

    def __init__(self, zone: str) -> None:
        self._zone = ZoneInfo(zone)
        self._from_ms = self._until_ms = 0
        self._used = 0
        self._tomorrow = 0

    def add(self, units: int, decided_ms: int, returned_ms: int) -> None:
        """Counts units that left between two times, of which the second is at most now."""
        self.used(returned_ms)
        if self._from_ms <= returned_ms + 1 and decided_ms < self._until_ms:
            self._used += units
        if returned_ms + 1 >= self._until_ms:
            self._tomorrow += units

    def used(self, now_ms: int) -> int:
        """The units of today."""
        if now_ms >= self._until_ms:
            # What a stamp has put past midnight counts on; it is today's if today is that day.
            self._used = self._tomorrow if now_ms < self._until_ms + DAY_MS else 0
            self._tomorrow = 0
            today = datetime.fromtimestamp(now_ms / 1_000, self._zone).date()
            self._from_ms = self._midnight(today.toordinal())
            self._until_ms = self._midnight(today.toordinal() + 1)
        return self._used

    def free_ms(self, units: int, now_ms: int) -> int:
        """The midnight that ends today."""
        return self._until_ms

    def _midnight(self, day: int) -> int:
        start = datetime.min.replace(tzinfo=self._zone) + timedelta(days=day - 1)
        return round(start.timestamp() * 1_000)


class Room(NamedTuple):
    """What may leave now.

    Attributes:
        pace: Messages are taken while fewer units than this have been.
        units: All that is taken fits into this.
        messages: The most messages.
    """

    pace: int
    units: int
    messages: int = UNLIMITED
