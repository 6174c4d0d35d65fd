"""A journey made quick: everything that an event asks of it is one look-up by the event's name."""

from collections.abc import Callable, Mapping
from typing import Any

from engine.conditions import Compiled, compile_all
from engine.conditions.operators import resolver
from engine.journeys.matching import EventMatch, by_event
from engine.journeys.model import EntryModel, JourneyModel
from engine.journeys.steps import Step


class Entry:
    """How a run begins.

    Attributes:
        event: The name of the event.
        where: The filters as one condition, or None.
        key: Finds the key in the event's properties; None if there is one run at a time.
        key_path: The key's path, for the trail.
        words: `event 'X'`, with its filters.
    """

    __slots__ = ("event", "key", "key_path", "where", "words")

    def __init__(self, model: EntryModel) -> None:
        self.event = model.event
        self.where = compile_all(model.where)
        self.key_path = model.key or ""
        path = self.key_path.partition(".")[2]
        self.key: Callable[[Mapping[str, Any]], Any] | None = resolver(path) if path else None
        self.words = f"event {model.event!r}"
        if self.where is not None:
            self.words += f" where {self.where.words}"


class Journey:
    """One version of a journey, compiled. It holds no state.

    Attributes:
        name: Its name.
        version: The catalog version at which it was defined.
        entry: How a run begins.
        exits: Exit rules by event.
        first: The step at which a run starts.
        steps: Steps by name.
        listens: The events that it may react to, as keys.
        conditions: Everything it asks, so that the program knows what to keep for it.
    """

    __slots__ = ("conditions", "entry", "exits", "first", "listens", "name", "steps", "version")

    def __init__(self, model: JourneyModel, version: int) -> None:
        self.name = model.journey
        self.version = version
        self.entry = Entry(model.entry)
        rules = [EventMatch(rule, self.entry.key_path) for rule in model.exit]
        self.exits = by_event(rules, lambda rule: rule.event)
        self.first = next(iter(model.steps))
        self.steps: dict[str, Step] = {
            name: step.compile(name, self.entry.key_path) for name, step in model.steps.items()
        }
        events = [self.entry.event, *self.exits]
        events.extend(event for step in self.steps.values() for event in step.listens)
        self.listens = dict.fromkeys(events)
        filters = [self.entry.where, *(rule.where for rule in rules)]
        self.conditions: tuple[Compiled, ...] = (
            *(condition for condition in filters if condition is not None),
            *(condition for step in self.steps.values() for condition in step.conditions),
        )


def compile_journey(model: JourneyModel, version: int) -> Journey:
    """The journey of a document. The document has been checked: every name leads to a step."""
    return Journey(model, version)
