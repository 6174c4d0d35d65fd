"""`{event: Order Completed, at_least: 3, within: 90d}`: how often something was done.

An event at `ts` counts while `ts > now - within`, so it leaves at exactly `ts + within`. Times are
ascending, so the count is one binary search, and the moment at which the count falls out of (or
into) the wanted range is when one known event leaves: no moment is ever guessed.
"""

from bisect import bisect_right
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field, model_validator

from engine import limits
from engine.conditions.registry import Compiled, ConditionModel, Facts, Verdict, register
from engine.durations import render, up_to
from engine.schema import EventName, refusal

_MOST: Final = limits.WINDOW_EVENTS - 1
_NONE: Final[tuple[int, ...]] = ()
Count = Annotated[int, Field(ge=0, le=_MOST)]


@register
class EventCountCondition(ConditionModel):
    """How often an event happened, in the last `within` or ever; at least once if not said.

    A range is `at_least` and `at_most` together. Without `within` the newest
    `limits.WINDOW_EVENTS` are counted.
    """

    noun: ClassVar[str] = "an event condition"
    key: ClassVar[str] = "event"
    event: EventName
    at_least: Count | None = None
    at_most: Count | None = None
    exactly: Count | None = None
    within: Annotated[int, up_to(limits.WINDOW_DAYS * 86_400_000)] | None = None

    @model_validator(mode="after")
    def _counts_make_sense(self) -> "EventCountCondition":
        if self.exactly is not None and (self.at_least is not None or self.at_most is not None):
            raise refusal("'exactly' stands beside another count", "keep one of them")
        low, high = self._range()
        if low == 0 and high == limits.WINDOW_EVENTS:
            raise refusal("'at_least: 0' is always true", "write 1 or more")
        if low > high:
            raise refusal(f"at least {low} and at most {high} is never true", "swap the counts")
        return self

    def _range(self) -> tuple[int, int]:
        if self.exactly is not None:
            return self.exactly, self.exactly
        if self.at_most is not None:
            return self.at_least or 0, self.at_most
        return 1 if self.at_least is None else self.at_least, limits.WINDOW_EVENTS

    def compile(self) -> Compiled:
        """Compiles to a look-up, a binary search, and the moment of the next change."""
        event, within_ms = self.event, self.within
        low, high = self._range()

        def check_ever(entity: Facts, now_ms: int, properties: Any = None) -> Verdict:
            return low <= len(entity.windows.get(event, _NONE)) <= high, None

        def check_within(entity: Facts, now_ms: int, properties: Any = None) -> Verdict:
            times = entity.windows.get(event, _NONE)
            assert within_ms is not None
            count = len(times)
            if count and times[0] <= now_ms - within_ms:
                count -= bisect_right(times, now_ms - within_ms)
            if count < low:
                return False, None
            if count > high:
                return False, times[-high - 1] + within_ms
            return True, times[-low] + within_ms if low else None

        check = check_ever if within_ms is None else check_within
        return Compiled(check, self._words(), windows=((event, within_ms or 0),))

    def _words(self) -> str:
        low, high = self._range()
        if low == high:
            count = f"exactly {low}"
        elif high == limits.WINDOW_EVENTS:
            count = f"at least {low}"
        else:
            count = f"{low} to {high}" if low else f"at most {high}"
        span = f" within {render(self.within)}" if self.within else ""
        return f"event {self.event!r} {count} times{span}"
