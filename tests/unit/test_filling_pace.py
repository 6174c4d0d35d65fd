"""The pace of filling on a virtual clock: what it asks of a host, idle, busy and full."""

import asyncio
import random
from collections import deque
from dataclasses import dataclass, field

import pytest

from actors.filling_ease import Ease
from actors.filling_pace import Cost, Pace, Slices, rest_after_s
from actors.runner_stats import RunnerStats
from engine import commands, limits
from engine.errors import Overloaded


@dataclass
class Simulated:
    """A host that does one thing after the other; events come at random, each costs the same.

    Attributes:
        cost_s: What an event costs, and
        share: which share of the host all events take.
        person_s: What it costs to fill a person; each slice costs half a millisecond more.
    """

    share: float
    person_s: float
    cost_s: float = 0.003
    now_s: float = 0.0
    free_s: float = 0.0
    rng: random.Random = field(default_factory=lambda: random.Random(5))
    late_s: list[float] = field(default_factory=list)
    next_s: float = 0.0

    def run_until(self, moment_s: float) -> None:
        """Lets events come and be done until a moment."""
        while self.share and self.next_s <= moment_s:
            self.free_s = max(self.free_s, self.next_s) + self.cost_s
            self.late_s.append(self.free_s - self.next_s)
            self.next_s += self.rng.expovariate(self.share / self.cost_s)
        self.now_s = moment_s

    def fill(self, pace: Pace) -> float:
        """One slice and the rest after it; gives how long the host worked on it."""
        people, began_s = pace.people, self.now_s
        work_s = 0.000_5 + people * self.person_s
        self.free_s = max(self.free_s, began_s) + work_s
        done_s = self.free_s
        self.run_until(done_s)
        self.run_until(done_s + pace.rest_s(people, done_s - began_s, work_s / people))
        return work_s

    def p99_s(self) -> float:
        late_s, self.late_s = sorted(self.late_s), []
        return late_s[len(late_s) * 99 // 100]


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("person_s", [0.000_03, 0.000_25])
def test_it_keeps_the_p99_of_events_within_twice_its_normal(share: float, person_s: float) -> None:
    host, pace = Simulated(share, person_s), Pace()
    host.run_until(60.0)
    normal_s = host.p99_s()
    people = 0
    while host.now_s < 120.0:
        people += pace.people
        host.fill(pace)
    assert host.p99_s() < 1.6 * normal_s
    assert people > 60 * 60, "and it gets somewhere"


def test_an_idle_host_gives_a_fifth_of_its_time() -> None:
    host, pace = Simulated(0.0, 0.000_06), Pace()
    worked_s = sum(host.fill(pace) for _ in range(500))
    assert 0.18 < worked_s / host.now_s <= 0.21


@pytest.mark.parametrize("took_s", [0.02, 0.05, 0.08])
def test_a_busy_host_gives_a_twentieth_however_long_its_acknowledgements_take(
    took_s: float,
) -> None:
    pace, worked_s, all_s = Pace(), 0.0, 0.0
    for _ in range(1_000):
        people = pace.people
        rest_s = pace.rest_s(people, took_s, 0.000_1)
        worked_s += people * 0.000_1
        all_s += took_s + rest_s
    assert 0.045 < worked_s / all_s < 0.065


@pytest.mark.parametrize(("person_s", "least", "most"), [
    (0.000_002, limits.FILL_PEOPLE, limits.FILL_PEOPLE), (0.000_06, 35, 42), (0.000_5, 4, 5),
])  # fmt: skip
def test_a_slice_is_a_few_milliseconds_whatever_a_person_costs(
    person_s: float, least: int, most: int
) -> None:
    pace = Pace()
    for _ in range(20):
        pace.rest_s(pace.people, 0.003, person_s)
    assert least <= pace.people <= most


def test_waiting_makes_slices_rarer_and_no_smaller() -> None:
    pace = Pace()
    for _ in range(20):
        pace.rest_s(pace.people, 0.003, 0.000_05)
    people = pace.people
    at_once_s = pace.rest_s(people, 0.000_05 * people, 0.000_05)
    busy_s = pace.rest_s(people, 0.000_05 * people + 0.02, 0.000_05)
    assert pace.people == people
    assert busy_s == pytest.approx(at_once_s + 0.02)


def test_what_becomes_dearer_makes_slices_smaller_at_once() -> None:
    pace = Pace()
    for _ in range(20):
        pace.rest_s(pace.people, 0.003, 0.000_03)
    pace.rest_s(pace.people, 0.05, 0.000_6)
    assert pace.people == 4


def test_no_rest_is_so_long_that_a_filling_would_not_end() -> None:
    own_s = 8 * 0.000_06
    assert Pace().rest_s(8, 30.0, 0.000_06) == pytest.approx(4 * own_s + 0.25)
    assert rest_after_s(0.002, 60.0) == pytest.approx(11 * 0.002)


def test_a_thread_that_cannot_run_rests_longer_up_to_a_twelfth_for_itself() -> None:
    assert rest_after_s(0.002) == pytest.approx(0.008)
    assert rest_after_s(0.002, 0.001) == pytest.approx(0.013)
    assert rest_after_s(0.002, 0.1) == pytest.approx(0.022)
    assert rest_after_s(0.002, -0.000_1) == pytest.approx(0.008), "two clocks never agree"


class Applied:
    """What a shard's entries took, in which the fillings of people lie among others' commands."""

    def __init__(self) -> None:
        self.stats = RunnerStats()
        self.cost = Cost(self.stats)
        self._rng = random.Random(7)

    def pass_by(self, others: int, people: int = 0, person_s: float = 0.0) -> None:
        """Entries; now and then the processor was somebody else's in the middle of one."""
        taken_s = 0.008 if self._rng.random() < 0.1 else 0.0
        self.stats.commands += others + people
        self.stats.apply_s += others * 0.000_02 + people * person_s + taken_s

    def costs_s(self, others: int, person_s: float, slices: int) -> float:
        found_s = 0.0
        for _ in range(slices):
            self.pass_by(others)
            self.cost.begins()
            self.pass_by(others, 30, person_s)
            found_s = self.cost.ended(30)
        return found_s


@pytest.mark.parametrize("others", [0, 5, 50, 500])
def test_a_persons_cost_is_told_from_that_of_others_in_the_same_entries(others: int) -> None:
    applied = Applied()
    assert applied.costs_s(others, 0.000_07, 40) == pytest.approx(0.000_07, rel=0.25)
    assert applied.costs_s(others, 0.000_2, 40) == pytest.approx(0.000_2, rel=0.25)


def test_nobody_costs_nothing() -> None:
    cost = Cost(RunnerStats())
    cost.begins()
    assert cost.ended(5) > 0
    assert Pace().rest_s(5, 0.0, 1e-6) > 0


class FullRunner:
    """A shard whose queue is full for some times."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.stats = RunnerStats()
        self.admitted: deque[list[commands.Command]] = deque()

    def admit(self, chunk: bytes, count: int, control: bool) -> "asyncio.Future[bytes]":
        if self.refusals:
            self.refusals -= 1
            raise Overloaded(200, "full")
        assert control
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        ((*batch,),) = (commands.unpack_payload(commands.pack_payload([chunk])),)
        self.admitted.append(batch[0])
        future.set_result(bytes(count))
        return future


async def test_a_full_queue_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.filling_pace._FULL_S", 0.0)
    runner = FullRunner(3)
    batch = [commands.refresh("w/user/ann"), commands.refresh("w/user/bob")]
    await Slices(runner, Ease([])).admit(batch)  # type: ignore[arg-type]
    assert list(runner.admitted) == [batch]
