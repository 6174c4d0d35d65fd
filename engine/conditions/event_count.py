"""`{event: Order Completed, at_least: 3, within: 90d}`: how often something was done, and when.

An event at `ts` counts while `ts > now - within`, so it leaves at exactly `ts + within`. Times are
ascending, so the count is one binary search, and the moment at which the count falls out of (or
into) the wanted range is when one known event leaves: no moment is ever guessed.

`first` and `last` ask of one event instead: when it was, and what it said.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final

from pydantic import BeforeValidator, Field, model_validator

from engine import limits
from engine.conditions import dates
from engine.conditions.dates import Date, Place, milliseconds
from engine.conditions.registry import (
    NO_PROPERTIES,
    Check,
    Compiled,
    Condition,
    ConditionModel,
    Facts,
    Verdict,
    compile_all,
    register,
)
from engine.conditions.windows import FIRST, LAST, Window, window_of
from engine.durations import render, up_to
from engine.schema import EventName, Strict, refusal

_MOST: Final = limits.WINDOW_EVENTS - 1
_NONE: Final[tuple[int, ...]] = ()
Count = Annotated[int, Field(ge=0, le=_MOST)]
Within = Annotated[int, up_to(limits.WINDOW_DAYS * 86_400_000)]
Span = Annotated[int, up_to(limits.SPAN_DAYS * 86_400_000)]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


def reads_only_the_event(where: Sequence[ConditionModel]) -> None:
    """Refuses filters of counted events that read more than their properties.

    What has no offset there is of the zone that the person has when the event comes.
    """
    found = compile_all(where)
    facts = {*found.facts} - {dates.FACT} if found else ()
    if found and (found.traits or found.windows or found.segments or facts):
        raise refusal(
            "a filter of counted events reads their properties and nothing else",
            "put what it asks of the person beside the count, with 'all'",
        )


EventFilters = Annotated[
    list[Condition],
    Field(max_length=limits.BRANCHES),
    BeforeValidator(_as_list),
]


class OneEventModel(Strict):
    """What is asked of the first or the last event: when it was, and what it said."""

    noun: ClassVar[str] = "a condition on one event"
    before: Date | None = None
    after: Date | None = None
    within_last: Span | None = None
    more_than_ago: Span | None = None
    where: EventFilters = Field(default_factory=list)

    @model_validator(mode="after")
    def _asks_something(self) -> "OneEventModel":
        reads_only_the_event(self.where)
        if not self.model_fields_set:
            raise refusal("asks nothing", "add before, after, within_last, more_than_ago or where")
        return self

    def places(self) -> list[Place]:
        """What is asked of its time."""
        found: list[Place] = []
        for name, place in (("before", dates.before), ("after", dates.after)):
            at_ms = milliseconds(getattr(self, name))
            if at_ms is not None:
                found.append(place(at_ms))
        if self.within_last is not None:
            found.append(dates.within_last(self.within_last))
        if self.more_than_ago is not None:
            found.append(dates.more_than_ago(self.more_than_ago))
        return found

    def words(self) -> str:
        """What is asked as a person reads it."""
        parts = [f"{name} {getattr(self, name)}" for name in ("before", "after")]
        parts = [part for part in parts if not part.endswith("None")]
        for name in ("within_last", "more_than_ago"):
            span_ms = getattr(self, name)
            if span_ms is not None:
                parts.append(f"{name.replace('_', ' ')} {render(span_ms)}")
        where = compile_all(self.where)
        if where is not None:
            parts.append(f"with {where.words}")
        return " and ".join(parts)


@register
class EventCountCondition(ConditionModel):
    """How often an event happened, in the last `within` or ever; at least once if not said.

    A range is `at_least` and `at_most` together. Without `within` the newest
    `limits.WINDOW_EVENTS` are counted, which is more than any count asks for: the answer is exact.
    """

    noun: ClassVar[str] = "an event condition"
    key: ClassVar[str] = "event"
    event: EventName
    where: EventFilters = Field(default_factory=list)
    at_least: Count | None = None
    at_most: Count | None = None
    exactly: Count | None = None
    within: Within | None = None
    from_: Date | None = Field(None, alias="from")
    to: Date | None = None
    first: OneEventModel | None = None
    last: OneEventModel | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> "EventCountCondition":
        reads_only_the_event(self.where)
        if self.exactly is not None and (self.at_least is not None or self.at_most is not None):
            raise refusal("'exactly' stands beside another count", "keep one of them")
        low, high = self._range()
        if low == 0 and high == limits.WINDOW_EVENTS:
            raise refusal("'at_least: 0' is always true", "write 1 or more")
        if low > high:
            raise refusal(f"at least {low} and at most {high} is never true", "swap the counts")
        from_ms, to_ms = self._bounds()
        if self.within is not None and (from_ms or to_ms):
            raise refusal("'within' stands beside 'from' or 'to'", "keep one of them")
        if to_ms is not None and to_ms <= from_ms:
            raise refusal("no event lies from 'from' to 'to'", "let 'from' be the earlier one")
        if self.first is not None or self.last is not None:
            others = {"at_least", "at_most", "exactly", "within", "from_", "to"}
            if others & self.model_fields_set or (self.first and self.last):
                raise refusal(
                    "'first' and 'last' ask of one event and stand alone",
                    "write two conditions in a list",
                )
        return self

    def _range(self) -> tuple[int, int]:
        if self.exactly is not None:
            return self.exactly, self.exactly
        if self.at_most is not None:
            return self.at_least or 0, self.at_most
        return 1 if self.at_least is None else self.at_least, limits.WINDOW_EVENTS

    def _bounds(self) -> tuple[int, int | None]:
        return max(0, milliseconds(self.from_) or 0), milliseconds(self.to)

    def compile(self) -> Compiled:
        """Compiles to a look-up, a binary search, and the moment of the next change."""
        one = self.first or self.last
        if one is not None:
            return self._compile_one(one, FIRST if self.first else LAST)
        from_ms, to_ms = self._bounds()
        window = window_of(self.event, self.where, self.within or 0, from_ms, to_ms)
        if self.within is None:
            check = _count(window.name, *self._range())
        else:
            check = _count_within(window.name, *self._range(), self.within)
        return Compiled(check, self._words(), windows=(window,))

    def _compile_one(self, asked: OneEventModel, which: str) -> Compiled:
        windows = [window_of(self.event, self.where, keep=which)]
        if asked.where:
            windows.append(window_of(self.event, [*self.where, *asked.where], keep=which))
        check = _one_event(windows, asked.places())
        words = f"the {which} event {self._spoken()} {asked.words()}"
        return Compiled(check, words, windows=tuple(windows))

    def _spoken(self) -> str:
        where = compile_all(self.where)
        return f"{self.event!r} where {where.words}" if where else repr(self.event)

    def _words(self) -> str:
        low, high = self._range()
        if low == high:
            count = f"exactly {low}"
        elif high == limits.WINDOW_EVENTS:
            count = f"at least {low}"
        else:
            count = f"{low} to {high}" if low else f"at most {high}"
        span = f" within {render(self.within)}" if self.within else ""
        span += f" from {self.from_}" if self.from_ else ""
        span += f" to {self.to}" if self.to else ""
        return f"event {self._spoken()} {count} times{span}"


def _count(name: str, low: int, high: int) -> Check:
    def check(entity: Facts, now_ms: int, properties: Mapping[str, Any] = NO_PROPERTIES) -> Verdict:
        return low <= len(entity.windows.get(name, _NONE)) <= high, None

    return check


def _count_within(name: str, low: int, high: int, within_ms: int) -> Check:
    def check(entity: Facts, now_ms: int, properties: Mapping[str, Any] = NO_PROPERTIES) -> Verdict:
        times = entity.windows.get(name, _NONE)
        count = len(times)
        if count and times[0] <= now_ms - within_ms:
            count -= bisect_right(times, now_ms - within_ms)
        if count < low:
            return False, None
        if count > high:
            return False, times[-high - 1] + within_ms
        return True, times[-low] + within_ms if low else None

    return check


def _one_event(windows: list[Window], places: list[Place]) -> Check:
    """The one time that the first window keeps; it must be in all windows and all places."""
    name, *others = [window.name for window in windows]

    def check(entity: Facts, now_ms: int, properties: Mapping[str, Any] = NO_PROPERTIES) -> Verdict:
        times = entity.windows.get(name)
        if not times or any(entity.windows.get(other) != times for other in others):
            return False, None
        return dates.all_of(place(times[0], now_ms) for place in places)

    return check
