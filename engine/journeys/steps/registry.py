"""What a step is, and the one list of its kinds.

A step is entered, and either moves the instance on at once or parks it; a parked instance is woken
by its timer or by an event that the step listens to. Steps hold no state: that is the instance's.
So one compiled step serves every instance of its version, and a restart loses nothing.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, TypeVar

from pydantic import BeforeValidator, Field, PlainValidator

from engine import limits
from engine.conditions import Compiled
from engine.issues import Issue, did_you_mean, kind_of, listed
from engine.journeys.instance import Instance
from engine.names import read_name
from engine.schema import Strict, refusal
from engine.uses import Use

if TYPE_CHECKING:
    from engine.activation import Activation, EventView
    from engine.journeys.compile import Journey
    from engine.messages.message import Message

END: Final = "end"
TIMER: Final = "j:"
LOOK_TIMER: Final = "x:"  # for the moment at which time alone may make a condition true
FIRST: Final = "first"  # the event that began a run, where kept events are named
NO_EVENTS: Final[Mapping[str, Any]] = {}

Move = tuple[str, str]  # the next step, and why
StepName = Annotated[str, BeforeValidator(read_name)]


class Step:
    """A compiled step.

    Attributes:
        name: Its name in the journey.
        listens: The names of events that it waits for; the values are its own.
        conditions: What it asks, so that the program knows what to keep for it.
        listens_segments: The names of segments whose entering or leaving it waits for; the values
            are its own.
        watches: Whether it waits for conditions; see `look`.
    """

    __slots__ = ("conditions", "listens", "listens_segments", "name", "watches")

    def __init__(
        self,
        name: str,
        listens: Mapping[str, Any] = NO_EVENTS,
        conditions: tuple[Compiled, ...] = (),
        listens_segments: Mapping[str, Any] = NO_EVENTS,
        watches: bool = False,
    ) -> None:
        self.name = name
        self.listens = listens
        self.conditions = conditions
        self.listens_segments = listens_segments
        self.watches = watches

    def enter(self, act: "Activation", instance: Instance, journey: "Journey") -> Move | None:
        """What happens on arrival: a move on, or None after `park`."""
        raise NotImplementedError

    def on_event(self, act: "Activation", instance: Instance, event: "EventView") -> Move | None:
        """What an event that it listens to does: a move on, or None to stay."""
        return None

    def on_segment(
        self, act: "Activation", instance: Instance, name: str, entered: bool
    ) -> Move | None:
        """What a segment of `listens_segments` does when the person enters or leaves it."""
        return None

    def look(self, act: "Activation", instance: Instance) -> tuple[Move | None, int | None]:
        """What the conditions that it waits for do, after anything may have changed them.

        Returns:
            A move on, or None to stay; and when time alone may make one true, or None.
        """
        return None, None

    def on_message(
        self, act: "Activation", instance: Instance, message: "Message", done: bool
    ) -> Move | None:
        """What the news of a message does that it waits for: it succeeded, or it failed."""
        return None

    def on_timer(self, act: "Activation", instance: Instance) -> Move | None:
        """What the timer does; `act.now` is the very moment at which it was due."""
        return None


def park(act: "Activation", instance: Instance, due_ms: int) -> None:
    """Lets the instance wait at its step until `due_ms` or an event."""
    instance.due_ms = due_ms
    act.set_timer(TIMER + instance.id, due_ms)


class StepModel(Strict):
    """The base of every kind of step.

    Attributes:
        key: The field that tells this kind from the others.
    """

    key: ClassVar[str]

    def targets(self) -> Iterator[str]:
        """The steps that it can go to."""
        raise NotImplementedError

    def at_once(self) -> Iterator[str]:
        """Those that it can go to without waiting, so that a loop through them could spin."""
        return self.targets()

    @property
    def waits(self) -> bool:
        """Whether an instance always waits here."""
        return next(self.at_once(), None) is None

    def uses(self) -> Iterator[Use]:
        """The other definitions that it needs."""
        return iter(())

    def keeps(self) -> Iterator[str]:
        """The names under which it keeps events."""
        return iter(())

    def reads(self) -> Iterator[tuple[str, str]]:
        """The kept events that it needs, by name, each with the field that names it."""
        return iter(())

    def compile(self, name: str, key_path: str) -> Step:
        """Compiles the step; `key_path` is the path of the journey's key, or empty."""
        raise NotImplementedError


class OneWayModel(StepModel):
    """The base of steps with a single way out."""

    then: StepName = Field(default=END)

    def targets(self) -> Iterator[str]:
        """The next step."""
        yield self.then


_Model = TypeVar("_Model", bound=type[StepModel])
_kinds: dict[str, type[StepModel]] = {}


def register(model: _Model) -> _Model:
    """Adds a kind of step."""
    _kinds[model.key] = model
    return model


def read(value: Any) -> StepModel:
    """A step from plain values.

    Raises:
        PydanticCustomError: Nothing tells its kind.
        ValidationError: It is not a good step of its kind.
    """
    if not isinstance(value, dict):
        raise refusal(f"must be a step written as a map, not {kind_of(value)}")
    kinds = [key for key in _kinds if key in value]
    if not kinds:
        hint = next(filter(None, (did_you_mean(key, _kinds) for key in value)), "")
        raise refusal(f"is not a step: it has none of {listed(sorted(_kinds))}", hint)
    if len(kinds) > 1:
        raise refusal(f"is two steps at once: {' and '.join(kinds)}", "make them two steps")
    return _kinds[kinds[0]].model_validate(value)


def check_kept(steps: Mapping[str, StepModel], where: str) -> Iterator[Issue]:
    """Steps that read an event that no step keeps."""
    kept = {FIRST, *(name for step in steps.values() for name in step.keeps())}
    for name, step in steps.items():
        for wanted, field in step.reads():
            if wanted not in kept:
                what = f"step {name!r}: {field}: no branch keeps an event as {wanted!r}"
                hint = did_you_mean(wanted, kept) or f"write 'as: {wanted}' in a branch of a hold"
                yield Issue(where, what, hint, f"steps.{name}.{field}")


StepField = Annotated[StepModel, PlainValidator(read)]
DELAY_MS: Final = limits.STEP_DELAY_MS
