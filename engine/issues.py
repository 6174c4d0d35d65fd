"""What is wrong with a definition, in sentences: the one form of every error a definition can have.

An issue says where, what, and what to do. Checks gather all issues of all documents before they
raise, because a person who fixes one error and meets the next has been told half the truth.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from engine.errors import DenreiError


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that is wrong.

    Attributes:
        where: The document: `journey 'cart'`, or its place in a text if it has no name.
        what: What is wrong in it, naming the step or field.
        hint: What to do, or empty.
        field: The path of the field, as `steps.wait.on[0].then`, or empty.
        source: Where the document was read, as `cart.yaml:12`, or empty.
    """

    where: str
    what: str
    hint: str = ""
    field: str = ""
    source: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}"
        return f"{text}; {self.hint}" if self.hint else text


class DefinitionError(DenreiError):
    """Definitions that cannot be taken; nothing of them was.

    Attributes:
        issues: Everything that was found, at least one.
    """

    def __init__(self, issues: Iterable[Issue]) -> None:
        self.issues = list(issues)
        super().__init__("\n".join(map(str, self.issues)))


_HUMP: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|[ -]")
# What other systems call our operators.
_ELSEWHERE: Final = {
    "equals": "is", "equal": "is", "eq": "is", "not_equals": "is_not", "ne": "is_not",
    "neq": "is_not", "greater_than": "above", "more_than": "above", "gt": "above",
    "gte": "at_least", "greater_than_or_equal": "at_least", "min": "at_least",
    "less_than": "below", "lt": "below", "lte": "at_most", "less_than_or_equal": "at_most",
    "max": "at_most", "is_any": "in", "any_of": "in", "is_any_of": "in", "one_of": "in",
    "is_one_of": "in", "none_of": "not_in", "is_none_of": "not_in", "not_any_of": "not_in",
    "is_set": "exists", "has": "exists", "includes": "contains", "begins_with": "starts_with",
    "older_than": "more_than_ago", "newer_than": "within_last",
}  # fmt: skip


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """`did you mean 'x'?` for the nearest of some words, or an empty text."""
    known = sorted(known)
    ours = _ELSEWHERE.get(_HUMP.sub("_", str(word)).lower(), "")
    if ours in known:
        return f"did you mean {ours!r}?"
    if str(word) == "between" and "at_least" in known:
        return "say 'at_least' and 'at_most'"
    near = get_close_matches(str(word), known, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else ""


def listed(words: Iterable[str]) -> str:
    """Words for a sentence: `a, b or c`."""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def shortened(text: str, chars: int) -> str:
    """A text of at most so many characters; the end of a longer one goes."""
    return text if len(text) <= chars else f"{text[: chars - 1]}…"


def kind_of(value: Any) -> str:
    """What a value is, in the words of someone who writes YAML."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    return "a list" if isinstance(value, list) else "a map"
