"""A log of which the newest values are kept: its bytes are those of a run, whoever asked when."""

from hypothesis import given
from hypothesis import strategies as st

from engine.packing import PackedLog, pack

VALUES = st.lists(
    st.tuples(st.binary(max_size=300), st.sampled_from(["", "array", "values"])), max_size=60
)


@given(st.integers(1, 40), VALUES)
def test_it_holds_the_newest_values_whatever_was_asked_between(
    most: int, values: list[tuple[bytes, str]]
) -> None:
    log = PackedLog(most)
    assert not log
    for value, asked in values:
        log.add(value)
        assert log
        if asked:
            getattr(log, asked)()
    newest = [value for value, _ in values][-most:]
    assert bytes(log.array()) == pack(newest)
    assert log.values() == newest
    assert log.number == len(newest)


@given(st.lists(st.binary(max_size=70_000), max_size=20), st.lists(st.binary(), max_size=20))
def test_one_that_was_stored_goes_on(stored: list[bytes], more: list[bytes]) -> None:
    before = PackedLog(30)
    for value in stored:
        before.add(value)
    log = PackedLog(30, before.array())
    for value in more:
        log.add(value)
    assert log.values() == [*stored, *more][-30:]
