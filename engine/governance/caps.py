"""Frequency caps: at most so many messages in a span, rolling or of the person's calendar.

What is kept of a person is when messages went out, by what they were (channel, purpose, tags,
topic), and only as long as some cap still counts them. A cap lets nothing through once it is full,
so it also bounds what is kept. A rolling span of 7d holds what was sent less than seven days ago: a
message that went out at noon makes room at noon a week later. A day of the calendar begins at
midnight, a week on Monday, a month on its first, on the person's wall.
"""

from bisect import bisect_right
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from engine import limits, zones
from engine.durations import render
from engine.messages.message import EMAIL, PUSH, SMS

STATE: Final = "sends"  # in `Entity.state`: label to ascending times (ms)
DAY: Final = "day"
WEEK: Final = "week"

Sends = dict[str, list[int]]
_NOUNS: Final = {"": "message", SMS: "text", EMAIL: "e-mail", PUSH: "push message"}
_ONE_DAY: Final = timedelta(days=1)
_DAY_MS: Final = 86_400_000
# How long a period of the calendar may count a time: its longest, and a move around the world.
_LONGEST_MS: Final = {DAY: 3 * _DAY_MS, WEEK: 9 * _DAY_MS, "month": 33 * _DAY_MS}


def label_of(channel: str, purpose: str, topic: str, tags: Iterable[str]) -> str:
    """What a message was, as a text: `sms/marketing/promo,sale/newsletter`."""
    tagged = ",".join(sorted(set(tags))) if tags else ""
    return f"{channel}/{purpose}/{tagged}/{topic}"


class Cap:
    """One cap, compiled.

    Attributes:
        at_most: How many.
        applies_to: The purposes that it counts and holds back.
        holds: Whether a message waits for room; else it is dropped.
    """

    __slots__ = ("_channel", "_per", "_tag", "_topic", "applies_to", "at_most", "holds")

    def __init__(
        self,
        at_most: int,
        per: int | str,
        channel: str,
        topic: str,
        tag: str,
        applies_to: tuple[str, ...],
        holds: bool,
    ) -> None:
        self.at_most = at_most
        self._per = per
        self._channel = channel
        self._topic = topic
        self._tag = tag
        self.applies_to = applies_to
        self.holds = holds

    def takes(self, label: str) -> bool:
        """Whether it is about messages of this label. Cost: 0.4 µs."""
        channel, purpose, tags, topic = label.split("/", 3)
        return (
            purpose in self.applies_to
            and (not self._channel or channel == self._channel)
            and (not self._topic or topic == self._topic)
            and (not self._tag or self._tag in tags.split(","))
        )

    @property
    def is_of_calendar(self) -> bool:
        """Whether it counts in periods of the person's calendar."""
        return isinstance(self._per, str)

    @property
    def horizon_ms(self) -> int:
        """How long a time may still be counted."""
        per = self._per
        return _LONGEST_MS[per] if isinstance(per, str) else per

    def since_ms(self, now_ms: int, zone: ZoneInfo) -> int:
        """The first millisecond of the span that ends now, or of the period that it is now."""
        per = self._per
        if isinstance(per, int):
            return now_ms - per + 1
        return _period(now_ms, per, zone)[0]

    def free_ms(self, times: list[int], now_ms: int, zone: ZoneInfo) -> int:
        """When the next message may go out, after so many in the span, which is full."""
        per = self._per
        if isinstance(per, str):
            return _period(now_ms, per, zone)[1]
        return times[len(times) - self.at_most] + per

    def words(self, count: int) -> str:
        """How full it is, as a person reads it: `3 marketing texts in 7 days`."""
        of = f" of topic {self._topic!r}" if self._topic else ""
        tagged = f" tagged {self._tag!r}" if self._tag else ""
        per = self._per
        span = f"this calendar {per}" if isinstance(per, str) else f"in {_days(per)}"
        noun = _NOUNS[self._channel] + ("" if count == 1 else "s")
        return f"{count} {' or '.join(self.applies_to)} {noun}{of}{tagged} {span}"


def _days(span_ms: int) -> str:
    days, rest_ms = divmod(span_ms, _DAY_MS)
    if rest_ms or not days:
        return render(span_ms)
    return "1 day" if days == 1 else f"{days} days"


class Caps:
    """All caps of a policy. What each label is to them is found once."""

    __slots__ = ("_all", "_of")

    def __init__(self, caps: Iterable[Cap]) -> None:
        self._all = tuple(caps)
        self._of: dict[str, tuple[Cap, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self._all)

    @property
    def reads_zone(self) -> bool:
        """Whether one is of the calendar."""
        return any(cap.is_of_calendar for cap in self._all)

    def of(self, label: str) -> tuple[Cap, ...]:
        """The caps that are about messages of a label. Cost: 0.1 µs once it is known."""
        found = self._of.get(label)
        if found is None:
            if len(self._of) >= limits.LABELS_KNOWN:
                self._of.clear()
            found = self._of[label] = tuple(cap for cap in self._all if cap.takes(label))
        return found

    def times(self, cap: Cap, sends: Sends) -> list[int]:
        """When messages that a cap is about went out, ascending; not to be changed."""
        found = [times for label, times in sends.items() if cap in self.of(label)]
        return found[0] if len(found) == 1 else sorted(at for times in found for at in times)

    def count(self, entity: Any, label: str, now_ms: int) -> None:
        """Counts a message that goes out now; what no cap counts any more is forgotten."""
        sends: Sends = entity.state.get(STATE) or {}
        if self.of(label):
            times = sends.setdefault(label, [])
            times.insert(bisect_right(times, now_ms), now_ms)
        for known in [*sends]:
            times = sends[known]
            horizon_ms = max((cap.horizon_ms for cap in self.of(known)), default=0)
            if times[0] <= now_ms - horizon_ms:
                times = sends[known] = [at for at in times if at > now_ms - horizon_ms]
            if not times:
                del sends[known]
        _keep(entity, sends)


def uncount(entity: Any, label: str, at_ms: int) -> None:
    """Takes back that a message went out: it never left."""
    sends: Sends = entity.state.get(STATE) or {}
    times = sends.get(label)
    if times is None or at_ms not in times:
        return
    times = [*times]
    times.remove(at_ms)
    kept = {**sends, label: times}
    if not times:
        del kept[label]
    _keep(entity, kept)


def join(mine: Sends, theirs: Sends) -> Sends:
    """What went out to two profiles that are one from now on."""
    joined = dict(mine)
    for label, times in theirs.items():
        joined[label] = sorted([*joined.get(label, ()), *times])
    return joined


def _keep(entity: Any, sends: Sends) -> None:
    if sends:
        entity.state[STATE] = sends
    else:
        entity.state.pop(STATE, None)


def _period(now_ms: int, period: str, zone: ZoneInfo) -> tuple[int, int]:
    """From when to when the period is that it is now (ms). Cost: 0.2 µs if it was asked before."""
    known = _periods.get((period, zone.key))
    if known is not None and known[0] <= now_ms < known[1]:
        return known
    start_ms = zones.instant(_first_day(now_ms, period, zone), zone)
    end_ms = zones.instant(_next_first_day(now_ms, period, zone), zone)
    _periods[period, zone.key] = start_ms, end_ms
    return start_ms, end_ms


_periods: dict[tuple[str, str], tuple[int, int]] = {}  # at most one for each zone that there is


def _first_day(now_ms: int, period: str, zone: ZoneInfo) -> datetime:
    day = zones.wall(now_ms, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    if period == DAY:
        return day
    return day - day.weekday() * _ONE_DAY if period == WEEK else day.replace(day=1)


def _next_first_day(now_ms: int, period: str, zone: ZoneInfo) -> datetime:
    first = _first_day(now_ms, period, zone)
    if period == DAY:
        return first + _ONE_DAY
    if period == WEEK:
        return first + 7 * _ONE_DAY
    return (first + 31 * _ONE_DAY).replace(day=1)
