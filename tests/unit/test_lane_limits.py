"""Limits that lanes share, that count by value, and that say what becomes of a message."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from engine import limits
from engine.lanes.caps import release_ms
from engine.lanes.lane_limits import LaneLimits
from engine.lanes.limit_values import Values
from engine.lanes.meters import Meters
from engine.lanes.queue import QueuedMessage
from engine.lanes.rates import FAIL, MESSAGES, REROUTE, Limit, Use

START = 1_700_000_000_000
PACIFIC = "America/Los_Angeles"


def shared(units: int, window_ms: int = 1_000, of: str = "brand", **fields: object) -> Limit:
    return Limit(units, window_ms, of=of)._replace(**fields)  # type: ignore[arg-type]


def lane(meters: Meters, name: str, *wanted: Limit, account: str = "acme") -> LaneLimits:
    return LaneLimits(wanted, START, name, account, meters)


def message(
    to: str = "+12025550123", units: int = 1, sender: str = "", channel: str = "sms"
) -> QueuedMessage:
    return QueuedMessage(
        "id", "w/user/u", "w", "main", channel, to, "marketing", "hi", "",
        10**15, False, 0, units=units, sender=sender,
    )  # fmt: skip


def test_lanes_of_an_account_draw_on_what_they_name_alike() -> None:
    meters = Meters()
    first, second = lane(meters, "w/a", shared(10)), lane(meters, "x/b", shared(10))
    other = lane(meters, "w/c", shared(10), account="another")
    taken = first.reserve(6, START)
    assert (second.room(START).units, other.room(START).units) == (4, 10)
    second.reserve(4, START)
    first.stamp(taken, START + 500)
    assert first.room(START + 1_400).units == 0
    assert first.room(START + 1_501).units == 6


def test_each_lane_holds_its_own_figure_on_what_is_shared() -> None:
    meters = Meters()
    wide, narrow = lane(meters, "w/a", shared(10)), lane(meters, "w/b", shared(4))
    wide.reserve(5, START)
    assert (wide.room(START).units, narrow.room(START).units) == (5, 0)


def test_messages_and_segments_are_counted_apart() -> None:
    both = LaneLimits([Limit(100, 1_000), Limit(3, 1_000, unit=MESSAGES)], START)
    both.reserve(20, START, messages=2)
    assert both.room(START).units == 80
    assert both.room(START + 1_000)[1:] == (80, 1)


def test_a_limit_that_is_new_to_a_lane_knows_what_the_lane_sent_and_has_in_flight() -> None:
    meters = Meters()
    one = lane(meters, "w/a", Limit(50, 1_000))
    one.stamp(one.reserve(5, START), START)
    flying = one.reserve(3, START)
    learnt = one.configure([Limit(50, 1_000), shared(20, 60_000)], START)
    assert {name: sum(use.units for use in uses) for name, uses in learnt.items()} == {
        "account acme brand||segments": 8
    }
    assert lane(meters, "w/b", shared(20, 60_000)).room(START).units == 12
    one.stamp(flying, START + 10)
    assert one.room(START + 10).units == 12
    # A limit that goes and comes back counts nothing twice.
    one.configure([Limit(50, 1_000)], START + 5_000)
    one.configure([Limit(50, 1_000), shared(20, 60_000)], START + 6_000)
    assert one.room(START + 6_000).units == 12


def test_a_value_has_a_window_of_its_own() -> None:
    one = LaneLimits([Limit(1, 6_000, per="recipient")], START)
    assert one.admit(message("+1"), START) is None
    assert one.admit(message("+2"), START) is None
    blocked = one.admit(message("+1"), START)
    assert blocked is not None
    assert blocked.ready_ms >= START + 6_000
    batch = one.reserve(2, START, 2, [message("+1"), message("+2")])
    one.stamp(batch, START + 40)
    blocked = one.admit(message("+1"), START + 6_000)
    assert blocked is not None
    assert START + 6_041 <= blocked.ready_ms <= START + 6_047  # to a thousandth of the window
    assert one.admit(message("+1"), blocked.ready_ms) is None


def test_what_the_guard_stops_gives_its_place_back() -> None:
    one = LaneLimits([Limit(1, 6_000, per="recipient")], START)
    assert one.admit(message(), START) is None
    one.dismiss(message(), START)
    assert one.admit(message(), START) is None


def test_values_of_which_nothing_counts_are_forgotten_and_too_many_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "LIMIT_VALUES", 10)
    meters = Meters()
    one = LaneLimits([Limit(2, 1_000, per="recipient")], START, "w/a", "", meters)
    for number in range(10):
        assert one.admit(message(f"+{number}"), START) is None
        one.stamp(one.reserve(1, START, 1, [message(f"+{number}")]), START + number)
    assert one.admit(message("+1"), START + 500) is None  # it has room, and is known
    assert one.admit(message("+77"), START + 500) is not None
    assert meters.values == 10
    assert one.admit(message("+77"), START + 1_005) is None
    assert meters.values <= 10


def test_a_value_that_still_counts_is_never_forgotten() -> None:
    one = LaneLimits([Limit(3, 10_000, per="recipient")], START)
    now = START
    sent: dict[str, list[int]] = {}
    for number in range(3_000):
        now += number % 7
        to = f"+{number * 37 % 50}"
        if one.admit(message(to), now) is None:
            one.stamp(one.reserve(1, now, 1, [message(to)]), now)
            sent.setdefault(to, []).append(now)
    for times in sent.values():
        assert all(times[at + 3] - times[at] >= 10_000 for at in range(len(times) - 3))


def test_a_restart_keeps_what_was_drawn() -> None:
    before = lane(Meters(), "w/a", shared(10), Limit(1, 6_000, per="recipient"))
    assert before.admit(message("+1"), START) is None
    batch = before.reserve(4, START, 1, [message("+1", 4)])
    drawn = before.draws(batch)
    assert drawn == {
        "account acme brand||segments": (90_000_000, {"": 4}),
        "lane w/a|recipient|segments": (6_000, {"+1": 4}),
    }
    uses = {
        name: {value: [Use(START, START + 100, units)] for value, units in values.items()}
        for name, (_, values) in drawn.items()
    }
    after = lane(Meters(uses), "w/a", shared(10), Limit(1, 6_000, per="recipient"))
    assert after.room(START + 100).units == 6
    assert after.admit(message("+1"), START + 6_000) is not None
    assert after.admit(message("+1"), START + 6_107) is None


def test_a_limit_that_does_not_let_wait_is_told_when_it_is_full() -> None:
    daily = Limit(2, 86_400_000, "UTC", at=REROUTE)
    one = LaneLimits([Limit(100, 1_000, at=FAIL), daily], START)
    assert one.capped(2, START) is None
    assert one.capped(3, START) == daily
    one.stamp(one.reserve(2, START), START)
    assert one.capped(1, START) == daily
    assert one.ends_ms(daily, 1, START) == 1_700_006_400_000  # midnight


def test_a_slowed_lane_sends_a_part_of_its_rate_and_then_all_of_it() -> None:
    one = LaneLimits([Limit(100, 1_000)], START)

    def sent(seconds: int, start: int) -> int:
        units = 0
        for now in range(start, start + seconds * 1_000):
            room = one.room(now)
            if room.pace > 0 and room.units:
                one.stamp(one.reserve(1, now), now)
                units += 1
        return units

    one.slow(10, START)
    assert 90 <= sent(10, START) <= 102
    one.slow(100, START + 10_000)
    assert 490 <= sent(5, START + 10_000) <= 510


def local(text: str, zone: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1_000)


@pytest.mark.parametrize(
    ("number", "zone", "until"),
    [
        ("", "", "2025-06-03T08:00|America/Los_Angeles"),
        ("", "Europe/Berlin", "2025-06-04T08:00|Europe/Berlin"),
        ("+12025550123", "destination", "2025-06-03T08:00|America/New_York"),
        ("+14155550123", "destination", "2025-06-03T08:00|America/Los_Angeles"),
        ("+18005550123", "destination", "2025-06-03T08:00|America/Los_Angeles"),
        ("not a number", "destination", "2025-06-03T08:00|America/Los_Angeles"),
    ],
)
def test_what_a_cap_holds_leaves_at_the_hour_of_its_destination(
    number: str, zone: str, until: str
) -> None:
    limit = Limit(5, 86_400_000, PACIFIC, until_minute=480, until_zone=zone or PACIFIC)
    opens = local("2025-06-03T00:00", PACIFIC)
    if number == "+18005550123":
        # It may be in any zone of North America: it waits until it is time in all of them.
        assert release_ms(limit, opens, number) >= local(*until.split("|"))
    else:
        assert release_ms(limit, opens, number) == local(*until.split("|"))


def test_messages_count_by_the_number_however_it_was_written() -> None:
    values = Values()
    assert values.of(message("+1 202-555-0123"), "recipient", "") == "+12025550123"
    assert values.of(message(), "country", "") == "US"
    assert values.of(message("+14165550123"), "country", "") == "CA"
    assert values.of(message(sender="A"), "pair", "B") == "A>+12025550123"
    assert values.of(message(), "sender", "B") == "B"
    mail = message(" Ann@Example.ORG", channel="email")
    assert values.of(mail, "domain", "") == "example.org"
    assert values.of(mail, "recipient", "") == "ann@example.org"
