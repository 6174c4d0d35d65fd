"""What a journey reads of an event that none of its runs can have.

A run that a segment, a schedule or a broadcast begins has no event, so `same: properties.cart_id`
never matches and a delay until `properties.date` never waits. Steps behind a branch that waits for
an event have that one as their newest. Runs that a step of another journey begins have properties,
but by the journey's API entry if it has one: who wants them says `api: true`.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.conditions import ConditionModel
from engine.issues import Issue
from engine.journeys.entries import API, EVENT, SEGMENT
from engine.journeys.matching import EventRule
from engine.journeys.steps.registry import END, FIRST, StepModel
from engine.journeys.steps.split import SplitModel
from engine.journeys.steps.values import FromModel
from engine.schema import Strict

if TYPE_CHECKING:
    from engine.journeys.model import JourneyModel

NEWEST: Final = "properties"
_PATHS: Final = ("until", "to", "key")  # fields that may be a path into an event
_HINT: Final = "read a trait, or let an entry bring an event: {event: …} or {api: true}"
_Read = tuple[str, str, str]
"""`first` or `properties` (the newest), the field that reads it, and what it reads."""


def check_events(model: "JourneyModel", where: str) -> Iterator[Issue]:
    """What is read of events that no run has."""
    kinds = list(dict.fromkeys(entry.kind for entry in model.entry))
    if EVENT in kinds or API in kinds:
        return
    words = " and ".join(f"a {kind}" for kind in kinds)
    entry = f"a run is begun by {words}, which brings no event"
    known = {"segment"} if SEGMENT in kinds else set[str]()
    for number, rule in enumerate(model.exit):
        for _, field, what in _reads(rule, f"exit[{number}]"):
            if what not in known:
                yield Issue(
                    where, f"{field}: no run has a property {what!r}: {entry}", _HINT, field
                )
    later = _after_an_event(model.steps)
    for name, step in model.steps.items():
        for root, field, what in _of_step(step):
            if what in known or (root == NEWEST and name in later):
                continue
            said = f"step {name!r}: {field}: no run has a property {what!r}: {entry}"
            yield Issue(where, said, _HINT, f"steps.{name}.{field}")


def _of_step(step: StepModel) -> Iterator[_Read]:
    if not isinstance(step, SplitModel):
        yield from _reads(step, "")
    elif step.of is None or step.of == FIRST:
        for number, branch in enumerate(step.split):
            for _, field, what in _reads(branch.when, f"split[{number}].when"):
                yield step.of or NEWEST, field, what


def _reads(value: Any, place: str) -> Iterator[_Read]:
    """What a model, or values in it, read of the events that a run has."""
    if isinstance(value, ConditionModel):
        for name in dict.fromkeys(_properties(value.written())):
            yield NEWEST, place, name
    elif isinstance(value, EventRule):
        if value.same:  # its filters are about the event that comes
            yield FIRST, f"{place}.same", value.same.partition(".")[2]
    elif isinstance(value, FromModel):
        yield from _of_path(value.from_, place)
    elif isinstance(value, Strict):
        for name in type(value).model_fields:
            field = f"{place}.{name}" if place else name
            inner = getattr(value, name)
            if isinstance(inner, str):
                yield from _of_path(inner, field) if name in _PATHS else ()
            else:
                yield from _reads(inner, field)
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _reads(inner, f"{place}.{name}")
    elif isinstance(value, (list, tuple)):
        for number, inner in enumerate(value):
            yield from _reads(inner, f"{place}[{number}]")


def _of_path(path: str, place: str) -> Iterator[_Read]:
    root, _, rest = path.partition(".")
    if rest and root in (NEWEST, FIRST):
        yield root, place, rest


def _properties(written: Any) -> Iterator[str]:
    """The properties that a condition reads of the event at hand, not of those that it counts."""
    if isinstance(written, list):
        for one in written:
            yield from _properties(one)
    elif isinstance(written, dict):
        for name, inner in written.items():
            if name == "property" and isinstance(inner, str):
                yield inner
            elif name not in ("where", "sequence"):
                yield from _properties(inner)


def _after_an_event(steps: Mapping[str, StepModel]) -> set[str]:
    """The steps that a run may reach after an event has moved it."""
    to_visit = [name for name, step in steps.items() if _waits_for_event(step)]
    found: set[str] = set()
    while to_visit:
        for target in steps[to_visit.pop()].targets():
            if target != END and target in steps and target not in found:
                found.add(target)
                to_visit.append(target)
    return found


def _waits_for_event(step: StepModel) -> bool:
    values = [getattr(step, name) for name in type(step).model_fields]
    branches = [one for value in values for one in (value if isinstance(value, list) else [value])]
    return any(isinstance(branch, EventRule) for branch in branches)
