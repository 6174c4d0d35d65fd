"""What a program knows of all its journeys, so that each thing that happens is one look-up."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from engine.journeys.compile import Journey
from engine.journeys.entries import EVENT, SEGMENT
from engine.journeys.model import ARCHIVED, PAUSED

Pin = tuple[str, int]


@dataclass(frozen=True, slots=True)
class JourneyIndex:
    """See the module's text.

    Attributes:
        newest: The newest version of each journey that is defined now, whatever its status.
        versions: All kept versions of each journey, oldest first.
        events: Events that some version reacts to, each with the journeys that it may begin.
        segments: The same for segments.
        watches: Whether any version has an exit rule, or a step, that waits for a condition.
        tasks: The journeys that a schedule or a broadcast begins, by name.
        paused: The journeys in which nobody moves, by name.
        archived: The journeys that have no runs any more, by name.
        ranked: Whether any version counts for more than another.
    """

    newest: Mapping[str, Journey] = field(default_factory=dict)
    versions: Mapping[str, tuple[Journey, ...]] = field(default_factory=dict)
    events: Mapping[str, tuple[Journey, ...]] = field(default_factory=dict)
    segments: Mapping[str, tuple[Journey, ...]] = field(default_factory=dict)
    watches: bool = False
    tasks: tuple[str, ...] = ()
    paused: frozenset[str] = frozenset()
    archived: frozenset[str] = frozenset()
    ranked: bool = False


def make_index(journeys: Mapping[Pin, Journey], newest: Iterable[Pin]) -> JourneyIndex:
    """The index of all kept versions.

    Args:
        journeys: Every kept version, by name and version, in order.
        newest: Those that are defined now; a deleted journey has none.
    """
    now = dict(newest)
    versions: dict[str, tuple[Journey, ...]] = {}
    events: dict[str, tuple[Journey, ...]] = {}
    segments: dict[str, tuple[Journey, ...]] = {}
    for (name, version), journey in journeys.items():
        versions[name] = (*versions.get(name, ()), journey)
        for heard, listens in (
            (events, journey.listens),
            (segments, journey.listens_segments),
        ):
            for event in listens:
                heard.setdefault(event, ())
        if now.get(name) != version or not journey.begins:
            continue
        for event in journey.entries[EVENT]:
            events[event] = (*events[event], journey)
        for segment in journey.entries[SEGMENT]:
            segments[segment] = (*segments[segment], journey)
    found = {name: journeys[name, version] for name, version in now.items()}
    return JourneyIndex(
        newest=found,
        versions=versions,
        events={event: _by_rank(begun) for event, begun in events.items()},
        segments={segment: _by_rank(begun) for segment, begun in segments.items()},
        watches=any(journey.watches for journey in journeys.values()),
        tasks=tuple(name for name, journey in found.items() if journey.tasks),
        paused=frozenset(name for name, journey in found.items() if journey.status == PAUSED),
        archived=frozenset(name for name, journey in found.items() if journey.status == ARCHIVED),
        ranked=any(journey.priority for journey in journeys.values()),
    )


def _by_rank(journeys: tuple[Journey, ...]) -> tuple[Journey, ...]:
    """Journeys that begin by one event, the one that counts most first."""
    return tuple(sorted(journeys, key=lambda journey: -journey.priority))
