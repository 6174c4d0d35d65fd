"""`{trait: loyalty_points, at_least: 100}`: what the profile says of the person, right now."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from engine import limits
from engine.conditions.operators import Comparison, resolver
from engine.conditions.registry import Compiled, Facts, Verdict, register


@register
class TraitCondition(Comparison):
    """A trait compared with a value. Time alone never changes it."""

    noun: ClassVar[str] = "a trait condition"
    key: ClassVar[str] = "trait"
    trait: Annotated[str, Field(min_length=1, max_length=limits.NAME_CHARS)]

    def compile(self) -> Compiled:
        """Compiles to one look-up and one comparison."""
        find, test = resolver(self.trait), self.test()

        def check(entity: Facts, now_ms: int, properties: Any = None) -> Verdict:
            return test(find(entity.traits)), None

        return Compiled(check, self.words(), traits=(self.trait.partition(".")[0],))
