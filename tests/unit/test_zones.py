"""What a clock on a wall shows: each way there and back, and the two nights of the year."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import limits, zones
from engine.entity import Entity

BERLIN = ZoneInfo("Europe/Berlin")
APIA = ZoneInfo("Pacific/Apia")  # went over the date line: it has no 30 December 2011
NAMES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
]


def at(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return int(moment.timestamp() * 1000)


@given(
    now_ms=st.integers(at("1990-01-01T00:00Z"), at("2040-01-01T00:00Z")),
    zone=st.sampled_from(NAMES).map(ZoneInfo),
)
def test_a_moment_is_found_again_unless_its_clock_time_comes_twice(
    now_ms: int, zone: ZoneInfo
) -> None:
    found = zones.instant(zones.wall(now_ms, zone), zone)
    assert found == now_ms or 0 < now_ms - found <= 2 * 3_600_000
    assert zones.wall(found, zone) == zones.wall(now_ms, zone)


@pytest.mark.parametrize(
    ("shown", "zone", "moment"),
    [
        ("2026-03-29T01:59", BERLIN, "2026-03-29T00:59Z"),
        ("2026-03-29T02:00", BERLIN, "2026-03-29T01:00Z"),  # the clock shows 03:00 then
        ("2026-03-29T02:30", BERLIN, "2026-03-29T01:30Z"),
        ("2026-03-29T03:00", BERLIN, "2026-03-29T01:00Z"),
        ("2026-10-25T02:30", BERLIN, "2026-10-25T00:30Z"),  # the first of two
        ("2026-10-25T03:00", BERLIN, "2026-10-25T02:00Z"),
        ("2011-12-30T12:00", APIA, "2011-12-30T22:00Z"),
    ],
)
def test_gaps_count_with_the_offset_before_and_of_two_the_first_is_meant(
    shown: str, zone: ZoneInfo, moment: str
) -> None:
    assert zones.instant(datetime.fromisoformat(shown), zone) == at(moment)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-07-01", "2026-06-30T22:00Z"),
        ("2026-07-01T10:00", "2026-07-01T08:00Z"),
        ("2026-07-01T10:00:00Z", "2026-07-01T10:00Z"),
        ("2026-07-01T10:00:00.250-04:00", "2026-07-01T14:00:00.250Z"),
        (" 2026-07-01 ", "2026-06-30T22:00Z"),
        (1_782_864_000, "2026-07-01T00:00Z"),
        (1_782_864_000_000, "2026-07-01T00:00Z"),
        (1_782_864_000.5, "2026-07-01T00:00:00.500Z"),
    ],
)
def test_a_moment_may_be_iso_or_unix_time(value: object, moment: str) -> None:
    assert zones.moment_of(value, BERLIN) == at(moment)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        "",
        "soon",
        "2026-13-01",
        [],
        {},
        float("nan"),
        float("inf"),
        10**15,
        b"2026-07-01",
    ],
)
def test_what_tells_of_no_moment_is_none(value: object) -> None:
    assert zones.moment_of(value, BERLIN) is None


@pytest.mark.parametrize(
    "value", ["0001-01-01T00:00", "9999-12-31T23:59:59", "0001-01-01T00:00+14:00"]
)
def test_the_ends_of_the_calendar_are_moments_or_none(value: str) -> None:
    found = zones.moment_of(value, ZoneInfo("Pacific/Kiritimati"))
    assert found is None or isinstance(found, int)


@pytest.mark.parametrize(
    ("trait", "zone", "wrong"),
    [
        (None, "UTC", ""),
        ("", "UTC", ""),
        ("Asia/Tokyo", "Asia/Tokyo", ""),
        ("Mars", "UTC", "'Mars' is no time zone, UTC was taken"),
        ("../etc/passwd", "UTC", "'../etc/passwd' is no time zone, UTC was taken"),
        ("Europe", "UTC", "'Europe' is no time zone, UTC was taken"),
        ("a\0b", "UTC", "'a\\x00b' is no time zone, UTC was taken"),
        ("\ud800", "UTC", None),
        ("x" * 5_000, "UTC", None),
        (5, "UTC", "'5' is no time zone, UTC was taken"),
        ([1], "UTC", "'[1]' is no time zone, UTC was taken"),
    ],
)
def test_a_persons_zone_is_a_trait_and_what_is_none_is_told(
    trait: object, zone: str, wrong: str | None
) -> None:
    entity = Entity("w/user/ann", 0)
    if trait is not None:
        entity.traits["timezone"] = trait
    found, told = zones.zone_of(entity)
    assert found.key == zone
    assert told == wrong if wrong is not None else len(told) < 100


def test_names_that_are_none_are_kept_up_to_a_limit() -> None:
    for number in range(limits.ZONES + 10):
        zones.find(f"Nowhere/{number}")
    assert zones.find.cache_info().currsize == limits.ZONES


def test_a_moment_is_shown_with_its_zone() -> None:
    assert zones.shown(at("2026-07-01T10:00Z"), BERLIN) == "2026-07-01 12:00 Europe/Berlin"
    assert zones.shown(at("2026-07-01T10:00:05Z"), BERLIN) == "2026-07-01 12:00:05 Europe/Berlin"
