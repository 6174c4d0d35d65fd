"""`{delay: 1d, then: next}`: waits for a time, or until a moment.

| written | waits |
|---|---|
| `1d` | that long |
| `{between: [1h, 3h]}` | a random time between the two, drawn anew at each visit |
| `{until: ...}` | until a time of day, a date, or a moment that the profile or event tells of |
| `{window: ["09:00", "18:00"]}` | until the time of day lies in the window; not at all if it does |

The next step's time counts from the moment at which this one was due, not from when a busy shard
came to it, so delays in a row add up exactly. The last two kinds are in `delay_until`.
"""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from pydantic import PlainValidator, model_validator

from engine.durations import parse, render, up_to
from engine.issues import did_you_mean, kind_of, listed
from engine.journeys.instance import Instance
from engine.journeys.steps.chance import number_of
from engine.journeys.steps.delay_until import UntilModel, WindowModel
from engine.journeys.steps.registry import (
    DELAY_MS,
    Move,
    OneWayModel,
    Step,
    StepName,
    park,
    register,
)
from engine.schema import Strict, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.activation import Activation
    from engine.journeys.compile import Journey

Length = Annotated[int, up_to(DELAY_MS)]


class BetweenModel(Strict):
    """A random delay."""

    noun: ClassVar[str] = "a random delay"
    between: tuple[Length, Length]

    @model_validator(mode="before")
    @classmethod
    def _pair(cls, value: Any) -> Any:
        pair = value.get("between") if isinstance(value, dict) else None
        if not isinstance(pair, list) or len(pair) != 2:
            raise refusal("'between' must be two durations", "write it like [1h, 3h]")
        return {**value, "between": tuple(pair)}

    @model_validator(mode="after")
    def _ascending(self) -> "BetweenModel":
        shortest, longest = self.between
        if shortest >= longest:
            pair = f"{render(shortest)} and {render(longest)}"
            raise refusal(f"between {pair} there is no time", "write the shorter one first")
        return self


_KINDS: Final[dict[str, Any]] = {
    "between": BetweenModel,
    "until": UntilModel,
    "window": WindowModel,
}


def _read(value: Any) -> Any:
    if not isinstance(value, dict):
        duration_ms = parse(value)
        if duration_ms > DELAY_MS:
            bound = render(DELAY_MS)
            raise refusal(f"{value!r} is longer than {bound}, the longest that is allowed")
        return duration_ms
    kinds = [key for key in _KINDS if key in value]
    if len(kinds) == 1:
        return _KINDS[kinds[0]].model_validate(value)
    if kinds:
        raise refusal(f"is two delays at once: {' and '.join(kinds)}", "make them two steps")
    hint = next(filter(None, (did_you_mean(key, _KINDS) for key in value)), "")
    known = listed(_KINDS)
    raise refusal(f"is not a delay: {kind_of(value)} without {known}", hint)


AnyDelay = Annotated[
    int | BetweenModel | UntilModel | WindowModel,
    PlainValidator(_read, json_schema_input_type=str | BetweenModel | UntilModel | WindowModel),
]


@register
class DelayModel(OneWayModel):
    """A delay as it is written."""

    noun: ClassVar[str] = "a delay step"
    key: ClassVar[str] = "delay"
    delay: AnyDelay
    past: StepName | None = None

    @model_validator(mode="after")
    def _past_can_be(self) -> "DelayModel":
        delay = self.delay
        if self.past is not None and not (isinstance(delay, UntilModel) and delay.may_be_past):
            raise refusal("'past' stands beside a delay whose end always lies ahead", "delete it")
        return self

    def targets(self) -> "Iterator[str]":
        """The next step, and the one for a moment that has passed."""
        yield self.then
        if self.past is not None:
            yield self.past

    def at_once(self) -> "Iterator[str]":
        """Where a moment leads that has passed, or a window that is open."""
        delay = self.delay
        if isinstance(delay, WindowModel):
            yield self.then
        elif isinstance(delay, UntilModel) and delay.may_be_past:
            yield self.then if self.past is None else self.past

    def compile(self, name: str, key_path: str) -> Step:
        """Compiles the step."""
        delay = self.delay
        if isinstance(delay, UntilModel):
            return delay.compile(name, self.then, self.past or self.then)
        if isinstance(delay, WindowModel):
            return delay.compile(name, self.then)
        if isinstance(delay, BetweenModel):
            return _Random(name, *delay.between, self.then)
        return _Delay(name, delay, (self.then, f"delay of {render(delay)} is over"))


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


class _Random(Step):
    __slots__ = ("_longest_ms", "_move", "_shortest_ms")

    def __init__(self, name: str, shortest_ms: int, longest_ms: int, then: str) -> None:
        super().__init__(name)
        self._shortest_ms = shortest_ms
        self._longest_ms = longest_ms
        words = f"random delay of {render(shortest_ms)} to {render(longest_ms)} is over"
        self._move = (then, words)

    def enter(self, act: "Activation", instance: Instance, journey: "Journey") -> Move | None:
        span_ms = self._longest_ms - self._shortest_ms + 1
        drawn_ms = number_of(instance.id, self.name, act.now) % span_ms
        park(act, instance, act.now + self._shortest_ms + drawn_ms)
        return None

    def on_timer(self, act: "Activation", instance: Instance) -> Move | None:
        return self._move
