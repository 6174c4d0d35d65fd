"""`{goal: {event: Order Completed}, within: 7d, then: won, else: lost}`: a conversion, recorded.

It waits like a hold with one branch. What it has more is that a conversion is counted: in the run's
trail, in the person's, and in the person's `goals` (how often, and when last).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, model_validator

from engine import limits
from engine.durations import render, up_to
from engine.journeys.instance import Instance
from engine.journeys.steps.branches import (
    AnyBranch,
    Branch,
    BranchStep,
    asked_on_arrival,
    names_kept,
)
from engine.journeys.steps.registry import (
    DELAY_MS,
    END,
    Move,
    Step,
    StepModel,
    StepName,
    register,
)
from engine.schema import refusal
from engine.uses import Use

if TYPE_CHECKING:
    from engine.activation import Activation
    from engine.journeys.compile import Journey

STATE = "goals"


@register
class GoalModel(StepModel):
    """A goal as it is written."""

    noun: ClassVar[str] = "a goal step"
    key: ClassVar[str] = "goal"
    goal: AnyBranch
    within: Annotated[int, up_to(DELAY_MS)]
    then: StepName = END
    else_: StepName = Field(default=END, alias="else")

    @model_validator(mode="after")
    def _leads_on_itself(self) -> "GoalModel":
        if "then" in self.goal.model_fields_set or self.goal.reset:
            raise refusal("'goal' has a way of its own", "write 'then' beside 'goal'")
        return self

    def targets(self) -> Iterator[str]:
        """The step after a conversion, and the one without."""
        yield self.then
        yield self.else_

    def at_once(self) -> Iterator[str]:
        """The step after a goal that may be reached already."""
        if any(asked_on_arrival([self.goal])):
            yield self.then

    def uses(self) -> Iterator[Use]:
        """The segments that the goal reads."""
        yield from self.goal.uses("goal")

    def keeps(self) -> Iterator[str]:
        """The names of the events that branches keep."""
        yield from names_kept([self.goal])

    def compile(self, name: str, key_path: str) -> Step:
        """Compiles the step."""
        return _Goal(name, self, key_path)


class _Goal(BranchStep):
    __slots__ = ("_else", "_then", "_within_ms")

    def __init__(self, name: str, model: GoalModel, key_path: str) -> None:
        super().__init__(name, [model.goal], key_path)
        self._within_ms = model.within
        self._then = model.then
        self._else = (model.else_, f"the goal was not reached within {render(model.within)}")

    def enter(self, act: "Activation", instance: Instance, journey: "Journey") -> Move | None:
        return self.arrive(act, instance, self._within_ms)

    def taken(self, act: "Activation", instance: Instance, branch: Branch) -> Move | None:
        """Records the conversion and moves on."""
        instance.record(act.now, "converted", branch.words)
        act.note("goal", f"{instance.journey}/{self.name}", f"reached: {branch.words}")
        _count(act, f"{instance.journey}/{self.name}")
        return self._then, f"the goal was reached: {branch.words}"

    def on_timer(self, act: "Activation", instance: Instance) -> Move | None:
        return self._else


def _count(act: "Activation", name: str) -> None:
    """Counts a conversion in the person's state; past the limit the oldest goal makes room."""
    goals: dict[str, list[int]] = act.entity.state.setdefault(STATE, {})
    count, _ = goals.pop(name, (0, 0))
    goals[name] = [count + 1, act.now]
    while len(goals) > limits.GOALS:
        del goals[next(iter(goals))]
