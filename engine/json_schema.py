"""A JSON Schema of definitions for editors, generated from the models.

Pydantic knows the fields; this adds what validators hide from it. Conditions, steps and the other
things that are told apart by a field are registries, so each becomes `anyOf` its registered kinds.
Durations become texts with a pattern. A validator that changes what it reads tells its form with
pydantic's `json_schema_input_type`, or stands in one of the tables below; of one that does neither,
nothing is said, since an editor that marks what is right is worse than one that is silent.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from pydantic.json_schema import DefsRef, GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from engine.conditions import registry as conditions
from engine.definition_kinds import KINDS
from engine.durations import UNITS_MS
from engine.journeys import entries, exits
from engine.journeys.steps import registry as steps
from engine.schema import Strict

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
DURATION: Final[JsonSchemaValue] = {
    "type": "string",
    "pattern": "^(?=\\s*[0-9])" + "".join(rf"( *[0-9]+ *{unit})?" for unit in UNITS_MS) + " *$",
    "description": "A duration, such as 90s, 15m, 2h, 1d, 2w or 1h30m.",
    "examples": ["15m", "2h", "1d"],
}
MOMENT: Final[JsonSchemaValue] = {
    "type": "string",
    "description": "An offset from the start, such as 0s or 1d2h, or a time: 2026-01-05T14:00:00Z.",
    "examples": ["0s", "2h"],
}
# A mark that stands for a definition of its own until all are made.
_MARK: Final = "denrei:kind"


def marked(name: str) -> JsonSchemaValue:
    """A place at which anything of a group may stand; see `schema_of`."""
    return {_MARK: name}


def _or_list(one: JsonSchemaValue) -> JsonSchemaValue:
    return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}


# What a validator reads in place of its model, by its module and name.
_READERS: Final[dict[tuple[str, str], Callable[[], JsonSchemaValue]]] = {
    ("engine.conditions.registry", "read"): lambda: _or_list(marked("Condition")),
    ("engine.journeys.steps.registry", "read"): lambda: marked("Step"),
    ("engine.journeys.entries", "read"): lambda: marked("Entry"),
    ("engine.journeys.entries", "read_all"): lambda: _or_list(marked("Entry")),
    ("engine.journeys.exits", "read"): lambda: marked("Exit"),
    ("engine.journeys.schedule", "read"): lambda: {"type": "string"},
    ("engine.journeys.again", "read"): lambda: {
        "anyOf": [
            {"enum": ["always", "once"]},
            _map({"after": DURATION}),
            _map({"at_most": {"type": "integer", "minimum": 1}, "per": DURATION}),
        ]
    },
    ("engine.journeys.publish", "read"): lambda: {
        "anyOf": [
            {"enum": ["drain", "stop", "migrate"]},
            {
                "type": "object",
                "properties": {
                    "migrate": {"type": "object", "additionalProperties": {"type": "string"}},
                    "else": {"enum": ["drain", "stop"]},
                },
                "required": ["migrate"],
                "additionalProperties": False,
            },
        ]
    },
    ("engine.simulation.happenings", "read"): lambda: marked("Happening"),
    ("engine.simulation.happenings", "_outcome"): lambda: {"type": "string"},
    ("engine.simulation.moments", "read"): lambda: MOMENT,
    ("engine.durations", "parse"): lambda: DURATION,
    ("engine.durations", "up_to.<locals>.read"): lambda: DURATION,
}
# What the text is in what a validator reads, of those that tell their form.
_TEXTS: Final = {("engine.journeys.steps.delay", "_read"): DURATION}
# Validators that only refuse some of what their model takes.
_NARROWS: Final = {
    ("engine.conditions.who", "_percent"),
    ("engine.journeys.steps.chance", "_percent"),
}
# Types of which a validator in front nearly always only refuses some values.
_PLAIN: Final = frozenset({"str", "dict", "model", "model-fields"})
_ITEMS: Final = frozenset({"_as_list"})  # readers that take one where a list may stand


def _map(properties: dict[str, JsonSchemaValue]) -> JsonSchemaValue:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


class _Generator(GenerateJsonSchema):
    """Pydantic's generator, with what validators read."""

    def function_plain_schema(
        self, schema: core_schema.PlainValidatorFunctionSchema
    ) -> JsonSchemaValue:
        """What a validator reads that stands for a whole value."""
        known = _READERS.get(_name_of(schema["function"]["function"]))
        if known is not None:
            return known()
        if "json_schema_input_schema" not in schema:
            return {}
        made = self.generate_inner(schema["json_schema_input_schema"])
        text = _TEXTS.get(_name_of(schema["function"]["function"]))
        if text is None:
            return made
        return {"anyOf": [text if one == {"type": "string"} else one for one in made["anyOf"]]}

    def function_before_schema(
        self, schema: core_schema.BeforeValidatorFunctionSchema
    ) -> JsonSchemaValue:
        """What a validator reads before the model does."""
        function = schema["function"]["function"]
        name = _name_of(function)
        known = _READERS.get(name)
        if known is not None:
            return known()
        if "json_schema_input_schema" in schema:
            return self.generate_inner(schema["json_schema_input_schema"])
        inner = schema["schema"]
        if name[1] in _ITEMS:
            made = self.generate_inner(inner)
            return {"anyOf": [made, made.get("items", {})]}
        if inner["type"] == "model" and not _is_of_model(name):  # it reads a short form, too
            return {"anyOf": [self.generate_inner(inner), {"not": {"type": "object"}}]}
        narrows = name in _NARROWS or inner["type"] in _PLAIN or _is_of_model(name)
        return self.generate_inner(inner) if narrows else {}

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """The inner schema; a default as a model holds it is not always what a person writes."""
        made = self.generate_inner(schema["schema"])
        default = schema.get("default")
        written = isinstance(default, (str, bool)) or (
            isinstance(default, int) and made.get("type") in ("integer", "number")
        )
        return {**made, "default": default} if written and "$ref" not in made else made


def _name_of(function: Any) -> tuple[str, str]:
    function = getattr(function, "__func__", function)
    return getattr(function, "__module__", ""), getattr(function, "__qualname__", "")


def _is_of_model(name: tuple[str, str]) -> bool:
    """Whether a validator is a method of a model, which sees the whole map."""
    return "." in name[1] and "<locals>" not in name[1]


def generate(kind: str = "") -> dict[str, Any]:
    """A JSON Schema of definitions.

    Args:
        kind: The kind of definition; left out, any of them.

    Raises:
        KeyError: There is no such kind.
    """
    if kind:
        return schema_of(f"Denrei: a {kind}", [KINDS[kind].model])
    return schema_of("Denrei: a definition", definition_models())


def definition_models() -> list[type[Strict]]:
    """The models of all kinds of definitions."""
    return [kind.model for kind in KINDS.values()]


def schema_of(
    title: str,
    models: Sequence[type[Strict]],
    groups: Mapping[str, Sequence[type[Strict]]] = MappingProxyType({}),
    more: Mapping[str, Sequence[JsonSchemaValue]] = MappingProxyType({}),
) -> dict[str, Any]:
    """A JSON Schema of a document.

    Args:
        title: What it is.
        models: What it may be.
        groups: Things told apart by a field, by the name that `marked` gives them, beside those of
            definitions.
        more: What else may stand for such a thing.
    """
    parts: dict[str, Sequence[type[Strict]]] = {
        "": models,
        "Condition": [*conditions._kinds.values()],
        "Step": [*steps._kinds.values()],
        "Entry": [*entries.KINDS.values()],
        "Exit": [*exits.KINDS.values()],
        **groups,
    }
    core = {
        f"{name} {number}": model.__pydantic_core_schema__
        for name, group in parts.items()
        for number, model in enumerate(group)
    }
    made, definitions = _Generator(by_alias=True).generate_definitions(
        [(name, "validation", one) for name, one in core.items()]
    )
    of = {name: schema for (name, _), schema in made.items()}
    found = {
        name: [*(of[f"{name} {number}"] for number in range(len(group))), *more.get(name, ())]
        for name, group in parts.items()
    }
    first, *others = found.pop("")
    root = {"anyOf": [first, *others]} if others else first
    whole = {**definitions, **{DefsRef(name): {"anyOf": one} for name, one in found.items()}}
    return _needed(_tidy({"$schema": DIALECT, "title": title, **root, "$defs": whole}))


def _tidy(value: Any, named: bool = False) -> Any:
    """The schema with marks made references, without the titles that pydantic makes up.

    Args:
        value: A part of it.
        named: Whether the keys are names of fields or definitions.
    """
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    if not named and _MARK in value:
        return {"$ref": f"#/$defs/{value[_MARK]}"}
    return {
        name: _first_words(item)
        if name == "description" and not named
        else _tidy(item, _names(name))
        for name, item in value.items()
        if named or name != "title" or str(item).startswith("Denrei")
    }


def _names(name: str) -> bool:
    return name in ("properties", "$defs")


def _first_words(text: Any) -> Any:
    """A docstring without the part on attributes."""
    return text.partition("\n\nAttributes:")[0].strip() if isinstance(text, str) else text


def _needed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without definitions that nothing refers to."""
    definitions = schema["$defs"]
    root = {name: item for name, item in schema.items() if name != "$defs"}
    found: dict[str, None] = {}
    waiting = list(_references(root))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = None
            waiting += _references(definitions[name])
    return {**root, "$defs": {name: definitions[name] for name in sorted(found)}}


def _references(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"].removeprefix("#/$defs/")
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)
