"""What a condition is, and the one list of its kinds.

A compiled condition answers two things at once: is it true now, and when is the first moment at
which time alone may change that. The second is what makes polling needless: a segment sets a timer
for that moment and is never true a second too long. It also names what it reads, so that an event
wakes only the conditions that it can touch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Protocol, TypeVar

from pydantic import PlainValidator

from engine import limits
from engine.issues import did_you_mean, kind_of, listed, shortened
from engine.schema import Strict, refusal

if TYPE_CHECKING:
    from engine.conditions.held import Held
    from engine.conditions.windows import Window

Verdict = tuple[bool, int | None]


class Facts(Protocol):
    """What conditions read of an entity; see `engine.entity.Entity`."""

    id: str
    kind: str
    traits: dict[str, Any]
    windows: dict[str, list[Any]]
    segments: dict[str, int]
    state: dict[str, Any]


NO_PROPERTIES: Final[Mapping[str, Any]] = MappingProxyType({})


class Check(Protocol):
    """A compiled condition's closure; see `Compiled.check`."""

    def __call__(
        self, entity: Facts, now_ms: int, properties: Mapping[str, Any] = NO_PROPERTIES
    ) -> Verdict:
        """True now, and when time alone may change that."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A condition, ready to be asked.

    Attributes:
        check: `(entity, now_ms, properties)` to `(true now?, next_ms)`: the first moment at which
            time alone may change the answer, or None if it never does.
        words: The condition as a person reads it in a trail.
        traits: Top-level traits that it reads.
        windows: Times of events that it counts.
        held: Comparisons of traits of which it reads how long they have held.
        segments: Segments whose membership it reads.
        facts: What else it reads, by the names under which `profile.facts_changed` tells of it:
            `id`, `context`, `consent:email/news`.
        reads_properties: Whether `check` looks into the properties of an event.
    """

    check: Check
    words: str
    traits: tuple[str, ...] = ()
    windows: "tuple[Window, ...]" = ()
    held: "tuple[Held, ...]" = ()
    segments: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    reads_properties: bool = False

    def __post_init__(self) -> None:
        words = shortened(self.words, limits.WORDS_CHARS)
        object.__setattr__(self, "words", words)


class ConditionModel(Strict):
    """The base of every kind of condition.

    Attributes:
        key: The field that tells this kind from the others.
    """

    key: ClassVar[str]

    @property
    def depth(self) -> int:
        """How deep conditions stand in it; 1 for one that holds no other."""
        return 1

    def compile(self) -> Compiled:
        """Compiles the condition."""
        raise NotImplementedError

    def written(self) -> Any:
        """The condition as plain values, only what was given."""
        return _plain(self)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, Strict):
        return value
    fields = type(value).model_fields
    given = (name for name in fields if name in value.model_fields_set)
    return {fields[name].alias or name: _plain(getattr(value, name)) for name in given}


_Model = TypeVar("_Model", bound=type[ConditionModel])
_kinds: dict[str, type[ConditionModel]] = {}


def register(model: _Model) -> _Model:
    """Adds a kind of condition."""
    _kinds[model.key] = model
    return model


def read(value: Any) -> ConditionModel:
    """A condition from plain values; a list means all of them.

    Raises:
        PydanticCustomError: Nothing tells its kind.
        ValidationError: It is not a good condition of its kind.
    """
    if isinstance(value, list):
        if not value:
            raise refusal("must not be an empty list of conditions")
        value = {"all": value}
    if not isinstance(value, dict):
        raise refusal(f"must be a condition written as a map, not {kind_of(value)}")
    kinds = [key for key in _kinds if key in value]
    if not kinds:
        hint = next(filter(None, (did_you_mean(key, _kinds) for key in value)), "")
        raise refusal(f"is not a condition: it has none of {listed(sorted(_kinds))}", hint)
    if len(kinds) > 1:
        raise refusal(f"is two conditions at once: {' and '.join(kinds)}", "write them as a list")
    return _kinds[kinds[0]].model_validate(value)


Condition = Annotated[ConditionModel, PlainValidator(read)]


def compile_all(models: Sequence[ConditionModel]) -> Compiled | None:
    """Compiles conditions that must all hold; None if there are none."""
    if len(models) < 2:
        return models[0].compile() if models else None
    return _kinds["all"].model_construct(all=list(models)).compile()
