"""Steps that wait in new ways, and steps that write: bounds, memory, and what is kept."""

import msgpack
import pytest
from journey_helpers import Town

from engine import limits
from engine.journeys.instance import Instance

HOLD = """
journey: j
entry: {event: Go}
steps:
  a:
    hold: 1h
    on: [{event: More, reset: true}, {event: Paid, as: payment, then: b}]
  b: {delay: 1d}
"""


def test_a_time_begins_anew_at_most_so_often_and_that_is_told_once() -> None:
    town = Town(HOLD)
    town.track("Go")
    for minute in range(1, limits.HOLD_RESETS + 10):
        town.at(f"{minute}m")
        town.track("More")
    run = town.only()
    assert run.due_ms == town.start + (limits.HOLD_RESETS + 60) * 60_000
    told = [why for _, _, what, why in run.trail if what == "not reset"]
    assert told == [f"its time began anew {limits.HOLD_RESETS} times"]


def test_a_second_visit_counts_its_resets_anew() -> None:
    town = Town(
        "journey: j\nentry: {event: Go}\nsteps:\n"
        "  a: {hold: 1h, on: [{event: More, reset: true}], resets: 1, timeout: b}\n"
        "  b: {delay: 1h, then: a}"
    )
    town.track("Go")
    town.track("More")
    town.track("More")
    assert town.only().memory == 2
    town.at("2h")
    assert (town.only().step, town.only().memory) == ("a", 0)
    town.track("More")
    assert [what for _, _, what, _ in town.only().trail].count("reset") == 2


def test_memory_and_kept_events_survive_packing_and_older_records_have_none() -> None:
    town = Town(HOLD)
    town.track("Go")
    town.track("More")
    town.track("Paid", total=5)
    run = town.only()
    again = Instance.from_bytes(run.to_bytes())
    assert again.memory == run.memory
    assert {name: msgpack.unpackb(raw) for name, raw in again.aliases.items()} == {
        "payment": {"total": 5}
    }
    values = msgpack.unpackb(run.to_bytes())
    older = Instance.from_bytes(msgpack.packb(values[:14]))
    assert (older.aliases, older.memory, older.step) == ({}, 0, "b")


def test_a_packed_memory_is_the_last_field() -> None:
    run = Instance.begin("0" * 32, "j", 1, "", 0, b"")
    run.memory = 7
    assert msgpack.unpackb(run.to_bytes())[-1] == 7


def test_ranked_paths_forget_the_best_of_an_earlier_visit() -> None:
    town = Town(
        "journey: j\nentry: {event: Go}\nsteps:\n"
        "  a: {paths: [{event: X, then: b}], within: 1h, ranked: true, else: c}\n"
        "  b: {delay: 1h, then: a}\n  c: {end: true}"
    )
    town.track("Go")
    town.track("X")
    town.at("1h")
    assert town.only().step == "b"
    town.at("3h")
    assert town.only().step == "c"


def test_ranked_keeps_the_event_of_the_best_path_as_the_newest() -> None:
    town = Town(
        "journey: j\nentry: {event: Go}\nsteps:\n"
        "  a: {paths: [{event: X, then: b}, {event: Y, then: b}], within: 1h, ranked: true}\n"
        "  b: {delay: 1h}"
    )
    town.track("Go", n=0)
    for name, number in (("Y", 1), ("X", 2), ("Y", 3), ("X", 4)):
        town.track(name, n=number)
    assert msgpack.unpackb(town.only().newest) == {"n": 2}


def test_goals_are_kept_up_to_a_limit() -> None:
    count = limits.GOALS + 3
    town = Town(
        "\n---\n".join(
            f"journey: j{n:02}\nentry: {{event: Go}}\n"
            "steps: {g: {goal: {event: Won}, within: 1d}}"
            for n in range(count)
        )
    )
    town.track("Go")
    town.track("Won")
    assert list(town.person().state["goals"]) == [f"j{n:02}/g" for n in range(3, count)]


@pytest.mark.parametrize("total", [2**53, float("inf"), float("nan"), -(2**53), 2**63 - 1])
def test_a_sum_that_no_reader_could_hold_is_not_written(total: float) -> None:
    town = Town(
        "journey: j\nentry: {event: Go}\nsteps: {a: {update: {add: {n: {from: properties.total}}}}}"
    )
    town.identify(n=1 if total > 0 else -1)
    town.track("Go", total=total)
    assert town.person().traits["n"] in (1, -1)
    assert any(what == "left as it is" for _, _, what, _ in town.only().trail)


def test_a_profile_that_is_full_is_not_updated_and_the_run_goes_on() -> None:
    town = Town(
        "journey: j\nentry: {event: Go}\n"
        "steps: {a: {update: {set: {x: {from: properties.x}}}, then: b}, b: {delay: 1d}}"
    )
    town.identify(big="x" * (limits.TRAIT_BYTES - 2_000))
    town.track("Go", x="y" * 3_000)
    assert "x" not in town.person().traits
    assert town.only().step == "b"
    assert any("TRAITS_FULL" in why for _, _, _, why in town.only().trail)


def test_an_event_that_would_be_too_large_is_not_emitted() -> None:
    town = Town(
        "journey: j\nentry: {event: Go}\n"
        "steps: {a: {emit: {event: X, properties: {a: {from: properties.x}, b: {from: first.x}}}}}"
        "\n---\njourney: k\nentry: {event: X}\nsteps: {a: {delay: 1d}}"
    )
    town.track("Go", x="y" * 20_000)
    assert [run.journey for run in town.ended()] == ["j"]
    assert not town.running()
    assert any(what == "not emitted" for _, _, what, _ in town.ended()[0].trail)


def test_an_emitted_event_has_an_id_of_its_own_and_counts_from_now() -> None:
    town = Town(
        "journey: j\nentry: {event: Go}\nsteps: {a: {delay: 1h, then: b}, b: {emit: {event: X}}}\n"
        "---\nsegment: s\nwhen: {event: X, at_least: 1, within: 1h}"
    )
    town.track("Go")
    town.at("2h")
    assert "s" not in town.person().segments  # it left at the very second
    notes = town.notes("segment")
    assert len(notes) == 2


def test_many_values_that_are_not_found_are_told_in_few_lines() -> None:
    values = ", ".join(f"x{n}: {{from: traits.y{n}}}" for n in range(200))
    town = Town(
        "journey: j\nentry: {event: Go}\nsteps:\n"
        f"  a: {{update: {{set: {{{values}}}}}, then: b}}\n  b: {{delay: 1d}}"
    )
    town.track("Go")
    run = town.only()
    assert run.step == "b"
    told = [why for _, _, what, why in run.trail if what == "left as it is"]
    assert len(told) == 11
    assert told[-1] == "190 more traits"


def test_lines_of_trails_are_bounded() -> None:
    values = ", ".join(f"{n}{'x' * 190}: 1" for n in range(200))
    town = Town(
        "journey: j\nentry: {event: Go}\nsteps:\n"
        f"  a: {{update: {{set: {{{values}}}}}, then: b}}\n  b: {{delay: 1d}}"
    )
    town.track("Go")
    run = town.only()
    assert max(len(why) for *_, why in run.trail) == limits.WHY_CHARS
    town.person().note(town.now, "x", "", "y" * 5_000)
    assert len(town.person().trail_lines()[-1][3]) == limits.WHY_CHARS
