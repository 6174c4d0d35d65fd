"""Values that steps write: as they stand in the definition, or `{from: properties.price}`.

`traits` is the profile at that moment, `properties` the newest event that moved the run, `first`
the one that began it, `events.NAME` one that a branch of a hold kept under that name.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from pydantic import Field, PlainValidator, model_validator

from engine import limits
from engine.conditions.paths import resolver
from engine.journeys.instance import Instance
from engine.journeys.steps.branches import kept_event
from engine.journeys.steps.registry import FIRST
from engine.schema import Strict, path_under, refusal

if TYPE_CHECKING:
    from engine.activation import Activation

EVENTS: Final = "events"
_TRAITS: Final = "."  # no event can be called that
_ROOTS: Final = {"traits": _TRAITS, "properties": "", "first": FIRST}
_NOTHING: Final = resolver("x")({})  # what a path leads to that leads nowhere


class FromModel(Strict):
    """A value that is found when the step is reached."""

    noun: ClassVar[str] = "a value from elsewhere"
    from_: Annotated[str, path_under("traits", "properties", "first", "events")] = Field(
        alias="from"
    )

    @property
    def event(self) -> str:
        """The name of the kept event that it is found in, or empty."""
        root, _, rest = self.from_.partition(".")
        return rest.partition(".")[0] if root == EVENTS else ""

    @model_validator(mode="after")
    def _names_a_property(self) -> "FromModel":
        if self.event and self.from_.count(".") < 2:
            raise refusal(f"{self.from_!r} is a whole event", "write it like events.payment.total")
        return self


def _read(value: Any) -> Any:
    if isinstance(value, dict) and "from" in value:
        return FromModel.model_validate(value)
    return value


Value = Annotated[Any, PlainValidator(_read, json_schema_input_type=Any)]
Name = Annotated[str, Field(min_length=1, max_length=limits.NAME_CHARS)]
Values = Annotated[dict[Name, Value], Field(max_length=limits.PROPERTY_KEYS)]


def events_read(field: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The kept events that values are found in, each with the field that names it."""
    for name, value in values.items():
        if isinstance(value, FromModel) and value.event:
            yield value.event, f"{field}.{name}"


class Writer:
    """Compiled values; see the module's text."""

    __slots__ = ("_finds", "_fixed", "paths")

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._fixed: dict[str, Any] = {}
        self._finds: list[tuple[str, str, Callable[[Mapping[str, Any]], Any]]] = []
        self.paths: dict[str, str] = {}
        for name, value in values.items():
            if isinstance(value, FromModel):
                root, _, path = value.from_.partition(".")
                if value.event:
                    root, path = value.event, path.partition(".")[2]
                else:
                    root = _ROOTS[root]
                self._finds.append((name, root, resolver(path)))
                self.paths[name] = value.from_
            else:
                self._fixed[name] = value

    def write(self, act: "Activation", instance: Instance) -> tuple[dict[str, Any], list[str]]:
        """The values, and the names of those whose path leads nowhere."""
        found = dict(self._fixed)
        missing = []
        for name, root, find in self._finds:
            if root == _TRAITS:
                value = find(act.entity.traits)
            else:
                value = find(act.properties_of(kept_event(instance, root)))
            if value is _NOTHING or value is None:
                missing.append(name)
            else:
                found[name] = value
        return found, missing
