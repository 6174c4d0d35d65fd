"""The cyclic collector and state: it rests while state is made, and finds what was frozen."""

import gc
from collections.abc import Iterator

import pytest

from actors.collector import FreezesState


@pytest.fixture(autouse=True)
def thawed_again() -> Iterator[None]:
    """What these tests freeze must not stay out of sight for the tests after them."""
    yield
    gc.enable()
    gc.unfreeze()


def test_it_rests_while_state_is_made_and_goes_on_afterwards() -> None:
    freezes = FreezesState()
    with freezes:
        assert not gc.isenabled()
        state = [[] for _ in range(1_000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= len(state)


def test_it_goes_on_after_an_error_too() -> None:
    with pytest.raises(RuntimeError), FreezesState():
        raise RuntimeError
    assert gc.isenabled()


def test_what_was_frozen_and_is_garbage_is_found_by_a_thaw() -> None:
    class Circle:
        gone = False
        me: "Circle"

        def __del__(self) -> None:
            Circle.gone = True

    freezes = FreezesState()
    circle = Circle()
    circle.me = circle
    with freezes:
        pass
    del circle
    gc.collect()
    assert not Circle.gone
    freezes.thaw()
    assert Circle.gone
