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
from engine.computed.definition import ComputedTrait, by_event, count_since
from engine.conditions.context import READS_ZONE
from engine.content.templates import Template
from engine.definition_kinds import JOURNEY, KINDS, LANE, SEGMENT, TEMPLATE, TRAIT
from engine.fraud.policy import GUARD
from engine.governance.policy import POLICY, Policy
from engine.identity.rules import RULES, Rules, rules_of
from engine.issues import DefinitionError, Issue
from engine.journeys.compile import Journey
from engine.journeys.index import JourneyIndex, make_index
from engine.lanes.definition import Lane
from engine.routes.definition import ROUTE
from engine.routes.route import Route
from engine.schema import Strict, issues_of
from engine.segments.definition import Segment
from engine.segments.index import SegmentIndex, index_of
from engine.tables.definition import ROWS, TABLE, Rows, TableModel
from engine.verification.definition import VERIFICATION, Verifier

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
        segments: Segments by name, each after those that it reads.
        index: Segments by what they read, and what is kept for conditions.
        computed: Computed traits by name.
        computed_by_event: The same by the event that they read.
        lanes: Lanes by name.
        routes: Routes by their channel, which is their name.
        rules: Which profiles are one person.
        policy: What may be sent to people, and when; None if nothing says so.
        templates: Templates by name.
        verifications: Verifications by name.
        tables: Tables by name.
        rows: The rows that each table has now, by its name.
        journeys: Every kept version of every journey, by name and version.
        listened: Events that some journey reacts to, each with the journeys that it may begin.
        journey_index: What else is asked of all journeys.
    """

    version: int = 0
    documents: Mapping[Label, list[tuple[int, Body | None]]] = field(default_factory=dict)
    models: Mapping[Label, Strict] = field(default_factory=dict)
    segments: Mapping[str, Segment] = field(default_factory=dict)
    index: SegmentIndex = field(default_factory=SegmentIndex)
    computed: Mapping[str, ComputedTrait] = field(default_factory=dict)
    computed_by_event: Mapping[str, tuple[ComputedTrait, ...]] = field(default_factory=dict)
    lanes: Mapping[str, Lane] = field(default_factory=dict)
    routes: Mapping[str, Route] = field(default_factory=dict)
    rules: Rules = RULES
    policy: Policy | None = None
    templates: Mapping[str, Template] = field(default_factory=dict)
    verifications: Mapping[str, Verifier] = field(default_factory=dict)
    tables: Mapping[str, TableModel] = field(default_factory=dict)
    rows: Mapping[str, Rows] = field(default_factory=dict)
    journeys: Mapping[tuple[str, int], Journey] = field(default_factory=dict)
    listened: Mapping[str, tuple[Journey, ...]] = field(default_factory=dict)
    journey_index: JourneyIndex = field(default_factory=JourneyIndex)
    _added: dict[int, tuple[Segment, ...] | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def added_since(self, version: int) -> tuple[Segment, ...] | None:
        """The segments that came after a version, if nothing else that concerns people did.

        Returns:
            They, each after those that it reads; None if something was changed, deleted, or is of
            another kind, and whoever is as old as that has to be looked at as a whole.
        """
        if version not in self._added:
            new = [
                (label, history)
                for label, history in self.documents.items()
                if history[-1][0] > version and label[0] not in _OF_SENDING
            ]
            only_added = all(kind == SEGMENT and len(history) == 1 for (kind, _), history in new)
            names = {name for (_, name), _ in new}
            added = [each for name, each in self.segments.items() if name in names]
            self._added[version] = tuple(added) if only_added else None
        return self._added[version]

    def for_senders(self) -> dict[str, Body]:
        """What senders have to know: lanes by name, and the guard, if there is one, as `guard/…`.

        It is always told as a whole, whoever tells it: what is missing in it is not defined.
        """
        return {
            name if kind == LANE else f"{kind}/{name}": body
            for (kind, name), versions in self.documents.items()
            if kind in (LANE, GUARD) and (body := versions[-1][1]) is not None
        }


_OF_SENDING: Final = frozenset({LANE, ROUTE, TEMPLATE, GUARD})  # which nobody is evaluated by
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
    draft = _Draft(program)
    for kind, name, body in changes:
        draft.take(kind, name, body, version)
    return draft.program(version)


# Where a program has what is compiled of a kind, by name. Of the other kinds one is all there is
# (the policy), or nothing is compiled: rules are read from all models, the guard by senders.
_FIELDS: Final = {
    SEGMENT: "segments",
    TRAIT: "computed",
    TEMPLATE: "templates",
    LANE: "lanes",
    ROUTE: "routes",
    VERIFICATION: "verifications",
    TABLE: "tables",
    ROWS: "rows",
}


class _Draft:
    """A program that is being changed; what is not changed is shared with the one before."""

    def __init__(self, program: Program) -> None:
        self._documents = dict(program.documents)
        self._models = dict(program.models)
        self._compiled: dict[str, dict[str, Any]] = {
            kind: dict(getattr(program, field)) for kind, field in _FIELDS.items()
        }
        self._policy = program.policy
        self._journeys = dict(program.journeys)

    def take(self, kind: str, name: str, body: Body | None, version: int) -> None:
        """Takes one change; none if the document is as it was."""
        label = (kind, name)
        history = self._documents.get(label, [])
        if (history[-1][1] if history else None) == body:
            return
        self._documents[label] = [*history, (version, body)][-limits.VERSIONS :]
        if body is None:
            self._models.pop(label, None)
            self._forget(kind, name)
            return
        model = self._models[label] = model_of(kind, name, body)
        made = _compile(kind, name, model, version)
        if kind == TRAIT:
            bodies = (body for _, body in history)
            count_since(made, self._compiled[TRAIT].get(name), bodies, version)
        if kind == JOURNEY:
            self._journeys[name, version] = made
        elif kind == POLICY:
            self._policy = made
        elif kind in _FIELDS:
            self._compiled[kind][name] = made

    def _forget(self, kind: str, name: str) -> None:
        """Drops what a deleted document was compiled to. Journeys stay for their instances."""
        if kind == POLICY:
            self._policy = None
        elif kind in _FIELDS:
            self._compiled[kind].pop(name, None)

    def program(self, version: int) -> Program:
        """The program, with all that is derived from several definitions at once."""
        now, kept = _journey_pins(self._documents)
        journeys = {pin: self._journeys[pin] for pin in sorted(self._journeys) if pin in kept}
        journey_index = make_index(journeys, [pin for pin in journeys if pin in now])
        asked = [condition for one in journeys.values() for condition in one.conditions]
        if self._policy is not None and self._policy.reads_zone:
            asked.append(READS_ZONE)
        index = index_of(self._compiled[SEGMENT], asked)
        by_name: dict[str, Any] = {
            field: _sorted(self._compiled[kind]) for kind, field in _FIELDS.items()
        }
        by_name["segments"] = index.in_order  # each after those that it reads
        return Program(
            version=version,
            documents=self._documents,
            models=self._models,
            index=index,
            computed_by_event=by_event(by_name["computed"]),
            rules=rules_of(self._models),
            policy=self._policy,
            journeys=journeys,
            listened=journey_index.events,
            journey_index=journey_index,
            **by_name,
        )


def _journey_pins(
    documents: Mapping[Label, list[tuple[int, Body | None]]],
) -> tuple[set[tuple[str, int]], set[tuple[str, int]]]:
    """Name and version of the journeys that are defined now, and of all versions that are kept."""
    histories = [(name, history) for (kind, name), history in documents.items() if kind == JOURNEY]
    now = {(name, history[-1][0]) for name, history in histories if history[-1][1] is not None}
    kept = {(name, at) for name, history in histories for at, _ in history}
    return now, kept


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
