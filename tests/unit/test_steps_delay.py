"""Delays: the next time of day, moments and their offsets, chance between two bounds."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journey_helpers import Town

from engine import zones
from engine.journeys.steps.delay_until import DAYS, _next, _shift

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]
DAY_MS = 86_400_000


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


MOMENTS = st.integers(at("2024-01-01T00:00Z"), at("2030-01-01T00:00Z"))
TIMES = st.times().map(lambda t: t.replace(microsecond=0))


@given(
    now_ms=MOMENTS,
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    wanted=TIMES,
    days=st.sets(st.integers(0, 6), min_size=1).map(frozenset),
)
def test_a_time_of_day_is_the_first_ahead_on_such_a_day(
    now_ms: int, zone: ZoneInfo, wanted: time, days: frozenset[int]
) -> None:
    due_ms = _next(now_ms, zone, wanted, days)
    assert now_ms < due_ms <= now_ms + 8 * DAY_MS
    clock = zones.wall(due_ms, zone)
    skipped = clock.time() != wanted  # only where the clock jumps over it
    assert clock.weekday() in days
    if skipped:
        assert zones.wall(due_ms - 3 * 3_600_000, zone).utcoffset() is None
        assert zone.utcoffset(clock) != zone.utcoffset(clock - timedelta(hours=3))
    # No earlier day would have done.
    day = zones.wall(now_ms, zone).date()
    while day < clock.date():
        candidate = zones.instant(datetime.combine(day, wanted), zone)
        assert candidate <= now_ms or day.weekday() not in days
        day += timedelta(days=1)


@given(now_ms=MOMENTS, zone=st.sampled_from(ZONES).map(ZoneInfo), days=st.integers(-400, 400))
def test_whole_days_keep_the_clock_time(now_ms: int, zone: ZoneInfo, days: int) -> None:
    before, after = (
        zones.wall(now_ms, zone),
        zones.wall(_shift(now_ms, days * DAY_MS, None, zone), zone),
    )
    wanted = before + timedelta(days=days)
    assert after == wanted or zones.instant(wanted, zone) == zones.instant(after, zone)


def test_what_is_left_of_whole_days_is_exact() -> None:
    noon = at("2026-03-28T12:00+01:00")
    hour = 3_600_000
    assert _shift(noon, DAY_MS, None, BERLIN) == at("2026-03-29T12:00+02:00")
    assert _shift(noon, DAY_MS + 2 * hour, None, BERLIN) == at("2026-03-29T14:00+02:00")
    assert _shift(noon, 23 * hour, None, BERLIN) == at("2026-03-29T12:00+02:00")
    assert _shift(noon, -DAY_MS, time(8), BERLIN) == at("2026-03-27T08:00+01:00")


def test_days_begin_with_monday_as_the_calendar_says() -> None:
    assert DAYS[datetime(2026, 1, 5).weekday()] == "mon"  # noqa: DTZ001 - a day has no zone
    assert DAYS[datetime(2026, 1, 11).weekday()] == "sun"  # noqa: DTZ001


def test_random_delays_fill_their_bounds_and_differ_from_run_to_run() -> None:
    town = Town(
        "journey: j\nentry: {event: Go, key: properties.n}\n"
        "steps: {a: {delay: {between: [1h, 3h]}}}"
    )
    dues = []
    for number in range(50):
        town.track("Go", n=number)
        dues.append(town.running()[-1].due_ms - town.now)
    assert 3_600_000 <= min(dues) < 4_500_000
    assert 10_000_000 < max(dues) <= 3 * 3_600_000
    assert len(set(dues)) == 50


def test_a_visit_in_a_loop_draws_anew() -> None:
    town = Town(
        "journey: j\nentry: {event: Go}\n"
        "steps: {a: {delay: {between: [1h, 3h]}, then: b}, b: {delay: 1d, then: a}}"
    )
    town.track("Go")
    town.at("10d")
    (run,) = town.running()
    moments = [ms for ms, step, _, _ in run.trail if step == "b"]
    arrivals = [ms for ms, step, _, _ in run.trail if step == "a"]
    drawn = [left - came for came, left in zip(arrivals, moments, strict=False)]
    assert len(set(drawn)) == len(drawn) > 5


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("1990-01-01", "has passed"),
        ("0001-01-01", "has passed"),
        ("9999-12-31", "is more than 730d ahead"),
        ("9999-12-31T23:59:59-12:00", "is more than 730d ahead"),
        (True, "is not known: no date was found there"),
        ({"a": 1}, "is not known: no date was found there"),
        (None, "is not known: no date was found there"),
    ],
)
@pytest.mark.parametrize("offset", ["", ", before: 700d", ", after: 700d, time: '08:00'"])
def test_a_moment_that_lies_nowhere_holds_nobody(value: object, why: str, offset: str) -> None:
    town = Town(
        "journey: j\nentry: {event: Go}\nsteps:\n"
        f"  a: {{delay: {{until: properties.at{offset}}}, past: late}}\n  late: {{end: true}}"
    )
    town.track("Go", at=value)
    run = town.only()
    assert run.status == "completed"
    assert run.step == "late"
    assert "not waited" in [what for _, _, what, _ in run.trail]
    if not (offset and str(value)[:4] in ("0001", "9999")):
        assert any(why in words for _, _, _, words in run.trail)


def test_a_moment_exactly_now_has_come() -> None:
    town = Town(
        "journey: j\nentry: {event: Go}\n"
        "steps: {a: {delay: {until: properties.at}, then: b, past: end}, b: {delay: 1d}}"
    )
    town.track("Go", at=town.now)
    town.at("1s")
    assert town.only().step == "b"


def test_a_run_that_comes_back_at_the_moment_it_waited_for_does_not_wait_again() -> None:
    town = Town(
        "journey: j\nentry: {event: Go}\nsteps:\n"
        "  a: {delay: {until: traits.at}, then: told, past: rest}\n"
        "  told: {update: {add: {told: 1}}, then: a}\n"
        "  rest: {delay: 30d, then: a}"
    )
    town.identify(at=town.now + DAY_MS)
    town.track("Go")
    town.at("2d")
    assert town.person().traits["told"] == 1
    assert town.only().step == "rest"
    town.identify(at=town.now + DAY_MS)  # behind the rest, so it has passed by then
    town.at("40d")
    assert town.person().traits["told"] == 1
