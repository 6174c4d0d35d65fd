"""`{hold: 2h, on: [...], timeout: next}`: waits for an event or a segment, but not for ever.

A branch either moves the instance on at once (`then`), or restarts the time (`reset`); both keep
the event as the newest context. A time begins anew at most `resets` times, so that nobody is held
for ever; after that it runs out, and the trail says so.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, model_validator

from engine import limits
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
    park,
    register,
)
from engine.schema import refusal
from engine.uses import Use

if TYPE_CHECKING:
    from engine.activation import Activation
    from engine.journeys.compile import Journey


@register
class HoldModel(StepModel):
    """A hold as it is written."""

    noun: ClassVar[str] = "a hold step"
    key: ClassVar[str] = "hold"
    hold: Annotated[int, up_to(DELAY_MS)]
    on: Branches = Field(default_factory=list, validate_default=False)
    timeout: StepName = END
    resets: Annotated[int, Field(ge=1, le=limits.HOLD_RESETS)] = limits.HOLD_RESETS

    @model_validator(mode="after")
    def _resets_are_counted(self) -> "HoldModel":
        if "resets" in self.model_fields_set and not any(branch.reset for branch in self.on):
            raise refusal("'resets' stands in a hold without a branch that resets", "delete it")
        return self

    def targets(self) -> Iterator[str]:
        """The steps of the branches, then the timeout's."""
        yield from (branch.then for branch in self.on if not branch.reset)
        yield self.timeout

    def at_once(self) -> Iterator[str]:
        """The steps of what may hold already."""
        yield from asked_on_arrival(self.on)

    def uses(self) -> Iterator[Use]:
        """The segments that the branches read."""
        yield from uses_of(self.on, "on")

    def keeps(self) -> Iterator[str]:
        """The names of the events that branches keep."""
        yield from names_kept(self.on)

    def compile(self, name: str, key_path: str) -> Step:
        """Compiles the step."""
        return _Hold(name, self, key_path)


class _Hold(BranchStep):
    __slots__ = ("_hold_ms", "_resets", "_timeout")

    def __init__(self, name: str, model: HoldModel, key_path: str) -> None:
        super().__init__(name, model.on, key_path)
        self._hold_ms = model.hold
        self._resets = model.resets
        self._timeout = (model.timeout, f"timeout after {render(model.hold)}")

    def enter(self, act: "Activation", instance: Instance, journey: "Journey") -> Move | None:
        instance.memory = 0
        if self._asked:
            return self.arrive(act, instance, self._hold_ms)
        park(act, instance, act.now + self._hold_ms)
        return None

    def taken(self, act: "Activation", instance: Instance, branch: Branch) -> Move | None:
        """Moves on, or begins the time anew."""
        if branch.move is not None:
            return branch.move
        resets = instance.memory
        if resets < self._resets:
            instance.memory = resets + 1
            instance.record(act.now, "reset", branch.words)
            park(act, instance, act.now + self._hold_ms)
        elif resets == self._resets:
            instance.memory = resets + 1  # so that it is told once
            instance.record(act.now, "not reset", f"its time began anew {self._resets} times")
        return None

    def on_timer(self, act: "Activation", instance: Instance) -> Move | None:
        return self._timeout
