"""What a country usually has at each hour of the day, as its own past shows.

A day has 24 places, each with the codes of that hour and with how long it was seen; both fade by
the day. What came within the last day is kept apart until the same hour comes again: an attack that
goes on for hours does not make itself usual.
"""

import math
from typing import Any, Final

from engine.fraud.figures import DAY_MS, HOUR_MS

_HOURS: Final = 24
_LONGEST_MS: Final = 2 * HOUR_MS  # what came within a longer time is of no hour that is known
_BACK: Final = 5  # so many hours before this one still count a little
_TRUSTED: Final = 1.5  # days that have to be known of each of them
_UNKNOWN: Final = -1.0


class Season:
    """See the module's text.

    Args:
        history_half_ms: How fast history fades.
        row: What `row` gave, or nothing.
    """

    __slots__ = ("_codes", "_day", "_last", "_new", "_new_seen", "_seen")

    def __init__(self, history_half_ms: int, row: list[Any] | None = None) -> None:
        self._day = math.pow(0.5, DAY_MS / history_half_ms)
        self._last = -1
        self._codes = [0.0] * _HOURS
        self._seen = [0.0] * _HOURS
        self._new = [0.0] * _HOURS
        self._new_seen = [0.0] * _HOURS
        if row:
            self._last = row[0]
            self._codes, self._seen, self._new, self._new_seen = [each[:] for each in row[1:]]

    def row(self) -> list[Any]:
        """What a restart keeps of it."""
        return [
            self._last, self._codes[:], self._seen[:], self._new[:], self._new_seen[:],
        ]  # fmt: skip

    def learn(self, codes: float, from_ms: int, now_ms: int) -> None:
        """So many codes came since a time, evenly."""
        past_ms = now_ms - from_ms
        if past_ms > _LONGEST_MS:
            return
        start_ms = from_ms
        while start_ms < now_ms:
            hour = start_ms // HOUR_MS
            end_ms = min(now_ms, (hour + 1) * HOUR_MS)
            part_ms = end_ms - start_ms
            at = hour % _HOURS
            if hour > self._last:
                self._begin(hour)
            self._new[at] += codes * part_ms / past_ms
            self._new_seen[at] += part_ms / HOUR_MS
            start_ms = end_ms

    def expected(self, now_ms: int, half_ms: int) -> float:
        """The codes that are usual by now, those of earlier hours fading; below 0 if not known.

        Args:
            now_ms: The time.
            half_ms: How fast they fade.

        Cost: 0.5 µs.
        """
        hour = now_ms // HOUR_MS
        if hour > self._last:
            self._begin(hour)
        left = math.pow(0.5, (now_ms - hour * HOUR_MS) / half_ms)
        hourly = math.pow(0.5, HOUR_MS / half_ms)
        total, weight = 0.0, 1.0 - left
        for back in range(_BACK + 1):
            at = (hour - back) % _HOURS
            seen = self._seen[at]
            if seen < _TRUSTED:
                return _UNKNOWN
            total += weight * self._codes[at] / seen
            weight = left * (1.0 - hourly)
            left *= hourly
        return total * 1.4427 * half_ms / HOUR_MS

    def _begin(self, hour: int) -> None:
        """Another hour begins: what this hour of the day had a day ago is history now."""
        for each in range(max(self._last + 1, hour - _HOURS + 1), hour + 1):
            at = each % _HOURS
            self._codes[at] = self._codes[at] * self._day + self._new[at]
            self._seen[at] = self._seen[at] * self._day + self._new_seen[at]
            self._new[at] = self._new_seen[at] = 0.0
        self._last = hour
