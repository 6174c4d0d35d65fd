"""Computed traits: what is counted, summed and remembered of a person's events, as traits."""

from engine.computed.run import on_timer, refresh, take_event, without_own

__all__ = ["on_timer", "refresh", "take_event", "without_own"]
