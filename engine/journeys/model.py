"""A journey as it is written, and what is wrong with one that its fields alone do not show.

Steps go to steps by name, so the graph is checked here: every name leads somewhere, every step can
be reached, and no loop can spin without waiting.
"""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field

from engine import limits
from engine.issues import Issue, did_you_mean
from engine.journeys.again import ALWAYS, AgainField
from engine.journeys.entries import EntryField
from engine.journeys.event_checks import check_events
from engine.journeys.exits import ExitField
from engine.journeys.publish import PublishField, PublishModel, check_targets
from engine.journeys.steps import END, StepField, StepName
from engine.journeys.steps.registry import check_kept
from engine.names import DefinitionName
from engine.schema import Strict, refusal
from engine.uses import Use

LIVE: Final = "live"
PAUSED: Final = "paused"
ARCHIVED: Final = "archived"


def _not_end(steps: Any) -> Any:
    if isinstance(steps, dict) and END in steps:
        raise refusal("'end' is the built-in last step", "choose another name for yours")
    return steps


Steps = Annotated[
    dict[StepName, StepField],
    Field(min_length=1, max_length=limits.STEPS),
    BeforeValidator(_not_end),
]


class JourneyModel(Strict):
    """A journey as it is written; the first step listed is where a run starts.

    `entry` may be written as one entry or as a list. `status` holds for all versions: a draft
    takes nobody in, a paused journey neither takes in nor moves anybody, an archived one has no
    runs.
    """

    noun: ClassVar[str] = "a journey"
    journey: DefinitionName
    status: Literal["draft", "live", "paused", "archived"] = LIVE
    publish: PublishField = Field(default_factory=PublishModel)
    entry: EntryField
    again: AgainField = ALWAYS
    at_once: Annotated[int, Field(ge=1, le=limits.INSTANCES)] = limits.INSTANCES
    priority: Annotated[int, Field(ge=0, le=100)] = 0
    exit: Annotated[list[ExitField], Field(max_length=limits.EXITS)] = Field(default_factory=list)
    steps: Steps

    def uses(self) -> Iterator[Use]:
        """The other definitions that it needs."""
        for number, entry in enumerate(self.entry):
            yield from entry.uses("entry" if len(self.entry) == 1 else f"entry[{number}]")
        for number, rule in enumerate(self.exit):
            yield from rule.uses(f"exit[{number}]")
        for name, step in self.steps.items():
            for use in step.uses():
                where = f"step {name!r}: {use.where}"
                yield Use(use.kind, use.name, where, use.channel, use.part)


def check_journey(model: JourneyModel, where: str) -> Iterator[Issue]:
    """What is wrong with the graph of a journey."""
    yield from check_targets(model, where)
    steps = model.steps
    yield from check_kept(steps, where)
    unknown = False
    for name, step in steps.items():
        for target in dict.fromkeys(step.targets()):
            if target != END and target not in steps:
                unknown = True
                what = f"step {name!r} goes to {target!r}, which does not exist"
                yield Issue(where, what, did_you_mean(target, (*steps, END)), f"steps.{name}")
    if unknown:
        return  # what an unknown name was meant to reach is anyone's guess
    reached = _reached(model)
    for name in steps:
        if name not in reached:
            hint = "lead a step to it, or delete it"
            yield Issue(where, f"step {name!r} is never reached", hint, f"steps.{name}")
    loop = _spinning_loop(model)
    if loop:
        path = " → ".join(repr(name) for name in loop)
        hint = "put a delay or a hold into it"
        yield Issue(where, f"the loop {path} never waits", hint, f"steps.{loop[0]}")
    yield from check_events(model, where)


def _reached(model: JourneyModel) -> set[str]:
    steps = model.steps
    reached: set[str] = set()
    to_visit = [next(iter(steps))]
    while to_visit:
        name = to_visit.pop()
        if name != END and name not in reached:
            reached.add(name)
            to_visit.extend(steps[name].targets())
    return reached


def _spinning_loop(model: JourneyModel) -> list[str]:
    """A loop of steps that never wait, its first step repeated at its end; or nothing.

    A depth-first search without recursion over the ways that are taken at once: a step met again
    while it is still on the path closes a loop.
    """
    steps = model.steps
    done: set[str] = set()
    for start in steps:
        path: list[str] = []
        ways: list[Iterator[str]] = [iter((start,))]
        while ways:
            name = next(ways[-1], None)
            if name is None:
                ways.pop()
                if path:
                    done.add(path.pop())
            elif name in path:
                return [*path[path.index(name) :], name]
            elif name != END and name not in done:
                path.append(name)
                ways.append(steps[name].at_once())
    return []
