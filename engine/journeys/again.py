"""Whether a person may begin a journey again, and what is remembered for that.

`again: always` (the default) remembers nothing. `once`, `{after: 7d}` and `{at_most: 3, per: 30d}`
keep the times of past entries, no more than they need, in the entity's `state`; they count a
person's entries into the journey, whatever the key and the version. Beside them stands what was
refused lately, so that the trail tells a reason once a day and not at every event.
"""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from pydantic import Field, PlainValidator

from engine import limits
from engine.durations import render, up_to
from engine.issues import did_you_mean, kind_of
from engine.schema import Strict, refusal

if TYPE_CHECKING:
    from collections.abc import Container

    from engine.activation import Activation
    from engine.entity import Entity

STATE: Final = "entries"  # in `Entity.state`: journey to the times (ms) that matter
REFUSALS: Final = "refusals"  # journey and reason to `[ms when told, times since]`
ALWAYS: Final = "always"
ONCE: Final = "once"
_Wait = Annotated[int, up_to(limits.STEP_DELAY_MS)]


class AfterModel(Strict):
    """A pause between entries."""

    noun: ClassVar[str] = "a pause"
    after: _Wait


class AtMostModel(Strict):
    """So many entries in so long a time."""

    noun: ClassVar[str] = "a number of entries"
    at_most: Annotated[int, Field(ge=1, le=limits.AGAIN_TIMES)]
    per: _Wait


class Again:
    """How often a person may enter.

    Attributes:
        entries: So many times,
        within_ms: in so long a time; 0 is for ever.
        why: What the trail says of one entry too many.
    """

    __slots__ = ("entries", "why", "within_ms")

    def __init__(self, entries: int, within_ms: int, why: str) -> None:
        self.entries = entries
        self.within_ms = within_ms
        self.why = why

    def allows(self, entity: "Entity", journey: str, now_ms: int) -> bool:
        """Whether one more entry is allowed now."""
        times: list[int] = entity.state.get(STATE, {}).get(journey, [])
        if len(times) < self.entries:
            return True
        return bool(self.within_ms) and times[-self.entries] <= now_ms - self.within_ms

    def remember(self, entity: "Entity", journey: str, now_ms: int) -> None:
        """Takes note of an entry; times that no longer matter go."""
        times = entity.state.setdefault(STATE, {})
        times[journey] = [*times.get(journey, ()), now_ms][-self.entries :]


AgainModel = str | AfterModel | AtMostModel


def read(value: Any) -> AgainModel:
    """What a journey says of `again`.

    Raises:
        PydanticCustomError: It is none of the forms.
        ValidationError: A field of it is not good.
    """
    if isinstance(value, dict):
        return (AfterModel if "after" in value else AtMostModel).model_validate(value)
    if value not in (ALWAYS, ONCE):
        hint = did_you_mean(value, (ALWAYS, ONCE))
        forms = "always, once, {after: 7d} or {at_most: 3, per: 30d}"
        raise refusal(f"must be {forms}, not {kind_of(value)}", hint)
    return str(value)


AgainField = Annotated[AgainModel, PlainValidator(read)]


def compile_again(model: AgainModel) -> Again | None:
    """The compiled form; None if a person may always enter."""
    if isinstance(model, AfterModel):
        words = render(model.after)
        return Again(1, model.after, f"less than {words} have passed since the last entry")
    if isinstance(model, AtMostModel):
        times = "once" if model.at_most == 1 else f"{model.at_most} times"
        return Again(model.at_most, model.per, f"entered {times} within {render(model.per)}")
    return Again(1, 0, "entered once already") if model == ONCE else None


def refuse(act: "Activation", journey: str, why: str) -> None:
    """Tells the trail why somebody did not enter; the same reason once in a while only."""
    told: dict[str, list[int]] = act.entity.state.setdefault(REFUSALS, {})
    line = f"{journey}: {why}"
    before = told.get(line)
    if before is not None and act.now - before[0] < limits.REFUSAL_MS:
        before[1] += 1
        return
    more = f" ({before[1]} times since the last line)" if before is not None and before[1] else ""
    told.pop(line, None)
    told[line] = [act.now, 0]
    while len(told) > limits.REFUSALS:
        del told[next(iter(told))]
    act.note("journey", journey, f"not entered: {why}{more}")


def prune(entity: "Entity", journeys: "Container[str]", now_ms: int) -> None:
    """Forgets what no journey needs any more."""
    state = entity.state
    times = state.get(STATE, {})
    for name in [name for name in times if name not in journeys]:
        del times[name]
    told = state.get(REFUSALS, {})
    for line in [line for line, (ms, _) in told.items() if now_ms - ms >= limits.REFUSAL_MS]:
        del told[line]
    for name in (STATE, REFUSALS):
        if name in state and not state[name]:
            del state[name]


def join(mine: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """The times of two people who are one from now on; neither is changed in place."""
    return {
        name: sorted([*mine.get(name, ()), *theirs.get(name, ())])[-limits.AGAIN_TIMES :]
        for name in {**mine, **theirs}
    }
