"""`{segment: vip}`: whether the person is in a segment, right now."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from engine import limits
from engine.conditions.registry import Compiled, ConditionModel, Facts, Verdict, register


@register
class SegmentCondition(ConditionModel):
    """Membership of a segment.

    It reads membership and does not evaluate the other segment, which has its own timers: when it
    is entered or left, those that read it are evaluated again.
    """

    noun: ClassVar[str] = "a segment condition"
    key: ClassVar[str] = "segment"
    segment: Annotated[str, Field(min_length=1, max_length=limits.NAME_CHARS)]

    def compile(self) -> Compiled:
        """Compiles to one look-up."""
        name = self.segment

        def check(entity: Facts, now_ms: int, properties: Any = None) -> Verdict:
            return name in entity.segments, None

        return Compiled(check, f"in segment {name!r}", segments=(name,))
