"""A computed trait is what the whole history says, at every moment at which anything changes.

Every function is defined on a real shard, over a random span and with random filters, and random
events happen to a person: late ones, repeated ones, ones with values of every kind. A clock visits
every second and the millisecond before each. At each visit every trait must have the value that a
reading of all events gives which knows nothing of windows, timers or totals; a segment that reads
one must be true exactly then.

A second test gives the same events to several people who then become one: what the one has in the
end must be what a single person would have had.
"""

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given, note, settings
from hypothesis import strategies as st

from engine import commands, definitions
from engine.packing import pack
from engine.program import EMPTY
from engine.shard import Shard
from engine.simulation.world import World

START_MS = 1_767_225_600_000
SECONDS = 14
USER = "w/user/ann"

# --- Traits and histories -----------------------------------------------------------------------

FUNCTIONS = (
    "count", "sum", "average", "min", "max", "first", "last", "most_frequent", "unique_list",
    "unique_count",
)  # fmt: skip
SPANS = st.one_of(
    st.just({}),
    st.integers(1, 6).map(lambda seconds: {"within": f"{seconds}s"}),
    st.integers(1, 4).map(lambda seconds: {"session": f"{seconds}s"}),
)
WHERE = st.sampled_from(
    ({}, {}, {"where": {"property": "q", "is": 1}}, {"where": [{"property": "p", "exists": True}]})
)


def _computes(event: str, span: Any, where: Any, least: int | None) -> dict[str, Any]:
    """Every function of the same events: each reads the same history in its own way."""
    computes = {}
    for function in FUNCTIONS:
        of = {"event": event, **span, **where}
        if function != "count":
            of["property"] = "p"
        if function == "most_frequent" and least is not None:
            of["at_least"] = least
        computes[function] = {function: of}
    return computes


COMPUTES = st.builds(
    _computes,
    st.sampled_from(("A", "A", "A", "B")),
    SPANS,
    WHERE,
    st.sampled_from((None, None, 1, 3)),
)
NUMBERS = st.sampled_from((1, 2, -3, 0.1, 0.2, 0.3, 2.0, 1e-300, 2**62, 1e18, 2**64 - 1, 1e300))
VALUES = st.one_of(
    st.sampled_from((1, 2, 0.1)),
    st.sampled_from(("x", "y", 1, True)),
    NUMBERS,
    st.sampled_from(("x", "y", "Z", "", "1", True, False, None, {"m": 1})),
    st.sampled_from((["x", "y", "x"], ["y", 1, None, [2]], [], ["x" * 300, True], "long" * 60)),
)


@dataclass(frozen=True)
class Event:
    """Something that comes in at a second; it may have happened before that, and come twice."""

    second: int
    name: str
    properties: dict[str, Any] = field(default_factory=dict)
    age: int = 0
    again: int | None = None  # how much later it comes in once more
    whose: int = 0  # in the second test: which of the people it happens to

    @property
    def happened(self) -> int:
        return self.second - self.age


PROPERTIES = st.one_of(
    st.just({}),
    st.builds(
        lambda value, q: {"p": value, **q}, VALUES, st.sampled_from(({}, {"q": 1}, {"q": 2}))
    ),
)
EVENTS = st.builds(
    Event,
    st.integers(0, SECONDS),
    st.sampled_from(("A", "A", "A", "B")),
    PROPERTIES,
    st.sampled_from((0, 0, 0, 1, 2, 5)),
    st.sampled_from((None, None, None, 0, 2)),
    st.integers(0, 2),
)
HISTORIES = st.lists(EVENTS, max_size=10).map(lambda events: sorted(events, key=lambda e: e.second))


# --- What the words mean ------------------------------------------------------------------------


def passes(of: dict[str, Any], event: Event) -> bool:
    where = of.get("where")
    if where is None:
        return True
    if isinstance(where, list):
        return event.properties.get("p") is not None
    return event.properties.get("q") == 1


def number(value: Any) -> Fraction | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 2**63:
        return None
    exact = Fraction(Decimal(repr(value)))
    return Fraction(int(value)) if exact.denominator == 1 else exact


def plain(exact: Fraction) -> int | float:
    if exact.denominator == 1 and -(2**63) <= exact < 2**64:
        return int(exact)
    return float(exact)


def has_value(function: str, event: Event) -> bool:
    """Whether an event counts for a trait at all."""
    value = event.properties.get("p")
    if function == "count":
        return True
    if value is None or value == "":
        return False
    if function in ("sum", "average", "min", "max"):
        return number(value) is not None
    if function in ("first", "last"):
        return len(pack(value)) <= 200
    return bool(kinds(value))


def kinds(value: Any) -> list[tuple[int, Any]]:
    """What a value says to those that count values, each as something that can be ordered."""
    found: list[tuple[int, Any]] = []
    for item in value if isinstance(value, list) else [value]:
        one: tuple[int, Any] | None = None
        if isinstance(item, bool):
            one = (0, item)
        elif number(item) is not None:
            one = (1, number(item))
        elif isinstance(item, str) and 0 < len(item) <= 200:
            one = (2, item)
        if one is not None and one not in found:
            found.append(one)
    return found


def shown(kind: tuple[int, Any]) -> Any:
    return plain(kind[1]) if kind[0] == 1 else kind[1]


def spanned(function: str, of: dict[str, Any], history: list[Event], now: float) -> list[Event]:
    """The events that a trait is computed from at a moment."""
    past = [
        e
        for e in history
        if e.second <= now and e.name == of["event"] and passes(of, e) and has_value(function, e)
    ]
    if "within" in of:
        return [e for e in past if e.happened > now - int(of["within"][:-1])]
    if "session" not in of:
        return past
    gap = int(of["session"][:-1])
    session: list[Event] = []
    for event in past:
        if session and max(e.happened for e in session) + gap <= event.second:
            session = []
        begins = min((e.happened for e in session), default=event.second)
        if event.happened > begins - gap:
            session.append(event)
    if session and max(e.happened for e in session) + gap <= now:
        return []
    return session


def meaning(compute: dict[str, Any], history: list[Event], now: float) -> Any:
    """The value of a trait at a moment, from all events; None if it has none."""
    ((function, of),) = compute.items()
    events = spanned(function, of, history, now)
    if not events:
        return None
    if function == "count":
        return len(events)
    if function in ("first", "last"):
        pick = min if function == "first" else max
        one = pick(events, key=lambda e: (e.happened, pack(e.properties["p"])))
        return one.properties["p"]
    if function in ("most_frequent", "unique_list", "unique_count"):
        counts = Counter(kind for e in events for kind in kinds(e.properties["p"]))
        if function == "unique_count":
            return len(counts)
        if function == "unique_list":
            return [shown(kind) for kind in sorted(counts)]
        most = max(counts.values())
        first = min(kind for kind, count in counts.items() if count == most)
        return shown(first) if most >= of.get("at_least", 2) else None
    numbers = [n for e in events if (n := number(e.properties["p"])) is not None]
    total = sum(numbers, Fraction(0))
    values = {
        "sum": total,
        "average": total / len(numbers),
        "min": min(numbers),
        "max": max(numbers),
    }
    return plain(values[function])


# --- What the shard makes of it -----------------------------------------------------------------


def define(computes: dict[str, Any]) -> list[definitions.Document]:
    documents = [
        definitions.Document("trait", name, {"trait": name, "compute": compute})
        for name, compute in computes.items()
    ]
    for name in computes:
        when = {"any": [{"trait": name, "at_least": 2}, {"trait": name, "is": "x"}]}
        body = {"segment": f"s-{name}", "when": when}
        documents.append(definitions.Document("segment", f"s-{name}", body))
    definitions.check(documents, EMPTY)
    return documents


def in_segment(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return (is_number and value >= 2) or value == "x"


def arrivals(history: list[Event]) -> list[tuple[int, int, Event]]:
    """Second, number and event of everything that comes in, in its order."""
    found = []
    for at, event in enumerate(history):
        found.append((event.second, at, event))
        if event.again is not None:
            found.append((event.second + event.again, at, event))
    return sorted(found, key=lambda one: one[0])


class Watch:
    """Compares a person with what is known of them by now."""

    def __init__(self, shard: Shard, computes: dict[str, Any]) -> None:
        self.shard = shard
        self.computes = computes
        self.known: list[Event] = []
        self.since: dict[str, int] = {}

    def look(self, at_ms: int) -> None:
        person = self.shard.peek(USER)
        if person is None:
            return
        assert not person.error, person.error
        for name, compute in self.computes.items():
            value = meaning(compute, self.known, (at_ms - START_MS) / 1000)
            assert pack(person.traits.get(name)) == pack(value), (name, at_ms - START_MS)
            if in_segment(value):
                self.since.setdefault(name, at_ms)
            else:
                self.since.pop(name, None)
            assert person.segments.get(f"s-{name}") == self.since.get(name)
        due = [at for token, at in person.timers.items() if token.startswith("c:")]
        assert all(at > at_ms for at in due)


@settings(max_examples=400, deadline=None)
@given(COMPUTES, HISTORIES)
def test_a_trait_is_what_the_whole_history_says(
    computes: dict[str, Any], history: list[Event]
) -> None:
    note(f"{computes}\n{history}")
    shard = Shard(0, 1, load=lambda key: None, scan=lambda after, limit: [])
    shard.install("w", 1, definitions.to_wire(define(computes)))
    coming = arrivals(history)
    watch = Watch(shard, computes)
    for second in range(SECONDS + 10):
        for at_ms in (START_MS + second * 1000 - 1, START_MS + second * 1000):
            shard.apply(shard.seq + 1, at_ms, 0, b"")
            watch.look(at_ms)
            while coming and START_MS + coming[0][0] * 1000 <= at_ms:
                _, at, event = coming.pop(0)
                raw = pack(event.properties) if event.properties else b""
                happened_ms = START_MS + event.happened * 1000
                command = commands.event(
                    USER, f"m{at}", commands.TRACK, event.name, happened_ms, raw
                )
                payload = commands.pack_payload([commands.pack_chunk([command])])
                shard.apply(shard.seq + 1, at_ms, 0, payload)
                watch.known = max(watch.known, history[: at + 1], key=len)
                watch.look(at_ms)


@settings(max_examples=150, deadline=None)
@given(COMPUTES, HISTORIES)
def test_people_who_become_one_have_what_one_would_have_had(
    computes: dict[str, Any], history: list[Event]
) -> None:
    computes = {
        name: compute
        for name, compute in computes.items()
        if "session" not in next(iter(compute.values()))
    }
    note(f"{computes}\n{history}")
    world = World()
    world.change(define(computes))
    start_ms = world.now
    people: tuple[dict[str, str], ...] = (
        {"userId": "ann"}, {"anonymousId": "a1"}, {"anonymousId": "a2"}
    )  # fmt: skip
    for second, at, event in arrivals(history):
        world.turn_to(start_ms + second * 1000)
        happened_ms = start_ms + event.happened * 1000
        world.happen(
            {
                "type": "track", "event": event.name, "properties": event.properties,
                "timestamp": happened_ms, "messageId": f"m{at}", **people[event.whose],
            }
        )  # fmt: skip
    world.turn_to(max(world.now, start_ms + SECONDS * 1000))
    for one in people[1:]:
        world.happen({"type": "identify", "userId": "ann", **one})
    for _ in range(7):
        person = world.person("ann")
        assert person is not None
        now = (world.now - start_ms) / 1000
        for name, compute in computes.items():
            value = meaning(compute, history, now)
            assert pack(person.traits.get(name)) == pack(value), (name, now)
            assert (f"s-{name}" in person.segments) == in_segment(value)
        world.turn_to(world.now + 1000)
