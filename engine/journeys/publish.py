"""What becomes of the runs of older versions when a new version is published.

`drain` (the default): they go on to their end under their own version. `stop`: they end at once,
their waiting messages called back. `migrate`: they go over to the new version, each at the step of
the same name, or at the one that a mapping names. A step that has no place in the new version must
be decided: those who stand there drain or stop, as `else` says.

A run at a step of the same kind keeps its place and the time that it waits for; at any other it
enters the step anew.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, PlainValidator

from engine import limits
from engine.issues import Issue, did_you_mean, kind_of, listed
from engine.journeys.steps import END, Step, StepModel, StepName
from engine.schema import Strict, refusal

if TYPE_CHECKING:
    from engine.journeys.compile import Journey
    from engine.journeys.model import JourneyModel
    from engine.program import Program

DRAIN: Final = "drain"
STOP: Final = "stop"
MIGRATE: Final = "migrate"


class PublishModel(Strict):
    """How a version takes over from those before it."""

    noun: ClassVar[str] = "a way to publish"
    migrate: Annotated[dict[StepName, StepName], Field(max_length=limits.STEPS)] | None = None
    else_: Literal["drain", "stop"] | None = Field(default=None, alias="else")


def read(value: Any) -> PublishModel:
    """What a journey says of `publish`.

    Raises:
        PydanticCustomError: It is none of the forms.
        ValidationError: A field of it is not good.
    """
    if isinstance(value, dict):
        if value.get("migrate") is None:
            raise refusal("has no 'migrate'", "write drain, stop, migrate or {migrate: {old: new}}")
        return PublishModel.model_validate(value)
    if value not in (DRAIN, STOP, MIGRATE):
        hint = did_you_mean(value, (DRAIN, STOP, MIGRATE))
        raise refusal(
            f"must be drain, stop, migrate or {{migrate: {{old: new}}}}, not {kind_of(value)}", hint
        )
    if value == MIGRATE:
        return PublishModel(migrate={})
    return PublishModel.model_validate({"else": value})


PublishField = Annotated[PublishModel, PlainValidator(read)]


class Publish:
    """The compiled form.

    Attributes:
        migrates: Whether runs of older versions go over at all.
        moves: Steps of older versions, and where those who stand there go; `end` completes.
        rest: drain or stop, for everyone else.
    """

    __slots__ = ("migrates", "moves", "rest")

    def __init__(self, model: PublishModel, steps: "dict[str, Any]") -> None:
        self.migrates = model.migrate is not None
        self.moves = {name: name for name in steps} | (model.migrate or {}) if self.migrates else {}
        self.rest = model.else_ or DRAIN

    def target(self, step: str) -> str:
        """Where a run at a step of an older version goes: a step, `end`, or empty if nowhere."""
        return self.moves.get(step, "")


def report(journey: "Journey", before: "Journey") -> dict[str, str]:
    """What becomes of those who wait at each step of the version before, in words."""
    publish = journey.publish
    fates: dict[str, str] = {}
    for name, step in before.steps.items():
        if not may_wait(step):
            continue
        target = publish.target(name)
        if not target:
            fates[name] = "stops" if publish.rest == STOP else "drains under its own version"
        elif target == END:
            fates[name] = "completes"
        elif same_kind(step, journey.steps[target]):
            kept = "keeps its place and time"
            fates[name] = kept if target == name else f"goes to {target!r} and {kept}"
        else:
            fates[name] = f"enters {target!r} anew"
    return fates


def handovers(before: "Program", after: "Program") -> dict[str, dict[str, str]]:
    """What `report` says of each journey that has a newer version afterwards, by name."""
    old, new = dict(before.journeys), dict(after.journeys)
    old_pins, new_pins = dict(sorted(old)), dict(sorted(new))  # the last of a name is its newest
    return {
        name: report(new[name, version], old[name, old_pins[name]])
        for name, version in new_pins.items()
        if name in old_pins and version > old_pins[name]
    }


def may_wait(step: Step) -> bool:
    """Whether a run may be parked at a step: something there reacts to what happens."""
    kind = type(step)
    return (kind.on_event, kind.on_segment, kind.on_timer) != _REACTS_TO_NOTHING


_REACTS_TO_NOTHING: Final = Step.on_event, Step.on_segment, Step.on_timer


def same_kind(one: Step | None, other: Step) -> bool:
    """Whether a run that waits at one step may go on waiting at the other."""
    return type(one) is type(other) and may_wait(other)


def check_targets(model: "JourneyModel", where: str) -> Iterator[Issue]:
    """What a mapping says that the journey's own steps do not bear out."""
    for old, new in (model.publish.migrate or {}).items():
        if new != END and new not in model.steps:
            what = f"publish: {old!r} goes to {new!r}, which does not exist"
            hint = did_you_mean(new, (*model.steps, END))
            yield Issue(where, what, hint, f"publish.migrate.{old}")


def check_against(model: "JourneyModel", program: "Program", where: str) -> Iterator[Issue]:
    """What is wrong with how a version would take over from those that are there."""
    before = program.models.get(("journey", model.journey))
    migrate = model.publish.migrate
    if before is None or migrate is None or before == model:
        return
    known = {
        step
        for (name, _), journey in program.journeys.items()
        if name == model.journey
        for step in journey.steps
    }
    for old in migrate:
        if old not in known:
            what = f"publish: no kept version has a step {old!r}"
            yield Issue(where, what, did_you_mean(old, known), f"publish.migrate.{old}")
    steps: dict[str, StepModel] = getattr(before, "steps", {})
    lost = [
        name
        for name, step in steps.items()
        if may_wait(step.compile(name, "")) and name not in model.steps and name not in migrate
    ]
    if lost and model.publish.else_ is None:
        names = listed(map(repr, lost)).replace(" or ", " and ")
        what = f"publish: who waits at {names} of the version before has no place in this one"
        hint = "map it to a step or to end, or decide for all with else: drain or else: stop"
        yield Issue(where, what, hint, "publish.migrate")
