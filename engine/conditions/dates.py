"""Moments: texts that are one, and conditions on where one lies, which time alone may change.

Only an ISO 8601 timestamp or a date (`2026-05-01`, midnight) is a moment; without an offset it is
UTC. Nothing else is guessed to be one: no numbers, no other order of day and month.

Spans are half open, so that `more_than_ahead`, `within_next`, `within_last` and `more_than_ago` of
one span divide time without gap or overlap: a moment `at` passes from one to the next at exactly
`at - span`, `at` and `at + span`.
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

from engine.conditions.registry import Verdict
from engine.issues import kind_of
from engine.schema import refusal

_ISO: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(?:[Zz]|([+-])(\d\d):?(\d\d))?)?",
    re.ASCII,
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

Place = Callable[[int, int], Verdict]
"""`(moment_ms, now_ms)` to whether the moment lies where it should, and when that changes."""


def milliseconds(value: Any) -> int | None:
    """A moment as Unix milliseconds, or None if the value is none. Cost: 2 µs."""
    match = _ISO.fullmatch(value) if value.__class__ is str else None
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, ahead_h, ahead_m = match.groups()
    try:
        at = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0),
            tzinfo=UTC,
        )  # fmt: skip
    except ValueError:
        return None
    since_ms = (at - _EPOCH) // _MILLISECOND
    if fraction:
        since_ms += int(fraction[:3].ljust(3, "0"))
    if sign:
        offset_ms = (int(ahead_h) * 60 + int(ahead_m)) * 60_000
        since_ms -= offset_ms if sign == "+" else -offset_ms
    return since_ms


def read(value: Any) -> Any:
    """A validator of moments; the text stays as it is."""
    if milliseconds(value) is None:
        hint = "write it like 2026-05-01 or 2026-05-01T09:30:00Z"
        raise refusal(f"must be a date, not {kind_of(value)}", hint)
    return value


Date = Annotated[str, BeforeValidator(read)]


def before(limit_ms: int) -> Place:
    """Before a moment."""
    return lambda at_ms, now_ms: (at_ms < limit_ms, None)


def after(limit_ms: int) -> Place:
    """After a moment."""
    return lambda at_ms, now_ms: (at_ms > limit_ms, None)


def within_last(span_ms: int) -> Place:
    """Now or past, by less than a span."""

    def check(at_ms: int, now_ms: int) -> Verdict:
        if at_ms > now_ms:
            return False, at_ms
        return (True, at_ms + span_ms) if now_ms < at_ms + span_ms else (False, None)

    return check


def within_next(span_ms: int) -> Place:
    """Ahead, by at most a span."""

    def check(at_ms: int, now_ms: int) -> Verdict:
        if now_ms < at_ms - span_ms:
            return False, at_ms - span_ms
        return (True, at_ms) if now_ms < at_ms else (False, None)

    return check


def more_than_ago(span_ms: int) -> Place:
    """Past, by a span or more."""

    def check(at_ms: int, now_ms: int) -> Verdict:
        return (True, None) if now_ms >= at_ms + span_ms else (False, at_ms + span_ms)

    return check


def more_than_ahead(span_ms: int) -> Place:
    """Ahead, by more than a span."""

    def check(at_ms: int, now_ms: int) -> Verdict:
        return (True, at_ms - span_ms) if now_ms < at_ms - span_ms else (False, None)

    return check


def all_of(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict of several that must all be true; see `combinations` for why."""
    first: int | None = None
    last: int | None = None
    for is_true, next_ms in verdicts:
        if not is_true:
            if next_ms is None:
                return False, None
            if last is None or next_ms > last:
                last = next_ms
        elif next_ms is not None and (first is None or next_ms < first):
            first = next_ms
    return (True, first) if last is None else (False, last)
