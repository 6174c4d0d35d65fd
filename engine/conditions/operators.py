"""Operators: what a value is compared with, shared by all kinds of condition that compare one.

Nothing is converted: the number 10 is not the text "10", and true is not 1. A value that is
missing, or that cannot be compared, fails every operator but the negative ones (`is_not`,
`not_in`, `not_contains`, `exists: false`), which are the exact opposites of the positive ones.

Where one value stands, `{trait: other}` or `{property: other}` may stand: then two values of the
person or the event are compared. What follows the clock (`within_last` and its like) tells the
moment at which time changes it; see `dates`.

A path that goes through a list finds several values. Then one of them must pass all positive
operators, and none may fail a negative one.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Final

from pydantic import BeforeValidator, Field, model_validator

from engine import limits
from engine.conditions import dates
from engine.conditions.dates import FACT as ZONE
from engine.conditions.dates import Place
from engine.conditions.paths import MISSING, Many, resolver
from engine.conditions.registry import (
    NO_PROPERTIES,
    Check,
    Compiled,
    ConditionModel,
    Facts,
    Verdict,
)
from engine.durations import render, up_to
from engine.issues import kind_of, listed
from engine.schema import Strict, refusal

Test = Callable[[Any], bool]
Get = Callable[[Facts, Mapping[str, Any]], Any]
"""Finds a value in an entity and the properties of the event at hand, or gives `MISSING`."""
_Part = Callable[[Any, Facts, int, Mapping[str, Any]], Verdict]


class Reference(Strict):
    """Another value to compare with: of a trait, or of the event at hand."""

    noun: ClassVar[str] = "a reference to another value"
    trait: Annotated[str, Field(min_length=1, max_length=limits.NAME_CHARS)] = ""
    property: Annotated[str, Field(min_length=1, max_length=limits.NAME_CHARS)] = ""

    @model_validator(mode="after")
    def _names_one(self) -> "Reference":
        if bool(self.trait) == bool(self.property):
            raise refusal("names no other value", "write {trait: name} or {property: name}")
        return self

    def get(self) -> Get:
        """A closure that finds the value."""
        find = resolver(self.trait or self.property)
        if self.trait:
            return lambda entity, properties: find(entity.traits)
        return lambda entity, properties: find(properties)


def _or_reference(read: Callable[[Any], Any]) -> BeforeValidator:
    """A validator that takes a reference where it takes a value."""
    return BeforeValidator(
        lambda value: Reference.model_validate(value) if isinstance(value, dict) else read(value)
    )


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        raise refusal(f"must be text, not {kind_of(value)}")
    return value


def _scalar(value: Any) -> Any:
    if not isinstance(value, (str, int, float)):
        raise refusal(f"must be text, a number, true or false, not {kind_of(value)}")
    return value


def _is_orderable(value: Any) -> bool:
    return value.__class__ in (str, int, float)


def _orderable(value: Any) -> Any:
    if not _is_orderable(value):
        raise refusal(f"must be a number or text, not {kind_of(value)}")
    return value


def _scalars(value: Any) -> Any:
    if not isinstance(value, list) or not value:
        found = "an empty list" if value == [] else kind_of(value)
        raise refusal(f"must be a list with at least one value, not {found}")
    return [_scalar(item) for item in value]


Scalar = Annotated[Any, _or_reference(_scalar)]
Orderable = Annotated[Any, _or_reference(_orderable)]
Text = Annotated[Any, _or_reference(_text)]
Scalars = Annotated[list[Any], BeforeValidator(_scalars)]
Moment = Annotated[Any, _or_reference(dates.read)]
Span = Annotated[int, up_to(limits.SPAN_DAYS * 86_400_000)]


class Comparison(ConditionModel):
    """The operators as fields; several in one condition must all hold."""

    is_: Scalar = Field(None, alias="is")
    is_not: Scalar = None
    in_: Scalars = Field(default_factory=list, alias="in")
    not_in: Scalars = Field(default_factory=list)
    above: Orderable = None
    at_least: Orderable = None
    below: Orderable = None
    at_most: Orderable = None
    contains: Scalar = None
    contains_any: Scalars = Field(default_factory=list)
    not_contains: Scalar = None
    starts_with: Text = ""
    ends_with: Text = ""
    exists: bool = True
    before: Moment = ""
    after: Moment = ""
    within_last: Span = 0
    within_next: Span = 0
    more_than_ago: Span = 0
    more_than_ahead: Span = 0

    @model_validator(mode="after")
    def _has_operator(self) -> "Comparison":
        if not self.operators():
            hint = f"add one of {listed(_OPERATORS)}"
            raise refusal(f"the condition on {self.path!r} compares it with nothing", hint)
        return self

    @property
    def path(self) -> str:
        """The dotted path of the value."""
        path: str = getattr(self, self.key)
        return path

    def operators(self) -> dict[str, Any]:
        """The operators that were given, by the names under which they are written."""
        given = {name.rstrip("_"): getattr(self, name) for name in self.model_fields_set}
        return {name: given[name] for name in _OPERATORS if name in given}

    def test(self) -> Test | None:
        """The comparison as one closure over the value, if that is all that it reads."""
        given = self.operators()
        if _asks_more(given):
            return None
        plain = _together([_OPERATORS[name](operand) for name, operand in given.items()])
        return _of_any(plain, given) if "." in self.path else plain

    @property
    def is_of_now(self) -> bool:
        """Whether the clock, or another value, bears on it."""
        given = self.operators()
        return any(name in _PLACES or isinstance(given[name], Reference) for name in given)

    def references(self) -> list[Reference]:
        """The other values that it reads."""
        return [value for value in self.operators().values() if isinstance(value, Reference)]

    def compile_with(
        self, get: Get, traits: tuple[str, ...] = (), facts: tuple[str, ...] = ()
    ) -> Compiled:
        """Compiles to one look-up and one comparison for each operator.

        Args:
            get: Finds the value.
            traits: The top-level traits that `get` reads.
            facts: What else it reads; see `Compiled.facts`.
        """
        others = self.references()
        tops = (other.trait.partition(".")[0] for other in others if other.trait)
        if not _MOMENTS.keys().isdisjoint(self.operators()):
            facts = (*facts, ZONE)
        return Compiled(
            self._check(get),
            self.words(),
            traits=tuple(dict.fromkeys((*traits, *tops))),
            facts=facts,
            reads_properties=self.key == "property" or any(other.property for other in others),
        )

    def _check(self, get: Get) -> Check:
        test = self.test()
        if test is not None:

            def check_value(
                entity: Facts, now_ms: int, properties: Mapping[str, Any] = NO_PROPERTIES
            ) -> Verdict:
                return test(get(entity, properties)), None

            return check_value
        given = self.operators()
        parts = [_part(name, operand) for name, operand in given.items()]
        either = [part for name, part in zip(given, parts, strict=True) if not _denies(name, given)]
        each = [part for name, part in zip(given, parts, strict=True) if _denies(name, given)]

        def check(
            entity: Facts, now_ms: int, properties: Mapping[str, Any] = NO_PROPERTIES
        ) -> Verdict:
            value = get(entity, properties)
            if value.__class__ is not Many:
                return dates.all_of(part(value, entity, now_ms, properties) for part in parts)
            found = [part(one, entity, now_ms, properties) for part in each for one in value]
            if either:
                found.append(
                    dates.any_of(
                        dates.all_of(part(one, entity, now_ms, properties) for part in either)
                        for one in value
                    )
                )
            return dates.all_of(found)

        return check

    def words(self) -> str:
        """The comparison as a person reads it."""
        parts = []
        for name, value in self.operators().items():
            if name == "exists":
                parts.append("exists" if value else "does not exist")
            else:
                shown = render(value) if name in _PLACES else _shown(value)
                parts.append(f"{name.replace('_', ' ')} {shown}")
        return f"{self.key} {self.path!r} {' and '.join(parts)}"


def _together(tests: list[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    return lambda value: all(test(value) for test in tests)


def _of_any(plain: Test, given: Mapping[str, Any]) -> Test:
    """The same for a path that may go through lists."""
    either = [
        _OPERATORS[name](operand) for name, operand in given.items() if not _denies(name, given)
    ]
    each = [_OPERATORS[name](operand) for name, operand in given.items() if _denies(name, given)]

    def test(value: Any) -> bool:
        if value.__class__ is not Many:
            return plain(value)
        if not all(one(item) for one in each for item in value):
            return False
        return not either or any(all(one(item) for one in either) for item in value)

    return test


def _denies(name: str, given: Mapping[str, Any]) -> bool:
    """Whether an operator is the opposite of another one, so that it must hold for each of many."""
    return name in _NEGATIVE or (name == "exists" and given[name] is False)


def _asks_more(given: Mapping[str, Any]) -> bool:
    """Whether operators ask for more than the value itself: another value, the time or the zone."""
    return any(name in _MOMENTS or isinstance(given[name], Reference) for name in given)


def _part(name: str, operand: Any) -> _Part:
    """One operator of a comparison that asks for more than the value itself."""
    if name in _PLACES:
        place = _PLACES[name](operand)

        def in_time(
            value: Any, entity: Facts, now_ms: int, properties: Mapping[str, Any]
        ) -> Verdict:
            at_ms = dates.moment_of(value, entity)
            return (False, None) if at_ms is None else place(at_ms, now_ms)

        return in_time
    if name in _MOMENTS:
        return _compared_in_time(_MOMENTS[name], operand)
    make = _OPERATORS[name]
    if not isinstance(operand, Reference):
        test = make(operand)
        return lambda value, entity, now_ms, properties: (test(value), None)
    other, reads = operand.get(), _READS.get(name, _is_value)
    otherwise = name in _NEGATIVE

    def against(value: Any, entity: Facts, now_ms: int, properties: Mapping[str, Any]) -> Verdict:
        found = other(entity, properties)
        return (make(found)(value) if reads(found) else otherwise), None

    return against


def _compared_in_time(place: Callable[[int], Place], operand: Any) -> _Part:
    """`before` or `after`: another moment, of a definition or of the person or the event."""
    limit = dates.literal(operand) if not isinstance(operand, Reference) else None
    other = operand.get() if isinstance(operand, Reference) else None

    def against(value: Any, entity: Facts, now_ms: int, properties: Mapping[str, Any]) -> Verdict:
        at_ms = dates.moment_of(value, entity)
        if other is not None:
            limit_ms = dates.moment_of(other(entity, properties), entity)
        else:
            limit_ms = limit(entity) if limit is not None else None
        if at_ms is None or limit_ms is None:
            return False, None
        return place(limit_ms)(at_ms, now_ms)

    return against


def _is_value(value: Any) -> bool:
    return value is not MISSING and value is not None


def _equals(operand: Any) -> Test:
    if operand is True or operand is False:
        return lambda value: value is operand
    return lambda value: value == operand and value.__class__ is not bool


def _is_in(operand: list[Any]) -> Test:
    tests = [_equals(item) for item in operand]
    if all(isinstance(item, str) for item in operand):
        texts = frozenset(operand)
        return lambda value: value.__class__ is str and value in texts
    return lambda value: any(test(value) for test in tests)


def _negated(make: Callable[[Any], Test]) -> Callable[[Any], Test]:
    def make_negated(operand: Any) -> Test:
        test = make(operand)
        return lambda value: not test(value)

    return make_negated


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any], Test]:
    def make(operand: Any) -> Test:
        kinds = (str,) if operand.__class__ is str else (int, float)
        return lambda value: value.__class__ in kinds and compare(value, operand)

    return make


def _contains(operand: Any) -> Test:
    equals = _equals(operand)

    def test(value: Any) -> bool:
        if value.__class__ is str:
            return operand.__class__ is str and operand in value
        return value.__class__ is list and any(equals(item) for item in value)

    return test


def _contains_any(operand: list[Any]) -> Test:
    tests = [_contains(item) for item in operand]
    return lambda value: any(test(value) for test in tests)


def _starts_with(operand: str) -> Test:
    return lambda value: value.__class__ is str and value.startswith(operand)


def _ends_with(operand: str) -> Test:
    return lambda value: value.__class__ is str and value.endswith(operand)


def _exists(operand: bool) -> Test:
    return lambda value: (value is not MISSING and value is not None) is operand


def _not_a_test(operand: Any) -> Test:
    raise AssertionError("it asks for more than the value")


_PLACES: Final[dict[str, Callable[[int], Place]]] = {
    "within_last": dates.within_last,
    "within_next": dates.within_next,
    "more_than_ago": dates.more_than_ago,
    "more_than_ahead": dates.more_than_ahead,
}
_MOMENTS: Final[dict[str, Callable[[int], Place]]] = {
    "before": dates.before,
    "after": dates.after,
    **_PLACES,
}
_OPERATORS: Final[dict[str, Callable[[Any], Test]]] = {
    "is": _equals,
    "is_not": _negated(_equals),
    "in": _is_in,
    "not_in": _negated(_is_in),
    "above": _ordered(lambda value, operand: value > operand),
    "at_least": _ordered(lambda value, operand: value >= operand),
    "below": _ordered(lambda value, operand: value < operand),
    "at_most": _ordered(lambda value, operand: value <= operand),
    "contains": _contains,
    "contains_any": _contains_any,
    "not_contains": _negated(_contains),
    "starts_with": _starts_with,
    "ends_with": _ends_with,
    "exists": _exists,
    **dict.fromkeys(_MOMENTS, _not_a_test),
}
_NEGATIVE: Final = ("is_not", "not_in", "not_contains")
# What another value must be for an operator to be asked at all.
_READS: Final[dict[str, Test]] = {
    **dict.fromkeys(("above", "at_least", "below", "at_most"), _is_orderable),
    **dict.fromkeys(("starts_with", "ends_with"), lambda value: value.__class__ is str),
}


def _shown(value: Any) -> str:
    if isinstance(value, Reference):
        return f"trait {value.trait!r}" if value.trait else f"property {value.property!r}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(map(_shown, value[: limits.BRANCHES]))
    return repr(value) if isinstance(value, str) else str(value)
