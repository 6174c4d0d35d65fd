"""A JSON Schema of scenario files, for editors; see `engine.json_schema`."""

from typing import Any, Final

from pydantic.json_schema import JsonSchemaValue

from engine.json_schema import MOMENT, definition_models, schema_of
from engine.simulation.happenings import KINDS, Told
from engine.simulation.scenario import ScenarioFile
from engine.simulation.verbs import VERBS, Verb

_COMMON: Final[JsonSchemaValue] = {
    "at": MOMENT,
    "user": {"type": "string"},
    "anonymous": {"type": "string"},
    "answer": {"type": "string"},
}


def scenario_schema() -> dict[str, Any]:
    """The JSON Schema of a scenario file."""
    return schema_of(
        "Denrei: scenarios",
        [ScenarioFile],
        {
            "Happening": [model for model in KINDS.values() if model is not Told],
            "Definition": definition_models(),
        },
        {"Happening": [_verb(name, verb) for name, verb in VERBS.items()]},
    )


def _verb(name: str, verb: Verb) -> JsonSchemaValue:
    """A verb as something that happens; its own fields may be anything."""
    return {
        "type": "object",
        "properties": {**_COMMON, "command": {"const": name}, **{one: {} for one in verb.fields}},
        "required": ["at", "command", *verb.needed],
        "additionalProperties": False,
    }
