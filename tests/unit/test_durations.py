"""Durations: what is one, what is not, and that writing and reading are inverse."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.durations import parse, render


@pytest.mark.parametrize(
    ("text", "duration_ms"),
    [
        ("1s", 1_000),
        ("90s", 90_000),
        ("15m", 900_000),
        ("2h", 7_200_000),
        ("1d", 86_400_000),
        ("2w", 1_209_600_000),
        ("1h30m", 5_400_000),
        ("1h 30m", 5_400_000),
        ("1w1d1h1m1s", 694_861_000),
    ],
)
def test_what_is_a_duration(text: str, duration_ms: int) -> None:
    assert parse(text) == duration_ms


EXAMPLES = "write it like 90s, 15m, 2h, 1d, 2w or 1h30m"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (90, f"90 has no unit; {EXAMPLES}"),
        (1.5, f"1.5 has no unit; {EXAMPLES}"),
        ("90", f"'90' is not a duration; {EXAMPLES}"),
        ("", f"'' is not a duration; {EXAMPLES}"),
        ("h", f"'h' is not a duration; {EXAMPLES}"),
        ("30m1h", f"'30m1h' is not a duration; {EXAMPLES}"),
        ("1h1h", f"'1h1h' is not a duration; {EXAMPLES}"),
        ("1.5h", f"'1.5h' is not a duration; {EXAMPLES}"),
        ("-1h", f"'-1h' is not a duration; {EXAMPLES}"),
        ("1H", f"'1H' is not a duration; {EXAMPLES}"),
        ("٣h", f"'٣h' is not a duration; {EXAMPLES}"),
        ("two hours", f"'two hours' is not a duration; {EXAMPLES}"),
        (None, f"None is not a duration; {EXAMPLES}"),
        (True, f"True is not a duration; {EXAMPLES}"),
        ("0s", "'0s' is no time at all; the shortest duration is 1s"),
    ],
)
def test_what_is_not(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse(value)


def test_days_are_not_written_as_weeks_unless_they_are_whole_weeks() -> None:
    assert [render(days * 86_400_000) for days in (7, 14, 30, 90)] == ["1w", "2w", "30d", "90d"]


@given(st.integers(1, 2**40))
def test_what_is_rendered_reads_as_the_same(seconds: int) -> None:
    assert parse(render(seconds * 1000)) == seconds * 1000
