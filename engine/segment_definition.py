"""A segment: the people for whom a condition is true, at the very second it is.

The model is what a person writes; `Segment` is what a shard evaluates.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final

from pydantic import AfterValidator

from engine.conditions import Compiled, Condition, ConditionModel, Facts, Verdict
from engine.names import DefinitionName
from engine.schema import Strict, refusal

_NO_PROPERTIES: Final[Mapping[str, Any]] = MappingProxyType({})


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
        reads: What its condition reads.
    """

    __slots__ = ("_check", "name", "reads")

    def __init__(self, name: str, condition: Compiled) -> None:
        self.name = name
        self.reads = condition
        self._check = condition.check

    def evaluate(self, entity: Facts, now_ms: int) -> Verdict:
        """Whether the entity belongs to it now, and the first ms at which time may change that.

        Cost: 0.2 µs and up, by the size of the condition.
        """
        return self._check(entity, now_ms, _NO_PROPERTIES)


def compile_segment(model: SegmentModel) -> Segment:
    """The segment of a document."""
    return Segment(model.segment, model.when.compile())
