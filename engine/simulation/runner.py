"""Runs scenarios, and says of each failure what was expected, what was found, what led to it."""

from dataclasses import dataclass, field
from typing import Any

from pydantic_core import PydanticCustomError

from engine.issues import DefinitionError
from engine.simulation import story
from engine.simulation.expectations import Finding, Then
from engine.simulation.scenario import Loaded, Scenario
from engine.simulation.world import SimulationError, World


@dataclass(slots=True)
class Failure:
    """One thing that was not as a scenario expected.

    Attributes:
        place: The file and line of the item.
        item: The item in words: `then[0] (at 2h, user ann)`.
        what: What was looked at.
        expected: What was expected.
        found: What was found.
        hint: What may be meant, or empty.
        trail: The person's record up to then.
    """

    place: str
    item: str
    what: str
    expected: Any = None
    found: Any = None
    hint: str = ""
    trail: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.place}: {self.item}: {self.what}"]
        if self.expected is not None:
            lines += [f"  expected  {_shown(self.expected)}", f"  found     {_shown(self.found)}"]
        if self.hint:
            lines.append(f"  {self.hint}")
        if self.trail:
            lines += ["  the record up to then:", *(f"    {line}" for line in self.trail)]
        return "\n".join(lines)


@dataclass(slots=True)
class Result:
    """How one scenario went.

    Attributes:
        name: The scenario.
        failures: What was not as expected; none if it passed.
        world: The world as it was left, or None if its definitions were refused.
        loaded: Its file.
        number: Which of the file's scenarios it is.
    """

    name: str
    failures: list[Failure]
    world: World | None
    loaded: Loaded
    number: int

    @property
    def place(self) -> str:
        """The scenario's file and line."""
        return self.loaded.place("scenarios", self.number)

    @property
    def passed(self) -> bool:
        """Whether all was as expected."""
        return not self.failures


def run_file(loaded: Loaded, restarts: bool = False) -> list[Result]:
    """Runs all scenarios of a file, each in a world of its own."""
    return [run(loaded, number, restarts) for number in range(len(loaded.file.scenarios))]


def run(loaded: Loaded, number: int, restarts: bool = False) -> Result:
    """Runs one scenario.

    Args:
        loaded: Its file.
        number: Which of the file's scenarios.
        restarts: Whether the world restarts before everything that happens; nothing may change.
    """
    return _Run(loaded, number, restarts).result()


class _Run:
    """One scenario at work."""

    def __init__(self, loaded: Loaded, number: int, restarts: bool) -> None:
        self._loaded = loaded
        self._number = number
        self._restarts = restarts
        self._scenario: Scenario = loaded.file.scenarios[number]
        self._failures: list[Failure] = []
        self._world = World(loaded.file.start.ms)
        self._quarantined: set[str] = set()

    def result(self) -> Result:
        """Runs it."""
        world: World | None = self._world
        try:
            self._begin()
            self._play()
        except DefinitionError as error:
            world = None
            at = self._loaded.place("definitions")
            self._failures += [Failure(at, "definitions", str(issue)) for issue in error.issues]
        except SimulationError as error:
            at = self._loaded.place("definitions")
            self._failures.append(Failure(at, "definitions", str(error)))
        return Result(self._scenario.name, self._failures, world, self._loaded, self._number)

    def _begin(self) -> None:
        sender = self._loaded.file.sender
        if isinstance(sender, dict):
            self._world.sender.does_with.update(sender)
        else:
            self._world.sender.does = sender
        tables = [
            document
            for name, table in self._loaded.file.tables.items()
            for document in self._world.tables.load(name, table.key, table.rows)
        ]
        self._world.define([*tables, *self._loaded.documents])

    def _play(self) -> None:
        start_ms = self._world.start_ms
        thens = sorted(enumerate(self._scenario.then), key=lambda item: item[1].at.at(start_ms))
        when = list(enumerate(self._scenario.when))
        for index, then in thens:
            until_ms = then.at.at(start_ms)
            while when and when[0][1].at.at(start_ms) <= until_ms:
                if not self._happen(*when.pop(0)):
                    return
            self._world.turn_to(until_ms)
            for finding in then.findings(self._world):
                self._miss("then", index, then, finding)
            self._look_for_bugs(index, then)
        for index, happening in when:
            if not self._happen(index, happening):
                return

    def _happen(self, index: int, happening: Any) -> bool:
        """Lets something happen; False if it could not, and the rest makes no sense."""
        world = self._world
        hint, goes_on = "", True
        try:
            world.turn_to(happening.at.at(world.start_ms))
            if self._restarts:
                world.restart()
            wrong = happening.play(world)
        except PydanticCustomError as error:
            context = error.context or {}
            wrong, hint, goes_on = context["what"], context["hint"], False
        except SimulationError as error:
            wrong, goes_on = str(error), False
        if wrong:
            self._miss("when", index, happening, Finding(wrong, None, None, hint))
        return goes_on

    def _look_for_bugs(self, index: int, then: Then) -> None:
        for entity in self._world.entities():
            if entity.error and entity.key not in self._quarantined:
                self._quarantined.add(entity.key)
                if not any("quarantine" in words for words in then.trail or ()):
                    finding = Finding(f"{entity.key} met a bug: {entity.error}", None, None)
                    self._miss("then", index, then, finding)

    def _miss(self, part: str, index: int, item: Any, finding: Finding) -> None:
        world = self._world
        who = f", user {item.user}" if item.user else ""
        who += f", anonymous {item.anonymous}" if item.anonymous else ""
        trail = []
        if (item.user or item.anonymous) and not any(failure.trail for failure in self._failures):
            trail = story.words_of(world.person(item.user, item.anonymous), world.start_ms)
        self._failures.append(
            Failure(
                self._loaded.place("scenarios", self._number, part, index),
                f"{part}[{index}] (at {item.at.text}{who})",
                finding.what, finding.expected, finding.found, finding.hint, trail,
            )
        )  # fmt: skip


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)
