"""Limits of a lane, at the very millisecond."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from engine.lanes.lane_limits import LaneLimits, Reservation
from engine.lanes.rates import DAY_MS, SlidingWindow, Use
from engine.limits import PACE_TOLERANCE_MS

START = 1_700_000_000_000
PACIFIC = "America/Los_Angeles"


def pacific(text: str) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(PACIFIC))
    return round(moment.timestamp() * 1_000)


def send(lane: LaneLimits, units: int, now_ms: int, returned_ms: int | None = None) -> bool:
    if units > lane.room(now_ms).units:
        return False
    reservation = lane.reserve(units, now_ms)
    lane.stamp(reservation, now_ms if returned_ms is None else returned_ms)
    return True


def test_a_unit_counts_until_one_window_after_its_submit_returned() -> None:
    lane = LaneLimits([(10, 1_000, None)], START)
    assert send(lane, 10, START, returned_ms=START + 400)
    assert lane.room(START + 1_400).units == 0
    assert lane.earliest(10, START + 400) == START + 1_401
    assert lane.room(START + 1_401).units == 10


def test_a_unit_counts_in_every_window_until_it_is_stamped() -> None:
    lane = LaneLimits([(10, 1_000, None), (100, 60_000, None), (5, 86_400_000, PACIFIC)], START)
    reservation = lane.reserve(5, START)
    assert lane.room(START + 3 * 86_400_000).units == 0
    assert lane.in_flight == 5
    lane.stamp(reservation, START + 3 * 86_400_000)
    assert lane.in_flight == 0
    assert lane.room(START + 3 * 86_400_000).units == 0
    assert lane.room(START + 5 * 86_400_000).units == 5


def test_what_was_not_given_away_counts_no_more() -> None:
    lane = LaneLimits([(10, 1_000, None)], START)
    lane.release(lane.reserve(10, START))
    assert lane.room(START).units == 10


def test_several_limits_hold_together() -> None:
    lane = LaneLimits([(10, 1_000, None), (25, 60_000, None)], START)
    sent = [at for at in range(0, 60_000, 500) if send(lane, 5, START + at)]
    assert len(sent) == 5
    assert sent[:2] == [0, 500]
    assert START + 60_001 <= lane.earliest(5, START + 59_000) <= START + 60_001 + 60


def test_a_message_of_more_units_than_a_limit_has_is_known_at_once() -> None:
    assert LaneLimits([(3, 1_000, None), (9, 60_000, None)], START).largest == 3
    assert LaneLimits([], START).largest > 1_000_000


def test_pacing_spreads_a_second_and_gives_an_idle_lane_a_tenth_of_it() -> None:
    lane = LaneLimits([(100, 1_000, None)], START)
    assert lane.room(START).pace == 1
    assert lane.room(START + PACE_TOLERANCE_MS).pace == 11
    lane.stamp(lane.reserve(11, START + 100), START + 100)
    assert lane.room(START + 100).pace == 0
    assert lane.earliest(1, START + 100) == START + 110
    assert lane.room(START + 110).pace == 1


@pytest.mark.parametrize("latency_ms", [0, 1, 5])
@pytest.mark.parametrize(("rate", "window_ms"), [(100, 1_000), (7, 1_000), (3_000, 60_000)])
def test_a_busy_lane_reaches_99_percent_of_its_rate(
    rate: int, window_ms: int, latency_ms: int
) -> None:
    lane = LaneLimits([(rate, window_ms, None)], START)
    now, sent = START, 0
    flying: list[tuple[int, Reservation]] = []
    for now in range(START, START + 10 * window_ms):
        while flying and flying[0][0] <= now:
            at, reservation = flying.pop(0)
            lane.stamp(reservation, at)
        pace, units, _ = lane.room(now)
        if pace and units:
            flying.append((now + latency_ms, lane.reserve(1, now)))
            sent += 1
    assert sent <= rate * 10 + rate // 10
    assert sent >= rate * 10 * 0.99 - 1


def test_a_day_is_a_day_in_the_zone_of_the_limit() -> None:
    evening = pacific("2025-03-08T23:00:00")
    midnight = pacific("2025-03-09T00:00:00")
    lane = LaneLimits([(100, 86_400_000, PACIFIC)], evening)
    assert send(lane, 100, evening)
    assert lane.earliest(1, evening) == midnight
    assert lane.room(midnight - 1).units == 0
    assert send(lane, 100, midnight)
    # The day on which the clocks are put forward has 23 hours.
    assert lane.earliest(1, midnight) == midnight + 23 * 3_600_000


def test_a_submit_across_midnight_counts_on_both_days() -> None:
    midnight = pacific("2025-06-02T00:00:00")
    lane = LaneLimits([(100, 86_400_000, PACIFIC)], midnight - 10)
    assert send(lane, 60, midnight - 5, returned_ms=midnight + 5)
    assert lane.room(midnight + 5).units == 40


def test_a_restart_keeps_every_window() -> None:
    now = pacific("2025-06-02T12:00:00")
    limits = [(10, 1_000, None), (50, 60_000, None), (500, 86_400_000, PACIFIC)]
    lane = LaneLimits(limits, now)
    lane.restore(
        [
            Use(now - 30_000, now - 29_000, 30),
            Use(now - 400, now, 4),  # its submit had not returned
            Use(now - 3_600_000, now - 3_500_000, 200),
            Use(now - 13 * 3_600_000, now - 13 * 3_600_000, 250),  # yesterday
        ],
        now,
    )
    assert [used for _, used, _ in lane.used(now)] == [4, 34, 234]
    assert lane.room(now).pace == 1


def test_stamps_from_the_future_do_not_stop_a_lane() -> None:
    lane = LaneLimits([(10, 1_000, None)], START)
    lane.restore([Use(START + 10_000_000, START + 10_000_000, 10)], START)
    assert lane.earliest(10, START) == START + 1_001


def test_changed_limits_hold_at_once_and_know_what_was_sent() -> None:
    lane = LaneLimits([(100, 1_000, None)], START)
    for at in range(0, 10_000, 1_001):
        assert send(lane, 100, START + at)
    now = START + 10_000
    lane.configure([(100, 1_000, None), (1_200, 60_000, None), (1_100, 86_400_000, PACIFIC)], now)
    assert lane.room(now).units == 0
    assert lane.room(now + 1_001).units == 100
    lane.configure([(50, 5_000, None)], now)
    assert lane.room(now).units == 0
    assert lane.room(now).pace == 1
    lane.configure([], now)
    assert lane.room(now).units > 1_000_000


def test_a_window_is_bounded_in_memory() -> None:
    window = SlidingWindow(DAY_MS)
    for at in range(0, 2 * DAY_MS, 20_000):
        window.add(1, START + at, START + at)
        window.used(START + at)
    assert len(window._stamps) <= 2_002  # at most half of it has passed
    assert DAY_MS // 20_000 <= window.used(START + 2 * DAY_MS) <= DAY_MS // 20_000 * 1.002
