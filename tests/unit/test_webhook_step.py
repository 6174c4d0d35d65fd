"""A webhook step: how it is written, what it asks, and when its answer counts."""

import json
from typing import Any

import msgpack
import pytest
from journey_helpers import Town

from engine import commands, definitions, limits
from engine.issues import DefinitionError
from engine.journeys import calling
from engine.program import EMPTY
from engine.reasons import Reason
from engine.simulation.backtest import Backtest
from engine.simulation.world import World
from gateway.cli.journal import decode

URL = "https://api.example.com/score"


def journey(webhook: str, rest: str = "") -> str:
    return (
        "journey: j\nentry: {event: Go}\nexit: [{event: Stop}]\nsteps:\n"
        f"  ask: {{webhook: {webhook}, then: good, else: bad}}\n"
        f"  good: {{delay: 1h}}\n  bad: {{delay: 2h{rest}}}\n"
    )


SIMPLE = journey(f"{{url: '{URL}', save_as: score, timeout: 1m}}")


def offers(town: Town) -> list[Any]:
    return [offer for effects in town.effects for offer in effects.sends]


def answer(town: Town, offer: Any, status: int = 200, error: str = "", **saved: Any) -> Reason:
    raw = msgpack.packb({"status": status, **saved})
    command = commands.called(offer[1], offer[0], offer[14], status, raw, "1 attempt", error)
    return Reason(town.apply(command).results[0])


@pytest.mark.parametrize(
    ("webhook", "what"),
    [
        ("{url: 'ftp://x.example/'}", "is not a URL with its host written out"),
        ("{url: 'https://{{ event.host }}/a'}", "only what follows the host may vary"),
        ("{url: 'https://x.example{{ event.more }}/a'}", "is not a URL with its host"),
        ("{url: 'https://me:secret@x.example/'}", "prefix: 'Basic '"),
        ("{url: 'https://x.example:99999/'}", "out of range"),
        ("{url: 'https://x.example/a b'}", "is not a URL"),
        ("{url: 'https://x.example/ä'}", "is not a URL"),
        ("{url: 'https://x.example/{{ evnt.x }}'}", "url: 'evnt' is not known here"),
        ("{url: 'https://x.example/{{event.x'}", "url: unexpected end of input"),
        ("{url: 'https://x.example/', body: {a: '{{ profil.x }}'}}", "did you mean 'profile'"),
        ("{url: 'https://x.example/', body: {a: {from: profile.x}}}", "does not begin with"),
        ("{url: 'https://x.example/', body: '{{ event.x'}", "body: unexpected end of input"),
        ("{url: 'https://x.example/', body: {a: {from: events.nope.x}}}", "as 'nope'"),
        ("{url: 'https://x.example/', body: {'{{ x }}': 1}}", "cannot be a name"),
        ("{url: 'https://x.example/', method: GET, body: {}}", "a GET, which has none"),
        ("{url: 'https://x.example/', headers: {webhook-id: a}}", "written by Denrei itself"),
        ("{url: 'https://x.example/', headers: {idempotency-key: a}}", "written by Denrei itself"),
        ("{url: 'https://x.example/', headers: {Host: a}}", "written by Denrei itself"),
        ("{url: 'https://x.example/', headers: {'a b': c}}", "not the name of a header"),
        ('{url: "https://x.example/", headers: {A: "b\\nC: d"}}', "no header may hold"),
        ("{url: 'https://x.example/', headers: {A: 1}}", "must be text"),
        ("{url: 'https://x.example/', timeout: 2d}", "longer than 1d"),
        ("{url: 'https://x.example/', retries: 21}", "must be at most 20"),
        ("{url: 'https://x.example/', save_as: first}", "choose another name"),
        ("{url: 'https://x.example/', saveas: x}", "did you mean 'save_as'"),
    ],
)
def test_mistakes_are_found_before_anybody_is_asked(webhook: str, what: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        definitions.check(definitions.parse(journey(webhook)), EMPTY)
    assert what in str(caught.value)


def test_a_loop_through_a_failure_is_refused() -> None:
    text = (
        "journey: j\nentry: {event: Go}\nsteps:\n"
        f"  ask: {{webhook: {{url: '{URL}'}}, then: end, else: ask}}\n"
    )
    with pytest.raises(DefinitionError, match="never waits"):
        definitions.check(definitions.parse(text), EMPTY)


def test_what_a_profile_holds_cannot_change_where_a_url_leads() -> None:
    town = Town(journey("{url: 'https://x.example/u/{{ event.id }}?q={{ event.q }}'}"))
    town.track("Go", id="../../admin?x=1#y", q="a&b=c")
    assert offers(town)[0][3] == "x.example:443"
    assert offers(town)[0][5] == "https://x.example/u/..%2F..%2Fadmin%3Fx%3D1%23y?q=a%26b%3Dc"


@pytest.mark.parametrize(
    ("properties", "why"),
    [({}, "event.id is undefined"), ({"id": ".."}, "climbs up"), ({"id": "x" * 2_000}, "longer")],
)
def test_a_url_that_lacks_something_is_not_called(properties: Any, why: str) -> None:
    town = Town(journey("{url: 'https://x.example/u/{{ event.id }}', save_as: a}"))
    town.track("Go", **properties)
    assert offers(town) == []
    assert town.only().step == "bad"
    assert why in msgpack.unpackb(town.only().aliases["a"])["error"]


def test_a_body_is_json_whatever_is_put_into_it() -> None:
    body = (
        '{text: "say \\"{{ event.t }}\\"", cart: {from: properties.cart}, '
        "no: {from: traits.no}, deep: [{on: true, n: 1.5, x: null}]}"
    )
    town = Town(journey(f"{{url: '{URL}', body: {body}}}"))
    town.track("Go", t='"\n\\{{ x }}', cart={"items": [{"keys": 1}]})
    (offer,) = offers(town)
    assert msgpack.unpackb(msgpack.packb(offer))[7] == offer[7]
    assert json.loads(offer[7]) == {
        "text": 'say ""\n\\{{ x }}"',
        "cart": {"items": [{"keys": 1}]},
        "no": None,
        "deep": [{"on": True, "n": 1.5, "x": None}],
    }
    assert "nothing at traits.no" in town.only().trail[1][3]


def test_a_body_of_text_is_a_template() -> None:
    body = '{"items": {{ event["items"]|tojson }}, "who": {{ user_id|tojson }}}'
    town = Town(journey(f"{{url: '{URL}', method: PUT, body: '{body}'}}"))
    town.track("Go", items=[{"a": 1}])
    assert offers(town)[0][7] == '{"items": [{"a":1}], "who": "ann"}'
    assert ("Content-Type", "text/plain; charset=utf-8", "") in offers(town)[0][11]


def test_the_answer_is_kept_and_the_effect_settled() -> None:
    town = Town(SIMPLE)
    town.track("Go")
    (offer,) = offers(town)
    assert list(town.person().outbox) == [offer[0]]
    assert answer(town, offer, body={"points": 3}) is Reason.ACCEPTED
    assert town.only().step == "good"
    assert town.person().outbox == {}
    assert msgpack.unpackb(town.only().aliases["score"]) == {"status": 200, "body": {"points": 3}}
    assert answer(town, offer) is Reason.DUPLICATE
    assert town.only().step == "good"


def test_an_answer_after_the_time_is_nobodys() -> None:
    town = Town(SIMPLE)
    town.track("Go")
    (offer,) = offers(town)
    town.at("1m")
    assert town.only().step == "bad"
    assert town.person().outbox == {}
    assert [one[0] for one in town.effects[-1].cancels] == [offer[0]]
    assert answer(town, offer, body=1) is Reason.DUPLICATE
    assert town.notes("webhook") == ["j: step 'ask': no answer within 1m"]


def test_an_answer_of_an_earlier_visit_is_not_taken_for_this_one() -> None:
    town = Town(SIMPLE.replace("2h", "1s, then: ask"))
    town.track("Go")
    town.at("1m")
    town.at("2m")
    first, second = offers(town)
    assert first[0] != second[0]
    assert answer(town, first) is Reason.DUPLICATE
    assert town.only().step == "ask"
    assert answer(town, second) is Reason.ACCEPTED
    assert town.only().step == "good"


def test_what_a_run_asked_is_taken_back_when_it_ends() -> None:
    town = Town(SIMPLE)
    town.track("Go")
    town.track("Stop")
    assert town.person().outbox == {}
    (cancel,) = town.effects[-1].cancels
    assert (cancel[0], cancel[5], cancel[7]) == (offers(town)[0][0], "", "")


def test_nothing_of_it_is_left_of_the_erased() -> None:
    town = Town(journey(f"{{url: '{URL}', body: 'secret-of-ann'}}"))
    town.track("Go")
    (offer,) = offers(town)
    effects = town.apply(commands.erase("w/user/ann", "e1", False))
    assert [one[0] for one in effects.cancels] == [offer[0]]
    assert "secret-of-ann" not in repr(effects.cancels)
    assert b"secret-of-ann" not in town.person().pack()
    assert answer(town, offer, body="secret-of-ann") is Reason.DUPLICATE
    assert b"secret-of-ann" not in town.person().pack()


def test_an_answer_waits_while_the_journey_is_paused() -> None:
    town = Town(SIMPLE)
    town.track("Go")
    town.define("status: paused\n" + SIMPLE)
    assert answer(town, offers(town)[0]) is Reason.ACCEPTED
    assert town.only().step == "ask"
    town.define("status: live\n" + SIMPLE)
    town.apply(commands.refresh("w/user/ann"))
    town.at("10s")
    assert town.only().step == "good"


def test_one_in_quarantine_is_settled_and_not_moved() -> None:
    town = Town(SIMPLE)
    town.track("Go")
    hot = town.shard._table.hot("w/user/ann")
    assert hot is not None
    hot.error = "a bug"
    assert answer(town, offers(town)[0]) is Reason.ACCEPTED
    assert (town.person().outbox, town.only().step) == ({}, "ask")


def test_a_full_outbox_asks_nothing_and_says_so() -> None:
    town = Town(SIMPLE)
    town.track("Other")
    hot = town.shard._table.hot("w/user/ann")
    assert hot is not None
    hot.outbox = {f"f{n}": (0, b"") for n in range(limits.OUTBOX)}
    town.track("Go")
    assert town.only().step == "bad"
    assert "100 effects are waiting already" in town.only().trail[1][3]


def test_who_is_migrated_to_the_same_step_keeps_their_question() -> None:
    town = Town(SIMPLE)
    town.track("Go")
    town.define("publish: migrate\n" + SIMPLE.replace("1h", "3h"))
    town.apply(commands.refresh("w/user/ann"))
    assert town.only().version == 2
    assert answer(town, offers(town)[0]) is Reason.ACCEPTED
    assert town.only().step == "good"


def test_a_restart_hands_the_same_question_over_again() -> None:
    world = World()
    world.define([*definitions_of(SIMPLE)])
    world.happen({"type": "track", "event": "Go", "userId": "ann"})
    (before,) = world.sender.called
    effects = world.shard.unsettled(["default/user/ann"])
    assert list(map(msgpack.packb, effects.sends)) == [msgpack.packb(before)]
    assert effects.forwards == []
    assert before[4] == calling.CHANNEL


def test_the_journal_tells_of_an_answer() -> None:
    command = commands.called("w/user/ann", "id", "i", 200, msgpack.packb({"status": 200}), "1", "")
    assert decode(command) == {
        "command": "called", "key": "w/user/ann", "webhook": "id", "status": 200,
        "answer": {"status": 200}, "words": "1", "error": "",
    }  # fmt: skip


def test_a_backtest_calls_nobody_and_takes_the_answers_of_the_past() -> None:
    """A change before the webhook makes another id, whose answer nobody knows: it times out."""
    town = Town(SIMPLE)
    wire = definitions.to_wire(definitions.parse(SIMPLE))
    moments: list[tuple[int, list[commands.Command]]] = [
        (town.start, [commands.install("f", "", "w", 1, wire)])
    ]
    event = commands.event("w/user/ann", "m1", commands.TRACK, "Go", town.start + 1_000)
    town.now += 1_000
    town.apply(event)
    moments.append((town.now, [event]))
    (offer,) = offers(town)
    raw = msgpack.packb({"status": 200})
    moments.append(
        (town.now + 1_000, [commands.called(offer[1], offer[0], offer[14], 200, raw, "1", "")])
    )
    steps = {}
    for name, text in (("same", SIMPLE.replace("1h", "3h")), ("other", OTHER_IDS)):
        part = Backtest(definitions.parse(text), town.start + 500, town.start + 90_000, (0, 1), "w")
        for moment in moments:
            part.play(moment)
        part.end()
        assert part.changed is not None
        entity = part.changed.shard.peek("w/user/ann")
        assert entity is not None
        assert entity.outbox == {}
        (run,) = entity.instances.values()
        steps[name] = run.step
    assert steps == {"same": "good", "other": "bad"}


OTHER_IDS = SIMPLE.replace("  ask:", "  say: {emit: {event: Said}, then: ask}\n  ask:")


def definitions_of(text: str) -> list[Any]:
    return [dict(one.body or {}) for one in definitions.parse(text)]
