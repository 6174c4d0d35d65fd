"""The traits to which the Segment Spec gives a meaning, and what each must look like.

A value that is not what its name says is kept as it came, because whoever sent it may know why; but
the trail says so at once, rather than that a birthday mail never comes and nobody knows the reason.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Final

from engine.activation import Activation
from engine.zones import find

_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_PHONE: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_LOCALE: Final = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
_SHOWN_CHARS: Final = 60

Check = Callable[[Any], bool]


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _matches(pattern: re.Pattern[str]) -> Check:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _id(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _map(value: Any) -> bool:
    return isinstance(value, dict)


def _zone(value: Any) -> bool:
    return isinstance(value, str) and find(value) is not None


def _day(value: Any) -> bool:
    return _parses(date.fromisoformat, value) or _time(value)


def _time(value: Any) -> bool:
    return _number(value) or _parses(datetime.fromisoformat, value)


def _parses(read: Callable[[str], Any], value: Any) -> bool:
    try:
        read(value)
    except (TypeError, ValueError):
        return False
    return True


_TEXT: Final = (_text, "a text")
RESERVED: Final[Mapping[str, tuple[Check, str]]] = {
    "address": (_map, "a map like {city: Ulm, country: DE}"),
    "age": (_number, "a number"),
    "avatar": _TEXT,
    "birthday": (_day, "a date like 1990-01-31"),
    "company": (_map, "a map like {name: Acme}"),
    "createdAt": (_time, "a time like 2026-01-31T12:00:00Z"),
    "description": _TEXT,
    "email": (_matches(_EMAIL), "an e-mail address"),
    "firstName": _TEXT,
    "gender": _TEXT,
    "id": (_id, "a text or a number"),
    "lastName": _TEXT,
    "locale": (_matches(_LOCALE), "a locale like de-DE"),
    "name": _TEXT,
    "phone": (_matches(_PHONE), "a phone number like +12025550123"),
    "timezone": (_zone, "a time zone like Europe/Berlin"),
    "title": _TEXT,
    "username": _TEXT,
    "website": _TEXT,
}
"""By the trait's name: whether a value is what the spec says, and what that is."""


def look_at(act: Activation, said: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """Says in the trail which of the traits that have just changed are not what they should be.

    Args:
        act: The activation.
        said: What an identify says.
        before: The traits before it.
    """
    for name, value in said.items():
        rule = RESERVED.get(name)
        if rule is None or value is None or before.get(name) == value or rule[0](value):
            continue
        shown = repr(value)[:_SHOWN_CHARS]
        act.note("trait", name, f"kept as it came, though {shown} is not {rule[1]}")
