"""`{leave: {journey: welcome}, then: next}`: ends the person's runs of another journey.

They end right after the command or timer at hand, in the same entry, and what they sent and has not
left is called back. A journey that names itself ends all its runs, this one too.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from engine.journeys.instance import Instance
from engine.journeys.steps.registry import Move, OneWayModel, Step, register
from engine.names import DefinitionName
from engine.schema import Strict
from engine.uses import Use

if TYPE_CHECKING:
    from engine.activation import Activation
    from engine.journeys.compile import Journey


class LeaveFields(Strict):
    """Which journey."""

    noun: ClassVar[str] = "a journey to leave"
    journey: DefinitionName


@register
class LeaveModel(OneWayModel):
    """A leaving step as it is written."""

    noun: ClassVar[str] = "a leave step"
    key: ClassVar[str] = "leave"
    leave: LeaveFields

    def uses(self) -> Iterator[Use]:
        """The journey."""
        yield Use("journey", self.leave.journey, "leave.journey")

    def compile(self, name: str, key_path: str) -> Step:
        """Compiles the step."""
        return _Leave(name, self)


class _Leave(Step):
    __slots__ = ("_journey", "_then")

    def __init__(self, name: str, model: LeaveModel) -> None:
        super().__init__(name)
        self._journey = model.leave.journey
        self._then = model.then

    def enter(self, act: "Activation", instance: Instance, journey: "Journey") -> Move | None:
        words = f"step {self.name!r} of journey {instance.journey!r}"
        runs = sum(one.journey == self._journey for one in act.entity.instances.values())
        act.follow_ups.append(("leave", (self._journey, words)))
        return self._then, f"{runs} runs of journey {self._journey!r} were asked to end"
