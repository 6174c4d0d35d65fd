"""A program: all definitions of one workspace, compiled, as one shard runs them.

A program never changes; a new version of the definitions is a new program, made from the one
before. What is compiled is shared between them, so a change costs what it changes. The result is a
function of the documents and their versions: every shard, and every replay, has the same program.

Old versions of a journey stay, because instances keep the version they began with to the end; they
go when `limits.VERSIONS` newer ones are kept.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from engine import limits
from engine.conditions import Compiled
from engine.definition_kinds import JOURNEY, KINDS, LANE, SEGMENT, TEMPLATE
from engine.issues import DefinitionError, Issue
from engine.journeys.compile import Journey
from engine.lane_definition import Lane
from engine.schema import Strict, issues_of
from engine.segment_definition import Segment
from engine.templates import Template

Label = tuple[str, str]
Body = dict[str, Any]
Change = tuple[str, str, Body | None]


@dataclass(frozen=True, slots=True)
class Program:
    """Compiled definitions of one workspace; see the module's text.

    Attributes:
        version: The catalog version.
        documents: `(kind, name)` to `(version, body or None)`, oldest first; None is a deletion.
        models: The models of what is defined now, for checks.
        windows: Events to keep times of, each with how long (ms); 0 is for ever.
        segments: Segments by name, each after those that it reads.
        segments_by_event: Those that count an event.
        segments_by_trait: Those that read a top-level trait.
        segments_by_segment: Those that read a segment.
        computed_by_event: Computed traits by the event that they read.
        lanes: Lanes by name.
        templates: Templates by name.
        journeys: Every kept version of every journey, by name and version.
        listened: Events that some journey reacts to, each with the journeys that it may begin.
    """

    version: int = 0
    documents: Mapping[Label, list[tuple[int, Body | None]]] = field(default_factory=dict)
    models: Mapping[Label, Strict] = field(default_factory=dict)
    windows: Mapping[str, int] = field(default_factory=dict)
    segments: Mapping[str, Segment] = field(default_factory=dict)
    segments_by_event: Mapping[str, tuple[Segment, ...]] = field(default_factory=dict)
    segments_by_trait: Mapping[str, tuple[Segment, ...]] = field(default_factory=dict)
    segments_by_segment: Mapping[str, tuple[Segment, ...]] = field(default_factory=dict)
    computed_by_event: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    lanes: Mapping[str, Lane] = field(default_factory=dict)
    templates: Mapping[str, Template] = field(default_factory=dict)
    journeys: Mapping[tuple[str, int], Journey] = field(default_factory=dict)
    listened: Mapping[str, tuple[Journey, ...]] = field(default_factory=dict)


EMPTY: Final = Program()


def advance(program: Program, version: int, changes: Iterable[Change]) -> Program:
    """The next version of a program.

    Args:
        program: The version before.
        version: The new catalog version; the changed documents carry it.
        changes: `(kind, name, body)` each; a body of None deletes. They were found valid
            (`definitions.check`) against the version before.

    Returns:
        A new program. A document that is as it was keeps its version.

    Raises:
        DefinitionError: A body is not what `definitions.check` lets through.
    """
    documents = dict(program.documents)
    models = dict(program.models)
    compiled: dict[str, dict[str, Any]] = {
        SEGMENT: dict(program.segments),
        TEMPLATE: dict(program.templates),
        LANE: dict(program.lanes),
    }
    journeys = dict(program.journeys)
    for kind, name, body in changes:
        label = (kind, name)
        history = documents.get(label, [])
        if (history[-1][1] if history else None) == body:
            continue
        documents[label] = [*history, (version, body)][-limits.VERSIONS :]
        if body is None:
            models.pop(label, None)
            if kind != JOURNEY:
                compiled[kind].pop(name, None)
            continue
        model = models[label] = model_of(kind, name, body)
        made = _compile(kind, name, model, version)
        if kind == JOURNEY:
            journeys[name, version] = made
        else:
            compiled[kind][name] = made
    kept = {
        (name, at)
        for (kind, name), history in documents.items()
        if kind == JOURNEY
        for at, _ in history
    }
    journeys = {pin: journeys[pin] for pin in sorted(journeys) if pin in kept}
    segments = _in_order(compiled[SEGMENT])
    return Program(
        version=version,
        documents=documents,
        models=models,
        windows=_windows(segments, journeys),
        segments=segments,
        segments_by_event=_index(segments, lambda reads: [event for event, _ in reads.windows]),
        segments_by_trait=_index(segments, lambda reads: reads.traits),
        segments_by_segment=_index(segments, lambda reads: reads.segments),
        lanes=_sorted(compiled[LANE]),
        templates=_sorted(compiled[TEMPLATE]),
        journeys=journeys,
        listened=_listened(journeys, documents),
    )


def model_of(kind: str, name: str, body: Body) -> Strict:
    """The model of a document's body.

    Raises:
        DefinitionError: The body is not a good document of its kind.
    """
    where = f"{kind} {name!r}"
    if kind not in KINDS:
        raise DefinitionError([Issue(where, f"there is no kind {kind!r} of definition")])
    try:
        model = KINDS[kind].model.model_validate(body)
    except ValidationError as error:
        raise DefinitionError(issues_of(error, where)) from None
    if getattr(model, kind) != name:
        what = f"its body has another name: {getattr(model, kind)!r}"
        raise DefinitionError([Issue(where, what, field=kind)])
    return model


def _compile(kind: str, name: str, model: Strict, version: int) -> Any:
    try:
        return KINDS[kind].compile(model, version)
    except ValueError as error:
        raise DefinitionError([Issue(f"{kind} {name!r}", str(error))]) from None


def _sorted(items: Mapping[str, Any]) -> dict[str, Any]:
    return {name: items[name] for name in sorted(items)}


def _in_order(segments: Mapping[str, Segment]) -> dict[str, Segment]:
    """Segments by name, but each after those that it reads, so that one pass settles all."""
    ordered: dict[str, Segment] = {}
    visiting: dict[str, None] = {}

    def visit(name: str) -> None:
        if name in ordered or name in visiting or name not in segments:
            return
        visiting[name] = None
        for other in segments[name].reads.segments:
            visit(other)
        ordered[name] = segments[name]

    for name in sorted(segments):
        visit(name)
    return ordered


def _index(segments: Mapping[str, Segment], names_of: Any) -> dict[str, tuple[Segment, ...]]:
    """Segments by something that they read, in the order in which they are evaluated."""
    index: dict[str, tuple[Segment, ...]] = {}
    for segment in segments.values():
        for name in dict.fromkeys(names_of(segment.reads)):
            index[name] = (*index.get(name, ()), segment)
    return index


def _windows(
    segments: Mapping[str, Segment], journeys: Mapping[tuple[str, int], Journey]
) -> dict[str, int]:
    """For each event that something counts, the longest time that something looks back."""
    conditions: list[Compiled] = [segment.reads for segment in segments.values()]
    conditions.extend(condition for one in journeys.values() for condition in one.conditions)
    horizons: dict[str, int] = {}
    for condition in conditions:
        for event, horizon_ms in condition.windows:
            known = horizons.get(event)
            forever = horizon_ms == 0 or known == 0
            horizons[event] = 0 if forever else max(horizon_ms, known or 0)
    return {event: horizons[event] for event in sorted(horizons)}


def _listened(
    journeys: Mapping[tuple[str, int], Journey],
    documents: Mapping[Label, list[tuple[int, Body | None]]],
) -> dict[str, tuple[Journey, ...]]:
    """Every event that some version reacts to, with the newest versions that it begins."""
    listened: dict[str, tuple[Journey, ...]] = {}
    for (name, version), journey in journeys.items():
        for event in journey.listens:
            listened.setdefault(event, ())
        if documents[JOURNEY, name][-1][0] == version:
            event = journey.entry.event
            listened[event] = (*listened[event], journey)
    return listened
