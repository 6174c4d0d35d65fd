"""`{property: price, above: 10}`: what the event at hand says.

In a filter that is the event being looked at; in a split, the newest event that moved the instance.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from engine import limits
from engine.conditions.operators import Comparison, resolver
from engine.conditions.registry import NO_PROPERTIES, Compiled, Facts, Verdict, register


@register
class PropertyCondition(Comparison):
    """A property of an event compared with a value. Time alone never changes it."""

    noun: ClassVar[str] = "a property condition"
    key: ClassVar[str] = "property"
    property: Annotated[str, Field(min_length=1, max_length=limits.NAME_CHARS)]

    def compile(self) -> Compiled:
        """Compiles to one look-up and one comparison."""
        find, test = resolver(self.property), self.test()

        def check(
            entity: Facts, now_ms: int, properties: Mapping[str, Any] = NO_PROPERTIES
        ) -> Verdict:
            return test(find(properties)), None

        return Compiled(check, self.words(), reads_properties=True)
