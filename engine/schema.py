"""The base of every model of a definition, and pydantic's errors turned into sentences.

Models are strict: text is not a number, and a field that nobody reads is a typing error, not an
extension. They exist at the border only; what runs per event is compiled from them.
"""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from engine import limits
from engine.issues import Issue, did_you_mean, kind_of, listed

Loc = tuple[int | str, ...]


def refusal(what: str, hint: str = "") -> PydanticCustomError:
    """An error with our own words, for validators to raise."""
    return PydanticCustomError("refusal", "{what}", {"what": what, "hint": hint})


class Strict(BaseModel):
    """A model without surprises: no unknown fields, no conversions, no changes afterwards.

    Attributes:
        noun: What a person calls it, with its article.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=False)
    noun: ClassVar[str] = "a map"

    @model_validator(mode="before")
    @classmethod
    def _only_known_fields(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise refusal(f"must be {cls.noun} written as a map, not {kind_of(value)}")
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for name in value:
            if name not in known:
                hint = did_you_mean(name, known) or f"its fields are {listed(known)}"
                raise refusal(f"{name!r} is not a field of {cls.noun}", hint)
        return value


def _event_name(value: Any) -> str:
    if not isinstance(value, str):
        raise refusal(f"must be the name of an event, not {kind_of(value)}")
    if not value.strip():
        raise refusal("is empty; write the name of an event")
    if len(value) > limits.NAME_CHARS:
        raise refusal(f"is longer than {limits.NAME_CHARS} characters")
    if any(ord(character) < 32 for character in value):
        raise refusal(f"{value!r} holds a control character, which no event's name does")
    return value


EventName = Annotated[str, BeforeValidator(_event_name)]


def path_under(*roots: str) -> BeforeValidator:
    """A validator of dotted paths that begin with one of some roots, as `properties.cart_id`."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or not value:
            raise refusal(f"must be a path like '{roots[0]}.name', not {kind_of(value)}")
        root, dot, rest = value.partition(".")
        if root not in roots or not dot:
            hint = f"did you mean '{roots[0]}.{value if not dot else rest or 'name'}'?"
            raise refusal(f"{value!r} does not begin with {listed(f'{r!r}' for r in roots)}", hint)
        if not all(rest.split(".")) or len(value) > limits.NAME_CHARS:
            raise refusal(f"{value!r} is not a path", f"write it like '{root}.name'")
        return value

    return BeforeValidator(read)


PropertyPath = Annotated[str, path_under("properties")]


def issues_of(error: ValidationError, where: str) -> Iterator[Issue]:
    """A pydantic error as issues, one for each thing that is wrong."""
    for details in error.errors(include_url=False):
        what, hint = _sentence(details)
        loc = tuple(part for part in details["loc"] if part != "[key]")
        spoken = _spoken(loc[:-1] if details["type"] == "missing" else loc)
        yield Issue(where, f"{spoken}: {what}" if spoken else what, hint, _field(loc))


def _sentence(details: ErrorDetails) -> tuple[str, str]:
    type_, value = details["type"], details["input"]
    context = details.get("ctx", {})
    if type_ == "refusal":
        return context["what"], context["hint"]
    if type_ == "value_error":
        what, _, hint = str(context["error"]).partition("; ")
        return what, hint
    if type_ == "missing":
        return f"{details['loc'][-1]!r} is missing", ""
    if type_ == "literal_error":
        choices = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        choices = [choice.lower() if choice == "True" else choice for choice in choices]
        return f"must be {listed(choices)}, not {kind_of(value)}", did_you_mean(value, choices)
    words = _WORDS.get(type_)
    if words is not None:
        return f"must be {words}, not {kind_of(value)}", ""
    if type_ in ("too_long", "string_too_long"):
        return f"is too long: at most {context['max_length']} are allowed", ""
    if type_ in ("too_short", "string_too_short"):
        least = context["min_length"]
        return "must not be empty" if least == 1 else f"is too short: at least {least}", ""
    if type_ in ("less_than_equal", "greater_than_equal"):
        sense = "at most" if type_.startswith("less") else "at least"
        return f"must be {sense} {next(iter(context.values()))}, not {value}", ""
    return details["msg"], ""


_WORDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a map",
}


def _spoken(loc: Loc) -> str:
    """A location as a person says it: `step 'wait': on[0].where[1]`."""
    if len(loc) >= 2 and loc[0] == "steps":
        rest = _field(loc[2:])
        return f"step {loc[1]!r}: {rest}" if rest else f"step {loc[1]!r}"
    return _field(loc)


def _field(loc: Loc) -> str:
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text
