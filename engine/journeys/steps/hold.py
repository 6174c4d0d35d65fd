"""`{hold: 2h, on: [...], timeout: next}`: waits for an event, but not for ever.

A branch either moves the instance on at once (`then`), or restarts the time (`reset`); both keep
the event as the newest context. Branches are tried in their order, the first that matches wins.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, model_validator

from engine import limits
from engine.durations import render, up_to
from engine.journeys.instance import Instance
from engine.journeys.matching import EventMatch, EventRule, by_event
from engine.journeys.steps.registry import (
    DELAY_MS,
    END,
    Move,
    Step,
    StepModel,
    StepName,
    park,
    register,
)
from engine.schema import refusal
from engine.uses import Use

if TYPE_CHECKING:
    from engine.activation import Activation, EventView
    from engine.journeys.compile import Journey


class BranchModel(EventRule):
    """One event that a hold waits for."""

    noun: ClassVar[str] = "a branch of a hold"
    then: StepName = END
    reset: bool = False

    @model_validator(mode="after")
    def _moves_or_resets(self) -> "BranchModel":
        if self.reset and "then" in self.model_fields_set:
            raise refusal("'reset' stands beside 'then'", "a branch restarts the time or moves on")
        return self


@register
class HoldModel(StepModel):
    """A hold as it is written."""

    noun: ClassVar[str] = "a hold step"
    key: ClassVar[str] = "hold"
    waits: ClassVar[bool] = True
    hold: Annotated[int, up_to(DELAY_MS)]
    on: Annotated[list[BranchModel], Field(min_length=1, max_length=limits.BRANCHES)] = Field(
        default_factory=list, validate_default=False
    )
    timeout: StepName = END

    def targets(self) -> Iterator[str]:
        """The steps of the branches, then the timeout's."""
        yield from (branch.then for branch in self.on if not branch.reset)
        yield self.timeout

    def uses(self) -> Iterator[Use]:
        """The segments that the branches' filters read."""
        for number, branch in enumerate(self.on):
            yield from branch.uses(f"on[{number}]")

    def compile(self, name: str, key_path: str) -> Step:
        """Compiles the step."""
        branches = [_Branch(branch, key_path) for branch in self.on]
        timeout = (self.timeout, f"timeout after {render(self.hold)}")
        return _Hold(name, self.hold, branches, timeout)


class _Branch:
    __slots__ = ("match", "move")

    def __init__(self, model: BranchModel, key_path: str) -> None:
        self.match = EventMatch(model, key_path)
        self.move = None if model.reset else (model.then, self.match.words)


class _Hold(Step):
    __slots__ = ("_hold_ms", "_timeout")

    def __init__(self, name: str, hold_ms: int, branches: list[_Branch], timeout: Move) -> None:
        conditions = tuple(b.match.where for b in branches if b.match.where is not None)
        super().__init__(name, by_event(branches, lambda b: b.match.event), conditions)
        self._hold_ms = hold_ms
        self._timeout = timeout

    def enter(self, act: "Activation", instance: Instance, journey: "Journey") -> Move | None:
        park(act, instance, act.now + self._hold_ms)
        return None

    def on_event(self, act: "Activation", instance: Instance, event: "EventView") -> Move | None:
        branch: _Branch
        for branch in self.listens[event.name]:
            if branch.match.matches(act, instance, event):
                instance.newest = event.raw
                if branch.move is None:
                    instance.record(act.now, "reset", branch.match.words)
                    park(act, instance, act.now + self._hold_ms)
                return branch.move
        return None

    def on_timer(self, act: "Activation", instance: Instance) -> Move | None:
        return self._timeout
