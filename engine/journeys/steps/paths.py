"""`{paths: [...], within: 3d, ranked: true, else: next}`: goes the way of what the person does.

Unranked, the first thing that is done moves the run on at once. Ranked, the run waits to the end of
the time, and of all that was done by then the path that is listed first wins.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, model_validator

from engine.durations import render, up_to
from engine.journeys.instance import Instance
from engine.journeys.steps.branches import (
    Branch,
    Branches,
    BranchStep,
    asked_on_arrival,
    names_kept,
    uses_of,
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
    from engine.activation import Activation, EventView
    from engine.journeys.compile import Journey


@register
class PathsModel(StepModel):
    """Action paths as they are written."""

    noun: ClassVar[str] = "a paths step"
    key: ClassVar[str] = "paths"
    paths: Branches
    within: Annotated[int, up_to(DELAY_MS)]
    ranked: bool = False
    else_: StepName = Field(default=END, alias="else")

    @model_validator(mode="after")
    def _nothing_resets(self) -> "PathsModel":
        if any(branch.reset for branch in self.paths):
            raise refusal("'reset' stands in a path", "paths lead on; a hold can begin anew")
        return self

    def targets(self) -> Iterator[str]:
        """The steps of the paths, then the one of `else`."""
        yield from (branch.then for branch in self.paths)
        yield self.else_

    def at_once(self) -> Iterator[str]:
        """The steps of what may hold already; ranked, all wait to the end."""
        if not self.ranked:
            yield from asked_on_arrival(self.paths)

    def uses(self) -> Iterator[Use]:
        """The segments that the paths read."""
        yield from uses_of(self.paths, "paths")

    def keeps(self) -> Iterator[str]:
        """The names of the events that branches keep."""
        yield from names_kept(self.paths)

    def compile(self, name: str, key_path: str) -> Step:
        """Compiles the step."""
        return (_Ranked if self.ranked else _Unranked)(name, self, key_path)


class _Unranked(BranchStep):
    __slots__ = ("_else", "_within_ms")

    def __init__(self, name: str, model: PathsModel, key_path: str) -> None:
        super().__init__(name, model.paths, key_path)
        self._within_ms = model.within
        self._else = (model.else_, f"nothing of it was done within {render(model.within)}")

    def enter(self, act: "Activation", instance: Instance, journey: "Journey") -> Move | None:
        return self.arrive(act, instance, self._within_ms)

    def taken(self, act: "Activation", instance: Instance, branch: Branch) -> Move | None:
        """Moves on at once."""
        return branch.move

    def on_timer(self, act: "Activation", instance: Instance) -> Move | None:
        return self._else


class _Ranked(BranchStep):
    """Keeps in the instance's memory how far from the end of the list the best path so far is."""

    __slots__ = ("_else", "_moves", "_within_ms")

    def __init__(self, name: str, model: PathsModel, key_path: str) -> None:
        super().__init__(name, model.paths, key_path)
        self._within_ms = model.within
        span = render(model.within)
        self._else = (model.else_, f"nothing of it was done within {span}")
        self._moves = tuple(
            (path.then, f"the highest of what was done within {span}: path {number}")
            for number, path in enumerate(model.paths, 1)
        )

    def enter(self, act: "Activation", instance: Instance, journey: "Journey") -> Move | None:
        instance.memory = 0
        return self.arrive(act, instance, self._within_ms)

    def on_event(self, act: "Activation", instance: Instance, event: "EventView") -> Move | None:
        """Keeps the event as the newest only if its path is the best so far."""
        branch: Branch
        for branch in self.listens[event.name]:
            if not self.is_open(instance, branch):
                continue
            if branch.match is not None and branch.match.matches(act, instance, event):
                instance.newest = event.raw
                if branch.alias:
                    instance.remember(branch.alias, event.raw)
                return self.taken(act, instance, branch)
        return None

    def on_segment(
        self, act: "Activation", instance: Instance, name: str, entered: bool
    ) -> Move | None:
        """As for an event."""
        branch: Branch
        for branch in self.listens_segments[name]:
            if branch.segment == (name, entered) and self.is_open(instance, branch):
                return self.taken(act, instance, branch)
        return None

    def taken(self, act: "Activation", instance: Instance, branch: Branch) -> Move | None:
        """Remembers the path."""
        instance.memory = len(self._moves) - branch.number
        instance.record(act.now, "done", f"path {branch.number + 1}: {branch.words}")
        return None

    def on_timer(self, act: "Activation", instance: Instance) -> Move | None:
        best = min(instance.memory, len(self._moves))  # an older version may have had more paths
        return self._moves[-best] if best else self._else

    def is_open(self, instance: Instance, branch: Branch) -> bool:
        """Whether it is better than the best so far."""
        return len(self._moves) - branch.number > instance.memory
