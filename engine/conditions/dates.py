"""Moments: texts that are one, and conditions on where one lies, which time alone may change.

What a trait or a property tells is a moment as it is for a delay (`zones.moment_of`): an ISO 8601
timestamp or a date (`2026-05-01`, midnight), which without an offset is of the person's zone; or
Unix time. So a segment and a delay mean the same by one value. What a definition says is a
timestamp or a date, and without an offset of the person's zone as well; only where it bounds times
of events it is UTC, since those are one for all.

Spans are half open, so that `more_than_ahead`, `within_next`, `within_last` and `more_than_ago` of
one span divide time without gap or overlap: a moment `at` passes from one to the next at exactly
`at - span`, `at` and `at + span`.
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

from engine import zones
from engine.conditions.registry import Facts, Verdict
from engine.issues import kind_of
from engine.schema import refusal

_ISO: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(?:[Zz]|([+-])(\d\d):?(\d\d))?)?",
    re.ASCII,
)
FACT: Final = "zone"  # what a condition reads by which a person's clock goes
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

Place = Callable[[int, int], Verdict]
"""`(moment_ms, now_ms)` to whether the moment lies where it should, and when that changes."""


def moment_of(value: Any, entity: Facts) -> int | None:
    """The moment that a value of a person or an event tells of, or None. Cost: 1 µs."""
    return zones.moment_of(value, zones.zone_of(entity)[0])


def literal(text: str) -> Callable[[Facts], int]:
    """The moment that a definition names, for each person."""
    in_utc_ms = milliseconds(text)
    assert in_utc_ms is not None
    if zones.has_offset(text):
        return lambda entity: in_utc_ms
    known = {zones.DEFAULT.key: in_utc_ms}  # by zone: at most one for each that there is

    def find(entity: Facts) -> int:
        zone = zones.zone_of(entity)[0]
        at_ms = known.get(zone.key)
        if at_ms is None:
            at_ms = known[zone.key] = zones.moment_of(text, zone) or in_utc_ms
        return at_ms

    return find


def milliseconds(value: Any) -> int | None:
    """What a definition says, in UTC if it has no offset; None if it is no moment. Cost: 2 µs."""
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


def any_of(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict of several of which one must be true."""
    is_false, next_ms = all_of((not is_true, next_ms) for is_true, next_ms in verdicts)
    return not is_false, next_ms


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
