"""Programs: what a set of documents becomes, and that its history does not matter."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from journey_helpers import SMS_LANE, Town

from actors.queries import ask
from engine import limits, profile
from engine.issues import DefinitionError
from engine.program import EMPTY, Body, Program, advance

DAY = 86_400_000


def segment(name: str, when: Any) -> tuple[str, str, Body]:
    return ("segment", name, {"segment": name, "when": when})


def journey(name: str, event: str = "Go", delay: str = "1d") -> tuple[str, str, Body]:
    body = {"journey": name, "entry": {"event": event}, "steps": {"a": {"delay": delay}}}
    return ("journey", name, body)


def names(items: Any) -> list[str]:
    return [item.name for item in items]


def horizons(program: Program) -> dict[str, int]:
    return {name: window.horizon_ms for name, window in program.index.windows.items()}


def test_the_empty_program_knows_nothing() -> None:
    assert (EMPTY.version, EMPTY.documents, EMPTY.segments, EMPTY.listened) == (0, {}, {}, {})


def test_segments_are_found_by_what_they_read_and_stand_after_what_they_read() -> None:
    program = advance(
        EMPTY,
        1,
        [
            segment("a", {"all": [{"segment": "z"}, {"trait": "plan.name", "is": "x"}]}),
            segment("m", {"any": [{"event": "X", "within": "7d"}, {"trait": "plan", "is": "y"}]}),
            segment("z", {"event": "X", "at_least": 2, "within": "30d"}),
        ],
    )
    assert list(program.segments) == ["z", "a", "m"]
    (kept,) = program.index.by_event["X"]
    assert names(kept.segments) == ["z", "m"]
    assert names(program.index.by_trait["plan"]) == ["a", "m"]
    assert names(program.index.by_segment["z"]) == ["a"]


def test_windows_keep_the_longest_look_back_of_segments_and_of_all_kept_journeys() -> None:
    counting = {
        "journey": "j",
        "entry": {"event": "Go", "where": [{"event": "E", "within": "3d"}]},
        "exit": [{"event": "Out", "where": [{"event": "O"}]}],
        "steps": {
            "h": {
                "hold": "1h",
                "on": [{"event": "B", "where": [{"event": "X", "within": "9d"}], "then": "s"}],
            },
            "s": {"split": [{"when": {"event": "S", "within": "1d"}}]},
        },
    }
    program = advance(
        EMPTY,
        1,
        [
            segment("short", {"event": "X", "within": "7d"}),
            segment("both", [{"event": "E", "within": "7d"}, {"event": "F", "within": "1d"}]),
            segment("ever", {"event": "F"}),
            ("journey", "j", counting),
        ],
    )
    expected = {"E": 7 * DAY, "F": 0, "O": 0, "S": DAY, "X": 9 * DAY}
    assert horizons(program) == expected
    replaced = advance(program, 2, [journey("j")])
    assert horizons(replaced) == expected  # instances of version 1 may still ask


def test_only_the_newest_version_of_a_journey_takes_people_in() -> None:
    program = advance(EMPTY, 1, [journey("j"), journey("k"), journey("l", "Other")])
    program = advance(program, 2, [journey("j", "Went")])
    assert sorted(program.journeys) == [("j", 1), ("j", 2), ("k", 1), ("l", 1)]
    assert {event: names(who) for event, who in program.listened.items()} == {
        "Go": ["k"], "Went": ["j"], "Other": ["l"],
    }  # fmt: skip
    program = advance(program, 3, [("journey", "k", None), ("journey", "j", None)])
    assert {event: names(who) for event, who in program.listened.items()} == {
        "Go": [], "Went": [], "Other": ["l"],
    }  # fmt: skip
    assert sorted(program.journeys) == [("j", 1), ("j", 2), ("k", 1), ("l", 1)]


def test_a_deleted_definition_is_gone_and_its_history_stays() -> None:
    document = segment("s", {"trait": "x", "is": 1})
    program = advance(EMPTY, 1, [document])
    program = advance(program, 2, [("segment", "s", None)])
    assert not program.segments
    assert not program.index.by_trait
    assert program.documents["segment", "s"] == [(1, document[2]), (2, None)]
    assert ("segment", "s") not in program.models


def test_a_document_that_did_not_change_keeps_its_version() -> None:
    program = advance(EMPTY, 1, [journey("j")])
    again = advance(program, 2, [journey("j")])
    assert (again.version, list(again.journeys)) == (2, [("j", 1)])
    assert again.journeys["j", 1] is program.journeys["j", 1]


def test_versions_are_kept_up_to_the_limit() -> None:
    program = EMPTY
    for version in range(1, limits.VERSIONS + 4):
        program = advance(program, version, [journey("j", delay=f"{version}h")])
    kept = [("j", version) for version in range(4, limits.VERSIONS + 4)]
    assert list(program.journeys) == kept
    assert [version for version, _ in program.documents["journey", "j"]] == [v for _, v in kept]


def test_the_program_before_is_left_as_it_was() -> None:
    program = advance(EMPTY, 1, [journey("j"), segment("s", {"event": "X"})])
    before = (dict(program.documents), dict(program.journeys), dict(program.segments))
    histories = {label: list(history) for label, history in program.documents.items()}
    advance(program, 2, [journey("j", "Other"), ("segment", "s", None)])
    assert (program.documents, program.journeys, program.segments) == before
    assert program.documents == histories
    assert Program() == EMPTY


def test_the_order_of_documents_in_a_change_does_not_matter() -> None:
    changes = [journey("a"), journey("b"), segment("s", {"segment": "t"}),
               segment("t", {"event": "X"}), segment("u", {"event": "X"})]  # fmt: skip
    one, other = advance(EMPTY, 1, changes), advance(EMPTY, 1, changes[::-1])
    for field in ("segments", "journeys"):
        assert list(getattr(one, field)) == list(getattr(other, field))
    assert list(one.index.windows) == list(other.index.windows)
    assert names(one.listened["Go"]) == names(other.listened["Go"]) == ["a", "b"]
    assert names(one.index.by_event["X"][0].segments) == ["t", "u"]
    assert names(other.index.by_event["X"][0].segments) == ["t", "u"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("journey", "j", {"journey": "j"}), "journey 'j': 'entry' is missing\n"),
        (("thing", "t", {}), "thing 't': there is no kind 'thing' of definition"),
        (
            ("template", "t", {"template": "t", "channel": "sms", "body": "{{ x"}),
            "template 't': line 1: unexpected end of input, expected end of variable block",
        ),
    ],
)
def test_what_was_not_checked_is_refused(change: Any, message: str) -> None:
    with pytest.raises(DefinitionError) as error:
        advance(EMPTY, 1, [change])
    assert str(error.value).startswith(message)


def test_whoever_tells_senders_of_lanes_tells_them_of_the_guard() -> None:
    town = Town(f"{SMS_LANE}---\n{{guard: default, mode: monitor}}")
    (version, told) = ask(town.shard, "lanes", {"workspace": "w"})["w"]
    assert version == 1
    assert sorted(told) == ["guard/default", "sms-main"]
    town.define("", ("guard", "default"))
    assert sorted(ask(town.shard, "lanes", {"workspace": ""})["w"][1]) == ["sms-main"]


def test_what_was_added_since_a_version_is_told_only_if_nothing_else_concerns_people() -> None:
    bought = {"event": "Bought", "at_least": 1, "within": "30d"}
    steps = [
        [segment("z", bought), journey("j", "Go")],
        [segment("a", {"segment": "z"}), segment("m", {"trait": "plan", "is": "pro"})],
        [("lane", "sms-main", yaml.safe_load(SMS_LANE))],
        [segment("b", {"trait": "plan", "is": "free"})],
    ]
    program = EMPTY
    for version, changes in enumerate(steps, 1):
        program = advance(program, version, changes)
    told = {version: program.added_since(version) for version in range(5)}
    assert told[0] is None, "a journey came, too"
    assert [names(told[version]) for version in (1, 2, 3, 4)] == [["a", "b", "m"], ["b"], ["b"], []]
    for change in (segment("b", bought), ("segment", "b", None), journey("k"), journey("j", "No")):
        changed = advance(program, 5, [change])
        assert changed.added_since(4) is None
        assert changed.added_since(5) == ()
    again = advance(advance(program, 5, [("segment", "b", None)]), 6, [steps[3][0]])
    assert again.added_since(4) is None, "it was another one"


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40)), min_size=1, max_size=25))
def test_who_catches_up_with_new_segments_is_as_who_is_evaluated_anew(
    deeds: list[tuple[int, int]],
) -> None:
    def live(by_parts: bool) -> list[bytes]:
        town = Town("segment: a\nwhen: {event: Bought, at_least: 2, within: 10d}")
        with pytest.MonkeyPatch.context() as patch:
            if not by_parts:
                patch.setattr(profile, "catch_up", profile.refresh)
            for number, (what, hours) in enumerate(deeds):
                if number == len(deeds) // 3:
                    town.define(
                        "segment: b\nwhen: {event: Bought, at_least: 1, within: 3d}\n---\n"
                        "segment: c\nwhen: {all: [{segment: a}, {trait: plan, is: pro}]}"
                    )
                if number == len(deeds) * 2 // 3:
                    town.define("segment: d\nwhen: {not: {segment: b}}")
                town.now += hours * 3_600_000
                user = "ann" if what % 2 else "bob"
                if what < 4:
                    town.track("Bought", user)
                else:
                    town.identify(user, plan="pro" if hours % 2 else "free")
        names_ = [user for user in ("ann", "bob") if town.shard.peek(f"w/user/{user}") is not None]
        return [town.person(user).pack() for user in names_]

    assert live(by_parts=True) == live(by_parts=False)
