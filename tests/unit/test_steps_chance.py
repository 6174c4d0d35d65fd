"""Random branches and experiments: shares are kept, people too."""

from collections import Counter
from itertools import pairwise

import pytest
from journey_helpers import Town

from engine import limits
from engine.journeys.steps.chance import Draw, ShareModel, number_of

PEOPLE = 3_000


def drawn(town: Town, event: str) -> Counter[str]:
    steps: Counter[str] = Counter()
    for number in range(PEOPLE):
        user = f"u{number}"
        town.track(event, user)
        steps[town.only(user).step] += 1
    return steps


def test_each_branch_gets_its_share_and_two_steps_draw_for_themselves() -> None:
    draw = Draw([ShareModel(percent=10), ShareModel(percent=20.5), ShareModel(percent=69.5)])
    counts = Counter(draw.index("key", number) for number in range(20_000))
    for index, share in enumerate((0.1, 0.205, 0.695)):
        assert abs(counts[index] / 20_000 - share) < 0.01
    half = Draw([ShareModel(percent=50), ShareModel(percent=50)])
    both = Counter((half.index(n, "a"), half.index(n, "b")) for n in range(20_000))
    assert all(abs(count / 20_000 - 0.25) < 0.02 for count in both.values())


def test_parts_are_told_apart() -> None:
    assert number_of("ab", "c") != number_of("a", "bc")
    assert number_of("a", 1) == number_of("a", "1")


@pytest.mark.parametrize("sticky", ["true", "false"])
def test_a_random_step_shares_people_out(sticky: str) -> None:
    town = Town(
        "journey: j\nentry: {event: Go}\nsteps:\n"
        f"  r: {{random: [{{percent: 25, then: a}}, {{percent: 75, then: b}}], sticky: {sticky}}}\n"
        "  a: {end: true}\n  b: {end: true}"
    )
    counts = drawn(town, "Go")
    assert abs(counts["a"] / PEOPLE - 0.25) < 0.03
    assert counts["a"] + counts["b"] == PEOPLE


def test_a_visit_in_a_loop_draws_anew_unless_it_is_sticky() -> None:
    for sticky, ways in (("false", {"a", "b"}), ("true", None)):
        ways_out = "[{percent: 50, then: a}, {percent: 50, then: b}]"
        town = Town(
            "journey: j\nentry: {event: Go}\nsteps:\n"
            f"  r: {{random: {ways_out}, sticky: {sticky}}}\n"
            "  a: {delay: 1d, then: r}\n  b: {delay: 1d, then: r}"
        )
        town.track("Go")
        town.at("15d")
        seen = {step for _, step, what, _ in town.only().trail if what == "entered"} - {"r"}
        assert seen == ways if ways else len(seen) == 1


def test_an_experiment_of_the_same_name_gives_the_same_variant_without_a_memory() -> None:
    steps = (
        "  t: {experiment: {name: x, variants: [{name: a, percent: 50, then: a},"
        " {name: b, percent: 40, then: b}], control: {percent: 10, then: c}}}\n"
        "  a: {end: true}\n  b: {end: true}\n  c: {end: true}"
    )
    town = Town(
        f"journey: j\nentry: {{event: Go}}\nsteps:\n{steps}\n---\n"
        f"journey: k\nentry: {{event: Again}}\nsteps:\n{steps}"
    )
    counts = drawn(town, "Go")
    for name, share in (("a", 0.5), ("b", 0.4), ("c", 0.1)):
        assert abs(counts[name] / PEOPLE - share) < 0.03
    for number in range(100):
        user = f"u{number}"
        del town.person(user).state["experiments"]
        before = town.only(user).step
        town.track("Again", user)
        assert town.ended(user)[-1].step == before


def test_a_person_keeps_the_variants_of_so_many_experiments_the_oldest_go() -> None:
    count = limits.EXPERIMENTS + 5
    town = Town(
        "\n---\n".join(
            f"journey: j{n}\nentry: {{event: Go{n}}}\nsteps: {{t: {{experiment: {{name: x{n}, "
            "variants: [{name: a, percent: 100}]}}}"
            for n in range(count)
        )
    )
    for number in range(count):
        town.track(f"Go{number}")
    kept = list(town.person().state["experiments"])
    assert kept == [f"x{n}" for n in range(5, count)]


def test_a_variant_without_a_name_is_called_by_its_step() -> None:
    town = Town(
        "journey: j\nentry: {event: Go}\nsteps:\n"
        "  t: {experiment: {name: x, variants: [{percent: 100, then: a}]}}\n  a: {end: true}"
    )
    town.track("Go")
    assert town.person().state["experiments"]["x"][0] == "a"


def passes(town: Town, start: int) -> list[int]:
    """The minutes at which people left the rate step."""
    minutes = []
    for number in range(PEOPLE):
        left = next(ms for ms, step, _, _ in town.only(f"u{number}").trail if step == "b")
        minutes.append((left - start) // 60_000)
    return minutes


@pytest.mark.parametrize("waves", [1, 3])
def test_a_rate_lets_so_many_pass_a_minute_however_they_come(waves: int) -> None:
    town = Town(
        f"journey: j\nentry: {{event: Go}}\nsteps:\n"
        f"  a: {{rate: {{per_minute: 100, people: {PEOPLE}}}, then: b}}\n  b: {{end: true}}"
    )
    for wave in range(waves):
        town.at(f"{1 + wave * 7}m")
        for number in range(wave, PEOPLE, waves):
            town.track("Go", f"u{number}")
    town.at("2h")
    counts = Counter(passes(town, town.start))
    assert max(counts.values()) < 145
    assert max(counts) <= 1 + (waves - 1) * 7 + PEOPLE // 100
    if waves == 1:
        assert min(counts[minute] for minute in range(1, 31)) > 60


def test_a_person_has_one_place_in_each_cycle() -> None:
    town = Town(
        "journey: j\nentry: {event: Go}\nsteps:\n"
        "  a: {rate: {per_minute: 10, people: 600}, then: a}"
    )
    town.track("Go")
    town.at("5h")
    moments = [ms for ms, _, _, _ in town.only().trail]
    gaps = {later - sooner for sooner, later in pairwise(moments[1:])}
    assert gaps == {3_600_000}
