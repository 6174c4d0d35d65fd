"""What is not wrong with definitions, and yet hardly meant: warnings, each of them certain.

`definitions.check` refuses what cannot work. This looks at what works, over all definitions that
belong together: what nobody uses, what cannot be sent, what nobody can leave.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from engine import definitions
from engine.definition_kinds import JOURNEY, KINDS, LANE, TEMPLATE
from engine.definitions import Document
from engine.issues import Issue
from engine.program import EMPTY, Program, advance

Look = Callable[["Together"], Iterator[Issue]]


class Together:
    """Definitions that belong together and were found good.

    Attributes:
        documents: The definitions.
        models: Their models, by kind and name.
    """

    def __init__(self, documents: Sequence[Document], program: Program) -> None:
        self.documents = documents
        self.models = program.models

    def of(self, kind: str) -> Iterator[tuple[Document, Any]]:
        """The definitions of a kind, each with its model."""
        for document in self.documents:
            if document.kind == kind:
                yield document, self.models[kind, document.name]


def check(documents: Sequence[Document]) -> list[Issue]:
    """Checks definitions that stand for themselves, and looks at them.

    Returns:
        The warnings.

    Raises:
        DefinitionError: They would be refused, in the words in which they would be.
    """
    definitions.check(documents, EMPTY)
    changes = [(document.kind, document.name, document.body) for document in documents]
    together = Together(documents, advance(EMPTY, 1, changes))
    return [issue for look in LOOKS for issue in look(together)]


def _unused_templates(together: Together) -> Iterator[Issue]:
    used = {
        (use.kind, use.name)
        for (kind, _), model in together.models.items()
        for use in KINDS[kind].uses(model)
    }
    for document, _ in together.of(TEMPLATE):
        if (TEMPLATE, document.name) not in used:
            yield _issue(document, "no journey uses it", "fine, if it is sent by the API")


def _no_way_out(together: Together) -> Iterator[Issue]:
    """A journey that waits, and that nobody leaves before its end."""
    for document, model in together.of(JOURNEY):
        waits = [name for name, step in model.steps.items() if step.waits]
        if waits and not model.exit:
            what = (
                f"it waits at step {waits[0]!r} and has no exit rule: nobody leaves before its end"
            )
            yield _issue(document, what, "add 'exit', say for the event that it wants")


def _no_lane(together: Together) -> Iterator[Issue]:
    """A message on a channel for which there is no lane."""
    channels = {model.channel for _, model in together.of(LANE)}
    if not channels:
        return  # lanes are often applied on their own
    for document, model in together.of(JOURNEY):
        for use in KINDS[JOURNEY].uses(model):
            if use.kind == TEMPLATE and use.channel and use.channel not in channels:
                what = f"{use.where}: there is no lane for {use.channel}, so it ends as NO_ROUTE"
                yield _issue(document, what, f"define a lane with channel {use.channel}")


def _never_taken(together: Together) -> Iterator[Issue]:
    """A branch of a split that asks what one before it asks."""
    for document, model in together.of(JOURNEY):
        for name, step in model.steps.items():
            asked: list[Any] = [branch.when for branch in getattr(step, "split", ())]
            for number, condition in enumerate(asked):
                first = asked.index(condition)
                if first < number:
                    what = f"step {name!r}: split[{number}] is never taken"
                    yield _issue(document, what, f"it asks what split[{first}] asks")


def _issue(document: Document, what: str, hint: str) -> Issue:
    return Issue(document.where, what, hint, source=document.source)


LOOKS: Final[tuple[Look, ...]] = (_unused_templates, _no_way_out, _no_lane, _never_taken)
