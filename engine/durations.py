"""Durations as people write them: `90s`, `15m`, `2h`, `1d`, `2w`, `1h30m`.

One form in every definition, so that no number in a document is ever a guess between seconds and
milliseconds: a bare number is refused. Days have 24 hours and weeks 7 days; a calendar day belongs
to a zone, and where one is meant (a lane's daily limit) it is named as such.
"""

import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

UNITS_MS: Final = {
    "w": 7 * 86_400_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
}
_SHAPE: Final = re.compile("".join(rf"(?:([0-9]{{1,9}}){unit})?" for unit in UNITS_MS))
_EXAMPLES: Final = "write it like 90s, 15m, 2h, 1d, 2w or 1h30m"


def parse(text: Any) -> int:
    """The milliseconds of a duration.

    Args:
        text: Numbers with the units w, d, h, m, s, largest first and each at most once.

    Raises:
        ValueError: It is not a duration, or it is nothing at all; the message says what to write.
    """
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        msg = f"{text} has no unit; {_EXAMPLES}"
        raise ValueError(msg)
    match = _SHAPE.fullmatch(text.replace(" ", "")) if isinstance(text, str) else None
    if match is None or not any(match.groups()):
        msg = f"{text!r} is not a duration; {_EXAMPLES}"
        raise ValueError(msg)
    numbers = zip(match.groups(), UNITS_MS.values(), strict=True)
    duration_ms = sum(int(number) * unit_ms for number, unit_ms in numbers if number)
    if duration_ms == 0:
        msg = f"{text!r} is no time at all; the shortest duration is 1s"
        raise ValueError(msg)
    return duration_ms


def render(duration_ms: int) -> str:
    """A duration in the form that `parse` reads: `5400000` is `1h30m`.

    Milliseconds below a second, which no definition can hold, are left out.
    """
    parts = []
    for unit, unit_ms in UNITS_MS.items():
        if unit == "w" and duration_ms % unit_ms:
            continue  # 90d, not 12w6d
        number, duration_ms = divmod(duration_ms, unit_ms)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"


def up_to(bound_ms: int) -> BeforeValidator:
    """A pydantic validator that reads a duration of at most `bound_ms`."""

    def read(value: Any) -> int:
        duration_ms = parse(value)
        if duration_ms > bound_ms:
            bound = f"{bound_ms // UNITS_MS['d']}d"
            msg = f"{value!r} is longer than {bound}, the longest that is allowed"
            raise ValueError(msg)
        return duration_ms

    return BeforeValidator(read)


Duration = Annotated[int, BeforeValidator(parse)]
