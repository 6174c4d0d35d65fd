"""A filling that others feel rests longer, and one that nobody feels does not."""

import pytest

from actors.filling_ease import _LONGEST, _LOOKS, _STOPPED, Ease
from actors.runner_stats import RunnerStats


class Watched:
    """A host of two shards whose acknowledgements take as long as one says."""

    def __init__(self) -> None:
        self.stats = [RunnerStats(), RunnerStats()]
        self.ease = Ease(self.stats)

    def look(self, took_s: float, filling: bool = True, chunks: int = 20) -> float:
        for one in self.stats:
            one.chunks += chunks
            one.took_s += chunks * took_s
        self.ease.look(filling)
        return self.ease.factor


@pytest.fixture
def host() -> Watched:
    """One whose acknowledgements took 20 ms so far."""
    host = Watched()
    for _ in range(20):
        assert host.look(0.02, filling=False) == 1.0
    return host


def test_what_nobody_feels_rests_as_usual(host: Watched) -> None:
    assert {host.look(0.028) for _ in range(_LOOKS - 1)} == {1.0}


def test_what_others_feel_rests_longer_and_longer_up_to_a_bound(host: Watched) -> None:
    assert [host.look(0.06) for _ in range(5)] == [2.0, _LONGEST, _LONGEST, _LONGEST, _LONGEST]


def test_one_bad_moment_is_nothing(host: Watched) -> None:
    assert host.look(0.05) == 1.0
    assert host.look(0.02) == 1.0


def test_when_it_is_felt_no_more_rests_become_shorter_slowly(host: Watched) -> None:
    while host.look(0.06) < _LONGEST:
        pass
    factors = [host.look(0.02) for _ in range(20)]
    assert 1.0 < factors[10] < factors[9] < _LONGEST
    assert factors[-1] == 1.0


def test_a_little_more_than_nearly_nothing_is_not_felt() -> None:
    host = Watched()
    host.look(0.000_5, filling=False)
    assert {host.look(0.002_4) for _ in range(10)} == {1.0}
    assert max(host.look(0.003) for _ in range(10)) > 1.0


def test_a_filling_does_not_feel_itself() -> None:
    for normal_s in (0.0, 0.001):
        host = Watched()
        if normal_s:
            host.look(normal_s, filling=False)
        for _ in range(_LOOKS - 1):
            for one in host.stats:
                one.chunks += 40
                one.took_s += 40 * 0.05
            for _ in range(80):
                host.ease.own(0.05)
            assert host.look(normal_s, chunks=2 if normal_s else 0) == 1.0


def test_where_nothing_is_known_of_normal_nothing_is_too_much() -> None:
    host = Watched()
    assert host.look(5.0) == 1.0


def test_now_and_then_it_stops_and_learns_what_is_normal_now(host: Watched) -> None:
    stopped = []
    for _ in range(10 * (_LOOKS + _STOPPED)):
        host.look(0.06)  # the hour has come in which all are awake
        stopped.append(not host.ease.may_go_on.is_set())
    assert sum(stopped) == 10 * _STOPPED
    assert host.ease.factor == 1.0, "what is normal now is no reason to rest"


def test_what_a_filling_did_is_not_taken_for_normal(host: Watched) -> None:
    for number in range(4 * (_LOOKS + _STOPPED)):
        stopped = not host.ease.may_go_on.is_set()
        host.look(0.02 if stopped and number % (_LOOKS + _STOPPED) else 0.06)
    assert host.ease.factor == _LONGEST


def test_the_next_filling_begins_as_usual(host: Watched) -> None:
    for _ in range(_LOOKS + 1):
        host.look(0.5)
    assert not host.ease.may_go_on.is_set()
    assert host.look(0.02, filling=False) == 1.0
    assert host.ease.may_go_on.is_set()


def test_what_is_held_goes_on_when_it_is_let_go_and_not_before(host: Watched) -> None:
    host.ease.hold(True)
    assert not host.ease.may_go_on.is_set()
    for filling in (True, False, *[True] * (_LOOKS + _STOPPED)):
        host.look(0.02, filling)
        assert not host.ease.may_go_on.is_set()
    host.ease.hold(False)
    assert host.ease.may_go_on.is_set()


def test_what_is_let_go_stays_stopped_if_it_was_to_look(host: Watched) -> None:
    for _ in range(_LOOKS + 1):
        host.look(0.02)
    assert not host.ease.may_go_on.is_set()
    host.ease.hold(True)
    host.ease.hold(False)
    assert not host.ease.may_go_on.is_set()
