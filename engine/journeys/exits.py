"""Exit rules: what ends a run at once, wherever it stands.

Three kinds, told apart by their field: `{event: ...}` (with filters and `same`), `{segment: vip,
on: left}`, and `{when: condition}`, which ends a run at the moment at which the condition becomes
true. That moment is exact: a condition knows when time alone may change it, and a timer waits for
that; what an event or a segment changes is looked at in the same command. A rule with a `goal`
ends the run as completed, because it has done what it was for.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, Field, PlainValidator

from engine import limits
from engine.conditions import Compiled, Condition, ConditionModel
from engine.issues import did_you_mean, kind_of, listed
from engine.journeys.instance import COMPLETED, EXITED
from engine.journeys.matching import EventMatch, EventRule
from engine.names import DefinitionName
from engine.schema import Strict, refusal
from engine.uses import Use

if TYPE_CHECKING:
    from engine.activation import Activation

Goal = Annotated[str, Field(min_length=1, max_length=limits.NAME_CHARS)]
SegmentMove = tuple[str, bool]
"""A segment's name, and whether it was entered."""


class EventExit(EventRule):
    """An event that ends the run."""

    goal: Goal | None = None


class SegmentExit(Strict):
    """A segment whose entering or leaving ends the run."""

    noun: ClassVar[str] = "an exit rule"
    segment: DefinitionName
    on: Literal["entered", "left"] = "entered"
    goal: Goal | None = None

    def uses(self, place: str) -> Iterator[Use]:
        """The segment."""
        yield Use("segment", self.segment, f"{place}.segment")


def _reads_no_event(condition: ConditionModel) -> ConditionModel:
    if condition.compile().reads_properties:
        raise refusal(
            "'when' has no event whose property it could read",
            "use {event: ..., where: ...}, or a trait",
        )
    return condition


class ConditionExit(Strict):
    """A condition that ends the run when it becomes true."""

    noun: ClassVar[str] = "an exit rule"
    when: Annotated[Condition, AfterValidator(_reads_no_event)]
    goal: Goal | None = None

    def uses(self, place: str) -> Iterator[Use]:
        """The segments that the condition reads."""
        for name in self.when.compile().segments:
            yield Use("segment", name, f"{place}.when")


ExitModel = EventExit | SegmentExit | ConditionExit
KINDS: Final[dict[str, type[EventExit] | type[SegmentExit] | type[ConditionExit]]] = {
    "event": EventExit,
    "segment": SegmentExit,
    "when": ConditionExit,
}


def read(value: Any) -> ExitModel:
    """An exit rule from plain values.

    Raises:
        PydanticCustomError: Nothing tells its kind.
        ValidationError: It is not a good rule of its kind.
    """
    if not isinstance(value, dict):
        raise refusal(f"must be an exit rule written as a map, not {kind_of(value)}")
    kinds = [key for key in KINDS if key in value]
    if len(kinds) != 1:
        if kinds:
            raise refusal(f"is two exit rules at once: {' and '.join(kinds)}", "make them two")
        hint = next(filter(None, (did_you_mean(key, KINDS) for key in value)), "")
        raise refusal(f"is not an exit rule: it has none of {listed(KINDS)}", hint)
    return KINDS[kinds[0]].model_validate(value)


ExitField = Annotated[ExitModel, PlainValidator(read)]


class Exit:
    """A compiled rule.

    Attributes:
        match: What an event must be like; None for the other kinds.
        condition: What must be true; None for the other kinds.
        status: What the run ends as.
        why: The rule as a person reads it.
    """

    __slots__ = ("condition", "match", "status", "why")

    def __init__(
        self, words: str, goal: str | None, match: EventMatch | None, condition: Compiled | None
    ) -> None:
        self.match = match
        self.condition = condition
        self.status = EXITED if goal is None else COMPLETED
        self.why = words if goal is None else f"goal {goal!r} reached: {words}"


class Exits:
    """The compiled rules of a journey.

    Attributes:
        by_event: Rules by the event that they wait for.
        by_segment: Rules by the segment and its direction.
        by_condition: Rules that wait for a condition.
        conditions: Everything they ask.
    """

    __slots__ = ("by_condition", "by_event", "by_segment", "conditions")

    def __init__(self, models: Iterable[ExitModel], key_path: str) -> None:
        self.by_event: dict[str, tuple[Exit, ...]] = {}
        self.by_segment: dict[SegmentMove, tuple[Exit, ...]] = {}
        self.by_condition: tuple[Exit, ...] = ()
        conditions: list[Compiled] = []
        for model in models:
            if isinstance(model, EventExit):
                match = EventMatch(model, key_path)
                rule = Exit(match.words, model.goal, match, None)
                self.by_event[model.event] = (*self.by_event.get(model.event, ()), rule)
                conditions.extend(filter(None, (match.where,)))
            elif isinstance(model, SegmentExit):
                move = model.segment, model.on == "entered"
                rule = Exit(f"{model.on} segment {model.segment!r}", model.goal, None, None)
                self.by_segment[move] = (*self.by_segment.get(move, ()), rule)
            else:
                condition = model.when.compile()
                conditions.append(condition)
                rule = Exit(condition.words, model.goal, None, condition)
                self.by_condition = (*self.by_condition, rule)
        self.conditions = tuple(conditions)

    def look(self, act: "Activation") -> tuple[Exit | None, int | None]:
        """The first rule whose condition is true, and when time alone may make one true.

        Cost: that of the conditions.
        """
        entity, now = act.entity, act.now
        next_ms: int | None = None
        for rule in self.by_condition:
            if rule.condition is None:
                continue
            is_true, changes_ms = rule.condition.check(entity, now)
            if is_true:
                return rule, None
            if changes_ms is not None and (next_ms is None or changes_ms < next_ms):
                next_ms = changes_ms
        return None, next_ms
