"""`{rate: {per_minute: 500, people: 30000}, then: next}`: lets people through one after another.

Each of so many people has a place of their own, by a hash of their key, in a cycle that is as long
as all of them take: here an hour. A run waits for its person's next place.

What this promises: however they come (all at once, or in waves), in no minute do more pass than
have their places in it. Those are `per_minute` on average, and as chance has it a few more: for 500
one minute in forty has more than 545, one in a million more than 610. If more people come than was
said, more pass. What it does not promise is a count: that would need one place that everybody asks,
and the limits of a carrier, which must be exact, have one: its lane.
"""

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, model_validator

from engine.durations import UNITS_MS, render
from engine.journeys.instance import Instance
from engine.journeys.steps.chance import number_of
from engine.journeys.steps.registry import DELAY_MS, Move, OneWayModel, Step, park, register
from engine.schema import Strict, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.activation import Activation
    from engine.journeys.compile import Journey

_MINUTE_MS = UNITS_MS["m"]
_SHORTEST_MS = UNITS_MS["s"]


class RateFields(Strict):
    """How many a minute, of how many in all."""

    noun: ClassVar[str] = "a rate"
    per_minute: Annotated[int, Field(ge=1)]
    people: Annotated[int, Field(ge=1)]

    @property
    def cycle_ms(self) -> int:
        """How long all of them take."""
        return self.people * _MINUTE_MS // self.per_minute

    @model_validator(mode="after")
    def _cycle_makes_sense(self) -> "RateFields":
        cycle_ms = self.cycle_ms
        if cycle_ms < _SHORTEST_MS:
            what = f"{self.people} people pass in less than a second at {self.per_minute} a minute"
            raise refusal(what, "leave the step out")
        if cycle_ms > DELAY_MS:
            what = f"{self.people} people take {render(cycle_ms)} at {self.per_minute} a minute"
            raise refusal(f"{what}, longer than {render(DELAY_MS)}", "let more pass")
        return self


@register
class RateModel(OneWayModel):
    """A rate as it is written."""

    noun: ClassVar[str] = "a rate step"
    key: ClassVar[str] = "rate"
    rate: RateFields

    def at_once(self) -> "Iterator[str]":
        """None: who comes at the very moment of their place waits for the next."""
        return iter(())

    def compile(self, name: str, key_path: str) -> Step:
        """Compiles the step."""
        return _Rate(name, self)


class _Rate(Step):
    __slots__ = ("_cycle_ms", "_move")

    def __init__(self, name: str, model: RateModel) -> None:
        super().__init__(name)
        self._cycle_ms = model.rate.cycle_ms
        words = f"{model.rate.per_minute} a minute of {model.rate.people} people"
        self._move = (model.then, f"its place has come: {words}")

    def enter(self, act: "Activation", instance: Instance, journey: "Journey") -> Move | None:
        cycle_ms = self._cycle_ms
        place_ms = number_of(act.entity.key, instance.journey, self.name) % cycle_ms
        park(act, instance, act.now + ((place_ms - act.now) % cycle_ms or cycle_ms))
        return None

    def on_timer(self, act: "Activation", instance: Instance) -> Move | None:
        return self._move
