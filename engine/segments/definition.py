"""A segment: the people for whom a condition is true, at the very second it is.

The model is what a person writes; `Segment` is what a shard evaluates.
"""

from collections.abc import Callable
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator

from engine.conditions import Compiled, Condition, ConditionModel, Facts, Verdict
from engine.names import DefinitionName
from engine.schema import Strict, refusal

# Timers of one moment fire in the order of their tokens: computed traits ("c"), then segments, then
# journeys ("j"), so that a journey that wakes sees the segments as they are at that moment.
SEGMENT_TIMER: Final = "d:"


def _reads_no_event(condition: ConditionModel) -> ConditionModel:
    if condition.compile().reads_properties:
        raise refusal(
            "a segment has no event whose property it could read",
            "use a trait, or count an event",
        )
    return condition


class SegmentModel(Strict):
    """A segment as it is written."""

    noun: ClassVar[str] = "a segment"
    segment: DefinitionName
    when: Annotated[Condition, AfterValidator(_reads_no_event)]


class Segment:
    """A compiled segment.

    Attributes:
        name: Its name.
        timer: The token of its timer.
        reads: What its condition reads.
        evaluate: `(entity, now_ms)` to whether the entity belongs to it now, and the first ms at
            which time alone may change that. Cost: 0.2 µs and up, by the size of the condition.
    """

    __slots__ = ("evaluate", "name", "reads", "timer")

    def __init__(self, name: str, condition: Compiled) -> None:
        self.name = name
        self.timer = SEGMENT_TIMER + name
        self.reads = condition
        self.evaluate: Callable[[Facts, int], Verdict] = condition.check


def compile_segment(model: SegmentModel) -> Segment:
    """The segment of a document."""
    return Segment(model.segment, model.when.compile())
