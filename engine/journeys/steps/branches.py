"""Branches of steps that wait: what each waits for, and where it leads.

| written | is taken |
|---|---|
| `{event: X, where: [...], same: ...}` | when such an event comes |
| `{segment: vip, on: left}` | when the person leaves (or, without `on`, enters) the segment |
| `{already: condition}` | on arrival, if the condition holds then: it does not wait |
| `{when: condition}` | as soon as the condition holds, on arrival or later, also by time alone |

Branches are tried in their order, the first that matches wins.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, Field, PlainValidator, model_validator

from engine import limits
from engine.conditions import Compiled, Condition, ConditionModel
from engine.issues import did_you_mean, kind_of, listed
from engine.journeys.instance import Instance
from engine.journeys.matching import EventMatch, EventRule, by_event
from engine.journeys.steps.registry import (
    END,
    FIRST,
    LOOK_TIMER,
    NO_EVENTS,
    Move,
    Step,
    StepName,
    park,
)
from engine.names import DefinitionName
from engine.schema import Strict, refusal
from engine.uses import Use

if TYPE_CHECKING:
    from engine.activation import Activation, EventView


class _Reset(Strict):
    then: StepName = END
    reset: bool = False

    @model_validator(mode="after")
    def _moves_or_resets(self) -> "_Reset":
        if self.reset and "then" in self.model_fields_set:
            raise refusal("'reset' stands beside 'then'", "a branch restarts the time or moves on")
        return self


def kept_name(name: str) -> str:
    """A name under which templates find what a step keeps, if it is one."""
    if name == FIRST:
        raise refusal("'first' is the event that began the run", "choose another name")
    if not name.isidentifier():
        raise refusal(f"templates cannot write {name!r}", "use letters, digits and '_'")
    return name


class EventBranchModel(EventRule, _Reset):
    """An event that a step waits for; `as` keeps it for templates under a name."""

    noun: ClassVar[str] = "a branch of a hold"
    as_: Annotated[DefinitionName, AfterValidator(kept_name)] | None = Field(
        default=None, alias="as"
    )


class SegmentBranchModel(_Reset):
    """A segment that is entered or left."""

    noun: ClassVar[str] = "a branch of a hold"
    segment: DefinitionName
    on: Literal["entered", "left"] = "entered"

    def uses(self, place: str) -> Iterator[Use]:
        """The segment."""
        yield Use("segment", self.segment, f"{place}.segment")


class AlreadyBranchModel(Strict):
    """What may hold on arrival already."""

    noun: ClassVar[str] = "a branch of a hold"
    already: Condition
    then: StepName = END
    reset: ClassVar[bool] = False

    def uses(self, place: str) -> Iterator[Use]:
        """The segments that the condition reads."""
        for segment in self.already.compile().segments:
            yield Use("segment", segment, f"{place}.already")


def _reads_no_event(condition: ConditionModel) -> ConditionModel:
    if condition.compile().reads_properties:
        hint = "use {event: ..., where: ...}, {already: ...}, or a trait"
        raise refusal("'when' has no event whose property it could read", hint)
    return condition


class WhenBranchModel(Strict):
    """What holds on arrival, or comes to hold later."""

    noun: ClassVar[str] = "a branch of a hold"
    when: Annotated[Condition, AfterValidator(_reads_no_event)]
    then: StepName = END
    reset: ClassVar[bool] = False

    def uses(self, place: str) -> Iterator[Use]:
        """The segments that the condition reads."""
        for segment in self.when.compile().segments:
            yield Use("segment", segment, f"{place}.when")


BranchModel = EventBranchModel | SegmentBranchModel | AlreadyBranchModel | WhenBranchModel
_KINDS: Final[dict[str, Any]] = {
    "event": EventBranchModel,
    "segment": SegmentBranchModel,
    "already": AlreadyBranchModel,
    "when": WhenBranchModel,
}


def _read(value: Any) -> BranchModel:
    if not isinstance(value, dict):
        raise refusal(f"must be a branch written as a map, not {kind_of(value)}")
    kinds = [key for key in _KINDS if key in value]
    if len(kinds) > 1:
        raise refusal(f"is two branches at once: {' and '.join(kinds)}", "make them two branches")
    hint = next(filter(None, (did_you_mean(key, _KINDS) for key in value)), "")
    if not kinds and hint:
        raise refusal(f"is not a branch: it has none of {listed(_KINDS)}", hint)
    model: BranchModel = _KINDS[kinds[0] if kinds else "event"].model_validate(value)
    return model


AnyBranch = Annotated[BranchModel, PlainValidator(_read, json_schema_input_type=BranchModel)]
Branches = Annotated[list[AnyBranch], Field(min_length=1, max_length=limits.BRANCHES)]


def asked_on_arrival(branches: Sequence[BranchModel]) -> Iterator[str]:
    """The steps of the branches that may be taken on arrival."""
    for branch in branches:
        if isinstance(branch, (AlreadyBranchModel, WhenBranchModel)):
            yield branch.then


def uses_of(branches: Sequence[BranchModel], field: str) -> Iterator[Use]:
    """The segments that branches need."""
    for number, branch in enumerate(branches):
        yield from branch.uses(f"{field}[{number}]")


def names_kept(branches: Sequence[BranchModel]) -> Iterator[str]:
    """The names under which branches keep their events."""
    for branch in branches:
        if isinstance(branch, EventBranchModel) and branch.as_ is not None:
            yield branch.as_


class Branch:
    """A compiled branch.

    Attributes:
        number: Its place among the branches.
        match: Which event, or None.
        segment: `(name, entered)`, or None.
        asked: What may hold on arrival, or None.
        watches: Whether it waits for that to hold.
        alias: The name under which its event is kept, or empty.
        words: What it waits for, as a person reads it.
        move: Where it leads, and why; None if it begins the time anew.
    """

    __slots__ = ("alias", "asked", "match", "move", "number", "segment", "watches", "words")

    def __init__(self, model: BranchModel, number: int, key_path: str) -> None:
        self.number = number
        self.match: EventMatch | None = None
        self.segment: tuple[str, bool] | None = None
        self.asked: Compiled | None = None
        self.watches = isinstance(model, WhenBranchModel)
        self.alias = ""
        if isinstance(model, EventBranchModel):
            self.match = EventMatch(model, key_path)
            self.alias = model.as_ or ""
            self.words = self.match.words
        elif isinstance(model, AlreadyBranchModel):
            self.asked = model.already.compile()
            self.words = f"already {self.asked.words}"
        elif isinstance(model, WhenBranchModel):
            self.asked = model.when.compile()
            self.words = self.asked.words
        else:
            self.segment = (model.segment, model.on == "entered")
            self.words = f"{model.on} segment {model.segment!r}"
        self.move: Move | None = None if model.reset else (model.then, self.words)


class BranchStep(Step):
    """The base of steps that wait for branches; `taken` says what one does."""

    __slots__ = ("_asked", "_watched")

    def __init__(self, name: str, models: Sequence[BranchModel], key_path: str) -> None:
        branches = [Branch(model, number, key_path) for number, model in enumerate(models)]
        events = [branch for branch in branches if branch.match is not None]
        conditions = [branch.asked for branch in branches]
        conditions.extend(branch.match.where for branch in events if branch.match is not None)
        self._asked = tuple(branch for branch in branches if branch.asked is not None)
        self._watched = tuple(branch for branch in branches if branch.watches)
        super().__init__(
            name,
            by_event(events, lambda branch: branch.match.event if branch.match else ""),
            tuple(condition for condition in conditions if condition is not None),
            _by_segment(branches),
            bool(self._watched),
        )

    def taken(self, act: "Activation", instance: Instance, branch: Branch) -> Move | None:
        """What a branch that matched does: a move on, or None to stay."""
        raise NotImplementedError

    def arrive(self, act: "Activation", instance: Instance, time_ms: int) -> Move | None:
        """What `enter` does: takes the first branch that holds already, or waits for `time_ms`."""
        for branch in self._asked:
            if self.is_open(instance, branch) and _holds(act, instance, branch):
                move = self.taken(act, instance, branch)
                if move is not None:
                    return move
        park(act, instance, act.now + time_ms)
        if self._watched:
            _, next_ms = self.look(act, instance)
            token = LOOK_TIMER + instance.id
            if next_ms is not None and next_ms < act.entity.timers.get(token, next_ms + 1):
                act.set_timer(token, next_ms)
        return None

    def is_open(self, instance: Instance, branch: Branch) -> bool:
        """Whether a branch can be taken at all."""
        return True

    def look(self, act: "Activation", instance: Instance) -> tuple[Move | None, int | None]:
        """Takes the first branch whose condition holds now."""
        soonest_ms: int | None = None
        for branch in self._watched:
            condition = branch.asked
            if condition is None or not self.is_open(instance, branch):
                continue
            holds, next_ms = condition.check(act.entity, act.now)
            if holds:
                move = self.taken(act, instance, branch)
                if move is not None:
                    return move, None
            elif next_ms is not None and (soonest_ms is None or next_ms < soonest_ms):
                soonest_ms = next_ms
        return None, soonest_ms

    def on_event(self, act: "Activation", instance: Instance, event: "EventView") -> Move | None:
        """Takes the first branch that the event matches."""
        branch: Branch
        for branch in self.listens[event.name]:
            match = branch.match
            if match is not None and match.matches(act, instance, event):
                instance.newest = event.raw
                if branch.alias:
                    instance.remember(branch.alias, event.raw)
                return self.taken(act, instance, branch)
        return None

    def on_segment(
        self, act: "Activation", instance: Instance, name: str, entered: bool
    ) -> Move | None:
        """Takes the first branch that waits for this."""
        branch: Branch
        for branch in self.listens_segments[name]:
            if branch.segment == (name, entered):
                return self.taken(act, instance, branch)
        return None


def _holds(act: "Activation", instance: Instance, branch: Branch) -> bool:
    """Whether what a branch asks on arrival is true now."""
    condition = branch.asked
    if condition is None:
        return False
    properties: Mapping[str, Any] = NO_EVENTS
    if condition.reads_properties:
        properties = act.properties_of(instance.newest)
    return condition.check(act.entity, act.now, properties)[0]


def kept_event(instance: Instance, of: str) -> bytes:
    """The properties (msgpack) of an event that a run keeps: the newest, `first`, or by a name."""
    if not of:
        return instance.newest
    return instance.first if of == FIRST else instance.aliases.get(of, b"")


def _by_segment(branches: Sequence[Branch]) -> dict[str, tuple[Branch, ...]]:
    found: dict[str, tuple[Branch, ...]] = {}
    for branch in branches:
        if branch.segment is not None:
            name = branch.segment[0]
            found[name] = (*found.get(name, ()), branch)
    return found
