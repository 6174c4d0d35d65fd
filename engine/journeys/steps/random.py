"""`{random: [{percent: 50, then: a}, {percent: 50, then: b}]}`: goes one way by chance.

The way is drawn anew at each visit. With `sticky: true` a person goes the same way each time, in
every run and every version of the journey, for as long as step and percentages are the same; also
when they become known, or get another id.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, model_validator

from engine import limits
from engine.identity.record import seed_of
from engine.journeys.instance import Instance
from engine.journeys.steps.chance import Draw, ShareModel, must_be_whole
from engine.journeys.steps.registry import Move, Step, StepModel, register

if TYPE_CHECKING:
    from engine.activation import Activation
    from engine.journeys.compile import Journey


@register
class RandomModel(StepModel):
    """A random split as it is written."""

    noun: ClassVar[str] = "a random step"
    key: ClassVar[str] = "random"
    random: Annotated[list[ShareModel], Field(min_length=1, max_length=limits.BRANCHES)]
    sticky: bool = False

    @model_validator(mode="after")
    def _whole(self) -> "RandomModel":
        must_be_whole(self.random, "the branches")
        return self

    def targets(self) -> Iterator[str]:
        """The steps of the branches."""
        yield from (share.then for share in self.random)

    def compile(self, name: str, key_path: str) -> Step:
        """Compiles the step."""
        return _Random(name, self)


class _Random(Step):
    __slots__ = ("_draw", "_moves", "_sticky")

    def __init__(self, name: str, model: RandomModel) -> None:
        super().__init__(name)
        self._draw = Draw(model.random)
        self._sticky = model.sticky
        drawn = "always drawn for this person" if model.sticky else "drawn"
        self._moves: tuple[Move, ...] = tuple(
            (share.then, f"{drawn}: branch {number} of {len(model.random)}, {share.percent:g} %")
            for number, share in enumerate(model.random, 1)
        )

    def enter(self, act: "Activation", instance: Instance, journey: "Journey") -> Move | None:
        if self._sticky:
            seed = seed_of(act.entity)
            return self._moves[self._draw.index(seed, instance.journey, self.name)]
        return self._moves[self._draw.index(instance.id, self.name, act.now)]
