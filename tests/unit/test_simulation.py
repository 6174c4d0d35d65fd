"""A world in virtual time, and the scenarios that run in it."""

import re
from typing import Any

import pytest

from engine import definitions
from engine.issues import DefinitionError
from engine.messages.message import CHANNELS
from engine.reasons import Reason
from engine.simulation.expectations import Then
from engine.simulation.happenings import KINDS
from engine.simulation.moments import START, offset, read
from engine.simulation.runner import Failure, run_file
from engine.simulation.scenario import ScenarioFile, load
from engine.simulation.verbs import VERBS
from engine.simulation.world import World
from tests.support.docs import ROOT, table

DOCS = ROOT / "docs"

LANE = {"lane": "sms", "channel": "sms", "carrier": "sandbox", "prefixes": ["+"]}
NUDGE = {"template": "nudge", "channel": "sms", "body": "Hi"}
JOURNEY = {
    "journey": "cart",
    "entry": {"event": "Product Added"},
    "exit": [{"event": "Order Completed"}],
    "steps": {
        "nudge": {
            "message": {
                "purpose": "marketing",
                "channel": "sms",
                "template": "nudge",
                "validity": "1h",
            },
            "then": "rest",
        },
        "rest": {"delay": "1d"},
    },
}


def _world(*documents: dict[str, Any]) -> World:
    world = World()
    assert world.define(documents or (LANE, NUDGE, JOURNEY)) is Reason.ACCEPTED
    return world


def _begin(world: World) -> None:
    world.happen({"type": "identify", "userId": "ann", "traits": {"phone": "+34600111222"}})
    world.happen({"type": "track", "userId": "ann", "event": "Product Added"})


def _outcomes(world: World) -> list[str]:
    entity = world.person("ann")
    assert entity is not None
    return [
        Reason(line[1]).name for message in entity.messages.values() for line in message.history
    ]


# --- The world ----------------------------------------------------------------------------------


def test_time_alone_moves_people_at_the_very_millisecond() -> None:
    world = _world({"segment": "new", "when": {"event": "Signed Up", "within": "1h"}})
    world.turn_to(START.ms + 123)
    world.happen({"type": "track", "userId": "ann", "event": "Signed Up"})
    assert world.next_due_ms() == START.ms + 3_600_123
    world.turn_to(START.ms + 86_400_000)
    assert world.now == START.ms + 86_400_000
    entity = world.person("ann")
    assert entity is not None
    assert [line[0] for line in entity.trail_lines()] == [START.ms + 123, START.ms + 3_600_123]


def test_a_message_is_sent_and_settled_at_once() -> None:
    world = _world()
    _begin(world)
    assert _outcomes(world) == ["QUEUED", "SENT"]
    assert world.shard.outbox == 0


def test_a_held_message_is_called_back_or_expires() -> None:
    world = _world()
    world.sender.does = "hold"
    _begin(world)
    world.happen({"type": "track", "userId": "ann", "event": "Order Completed"})
    assert _outcomes(world) == ["QUEUED", "CANCELLED"]
    world.happen({"type": "track", "userId": "ann", "event": "Product Added"})
    world.turn_to(world.now + 3_600_000)
    assert _outcomes(world)[2:] == ["QUEUED", "EXPIRED"]
    assert not world.sender.held


def test_what_has_left_cannot_be_called_back() -> None:
    world = _world()
    _begin(world)
    world.happen({"type": "track", "userId": "ann", "event": "Order Completed"})
    assert _outcomes(world) == ["QUEUED", "SENT"]


def test_forwards_can_wait() -> None:
    world = World()
    world.let_forwards_go(False)
    world.define([LANE, NUDGE, JOURNEY])
    assert world.program.version == 0
    assert len(world.waiting) == 1
    world.restart()
    assert len(world.waiting) == 1, "what is handed over again is the same"
    world.let_forwards_go(True)
    assert world.program.version == 1
    assert world.shard.outbox == 0


def test_a_restart_keeps_everything_and_hands_over_again() -> None:
    world, other = _world(), _world()
    for one in (world, other):
        one.sender.does = "hold"
        _begin(one)
    world.restart()
    assert len(world.sender.held) == 1
    for one in (world, other):
        one.turn_to(one.now + 7_200_000)
    assert world.snapshot() == other.snapshot() == world.replayed().snapshot()


def test_definitions_that_are_refused_change_nothing() -> None:
    world = _world()
    with pytest.raises(DefinitionError, match="did you mean 'nudge'"):
        world.define([{**JOURNEY, "journey": "two", "steps": {"a": _message("nudg")}}])
    assert world.program.version == 1
    assert world.change([definitions.Document("journey", "cart", None)]) is Reason.ACCEPTED
    assert not [name for kind, name in world.program.models if kind == "journey"]


def _message(template: str) -> dict[str, Any]:
    return {"message": {"purpose": "marketing", "channel": "sms", "template": template}}


def test_new_definitions_reach_those_who_do_nothing() -> None:
    world = _world()
    _begin(world)
    world.define([{"segment": "all", "when": {"trait": "phone", "exists": True}}])
    assert world.shard.sizes == {"default/all": 1}


# --- Moments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ms", "absolute"),
    [
        ("0s", 0, False),
        ("1d2h", 93_600_000, False),
        ("-1h", -3_600_000, False),
        ("2026-01-05T00:00:00Z", 1_767_571_200_000, True),
        ("2026-01-05", 1_767_571_200_000, True),
        ("2026-01-05T01:00:00.5+01:00", 1_767_571_200_500, True),
    ],
)
def test_moments(text: str, ms: int, absolute: bool) -> None:
    moment = read(text)
    assert (moment.ms, moment.absolute) == (ms, absolute)
    assert moment.at(START.ms) == (ms if absolute else START.ms + ms)


def test_offsets_read_like_moments() -> None:
    assert [offset(ms, 0) for ms in (0, 90_000, 93_600_000, -3_600_000, 1_500)] == [
        "0s", "1m30s", "1d2h", "-1h", "1.500s",
    ]  # fmt: skip


# --- Files --------------------------------------------------------------------------------------

GOOD = """
definitions: [{segment: vip, when: {trait: points, at_least: 100}}]
scenarios:
  - name: one
    when:
      - {at: 1h, user: ann, WHEN}
    then:
      - {at: 1h, user: ann, THEN}
"""


def _file(when: str = "identify: {points: 100}", then: str = "in: [vip]") -> str:
    return GOOD.replace("WHEN", when).replace("THEN", then)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (_file("trak: x"), "x.yaml:6: scenarios[0].when[0]: has none of identify, track"),
        (_file("trak: x"), "did you mean 'track'?"),
        (_file("track: x, propertis: {}"), "did you mean 'properties'?"),
        (_file("track: x, identify: {}"), "is identify and track at once; make two items of it"),
        (_file("command: relase"), "there is no command 'relase'; did you mean 'release'?"),
        (_file("command: send, chanel: sms"), "did you mean 'channel'?"),
        (_file("command: send"), "command 'send' needs 'channel'"),
        (_file("receipt: deliverd"), "did you mean 'delivered'?"),
        (_file("track: x, answer: DUPLICAT"), "did you mean 'DUPLICATE'?"),
        (_file(then="inn: [vip]"), "x.yaml:8: scenarios[0].then[0]: 'inn' is not a field"),
        (_file(then="messages: [{tmplate: x}]"), "did you mean 'template'?"),
        (_file().replace("at: 1h, user: ann, id", "at: 5, user: ann, id"), "must be a moment"),
        (_file().replace("scenarios:", "scenario:"), "did you mean 'scenarios'?"),
        (_file() + "  - {name: one, then: [{at: 0s}]}\n", "x.yaml:9: a second scenario 'one'"),
        (_file() + "sender: {sms: hod}\n", "a sender cannot 'hod'"),
        (_file() + "templates: {a: smss}\n", "did you mean 'sms'?"),
        (_file() + "start: 1h\n", "'1h' is not a time"),
        (_file().replace("[{segment", "[gone.yaml, {segment"), "x.yaml:2: gone.yaml: "),
        (_file() + "---\n" + _file(), "a scenario file is one document, not 2"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_line(text: str, words: str) -> None:
    with pytest.raises(DefinitionError) as raised:
        load(text, "x.yaml")
    assert words in str(raised.value)


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_template_whose_text_does_not_matter_may_be_of_any_channel(channel: str) -> None:
    text = _file("track: x") + f"templates: {{a: {channel}}}\n"
    assert load(text, "x.yaml").file.templates == {"a": channel}


def test_what_happens_is_in_the_order_of_time() -> None:
    text = _file().replace("    then:", "      - {at: 1s, user: ann, track: x}\n    then:")
    with pytest.raises(DefinitionError, match=r"x.yaml:7: 'one': when\[1\] is at 1s, before"):
        load(text, "x.yaml")


def test_definition_files_are_read_beside_the_scenario() -> None:
    text = _file().replace("[{segment: vip, when: {trait: points, at_least: 100}}]", "[vip.yaml]")
    files = {"vip.yaml": "segment: vip\nwhen: {trait: points, at_least: 100}\n"}
    (result,) = run_file(load(text, "x.yaml", lambda name: files[name]))
    assert result.passed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (_file(then="not_in: [vip]"), ["x.yaml:8: then[0] (at 1h, user ann): not_in", "['vip']"]),
        (_file(then="in: [vpi]"), ["one called 'vpi'", "did you mean 'vip'?"]),
        (_file(then="traits: {point: 1}"), ["{'point': None}", "did you mean 'points'?"]),
        (_file(then="trail: [entered, left]"), ["'left' after 'entered'", "no such line"]),
        (_file(then="no_trail: [entered]"), ["no line with 'entered'"]),
        (_file(then="sizes: {vip: 2}"), ["{'vip': 2}", "{'vip': 1}"]),
        (_file(then="messages: [{status: SENT}]"), ["found     []"]),
        (_file(then="state: {no: 1}"), ["{'no': None}"]),
        (_file("receipt: sent"), ["x.yaml:6: when[0]", "there is no message yet"]),
        (_file("track: x, answer: DUPLICATE"), ["answered ACCEPTED, not DUPLICATE"]),
        (_file("says: hi"), ["they have no phone to write from", "give an address"]),
        (_file("apply: [{segment: a}]"), ["the definitions were refused: segment 'a': 'when'"]),
        (_file("delete: [segment/vip], refused: x"), ["was to be refused with 'x', and was taken"]),
        (_file("command: sender, does: fly"), ["the sender cannot 'fly'"]),
    ],
)
def test_a_failure_says_what_was_expected_and_found(text: str, words: list[str]) -> None:
    (result,) = run_file(load(text, "x.yaml"))
    assert not result.passed
    told = "\n".join(map(str, result.failures))
    for word in words:
        assert word in told


def test_a_failure_shows_the_record_up_to_then() -> None:
    (result,) = run_file(load(_file(then="sizes: {vip: 2}"), "x.yaml"))
    assert result.failures == [
        Failure(
            "x.yaml:8", "then[0] (at 1h, user ann)", "sizes", {"vip": 2}, {"vip": 1}, "",
            ["        1h  segment vip: entered: its condition became true"],
        )
    ]  # fmt: skip


def test_a_definition_that_is_wrong_fails_the_scenario() -> None:
    (result,) = run_file(load(_file().replace("trait: points", "trait: points, when: 1"), "x.yaml"))
    assert "x.yaml:2: definitions: segment 'vip'" in str(result.failures[0])


# --- The page -----------------------------------------------------------------------------------


def test_the_page_tells_every_kind_verb_and_field() -> None:
    page = DOCS / "scenarios.md"
    kinds = [row[0].partition(":")[0] for row in table(page, "## What happens: `when`")]
    assert kinds == list(KINDS)
    fields = [row[0].partition(":")[0] for row in table(page, "## What must be so: `then`")]
    names = [field.alias or name for name, field in Then.model_fields.items()]
    assert fields == [name for name in names if name not in ("at", "user", "anonymous")]
    fields = [name for row in table(page, "## The file") for name in row[0].split(", ")]
    assert set(fields) == set(ScenarioFile.model_fields)
    verbs = re.findall(r"^\| `command: (\w+)` \|.*\| ?(.*) \|$", page.read_text(), re.MULTILINE)
    told = {verb: set(filter(None, re.split(r"[`, ]+", fields))) for verb, fields in verbs}
    assert told == {name: set(verb.fields) for name, verb in VERBS.items()}
