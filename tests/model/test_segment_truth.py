"""A segment's truth is what the whole history says, at every moment at which anything changes.

Random conditions of every kind are defined on a real shard, and random histories happen to a
person: events with properties, some of them late, traits that come and go, contexts. A clock visits
every half second. At each visit the person must be in exactly those segments whose condition holds
by a reading of the whole history that knows nothing of windows, timers or indexes; and the moment
at which the person entered must be the one at which that truth changed.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import commands, definitions
from engine.conditions.who import part_of
from engine.program import EMPTY
from engine.shard import Shard

START_MS = 1_767_225_600_000  # 2026-01-01
SECONDS = 16
USER = "w/user/ann"


def iso(second: float) -> str:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- Conditions ---------------------------------------------------------------------------------

EVENTS = st.sampled_from("AAB")
VALUES = st.sampled_from((1, 2, "x", "xy"))
SPANS = st.integers(1, 6).map(lambda seconds: f"{seconds}s")
DATES = st.integers(0, SECONDS).map(iso)
SPAN_OPERATORS = ("within_last", "within_next", "more_than_ago", "more_than_ahead")


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
WHERE = st.just({}) | _optional(
    st.one_of(
        PROPERTY.map(lambda one: {"where": [one]}),
        st.tuples(PROPERTY, PROPERTY).map(lambda two: {"where": [{"any": list(two)}]}),
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
COUNT = st.builds(
    _merged,
    _one("event", EVENTS),
    WHERE,
    COUNTS,
    st.one_of(st.just({}), _one("within", SPANS), RANGE, _one("from", DATES), _one("to", DATES)),
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
    st.tuples(st.integers(0, 8), st.booleans()),
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


@dataclass(frozen=True)
class Happening:
    """Something that comes in at a second; an event may be older than that."""

    second: int
    what: str  # "A", "B" or "identify"
    values: dict[str, Any] = field(default_factory=dict)
    age: int = 0
    context: dict[str, Any] = field(default_factory=dict)

    @property
    def happened(self) -> int:
        return self.second - self.age


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


# --- What the words mean ------------------------------------------------------------------------


class Naive:
    """The meaning of conditions at one moment, from all that had come in by then."""

    def __init__(self, history: list[Happening], now: float, segments: dict[str, Any]) -> None:
        self.past = [h for h in history if h.second <= now]
        self.now = now
        self.segments = segments

    def truth(self, c: Any) -> bool:
        if "all" in c:
            return all(self.truth(part) for part in c["all"])
        if "any" in c:
            return any(self.truth(part) for part in c["any"])
        if "not" in c:
            return not self.truth(c["not"])
        if "segment" in c:
            return self.truth(self.segments[c["segment"]])
        if "trait" in c:
            return self._trait(c)
        if "sequence" in c:
            return self._sequence(c)
        if "context" in c:
            return self._context(c["context"]) == c["is"]
        if "event" in c:
            return self._event(c)
        if "bucket" in c:
            bucket = c["bucket"]
            part = part_of("ann", bucket.get("salt", "")) / 100
            low, high = bucket.get("from", 0), bucket.get("to", bucket.get("percent"))
            return bool(low <= part < high)
        return "everyone" in c or "ann" in c["list"]

    def _traits(self, now: float) -> dict[str, Any]:
        traits: dict[str, Any] = {}
        for happening in self.past:
            if happening.what == "identify" and happening.second <= now:
                traits.update(happening.values)
        return {name: value for name, value in traits.items() if value is not None}

    def _trait(self, c: Any) -> bool:
        if "for" not in c:
            return holds(c, self._traits(self.now), "trait", self.now)
        plain = {key: value for key, value in c.items() if key != "for"}
        since: float | None = 0 if holds(plain, {}, "trait", 0) else None
        for second in sorted({h.second for h in self.past}):
            # Of changes within one second each one counts: a break is a break.
            for happening in [h for h in self.past if h.second == second]:
                traits = self._upto(happening)
                if not holds(plain, traits, "trait", self.now):
                    since = None
                elif since is None:
                    since = second
        return since is not None and self.now - since >= int(c["for"][:-1])

    def _upto(self, last: Happening) -> dict[str, Any]:
        traits: dict[str, Any] = {}
        for happening in self.past:
            if happening.what == "identify":
                traits.update(happening.values)
            if happening is last:
                break
        return {name: value for name, value in traits.items() if value is not None}

    def _times(self, event: str, where: list[Any], key: str | None = None) -> list[Happening]:
        return [
            h
            for h in self.past
            if h.what == event
            and all(passes(one, h) for one in where)
            and (key is None or text(h.values.get("k")) == key)
        ]

    def _event(self, c: Any) -> bool:
        found = self._times(c["event"], c.get("where", []))
        for which, pick in (("first", min), ("last", max)):
            if which in c:
                if not found:
                    return False
                at = pick(h.happened for h in found)
                asked = c[which]
                where = asked.get("where", [])
                operators = {key: value for key, value in asked.items() if key != "where"}
                here = [h for h in found if h.happened == at]
                return compare(iso(at), operators, self.now) and (
                    not where or any(all(passes(one, h) for one in where) for h in here)
                )
        if "within" in c:
            found = [h for h in found if h.happened > self.now - int(c["within"][:-1])]
        if "from" in c:
            found = [h for h in found if iso(h.happened) >= c["from"]]
        if "to" in c:
            found = [h for h in found if iso(h.happened) < c["to"]]
        low = c.get("exactly", c.get("at_least", 0 if "at_most" in c else 1))
        return bool(low <= len(found) <= c.get("exactly", c.get("at_most", 10**9)))

    def _sequence(self, c: Any) -> bool:
        steps = c["sequence"]
        keys: list[str | None] = [None]
        if "same" in c:
            keys = sorted({text(h.values.get("k")) for h in self.past} - {""})  # type: ignore[assignment]
        for key in keys:
            times = [
                [h.happened for h in self._times(
                    s.get("event", s.get("no_event")), s.get("where", []), key)]
                for s in steps
            ]  # fmt: skip
            events = [number for number, step in enumerate(steps) if "event" in step]
            for chosen in product(*(times[number] for number in events)):
                if self._is_chain(c, times, dict(zip(events, chosen, strict=True))):
                    return True
        return False

    def _is_chain(self, c: Any, times: list[list[int]], chosen: dict[int, int]) -> bool:
        if "within" in c and chosen[0] <= self.now - int(c["within"][:-1]):
            return False
        stands: float = chosen[0]
        forbidden: list[int] = []
        for number, step in list(enumerate(c["sequence"]))[1:]:
            within = int(step["within"][:-1]) if "within" in step else None
            if "event" in step:
                at = chosen[number]
                if at <= stands or (within is not None and at >= stands + within):
                    return False
                if any(stands < other < at for other in forbidden):
                    return False
                stands, forbidden = at, []
            elif within is not None:
                if stands + within > self.now:
                    return False
                if any(stands < other < stands + within for other in times[number]):
                    return False
                stands += within
            else:
                forbidden = times[number]
        return not any(other > stands for other in forbidden)

    def _context(self, path: str) -> str | None:
        part, _, inner = path.partition(".")
        wanted = "locale" if part == "language" else part
        said: list[tuple[int, int, Any]] = []
        for order, h in enumerate(self.past):
            value = h.context.get(wanted)
            if isinstance(value, str if not inner else dict):
                said.append((h.happened, order, value))
        if not said:
            return None
        value = max(said)[2]
        if inner:
            return str(value.get(inner))
        return str(value).partition("-")[0] if part == "language" else str(value)


def text(value: Any) -> str:
    return "" if value is None else str(value)


def passes(condition: Any, happening: Happening) -> bool:
    if "any" in condition:
        return any(passes(part, happening) for part in condition["any"])
    return holds(condition, happening.values, "property", happening.happened)


def holds(condition: Any, values: dict[str, Any], kind: str, now: float) -> bool:
    operators = {}
    for name, operand in condition.items():
        if name != kind:
            if isinstance(operand, dict):
                operand = values.get(operand.get(kind, ""))
                if operand is None or (name == "after" and seconds(operand) is None):
                    if name == "is_not":
                        continue
                    return False
            operators[name] = operand
    return compare(values.get(condition[kind]), operators, now)


def seconds(value: Any) -> float | None:
    if not isinstance(value, str) or not value.endswith("Z"):
        return None
    return datetime.fromisoformat(value).timestamp() - START_MS / 1000


def same(value: Any, operand: Any) -> bool:
    return value == operand and isinstance(value, bool) == isinstance(operand, bool)


def has(value: Any, operand: Any) -> bool:
    if isinstance(value, str):
        return isinstance(operand, str) and operand in value
    return isinstance(value, list) and any(same(item, operand) for item in value)


def ordered(value: Any, operand: Any) -> bool:
    kinds = {int: int, str: str}
    return type(value) in kinds and type(value) is type(operand)


def compare(value: Any, operators: dict[str, Any], now: float) -> bool:
    return all(_compare(value, name, operand, now) for name, operand in operators.items())


def _compare(value: Any, name: str, operand: Any, now: float) -> bool:
    at = seconds(value)
    span = int(operand[:-1]) if name in SPAN_OPERATORS else 0
    meanings = {
        "is": lambda: same(value, operand),
        "is_not": lambda: not same(value, operand),
        "in": lambda: any(same(value, one) for one in operand),
        "not_in": lambda: not any(same(value, one) for one in operand),
        "above": lambda: ordered(value, operand) and value > operand,
        "at_least": lambda: ordered(value, operand) and value >= operand,
        "below": lambda: ordered(value, operand) and value < operand,
        "at_most": lambda: ordered(value, operand) and value <= operand,
        "contains": lambda: has(value, operand),
        "contains_any": lambda: any(has(value, one) for one in operand),
        "not_contains": lambda: not has(value, operand),
        "starts_with": lambda: (
            isinstance(value, str) and isinstance(operand, str) and value.startswith(operand)
        ),
        "ends_with": lambda: isinstance(value, str) and value.endswith(operand),
        "exists": lambda: (value is not None) is operand,
        "before": lambda: at is not None and value < operand,
        "after": lambda: at is not None and value > operand,
        "within_last": lambda: at is not None and at <= now < at + span,
        "within_next": lambda: at is not None and at - span <= now < at,
        "more_than_ago": lambda: at is not None and now >= at + span,
        "more_than_ahead": lambda: at is not None and now < at - span,
    }
    return bool(meanings[name]())


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
