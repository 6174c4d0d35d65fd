"""No limit of any kind is ever passed at the carrier: several lanes, shared names, values, kills.

What a naive reader of the carrier's log finds is held against every limit, over arbitrary delays,
changes of limits, and restarts that find nothing but the ledger. What was in flight at a kill has
been seen at the kill at the latest.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.store.ledger import BatchRow, Ledger, LedgerWork
from engine.lanes.lane_limits import LaneLimits, Reservation
from engine.lanes.meters import Meters
from engine.lanes.queue import QueuedMessage
from engine.lanes.rates import MESSAGES, Limit

START = 1_700_000_000_000
LANES = ("w/a", "x/b")
ZONE = "America/Los_Angeles"
MIDNIGHT = 1_700_035_200_000  # in that zone, 9 h 46 min 40 s after the start

windows = st.sampled_from([100, 1_000, 6_000, 60_000])
units = st.integers(3, 20)
own = st.tuples(units, windows).map(lambda each: Limit(*each))
counted = st.builds(lambda u, w: Limit(u, w, unit=MESSAGES), units, windows)
shared = st.builds(
    lambda u, w, of, unit: Limit(u, w, of=of, unit=unit),
    units, windows, st.sampled_from(["brand", "campaign"]), st.sampled_from([MESSAGES, "segments"]),
)  # fmt: skip
daily = st.builds(lambda u: Limit(u, 86_400_000, ZONE, of="brand"), st.integers(10, 30))
# Limits per value count from when they are defined, so these stay as they are.
by_value = st.lists(
    st.builds(
        lambda u, w, of: Limit(u, w, per="recipient", of=of),
        st.integers(3, 6), windows, st.sampled_from(["", "pair"]),
    ),
    max_size=2,
)  # fmt: skip
limit_sets = st.lists(st.one_of(own, counted, shared, shared, daily), max_size=4)
step = st.tuples(
    st.sampled_from(["send"] * 8 + ["return"] * 5 + ["kill", "configure"]),
    st.one_of(st.integers(0, 5), st.integers(0, 300), st.integers(0, 8_000)),
    st.floats(0, 1),
    st.integers(0, 99),
)


class Sent(NamedTuple):
    """A message on its way."""

    number: int
    lane: str
    to: str
    units: int
    decided: int
    share: float
    limits: tuple[Limit, ...]
    reservation: Reservation

    def seen(self, until: int) -> tuple[float, "Sent"]:
        """When the carrier sees it: from the decision to the end of the ms of its return."""
        return self.decided + self.share * (until + 0.999 - self.decided), self


class Sender:
    """Two lanes of an account over one ledger."""

    def __init__(self, path: Path, values: list[Limit], now: int) -> None:
        self._path, self._values = path, values
        self.plain: dict[str, list[Limit]] = {lane: [] for lane in LANES}
        self.flying: list[tuple[int, Sent]] = []
        self._begin(now)

    def _begin(self, now: int) -> None:
        self.ledger = Ledger(self._path, "s")
        state = self.ledger.load(now)
        self._batches = state.next_batch
        meters = Meters(state.draws)
        self.lanes = {}
        for name in LANES:
            lane = LaneLimits(self._wanted(name), now, name, "acme", meters)
            lane.restore(state.uses.get(name, ()), now)
            self.lanes[name] = lane

    def _wanted(self, name: str) -> list[Limit]:
        return [*self.plain[name], *self._values]

    def configure(self, name: str, wanted: list[Limit], now: int) -> None:
        self.plain[name] = wanted
        learnt = self.lanes[name].configure(self._wanted(name), now)
        self.ledger.write(LedgerWork(learnt=learnt), now)

    def send(self, number: int, name: str, to: str, count: int, share: float, now: int) -> None:
        lane = self.lanes[name]
        count = min(count, lane.largest)
        room = lane.room(now)
        if room.pace <= 0 or room.units < count or room.messages < 1:
            return
        message = QueuedMessage(
            f"{number}", "w/user/u", "w", name, "push", to, "marketing", "", "", 10**15, False, 0,
            units=count,
        )  # fmt: skip
        if lane.admit(message, now) is not None:
            return
        reservation = lane.reserve(count, now, 1, [message])
        row = BatchRow(
            self._batches, name, "c", count, now, [f"{number}"], ["k"], [], lane.draws(reservation)
        )
        self.ledger.write(LedgerWork(batches=[row]), now)
        limits = tuple(self._wanted(name))
        sent = Sent(number, name, to, count, now, share, limits, reservation)
        self.flying.append((self._batches, sent))
        self._batches += 1

    def returned(self, which: int, now: int) -> Sent:
        batch, sent = self.flying.pop(which % len(self.flying))
        self.lanes[sent.lane].stamp(sent.reservation, now)
        self.ledger.write(LedgerWork(returned=[(batch, now)], closed=[batch]), now)
        return sent

    def kill(self, now: int) -> list[Sent]:
        lost = [sent for _, sent in self.flying]
        self.flying.clear()
        self.ledger.close()
        self._begin(now)
        return lost


def in_scope(limit: Limit, last: Sent, sent: Sent) -> bool:
    """Whether a message counts in a limit that the last one was held to."""
    if limit.per and sent.to != last.to:
        return False
    name = (limit.of, limit.per, limit.unit)
    shares = any((each.of, each.per, each.unit) == name for each in sent.limits)
    return sent.lane == last.lane or (bool(limit.of) and shares)


def drawn(limit: Limit, sent: Sent) -> int:
    return 1 if limit.unit == MESSAGES else sent.units


def check(seen: list[tuple[float, Sent]]) -> None:
    """Every window holds no more than was allowed when its last message was decided."""
    seen = sorted(seen, key=lambda each: each[0])
    for index, (at, _) in enumerate(seen):
        for length in {limit.window_ms for _, sent in seen for limit in sent.limits}:
            held_to([sent for t, sent in seen[: index + 1] if t > at - length], length)
    for day in (-1, 0):
        first, past = MIDNIGHT + day * 86_400_000, MIDNIGHT + (day + 1) * 86_400_000
        held_to([sent for t, sent in seen if first <= t < past], None)


def held_to(inside: list[Sent], length: int | None) -> None:
    """What was seen in a window, or on a day if it has no length, against every limit on it."""
    for last in inside:
        for limit in last.limits:
            if (None if limit.zone else limit.window_ms) == length:
                those = [sent for sent in inside if in_scope(limit, last, sent)]
                if last.number == max(sent.number for sent in those):
                    assert sum(drawn(limit, sent) for sent in those) <= limit.units, limit


@contextmanager
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(limit_sets, limit_sets), min_size=2, max_size=2),
    by_value,
    st.lists(step, min_size=20, max_size=90),
    st.booleans(),
)
def test_no_limit_of_any_kind_is_passed_whatever_is_delayed_changed_or_killed(
    sets: list[tuple[list[Limit], list[Limit]]],
    values: list[Limit],
    plan: list[tuple[str, int, float, int]],
    late: bool,
) -> None:
    now = MIDNIGHT - 30_000 if late else START
    seen: list[tuple[float, Sent]] = []
    with directory() as path:
        sender = Sender(path / "ledger", values, now)
        for name, (first, _) in zip(LANES, sets, strict=True):
            sender.configure(name, first, now)
        for number, (what, wait, share, which) in enumerate(plan):
            now += wait
            name = LANES[which % 2]
            if what == "send":
                to = f"r{which // 2 % 3}"
                sender.send(number, name, to, 1 + which // 6 % 4, share, now)
            elif what == "return" and sender.flying:
                seen.append(sender.returned(which, now).seen(now))
            elif what == "kill":
                seen += [sent.seen(now) for sent in sender.kill(now)]
            elif what == "configure":
                now_set = sets[which % 2]
                other = now_set[1] if sender.plain[name] == now_set[0] else now_set[0]
                sender.configure(name, other, now)
        seen += [sent.seen(now) for _, sent in sender.flying]
        sender.ledger.close()
    check(seen)
