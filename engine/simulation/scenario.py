"""A scenario file: definitions, what happens, and what must then be so.

It is YAML in the form of docs/scenarios.md. Reading it finds everything that is wrong with it at
once, each with its file and line; nothing is run before all of it is good.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, ClassVar, Final

import yaml
from pydantic import Field, ValidationError, WithJsonSchema, field_validator

from engine import definitions, documents
from engine.issues import DefinitionError, Issue, did_you_mean, listed
from engine.json_schema import marked
from engine.messages.message import CHANNELS, EMAIL, SMS
from engine.schema import Strict, issues_of, refusal
from engine.simulation.expectations import Then
from engine.simulation.happenings import HappeningField
from engine.simulation.moments import START, MomentField
from engine.simulation.sender import HOLD, SEND, outcome_of

Values = dict[str, Any]
Written = Annotated[Values, WithJsonSchema(marked("Definition"))]
Read = Callable[[str], str]
_LANES: Final = [
    {"lane": f"simulated-{channel}", "channel": channel, "carrier": "sandbox",
     **({"prefixes": ["+"]} if channel == SMS else {})}
    for channel in CHANNELS
]  # fmt: skip


class TableField(Strict):
    """A table and its rows."""

    noun: ClassVar[str] = "a table with rows"
    key: str
    rows: list[Values]


class Scenario(Strict):
    """One scenario: what happens, and what must then be so."""

    noun: ClassVar[str] = "a scenario"
    name: str
    when: list[HappeningField] = Field(default_factory=list)
    then: list[Then] = Field(min_length=1)


class ScenarioFile(Strict):
    """A file of scenarios that share their definitions.

    Attributes:
        about: A sentence about what they show.
        row: The row of a table of capabilities that they stand for.
        start: When each begins.
        definitions: Definitions as maps, or paths of definition files beside this one.
        templates: Templates whose text does not matter: name to channel.
        tables: Rows of tables: name to a key column and rows.
        sender: What the sender does: `send`, `hold` or an outcome; for all messages, or a map of
            templates and channels.
        scenarios: The scenarios.
    """

    noun: ClassVar[str] = "a scenario file"
    about: str = ""
    row: str = ""
    start: MomentField = START
    definitions: list[Written | str] = Field(default_factory=list)
    templates: dict[str, str] = Field(default_factory=dict)
    tables: dict[str, TableField] = Field(default_factory=dict)
    sender: str | dict[str, str] = SEND
    scenarios: list[Scenario] = Field(min_length=1)

    @field_validator("templates")
    @classmethod
    def _channels(cls, templates: dict[str, str]) -> dict[str, str]:
        for channel in templates.values():
            if channel not in CHANNELS:
                hint = did_you_mean(channel, CHANNELS) or f"there are {listed(CHANNELS)}"
                raise refusal(f"there is no channel {channel!r}", hint)
        return templates

    @field_validator("sender")
    @classmethod
    def _can(cls, sender: str | dict[str, str]) -> str | dict[str, str]:
        for does in sender.values() if isinstance(sender, dict) else (sender,):
            if does not in (SEND, HOLD) and outcome_of(does) is None:
                raise refusal(f"a sender cannot {does!r}", "say send, hold or an outcome")
        return sender

    @field_validator("start")
    @classmethod
    def _absolute(cls, start: Any) -> Any:
        if not start.absolute:
            raise refusal(f"{start.text!r} is not a time", f"write it like {START.text}")
        return start


class Loaded:
    """A scenario file that was read.

    Attributes:
        source: Its name, for places.
        file: What it holds.
        documents: Its definitions, those of the files that it names included.
    """

    def __init__(self, source: str, text: str, file: ScenarioFile, found: list[Values]) -> None:
        self.source = source
        self.file = file
        self.documents = found
        self._lines = Lines(text)

    def place(self, *path: str | int) -> str:
        """Where something stands, as `cart.yaml:12`."""
        return f"{self.source}:{self._lines.of(path)}"


def load(text: str, source: str, read: Read | None = None) -> Loaded:
    """Reads a scenario file.

    Args:
        text: Its text.
        source: Its name, for errors.
        read: Gives the text of a definition file by its path as it is written in the scenario
            file; raises OSError. Left out: there are none.

    Raises:
        DefinitionError: With everything that is wrong.
    """
    found = documents.read(text, source)
    if len(found) != 1:
        what = f"a scenario file is one document, not {len(found)}"
        raise DefinitionError([Issue(source, what, source=source)])
    try:
        file = ScenarioFile.model_validate(found[0][0])
    except ValidationError as error:
        raise DefinitionError(_placed(error, text, source)) from None
    loaded = Loaded(source, text, file, [])
    issues = [*_twice(loaded), *_backwards(loaded)]
    try:
        loaded.documents.extend(_documents(loaded, read))
    except DefinitionError as error:
        issues.extend(error.issues)
    if issues:
        raise DefinitionError(issues)
    return loaded


def _documents(loaded: Loaded, read: Read | None) -> Iterator[Values]:
    """The definitions of a file, with the lanes and templates that it may leave out."""
    made: list[Values] = []
    for number, item in enumerate(loaded.file.definitions):
        if isinstance(item, dict):
            made.append(item)
            continue
        place = loaded.place("definitions", number)
        try:
            if read is None:
                raise FileNotFoundError(2, "files cannot be read here")
            text = read(item)
        except OSError as error:
            raise DefinitionError(
                [Issue(place, f"{item}: {error.strerror}", source=place)]
            ) from None
        made += [document.body or {} for document in definitions.parse(text, item)]
    channels = {item["channel"] for item in made if "lane" in item and "channel" in item}
    yield from (lane for lane in _LANES if lane["channel"] not in channels)
    for name, channel in loaded.file.templates.items():
        subject = {"subject": name} if channel == EMAIL else {}
        yield {"template": name, "channel": channel, "body": name, **subject}
    yield from made


def _twice(loaded: Loaded) -> Iterator[Issue]:
    names: set[str] = set()
    for number, scenario in enumerate(loaded.file.scenarios):
        if scenario.name in names:
            place = loaded.place("scenarios", number)
            yield Issue(place, f"a second scenario {scenario.name!r}", "name it otherwise")
        names.add(scenario.name)


def _backwards(loaded: Loaded) -> Iterator[Issue]:
    """What happens is written in the order of time."""
    start_ms = loaded.file.start.ms
    for number, scenario in enumerate(loaded.file.scenarios):
        before = start_ms
        for index, item in enumerate(scenario.when):
            at_ms = item.at.at(start_ms)
            if at_ms < before:
                place = loaded.place("scenarios", number, "when", index)
                what = f"{scenario.name!r}: when[{index}] is at {item.at.text}, before what stands"
                yield Issue(place, f"{what} above it", "write it in the order of time")
            before = max(before, at_ms)


def _placed(error: ValidationError, text: str, source: str) -> Iterator[Issue]:
    details, lines = error.errors(include_url=False), Lines(text)
    for issue, one in zip(issues_of(error, source), details, strict=True):
        path = [part for part in one["loc"] if part != "[key]"]
        place = f"{source}:{lines.of(path)}"
        yield Issue(place, issue.what, issue.hint, issue.field, place)


class Lines:
    """Where the parts of a YAML text stand; it is looked into only if somebody asks."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._root: Any = None

    def of(self, path: Sequence[str | int]) -> int:
        """The line of the deepest part of a path that the text has."""
        if self._root is None:
            loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
            self._root = yaml.compose(self._text, Loader=loader)
        node, line = self._root, 1
        for part in path:
            mark = None
            if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
                node = node.value[part] if part < len(node.value) else None
                mark = node and node.start_mark
            elif isinstance(node, yaml.MappingNode):
                for key, item in node.value:
                    if key.value == part:
                        node, mark = item, key.start_mark
            if mark is None:
                break
            line = mark.line + 1
        return line
