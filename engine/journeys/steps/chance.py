"""Chance for steps: a number that is drawn from ids, and branches that share 100 percent.

Nothing is random at run time: what looks like a draw is a hash of who, where and, if it is drawn
anew at each visit, when. So a replay draws the same.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final

from pydantic import BeforeValidator
from xxhash import xxh3_64_intdigest

from engine.issues import kind_of
from engine.journeys.steps.registry import END, StepName
from engine.schema import Strict, refusal

_WHOLE: Final = 10_000  # hundredths of a percent
_DECIMALS: Final = 2


def number_of(*parts: str | int) -> int:
    """A number of 64 bits that is the same for the same parts and else looks random."""
    return xxh3_64_intdigest("\x00".join(map(str, parts)).encode())


def _percent(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise refusal(f"must be a percentage, not {kind_of(value)}", "write it like 50 or 12.5")
    if not 0 < value <= 100:
        raise refusal(f"{value} percent is not above 0 and at most 100")
    if round(value, _DECIMALS) != value:
        raise refusal(f"{value} percent has more than two decimals")
    return value


Percent = Annotated[float, BeforeValidator(_percent)]


class ShareModel(Strict):
    """A branch that a part of all people takes."""

    noun: ClassVar[str] = "a random branch"
    percent: Percent
    then: StepName = END


def must_be_whole(shares: Sequence[ShareModel], what: str) -> None:
    """Refuses shares that are not 100 percent together."""
    total = sum(_hundredths(share) for share in shares)
    if total != _WHOLE:
        missing = abs(_WHOLE - total) / 100
        hint = f"{missing:g} are {'missing' if total < _WHOLE else 'too many'}"
        raise refusal(f"{what} are {total / 100:g} percent together, not 100", hint)


def _hundredths(share: ShareModel) -> int:
    return round(share.percent * 100)


class Draw:
    """Draws one of several shares."""

    __slots__ = ("_past",)

    def __init__(self, shares: Sequence[ShareModel]) -> None:
        past = 0
        bounds = []
        for share in shares:
            past += _hundredths(share)
            bounds.append(past)
        self._past = tuple(bounds)

    def index(self, *parts: str | int) -> int:
        """Which share the parts fall into."""
        drawn = number_of(*parts) % _WHOLE
        return next(index for index, past in enumerate(self._past) if drawn < past)
