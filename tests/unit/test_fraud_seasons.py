"""What a country usually has at an hour of the day, and what more than that means."""

import math
from math import cos, pi

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.fraud import Figures, FraudGuard
from engine.fraud.figures import DAY_MS, HOUR_MS
from engine.fraud.node import Area, excess, health, hour_surprise, usual_now
from engine.fraud.seasons import Season
from tests.unit.test_fraud import Street

FIGURES = Figures()
HALF_MS = FIGURES.health_half_ms
STEP_MS = 600_000
ORIGIN_MS = 20_000 * DAY_MS


@pytest.fixture
def street() -> Street:
    found = Street()
    found.pass_time(3 * DAY_MS)
    return found


def rate(at_ms: int) -> float:
    """Codes an hour: 90 in the evening, 10 in the morning."""
    return 50.0 + 40.0 * cos(2 * pi * (at_ms % DAY_MS - 18 * HOUR_MS) / DAY_MS)


def after(days: float, half_ms: int = FIGURES.history_half_ms) -> Season:
    season = Season(half_ms)
    for at_ms in range(ORIGIN_MS, ORIGIN_MS + int(days * DAY_MS), STEP_MS):
        season.learn(rate(at_ms) * STEP_MS / HOUR_MS, at_ms, at_ms + STEP_MS)
    return season


def lately(at_ms: int) -> float:
    """The same codes, those of earlier hours fading, counted one step after the other."""
    steps = range(STEP_MS, 12 * HOUR_MS, STEP_MS)
    return sum(rate(at_ms - s) * STEP_MS / HOUR_MS * math.pow(0.5, s / HALF_MS) for s in steps)


def country(season: Season | None, now_ms: int, fresh: float) -> Area:
    """A country that has had 50 codes an hour for a month, and so many lately."""
    area = Area("GB", now_ms - 30 * DAY_MS)
    area.season, area.fresh, area.faded_ms = season, fresh, now_ms
    area.good, area.bad = 0.8 * 50 * 24 * 10.0, 0.2 * 50 * 24 * 10.0
    return area


@pytest.mark.parametrize("hour", [0, 5, 6, 12, 17, 18, 23])
def test_it_follows_the_hours_of_the_day(hour: int) -> None:
    now_ms = ORIGIN_MS + 4 * DAY_MS + hour * HOUR_MS + HOUR_MS // 2
    season = after(4 + (hour + 0.5) / 24)
    assert season.expected(now_ms, HALF_MS) == pytest.approx(lately(now_ms), rel=0.12, abs=3)


def test_it_is_not_believed_before_it_has_seen_an_hour_on_two_days() -> None:
    now_ms = ORIGIN_MS + DAY_MS + 12 * HOUR_MS
    assert after(1.5).expected(now_ms, HALF_MS) < 0
    assert after(2.5).expected(now_ms + DAY_MS, HALF_MS) > 0
    assert Season(FIGURES.history_half_ms).expected(now_ms, HALF_MS) < 0


def test_what_came_today_is_not_usual_before_tomorrow() -> None:
    season, now_ms = after(4.0), ORIGIN_MS + 4 * DAY_MS
    before = after(4.0).expected(now_ms + 6 * HOUR_MS, HALF_MS)
    for at_ms in range(now_ms, now_ms + 6 * HOUR_MS, STEP_MS):
        season.learn(500.0, at_ms, at_ms + STEP_MS)
    assert season.expected(now_ms + 6 * HOUR_MS, HALF_MS) == before
    assert season.expected(now_ms + 30 * HOUR_MS, HALF_MS) > 2 * before


def test_what_came_in_a_long_time_is_of_no_hour() -> None:
    season = Season(FIGURES.history_half_ms)
    season.learn(1_000.0, ORIGIN_MS, ORIGIN_MS + 5 * HOUR_MS)
    assert season.row() == Season(FIGURES.history_half_ms).row()


@given(st.lists(st.tuples(st.integers(1, 3 * HOUR_MS), st.integers(0, 50)), max_size=40))
def test_nothing_is_counted_twice_and_a_restart_changes_nothing(
    steps: list[tuple[int, int]],
) -> None:
    season, now_ms, total = Season(2**60), ORIGIN_MS, 0.0
    for past_ms, codes in steps:
        season.learn(codes, now_ms, now_ms + past_ms)
        now_ms += past_ms
        total += codes if past_ms <= 2 * HOUR_MS else 0
    row = season.row()
    assert sum(row[1]) + sum(row[3]) == pytest.approx(total)
    again = Season(2**60, msgpack.unpackb(msgpack.packb(row)))
    assert again.row() == row
    again.learn(7.0, now_ms, now_ms + 60_000)
    assert season.row() == row, "nothing is shared"


def test_a_flood_at_night_is_seen_that_a_whole_day_hides() -> None:
    now_ms = ORIGIN_MS + 4 * DAY_MS + 6 * HOUR_MS
    season = after(4.25)
    usual = usual_now(country(season, now_ms, 0.0), now_ms, FIGURES)
    assert usual < 25
    flood = country(season, now_ms, 4 * usual)
    assert excess(flood, now_ms, FIGURES) == 0.0
    assert hour_surprise(flood, now_ms, FIGURES) > 0.5
    assert hour_surprise(country(season, now_ms, usual), now_ms, FIGURES) == 0.0
    assert hour_surprise(country(None, now_ms, 4 * usual), now_ms, FIGURES) < 0


def test_codes_that_fail_in_a_flood_are_not_believed_to_be_an_outage() -> None:
    now_ms = ORIGIN_MS + 4 * DAY_MS + 6 * HOUR_MS

    def well(season: Season | None) -> float:
        flood = country(season, now_ms, 100.0)
        flood.due, flood.seen = 20.0, 2.0
        return health(flood, flood, now_ms, FIGURES)

    assert well(None) < 0.25
    assert well(after(4.25)) == 1.0


def test_an_explanation_says_how_unusual_the_hour_is(street: Street) -> None:
    book = street.guard._books["w"]
    season = Season(FIGURES.history_half_ms, [street.now // HOUR_MS, *([[2.0] * 24] * 4)])
    book.areas["GB"].season = season
    book.areas["GB"].fresh = 200.0
    assert street.attack([f"+44738811{at * 7:04d}0"[:13] for at in range(60)], 60_000) < 60
    told = [each["why"] for each in street.guard.blocks(street.now)]
    assert told
    assert all("times the codes that are usual at this hour" in why for why in told)


def test_a_snapshot_without_seasons_is_read(street: Street) -> None:
    kept = msgpack.unpackb(msgpack.packb(street.guard.snapshot()))
    areas = kept[1]["w"][1]
    assert any(row[-1] for row in areas)
    for row in (*areas, kept[1]["w"][0]):
        del row[-1]
    again = FraudGuard()
    again.restore([3, *kept[1:]])
    assert all(area.season is None for area in again._books["w"].areas.values())
    assert again.check("w", "sms", "otp", "+447701001234", street.now) is None
