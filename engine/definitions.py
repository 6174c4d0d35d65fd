"""Definitions at the border: from a text to documents that are known to be good.

`parse` reads a text, `check` judges documents against what is defined already, `to_wire` makes the
bytes of the command. Only documents that passed `check` may be journaled; every shard then takes
them in with `program.advance`, and cannot fail.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack
from pydantic_core import PydanticCustomError

from engine import documents, limits
from engine.content.templates import ANY
from engine.definition_kinds import KINDS, SEGMENT, TRAIT
from engine.issues import DefinitionError, Issue, did_you_mean, kind_of, listed
from engine.names import read_name
from engine.program import Body, Change, Label, Program, model_of
from engine.schema import Strict
from engine.uses import Use

__all__ = [
    "DefinitionError", "Document", "Issue", "check", "from_wire", "parse", "to_wire",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Document:
    """One definition.

    Attributes:
        kind: One of `definition_kinds.KINDS`: journey, segment, trait.
        name: Its name, unique in its kind.
        body: The document as it was read, the name included; None to delete it.
        source: Where it was read, as `cart.yaml:12`, or empty.
    """

    kind: str
    name: str
    body: Body | None
    source: str = ""

    @property
    def where(self) -> str:
        """The document in a sentence."""
        return f"{self.kind} {self.name!r}"


def parse(text: str, source: str = "the text") -> list[Document]:
    """The documents of a YAML or JSON text; each has a kind as one of its keys.

    Args:
        text: Documents, divided by `---` (YAML) or in a list (JSON).
        source: The name of the file, for errors.

    Raises:
        DefinitionError: The text cannot be read, or a document has no kind or no name.
    """
    found: list[Document] = []
    issues: list[Issue] = []
    for value, line in documents.read(text, source):
        place = f"{source}:{line}"
        try:
            found.append(_document(value, place))
        except DefinitionError as error:
            issues.extend(error.issues)
    if not found and not issues:
        issues.append(Issue(source, "there is no definition in it", source=source))
    if issues:
        raise DefinitionError(issues)
    return found


def _document(value: Any, place: str) -> Document:
    if not isinstance(value, dict):
        what = f"a definition is a map, not {kind_of(value)}"
        raise DefinitionError([Issue(place, what, source=place)])
    kinds = [kind for kind in KINDS if kind in value]
    if len(kinds) != 1:
        what = f"is {' and '.join(kinds)} at once" if kinds else f"has none of {listed(KINDS)}"
        hint = "divide it with '---'" if kinds else ""
        for key in () if kinds else value:
            hint = hint or did_you_mean(key, KINDS)
        raise DefinitionError([Issue(place, f"the definition {what}", hint, source=place)])
    kind = kinds[0]
    try:
        name = read_name(value[kind])
    except PydanticCustomError as error:
        context = error.context or {}
        what, hint = f"{kind}: {context['what']}", context["hint"]
        raise DefinitionError([Issue(place, what, hint, kind, place)]) from None
    return Document(kind, name, value, place)


def check(changes: Sequence[Document], program: Program) -> None:
    """Judges documents against each other and against what is defined already.

    Args:
        changes: Documents to apply (or, with a body of None, to delete), as one unit.
        program: What is defined now.

    Raises:
        DefinitionError: With everything that is wrong, in the order of the documents.
    """
    issues = list(_bounds(changes, program))
    models = dict(program.models)
    changed: dict[Label, Document] = {}
    for document in changes:
        label = (document.kind, document.name)
        if label in changed:
            issues.append(_issue(document, "it is defined twice", "keep one of them"))
        changed[label] = document
        if document.body is None:
            if models.pop(label, None) is None:
                issues.append(_unknown(document, program))
            continue
        try:
            models[label] = model = model_of(document.kind, document.name, document.body)
        except DefinitionError as error:
            issues.extend(_from(document, issue) for issue in error.issues)
            continue
        found = KINDS[document.kind].check(model, document.where)
        issues.extend(_from(document, issue) for issue in found)
        found = KINDS[document.kind].check_against(model, program, document.where)
        issues.extend(_from(document, issue) for issue in found)
    if not issues:
        issues.extend(_references(models, changed))
        issues.extend(_circles(models, changed))
    if issues:
        raise DefinitionError(issues)


def to_wire(changes: Iterable[Document]) -> bytes:
    """The documents as `commands.apply_definitions` takes them."""
    packed: bytes = msgpack.packb([[c.kind, c.name, c.body] for c in changes])
    return packed


def from_wire(packed: bytes) -> list[Change]:
    """The inverse of `to_wire`, for `program.advance`."""
    return [(kind, name, body) for kind, name, body in msgpack.unpackb(packed)]


def _issue(document: Document, what: str, hint: str = "") -> Issue:
    return Issue(document.where, what, hint, source=document.source)


def _from(document: Document, issue: Issue) -> Issue:
    return Issue(issue.where, issue.what, issue.hint, issue.field, document.source)


def _unknown(document: Document, program: Program) -> Issue:
    names = [name for kind, name in program.models if kind == document.kind]
    return _issue(document, "it does not exist", did_you_mean(document.name, names))


def _bounds(changes: Sequence[Document], program: Program) -> Iterator[Issue]:
    """How many documents there are, and how large each is."""
    if len(changes) > limits.DEFINITIONS_PER_APPLY:
        what = f"{len(changes)} definitions at once, more than {limits.DEFINITIONS_PER_APPLY}"
        yield Issue("definitions", what, "apply them in parts")
    new = {(c.kind, c.name) for c in changes if c.body is not None}
    deleted = {(c.kind, c.name) for c in changes if c.body is None}
    total = len((set(program.models) | new) - deleted)
    if total > limits.DEFINITIONS:
        what = f"the workspace would have {total} definitions, more than {limits.DEFINITIONS}"
        yield Issue("definitions", what, "delete what is not used")
    traits = sum(kind == TRAIT for kind, _ in (set(program.models) | new) - deleted)
    if traits > limits.COMPUTED_TRAITS:
        what = f"it would have {traits} computed traits, more than {limits.COMPUTED_TRAITS}"
        yield Issue("definitions", what, "delete what is not used")
    for document in changes:
        size = len(msgpack.packb(document.body))
        if size > limits.DEFINITION_BYTES:
            what = f"it has {size} bytes, more than {limits.DEFINITION_BYTES}"
            yield _issue(document, what)


def _references(models: dict[Label, Strict], changed: dict[Label, Document]) -> Iterator[Issue]:
    """What uses something that is not there, or is for another channel."""
    for (kind, name), model in models.items():
        document = changed.get((kind, name))
        for use in KINDS[kind].uses(model):
            label = (use.kind, use.name)
            target = models.get(label)
            if target is None:
                if document is not None:
                    known = [other for used, other in models if used == use.kind]
                    what = f"{use.where}: there is no {use.kind} {use.name!r}"
                    yield _issue(document, what, did_you_mean(use.name, known))
                elif label in changed:
                    what = f"it is used by {kind} {name!r} ({use.where})"
                    yield _issue(changed[label], what, "change that first")
            elif use.channel and getattr(target, "channel", "") not in (use.channel, ANY):
                found = f"{use.kind} {use.name!r} is for {getattr(target, 'channel', '')}"
                if document is not None:
                    what = f"{use.where}: {found}, the message for {use.channel}"
                    yield _issue(document, what)
                elif label in changed:
                    what = f"{found}, but {kind} {name!r} ({use.where}) needs {use.channel}"
                    yield _issue(changed[label], what)
            elif use.part and use.part not in getattr(target, "parts", ()):
                yield from _part_is_missing(models, changed, (kind, name), use)


def _part_is_missing(
    models: dict[Label, Strict], changed: dict[Label, Document], user: Label, use: Use
) -> Iterator[Issue]:
    """Something that names a part of another definition which that has not."""
    parts = getattr(models[use.kind, use.name], "parts", ())
    found = f"{use.kind} {use.name!r} has no {use.part!r}"
    if user in changed:
        what = f"{use.where}: {found}"
        yield _issue(changed[user], what, did_you_mean(use.part, parts))
    elif (use.kind, use.name) in changed:
        what = f"it has no {use.part!r}, which {user[0]} {user[1]!r} ({use.where}) names"
        yield _issue(changed[use.kind, use.name], what, "change that first")


def _circles(models: dict[Label, Strict], changed: dict[Label, Document]) -> Iterator[Issue]:
    """Segments that read each other in a circle, each circle told once."""
    reads = {
        name: [use.name for use in KINDS[SEGMENT].uses(model)]
        for (kind, name), model in models.items()
        if kind == SEGMENT
    }
    done: set[str] = set()
    for start in reads:
        path: list[str] = []
        ways: list[Iterator[str]] = [iter((start,))]
        while ways:
            name = next(ways[-1], None)
            if name is None:
                ways.pop()
                if path:
                    done.add(path.pop())
            elif name in path:
                circle = path[path.index(name) :]
                label = next((SEGMENT, n) for n in circle if (SEGMENT, n) in changed)
                spoken = " → ".join(repr(n) for n in [*circle, name])
                yield _issue(changed[label], f"the segments {spoken} read each other in a circle")
            elif name in reads and name not in done:
                path.append(name)
                ways.append(iter(reads[name]))
