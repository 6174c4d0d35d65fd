"""Conditions: when each is true, when time will change it, and what it reads."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import ValidationError

from engine import limits
from engine.conditions import Compiled, compile_all
from engine.conditions.registry import read

DAY = 86_400_000
NOW = 1_000 * DAY


@dataclass
class Facts:
    traits: dict[str, Any] = field(default_factory=dict)
    windows: dict[str, list[Any]] = field(default_factory=dict)
    segments: dict[str, int] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    id: str = "ann"
    kind: str = "user"


def compiled(value: Any) -> Compiled:
    return read(value).compile()


def windows(condition: Compiled) -> list[tuple[str, int]]:
    return [(window.name, window.horizon_ms) for window in condition.windows]


OPERATORS: list[tuple[dict[str, Any], list[Any], list[Any]]] = [
    ({"is": "a"}, ["a"], ["A", "b", "", 1, True, ["a"]]),
    ({"is": 1}, [1, 1.0], [True, "1", 2]),
    ({"is": True}, [True], [1, "true", False]),
    ({"is": False}, [False], [0, "", True]),
    ({"is_not": "a"}, ["b", 1, ["a"]], ["a"]),
    ({"is_not": 1}, [True, 2, "1"], [1]),
    ({"in": ["a", "b"]}, ["a", "b"], ["c", 1, ["a"]]),
    ({"in": [1, "a", True]}, [1, "a", True], [2, False, "1"]),
    ({"in": [1]}, [1, 1.0], [True]),
    ({"not_in": ["a", "b"]}, ["c", 1, ["a"]], ["a", "b"]),
    ({"above": 10}, [11, 10.5], [10, 9, "11", True]),
    ({"at_least": 10}, [10, 11], [9.99, "10"]),
    ({"below": 10}, [9, -1, 0.5], [10, "9", False]),
    ({"at_most": 10}, [10, 9], [10.01]),
    ({"above": "2026-01-01"}, ["2026-01-02", "2026-01-01T00:00:00Z"], ["2025-12-31", 2027]),
    ({"at_least": 18, "below": 65}, [18, 64], [17, 65]),
    ({"contains": "ell"}, ["hello", "ell"], ["help", 5]),
    ({"contains": "red"}, [["red", "blue"], "reddish"], [["reddish"], []]),
    ({"contains": 1}, [[1, 2]], [[True], [2], "1", 1]),
    ({"contains_any": ["ell", "x"]}, ["hello", "axe", ["x"]], ["help", 5, ["xx"]]),
    ({"not_contains": "ell"}, ["help", 5, [], True], ["hello", ["ell"]]),
    ({"before": "2026-05-01"}, ["2026-04-30", "2026-04-30T23:59:59.999Z"], ["2026-05-01", True]),
    ({"before": "2026-05-01"}, [1_777_593_599, 1_777_593_599_999, 5], [1_777_593_600, "x"]),
    ({"after": "2026-05-01"}, ["2026-05-01T00:00:00.001Z", "2026-05-02"], ["2026-05-01", True, ""]),
    ({"starts_with": "+44"}, ["+447"], ["447", 44, ["+44"]]),
    ({"ends_with": "@x.com"}, ["a@x.com"], ["a@x.com ", 1]),
    ({"exists": True}, ["", 0, False, []], [None]),
    ({"exists": False}, [None], ["", 0, False]),
]


@pytest.mark.parametrize(("operators", "holds", "fails"), OPERATORS)
def test_operators(operators: dict[str, Any], holds: list[Any], fails: list[Any]) -> None:
    trait, property_ = (
        compiled({"trait": "k", **operators}),
        compiled({"property": "k", **operators}),
    )
    for value in (*holds, *fails):
        expected = any(value is one for one in holds)
        assert trait.check(Facts({"k": value}), NOW, {}) == (expected, None), value
        assert property_.check(Facts(), NOW, {"k": value}) == (expected, None), value


@pytest.mark.parametrize(("operators", "_holds", "_fails"), OPERATORS)
def test_what_is_missing_fails_all_but_the_negative_operators(
    operators: dict[str, Any], _holds: list[Any], _fails: list[Any]
) -> None:
    negative = operators.keys() & {"is_not", "not_in", "not_contains"} or operators == {
        "exists": False
    }
    for traits in ({}, {"a": {}}, {"a": 5}, {"a": {"b": {"x": 1}}}):
        check = compiled({"trait": "a.b.c", **operators}).check
        assert check(Facts(traits), NOW, {})[0] == bool(negative)


def test_a_dotted_path_reads_inside_maps() -> None:
    condition = compiled({"trait": "address.city.name", "is": "Graz"})
    assert condition.check(Facts({"address": {"city": {"name": "Graz"}}}), NOW, {})[0]
    assert condition.traits == ("address",)


def days_ago(*days: float) -> Facts:
    return Facts(windows={"X": sorted(int(NOW - day * DAY) for day in days)})


@pytest.mark.parametrize(
    ("count", "facts", "expected"),
    [
        ({"at_least": 3}, days_ago(1, 2), (False, None)),
        ({"at_least": 3}, days_ago(1, 2, 3), (True, NOW + 4 * DAY)),
        ({"at_least": 3}, days_ago(1, 2, 3, 4), (True, NOW + 4 * DAY)),  # the 3rd newest counts
        ({"at_least": 3}, days_ago(1, 2, 7), (False, None)),  # leaves at exactly ts + within
        ({"at_least": 1}, days_ago(7 - 1 / DAY), (True, NOW + 1)),
        ({}, days_ago(6), (True, NOW + DAY)),  # at least once, if not said
        ({"at_most": 1}, days_ago(), (True, None)),
        ({"at_most": 1}, days_ago(1), (True, None)),
        ({"at_most": 1}, days_ago(1, 2, 5), (False, NOW + 5 * DAY)),  # when the 2nd newest leaves
        ({"at_most": 0}, days_ago(1, 3), (False, NOW + 6 * DAY)),  # when the last one leaves
        ({"exactly": 0}, days_ago(8), (True, None)),
        ({"exactly": 0}, days_ago(1), (False, NOW + 6 * DAY)),
        ({"exactly": 2}, days_ago(1), (False, None)),
        ({"exactly": 2}, days_ago(1, 2), (True, NOW + 5 * DAY)),
        ({"exactly": 2}, days_ago(1, 2, 3), (False, NOW + 4 * DAY)),
        ({"at_least": 1, "at_most": 2}, days_ago(1, 2), (True, NOW + 6 * DAY)),
        ({"at_least": 1, "at_most": 2}, days_ago(1, 2, 3), (False, NOW + 4 * DAY)),
    ],
)
def test_event_counts_within(
    count: dict[str, int], facts: Facts, expected: tuple[bool, int | None]
) -> None:
    condition = compiled({"event": "X", **count, "within": "7d"})
    assert condition.check(facts, NOW, {}) == expected
    assert windows(condition) == [("X", 7 * DAY)]


def test_event_counts_without_within_never_change_by_time() -> None:
    condition = compiled({"event": "X", "at_least": 2})
    assert condition.check(days_ago(300, 350), NOW, {}) == (True, None)
    assert condition.check(days_ago(1), NOW, {}) == (False, None)
    assert condition.check(Facts(), NOW, {}) == (False, None)
    assert windows(condition) == [("X", 0)]


def test_membership() -> None:
    condition = compiled({"segment": "vip"})
    assert condition.check(Facts(segments={"vip": 5}), NOW, {}) == (True, None)
    assert condition.check(Facts(), NOW, {}) == (False, None)
    assert condition.segments == ("vip",)


ONCE = {"event": "X", "at_least": 1, "within": "7d"}
TWICE = {"event": "X", "at_least": 2, "within": "7d"}
NEVER = {"event": "Y", "at_most": 0, "within": "7d"}
RICH = {"trait": "rich", "is": True}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"all": [ONCE, TWICE]}, (True, NOW + 5 * DAY)),  # the first that fails ends it
        ([ONCE, TWICE], (True, NOW + 5 * DAY)),
        ({"any": [ONCE, TWICE]}, (True, NOW + 6 * DAY)),  # while one holds, it holds
        ({"not": TWICE}, (False, NOW + 5 * DAY)),
        ({"all": [ONCE, RICH]}, (False, None)),  # time alone cannot make anyone rich
        ({"any": [ONCE, {"not": RICH}]}, (True, None)),
        ({"any": [RICH, NEVER]}, (False, NOW + 4 * DAY)),
        ({"all": [TWICE, NEVER]}, (False, NOW + 4 * DAY)),
        ({"all": [{"not": TWICE}, NEVER]}, (False, NOW + 5 * DAY)),  # both have to change
        ({"all": [{"any": [RICH, ONCE]}, {"not": NEVER}]}, (True, NOW + 4 * DAY)),
    ],
)
def test_combinations(condition: Any, expected: tuple[bool, int | None]) -> None:
    facts = Facts(windows={"X": [NOW - 2 * DAY, NOW - DAY], "Y": [NOW - 3 * DAY]})
    assert compiled(condition).check(facts, NOW, {}) == expected


def test_a_condition_names_all_that_it_reads_once() -> None:
    condition = compiled(
        {"all": [{"any": [RICH, {"trait": "rich.er", "exists": True}]}, {"not": {"segment": "s"}},
                 ONCE, TWICE, {"property": "p", "is": 1}]}
    )  # fmt: skip
    assert (condition.traits, condition.segments) == (("rich",), ("s",))
    assert windows(condition) == [("X", 7 * DAY)]
    assert condition.reads_properties
    assert not compiled([RICH, ONCE]).reads_properties


def test_words_are_what_a_person_would_say() -> None:
    assert [
        compiled(condition).words
        for condition in (
            {"trait": "a", "at_least": 1, "below": 5},
            {"trait": "a", "in": ["x", 2]},
            {"property": "a", "exists": False},
            {"event": "X", "within": "90d"},
            {"event": "X", "exactly": 2},
            {"event": "X", "at_most": 2},
            {"event": "X", "at_least": 1, "at_most": 2},
            {"all": [{"any": [RICH, {"segment": "s"}]}, {"not": RICH}]},
        )
    ] == [
        "trait 'a' at least 1 and below 5",
        "trait 'a' in 'x', 2",
        "property 'a' does not exist",
        "event 'X' at least 1 times within 90d",
        "event 'X' exactly 2 times",
        "event 'X' at most 2 times",
        "event 'X' 1 to 2 times",
        "(trait 'rich' is true or in segment 's') and not (trait 'rich' is true)",
    ]


def test_no_filters_compile_to_nothing() -> None:
    assert compile_all([]) is None


def test_a_bucket_is_a_stable_part_of_all_people() -> None:
    people = [Facts(id=f"user-{n}") for n in range(4_000)]

    def members(bucket: dict[str, Any]) -> set[str]:
        check = compiled({"bucket": bucket}).check
        return {person.id for person in people if check(person, NOW, {})[0]}

    ten, twenty = members({"percent": 10, "salt": "x"}), members({"percent": 20, "salt": "x"})
    rest = members({"from": 20, "salt": "x"})
    assert 330 < len(ten) < 470
    assert ten < twenty
    assert twenty | rest == {person.id for person in people}
    assert not twenty & rest
    assert len(ten & members({"percent": 10, "salt": "y"})) < 80  # another salt, other people
    assert sorted(members({"percent": 0.1, "salt": "x"})) == [
        "user-1490",
        "user-2158",
        "user-2334",
    ]  # for ever


def test_lists_name_users() -> None:
    check = compiled({"list": ["ann", "bob"]}).check
    people = [Facts(id="ann"), Facts(id="cid"), Facts(id="ann", kind="anonymous")]
    assert [check(person, NOW, {})[0] for person in people] == [True, False, False]


def test_consents() -> None:
    condition = compiled({"consent": "news", "channel": "email", "is": "unsubscribed"})
    assert condition.facts == ("consent:email/news",)
    assert not condition.check(Facts(), NOW, {})[0]
    facts = Facts(state={"consents": {"email/news": ["unsubscribed", 5]}})
    assert condition.check(facts, NOW, {})[0]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"bucket": {"percent": 10, "from": 5}}, "either 'percent' or 'from' and 'to'"),
        ({"bucket": {"salt": "x"}}, "either 'percent' or 'from' and 'to'"),
        ({"bucket": {"percent": 0}}, "the bucket holds nobody"),
        ({"bucket": {"percent": 101}}, "must be a number from 0 to 100, not the number 101"),
        ({"bucket": {"percent": True}}, "must be a number from 0 to 100, not true"),
        ({"bucket": {"percent": 0.001}}, "finer than a hundredth of a percent"),
        ({"list": []}, "must be a list of user ids, not an empty list"),
        ({"list": [5]}, "holds the number 5, which is not a user id"),
        ({"list": ["x"] * (limits.LIST_USERS + 1)}, "has 10001 ids, more than 10000"),
        ({"everyone": False}, "everyone"),
        ({"consent": "news", "channel": "mail"}, "the text 'mail' is not a channel"),
        ({"consent": "news", "channel": "sms", "is": "yes"}, "Input should be 'subscribed'"),
        ({"event": "X", "where": {"trait": "t", "is": 1}}, "reads their properties and nothing"),
        ({"event": "X", "where": {"event": "Y"}}, "reads their properties and nothing"),
        ({"event": "X", "where": {"segment": "s"}}, "reads their properties and nothing"),
        ({"event": "X", "where": {"context": "locale", "is": "de"}}, "reads their properties"),
        ({"event": "X", "from": "2026-01-02", "to": "2026-01-02"}, "no event lies from 'from'"),
        ({"event": "X", "from": "2026-01-02", "within": "7d"}, "'within' stands beside 'from'"),
        ({"event": "X", "first": {"within_last": "7d"}, "at_least": 2}, "stand alone"),
        ({"event": "X", "first": {"within_last": "7d"}, "last": {"within_last": "1d"}}, "alone"),
        ({"event": "X", "last": {}}, "asks nothing"),
        ({"event": "X", "last": {"where": {"trait": "t", "is": 1}}}, "reads their properties"),
    ],
)
def test_what_is_refused(condition: Any, message: str) -> None:
    with pytest.raises(ValidationError) as error:
        read(condition)
    assert message in str(error.value)


def test_the_words_of_a_condition_are_bounded() -> None:
    parts = [{"trait": f"t{n}", "is": "x" * 2_000} for n in range(20)]
    words = read({"not": {"all": parts}}).compile().words
    assert len(words) == limits.WORDS_CHARS
    assert words.endswith("…")
