"""`{all: [...]}`, `{any: [...]}`, `{not: ...}`: conditions made of conditions.

The next moment of a combination: a true `all` can fail when the first of its parts does; a false
one can hold no sooner than the last of its false parts does, and never by time alone if one of
them never does. `any` is the same with true and false exchanged.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from engine import limits
from engine.conditions.registry import (
    NO_PROPERTIES,
    Compiled,
    Condition,
    ConditionModel,
    Facts,
    Verdict,
    register,
)
from engine.schema import refusal

Conditions = Annotated[list[Condition], Field(min_length=1, max_length=limits.BRANCHES)]


class _Combination(ConditionModel):
    @property
    def parts(self) -> list[ConditionModel]:
        """The conditions inside."""
        raise NotImplementedError

    @property
    def depth(self) -> int:
        """One more than the deepest part."""
        return 1 + max(part.depth for part in self.parts)

    @model_validator(mode="after")
    def _not_too_deep(self) -> "_Combination":
        if self.depth > limits.CONDITION_DEPTH:
            raise refusal(f"conditions are nested more than {limits.CONDITION_DEPTH} deep")
        return self


@register
class AllCondition(_Combination):
    """Every part holds."""

    noun: ClassVar[str] = "an 'all' condition"
    key: ClassVar[str] = "all"
    all: Conditions

    @property
    def parts(self) -> list[ConditionModel]:
        """The conditions inside."""
        return self.all

    def compile(self) -> Compiled:
        """Compiles the parts into one closure."""
        return _combine([part.compile() for part in self.all], True, " and ")


@register
class AnyCondition(_Combination):
    """At least one part holds."""

    noun: ClassVar[str] = "an 'any' condition"
    key: ClassVar[str] = "any"
    any: Conditions

    @property
    def parts(self) -> list[ConditionModel]:
        """The conditions inside."""
        return self.any

    def compile(self) -> Compiled:
        """Compiles the parts into one closure."""
        return _combine([part.compile() for part in self.any], False, " or ")


@register
class NotCondition(_Combination):
    """The part does not hold."""

    noun: ClassVar[str] = "a 'not' condition"
    key: ClassVar[str] = "not"
    not_: Condition = Field(alias="not")

    @property
    def parts(self) -> list[ConditionModel]:
        """The condition inside."""
        return [self.not_]

    def compile(self) -> Compiled:
        """Compiles to the opposite of the part."""
        part = self.not_.compile()
        inner = part.check

        def check(
            entity: Facts, now_ms: int, properties: Mapping[str, Any] = NO_PROPERTIES
        ) -> Verdict:
            is_true, next_ms = inner(entity, now_ms, properties)
            return not is_true, next_ms

        return _reading([part], check, f"not ({part.words})")


def _combine(parts: list[Compiled], unanimous: bool, joint: str) -> Compiled:
    """`all` (unanimous is True) or `any` (False): the answer of all parts, or else the opposite."""
    checks = tuple(part.check for part in parts)

    def check(entity: Facts, now_ms: int, properties: Mapping[str, Any] = NO_PROPERTIES) -> Verdict:
        first: int | None = None  # the soonest change among the parts that agree
        last: int | None = None  # the latest change among those that do not
        for one in checks:
            is_true, next_ms = one(entity, now_ms, properties)
            if is_true is not unanimous:
                if next_ms is None:
                    return is_true, None
                if last is None or next_ms > last:
                    last = next_ms
            elif next_ms is not None and (first is None or next_ms < first):
                first = next_ms
        return (unanimous, first) if last is None else (not unanimous, last)

    words = joint.join(f"({p.words})" if " or " in p.words else p.words for p in parts)
    return _reading(parts, check, words)


def _reading(parts: list[Compiled], check: Any, words: str) -> Compiled:
    """A compiled condition that reads what its parts read."""
    return Compiled(
        check,
        words,
        traits=tuple(dict.fromkeys(name for part in parts for name in part.traits)),
        windows=tuple(dict.fromkeys(window for part in parts for window in part.windows)),
        held=tuple(dict.fromkeys(held for part in parts for held in part.held)),
        segments=tuple(dict.fromkeys(name for part in parts for name in part.segments)),
        facts=tuple(dict.fromkeys(fact for part in parts for fact in part.facts)),
        reads_properties=any(part.reads_properties for part in parts),
    )
