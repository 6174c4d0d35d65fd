"""Names of definitions: they stand in URLs, in trails and in `then:`, so they stay plain."""

import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

from engine import limits
from engine.issues import kind_of
from engine.schema import refusal

_SHAPE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def read_name(value: Any) -> str:
    """A name, if it is one.

    Raises:
        PydanticCustomError: It is empty, too long, or has other characters than letters, digits,
            `-`, `_` and `.`.
    """
    if not isinstance(value, str):
        raise refusal(f"must be a name, not {kind_of(value)}", "put it in quotes")
    if len(value) > limits.NAME_CHARS:
        raise refusal(f"the name is longer than {limits.NAME_CHARS} characters")
    if not _SHAPE.fullmatch(value):
        raise refusal(f"{value!r} is not a name", "use letters, digits, '-', '_' and '.'")
    return value


DefinitionName = Annotated[str, BeforeValidator(read_name)]
