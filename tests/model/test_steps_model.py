"""Random journeys of all kinds of steps, under random histories.

Whatever a journey that the checks let through does: nobody ends in quarantine, every run that goes
on has a moment at which it wakes, all that is kept is bounded, and a replay of the journal, or a
world that restarts before everything that happens, leaves the same bytes.
"""

from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from engine import limits
from engine.issues import DefinitionError
from engine.journeys.instance import RUNNING
from engine.simulation.world import World

NAMES = ("a", "b", "c", "d", "e")
HOUR_MS = 3_600_000
TARGETS = st.sampled_from((*NAMES, "end"))
EVENTS = st.sampled_from(("X", "Y", "Z"))
SPANS = st.sampled_from(("40m", "2h", "1d"))
PATHS = st.sampled_from(("traits.n", "properties.n", "first.n", "properties.at", "events.kept.n"))
FOUND = PATHS.map(lambda path: {"from": path})
CONDITIONS = st.sampled_from(
    (
        {"segment": "seg"},
        {"trait": "n", "at_least": 2},
        {"property": "n", "at_least": 2},
        {"event": "X", "at_least": 2, "within": "3h"},
    )
)

WATCHED = st.sampled_from(
    (
        {"trait": "n", "at_least": 2},
        {"event": "X", "at_least": 2, "within": "3h"},
        {"not": {"event": "Y", "at_least": 1, "within": "90m"}},
    )
)


def branches(resets: bool) -> st.SearchStrategy[list[dict[str, Any]]]:
    event: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
        {"event": EVENTS, "then": TARGETS}, optional={"as": st.just("kept")}
    )
    segment = st.fixed_dictionaries(
        {"segment": st.just("seg"), "on": st.sampled_from(("entered", "left")), "then": TARGETS}
    )
    already = st.fixed_dictionaries({"already": CONDITIONS, "then": TARGETS})
    when = st.fixed_dictionaries({"when": WATCHED, "then": TARGETS})
    kinds = [event, segment, already, when]
    if resets:
        kinds.append(st.fixed_dictionaries({"event": EVENTS, "reset": st.just(True)}))
    return st.lists(st.one_of(kinds), min_size=1, max_size=3)


def shares(then: st.SearchStrategy[str]) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.tuples(st.integers(1, 99), then, then).map(
        lambda drawn: [
            {"percent": drawn[0], "then": drawn[1]},
            {"percent": 100 - drawn[0], "then": drawn[2]},
        ]
    )


DELAYS = st.one_of(
    SPANS,
    st.just({"between": ["30m", "2h"]}),
    st.builds(lambda days: {"until": "02:30", **days}, st.sampled_from(({}, {"days": ["sun"]}))),
    st.just({"window": ["22:00", "02:00"], "days": ["mon", "fri"]}),
    st.builds(
        lambda path, shift: {"until": path, **shift},
        st.sampled_from(("traits.at", "properties.at")),
        st.sampled_from(({}, {"before": "1d"}, {"after": "1d2h", "time": "08:00"})),
    ),
)
STEPS = st.one_of(
    st.fixed_dictionaries({"delay": DELAYS, "then": TARGETS}),
    st.fixed_dictionaries({"hold": SPANS, "on": branches(True), "timeout": TARGETS}),
    st.fixed_dictionaries(
        {"paths": branches(False), "within": SPANS, "ranked": st.booleans(), "else": TARGETS}
    ),
    st.fixed_dictionaries(
        {"goal": st.builds(lambda event: {"event": event}, EVENTS), "within": SPANS,
         "then": TARGETS, "else": TARGETS}
    ),
    st.fixed_dictionaries(
        {
            "split": st.lists(
                st.fixed_dictionaries({"when": CONDITIONS, "then": TARGETS}), min_size=1, max_size=2
            ),
            "else": TARGETS,
        },
        optional={"of": st.sampled_from(("first", "kept"))},
    ),
    st.fixed_dictionaries({"random": shares(TARGETS), "sticky": st.booleans()}),
    st.builds(lambda shared: {"experiment": {"name": "x", "variants": shared}}, shares(TARGETS)),
    st.fixed_dictionaries(
        {"rate": st.just({"per_minute": 1, "people": 90}), "then": TARGETS}
    ),
    st.builds(
        lambda found, then: {"update": {"set": {"m": found}, "add": {"n": found}}, "then": then},
        FOUND, TARGETS,
    ),
    st.builds(
        lambda event, found, then: {"emit": {"event": event, "properties": {"n": found}},
                                    "then": then},
        EVENTS, FOUND, TARGETS,
    ),
    st.builds(lambda then: {"start": {"journey": "j2"}, "then": then}, TARGETS),
    st.builds(lambda name, then: {"leave": {"journey": name}, "then": then},
              st.sampled_from(("j1", "j2")), TARGETS),
    st.builds(
        lambda only_if, then: {
            "message": {"purpose": "marketing", "channel": "email", "template": "t"},
            "only_if": only_if, "then": then,
        },
        CONDITIONS, TARGETS,
    ),
)  # fmt: skip
JOURNEYS = st.tuples(
    st.lists(STEPS, min_size=1, max_size=5), st.lists(STEPS, min_size=1, max_size=3)
)
REST = [
    {"segment": "seg", "when": {"event": "Y", "at_least": 1, "within": "2h"}},
    {"template": "t", "channel": "email", "subject": "s", "body": "{{ event.n | default(0) }}",
     "sample": {"event": {"n": 1}}},
    {"lane": "l", "channel": "email", "carrier": "sandbox"},
]  # fmt: skip
HISTORIES = st.lists(
    st.tuples(
        st.integers(0, 10 * HOUR_MS),
        st.sampled_from(("X", "Y", "Z")),
        st.fixed_dictionaries(
            {},
            optional={
                "n": st.one_of(st.integers(-3, 3), st.just("text"), st.none()),
                "at": st.sampled_from(("2026-01-06", "2026-03-29T02:30", "soon", 0)),
            },
        ),
    ),
    min_size=1,
    max_size=8,
)


def documents(lists: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Two journeys; what cannot be reached is left out, what leads nowhere leads to the end."""
    made = []
    for number, (steps, entry) in enumerate(zip(lists, ("X", "Z"), strict=True), 1):
        named = dict(zip(NAMES, steps, strict=False))
        made.append({"journey": f"j{number}", "entry": {"event": entry}, "steps": _mended(named)})
    return [*made, *REST]


def _mended(steps: dict[str, dict[str, Any]]) -> dict[str, Any]:
    def mend(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: "end" if key in _WAYS and item in NAMES and item not in steps else mend(item)
                for key, item in value.items()
            }
        return [mend(item) for item in value] if isinstance(value, list) else value

    mended = {name: mend(step) for name, step in steps.items()}
    reached, to_visit = set(), ["a"]
    while to_visit:
        name = to_visit.pop()
        if name in mended and name not in reached:
            reached.add(name)
            to_visit.extend(_targets(mended[name]))
    return {name: step for name, step in mended.items() if name in reached}


_WAYS = ("then", "else", "timeout")


def _targets(value: Any) -> list[str]:
    if isinstance(value, list):
        return [name for item in value for name in _targets(item)]
    if not isinstance(value, dict):
        return []
    found = [item for key, item in value.items() if key in _WAYS]
    return [*found, *(name for item in value.values() for name in _targets(item))]


def played(defined: list[dict[str, Any]], history: list[Any], restarts: bool) -> World:
    world = World()
    world.define(defined)
    user = {"userId": "ann"}
    traits = {"email": "a@example.com", "timezone": "Europe/Berlin", "at": "2026-01-07"}
    world.happen({"type": "identify", **user, "traits": traits})
    for after_ms, name, properties in history:
        world.turn_to(world.now + after_ms)
        if restarts:
            world.restart()
        world.happen({"type": "track", **user, "event": name, "properties": properties})
    world.turn_to(world.now + 50 * HOUR_MS)
    return world


@settings(
    max_examples=100, deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)  # fmt: skip
@given(lists=JOURNEYS, history=HISTORIES)
def test_random_journeys_are_bounded_and_a_function_of_their_journal(
    lists: tuple[list[dict[str, Any]], list[dict[str, Any]]], history: list[Any]
) -> None:
    defined = documents(lists)
    try:
        world = played(defined, history, restarts=False)
    except DefinitionError as error:
        words = str(error)
        assert "never waits" in words or "no branch keeps" in words or "two variants" in words
        assume(False)
        raise
    for entity in world.entities():
        assert not entity.error, entity.error
        assert len(entity.instances) <= limits.INSTANCES
        for instance in entity.instances.values():
            assert instance.status == RUNNING
            assert entity.timers[f"j:{instance.id}"] == instance.due_ms > world.now
            assert len(instance.trail) <= limits.INSTANCE_TRAIL
    left = world.snapshot()
    assert world.replayed().snapshot() == left
    assert played(defined, history, restarts=True).snapshot() == left
