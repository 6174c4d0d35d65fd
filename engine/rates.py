"""The limits of a lane: how much may leave now, and when more may.

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
"""

from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from engine.limits import PACE_TOLERANCE_MS, RATE_BUCKETS

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
# The longest calendar day has 25 hours. This history is kept by every lane, so that a limit that is
# added or changed knows what was sent before it.
DAY_MS: Final = 25 * HOUR_MS
KEPT_MS: Final = (MINUTE_MS, HOUR_MS, DAY_MS)

UNLIMITED: Final = 1 << 60


class Limit(NamedTuple):
    """So many units in every sliding window, or in every calendar day of a zone."""

    units: int
    window_ms: int
    zone: str | None = None

    def __str__(self) -> str:
        if self.zone is not None:
            return f"{self.units} a day ({self.zone})"
        return f"{self.units} in {self.window_ms} ms"


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

    def __init__(self, units: int, window_ms: int, now_ms: int) -> None:
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

    __slots__ = ("_grain_ms", "_stamps", "_used", "window_ms")

    def __init__(self, window_ms: int) -> None:
        self.window_ms = window_ms
        self._grain_ms = max(1, window_ms // RATE_BUCKETS)
        self._stamps: deque[list[int]] = deque()  # [stamp, units], stamps ascending
        self._used = 0

    def add(self, units: int, returned_ms: int) -> None:
        """Counts units whose submit returned at a time."""
        stamp = -(-(returned_ms + 1) // self._grain_ms) * self._grain_ms
        stamps = self._stamps
        if stamps and stamps[-1][0] >= stamp:
            stamps[-1][1] += units
        else:
            stamps.append([stamp, units])
        self._used += units

    def used(self, now_ms: int) -> int:
        """The units that count now. Cost: 0.2 µs."""
        stamps = self._stamps
        while stamps and stamps[0][0] + self.window_ms <= now_ms:
            self._used -= stamps.popleft()[1]
        return self._used

    def freed_ms(self, units: int, now_ms: int) -> int:
        """When so many of the counted units will have left; now + window if they never will."""
        for stamp, stamped in self._stamps:
            units -= stamped
            if units <= 0:
                return stamp + self.window_ms
        return now_ms + self.window_ms + 1

    def uses(self) -> Iterable[Use]:
        """What is counted, as history for another window."""
        for stamp, units in self._stamps:
            yield Use(max(0, stamp - self._grain_ms - 1), stamp - 1, units)


class DailyCap:
    """Units in a calendar day of a zone.

    A unit that was decided on one day and returned on the next may have been seen on either, so it
    counts on both.
    """

    __slots__ = ("_from_ms", "_tomorrow", "_until_ms", "_used", "_zone", "zone")

    def __init__(self, zone: str) -> None:
        self.zone = zone
        self._zone = ZoneInfo(zone)
        self._from_ms = self._until_ms = 0
        self._used = 0
        self._tomorrow = 0

    def add(self, units: int, decided_ms: int, returned_ms: int) -> None:
        """Counts units that left between two times, of which the second is at most now."""
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

    def ends_ms(self) -> int:
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
    """

    pace: int
    units: int


class LaneLimits:
    """Any number of limits, held together.

    Args:
        limits: The lane's limits; none means unlimited.
        now_ms: The time.
    """

    __slots__ = ("_caps", "_limits", "_next", "_open", "_open_units", "_pacer", "_windows")

    def __init__(self, limits: Sequence[tuple[int, int, str | None]], now_ms: int) -> None:
        self._windows: dict[int, SlidingWindow] = {}
        self._caps: dict[str, DailyCap] = {}
        self._open: dict[int, tuple[int, int]] = {}  # reservation: (units, decided_ms)
        self._open_units = 0
        self._next = 0
        self._limits: tuple[Limit, ...] = ()
        self._pacer: Pacer | None = None
        self.configure(limits, now_ms)

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The limits as they stand."""
        return self._limits

    @property
    def largest(self) -> int:
        """The most units that one message may have; a longer one could never leave."""
        return min((limit.units for limit in self._limits), default=UNLIMITED)

    @property
    def in_flight(self) -> int:
        """Units that are reserved and not stamped yet."""
        return self._open_units

    def configure(self, limits: Sequence[tuple[int, int, str | None]], now_ms: int) -> None:
        """Changes the limits at once. What was sent before counts under the new ones as well."""
        wanted = tuple(Limit(*limit) for limit in limits)
        if wanted == self._limits and self._windows:
            return
        sliding = [limit for limit in wanted if limit.zone is None]
        windows: dict[int, SlidingWindow] = {}
        for window_ms in sorted({limit.window_ms for limit in sliding} | set(KEPT_MS)):
            kept = self._windows.get(window_ms)
            windows[window_ms] = kept if kept is not None else self._derived(window_ms)
        zones = dict.fromkeys(limit.zone for limit in wanted if limit.zone is not None)
        self._caps = {zone: self._caps.get(zone) or self._cap(zone, now_ms) for zone in zones}
        self._windows, self._limits = windows, wanted
        self._pacer = None
        if sliding:
            shortest = min(sliding, key=lambda limit: (limit.window_ms, limit.units))
            self._pacer = Pacer(shortest.units, shortest.window_ms, now_ms)

    def restore(self, uses: Iterable[Use], now_ms: int) -> None:
        """Takes in what was sent before a restart.

        Args:
            uses: What has no stamp comes with `latest_ms` now. A stamp from the future (the wall
                clock was put back) counts as of now.
            now_ms: The time.
        """
        for cap in self._caps.values():
            cap.used(now_ms)
        for use in sorted(uses, key=lambda use: use.latest_ms):
            latest_ms = min(use.latest_ms, now_ms)
            for window in self._windows.values():
                window.add(use.units, latest_ms)
            for cap in self._caps.values():
                cap.add(use.units, min(use.earliest_ms, latest_ms), latest_ms)

    def room(self, now_ms: int) -> Room:
        """What may leave now. Cost: about 1 µs, once a batch."""
        units = UNLIMITED
        for limit in self._limits:
            units = min(units, limit.units - self._counted(limit, now_ms))
        pace = self._pacer.room(now_ms) if self._pacer is not None else UNLIMITED
        return Room(pace, max(0, units - self._open_units))

    def earliest(self, units: int, now_ms: int) -> int:
        """The first time at which so many units may leave, if nothing is stamped meanwhile.

        A lower bound that is never too late: whoever waits for it looks again at every stamp.
        """
        earliest_ms = now_ms
        if self._pacer is not None:
            earliest_ms = max(earliest_ms, self._pacer.ready_ms())
        for limit in self._limits:
            over = self._counted(limit, now_ms) + self._open_units + units - limit.units
            if over > 0:
                if limit.zone is not None:
                    at_ms = self._caps[limit.zone].ends_ms()
                else:
                    at_ms = self._windows[limit.window_ms].freed_ms(over, now_ms)
                earliest_ms = max(earliest_ms, at_ms)
        return earliest_ms

    def reserve(self, units: int, now_ms: int) -> int:
        """Counts units in every window until they are stamped.

        Args:
            units: At most what `room` said.
            now_ms: The time of the decision.

        Returns:
            The reservation, for `stamp` or `release`.
        """
        self._next += 1
        self._open[self._next] = (units, now_ms)
        self._open_units += units
        if self._pacer is not None:
            self._pacer.take(units, now_ms)
        return self._next

    def stamp(self, reservation: int, returned_ms: int) -> None:
        """The submit of a reservation has returned. Cost: about 2 µs, once a batch."""
        units, decided_ms = self._open.pop(reservation)
        self._open_units -= units
        for window in self._windows.values():
            window.add(units, returned_ms)
        for cap in self._caps.values():
            cap.used(returned_ms)
            cap.add(units, decided_ms, returned_ms)

    def release(self, reservation: int) -> None:
        """Takes back a reservation of which nothing was given to the carrier."""
        units, _ = self._open.pop(reservation)
        self._open_units -= units

    def used(self, now_ms: int) -> list[tuple[str, int, int]]:
        """For a status page: each limit in words, the units that count now, and its units."""
        return [
            (str(limit), self._counted(limit, now_ms) + self._open_units, limit.units)
            for limit in self._limits
        ]

    def _counted(self, limit: Limit, now_ms: int) -> int:
        if limit.zone is not None:
            return self._caps[limit.zone].used(now_ms)
        return self._windows[limit.window_ms].used(now_ms)

    def _derived(self, window_ms: int) -> SlidingWindow:
        """A window that was not kept, from the finest one that reaches as far back."""
        window = SlidingWindow(window_ms)
        longer = [at for at in sorted(self._windows) if at >= window_ms] or sorted(self._windows)
        if longer:
            source = longer[0] if longer[0] >= window_ms else longer[-1]
            for use in self._windows[source].uses():
                window.add(use.units, use.latest_ms)
        return window

    def _cap(self, zone: str, now_ms: int) -> DailyCap:
        cap = DailyCap(zone)
        cap.used(now_ms)
        if DAY_MS in self._windows:
            for use in self._windows[DAY_MS].uses():
                cap.add(use.units, use.earliest_ms, use.latest_ms)
        return cap
