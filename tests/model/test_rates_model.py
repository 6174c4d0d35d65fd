"""No sliding window at the carrier ever holds more than a limit: the claim of engine/rates.py,
checked by brute force over arbitrary delays, restarts and changes of the limits.
"""  # noqa: D205 - one sentence

from datetime import datetime
from zoneinfo import ZoneInfo

from hypothesis import given, note, settings
from hypothesis import strategies as st

from engine.rates import LaneLimits, Use

ZONE = "America/Los_Angeles"
MIDNIGHT = round(datetime(2025, 6, 2, tzinfo=ZoneInfo(ZONE)).timestamp() * 1_000)

limit_sets = st.lists(
    st.tuples(st.integers(2, 30), st.sampled_from([100, 1_000, 3_000, 60_000]), st.none()),
    min_size=1,
    max_size=3,
)


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[str, int, float]]:
    """What happens, after how many ms, and where in the submit the carrier sees it."""
    what = st.sampled_from(["send"] * 6 + ["return"] * 4 + ["restart", "configure"])
    wait = st.one_of(st.integers(0, 3), st.integers(0, 300), st.integers(0, 5_000))
    return draw(st.lists(st.tuples(what, wait, st.floats(0, 1)), min_size=20, max_size=150))


@settings(max_examples=400, deadline=None)
@given(limit_sets, limit_sets, steps(), st.data())
def test_no_window_at_the_carrier_is_ever_over(
    first: list[tuple[int, int, None]],
    second: list[tuple[int, int, None]],
    plan: list[tuple[str, int, float]],
    data: st.DataObject,
) -> None:
    now = MIDNIGHT - 20_000
    daily = (60, 86_400_000, ZONE)
    limits = [*first, daily]
    lane = LaneLimits(limits, now)
    flying: dict[int, tuple[int, int, float]] = {}  # reservation: decided, units, share of the way
    done: list[Use] = []  # what the ledger has
    seen: list[tuple[float, int, tuple[tuple[int, int, str | None], ...]]] = []
    open_rows: list[tuple[int, int]] = []

    def arrive(decided: int, units: int, share: float, until: int) -> None:
        # Any real time from the decision to the end of the millisecond in which it returned.
        seen.append((decided + share * (until + 0.999 - decided), units, tuple(limits)))

    for what, wait, share in plan:
        now += wait
        if what == "send":
            room = lane.room(now)
            if room.pace and room.units:
                units = data.draw(st.integers(1, min(room.units, 5)))
                flying[lane.reserve(units, now)] = (now, units, share)
        elif what == "return" and flying:
            reservation = data.draw(st.sampled_from(sorted(flying)))
            decided, units, where = flying.pop(reservation)
            arrive(decided, units, where, now)
            lane.stamp(reservation, now)
            done.append(Use(decided, now, units))
        elif what == "restart":
            # What flies has arrived by now, or never will; the ledger has no stamp of it.
            for decided, units, where in flying.values():
                arrive(decided, units, where, now)
                open_rows.append((decided, units))
            uses = done + [Use(decided, now, units) for decided, units in open_rows]
            flying.clear()
            lane = LaneLimits(limits, now)
            lane.restore(uses, now)
            done, open_rows = uses, []
        elif what == "configure":
            limits = [*(second if limits[:-1] == first else first), daily]
            lane.configure(limits, now)
    for decided, units, where in flying.values():
        arrive(decided, units, where, now)

    seen.sort(key=lambda each: each[0])
    note(f"seen {seen}")
    for index, (at, _, held) in enumerate(seen):
        for most, window_ms, zone in held:
            if zone is not None:
                continue
            # The windows that end with this message, as it was decided under these limits.
            inside = [units for t, units, _ in seen[: index + 1] if t > at - window_ms]
            lowered = any(other != held for t, _, other in seen if t > at - window_ms)
            assert lowered or sum(inside) <= most
    for day in (-1, 0):
        first_ms, past_ms = MIDNIGHT + day * 86_400_000, MIDNIGHT + (day + 1) * 86_400_000
        assert sum(units for at, units, _ in seen if first_ms <= at < past_ms) <= 60


@settings(max_examples=300, deadline=None)
@given(limit_sets, st.lists(st.tuples(st.integers(0, 400), st.integers(1, 3)), max_size=120))
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
