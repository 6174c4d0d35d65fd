"""Computed traits: definitions and their refusals, limits, writes of clients, and what is kept."""

from typing import Any

import pytest
from journey_helpers import SMS_LANE, Town

from engine import commands, definitions, limits
from engine.computed import numbers, values
from engine.computed.functions import FUNCTIONS
from engine.definition_kinds import KINDS
from engine.definitions import DefinitionError
from engine.program import EMPTY, advance
from engine.simulation.world import World
from gateway import names

DAY = 86_400_000


def refused(text: str) -> str:
    with pytest.raises(DefinitionError) as error:
        definitions.check(definitions.parse(text), EMPTY)
    return str(error.value)


def trait(compute: str, name: str = "t") -> str:
    return f"trait: {name}\ncompute: {compute}"


def records(town: Town) -> dict[str, Any]:
    found: dict[str, Any] = town.person().state.get("computed", {})
    return found


# --- Definitions --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("compute", "words"),
    [
        ("{}", "computes nothing; write one of count, sum, average"),
        ("{count: {event: A}, sum: {event: A, property: p}}", "count and sum at once"),
        ("{cuont: {event: A}}", "'cuont' is not a field of what is computed; did you mean 'count'"),
        ("{sum: {event: A}}", "'property' is missing"),
        ("{count: {event: A, property: p}}", "'property' is not a field"),
        ("{count: {event: ''}}", "is empty; write the name of an event"),
        ("{count: {event: A, within: 90}}", "90 has no unit"),
        ("{count: {event: A, within: 401d}}", "longer than 400d"),
        ("{count: {event: A, within: 1d, session: 1h}}", "'within' stands beside 'session'"),
        ("{sum: {event: A, property: properties.total}}", "begins with 'properties'; write"),
        ("{sum: {event: A, property: a..b}}", "is not the path of a property"),
        ("{most_frequent: {event: A, property: p, at_least: 0}}", "must be at least 1"),
        ("{sum: {event: A, property: p, at_least: 2}}", "'at_least' is not a field"),
        ("{count: {event: A, where: {trait: x, is: 1}}}", "reads their properties and"),
        ("{count: {event: A, where: {propety: x, is: 1}}}", "did you mean 'property'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(compute: str, words: str) -> None:
    assert words in refused(trait(compute))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.b", "'a.b' has a dot, by which conditions reach into maps; write 'a_b'"),
        ("email", "'email' is a trait that clients set; take another name"),
        ("phone", "is a trait that clients set"),
        ("timezone", "is a trait that clients set"),
        ("group_id", "is a trait that clients set"),
    ],
)
def test_a_name_must_be_free(name: str, words: str) -> None:
    assert words in refused(trait("{count: {event: A}}", name))


def test_there_are_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "COMPUTED_TRAITS", 2)
    text = "\n---\n".join(trait("{count: {event: A}}", f"t{at}") for at in range(3))
    assert "it would have 3 computed traits, more than 2" in refused(text)


def test_every_function_has_its_field_and_compiles() -> None:
    for name in FUNCTIONS:
        more = "" if name == "count" else ", property: a.b"
        document = definitions.parse(trait(f"{{{name}: {{event: A{more}}}}}"))
        definitions.check(document, EMPTY)
        program = advance(EMPTY, 1, definitions.from_wire(definitions.to_wire(document)))
        assert program.computed["t"].span.function.key == name
        assert list(program.computed_by_event) == ["A"]


def test_the_contract_knows_the_kind() -> None:
    assert names.definition("traits/orders_90d") == ("trait", "orders_90d")
    assert set(names.DEFINITION_KINDS) == set(KINDS)


# --- Numbers and values -------------------------------------------------------------------------


def test_sums_are_exact_in_any_order() -> None:
    some = [0.1, 0.2, 19.99, 1e-300, 2**62, -5, 1e18, 3]
    totals = set()
    for order in (some, some[::-1], some[3:] + some[:3]):
        total: int | str = 0
        for item in order:
            total = numbers.plus(total, item)
        totals.add(total)
        for item in some[2:]:
            total = numbers.minus(total, item)
        assert numbers.value_of(total) == 0.3
    assert len(totals) == 1


def test_a_sum_that_is_whole_is_an_integer() -> None:
    assert numbers.plus(10.5, 9.5) == 20
    assert isinstance(numbers.plus(10.5, 9.5), int)
    assert numbers.plus(2**64 - 1, 1) == str(2**64)
    assert numbers.value_of(numbers.plus(2**64 - 1, 1)) == 2.0**64
    assert numbers.minus(numbers.plus(2**64 - 1, 1), 1) == 2**64 - 1


@pytest.mark.parametrize("value", ["12", True, None, [1], float("nan"), float("inf"), 2**64, -1e19])
def test_what_is_no_number(value: Any) -> None:
    assert numbers.number(value) is None


def test_means_are_rounded_once() -> None:
    assert numbers.mean_of("0.3", 3) == 0.1
    assert numbers.mean_of(10, 4) == 2.5
    assert numbers.mean_of(10, 5) == 2
    assert isinstance(numbers.mean_of(10, 5), int)


def test_values_are_told_apart_and_ordered() -> None:
    said = ["b", "a", 10, 9, True, False, "10", 2.5, "", None, 9.0, {"m": 1}, [1]]
    keys, lacks = values.keys_of(said)
    assert lacks, "a map and a list within a list can't be kept"
    found = [values.of_key(key) for key in values.in_order(keys)]
    assert found == [False, True, 2.5, 9, 10, "10", "a", "b"]
    assert [value.__class__ for value in found[:2]] == [bool, bool]


def test_of_one_moment_the_order_of_values_decides() -> None:
    compute = "{%s: {event: A, property: p%s}}"
    spans = {"ever": "", "within": ", within: 1d", "session": ", session: 1h"}
    texts = [
        trait(compute % (which, span), f"{which}_{name}")
        for which in ("first", "last")
        for name, span in spans.items()
    ]
    for order in ("bca", "abc", "cab"):
        town = Town("\n---\n".join(texts))
        for value in order:
            town.track("A", p=value)
        expected = {f"first_{name}": "a" for name in spans}
        assert town.person().traits == {**expected, **{f"last_{name}": "c" for name in spans}}


def test_one_and_true_are_two_values() -> None:
    town = Town(trait("{last: {event: A, property: p}}") + "\n---\n" + trait(
        "{unique_list: {event: A, property: p, within: 1h}}", "all"))  # fmt: skip
    town.track("A", p=1)
    assert town.person().traits["t"] is not True
    town.at("1h")
    town.track("A", p=True)
    assert town.person().traits["t"] is True
    assert town.person().traits["all"][0] is True


# --- Limits -------------------------------------------------------------------------------------


def test_a_full_window_is_capped_until_what_it_lost_would_have_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "COMPUTED_EVENTS", 3)
    monkeypatch.setattr(limits, "COMPUTED_SHARE", 1)
    town = Town(trait("{sum: {event: A, property: p, within: 10d}}"))
    for day, amount in enumerate((1, 10, 100, 1000), 1):
        town.at(f"{day}d")
        town.track("A", p=amount)
    assert town.person().traits == {"t": 1110}, "the oldest found no room"
    assert records(town)["t"][2] == town.start + 11 * DAY
    assert town.notes("computed") == [
        "t: capped: a value or an event found no room, so the trait is computed without it"
    ]
    town.at("11d")
    assert records(town)["t"][2] == 0
    assert town.notes("computed")[-1].startswith("t: exact again")
    assert town.person().traits == {"t": 1110}
    town.at("12d")
    assert town.person().traits == {"t": 1100}


def test_a_full_set_of_values_is_capped_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "COMPUTED_EVENTS", 2)
    monkeypatch.setattr(limits, "COMPUTED_SHARE", 1)
    town = Town(trait("{unique_count: {event: A, property: p}}"))
    for value in "abcadb":
        town.track("A", p=value)
    assert town.person().traits == {"t": 2}
    assert records(town)["t"][1:] == [{"ta": 2, "tb": 2}, -1]
    assert len(town.notes("computed")) == 1


def test_all_traits_of_a_person_share_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "COMPUTED_ENTRIES", 6)
    monkeypatch.setattr(limits, "COMPUTED_SHARE", 2)
    town = Town("\n---\n".join(trait(f"{{count: {{event: {e}, within: 9d}}}}", e) for e in "abc"))
    for event in "aaaaabbbc":
        town.track(event)
    assert town.person().traits == {"a": 5, "b": 2, "c": 1}
    assert town.notes("computed") == [
        "b: capped: a value or an event found no room, so the trait is computed without it"
    ]


def test_values_that_are_too_long_are_left_out_and_told() -> None:
    town = Town(
        trait("{last: {event: A, property: p}}", "newest")
        + "\n---\n"
        + trait("{unique_list: {event: A, property: p, within: 1d}}", "all")
    )
    town.track("A", p="x" * 201)
    assert town.person().traits == {}
    assert [note.partition(":")[0] for note in town.notes("computed")] == ["all", "newest"]
    town.track("A", p="y" * 190)
    assert town.person().traits == {"newest": "y" * 190, "all": ["y" * 190]}
    town.at("1d")
    assert town.person().traits == {"newest": "y" * 190}
    assert list(records(town)) == ["newest"]
    assert records(town)["newest"][2] == -1


def test_of_a_long_list_the_first_items_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "COMPUTED_ITEMS", 2)
    town = Town(trait("{unique_list: {event: A, property: p}}"))
    town.track("A", p=["c", "b", "a"])
    assert town.person().traits == {"t": ["b", "c"]}
    assert len(town.notes("computed")) == 1


def test_computed_traits_do_not_count_against_those_of_clients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "TRAITS", 1)
    town = Town(trait("{count: {event: A}}"))
    town.track("A")
    town.identify(city="Ulm")
    assert town.person().traits == {"t": 1, "city": "Ulm"}


# --- Who writes what ----------------------------------------------------------------------------


def test_what_is_computed_stands_against_what_is_written() -> None:
    town = Town(trait("{count: {event: A}}"))
    town.track("A")
    for _ in range(3):
        town.identify(t=99, city="Ulm")
    assert town.person().traits == {"t": 1, "city": "Ulm"}
    line = "t: a value that was written is not taken: it is computed"
    assert town.notes("computed") == [line], "told once a day"
    town.at("1d")
    town.identify(t=None)
    assert town.person().traits == {"t": 1, "city": "Ulm"}
    assert town.notes("computed") == [line, line]


def test_a_definition_takes_over_a_trait_that_was_written() -> None:
    town = Town("{segment: high, when: {trait: t, at_least: 5}}")
    town.identify(t=99)
    assert "high" in town.person().segments
    town.define(trait("{count: {event: A}}"))
    town.track("A")
    assert town.person().traits == {"t": 1}
    assert "high" not in town.person().segments
    assert town.notes("computed") == ["t: unset what was there: it is computed from now on"]


def test_a_deleted_trait_is_unset_and_forgotten() -> None:
    town = Town(trait("{count: {event: A, within: 9d}}") + "\n---\n" + trait(
        "{count: {event: A}}", "other"))  # fmt: skip
    town.track("A")
    town.define("", ("trait", "t"))
    town.identify(city="Ulm")
    assert town.person().traits == {"other": 1, "city": "Ulm"}
    assert list(records(town)) == ["other"]
    assert not town.person().timers
    town.identify(t=5)
    assert town.person().traits["t"] == 5, "now it is a trait like any other"


def test_another_computation_begins_anew_and_another_length_does_not() -> None:
    town = Town(trait("{count: {event: A, within: 9d}}"))
    town.track("A")
    town.at("2d")
    town.track("A")
    town.define(trait("{count: {event: A, within: 2d}}"))
    town.track("B")
    assert town.person().traits == {"t": 1}
    town.define(trait("{count: {event: A, where: {property: p, is: 1}, within: 2d}}"))
    town.track("B")
    assert town.person().traits == {}
    assert not records(town)
    assert not town.person().timers


# --- Who reads it -------------------------------------------------------------------------------


def test_several_that_time_changes_at_once_are_settled_in_one_pass() -> None:
    town = Town(
        trait("{count: {event: A, within: 1d}}", "a")
        + "\n---\n"
        + trait("{count: {event: A, where: {property: p, is: 1}, within: 1d}}", "b")
        + "\n---\n{segment: some, when: {any: [{trait: a, at_least: 1}, {trait: b, at_least: 1}]}}"
        + "\n---\n{segment: odd, when: [{trait: a, exists: false}, {trait: b, exists: true}]}"
        + "\n---\n{segment: odd2, when: [{trait: b, exists: false}, {trait: a, exists: true}]}"
    )
    town.track("A", p=1)
    town.at("1d")
    moves = [note.partition(":")[0] for note in town.notes("segment")]
    assert moves == ["some", "some"], "nobody was in between"


def test_an_exit_rule_sees_what_time_changes() -> None:
    town = Town(
        f"""
{trait("{count: {event: A, within: 1d}}", "active")}
---
journey: j
entry: {{event: A}}
exit: [{{when: {{not: {{trait: active, exists: true}}}}}}]
steps:
  wait: {{delay: 7d}}
---
{SMS_LANE}
"""
    )
    town.track("A")
    town.at("23h59m59s")
    assert town.running()
    town.at("1d")
    assert not town.running()


def test_an_exit_rule_sees_that_a_trait_was_deleted() -> None:
    town = Town(
        f"""
{trait("{count: {event: A}}", "active")}
---
journey: j
entry: {{event: A}}
exit: [{{when: {{trait: active, exists: false}}}}]
steps:
  wait: {{delay: 7d}}
"""
    )
    town.track("A")
    assert town.running()
    town.define("", ("trait", "active"))
    town.apply(commands.refresh("w/user/ann"))
    assert not town.running()


def test_an_event_that_no_trait_reads_leaves_nothing() -> None:
    town = Town(trait("{count: {event: A, where: {property: p, is: 1}}}"))
    town.track("B")
    town.track("A", p=2)
    assert town.person().state == {}


# --- Merges -------------------------------------------------------------------------------------


def merged(compute: dict[str, Any], *happenings: tuple[str, int, int]) -> tuple[World, Any]:
    """What ann has when she and a visitor, to both of whom something happened, are one."""
    world = World()
    world.define([{"trait": "t", "compute": compute}])
    start_ms = world.now
    for who, second, value in happenings:
        world.turn_to(start_ms + second * 1000)
        person = {"userId": "ann"} if who == "ann" else {"anonymousId": who}
        world.happen({"type": "track", "event": "A", "properties": {"p": value}, **person})
    world.happen({"type": "identify", "userId": "ann", "anonymousId": "a1"})
    ann = world.person("ann")
    assert ann is not None
    return world, ann


def test_sessions_of_two_who_are_one() -> None:
    compute = {"sum": {"event": "A", "property": "p", "session": "30s"}}
    world, ann = merged(compute, ("ann", 0, 1), ("a1", 20, 10), ("ann", 25, 100))
    assert ann.traits["t"] == 111
    world.turn_to(world.start_ms + 54_999)
    assert ann.traits["t"] == 111
    world.turn_to(world.start_ms + 55_000)
    assert "t" not in ann.traits
    assert "computed" not in ann.state


def test_a_capped_part_makes_the_whole_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "COMPUTED_EVENTS", 2)
    monkeypatch.setattr(limits, "COMPUTED_SHARE", 1)
    compute = {"unique_list": {"event": "A", "property": "p"}}
    _, ann = merged(compute, ("ann", 0, 3), ("a1", 1, 2), ("a1", 2, 1))
    assert len(ann.traits["t"]) == 2
    assert ann.state["computed"]["t"][2] == -1
