"""Operators: what a trait or a property is compared with, shared by both kinds of condition.

Nothing is converted: the number 10 is not the text "10", and true is not 1. A value that is
missing, or that cannot be compared, fails every operator but the negative ones (`is_not`,
`not_in`, `exists: false`), which are the exact opposites of the positive ones.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, model_validator

from engine import limits
from engine.conditions.registry import ConditionModel
from engine.issues import kind_of, listed
from engine.schema import refusal

Test = Callable[[Any], bool]
_MISSING: Final = object()


def _scalar(value: Any) -> Any:
    if not isinstance(value, (str, int, float)):
        raise refusal(f"must be text, a number, true or false, not {kind_of(value)}")
    return value


def _orderable(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise refusal(f"must be a number or text, not {kind_of(value)}")
    return value


def _scalars(value: Any) -> Any:
    if not isinstance(value, list) or not value:
        found = "an empty list" if value == [] else kind_of(value)
        raise refusal(f"must be a list with at least one value, not {found}")
    return [_scalar(item) for item in value]


Scalar = Annotated[Any, BeforeValidator(_scalar)]
Orderable = Annotated[Any, BeforeValidator(_orderable)]
Scalars = Annotated[list[Any], BeforeValidator(_scalars)]


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
    starts_with: str = ""
    ends_with: str = ""
    exists: bool = True

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

    def test(self) -> Test:
        """One closure for all operators together: takes a value, or `MISSING`."""
        tests = [_OPERATORS[name](value) for name, value in self.operators().items()]
        if len(tests) == 1:
            return tests[0]
        return lambda value: all(test(value) for test in tests)

    def words(self) -> str:
        """The comparison as a person reads it."""
        parts = []
        for name, value in self.operators().items():
            if name == "exists":
                parts.append("exists" if value else "does not exist")
            else:
                parts.append(f"{name.replace('_', ' ')} {_shown(value)}")
        return f"{self.key} {self.path!r} {' and '.join(parts)}"


def resolver(path: str) -> Callable[[Mapping[str, Any]], Any]:
    """A closure that finds a dotted path in a map, or gives `MISSING`."""
    first, *rest = path.split(".")
    if not rest:
        return lambda values: values.get(first, _MISSING)

    def find(values: Mapping[str, Any]) -> Any:
        value = values.get(first, _MISSING)
        for part in rest:
            if value.__class__ is not dict:
                return _MISSING
            value = value.get(part, _MISSING)
        return value

    return find


def _equals(operand: Any) -> Test:
    if isinstance(operand, bool):
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
        kinds = (str,) if isinstance(operand, str) else (int, float)
        return lambda value: value.__class__ in kinds and compare(value, operand)

    return make


def _contains(operand: Any) -> Test:
    equals = _equals(operand)

    def test(value: Any) -> bool:
        if value.__class__ is str:
            return operand.__class__ is str and operand in value
        return value.__class__ is list and any(equals(item) for item in value)

    return test


def _starts_with(operand: str) -> Test:
    return lambda value: value.__class__ is str and value.startswith(operand)


def _ends_with(operand: str) -> Test:
    return lambda value: value.__class__ is str and value.endswith(operand)


def _exists(operand: bool) -> Test:
    return lambda value: (value is not _MISSING and value is not None) is operand


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
    "starts_with": _starts_with,
    "ends_with": _ends_with,
    "exists": _exists,
}
MISSING: Final = _MISSING


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(map(_shown, value[: limits.BRANCHES]))
    return repr(value) if isinstance(value, str) else str(value)
