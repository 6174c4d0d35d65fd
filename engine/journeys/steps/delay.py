"""`{delay: 1d, then: next}`: waits a fixed time.

The next step's time counts from the moment at which this one was due, not from when a busy shard
came to it, so delays in a row add up exactly.
"""

from typing import TYPE_CHECKING, Annotated, ClassVar

from engine.durations import render, up_to
from engine.journeys.instance import Instance
from engine.journeys.steps.registry import DELAY_MS, Move, OneWayModel, Step, park, register

if TYPE_CHECKING:
    from engine.activation import Activation
    from engine.journeys.compile import Journey


@register
class DelayModel(OneWayModel):
    """A delay as it is written."""

    noun: ClassVar[str] = "a delay step"
    key: ClassVar[str] = "delay"
    waits: ClassVar[bool] = True
    delay: Annotated[int, up_to(DELAY_MS)]

    def compile(self, name: str, key_path: str) -> Step:
        """Compiles the step."""
        return _Delay(name, self.delay, (self.then, f"delay of {render(self.delay)} is over"))


class _Delay(Step):
    __slots__ = ("_delay_ms", "_move")

    def __init__(self, name: str, delay_ms: int, move: Move) -> None:
        super().__init__(name)
        self._delay_ms = delay_ms
        self._move = move

    def enter(self, act: "Activation", instance: Instance, journey: "Journey") -> Move | None:
        park(act, instance, act.now + self._delay_ms)
        return None

    def on_timer(self, act: "Activation", instance: Instance) -> Move | None:
        return self._move
