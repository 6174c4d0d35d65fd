"""How providers name the templates that they have approved, and what is no such name.

Outside of the 24 hours after somebody wrote, WhatsApp takes nothing but approved templates. Its
Cloud API knows one by name and language, Twilio by the id of its Content API. A typing error in
either is told when the definition is applied: else the carrier would refuse every single message.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from engine import limits
from engine.schema import refusal

_NAME: Final = re.compile(r"[a-z0-9_]+")
_NO_NAME: Final = re.compile(r"[^a-z0-9]+")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(_[A-Z]{2,3})?")
_LOCALE: Final = re.compile(r"([A-Za-z]{2,3})[-_]([A-Za-z]{2,3})")
_CONTENT_SID: Final = re.compile(r"HX[0-9a-fA-F]{32}")
_VARIABLE: Final = re.compile(r"[a-z_][a-z0-9_]*")
_TEMPLATED: Final = re.compile(r"\{[{%]")


def _is_name(value: str) -> str:
    if _NAME.fullmatch(value):
        return value
    if _CONTENT_SID.fullmatch(value):
        raise refusal(f"{value!r} is an id of Twilio's", "write it as 'content_sid'")
    raise refusal(
        f"{value!r} is no name of an approved template: they have a-z, 0-9 and _",
        _meant(_NO_NAME.sub("_", value.lower()).strip("_")),
    )


def _is_language(value: str) -> str:
    if _TEMPLATED.search(value) or _LANGUAGE.fullmatch(value):
        return value
    locale = _LOCALE.fullmatch(value)
    hint = _meant(f"{locale[1].lower()}_{locale[2].upper()}") if locale else ""
    what = f"{value!r} is no language of WhatsApp's"
    raise refusal(what, hint or "they are written like 'de' and 'en_US'")


def _is_content_sid(value: str) -> str:
    if not _CONTENT_SID.fullmatch(value):
        hint = "it is HX and 32 hexadecimal digits"
        raise refusal(f"{value!r} is no id of Twilio's Content API", hint)
    return value


def _is_variable(value: str) -> str:
    if not _VARIABLE.fullmatch(value):
        what = f"{value!r} is no name of a variable: they have a-z, 0-9 and _"
        raise refusal(what, _meant(_NO_NAME.sub("_", value.lower()).strip("_")))
    return value


def _are_variables(values: dict[str, str]) -> dict[str, str]:
    """Variables are numbered without a gap, or all of them have names."""
    numbers = sorted(int(name) for name in values if name.isdecimal())
    if not numbers:
        for name in values:
            _is_variable(name)
    elif len(numbers) < len(values):
        name = next(name for name in values if not name.isdecimal())
        raise refusal(f"{numbers[0]} is a number and {name!r} a name", "use one or the other")
    return values


def _without_gap(values: dict[str, str]) -> dict[str, str]:
    """Of a body, whose variables the Cloud API takes as a list."""
    if values and not are_named(values):
        for number in range(1, len(values) + 1):
            if str(number) not in values:
                raise refusal(f"{number} is missing: variables are numbered from 1, without a gap")
    return values


def _meant(name: str) -> str:
    return f"did you mean {name!r}?" if name else ""


def are_named(variables: Mapping[str, str]) -> bool:
    """Whether variables have names, `{{name}}`, and not numbers, `{{1}}`."""
    return any(not name.isdecimal() for name in variables)


_Value = Annotated[str, Field(min_length=1, max_length=limits.BODY_CHARS)]

Name = Annotated[str, Field(max_length=limits.APPROVED_NAME_CHARS), AfterValidator(_is_name)]
"""What WhatsApp knows a template by."""

Language = Annotated[str, Field(max_length=limits.NAME_CHARS), AfterValidator(_is_language)]
"""A language of a template, `en_US`; or one of our templates, that gives one."""

ContentSid = Annotated[str, AfterValidator(_is_content_sid)]
"""What Twilio's Content API knows a template by."""

Variable = Annotated[str, Field(max_length=limits.NAME_CHARS), AfterValidator(_is_variable)]
"""The name of a variable."""

ContentVariables = Annotated[
    dict[str, _Value],
    Field(max_length=limits.APPROVED_VARIABLES),
    AfterValidator(_are_variables),
]
"""Variables by their numbers or names, with what fills them."""

Variables = Annotated[ContentVariables, AfterValidator(_without_gap)]
"""The variables of a template's body."""

Index = Annotated[int, Field(ge=0, le=limits.APPROVED_BUTTONS - 1)]
"""The place of a button among all those of a template."""
