"""Sequences: which chains are found, what time settles, and what is refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from engine.conditions.registry import read
from tests.unit.test_conditions import Facts, compiled

HOUR = 3_600_000


def verdict(condition: dict[str, Any], now_h: float, **hours: list[float]) -> Any:
    """Whether it holds, and when that changes, in hours; events by their names."""
    facts = Facts(windows={name: [int(at * HOUR) for at in ats] for name, ats in hours.items()})
    is_true, next_ms = compiled(condition).check(facts, int(now_h * HOUR))
    return is_true, None if next_ms is None else next_ms / HOUR


A_THEN_B = {"sequence": [{"event": "A"}, {"event": "B", "within": "2h"}]}
A_NOT_B = {"sequence": [{"event": "A"}, {"no_event": "B", "within": "2h"}]}
A_SINCE = {"sequence": [{"event": "A"}, {"no_event": "B"}]}
BETWEEN = {"sequence": [{"event": "A"}, {"no_event": "N"}, {"event": "B"}]}
QUIET = {"sequence": [{"event": "A"}, {"no_event": "B", "within": "2h"},
                      {"no_event": "C", "within": "1h"}]}  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "now", "times", "expected"),
    [
        (A_THEN_B, 9, {"A": [1], "B": [2.99]}, (True, None)),
        (A_THEN_B, 9, {"A": [1], "B": [3]}, (False, None)),
        (A_THEN_B, 9, {"A": [1], "B": [1]}, (False, None)),
        (A_THEN_B, 9, {"A": [2], "B": [1]}, (False, None)),
        (A_THEN_B, 9, {"A": [1, 5], "B": [4, 6]}, (True, None)),
        (A_THEN_B, 9, {"A": [1]}, (False, None)),
        (A_THEN_B, 9, {"B": [1]}, (False, None)),
        (A_NOT_B, 2.9, {"A": [1]}, (False, 3)),
        (A_NOT_B, 3, {"A": [1]}, (True, None)),
        (A_NOT_B, 2, {"A": [1], "B": [1.5]}, (False, None)),
        (A_NOT_B, 3, {"A": [1], "B": [3]}, (True, None)),
        (A_NOT_B, 3, {"A": [1, 2.5], "B": [1.5]}, (False, 4.5)),
        (A_NOT_B, 3, {"A": [1, 1.2, 2.5], "B": [1.1]}, (False, 3.2)),  # the first that can be
        (A_SINCE, 9, {"A": [1], "B": [0.5]}, (True, None)),
        (A_SINCE, 9, {"A": [1], "B": [2]}, (False, None)),
        (A_SINCE, 9, {"A": [1, 3], "B": [2]}, (True, None)),
        (BETWEEN, 9, {"A": [1], "N": [2], "B": [3]}, (False, None)),
        (BETWEEN, 9, {"A": [1, 2.5], "N": [2], "B": [3]}, (True, None)),
        (BETWEEN, 9, {"A": [1], "N": [1, 3], "B": [3]}, (True, None)),
        (QUIET, 3, {"A": [1]}, (False, 4)),
        (QUIET, 2, {"A": [1]}, (False, 3)),
        (QUIET, 4, {"A": [1], "C": [2]}, (True, None)),
        (QUIET, 4, {"A": [1], "C": [3.5]}, (False, None)),
    ],
)
def test_chains(condition: Any, now: float, times: Any, expected: Any) -> None:
    assert verdict(condition, now, **times) == expected


def test_within_ends_when_the_newest_chain_is_too_old() -> None:
    lately = {**A_THEN_B, "within": "10h"}
    assert verdict(lately, 8, A=[1, 4], B=[2, 5]) == (True, 14)
    assert verdict(lately, 13.9, A=[1, 4], B=[2, 5]) == (True, 14)
    assert verdict(lately, 14, A=[1, 4], B=[2, 5]) == (False, None)


def test_a_silence_that_would_end_too_late_is_not_waited_for() -> None:
    lately = {**A_NOT_B, "within": "3h"}
    assert verdict(lately, 2, A=[1]) == (False, 3)
    assert verdict(lately, 3, A=[1]) == (True, 4)
    assert verdict(lately, 4, A=[1]) == (False, None)
    twice = {"sequence": [{"event": "A"}, {"event": "B"}, {"no_event": "C", "within": "2h"}],
             "within": "3h"}  # fmt: skip
    assert verdict(twice, 2.6, A=[1], B=[2.5]) == (False, None)


def test_words_windows_and_what_it_reads() -> None:
    condition = compiled(
        {"sequence": [{"event": "A"}, {"no_event": "B", "where": {"property": "p", "is": 1},
                                       "within": "2h"}],
         "within": "8d", "same": "properties.cart"}
    )  # fmt: skip
    assert condition.words == (
        "'A' then no 'B' where property 'p' is 1 within 2h with the same cart, all within 8d"
    )
    assert [(w.event, w.horizon_ms) for w in condition.windows] == [
        ("A", 192 * HOUR), ("B", 192 * HOUR),
    ]  # fmt: skip
    assert not condition.reads_properties


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"sequence": [{"event": "A"}]}, "at least two steps"),
        ({"sequence": [{"event": "A"}] * 7}, "at most 6"),
        ({"sequence": [{"no_event": "A"}, {"event": "B"}]}, "begins with an 'event'"),
        ({"sequence": [{"event": "A", "within": "1h"}, {"event": "B"}]}, "begins with an 'event'"),
        ({"sequence": [{"event": "A"}, {}]}, "either 'event' or 'no_event'"),
        ({"sequence": [{"event": "A"}, {"event": "B", "no_event": "C"}]}, "either 'event' or"),
        ({"sequence": [{"event": "A"}, {"no_event": "B"}, {"no_event": "C"}]}, "before another"),
        ({**A_NOT_B, "within": "2h"}, "all of it within 2h is never true"),
        ({**A_NOT_B, "same": "cart_id"}, "does not begin with 'properties'"),
        ({"sequence": [{"event": "A"}, {"event": "B", "where": {"trait": "t", "is": 1}}]},
         "reads their properties and nothing else"),
    ],
)  # fmt: skip
def test_what_is_refused(condition: Any, message: str) -> None:
    with pytest.raises(ValidationError) as error:
        read(condition)
    assert message in str(error.value)


def test_of_several_carts_the_one_that_began_last_counts() -> None:
    condition = compiled({**A_THEN_B, "within": "10h", "same": "properties.cart"})
    name_a, name_b = [window.name for window in condition.windows]
    windows: dict[str, list[Any]] = {
        name_a: [[1 * HOUR, "x"], [2 * HOUR, "z"], [4 * HOUR, "y"]],
        name_b: [[2 * HOUR, "x"], [5 * HOUR, "y"]],
    }
    assert condition.check(Facts(windows=windows), 6 * HOUR) == (True, 14 * HOUR)
    windows[name_b] = [[2 * HOUR, "x"], [5 * HOUR, "z"]]  # too late for z, and none for y
    assert condition.check(Facts(windows=windows), 6 * HOUR) == (True, 11 * HOUR)
    assert condition.check(Facts(windows=windows), 11 * HOUR) == (False, None)
