"""Dotted paths into maps and lists: how they find a value, compiled once.

A number picks an item of a list: `products.0.sku`. For a condition the name of a field goes through
a list: `products.sku` is that of any of them, and what is found is `Many`. Everything else wants
one value (a key, what a step writes), so for it a path that goes through a list leads nowhere.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

MISSING: Final = object()
_DIGITS: Final = 6  # of an item's number


class Many(list[Any]):
    """The values that a path leads to through lists; at least one."""


def resolver(path: str) -> Callable[[Mapping[str, Any]], Any]:
    """A closure that finds a dotted path in a map, or gives `MISSING`."""
    first, *rest = path.split(".")
    if not rest:
        return lambda values: values.get(first, MISSING)

    def find(values: Mapping[str, Any]) -> Any:
        value = values.get(first, MISSING)
        for part in rest:
            if value.__class__ is dict:
                value = value.get(part, MISSING)
            elif value.__class__ is list:
                value = _item(value, part)
            else:
                return MISSING
        return value

    return find


def finder(path: str) -> Callable[[Mapping[str, Any]], Any]:
    """The same for conditions: through a list it finds `Many`."""
    first, *rest = path.split(".")
    if not rest:
        return lambda values: values.get(first, MISSING)
    names = tuple(rest)

    def find(values: Mapping[str, Any]) -> Any:
        value = values.get(first, MISSING)
        for at, part in enumerate(names):
            if value.__class__ is dict:
                value = value.get(part, MISSING)
            elif value.__class__ is list:
                if not _is_number(part):
                    return _through(value, names[at:])
                value = _item(value, part)
            else:
                return MISSING
        return value

    return find


def _through(items: list[Any], names: Sequence[str]) -> Any:
    found = Many()
    _collect(items, names, found)
    return found or MISSING


def _collect(items: list[Any], names: Sequence[str], found: Many) -> None:
    """Adds what is found in each map of a list. It goes no deeper than the path is long."""
    for item in items:
        value = item if item.__class__ is dict else MISSING
        for at, part in enumerate(names):
            if value.__class__ is dict:
                value = value.get(part, MISSING)
            elif value.__class__ is list:
                if not _is_number(part):
                    _collect(value, names[at:], found)
                    value = MISSING
                    break
                value = _item(value, part)
            else:
                value = MISSING
                break
        if value is not MISSING:
            found.append(value)


def _is_number(part: str) -> bool:
    return part.isascii() and part.isdigit() and len(part) <= _DIGITS


def _item(values: list[Any], part: str) -> Any:
    if not _is_number(part):
        return MISSING
    number = int(part)
    return values[number] if number < len(values) else MISSING
