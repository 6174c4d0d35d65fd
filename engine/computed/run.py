"""What events and time do to a person's computed traits."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.activation import Activation, EventView


def take_event(act: "Activation", event: "EventView", traits: Sequence[Any]) -> list[str]:
    """Takes an event into the traits that read it; gives the names of those that changed."""
    return []


def on_timer(act: "Activation", name: str) -> None:
    """Computes a trait again at the very moment at which time alone changes it."""


def refresh(act: "Activation") -> None:
    """Brings an entity's computed traits in line with the definitions of now."""
