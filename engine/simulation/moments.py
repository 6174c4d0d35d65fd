"""Moments of a scenario: `2h` after its start, or `2026-01-05T14:00:00Z`."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, NamedTuple

from pydantic import PlainValidator

from engine import durations
from engine.issues import kind_of
from engine.schema import refusal

_EXAMPLES: Final = "write it like 0s, 90m, 1d2h30m or 2026-01-05T14:00:00Z"


class Moment(NamedTuple):
    """A time: milliseconds since the start of the scenario, or Unix milliseconds if absolute."""

    ms: int
    absolute: bool
    text: str

    def at(self, start_ms: int) -> int:
        """The moment as Unix milliseconds."""
        return self.ms if self.absolute else start_ms + self.ms


def read(value: Any) -> Moment:
    """A moment from its text.

    Raises:
        PydanticCustomError: It is neither an offset nor a time.
    """
    if not isinstance(value, str):
        raise refusal(f"must be a moment, not {kind_of(value)}", _EXAMPLES)
    sign, text = (-1, value[1:]) if value.startswith("-") else (1, value)
    try:
        return Moment(0 if text == "0s" else sign * durations.parse(text), False, value)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise refusal(f"{value!r} is neither an offset nor a time", _EXAMPLES) from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return Moment(round(at.timestamp() * 1_000), True, value)


def offset(ms: int, start_ms: int) -> str:
    """A time as an offset from the start: `1d2h`, `90.5s` below seconds, `-1h` before it."""
    since_ms = abs(ms - start_ms)
    sign = "-" if ms < start_ms else ""
    if since_ms % 1_000:
        return f"{sign}{since_ms / 1_000:.3f}s"
    return sign + durations.render(since_ms)


MomentField = Annotated[Moment, PlainValidator(read)]
START: Final = read("2026-01-05T00:00:00Z")  # a Monday
