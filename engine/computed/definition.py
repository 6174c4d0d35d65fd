"""`{trait: orders_90d, compute: {count: {event: Order Completed, within: 90d}}}`: its definition.

A computed trait is written like what it answers: which function of which event, perhaps filtered,
over which span. Its name is the trait's.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from json import dumps
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, Field, model_validator
from xxhash import xxh3_64_hexdigest

from engine import limits
from engine.computed.functions import FUNCTIONS, Function, Items, MostFrequent
from engine.computed.spans import Session, Span, Window
from engine.conditions.event_count import EventFilters, Within, reads_only_the_event
from engine.conditions.paths import MISSING, resolver
from engine.conditions.registry import compile_all
from engine.issues import listed
from engine.messages.message import ADDRESS_TRAITS
from engine.names import DefinitionName
from engine.schema import EventName, Strict, refusal

if TYPE_CHECKING:
    from engine.activation import EventView
    from engine.conditions.registry import Facts

# What clients say of a person, by the Segment Spec and to this engine: never computed over.
_TAKEN: Final = frozenset(
    {
        *ADDRESS_TRAITS.values(), "address", "age", "avatar", "birthday", "company", "createdAt",
        "description", "email", "firstName", "gender", "group_id", "id", "lastName", "locale",
        "name", "phone", "timezone", "title", "username", "website",
    }
)  # fmt: skip


def _no_path(name: str) -> str:
    if "." in name:
        hint = f"write {name.replace('.', '_')!r}"
        raise refusal(f"{name!r} has a dot, by which conditions reach into maps", hint)
    if name in _TAKEN:
        raise refusal(f"{name!r} is a trait that clients set", "take another name")
    return name


def _no_root(path: str) -> str:
    root, _, rest = path.partition(".")
    if root == "properties":
        raise refusal(f"{path!r} begins with 'properties'", f"write {rest or 'its name'!r}")
    if not all(path.split(".")):
        raise refusal(f"{path!r} is not the path of a property", "write it like cart.total")
    return path


Property = Annotated[
    str, Field(min_length=1, max_length=limits.NAME_CHARS), AfterValidator(_no_root)
]


class OfEvents(Strict):
    """What every function has: which events, and over which span."""

    noun: ClassVar[str] = "what a trait is computed from"
    event: EventName
    where: EventFilters = Field(default_factory=list)
    within: Within | None = None
    session: Within | None = None

    @model_validator(mode="after")
    def _one_span(self) -> "OfEvents":
        reads_only_the_event(self.where)
        if self.within is not None and self.session is not None:
            raise refusal("'within' stands beside 'session'", "keep one of them")
        return self

    def function(self, name: str) -> Function:
        """What is computed."""
        return FUNCTIONS[name]()


class OfProperty(OfEvents):
    """What a function of a property has."""

    property: Property


class OfFrequency(OfProperty):
    """What the most frequent value has."""

    at_least: Annotated[int, Field(ge=1, le=limits.COMPUTED_EVENTS)] = 2

    def function(self, name: str) -> Function:
        """What is computed."""
        return MostFrequent(self.at_least)


class Compute(Strict):
    """What is computed: exactly one of these."""

    noun: ClassVar[str] = "what is computed"
    count: OfEvents | None = None
    sum: OfProperty | None = None
    average: OfProperty | None = None
    min: OfProperty | None = None
    max: OfProperty | None = None
    first: OfProperty | None = None
    last: OfProperty | None = None
    most_frequent: OfFrequency | None = None
    unique_list: OfProperty | None = None
    unique_count: OfProperty | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "Compute":
        given = [name for name in FUNCTIONS if getattr(self, name) is not None]
        if not given:
            raise refusal("computes nothing", f"write one of {listed(FUNCTIONS)}")
        if len(given) > 1:
            raise refusal(f"is {' and '.join(given)} at once", "make a trait of each")
        return self

    @property
    def only(self) -> tuple[str, OfEvents]:
        """The function's name, and what it is computed from."""
        ((name, of),) = (
            (name, getattr(self, name)) for name in FUNCTIONS if getattr(self, name) is not None
        )
        return name, of


class TraitModel(Strict):
    """A computed trait as it is written."""

    noun: ClassVar[str] = "a computed trait"
    trait: Annotated[DefinitionName, AfterValidator(_no_path)]
    compute: Compute


class ComputedTrait:
    """A compiled computed trait.

    Attributes:
        name: The trait's name.
        event: The event that it reads.
        span: Over which events it is computed, and what.
        mark: A hash of what it keeps. What was kept under another mark is of no use to it.
        since: The version of the definitions since which it counts.
    """

    __slots__ = ("_find", "_where", "event", "kept", "mark", "name", "since", "span")

    def __init__(self, name: str, event: str, span: Span, mark: str) -> None:
        self.name = name
        self.event = event
        self.span = span
        self.mark = self.kept = mark
        self.since = 0
        self._where: Callable[[Facts, EventView], bool] | None = None
        self._find: Callable[[Mapping[str, Any]], Any] | None = None

    def read(self, entity: "Facts", event: "EventView") -> Items:
        """What an event gives it: nothing, if the filters do not let it pass."""
        if self._where is not None and not self._where(entity, event):
            return (), False
        value = None if self._find is None else self._find(event.properties)
        return self.span.function.items(value)

    def set_filter(self, where: Sequence[Any]) -> None:
        """Sets the conditions on the event's properties that an event must meet."""
        found = compile_all(where)
        if found is not None:
            check = found.check
            self._where = lambda entity, event: check(entity, event.timestamp_ms, event.properties)[
                0
            ]

    def set_property(self, path: str) -> None:
        """Sets the property that is read."""
        find = resolver(path)
        self._find = lambda values: None if (found := find(values)) is MISSING else found


def compile_trait(model: TraitModel) -> ComputedTrait:
    """The compiled form of a definition."""
    name, of = model.compute.only
    function = of.function(name)
    span = Span(function)
    if of.within is not None:
        span = Window(function, of.within)
    elif of.session is not None:
        span = Session(function, of.session)
    path = of.property if isinstance(of, OfProperty) else ""
    kept = {
        "function": name,
        "event": of.event,
        "where": [condition.written() for condition in of.where],
        "property": path,
        "window": of.within is not None,
        "session": of.session,
    }
    mark = xxh3_64_hexdigest(dumps(kept, sort_keys=True).encode())[:8]
    trait = ComputedTrait(model.trait, of.event, span, mark)
    trait.set_filter(of.where)
    if path:
        trait.set_property(path)
    return trait


def count_since(
    trait: ComputedTrait, before: ComputedTrait | None, bodies: Iterable[Any], version: int
) -> None:
    """Says since when a trait counts that a version of the definitions brings.

    What keeps the same as before goes on. What kept the same once, and then did not, begins anew:
    it gets a mark that no record can have, since somebody may still hold one from then.

    Args:
        trait: The trait.
        before: The trait of its name in the version before, if there was one.
        bodies: All that was defined under its name before, None where it was deleted.
        version: The version.
    """
    trait.since = version
    if before is not None and before.kept == trait.kept:
        trait.mark, trait.since = before.mark, before.since
    elif any(_kept_by(body) == trait.kept for body in bodies if body is not None):
        trait.mark = xxh3_64_hexdigest(f"{trait.kept} {version}".encode())[:8]


def _kept_by(body: Any) -> str:
    try:
        return compile_trait(TraitModel.model_validate(body)).kept
    except ValueError:  # of a release that took what this one does not
        return ""


def by_event(traits: Mapping[str, ComputedTrait]) -> dict[str, tuple[ComputedTrait, ...]]:
    """Computed traits by the event that they read, each list in the order of their names."""
    index: dict[str, tuple[ComputedTrait, ...]] = {}
    for trait in traits.values():
        index[trait.event] = (*index.get(trait.event, ()), trait)
    return index
