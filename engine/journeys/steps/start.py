"""`{start: {journey: winback, properties: {...}}, then: next}`: begins a run of another journey.

The other run begins right after the command or timer at hand, in the same entry, if the journey
takes the person in; if not, the person's trail says why. This run goes on and does not wait for it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from engine import limits
from engine.journeys.instance import Instance
from engine.journeys.steps.registry import Move, OneWayModel, Step, register
from engine.journeys.steps.values import Values, Writer, events_read
from engine.names import DefinitionName
from engine.packing import pack
from engine.schema import Strict
from engine.uses import Use

if TYPE_CHECKING:
    from engine.activation import Activation
    from engine.journeys.compile import Journey


class StartFields(Strict):
    """Which journey, and what its steps see as the event; left out, what this run's saw last."""

    noun: ClassVar[str] = "a journey to start"
    journey: DefinitionName
    properties: Values | None = Field(default=None)


@register
class StartModel(OneWayModel):
    """A starting step as it is written."""

    noun: ClassVar[str] = "a start step"
    key: ClassVar[str] = "start"
    start: StartFields

    def uses(self) -> Iterator[Use]:
        """The journey."""
        yield Use("journey", self.start.journey, "start.journey")

    def reads(self) -> Iterator[tuple[str, str]]:
        """The kept events that values are found in."""
        yield from events_read("start.properties", self.start.properties or {})

    def compile(self, name: str, key_path: str) -> Step:
        """Compiles the step."""
        return _Start(name, self)


class _Start(Step):
    __slots__ = ("_journey", "_move", "_writer")

    def __init__(self, name: str, model: StartModel) -> None:
        super().__init__(name)
        properties = model.start.properties
        self._journey = model.start.journey
        self._writer = None if properties is None else Writer(properties)
        self._move = (model.then, f"journey {self._journey!r} was asked to begin")

    def enter(self, act: "Activation", instance: Instance, journey: "Journey") -> Move | None:
        raw = instance.newest
        if self._writer is not None:
            properties, _ = self._writer.write(act, instance)
            raw = pack(properties) if properties else b""
        if len(raw) > limits.EVENT_BYTES:
            why = f"its properties have {len(raw)} bytes, more than {limits.EVENT_BYTES}"
            instance.record(act.now, "not started", f"journey {self._journey!r}: {why}")
            return self._move[0], f"journey {self._journey!r} was not asked to begin"
        words = f"step {self.name!r} of journey {instance.journey!r}"
        act.follow_ups.append(("enter", (self._journey, raw, words)))
        return self._move
