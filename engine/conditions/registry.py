"""What a condition is, and the one list of its kinds.

A compiled condition answers two things at once: is it true now, and when is the first moment at
which time alone may change that. The second is what makes polling needless: a segment sets a timer
for that moment and is never true a second too long. It also names what it reads, so that an event
wakes only the conditions that it can touch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final, Protocol, TypeVar

from pydantic import PlainValidator

from engine.issues import did_you_mean, kind_of, listed
from engine.schema import Strict, refusal

Verdict = tuple[bool, int | None]


class Facts(Protocol):
    """What conditions read of an entity."""

    traits: dict[str, Any]
    windows: dict[str, list[int]]
    segments: dict[str, int]


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
        windows: `(event name, horizon_ms)` that it counts; horizon 0 is for ever.
        segments: Segments whose membership it reads.
        reads_properties: Whether `check` looks into the properties of an event.
    """

    check: Check
    words: str
    traits: tuple[str, ...] = ()
    windows: tuple[tuple[str, int], ...] = ()
    segments: tuple[str, ...] = ()
    reads_properties: bool = False


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
