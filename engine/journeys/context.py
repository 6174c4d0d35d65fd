"""What an instance knows of the events that moved it: their properties, as values and as text."""

from typing import TYPE_CHECKING, Any

from msgspec import MsgspecError

from engine import limits
from engine.packing import unpack

if TYPE_CHECKING:
    from engine.activation import Activation
    from engine.journeys.instance import Instance


def map_in(raw: bytes) -> dict[str, Any] | None:
    """The map that msgpack bytes hold; None if they hold none or cannot be read."""
    try:
        value = unpack(raw)
    except (MsgspecError, ValueError):
        return None
    return value if value.__class__ is dict else None


def properties_of(raw: bytes) -> dict[str, Any]:
    """The properties that an instance keeps as bytes; unreadable bytes hold none.

    The door refuses unreadable properties, so this only bounds the harm of what was journaled
    before it did: a message with a gap, not a person in quarantine.
    """
    return (map_in(raw) or {}) if raw else {}


def events_of(instance: "Instance") -> dict[str, dict[str, Any]]:
    """The properties of the events that were given a name, by that name: a template's `events`."""
    return {alias: properties_of(raw) for alias, raw in instance.aliases.items()}


def template_context(
    act: "Activation", instance: "Instance", newest: dict[str, Any]
) -> dict[str, Any]:
    """What a template of a run sees; `newest` is what its newest event holds."""
    entity = act.entity
    first = instance.first
    return {
        "profile": entity.traits,
        "event": newest,
        "first": newest if first is instance.newest else properties_of(first),
        "events": events_of(instance) if instance.aliases else {},
        "user_id": entity.id,
        "journey": instance.journey,
        "key": instance.key,
    }


def text_of(value: Any) -> str:
    """A value as a key: text as it is, a number in its shortest form, everything else empty.

    So a cart that one client calls 12, a second 12.0 and a third "12" is one cart.
    """
    kind = value.__class__
    if kind is str:
        text: str = value
    elif kind is int:
        text = str(value)
    elif kind is float:
        text = str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    else:
        return ""
    return text if len(text) <= limits.ID_CHARS else ""
