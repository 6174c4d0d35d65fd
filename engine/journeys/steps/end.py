"""`{end: true}`: ends the run. `end` is also a name that every `then` may use without a step.

A step of one's own that ends says in the trail which of several ends it was: `bought: {end: true}`.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from engine.journeys.instance import Instance
from engine.journeys.steps.registry import END, Move, Step, StepModel, register

if TYPE_CHECKING:
    from engine.activation import Activation
    from engine.journeys.compile import Journey


@register
class EndModel(StepModel):
    """An end with a name, as it is written."""

    noun: ClassVar[str] = "an end step"
    key: ClassVar[str] = END
    end: Literal[True]

    def targets(self) -> Iterator[str]:
        """The built-in end."""
        yield END

    def compile(self, name: str, key_path: str) -> Step:
        """Compiles the step."""
        return _End(name)


class _End(Step):
    __slots__ = ()

    def enter(self, act: "Activation", instance: Instance, journey: "Journey") -> Move | None:
        return END, f"reached {self.name!r}"
