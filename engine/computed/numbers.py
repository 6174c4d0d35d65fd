"""Numbers that add up exactly.

A number counts as the decimal number that it is written as: 0.1 and 0.2 are 0.3, and nothing is
lost behind the point. So a sum does not hang on the order in which its parts come, what leaves a
window is taken away without a trace, and two sums of profiles that become one are the sum of all.

A total is an integer, or the text of a decimal number where no integer of 64 bits can hold it.
"""

from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, Inexact
from typing import Any, Final

from engine import limits

Total = int | str

# Numbers reach from 2**63 to the smallest float, 5e-324: nothing that is added is ever rounded.
_EXACT: Final = Context(prec=1_200, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[Inexact])
_INTEGERS: Final = range(-(2**63), 2**64)  # what msgpack holds


def number(value: Any) -> int | float | None:
    """A value as a number, a whole one as an integer; None if it is none, or too large.

    Text is not a number, and neither is true.
    """
    kind = value.__class__
    if kind is int:
        return value if -limits.COMPUTED_NUMBER <= value <= limits.COMPUTED_NUMBER else None
    if kind is not float or not -limits.COMPUTED_NUMBER <= value <= limits.COMPUTED_NUMBER:
        return None
    return int(value) if value.is_integer() else value


def plus(total: Total, item: float | str) -> Total:
    """A total and another one, or one more number. Cost: 0.1 µs for integers, 1 µs for others."""
    if isinstance(total, int) and isinstance(item, int):
        whole = total + item
        return whole if whole in _INTEGERS else str(whole)
    exact = _EXACT.add(_decimal(total), _decimal(item))
    whole = int(exact)
    return whole if whole == exact and whole in _INTEGERS else str(_EXACT.normalize(exact))


def minus(total: Total, item: float) -> Total:
    """A total without one of its numbers."""
    return plus(total, -item)


def value_of(total: Total) -> int | float:
    """A total as a trait: an integer if it is whole and fits, else the nearest float."""
    return total if isinstance(total, int) else float(total)


def mean_of(total: Total, count: int) -> int | float:
    """The nearest number to a total divided by a count."""
    above, below = _decimal(total).as_integer_ratio()
    whole, rest = divmod(above, below * count)
    return whole if not rest else above / (below * count)  # of integers, so it is rounded once


def _decimal(value: float | str) -> Decimal:
    return Decimal(repr(value)) if value.__class__ is float else Decimal(value)
