"""`{trait: loyalty_points, at_least: 100}`: what the profile says of the person, right now.

With `for` it is also asked how long that has been so: `{trait: plan, is: free, for: 30d}`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from engine import limits
from engine.conditions.held import held_of
from engine.conditions.operators import Comparison, Get
from engine.conditions.paths import MISSING, finder
from engine.conditions.registry import NO_PROPERTIES, Compiled, Facts, Verdict, register
from engine.durations import render, up_to
from engine.schema import refusal


@register
class TraitCondition(Comparison):
    """A trait compared with a value. Computed traits are traits."""

    noun: ClassVar[str] = "a trait condition"
    key: ClassVar[str] = "trait"
    trait: Annotated[str, Field(min_length=1, max_length=limits.NAME_CHARS)]
    for_: Annotated[int, up_to(limits.SPAN_DAYS * 86_400_000)] | None = Field(None, alias="for")

    @model_validator(mode="after")
    def _what_has_held_is_plain(self) -> "TraitCondition":
        if self.for_ is not None and self.is_of_now:
            raise refusal(
                "'for' stands beside an operator that reads the clock or another value",
                "compare the trait with a value",
            )
        return self

    def compile(self) -> Compiled:
        """Compiles to one look-up and one comparison."""
        top = self.trait.partition(".")[0]
        now = self.compile_with(_getter(self.trait), traits=(top,))
        if self.for_ is None:
            return now
        held = held_of(self.trait, lambda entity: now.check(entity, 0)[0], self.written())
        span_ms = self.for_

        def check(
            entity: Facts, now_ms: int, properties: Mapping[str, Any] = NO_PROPERTIES
        ) -> Verdict:
            since_ms = held.since_ms(entity)
            if since_ms is None:
                return False, None
            until_ms = since_ms + span_ms
            return (True, None) if now_ms >= until_ms else (False, until_ms)

        words = f"{self.words()} for {render(span_ms)}"
        return Compiled(check, words, traits=(top,), held=(held,), facts=now.facts)


def _getter(path: str) -> Get:
    if "." not in path:
        return lambda entity, properties: entity.traits.get(path, MISSING)
    find = finder(path)
    return lambda entity, properties: find(entity.traits)
