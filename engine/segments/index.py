"""Who reads what: so that an event wakes only the conditions that it can touch.

Made once for a version of the definitions. Every list of segments stands in one order, each
segment after those that it reads, so that a pass from first to last settles all.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engine import zones
from engine.conditions import Compiled
from engine.conditions.context import FACT as CONTEXT
from engine.conditions.dates import FACT as ZONE
from engine.conditions.held import Held
from engine.conditions.who import FACT as ID
from engine.conditions.windows import Take, Window, taker
from engine.segments.definition import Segment

Segments = tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class KeptWindow:
    """A window that is kept, as long as whoever looks furthest back needs it.

    Attributes:
        window: What it holds.
        take: Takes an event into it.
        segments: The segments that count it.
    """

    window: Window
    take: Take
    segments: Segments


@dataclass(frozen=True, slots=True)
class SegmentIndex:
    """Segments of one version of the definitions, by what they read; see the module's text.

    Attributes:
        in_order: All by name, each after those that it reads.
        windows: All windows by their names.
        by_event: The windows that take an event.
        by_trait: The segments that read a top-level trait.
        by_segment: Those that read the membership of a segment.
        by_fact: Those that read another fact; see `Compiled.facts`.
        held: Comparisons of which it is kept since when they hold, by name.
        held_by_trait: The same by the top-level trait that they read.
        keeps_context: Whether something reads the context of events.
        of_the_unknown: The segments to ask for somebody of whom nothing is known: all others are
            false of them, and nothing but an event changes that.
    """

    in_order: Mapping[str, Segment] = field(default_factory=dict)
    windows: Mapping[str, Window] = field(default_factory=dict)
    by_event: Mapping[str, tuple[KeptWindow, ...]] = field(default_factory=dict)
    by_trait: Mapping[str, Segments] = field(default_factory=dict)
    by_segment: Mapping[str, Segments] = field(default_factory=dict)
    by_fact: Mapping[str, Segments] = field(default_factory=dict)
    held: Mapping[str, Held] = field(default_factory=dict)
    held_by_trait: Mapping[str, tuple[Held, ...]] = field(default_factory=dict)
    keeps_context: bool = False
    of_the_unknown: Segments = ()
    _place: Mapping[str, int] = field(default_factory=dict)

    def sorted(self, segments: Iterable[Segment]) -> list[Segment]:
        """Segments in their order, each once."""
        place = self._place
        return sorted(dict.fromkeys(segments), key=lambda segment: place[segment.name])


def index_of(segments: Mapping[str, Segment], others: Iterable[Compiled]) -> SegmentIndex:
    """The index of segments.

    Args:
        segments: All segments.
        others: What else is asked of people (by journeys): it is kept for them too.
    """
    in_order = _in_order(segments)
    asked = [*(segment.reads for segment in in_order.values()), *others]
    windows = _windows(asked)
    readers = _by(in_order, lambda reads: [window.name for window in reads.windows])
    by_event: dict[str, tuple[KeptWindow, ...]] = {}
    for name, window in windows.items():
        kept = KeptWindow(window, taker(window), readers.get(name, ()))
        by_event[window.event] = (*by_event.get(window.event, ()), kept)
    held = {one.name: one for reads in asked for one in reads.held}
    held = {name: held[name] for name in sorted(held)}
    held_by_trait: dict[str, tuple[Held, ...]] = {}
    for one in held.values():
        held_by_trait[one.trait] = (*held_by_trait.get(one.trait, ()), one)
    return SegmentIndex(
        in_order=in_order,
        windows=windows,
        by_event=by_event,
        by_trait=_by(in_order, _traits_of),
        by_segment=_by(in_order, lambda reads: reads.segments),
        by_fact=_by(in_order, lambda reads: reads.facts),
        held=held,
        held_by_trait=held_by_trait,
        keeps_context=any(CONTEXT in reads.facts or ZONE in reads.facts for reads in asked),
        of_the_unknown=_of_the_unknown(in_order),
        _place={name: place for place, name in enumerate(in_order)},
    )


def _traits_of(reads: Compiled) -> tuple[str, ...]:
    """The top-level traits that a condition reads; by one of them a person's clock goes."""
    return (*reads.traits, zones.TRAIT) if ZONE in reads.facts else reads.traits


def _in_order(segments: Mapping[str, Segment]) -> dict[str, Segment]:
    """Segments by name, but each after those that it reads; without recursion."""
    ordered: dict[str, Segment] = {}
    for first in sorted(segments):
        path = [first]
        while path:
            name = path[-1]
            ahead = [
                other
                for other in segments[name].reads.segments
                if other in segments and other not in ordered and other not in path
            ]
            if ahead and name not in ordered:
                path.append(ahead[0])
                continue
            ordered.setdefault(name, segments[name])
            path.pop()
    return ordered


def _by(
    segments: Mapping[str, Segment], names_of: Callable[[Compiled], Iterable[str]]
) -> dict[str, Segments]:
    """Segments by something that they read."""
    index: dict[str, list[Segment]] = {}
    for segment in segments.values():
        for name in dict.fromkeys(names_of(segment.reads)):
            index.setdefault(name, []).append(segment)
    return {name: tuple(found) for name, found in index.items()}


def _windows(asked: Iterable[Compiled]) -> dict[str, Window]:
    """Every window that something reads, as long as the furthest look back."""
    found: dict[str, Window] = {}
    for reads in asked:
        for window in reads.windows:
            known = found.get(window.name, window)
            horizon_ms = max(known.horizon_ms, window.horizon_ms)
            if not (known.horizon_ms and window.horizon_ms):
                horizon_ms = 0
            found[window.name] = replace(window, horizon_ms=horizon_ms)
    return {name: found[name] for name in sorted(found)}


class _Nobody:
    """An entity of which nothing is known."""

    id = ""
    kind = ""

    def __init__(self) -> None:
        self.traits: dict[str, Any] = {}
        self.windows: dict[str, list[Any]] = {}
        self.segments: dict[str, int] = {}
        self.state: dict[str, Any] = {}


def _of_the_unknown(in_order: Mapping[str, Segment]) -> Segments:
    nobody = _Nobody()
    found: dict[str, Segment] = {}
    for name, segment in in_order.items():
        reads = segment.reads
        if ID in reads.facts or reads.held or any(other in found for other in reads.segments):
            found[name] = segment
            continue
        try:
            is_false = segment.evaluate(nobody, 0) == (False, None)
        except Exception:  # a bug in a condition is told of where it meets a person
            is_false = False
        if not is_false:
            found[name] = segment
    return tuple(found.values())
