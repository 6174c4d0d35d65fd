"""`{split: [{when: ..., then: a}, ...], else: b}`: goes one way by what is true right now.

Branches are tried in their order and the first whose condition holds wins. It never waits. What
conditions say of properties is about the newest event that moved the run; with `of: first` about
the one that began it, with `of: NAME` about the one that a branch of a hold kept under that name.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from pydantic import Field

from engine import limits
from engine.conditions import Compiled, Condition
from engine.journeys.instance import Instance
from engine.journeys.steps.branches import kept_event
from engine.journeys.steps.registry import (
    END,
    NO_EVENTS,
    Move,
    Step,
    StepModel,
    StepName,
    register,
)
from engine.names import DefinitionName
from engine.schema import Strict
from engine.uses import Use

if TYPE_CHECKING:
    from engine.activation import Activation
    from engine.journeys.compile import Journey

_ELSE: Final = "no branch matched"


class SplitBranchModel(Strict):
    """One way out of a split."""

    noun: ClassVar[str] = "a branch of a split"
    when: Condition
    then: StepName = END


@register
class SplitModel(StepModel):
    """A split as it is written."""

    noun: ClassVar[str] = "a split step"
    key: ClassVar[str] = "split"
    split: Annotated[list[SplitBranchModel], Field(min_length=1, max_length=limits.BRANCHES)]
    of: DefinitionName | None = None
    else_: StepName = Field(default=END, alias="else")

    def targets(self) -> Iterator[str]:
        """The steps of the branches, then the one of `else`."""
        yield from (branch.then for branch in self.split)
        yield self.else_

    def uses(self) -> Iterator[Use]:
        """The segments that the conditions read."""
        for number, branch in enumerate(self.split):
            for segment in branch.when.compile().segments:
                yield Use("segment", segment, f"split[{number}].when")

    def reads(self) -> Iterator[tuple[str, str]]:
        """The event that its conditions are about."""
        if self.of is not None:
            yield self.of, "of"

    def compile(self, name: str, key_path: str) -> Step:
        """Compiles the step."""
        branches = []
        for branch in self.split:
            condition = branch.when.compile()
            branches.append((condition, (branch.then, condition.words)))
        return _Split(name, tuple(branches), (self.else_, _ELSE), self.of or "")


class _Split(Step):
    __slots__ = ("_branches", "_else", "_of", "_reads_properties")

    def __init__(
        self,
        name: str,
        branches: tuple[tuple[Compiled, Move], ...],
        otherwise: Move,
        of: str,
    ) -> None:
        super().__init__(name, conditions=tuple(condition for condition, _ in branches))
        self._branches = branches
        self._else = otherwise
        self._of = of
        self._reads_properties = any(condition.reads_properties for condition, _ in branches)

    def enter(self, act: "Activation", instance: Instance, journey: "Journey") -> Move | None:
        properties: Mapping[str, Any] = NO_EVENTS
        if self._reads_properties:
            properties = act.properties_of(kept_event(instance, self._of))
        for condition, move in self._branches:
            if condition.check(act.entity, act.now, properties)[0]:
                return move
        return self._else
