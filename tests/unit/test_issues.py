"""Hints: the word that was meant, also if it is another system's."""

import pytest

from engine.issues import did_you_mean

OPERATORS = ("is", "is_not", "in", "not_in", "above", "at_least", "below", "at_most", "exists")


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("greater_than", "did you mean 'above'?"),
        ("greaterThan", "did you mean 'above'?"),
        ("Greater Than", "did you mean 'above'?"),
        ("gte", "did you mean 'at_least'?"),
        ("equals", "did you mean 'is'?"),
        ("is_any", "did you mean 'in'?"),
        ("is-set", "did you mean 'exists'?"),
        ("between", "say 'at_least' and 'at_most'"),
        ("abov", "did you mean 'above'?"),
        ("nothing_like_it", ""),
    ],
)
def test_the_word_that_was_meant(word: str, hint: str) -> None:
    assert did_you_mean(word, OPERATORS) == hint


def test_no_word_is_named_that_is_not_known_there() -> None:
    assert did_you_mean("greater_than", ("track", "page")) == ""
