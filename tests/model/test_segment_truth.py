"""A segment's truth is what the whole history says, at every moment at which anything changes.

Random conditions of every kind are defined on a real shard, and random histories happen to a
person: events with properties, some of them late, traits that come and go, contexts. A clock visits
every half second. At each visit the person must be in exactly those segments whose condition holds
by a reading of the whole history that knows nothing of windows, timers or indexes; and the moment
at which the person entered must be the one at which that truth changed.
"""

from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import commands, definitions
from engine.program import EMPTY
from engine.shard import Shard
from tests.model.naive_segments import SPAN_OPERATORS, START_MS, Happening, Naive, iso

SECONDS = 16
USER = "w/user/ann"


# --- Conditions ---------------------------------------------------------------------------------

EVENTS = st.sampled_from("AAB")
VALUES = st.sampled_from((1, 2, "x", "xy"))
SPANS = st.integers(1, 6).map(lambda seconds: f"{seconds}s")
DATES = st.integers(0, SECONDS).map(iso)


def _one(name: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return values.map(lambda value: {name: value})


OPERATORS = st.one_of(
    *(_one(name, VALUES) for name in ("is", "is_not", "above", "at_least", "below", "at_most")),
    *(_one(name, VALUES) for name in ("contains", "not_contains")),
    *(_one(n, st.lists(VALUES, min_size=1, max_size=2)) for n in ("in", "not_in", "contains_any")),
    *(_one(name, st.sampled_from(("x", "y"))) for name in ("starts_with", "ends_with")),
    _one("exists", st.booleans()),
    *(_one(name, DATES) for name in ("before", "after")),
    *(_one(name, SPANS) for name in SPAN_OPERATORS),
)


def _merged(*parts: dict[str, Any]) -> dict[str, Any]:
    return {key: value for part in parts for key, value in part.items()}


def _optional(part: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.just({}) | part


PROPERTY = st.builds(_merged, st.just({"property": "p"}), OPERATORS) | st.just(
    {"property": "p", "is": {"property": "q"}}
)
WHERE = (
    st.just({})
    | st.just({})
    | _optional(
        st.one_of(
            PROPERTY.map(lambda one: {"where": [one]}),
            st.tuples(PROPERTY, PROPERTY).map(lambda two: {"where": [{"any": list(two)}]}),
        )
    )
)
TRAITS = ("t", "u")
TRAIT = st.one_of(
    st.builds(_merged, _one("trait", st.sampled_from(TRAITS)), OPERATORS),
    st.builds(_merged, _one("trait", st.sampled_from(TRAITS)), OPERATORS, OPERATORS),
    st.builds(
        lambda name, spec: {"trait": "t", name: spec},
        st.sampled_from(("is", "is_not", "above", "at_most", "contains", "starts_with", "after")),
        st.just({"trait": "u"}),
    ),
    st.builds(
        _merged, st.just({"trait": "t"}), _one("is", VALUES) | _one("is_not", VALUES),
        _one("for", SPANS),
    ),
)  # fmt: skip
COUNTS = st.one_of(
    st.just({}),
    _one("at_least", st.integers(1, 3)),
    _one("at_most", st.integers(0, 2)),
    _one("exactly", st.integers(0, 2)),
    st.builds(_merged, _one("at_least", st.integers(0, 2)), _one("at_most", st.integers(2, 3))),
)
RANGE = st.tuples(st.integers(0, SECONDS), st.integers(1, SECONDS)).map(
    lambda pair: {"from": iso(pair[0]), "to": iso(pair[0] + pair[1])}
)
TIMES = (_one("within", SPANS), st.just({}), RANGE, _one("from", DATES), _one("to", DATES))
COUNT = st.builds(
    _merged,
    _one("event", EVENTS),
    WHERE,
    COUNTS,
    st.integers(0, 7).flatmap(lambda n: TIMES[n] if n < len(TIMES) else TIMES[0]),
)
ONE_EVENT = st.builds(
    lambda event, where, which, asked: {"event": event, **where, which: asked},
    EVENTS,
    WHERE,
    st.sampled_from(("first", "last")),
    st.one_of(
        *(_one(name, DATES) for name in ("before", "after")),
        *(_one(name, SPANS) for name in ("within_last", "more_than_ago")),
        PROPERTY.map(lambda one: {"where": [one]}),
        st.builds(_merged, _one("within_last", SPANS), PROPERTY.map(lambda one: {"where": [one]})),
    ),
)
EVENT_STEP = st.builds(_merged, _one("event", EVENTS), WHERE, _optional(_one("within", SPANS)))
SILENT_STEP = st.builds(_merged, _one("no_event", EVENTS), WHERE, _one("within", SPANS))
OPEN_STEP = st.builds(_merged, _one("no_event", EVENTS), WHERE)


def _sequence(first: Any, middle: list[Any], last: Any, how: Any) -> dict[str, Any]:
    steps = [first]
    for step in [*middle, last]:
        if "no_event" in step and "no_event" in steps[-1] and "within" not in steps[-1]:
            continue
        steps.append(step)
    least = sum(int(s["within"][:-1]) for s in steps if "no_event" in s and "within" in s)
    within = {"within": f"{least + how[0]}s"} if how[0] else {}
    return {"sequence": steps, **within, **({"same": "properties.k"} if how[1] else {})}


STEP = EVENT_STEP | SILENT_STEP | OPEN_STEP
SEQUENCE = st.builds(
    _sequence,
    st.builds(_merged, _one("event", EVENTS), WHERE),
    st.lists(STEP, max_size=2),
    STEP,
    st.tuples(st.sampled_from((0, 1, 2, 3, 5, 8)), st.booleans()),
)
CONTEXT = st.builds(
    lambda path, value: {"context": path, "is": value},
    st.sampled_from(("language", "locale", "timezone", "location.country")),
    st.sampled_from(("de", "de-DE", "Europe/Berlin", "AT")),
)
WHO = st.one_of(
    st.just({"everyone": True}),
    st.sampled_from((0.5, 40, 60)).map(lambda part: {"bucket": {"percent": part, "salt": "s"}}),
    st.just({"bucket": {"from": 20, "to": 80}}),
    st.sampled_from((["ann", "bob"], ["bob"])).map(lambda ids: {"list": ids}),
)
KINDS = {
    "trait": TRAIT,
    "count": COUNT,
    "one event": ONE_EVENT,
    "sequence": SEQUENCE,
    "context": CONTEXT,
    "who": WHO,
}


@st.composite
def _atoms(draw: st.DrawFn, kind: str) -> Any:
    """Mostly of one kind, and now and then of another."""
    if draw(st.integers(0, 4)) == 0:
        kind = draw(st.sampled_from(tuple(KINDS)))
    return draw(KINDS[kind])


def _combined(atom: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        atom,
        lambda inner: (
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"all": parts})
            | st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"any": parts})
            | inner.map(lambda part: {"not": part})
        ),
        max_leaves=4,
    )


def segments_of(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    atom = _atoms(kind)
    reader = _combined(atom | st.sampled_from(("one", "two")).map(lambda name: {"segment": name}))
    return st.tuples(atom, _combined(atom), reader).map(
        lambda three: dict(zip(("one", "two", "a-reader"), three, strict=True))
    )


# --- Histories ----------------------------------------------------------------------------------


TRAIT_VALUES = st.one_of(st.none(), VALUES, DATES, st.just(["x", 1]), st.just(True))
EVENT = st.builds(
    Happening,
    st.integers(0, SECONDS),
    st.sampled_from("AAB"),
    st.dictionaries(st.sampled_from("pqk"), VALUES | DATES, max_size=3)
    | st.just({"p": 1, "k": "x"}),
    st.sampled_from((0, 0, 0, 1, 3, 8)),
    st.sampled_from(({}, {"location": 5, "locale": 7}, {"locale": "de-DE"}))
    | st.sampled_from(
        ({"locale": "fr", "timezone": "Europe/Berlin"}, {"location": {"country": "AT"}})
    ),
)
IDENTIFY = st.builds(
    lambda second, traits: Happening(second, "identify", traits),
    st.integers(0, SECONDS),
    st.dictionaries(st.sampled_from(TRAITS), TRAIT_VALUES, min_size=1, max_size=2),
)


def histories(kind: str) -> st.SearchStrategy[list[Happening]]:
    """Of what the kind of condition reads there is the most."""
    happening = IDENTIFY | IDENTIFY | EVENT if kind == "trait" else EVENT | EVENT | EVENT | IDENTIFY
    return st.lists(happening, min_size=1, max_size=12).map(
        lambda items: sorted(items, key=lambda happening: happening.second)
    )


# --- The engine ---------------------------------------------------------------------------------


class Town:
    """One shard with the segments and one person; seconds count from the start."""

    def __init__(self, segments: dict[str, Any]) -> None:
        self.shard = Shard(0, 1, lambda key: None, lambda after, limit: [])
        documents = [
            definitions.Document("segment", name, {"segment": name, "when": when})
            for name, when in segments.items()
        ]
        definitions.check(documents, EMPTY)
        self.shard.install("w", 1, definitions.to_wire(documents))
        self.count = 0
        # The person is known from the start: what holds from then on has held since then.
        self._apply(0, commands.event(USER, "m0", commands.IDENTIFY, "", START_MS))

    def visit(self, second: float) -> None:
        self._apply(second)

    def happen(self, happening: Happening) -> None:
        self.count += 1
        type_ = commands.IDENTIFY if happening.what == "identify" else commands.TRACK
        name = "" if type_ == commands.IDENTIFY else happening.what
        self._apply(
            happening.second,
            commands.event(
                USER, f"m{self.count}", type_, name, START_MS + happening.happened * 1000,
                msgpack.packb(happening.values),
                msgpack.packb(happening.context) if happening.context else b"",
            ),
        )  # fmt: skip

    def members(self) -> dict[str, float]:
        person = self.shard.peek(USER)
        assert person is not None
        assert not person.error, person.error
        return {name: (ms - START_MS) / 1000 for name, ms in person.segments.items()}

    def _apply(self, second: float, *chunk: commands.Command) -> None:
        payload = commands.pack_payload([commands.pack_chunk(chunk)]) if chunk else b""
        self.shard.apply(self.shard.seq + 1, START_MS + int(second * 1000), 0, payload)


def run(segments: dict[str, Any], history: list[Happening]) -> None:
    town = Town(segments)
    coming = list(history)
    entered: dict[str, float] = {}
    for half in range(SECONDS * 2 + 24):
        second = half / 2
        while coming and coming[0].second <= second:
            town.happen(coming.pop(0))
        town.visit(second)
        naive = Naive([h for h in history if h.second <= second], second, segments)
        members = town.members()
        for name, when in segments.items():
            true = naive.truth(when)
            assert (name in members) == true, f"{name} at {second} s"
            if not true:
                entered.pop(name, None)
            else:
                entered.setdefault(name, second)
                # Within one second it may have been left and entered again.
                assert members[name] >= entered[name], f"{name} entered early"
                assert members[name] <= second
                entered[name] = members[name]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_truth_is_what_the_whole_history_says(kind: str, data: st.DataObject) -> None:
    run(data.draw(segments_of(kind)), data.draw(histories(kind)))
