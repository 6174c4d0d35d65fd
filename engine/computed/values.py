"""Values of properties as they are kept: bounded, and comparable whatever they are.

A missing value, nothing (`null`) and an empty text are no value. Nothing is converted: the number
1, the text "1" and true are three values; 1 and 1.0 are one.
"""

from collections.abc import Iterable
from typing import Any, Final

from engine import limits
from engine.computed.numbers import number
from engine.packing import pack

_TRUTH: Final = "b"
_NUMBER: Final = "n"
_TEXT: Final = "t"  # stands behind the others: texts come last


def is_none(value: Any) -> bool:
    """Whether a property says nothing."""
    return value is None or value == ""


def fits(value: Any) -> bool:
    """Whether a value of any kind may be kept."""
    return len(pack(value)) <= limits.COMPUTED_VALUE_BYTES


def keys_of(value: Any) -> tuple[list[str], bool]:
    """The keys of what a property says, each once: of a list, those of its items.

    Returns:
        The keys; and whether something was left out: too long a text, too large a number, a map,
        or more than `limits.COMPUTED_ITEMS` items.
    """
    if value.__class__ is not list:
        key = _key(value)
        return ([key] if key else []), key is None
    items = value[: limits.COMPUTED_ITEMS]
    found = [_key(item) for item in items]
    keys = [key for key in dict.fromkeys(found) if key]
    return keys, None in found or len(items) < len(value)


def of_key(key: str) -> Any:
    """The value of a key."""
    kind, text = key[0], key[1:]
    if kind == _TEXT:
        return text
    if kind == _TRUTH:
        return text == "1"
    return int(text) if text.lstrip("-").isdigit() else float(text)


def in_order(keys: Iterable[str]) -> list[str]:
    """Keys in the order of their values: false, true, numbers by size, texts by the alphabet."""
    texts: list[str] = []
    others: list[str] = []
    for key in keys:
        (texts if key[0] == _TEXT else others).append(key)
    texts.sort()
    return [*sorted(others, key=_place), *texts] if others else texts


def _place(key: str) -> tuple[str, Any]:
    return key[0], of_key(key)


def _key(value: Any) -> str | None:
    """A value's key; empty if it is no value, None if it cannot be kept."""
    if is_none(value):
        return ""
    kind = value.__class__
    if kind is str:
        return _TEXT + value if len(value.encode()) <= limits.COMPUTED_VALUE_BYTES else None
    if kind is bool:
        return _TRUTH + ("1" if value else "0")
    found = number(value)
    return None if found is None else _NUMBER + repr(found)
