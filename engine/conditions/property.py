"""`{property: price, above: 10}`: what the event at hand says.

In a filter that is the event being looked at; in a split, the newest event that moved the instance.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from engine import limits
from engine.conditions.operators import Comparison, Get
from engine.conditions.paths import MISSING, finder
from engine.conditions.registry import Compiled, register


@register
class PropertyCondition(Comparison):
    """A property of an event compared with a value."""

    noun: ClassVar[str] = "a property condition"
    key: ClassVar[str] = "property"
    property: Annotated[str, Field(min_length=1, max_length=limits.NAME_CHARS)]

    def compile(self) -> Compiled:
        """Compiles to one look-up and one comparison."""
        return self.compile_with(_getter(self.property))


def _getter(path: str) -> Get:
    if "." not in path:
        return lambda entity, properties: properties.get(path, MISSING)
    find = finder(path)
    return lambda entity, properties: find(properties)
