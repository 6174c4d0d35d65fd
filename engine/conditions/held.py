"""How long a comparison of a trait has held, for `{trait: plan, is: free, for: 30d}`.

Traits keep no history. So a profile keeps, for each comparison that some condition asks about, the
moment since which it has held without a break: from the moment on at which it was first asked.
Conditions that ask for different spans of the same comparison share it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from json import dumps
from typing import Any, Final

from xxhash import xxh3_64_hexdigest

from engine.conditions.registry import Facts

STATE: Final = "held"  # in `Entity.state`: comparison to since when (ms)


@dataclass(frozen=True, slots=True)
class Held:
    """A comparison of which it is kept since when it holds.

    Attributes:
        name: Its name in the state.
        trait: The top-level trait that it reads.
        holds: Whether it holds for a person.
    """

    name: str
    trait: str
    holds: Callable[[Facts], bool] = field(compare=False)

    def since_ms(self, entity: Facts) -> int | None:
        """Since when it holds, or None."""
        kept = entity.state.get(STATE)
        since_ms: int | None = kept.get(self.name) if kept else None
        return since_ms


def held_of(path: str, holds: Callable[[Facts], bool], written: Mapping[str, Any]) -> Held:
    """What to keep for a comparison; its name is a hash of what it compares."""
    same = {key: value for key, value in written.items() if key != "for"}
    name = xxh3_64_hexdigest(dumps(same, sort_keys=True).encode())
    return Held(name, path.partition(".")[0], holds)


def update(entity: Facts, comparisons: Iterable[Held], now_ms: int) -> None:
    """Notes which comparisons hold from now on, and which no longer do."""
    kept: dict[str, int] = entity.state.get(STATE) or {}
    for held in comparisons:
        if not held.holds(entity):
            kept.pop(held.name, None)
        elif held.name not in kept:
            kept[held.name] = now_ms
    _keep(entity, kept)


def refresh(entity: Facts, asked: Mapping[str, Held], now_ms: int) -> None:
    """Brings what is kept in line with what is asked now."""
    kept = entity.state.get(STATE)
    if kept:
        entity.state[STATE] = {name: since for name, since in kept.items() if name in asked}
    if asked or kept:
        update(entity, asked.values(), now_ms)


def _keep(entity: Facts, kept: dict[str, int]) -> None:
    if kept:
        entity.state[STATE] = kept
    else:
        entity.state.pop(STATE, None)
