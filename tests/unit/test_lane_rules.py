"""What follows from a carrier's answers: rules, the circuit, presets, and how they are written."""

import re
from typing import Any

import pytest

from engine import definitions, limits
from engine.issues import DefinitionError
from engine.lanes.carrier_rules import SHIPPED, ReactionModel, Reactions, plain_code
from engine.lanes.circuit import Circuit, CircuitRule, State
from engine.lanes.definition import account_of, lane_from
from engine.lanes.presets import PRESETS
from engine.lanes.queue import LaneQueue, QueuedMessage
from engine.lanes.rates import UNLIMITED, Limit, Room
from engine.lanes.turns import Contender, Turns
from engine.program import EMPTY, advance

LANE = {"lane": "l", "channel": "sms", "carrier": "sandbox"}


def reactions(*rules: dict[str, Any]) -> Reactions:
    return Reactions([ReactionModel.model_validate(rule).compile() for rule in rules])


def test_a_rule_needs_as_many_answers_in_its_time_as_it_says() -> None:
    rule = {"when": {"code": "88"}, "then": "slow", "to": "50%", "for": "30s", "after": "3 in 10s"}
    some = reactions(rule)
    for at_ms in (0, 8_000, 16_000, 20_000):
        assert not some.saw("throttled", "88", "", at_ms)
    assert some.percent(20_000) == 100
    assert some.saw("throttled", "0x58", "", 25_000)
    assert some.percent(54_999) == 50
    assert some.percent(55_000) == 100
    assert not some.saw("throttled", "88", "", 25_001), "it begins to count anew"


def test_the_strictest_reaction_counts_and_each_says_why() -> None:
    some = reactions(
        {"when": {"code": "4xx"}, "then": "slow", "to": "50%", "for": "10s"},
        {"when": {"text": "too many"}, "then": "slow", "to": "10%", "for": "5s"},
        {"when": {"code": "421", "outcome": "failed"}, "then": "suspend", "for": "1m"},
    )
    assert some.saw("throttled", "421", "4.7.0 Too Many messages", 0)
    assert (some.percent(0), some.percent(5_000), some.percent(10_000)) == (10, 50, 100)
    assert some.suspended_until(0) == 0
    assert some.saw("failed", "421", "", 1_000)
    assert some.suspended_until(2_000) == 61_000
    why = [each["why"] for each in some.status(2_000)]
    assert "suspended for 1m: the carrier said 'failed, 421'" in why


def test_a_changed_rule_begins_anew_and_one_that_stays_goes_on() -> None:
    kept = {"when": {"code": "1"}, "then": "suspend", "for": "1m"}
    gone = {"when": {"code": "1"}, "then": "slow", "to": "5%", "for": "1m"}
    some = reactions(kept, gone)
    some.saw("failed", "1", "", 0)
    some.configure([ReactionModel.model_validate(kept).compile()])
    assert (some.suspended_until(1), some.percent(1)) == (60_000, 100)


def test_the_rules_that_come_with_carriers() -> None:
    smpp = Reactions(SHIPPED["smpp"])
    for at_ms in range(3):
        smpp.saw("throttled", "88", "", at_ms)
    assert smpp.percent(3) == 50
    http = Reactions(SHIPPED["twilio"])
    for at_ms in range(5):
        http.saw("failed", "503", "Service Unavailable", at_ms)
    assert http.suspended_until(5) == 15_004
    smtp = Reactions(SHIPPED["smtp"])
    for at_ms in range(5):
        smtp.saw("rejected", "550", "5.1.1 no such user", at_ms)
    assert smtp.suspended_until(5) == 0
    for at_ms in range(5):
        smtp.saw("rejected", "554", "5.7.1 listed on a block list", at_ms)
    assert smtp.suspended_until(5) == 900_004
    assert lane_from({**LANE, "carrier": "smpp"}).reactions == SHIPPED["smpp"]
    assert lane_from({**LANE, "carrier": "smpp", "shipped_reactions": False}).reactions == ()


@pytest.mark.parametrize(
    "text", ["(a+)+", r"(x)\1", "a*b*c*", "a?b?c?", "(?=a)", "x{1,}y+z*", "[", "",
             "|".join("a" * 21), "x" * (limits.REACTION_PATTERN_CHARS + 1)],
)  # fmt: skip
def test_no_expression_is_taken_that_words_could_make_slow(text: str) -> None:
    rule = {"when": {"text": text}, "then": "suspend", "for": "1m"}
    with pytest.raises(DefinitionError, match="text"):
        lane_from({**LANE, "reactions": [rule]})


def test_only_the_beginning_of_a_carriers_words_is_looked_at() -> None:
    some = reactions({"when": {"text": "spam"}, "then": "suspend", "for": "1m"})
    assert not some.saw("rejected", "", "x" * limits.REACTION_TEXT_CHARS + "spam", 0)


def test_codes_are_one_in_every_dialect() -> None:
    assert {plain_code(code) for code in ("88", "0x58", "0x00000058", "0X58")} == {"88"}
    assert plain_code("0xzz") == "0xzz"


RULE = CircuitRule(failures=4, window_ms=10_000, share=50, open_ms=1_000, longest_ms=3_000)


def opened() -> Circuit:
    circuit = Circuit(RULE)
    circuit.saw(0, 4, 0, probe=False, why="timeout")
    assert circuit.state is State.OPEN
    return circuit


def test_a_circuit_opens_when_enough_and_half_of_all_has_failed() -> None:
    circuit = Circuit(RULE)
    circuit.saw(100, 4, 0, probe=False)
    assert circuit.room(0) == UNLIMITED
    circuit.saw(0, 96, 1, probe=False, why="timeout")
    assert (circuit.room(1), circuit.until_ms) == (0, 1_001)
    assert circuit.why == "100 of the last 200 failed: timeout"


def test_failures_that_are_long_ago_count_no_more() -> None:
    circuit = Circuit(RULE)
    circuit.saw(0, 3, 0, probe=False)
    circuit.saw(0, 3, 20_000, probe=False)
    assert circuit.room(20_000) == UNLIMITED


def test_probes_go_one_at_a_time_and_close_or_open_it() -> None:
    circuit = opened()
    circuit.probing = False
    assert circuit.room(999) == 0
    assert circuit.room(1_000) == 1
    circuit.probing = True
    assert circuit.room(1_000) == 0
    circuit.saw(0, 1, 1_500, probe=True, why="still")
    assert (circuit.state, circuit.until_ms) == (State.OPEN, 3_500)  # twice as long
    assert circuit.room(3_500) == 1
    circuit.saw(0, 1, 4_000, probe=True)
    assert circuit.until_ms == 7_000  # no longer than the longest
    for _ in range(3):
        assert circuit.room(7_000) == 1
        circuit.probing = True
        circuit.saw(1, 0, 7_000, probe=True)
    assert circuit.room(7_000) == UNLIMITED
    circuit.saw(0, 4, 7_001, probe=False)
    assert circuit.until_ms == 8_001  # and the next time as at first


def test_a_wish_for_less_traffic_says_nothing_to_a_probe_and_old_answers_say_nothing() -> None:
    circuit = opened()
    assert circuit.room(1_000) == 1
    circuit.probing = True
    circuit.saw(50, 0, 1_100, probe=False)  # of before it opened
    circuit.saw(0, 0, 1_200, probe=True)
    assert (circuit.state, circuit.room(1_200)) == (State.HALF_OPEN, 1)
    assert Circuit(CircuitRule(failures=0)).room(0) == UNLIMITED


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_is_a_list_of_good_limits_with_and_without_an_account(name: str) -> None:
    preset = PRESETS[name]
    body = {**LANE, "channel": preset.channels[0], "preset": name}
    alone, together = lane_from(body), lane_from({**body, "account": "acme"})
    assert len(alone.limits) == len(together.limits) == len(preset.limits) >= 1
    assert not any(limit.of for limit in alone.limits)
    assert preset.source.startswith("https://")
    assert preset.words


def test_10dlc_as_its_figures_say() -> None:
    lane = lane_from({**LANE, "preset": "10dlc/50-74/t-mobile", "account": "acme"})
    assert lane.limits == (
        Limit(2_400, 60_000, of="campaign at t-mobile"),
        Limit(40_000, 86_400_000, "America/Los_Angeles", of="t-mobile brand"),
    )


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"limits": [{"rate": "1/0s"}]}, "not between"),
        ({"limits": [{"rate": "1/25h"}]}, "not between"),
        ({"limits": [{"rate": "5/s", "of": "brand"}]}, "no account"),
        ({"limits": [{"rate": "5/s", "of": "a|b"}], "account": "x"}, "must be a name"),
        ({"limits": [{"rate": "5/s", "per": "domain"}]}, "only e-mail"),
        ({"limits": [{"rate": "5/s", "until": "08:00"}]}, "without 'zone'"),
        ({"limits": [{"rate": "5/day", "zone": "UTC", "until": "8"}]}, "time of the day"),
        ({"limits": [{"rate": "5/day", "zone": "UTC", "until_zone": "UTC"}]}, "without 'until'"),
        (
            {"limits": [{"rate": "5/day", "zone": "UTC", "until": "08:00", "at": "fail"}]},
            "nothing is held",
        ),
        (
            {"limits": [{"rate": "5/day", "zone": "UTC", "until": "08:00", "until_zone": "dest"}]},
            "destination",
        ),
        ({"preset": "10dlc/75"}, "no preset"),
        ({"preset": "fcm"}, "is for push"),
        ({"reactions": [{"when": {}, "then": "suspend", "for": "1m"}]}, "says nothing"),
        ({"reactions": [{"when": {"code": "1"}, "then": "slow", "for": "1m"}]}, "has no 'to'"),
        (
            {"reactions": [{"when": {"code": "1"}, "then": "suspend", "for": "1m", "after": "3"}]},
            "how many answers",
        ),
        ({"circuit": {"failures": 0}}, "at least 1"),
    ],
)
def test_what_is_wrong_with_a_lane_is_said(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(DefinitionError, match=re.escape(words)):
        lane_from({**LANE, **fields})


def test_a_lane_keeps_its_account_also_when_it_was_deleted() -> None:
    body = {**LANE, "account": "acme"}
    program = advance(EMPTY, 1, [("lane", "l", body)])
    program = advance(program, 2, [("lane", "l", None)])
    assert account_of(program, "l") == "acme"
    assert account_of(program, "other") is None
    documents = definitions.parse("{lane: l, channel: sms, carrier: sandbox}")
    with pytest.raises(DefinitionError, match="had account 'acme', which can't change"):
        definitions.check(documents, program)
    documents = definitions.parse("{lane: l, channel: sms, carrier: sandbox, account: acme}")
    definitions.check(documents, program)


def message(name: str, deadline_s: int, purpose: str = "marketing") -> QueuedMessage:
    return QueuedMessage(
        name, "w/user/u", "w", "main", "sms", "+12025550123", purpose, "hi", "",
        deadline_s * 1_024, False, 0,
    )  # fmt: skip


def test_the_earliest_deadline_of_a_class_goes_first_and_equal_ones_in_their_order() -> None:
    queue = LaneQueue()
    for name, deadline in (("a", 50), ("b", 50), ("c", 20), ("d", 60), ("e", 20), ("f", 50)):
        queue.put(message(name, deadline))
    taken, _ = queue.take(2, Room(UNLIMITED, UNLIMITED), 0)
    queue.put_back(taken[1])
    queue.put(message("g", 10))
    names = [each.id for each in queue.take(9, Room(UNLIMITED, UNLIMITED), 0)[0]]
    assert "".join([taken[0].id, *names]) == "cgeabfd"


def test_deadlines_change_nothing_between_classes() -> None:
    queue = LaneQueue()
    for number in range(20):
        queue.put(message(f"m{number}", 5))
        queue.put(message(f"o{number}", 5_000, "otp"))
    names = "".join(each.id[0] for each in queue.take(14, Room(UNLIMITED, UNLIMITED), 0)[0])
    assert names.count("o") == 10


def contender(workspace: str, levels: list[int], meters: object = frozenset()) -> Contender:
    return Contender(workspace, lambda: levels, lambda: meters, lambda: None)  # type: ignore[arg-type,return-value]


def test_turns_go_by_class_then_by_workspace_then_by_lane() -> None:
    turns = Turns()
    turns.want("w/a", contender("w", [0, 2]))
    turns.want("w/b", contender("w", [2]))
    turns.want("x/c", contender("x", [2]))
    got: dict[tuple[str, int], int] = {}
    for _ in range(700):
        found = turns._next(frozenset())
        assert found is not None
        key, (level, _) = found
        turns.spent(key, level, 1)
        got[key, level] = got.get((key, level), 0) + 1
    assert abs(got["w/a", 0] - 500) <= 2  # otp to marketing is 50 to 20
    assert abs(got["x/c", 2] - 100) <= 2
    assert abs(got["w/a", 2] - 50) <= 2
    assert abs(got["w/b", 2] - 50) <= 2


def test_who_cannot_send_is_passed_over_unless_it_waits_for_what_both_draw_on() -> None:
    turns = Turns()
    first, second = object(), object()
    turns.want("w/a", contender("w", [0], frozenset([first])))
    turns.want("w/b", contender("w", [2]))
    turns.want("w/c", contender("w", [0], None))
    assert turns.turn("w/b", frozenset([second])).level == 2
    assert turns.turn("w/b", frozenset([first, second])).level == -1
    assert not turns.alone("w/b")
    turns.leave("w/a")
    assert turns.turn("w/b", frozenset([first])).level == 2
