"""Resource names: from `users/ann/messages/0f…` to the entity's key and back.

An id is taken as it is, slashes included: a name's collection stands at its front and a child's
id, which holds no slash, at its end, so there is one way to read it.
"""

from typing import Final, NamedTuple

from engine import slots
from engine.slots import parse_key
from gateway.admission import check_id
from gateway.errors import invalid

USERS: Final = "users/"
_KIND_OF: Final = {
    USERS: slots.USER,
    "anonymousUsers/": slots.ANONYMOUS,
    "addresses/": slots.ADDRESS,
}
_COLLECTION_OF: Final = {kind: collection for collection, kind in _KIND_OF.items()}
DEFINITION_KINDS: Final = (
    "journey",
    "segment",
    "trait",
    "template",
    "lane",
    "route",
    "identity",
    "policy",
    "guard",
    "verification",
    "table",
    "rows",
)
_PLURALS: Final = {"identity": "identities", "policy": "policies", "rows": "rows"}
ANYONE: Final = "users/-"


class Child(NamedTuple):
    """What belongs to an entity: a message or an instance."""

    key: str
    id: str


def entity_key(workspace: str, name: str, field: str) -> str:
    """The key of `users/{id}`, `anonymousUsers/{id}` or `addresses/{id}`.

    Raises:
        StatusError: It is none of these.
        Refused: The id is too long or holds control characters.
    """
    collection, slash, id_ = name.partition("/")
    kind = _KIND_OF.get(collection + slash)
    if kind is None or not id_:
        forms = ", ".join(f"{known}{{id}}" for known in _KIND_OF)
        raise invalid(field, f"{name[:100]!r} is none of {forms}")
    check_id(id_, field)
    return f"{workspace}/{kind}/{id_}"


def entity_name(key: str) -> str:
    """The inverse of `entity_key`."""
    _, kind, id_ = parse_key(key)
    return f"{_COLLECTION_OF[kind]}{id_}"


def child(workspace: str, name: str, collection: str, field: str = "name") -> Child:
    """The parts of `{parent}/{collection}/{id}`.

    Raises:
        StatusError: The name is not of this form.
        Refused: The parent's id is too long or holds control characters.
    """
    parent, found, id_ = name.rpartition(f"/{collection}/")
    if not found or not id_ or "/" in id_:
        raise invalid(field, f"{name[:100]!r} is not of the form users/{{id}}/{collection}/{{id}}")
    return Child(entity_key(workspace, parent, field), id_)


def definition(name: str, field: str = "name") -> tuple[str, str]:
    """Kind and name of `journeys/{name}`, `segments/{name}`, `templates/{name}`, and so on.

    Raises:
        StatusError: It is none of these.
    """
    collection, _, rest = name.partition("/")
    kind = kind_in(collection)
    if not kind or not rest or "/" in rest:
        forms = ", ".join(f"{collection_of(known)}/{{name}}" for known in DEFINITION_KINDS)
        raise invalid(field, f"{name[:100]!r} is none of {forms}")
    return kind, rest


def collection_of(kind: str) -> str:
    """The collection that definitions of a kind are in: `journeys`."""
    return _PLURALS.get(kind, f"{kind}s")


def kind_in(collection: str) -> str:
    """The kind of the definitions in a collection, or empty if there is no such collection."""
    return next((kind for kind in DEFINITION_KINDS if collection_of(kind) == collection), "")


def reference(name: str, kind: str, field: str) -> str:
    """The bare name in an optional `{kind}s/{name}`; empty for an empty name.

    Raises:
        StatusError: It names something else.
    """
    if not name:
        return ""
    found, rest = definition(name, field)
    if found != kind:
        raise invalid(field, f"{name[:100]!r} is not of the form {collection_of(kind)}/{{name}}")
    return rest
