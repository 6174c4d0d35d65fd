"""Parts of the fraud guard: what is kept of the newest things, and what codes under way say."""

from hypothesis import given
from hypothesis import strategies as st

from engine.fraud.evidence import older_than, waiting
from engine.fraud.figures import STAGES_MS
from engine.fraud.newest import Newest
from engine.fraud.node import KEY_BITS, remove
from engine.fraud.numbers import Numbers, Seal

_STEPS = [0.1, 0.3, 0.7, 1.0, 1.1]


@given(st.lists(st.integers(0, 600_000), max_size=30))
def test_each_code_says_what_belongs_to_its_age(ages: list[int]) -> None:
    now = 1_000_000
    keys = sorted((now - age << KEY_BITS) + place for place, age in enumerate(ages))
    expected = 0.0
    for age in ages:
        stages = [step for at, step in zip(STAGES_MS, _STEPS, strict=True) if age >= at]
        expected += stages[-1] if stages else 0.0
    assert abs(waiting(keys, _STEPS, now) - expected) < 1e-9
    minute = sum(age >= 60_000 for age in ages)
    assert older_than(keys, 60_000, now, len(keys)) == minute


@given(st.sets(st.integers(0, 50)), st.integers(0, 50))
def test_a_code_is_taken_out_once(keys: set[int], key: int) -> None:
    opened = sorted(keys)
    assert remove(opened, key) == (key in keys)
    assert not remove(opened, key)
    assert opened == sorted(keys - {key})


@given(st.lists(st.integers(0, 40), max_size=200), st.integers(2, 20))
def test_the_newest_half_is_kept_and_never_too_much(keys: list[int], capacity: int) -> None:
    newest: Newest[int, int] = Newest(capacity)
    for place, key in enumerate(keys):
        newest.put(key, place)
        assert newest.get(key) == place or capacity < 4
        assert len(newest) <= capacity
    last = {key: place for place, key in enumerate(keys)}
    for key in list(dict.fromkeys(reversed(keys)))[: capacity // 2 - 1]:
        assert newest.get(key) == last[key]
    for key in set(keys):
        newest.pop(key)
        assert newest.get(key) is None


def test_a_number_is_found_after_a_restart_by_its_digest() -> None:
    seal = Seal(b"a secret")
    numbers: Numbers[int] = Numbers(10, seal)
    numbers.restore(seal.of("+12025550001"), 7)
    assert numbers.get("+12025550001") == 7
    assert numbers.get("+12025550002") is None
    numbers.put("+12025550001", 8)
    assert [value for _, value in numbers.newest()] == [8]
    numbers.pop("+12025550001")
    assert numbers.get("+12025550001") is None
    assert Seal(b"another").of("+12025550001") != seal.of("+12025550001")
