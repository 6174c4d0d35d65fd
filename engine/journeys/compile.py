"""A journey made quick: everything that an event asks of it is one look-up by the event's name."""

from engine.conditions import Compiled
from engine.journeys.again import compile_again
from engine.journeys.entries import BROADCAST, SCHEDULE, Entry
from engine.journeys.entries import KINDS as ENTRY_KINDS
from engine.journeys.exits import Exits
from engine.journeys.model import LIVE, JourneyModel
from engine.journeys.publish import Publish
from engine.journeys.steps import Step


class Journey:
    """One version of a journey, compiled. It holds no state.

    Attributes:
        name: Its name.
        version: The catalog version at which it was defined.
        status: draft, live, paused or archived: what the newest version says holds for all.
        entries: How a run begins: entries by kind, and by the event's or segment's name.
        tasks: Those entries that are schedules or broadcasts, in their order.
        again: How often a person may enter; None for always.
        at_once: How many instances of it a person may have at a time.
        exits: Its exit rules.
        lingers: Whether a run goes on until its messages have left, since a rule may end it.
        publish: What becomes of the runs of older versions.
        priority: How much its messages count, if not all can be sent.
        watches: Whether an exit rule or a step waits for a condition.
        first: The step at which a run starts.
        steps: Steps by name.
        listens: The events that it may react to, as keys.
        listens_segments: The segments that it may react to, as keys.
        conditions: Everything it asks, so that the program knows what to keep for it.
    """

    __slots__ = (
        "again", "at_once", "conditions", "entries", "exits", "first", "lingers", "listens",
        "listens_segments", "name", "priority", "publish", "status", "steps", "tasks", "version",
        "watches",
    )  # fmt: skip

    def __init__(self, model: JourneyModel, version: int) -> None:
        self.name = model.journey
        self.version = version
        self.status = model.status
        self.again = compile_again(model.again)
        self.at_once = model.at_once
        self.priority = model.priority
        self.publish = Publish(model.publish, model.steps)
        entries = [entry.compile() for entry in model.entry]
        self.entries: dict[str, dict[str, tuple[Entry, ...]]] = {kind: {} for kind in ENTRY_KINDS}
        for entry in entries:
            named = self.entries[entry.kind]
            named[entry.name] = (*named.get(entry.name, ()), entry)
        self.tasks = tuple(entry for entry in entries if entry.kind in (SCHEDULE, BROADCAST))
        key_path = key_path_of(entries)
        self.exits = Exits(model.exit, key_path)
        self.lingers = bool(model.exit)
        self.first = next(iter(model.steps))
        self.steps: dict[str, Step] = {
            name: step.compile(name, key_path) for name, step in model.steps.items()
        }
        steps = self.steps.values()
        self.watches = bool(self.exits.by_condition) or any(step.watches for step in steps)
        events = [*self.entries["event"], *self.exits.by_event]
        self.listens = dict.fromkeys(
            [*events, *(event for step in steps for event in step.listens)]
        )
        segments = [*self.entries["segment"], *(name for name, _ in self.exits.by_segment)]
        self.listens_segments = dict.fromkeys(
            [*segments, *(name for step in steps for name in step.listens_segments)]
        )
        self.conditions: tuple[Compiled, ...] = (
            *(entry.where for entry in entries if entry.where is not None),
            *self.exits.conditions,
            *(condition for step in steps for condition in step.conditions),
        )

    @property
    def begins(self) -> bool:
        """Whether it takes people in."""
        return self.status == LIVE


def key_path_of(entries: list[Entry]) -> str:
    """The path of the key, if all entries that have one have the same; else empty."""
    paths = {entry.key_path for entry in entries if entry.key_path}
    return paths.pop() if len(paths) == 1 else ""


def compile_journey(model: JourneyModel, version: int) -> Journey:
    """The journey of a document. The document has been checked: every name leads to a step."""
    return Journey(model, version)
