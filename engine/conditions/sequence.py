"""`{sequence: [{event: A}, {no_event: B, within: 2h}]}`: what was done, in which order, or not.

A chain is one event for each `event` step, each later than the one before it (by a millisecond at
least) and, if the step has a `within`, by less than that. `no_event` with `within` waits: nothing
of the kind happens so long after the step before, and the chain goes on from the end of that time.
Without `within` it forbids the event up to the next step's event, or for ever if it is the last.

The condition holds while there is such a chain, within the last `within` if that is given: its
first event then counts while `ts > now - within`.

Chains are found newest first. Where the step before stands at several moments, the latest of them
is the best: it leaves the least time for anything between, and its chain began last. So each step
is one walk backwards over times that are there, and the first chain found is the one that stays
longest. What only time can settle (nothing happened *yet*) is noted with its moment.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field, model_validator

from engine import limits
from engine.conditions.event_count import EventFilters, Within, reads_only_the_event
from engine.conditions.registry import (
    NO_PROPERTIES,
    Check,
    Compiled,
    ConditionModel,
    Facts,
    Verdict,
    compile_all,
    register,
)
from engine.conditions.windows import window_of
from engine.durations import render
from engine.schema import EventName, PropertyPath, Strict, refusal

Times = Sequence[int]
Anchor = tuple[int, int]
"""A moment at which a chain stands, and when it began."""
_NONE: Final[Times] = ()


class SequenceStep(Strict):
    """One step of a sequence."""

    noun: ClassVar[str] = "a step of a sequence"
    event: EventName | None = None
    no_event: EventName | None = None
    where: EventFilters = Field(default_factory=list)
    within: Within | None = None

    @model_validator(mode="after")
    def _is_one_thing(self) -> "SequenceStep":
        reads_only_the_event(self.where)
        if (self.event is None) == (self.no_event is None):
            raise refusal("a step of a sequence has either 'event' or 'no_event'")
        return self

    def words(self) -> str:
        """The step as a person reads it."""
        where = compile_all(self.where)
        words = f"{self.event!r}" if self.event else f"no {self.no_event!r}"
        words += f" where {where.words}" if where else ""
        return words + (f" within {render(self.within)}" if self.within else "")


@register
class SequenceCondition(ConditionModel):
    """Events one after the other; see the module's text."""

    noun: ClassVar[str] = "a sequence"
    key: ClassVar[str] = "sequence"
    sequence: Annotated[list[SequenceStep], Field(max_length=limits.SEQUENCE_STEPS)]
    within: Within | None = None
    same: PropertyPath | None = None

    @model_validator(mode="after")
    def _can_happen(self) -> "SequenceCondition":
        steps = self.sequence
        if len(steps) < 2:
            raise refusal("a sequence has at least two steps", "one event alone is {event: name}")
        if steps[0].event is None or steps[0].within is not None:
            raise refusal(
                "a sequence begins with an 'event' that has no 'within'",
                "a 'within' beside 'sequence' says how far back all of it may lie",
            )
        for step, then in zip(steps, [*steps[1:], None], strict=True):
            if step.no_event and not step.within and then is not None and then.event is None:
                raise refusal(
                    "a 'no_event' without 'within' stands before another 'no_event'",
                    "give it a 'within', or let an 'event' follow it",
                )
        least_ms = sum(step.within or 0 for step in steps if step.no_event)
        if self.within is not None and self.within <= least_ms:
            what = f"all of it within {render(self.within)} is never true"
            raise refusal(what, f"'within' must be more than {render(least_ms)}")
        return self

    def compile(self) -> Compiled:
        """Compiles to walks over the times of its events."""
        path = self.same.partition(".")[2] if self.same else ""
        windows = [
            window_of(step.event or step.no_event or "", step.where, self.within or 0, same=path)
            for step in self.sequence
        ]
        chains = _Chains(self.sequence)
        names = [window.name for window in windows]
        check = _check(chains, names, self.within, keyed=bool(path))
        words = " then ".join(step.words() for step in self.sequence)
        words += f" with the same {path}" if path else ""
        words += f", all within {render(self.within)}" if self.within else ""
        return Compiled(check, words, windows=tuple(dict.fromkeys(windows)))


def _check(chains: "_Chains", names: list[str], within_ms: int | None, keyed: bool) -> Check:
    def check(entity: Facts, now_ms: int, properties: Mapping[str, Any] = NO_PROPERTIES) -> Verdict:
        lists: list[Sequence[Any]] = [entity.windows.get(name, _NONE) for name in names]
        if not lists[0]:
            return False, None
        since_ms = -1 if within_ms is None else now_ms - within_ms
        began_ms = -1
        waiting: list[Anchor] = []
        for times in _by_text(lists) if keyed else (lists,):
            found = next(chains.find(times, since_ms, now_ms, waiting), None)
            if found is not None:
                began_ms = max(began_ms, found[1])
        if within_ms is None:
            if began_ms >= 0:
                return True, None
            return False, min((at for at, _ in waiting), default=None)
        if began_ms >= 0:
            return True, began_ms + within_ms
        settled = (at for at, began in waiting if at < began + within_ms)
        return False, min(settled, default=None)

    return check


def _by_text(lists: list[Sequence[Any]]) -> Iterable[Sequence[Times]]:
    """Lists of `[ms, text]` as lists of times, apart for each text of the first."""
    apart: dict[str, list[list[int]]] = {text: [[] for _ in lists] for _, text in lists[0]}
    for number, items in enumerate(lists):
        for at_ms, text in items:
            if text in apart:
                apart[text][number].append(at_ms)
    return apart.values()


class _Chains:
    """The steps of a sequence, ready to be walked; each gives its anchors newest first."""

    __slots__ = ("_steps", "_waits_from")

    def __init__(self, steps: Sequence[SequenceStep]) -> None:
        self._steps = [(step.event is not None, step.within) for step in steps]
        events = [number for number, step in enumerate(steps) if step.event]
        self._waits_from = events[-1]  # what stands after it, time alone can settle

    def find(
        self, lists: Sequence[Times], since_ms: int, now_ms: int, waiting: list[Anchor]
    ) -> Iterator[Anchor]:
        """Whole chains, the latest first.

        Args:
            lists: The times of each step's event, ascending.
            since_ms: A chain begins after this moment.
            now_ms: The time.
            waiting: Takes each anchor that time alone may still reach.
        """
        steps = self._steps
        anchors = _beginnings(lists[0], since_ms)
        forbidden = _NONE
        for number in range(1, len(steps)):
            is_event, within_ms = steps[number]
            if is_event:
                anchors = _then(anchors, lists[number], within_ms, forbidden)
                forbidden = _NONE
            elif within_ms is not None:
                ahead = waiting if number > self._waits_from else []
                anchors = _then_silence(anchors, lists[number], within_ms, now_ms, ahead)
            elif number == len(steps) - 1:
                anchors = _silence_since(anchors, lists[number])
            else:
                forbidden = lists[number]
        return anchors


def _beginnings(times: Times, since_ms: int) -> Iterator[Anchor]:
    for at_ms in reversed(times):
        if at_ms <= since_ms:
            return
        yield at_ms, at_ms


def _then(
    before: Iterator[Anchor], times: Times, within_ms: int | None, forbidden: Times
) -> Iterator[Anchor]:
    """Each time that follows an anchor soon enough, with nothing forbidden between them."""
    anchor = next(before, None)
    for at_ms in reversed(times):
        while anchor is not None and anchor[0] >= at_ms:
            anchor = next(before, None)
        if anchor is None:
            return
        stood_ms, began_ms = anchor
        if within_ms is not None and at_ms >= stood_ms + within_ms:
            continue
        if forbidden and bisect_right(forbidden, stood_ms) < bisect_left(forbidden, at_ms):
            continue
        yield at_ms, began_ms


def _then_silence(
    before: Iterator[Anchor], times: Times, within_ms: int, now_ms: int, ahead: list[Anchor]
) -> Iterator[Anchor]:
    """The end of each silence that follows an anchor; one that is not over yet goes `ahead`."""
    for stood_ms, began_ms in before:
        until_ms = stood_ms + within_ms
        broken = bisect_right(times, stood_ms)
        if broken < len(times) and times[broken] < until_ms:
            continue
        if until_ms > now_ms:
            ahead.append((until_ms, began_ms))
        else:
            yield until_ms, began_ms


def _silence_since(before: Iterator[Anchor], times: Times) -> Iterator[Anchor]:
    """The latest anchor, if nothing has come since: if something came after it, so for all."""
    anchor = next(before, None)
    if anchor is not None and bisect_right(times, anchor[0]) == len(times):
        yield anchor
