"""Dates in conditions: what is one, where it lies, and when that changes."""

from typing import Any

import pytest
from pydantic import ValidationError

from engine.conditions import dates
from engine.conditions.registry import read
from tests.unit.test_conditions import Facts, compiled

HOUR = 3_600_000
DAY = 24 * HOUR
NINE = 1_777_626_000_000  # 2026-05-01T09:00:00Z


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01", 0),
        ("1969-12-31T23:59:59.999Z", -1),
        ("2026-05-01", NINE - 9 * HOUR),
        ("2026-05-01T09:00Z", NINE),
        ("2026-05-01T09:00:00", NINE),  # without an offset it is UTC
        ("2026-05-01t09:00:00z", NINE),
        ("2026-05-01 09:00:00.25+00:00", NINE + 250),
        ("2026-05-01T09:00:00,123456789Z", NINE + 123),
        ("2026-05-01T11:00:00+02:00", NINE),
        ("2026-05-01T05:30:00-0330", NINE),
        ("2024-02-29", 1_709_164_800_000),
    ],
)
def test_moments(text: str, expected: int) -> None:
    assert dates.milliseconds(text) == expected


@pytest.mark.parametrize(
    "value",
    ["", "today", "2026-02-29", "2026-13-01", "2026-05-01T24:00:00Z", "2026-05-01T09", "26-05-01",
     "01.05.2026", "2026-5-1", "20260501", "2026-05-01T09:00:00+2", "2026-05-01Z", "٢٠٢٦-05-01",
     " 2026-05-01", 1_777_626_000, True, None, ["2026-05-01"]],
)  # fmt: skip
def test_what_is_no_moment(value: Any) -> None:
    assert dates.milliseconds(value) is None


AT = NINE
PHASES: list[tuple[int, str, int | None]] = [
    (AT - 4 * DAY, "more_than_ahead", AT - 3 * DAY),
    (AT - 3 * DAY - 1, "more_than_ahead", AT - 3 * DAY),
    (AT - 3 * DAY, "within_next", AT),
    (AT - 1, "within_next", AT),
    (AT, "within_last", AT + 3 * DAY),
    (AT + 3 * DAY - 1, "within_last", AT + 3 * DAY),
    (AT + 3 * DAY, "more_than_ago", None),
    (AT + 900 * DAY, "more_than_ago", None),
]
SPANS = ("more_than_ahead", "within_next", "within_last", "more_than_ago")


@pytest.mark.parametrize(("now", "phase", "changes"), PHASES)
def test_spans_divide_time_without_gap_or_overlap(
    now: int, phase: str, changes: int | None
) -> None:
    for name in SPANS:
        check = compiled({"trait": "t", name: "3d"}).check
        is_true, next_ms = check(Facts({"t": "2026-05-01T09:00:00Z"}), now)
        assert is_true == (name == phase), name
        if is_true:
            assert next_ms == changes
        else:
            assert next_ms is None or next_ms > now


def test_a_false_span_tells_when_it_begins_or_that_it_is_over() -> None:
    facts = Facts({"t": "2026-05-01T09:00:00Z"})
    verdicts = {name: compiled({"trait": "t", name: "3d"}).check(facts, AT) for name in SPANS}
    assert verdicts == {
        "more_than_ahead": (False, None),
        "within_next": (False, None),
        "within_last": (True, AT + 3 * DAY),
        "more_than_ago": (False, AT + 3 * DAY),
    }


def test_several_operators_change_together() -> None:
    check = compiled({"trait": "t", "within_last": "9d", "more_than_ago": "2d"}).check
    facts = Facts({"t": "2026-05-01T09:00:00Z"})
    assert check(facts, AT) == (False, AT + 2 * DAY)
    assert check(facts, AT + 2 * DAY) == (True, AT + 9 * DAY)
    assert check(facts, AT + 9 * DAY) == (False, None)


def test_another_value_is_read_where_a_value_could_stand() -> None:
    condition = compiled({"trait": "a", "above": {"trait": "b.c"}})
    assert condition.traits == ("a", "b")
    assert not condition.reads_properties
    assert condition.words == "trait 'a' above trait 'b.c'"
    for a, b, expected in ((2, 1, True), (1, 1, False), (2, "1", False), (2, None, False)):
        assert condition.check(Facts({"a": a, "b": {"c": b}}), AT) == (expected, None)
    mixed = compiled({"property": "a", "after": {"trait": "since"}})
    assert (mixed.traits, mixed.reads_properties) == (("since",), True)
    since = Facts({"since": "2026-01-01"})
    assert mixed.check(since, AT, {"a": "2026-01-02"})[0]
    assert not mixed.check(since, AT, {"a": "soon"})[0]
    assert not mixed.check(Facts({"since": "soon"}), AT, {"a": "2026-01-02"})[0]


@pytest.mark.parametrize(
    ("operator", "other", "expected"),
    [("is", None, False), ("is_not", None, True), ("not_contains", None, True),
     ("is", [1, 2], False), ("contains", "b", True), ("starts_with", "a", True),
     ("starts_with", 1, False), ("is", True, False)],
)  # fmt: skip
def test_the_other_value_may_be_missing_or_of_another_kind(
    operator: str, other: Any, expected: bool
) -> None:
    traits = {"a": "abc"} if other is None else {"a": "abc", "b": other}
    condition = compiled({"trait": "a", operator: {"trait": "b"}})
    assert condition.check(Facts(traits), AT)[0] == expected


def test_how_long_a_trait_has_held() -> None:
    condition = compiled({"trait": "plan.name", "is": "free", "for": "30d"})
    (held,) = condition.held
    assert (condition.traits, held.trait) == (("plan",), "plan")
    assert condition.words == "trait 'plan.name' is 'free' for 30d"
    facts = Facts(state={"held": {held.name: AT}})
    assert condition.check(Facts(), AT) == (False, None)
    assert condition.check(facts, AT) == (False, AT + 30 * DAY)
    assert condition.check(facts, AT + 30 * DAY) == (True, None)
    (other,) = compiled({"trait": "plan.name", "is": "free", "for": "1d"}).held
    (different,) = compiled({"trait": "plan.name", "is": "pro", "for": "30d"}).held
    assert held == other != different


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"trait": "t", "before": "May 1st"}, "must be a date, not the text 'May 1st'"),
        ({"trait": "t", "after": 2026}, "must be a date, not the number 2026"),
        ({"trait": "t", "within_last": 7}, "7 has no unit"),
        ({"trait": "t", "within_next": "400w6d9000d"}, "is not a duration"),
        ({"trait": "t", "more_than_ago": "40000d"}, "is longer than 36600d"),
        ({"trait": "t", "is": {"trait": "a", "property": "b"}}, "names no other value"),
        ({"trait": "t", "is": {}}, "names no other value"),
        ({"trait": "t", "is": {"trate": "a"}}, "'trate' is not a field of a reference"),
        ({"trait": "t", "in": [{"trait": "a"}]}, "must be text, a number, true or false"),
        ({"trait": "t", "within_last": "7d", "for": "1d"}, "'for' stands beside an operator"),
        ({"trait": "t", "is": {"trait": "a"}, "for": "1d"}, "'for' stands beside an operator"),
        ({"property": "p", "is": 1, "for": "1d"}, "'for' is not a field of a property"),
        ({"context": "local", "is": "de"}, "'local' of a context is not kept"),
    ],
)
def test_what_is_refused(condition: Any, message: str) -> None:
    with pytest.raises(ValidationError) as error:
        read(condition)
    assert message in str(error.value)
