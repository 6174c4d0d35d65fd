"""Which ids name a person, and which profiles may become one: `identity: profiles`.

Without a definition, events that name a user and a visitor merge these two, and `alias` merges what
it names. The rules for identifiers are those of Segment Unify where it has them: an id of zeros and
dashes, or one of the words that programs write when they know nobody, names nobody; a profile has
so many ids of a type; and of two known users who share an identifier none is merged, but the one
who came later does without it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field

from engine import limits
from engine.issues import Issue
from engine.names import DefinitionName
from engine.schema import Strict

IDENTITY: Final = "identity"

# Segment's blocked values, and what languages print for "nothing".
_BLOCKED: Final = re.compile(
    r"[0-]*|-1|null|nil|none|undefined|anonymous|unknown|guest|n/a|nan|\(null\)|true|false",
    re.IGNORECASE,
)


def _spelled_out(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


class IdentifierModel(Strict):
    """A type of identifier: the trait of this name, and `context.externalIds` of this type."""

    noun: ClassVar[str] = "an identifier"
    type: DefinitionName
    limit: Annotated[int, Field(ge=1, le=limits.IDENTIFIERS)] = 5


class IdentityModel(Strict):
    """The rules as they are written."""

    noun: ClassVar[str] = "an identity definition"
    identity: DefinitionName
    alias: Literal["any", "anonymous"] = "any"
    blocked: list[Annotated[str, Field(min_length=1, max_length=limits.ID_CHARS)]] = Field(
        default_factory=list, max_length=limits.BLOCKED_IDS
    )
    identifiers: list[Annotated[IdentifierModel, BeforeValidator(_spelled_out)]] = Field(
        default_factory=list, max_length=limits.IDENTIFIER_TYPES
    )


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules, compiled.

    Attributes:
        merges_users: Whether `alias` may merge two known users.
        types: Types of identifiers, those that count most first, each with how many one profile
            may have.
        blocked: Values that name nobody, in lower case, besides those that never do.
    """

    merges_users: bool = True
    types: dict[str, int] = field(default_factory=dict)
    blocked: frozenset[str] = frozenset()

    def is_blocked(self, id_: str) -> bool:
        """Whether an id is one that many share because it means nobody."""
        return _BLOCKED.fullmatch(id_) is not None or id_.lower() in self.blocked


RULES: Final = Rules()


def compile_rules(model: IdentityModel) -> Rules:
    """Compiles the rules."""
    return Rules(
        model.alias == "any",
        {one.type: one.limit for one in model.identifiers},
        frozenset(value.lower() for value in model.blocked),
    )


def rules_of(models: Any) -> Rules:
    """The rules of a workspace; `models` are those of its definitions by kind and name."""
    for (kind, _), model in models.items():
        if kind == IDENTITY:
            return compile_rules(model)
    return RULES


def check_rules(model: IdentityModel, program: Any, where: str) -> Iterator[Issue]:
    """What is wrong with the rules as the next version: a workspace has one set of them."""
    for kind, name in program.models:
        if kind == IDENTITY and name != model.identity:
            what = f"there are rules already, called {name!r}"
            yield Issue(where, what, "a workspace has one set of rules: change or delete that one")
    types = [one.type for one in model.identifiers]
    for type_ in sorted({type_ for type_ in types if types.count(type_) > 1}):
        yield Issue(where, f"identifier {type_!r} is listed twice", "keep one of them")
    for type_ in types:
        if type_ in ("user", "anonymous"):
            what = f"identifier {type_!r} is there by itself"
            yield Issue(where, what, "list what the spec does not name: email, phone, your own")
