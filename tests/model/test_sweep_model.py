"""The sweep of a checkpoint: every dirty key has its turn once a round, at an even pace."""

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.sweep import Sweep

keys = st.text("abc", min_size=1, max_size=4)


@settings(deadline=None)
@given(st.sets(keys, min_size=1), st.lists(st.tuples(keys, st.integers(1, 5)), max_size=30))
def test_every_key_leaves_once_and_in_order(first: set[str], later: list[tuple[str, int]]) -> None:
    """New keys come in all the time; still each leaves, and none is given twice meanwhile."""
    sweep = Sweep()
    dirty = dict.fromkeys(sorted(first), 0)
    for key, limit in later:
        dirty.setdefault(key, 1)
        taken = sweep.next_keys(dirty, limit)
        assert 1 <= len(taken) <= limit
        assert taken == sorted(set(taken))
        for each in taken:
            del dirty[each]
    rest = len(dirty)
    for _ in range(rest):
        for each in sweep.next_keys(dirty, 1):
            del dirty[each]
    assert not dirty
    assert sweep.next_keys(dirty, 1) == []


@settings(deadline=None)
@given(st.sets(keys, min_size=1, max_size=60), st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_a_part_of_the_round_is_that_part_of_the_keys(
    dirty_at: set[str], parts: list[float]
) -> None:
    sweep = Sweep()
    dirty = dict.fromkeys(sorted(dirty_at), 0)
    total, done = len(dirty), []
    for part in [*sorted(parts), 1.0]:
        while rows := sweep.rows_until(dirty, part):
            taken = sweep.next_keys(dirty, rows)
            assert len(taken) == rows
            done += taken
            for each in taken:
                del dirty[each]
        assert len(done) >= int(part * total) - 1
        assert len(done) <= part * total + total / 16 + 2
    assert done == sorted(dirty_at)


def test_a_round_that_has_ended_begins_anew() -> None:
    sweep = Sweep()
    dirty = {"a": 1, "b": 1}
    assert sweep.rows_until(dirty, 1.0) == 1
    assert sweep.next_keys(dirty, 9) == ["a"]
    del dirty["a"]
    assert sweep.rows_until(dirty, 1.0) == 1
    assert sweep.next_keys(dirty, 9) == ["b"]
    assert sweep.rows_until({"a": 2}, 1.0) == 0
    assert sweep.rows_until({"a": 2}, 0.99) == 1
    assert sweep.next_keys({"a": 2}, 9) == ["a"]


def test_nothing_dirty_needs_no_rows() -> None:
    assert Sweep().rows_until({}, 1.0) == 0
