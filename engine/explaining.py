"""Why somebody is or is not in a journey: its conditions, each with its truth for a person.

It reads and decides nothing: the words and the truth of a condition are those of its compiled form,
so what is said here is what the engine does.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.conditions import Compiled, ConditionModel
from engine.conditions.dates import FACT as ZONE
from engine.conditions.registry import NO_PROPERTIES, Facts

_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Truth:
    """A condition and its truth.

    Attributes:
        depth: How deep it stands in others.
        words: The condition.
        holds: Whether it holds; None if that cannot be told.
        why: What it was compared with, or why it cannot be told.
        changes_ms: When time alone may change it, or None.
    """

    depth: int
    words: str
    holds: bool | None
    why: str
    changes_ms: int | None = None


def truths(
    conditions: Iterable[ConditionModel],
    person: Facts,
    now_ms: int,
    event: Mapping[str, Any] | None = None,
    whole: bool = True,
) -> Iterator[Truth]:
    """Conditions and their parts, each with its truth.

    Args:
        conditions: The conditions.
        person: Whom they are about.
        now_ms: The moment.
        event: The properties of the event that they look at, or None if there is none.
        whole: Whether all that conditions may read of the person is known; if not, only traits
            and segments are.
    """
    for condition in conditions:
        yield from _truths(condition, person, now_ms, event, whole, 0)


def _truths(
    condition: ConditionModel,
    person: Facts,
    now_ms: int,
    event: Mapping[str, Any] | None,
    whole: bool,
    depth: int,
) -> Iterator[Truth]:
    compiled = condition.compile()
    unknown = _unknown(compiled, event, whole)
    if unknown:
        yield Truth(depth, compiled.words, None, unknown)
    else:
        properties = NO_PROPERTIES if event is None else event
        holds, changes_ms = compiled.check(person, now_ms, properties)
        yield Truth(depth, compiled.words, holds, "", changes_ms)
    parts: list[ConditionModel] = getattr(condition, "parts", [])
    for part in parts:
        yield from _truths(part, person, now_ms, event, whole, depth + 1)
    if not parts and not unknown:
        yield from _facts(compiled, person, event, depth + 1)


def _unknown(compiled: Compiled, event: Mapping[str, Any] | None, whole: bool) -> str:
    """Why the truth of a condition cannot be told, or an empty text."""
    if compiled.reads_properties and event is None:
        return "it depends on the event"
    if not whole and (compiled.windows or compiled.held or {*compiled.facts} - {ZONE}):
        return "it reads what only the store's journal tells"
    return ""


def _facts(
    compiled: Compiled, person: Facts, event: Mapping[str, Any] | None, depth: int
) -> Iterator[Truth]:
    """What a condition was compared with."""
    for trait in compiled.traits:
        found = person.traits.get(trait)
        words = (
            f"trait {trait!r} is not set"
            if found is None
            else f"trait {trait!r} is {_short(found)}"
        )
        yield Truth(depth, "", None, words)
    if compiled.reads_properties and event is not None:
        yield Truth(depth, "", None, f"the event has {_short(dict(event))}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
