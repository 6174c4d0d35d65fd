"""No sliding window at the carrier ever holds more than a limit, as engine/lanes/rates.py claims:
checked by brute force over arbitrary delays, restarts and changes of the limits.
"""

from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.lanes.lane_limits import LaneLimits, Reservation
from engine.lanes.rates import Use

ZONE = "America/Los_Angeles"
MIDNIGHT = round(datetime(2025, 6, 2, tzinfo=ZoneInfo(ZONE)).timestamp() * 1_000)

limit_sets = st.lists(
    st.tuples(st.integers(2, 30), st.sampled_from([100, 1_000, 3_000, 60_000]), st.none()),
    min_size=1,
    max_size=3,
)


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[str, int, float, int]]:
    """What happens, after how many ms, where in the submit the carrier sees it, and which one."""
    what = st.sampled_from(["send"] * 6 + ["return"] * 4 + ["restart", "configure"])
    wait = st.one_of(st.integers(0, 3), st.integers(0, 300), st.integers(0, 5_000))
    step = st.tuples(what, wait, st.floats(0, 1), st.integers(0, 9))
    return draw(st.lists(step, min_size=10, max_size=80))


class Sent(NamedTuple):
    """A message on its way: when it was decided, under which limits, and where it is seen."""

    number: int
    decided: int
    units: int
    share: float
    limits: tuple[tuple[int, int, str | None], ...]

    def seen(self, until: int) -> tuple[float, "Sent"]:
        # Any real time from the decision to the end of the millisecond in which it returned.
        return self.decided + self.share * (until + 0.999 - self.decided), self


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(limit_sets, limit_sets, steps())
def test_no_window_at_the_carrier_is_ever_over(
    first: list[tuple[int, int, None]],
    second: list[tuple[int, int, None]],
    plan: list[tuple[str, int, float, int]],
) -> None:
    now = MIDNIGHT - 20_000
    daily = (60, 86_400_000, ZONE)
    limits = (*first, daily)
    lane = LaneLimits(limits, now)
    flying: list[tuple[Reservation, Sent]] = []
    ledger: list[Use] = []
    seen: list[tuple[float, Sent]] = []
    for number, (what, wait, share, which) in enumerate(plan):
        now += wait
        if what == "send":
            room = lane.room(now)
            if room.pace and room.units:
                units = min(room.units, 1 + which % 5)
                flying.append((lane.reserve(units, now), Sent(number, now, units, share, limits)))
        elif what == "return" and flying:
            reservation, sent = flying.pop(which % len(flying))
            seen.append(sent.seen(now))
            lane.stamp(reservation, now)
            ledger.append(Use(sent.decided, now, sent.units))
        elif what == "restart":
            # What flies has arrived by now, or never will; the ledger has no stamp of it.
            seen += [sent.seen(now) for _, sent in flying]
            ledger += [Use(sent.decided, now, sent.units) for _, sent in flying]
            flying.clear()
            lane = LaneLimits(limits, now)
            lane.restore(ledger, now)
        elif what == "configure":
            limits = (*(second if limits[:-1] == tuple(first) else first), daily)
            lane.configure(limits, now)
    seen += [sent.seen(now) for _, sent in flying]

    seen.sort(key=lambda each: each[0])
    lengths = {window_ms for _, window_ms, zone in (*first, *second) if zone is None}
    for index, (at, _) in enumerate(seen):
        for length in lengths:
            # The window that ends with this message: as much as the limits allowed when the last
            # message in it was decided.
            inside = [sent for t, sent in seen[: index + 1] if t > at - length]
            last = max(inside, key=lambda sent: sent.number)
            for most, window_ms, zone in last.limits:
                if zone is None and window_ms == length:
                    assert sum(sent.units for sent in inside) <= most
    for day in (-1, 0):
        first_ms, past_ms = MIDNIGHT + day * 86_400_000, MIDNIGHT + (day + 1) * 86_400_000
        assert sum(sent.units for at, sent in seen if first_ms <= at < past_ms) <= 60


@settings(max_examples=150, deadline=None)
@given(limit_sets, st.lists(st.tuples(st.integers(0, 400), st.integers(1, 3)), max_size=60))
def test_the_earliest_time_is_right_when_nothing_is_in_flight(
    limits: list[tuple[int, int, None]], plan: list[tuple[int, int]]
) -> None:
    now = MIDNIGHT
    lane = LaneLimits(limits, now)
    for wait, wanted in plan:
        now += wait
        units = min(wanted, lane.largest)
        at = lane.earliest(units, now)
        room = lane.room(now)
        assert (at == now) == (room.pace > 0 and room.units >= units)
        later = lane.room(at)
        assert later.pace > 0
        assert later.units >= units
        now = at
        lane.stamp(lane.reserve(units, now), now)
