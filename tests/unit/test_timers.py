"""The timer heap: one live entry per key, bounded, and the horizon of a tick."""

import heapq
import random

import hypothesis.strategies as st
from hypothesis import given

from engine.timers import TimerHeap


def test_the_newest_plan_of_a_key_counts() -> None:
    timers = TimerHeap([("a", 50), ("b", 20)])
    timers.push("a", 10)
    assert timers.first() == (10, "a")
    assert timers.pop() == "a"
    assert timers.first() == (20, "b")
    timers.push("b", 30)
    assert (timers.first(), len(timers)) == ((30, "b"), 1)
    timers.pop()
    assert (timers.first(), len(timers)) == (None, 0)


def test_short_timers_beside_a_long_one_do_not_pile_up() -> None:
    timers = TimerHeap()
    timers.push("a", 90_000_000)
    for now in range(0, 1_000_000, 100):
        timers.push("a", now + 50)
        assert timers.pop() == "a"
        timers.push("a", 90_000_000)
    assert len(timers) == 1
    assert len(timers._heap) <= 1_003


@given(st.lists(st.integers(0, 300), max_size=300), st.integers(0, 300), st.integers(1, 60))
def test_the_horizon_lets_about_so_many_through(due: list[int], now: int, most: int) -> None:
    timers = TimerHeap((f"k{n}", ms) for n, ms in enumerate(due))
    horizon = timers.horizon_ms(now, most)
    ripe = sorted(ms for ms in due if ms <= now)
    if len(ripe) <= most:
        assert horizon == now
    else:
        assert horizon == ripe[most - 1]


def test_keys_come_in_the_order_of_their_moments() -> None:
    rng = random.Random(7)
    timers = TimerHeap()
    plan: dict[str, int] = {}
    for _ in range(5_000):
        key, ms = f"k{rng.randrange(500)}", rng.randrange(100_000)
        timers.push(key, ms)
        plan[key] = ms
    expected = sorted((ms, key) for key, ms in plan.items())
    found = []
    while (first := timers.first()) is not None:
        found.append(first)
        timers.pop()
    assert found == expected == heapq.nsmallest(len(plan), expected)
