"""`{emit: {event: Cart Abandoned, properties: {...}}, then: next}`: an event of the person's.

It is taken right after the command or timer at hand, in the same entry: windows, segments and
journeys see it like one that came from outside. It cannot go round without end: one command leads
to at most `limits.FOLLOW_UPS` reactions.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from engine import limits
from engine.journeys.instance import Instance
from engine.journeys.steps.registry import Move, OneWayModel, Step, register
from engine.journeys.steps.values import Values, Writer, events_read
from engine.packing import pack
from engine.schema import EventName, Strict

if TYPE_CHECKING:
    from engine.activation import Activation
    from engine.journeys.compile import Journey


class EmitFields(Strict):
    """The event."""

    noun: ClassVar[str] = "an event to emit"
    event: EventName
    properties: Values = Field(default_factory=dict)


@register
class EmitModel(OneWayModel):
    """An emitting step as it is written."""

    noun: ClassVar[str] = "an emit step"
    key: ClassVar[str] = "emit"
    emit: EmitFields

    def reads(self) -> Iterator[tuple[str, str]]:
        """The kept events that values are found in."""
        yield from events_read("emit.properties", self.emit.properties)

    def compile(self, name: str, key_path: str) -> Step:
        """Compiles the step."""
        return _Emit(name, self)


class _Emit(Step):
    __slots__ = ("_event", "_then", "_writer")

    def __init__(self, name: str, model: EmitModel) -> None:
        super().__init__(name)
        self._event = model.emit.event
        self._writer = Writer(model.emit.properties)
        self._then = model.then

    def enter(self, act: "Activation", instance: Instance, journey: "Journey") -> Move | None:
        properties, missing = self._writer.write(act, instance)
        raw = pack(properties) if properties else b""
        if len(raw) > limits.EVENT_BYTES:
            why = f"event {self._event!r} has {len(raw)} bytes, more than {limits.EVENT_BYTES}"
            instance.record(act.now, "not emitted", why)
            return self._then, f"not emitted: {why}"
        words = f"event {self._event!r}"
        if missing:
            words += f" without {', '.join(missing)}: nothing was found there"
        instance.record(act.now, "emitted", words)
        act.emit(self._event, raw)
        return self._then, f"emitted {words}"
