"""Profiles that become one: what moves, in which order, and what is said about it."""

from typing import Any

import msgpack
import pytest
from identity_helpers import Families

from engine import commands, limits
from engine.identity.record import view
from engine.reasons import Reason

JOURNEY = """
lane: sms-main
channel: sms
carrier: sandbox
prefixes: ["+"]
---
template: cart
channel: sms
body: "{{ event.cart_id }} waits"
sample: {event: {cart_id: c1}}
---
segment: buyer
when: {event: Bought, at_least: 2}
---
segment: stranger
when: {not: {trait: email, exists: true}}
---
journey: cart
entry: {event: Added, key: properties.cart_id}
exit: [{event: Bought, same: properties.cart_id}]
steps:
  wait: {hold: 1h, on: [{event: Added, same: properties.cart_id, reset: true}], timeout: nudge}
  nudge: {message: {purpose: marketing, channel: sms, template: cart}, then: rest}
  rest: {delay: 1d}
"""


@pytest.fixture
def town() -> Families:
    return Families(JOURNEY)


def test_an_event_with_both_ids_moves_the_visitor_to_the_user(town: Families) -> None:
    town.identify(anonymous="a1", utm="ad", plan="free")
    town.identify(user="ann", plan="pro")
    town.track("Viewed", user="ann", anonymous="a1")
    assert town.traits("user/ann") == {"utm": "ad", "plan": "pro"}
    stub = town.peek("anonymous/a1")
    assert view(stub)["merged_into"] == "w/user/ann"
    assert not any((stub.traits, stub.windows, stub.timers, stub.outbox))
    (line,) = view(town.peek("user/ann"))["merges"]
    assert line == {
        "at_ms": town.now,
        "from": "anonymous/a1",
        "via": "event",
        "by": "m3",
        "moved": {"traits": 1, "lines of the trail": 1},
        "kept": ["plan"],
    }
    assert view(town.peek("user/ann"))["identifiers"] == [["anonymous", "a1", "merged"]]


def test_what_a_merged_visitor_does_later_is_the_users(town: Families) -> None:
    town.track("Bought", anonymous="a1", cart_id="c1")
    town.track("Viewed", user="ann", anonymous="a1")
    assert "buyer" not in town.peek("user/ann").segments
    assert town.track("Bought", anonymous="a1", cart_id="c2") == Reason.ACCEPTED
    assert "buyer" in town.peek("user/ann").segments
    assert town.shard.sizes["w/buyer"] == 1


def test_a_repeat_to_the_visitor_is_a_duplicate_after_the_merge_too(town: Families) -> None:
    town.track("Bought", anonymous="a1", cart_id="c1", message_id="x1")
    town.track("Viewed", user="ann", anonymous="a1")
    town.track("Bought", anonymous="a1", cart_id="c2", message_id="x2")
    for message_id in ("x1", "x2"):
        town.track("Bought", anonymous="a1", cart_id="c1", message_id=message_id)
        result = town.track("Bought", user="ann", cart_id="c1", message_id=message_id)
        assert result == Reason.DUPLICATE
    assert len(town.peek("user/ann").windows["Bought"]) == 2


def test_the_event_that_names_the_visitor_comes_after_all_that_the_visitor_did(
    town: Families,
) -> None:
    """A purchase after signing in ends the cart that was begun before it, on whatever shard."""
    town.track("Added", anonymous="a1", cart_id="c1")
    town.deliver = False
    town.track("Bought", user="ann", anonymous="a1", cart_id="c1")
    town.track("Added", user="ann", cart_id="c2")
    assert not town.peek("user/ann").instances
    assert view(town.peek("user/ann"))["parked"] == 2
    town.deliver_all()
    ann = town.peek("user/ann")
    assert [(run.key, run.status) for run in ann.ended_instances()] == [("c1", "exited")]
    assert [(run.key, run.step) for run in ann.instances.values()] == [("c2", "wait")]
    assert not view(ann)["parked"]
    assert not ann.timers.get("i:wait")


def test_a_run_goes_on_where_it_stood_at_its_own_time(town: Families) -> None:
    town.identify(user="ann", phone="+4915112345678")
    town.track("Added", anonymous="a1", cart_id="c1")
    town.pass_time(minutes=50)
    town.track("Viewed", user="ann", anonymous="a1")
    (run,) = town.peek("user/ann").instances.values()
    assert run.step == "wait"
    town.pass_time(minutes=9)
    assert not town.peek("user/ann").messages
    town.pass_time(minutes=1)
    (message,) = town.peek("user/ann").messages.values()
    assert message.body == "c1 waits"
    assert "moved" in [what for _, _, what, _ in run.trail]


def test_one_person_is_in_a_journey_once_for_each_key(town: Families) -> None:
    town.track("Added", anonymous="a1", cart_id="c1")
    town.track("Added", user="ann", cart_id="c1")
    town.track("Viewed", user="ann", anonymous="a1")
    ann = town.peek("user/ann")
    assert len(ann.instances) == 1
    assert [run.status for run in ann.ended_instances()] == ["stopped"]
    assert view(ann)["merges"][0]["stopped"] == ["cart"]


def test_a_message_that_a_sender_has_is_settled_where_it_was_made(town: Families) -> None:
    town.identify(anonymous="a1", phone="+4915112345678")
    town.track("Added", anonymous="a1", cart_id="c1")
    town.pass_time(minutes=60)
    (offer,) = town.offers
    town.track("Viewed", user="ann", anonymous="a1")
    assert not town.peek("user/ann").outbox
    assert list(town.peek("anonymous/a1").outbox) == [offer[0]]
    town.run(commands.receipt(offer[1], offer[0], Reason.SENT, town.now, True, "sandbox"))
    assert not town.peek("anonymous/a1").outbox
    assert not town.peek("anonymous/a1").messages
    (message,) = town.peek("user/ann").messages.values()
    assert message.status == Reason.SENT
    assert message.carrier == "sandbox"
    assert "away" not in town.peek("user/ann").state["identity"]


def test_what_became_of_a_message_that_moved_is_heard_however_many_come_after_it(
    town: Families,
) -> None:
    spec = msgpack.packb({"channel": "sms", "to": "+4915112345678", "body": "hi"})
    town.track("Viewed", anonymous="a1")
    town.run(commands.send("w/anonymous/a1", "first", spec))
    (first,) = town.offers
    town.track("Viewed", user="ann", anonymous="a1")
    for number in range(limits.MESSAGES + 1):
        town.run(commands.send("w/user/ann", f"r{number}", spec))
        offer = town.offers[-1]
        town.run(commands.receipt(offer[1], offer[0], Reason.SENT, town.now, True, "sandbox"))
    town.track("Viewed", anonymous="a2")
    town.track("Viewed", user="ann", anonymous="a2")
    town.run(commands.receipt(first[1], first[0], Reason.SENT, town.now, True, "sandbox"))
    messages = town.peek("user/ann").messages
    assert messages[first[0]].status == Reason.SENT
    assert len(messages) == limits.MESSAGES


def test_a_message_that_moved_can_still_be_called_back(town: Families) -> None:
    town.identify(anonymous="a1", phone="+4915112345678")
    town.track("Added", anonymous="a1", cart_id="c1")
    town.pass_time(minutes=60)
    (offer,) = town.offers
    town.track("Bought", user="ann", anonymous="a1", cart_id="c1")
    assert [cancel[:2] for cancel in town.cancels] == [(offer[0], "w/anonymous/a1")]
    assert town.peek("user/ann").messages[offer[0]].cancelled


def test_who_was_in_a_segment_stays_in_it_and_enters_nothing_anew(town: Families) -> None:
    town.track("Bought", anonymous="a1", cart_id="c1")
    town.track("Bought", anonymous="a1", cart_id="c2")
    since = town.peek("anonymous/a1").segments["buyer"]
    town.pass_time(minutes=5)
    town.track("Viewed", user="ann", anonymous="a1")
    assert town.peek("user/ann").segments["buyer"] == since
    assert town.shard.sizes == {"w/buyer": 1, "w/stranger": 1}
    town.define("segment: all\nwhen: {not: {trait: nothing, exists: true}}")
    town.run(commands.refresh("w/anonymous/a1"))
    assert not town.peek("anonymous/a1").segments, "a stub is nobody"


def test_the_first_user_has_the_visitor(town: Families) -> None:
    town.track("Bought", anonymous="a1", cart_id="c1")
    town.track("Viewed", user="ann", anonymous="a1")
    town.track("Viewed", user="bob", anonymous="a1")
    town.track("Bought", anonymous="a1", cart_id="c2")
    assert "buyer" in town.peek("user/ann").segments
    assert view(town.peek("user/bob"))["identifiers"] == [["anonymous", "a1", "foreign"]]
    assert town.notes("user/bob") == ["anonymous/a1: not merged: it is a part of user/ann already"]
    assert len(town.peek("user/bob").windows.get("Viewed", ())) == 0


def test_alias_makes_one_of_two_users_and_ids_follow_a_chain(town: Families) -> None:
    town.track("Bought", anonymous="a1", cart_id="c1")
    town.identify(user="ann", plan="pro", city="Ulm")
    town.track("Viewed", user="ann", anonymous="a1")
    town.identify(user="ann@work", city="Bonn")
    town.alias("ann", "ann@work")
    work = town.peek("user/ann@work")
    assert work.traits == {"plan": "pro", "city": "Bonn"}
    assert [line["from"] for line in view(work)["merges"]] == ["anonymous/a1", "user/ann"]
    assert town.track("Bought", anonymous="a1", cart_id="c2") == Reason.ACCEPTED
    assert "buyer" in town.peek("user/ann@work").segments
    town.identify(user="ann", plan="free")
    assert town.traits("user/ann@work")["plan"] == "free"


def test_aliases_that_contradict_each_other_leave_one_profile(town: Families) -> None:
    town.identify(user="u1", a=1)
    town.identify(user="u2", b=2)
    town.identify(user="u3", c=3)
    town.deliver = False
    town.alias("u1", "u2")
    town.alias("u2", "u3")
    town.alias("u3", "u1")
    town.identify(user="u2", late=True)
    town.deliver_all()
    assert town.traits("user/u1") == {"a": 1, "b": 2, "c": 3, "late": True}
    for other in ("u2", "u3"):
        assert view(town.peek(f"user/{other}"))["merged_into"]
        assert not town.peek(f"user/{other}").outbox
    assert not view(town.peek("user/u1"))["merged_into"]
    assert not view(town.peek("user/u1"))["parked"]


def test_a_circle_in_which_both_are_full_ends_too(
    town: Families, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STUB_OUTBOX", 5)
    town.deliver = False
    town.alias("ben", "ann")
    town.alias("ann", "ben")
    town.deliver_some(4)
    results = [town.track("Bought", user=user) for user in ("ann", "ben") * 5]
    assert Reason.OUTBOX_FULL in results
    town.deliver_all()
    town.pass_time(ms=limits.MERGE_WAIT_MS)
    bought = [len(town.peek(f"user/{u}").windows.get("Bought", ())) for u in ("ann", "ben")]
    assert sum(bought) == results.count(Reason.ACCEPTED)


def test_where_a_circle_ends_nothing_is_quicker_than_the_merge_that_it_follows(
    town: Families,
) -> None:
    """What ben passes on behind ann's merge comes to her before his own, which goes around."""
    town.identify(user="ben", phone="+4915112345678")
    town.track("Added", user="ben", cart_id="c1")
    town.pass_time(minutes=60)
    (offer,) = town.offers
    town.track("Added", user="ben", cart_id="c2")
    town.deliver = False
    town.alias("ben", "ann")
    town.alias("ann", "ben")
    visitors = [one for one in town.forwards if "/anonymous/" in one[3][1]]
    town.forwards = [one for one in town.forwards if one not in visitors]
    town.deliver_some(2)
    town.forwards.sort(key=lambda one: one[0])  # ann's merge is the first to arrive
    town.deliver_some(1)
    town.forwards += visitors
    town.run(commands.receipt(offer[1], offer[0], Reason.SENT, town.now, True, "sandbox"))
    town.track("Bought", user="ben", cart_id="c2")
    town.deliver_all()
    ann = town.peek("user/ann")
    (message,) = ann.messages.values()
    assert message.status == Reason.SENT
    assert [(run.key, run.status) for run in ann.ended_instances()] == [("c2", "exited")]
    assert not {"away", "waiting", "parked"} & set(ann.state["identity"])


def test_ids_that_mean_nobody_are_never_merged(town: Families) -> None:
    for id_ in ("null", "0000-0000", "-1", "Anonymous", ""):
        town.track("Viewed", user="ann", anonymous=id_)
    assert not town.peek("user/ann").state["identity"].get("log")
    assert town.notes("user/ann") == [
        f"anonymous/{id_}: not merged: this id names nobody"
        for id_ in ("null", "0000-0000", "-1", "Anonymous")
    ]


def test_a_profile_has_a_bounded_number_of_ids(
    town: Families, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "IDENTIFIERS", 2)
    for number in range(4):
        town.track("Viewed", user="ann", anonymous=f"a{number}")
    ann = town.peek("user/ann")
    assert ann.state["identity"]["over"] == 2
    assert town.notes("user/ann") == [
        "anonymous/a2: not merged: a profile has 2 ids and 100 merges"
    ]
    assert town.shard.peek("w/anonymous/a3") is None


def test_events_wait_for_a_merge_only_so_long(town: Families) -> None:
    town.track("Added", anonymous="a1", cart_id="c1")
    town.deliver = False
    town.track("Bought", user="ann", anonymous="a1", cart_id="c9")
    town.pass_time(ms=limits.MERGE_WAIT_MS - 1)
    assert view(town.peek("user/ann"))["parked"] == 1
    town.pass_time(ms=1)
    assert view(town.peek("user/ann"))["parked"] == 0
    assert town.notes("user/ann") == [
        "anonymous/a1: has not answered yet: events do not wait for it longer"
    ]
    town.deliver_all()
    assert [run.key for run in town.peek("user/ann").instances.values()] == ["c1"]


def test_a_quarantine_does_not_make_a_wait_endless(town: Families) -> None:
    town.deliver = False
    town.track("Bought", user="ann", anonymous="a1", cart_id="c1")
    ann = town.peek("user/ann")
    town.shard._quarantine(ann, ValueError("a bug"))
    town.apply(commands.release(ann.key))
    town.pass_time(ms=limits.MERGE_WAIT_MS)
    assert view(ann)["parked"] == 0
    assert len(ann.windows["Bought"]) == 1


def test_only_so_many_events_wait(town: Families, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PARKED_EVENTS", 3)
    town.deliver = False
    for number in range(5):
        town.track("Bought", user="ann", anonymous="a1", cart_id=str(number))
    town.deliver_all()
    assert len(town.peek("user/ann").windows["Bought"]) == 5


def test_what_finds_no_room_is_in_the_merge_log(
    town: Families, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TRAITS", 3)
    monkeypatch.setattr(limits, "WINDOW_EVENTS", 4)
    for number in range(3):
        town.track("Bought", anonymous="a1", cart_id=f"c{number}")
        town.track("Bought", user="ann", cart_id=f"d{number}")
    town.identify(anonymous="a1", a=1, b=2)
    town.identify(user="ann", c=3, d=4)
    town.track("Viewed", user="ann", anonymous="a1")
    (line,) = view(town.peek("user/ann"))["merges"]
    assert line["dropped"] == {"traits": ["b"], "times of events": 2}
    assert line["moved"] == {"traits": 1, "times of events": 3, "lines of the trail": 2}


def test_a_merge_is_bounded_and_says_what_stayed_behind(
    town: Families, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MERGE_BYTES", 3_000)
    for number in range(200):
        town.track("Bought", anonymous="a1", cart_id=f"c{number}")
    town.track("Viewed", user="ann", anonymous="a1")
    (line,) = view(town.peek("user/ann"))["merges"]
    assert set(line["dropped"]) == {"trail", "ids of events"}
    assert len(town.peek("user/ann").windows["Bought"]) == 200


def test_an_event_that_is_refused_after_it_was_passed_on_is_in_the_trail(
    town: Families, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TRAITS", 1)
    town.identify(user="ann", a=1)
    town.track("Viewed", user="ann", anonymous="a1")
    assert town.identify(anonymous="a1", b=2) == Reason.ACCEPTED
    assert town.notes("user/ann")[-1].endswith("passed on was refused: TRAITS_FULL")


def test_a_stub_takes_no_more_than_it_can_pass_on(
    town: Families, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STUB_OUTBOX", 2)
    town.track("Viewed", user="ann", anonymous="a1")
    town.deliver = False
    results = [town.track("Bought", anonymous="a1", message_id=f"x{n}") for n in range(3)]
    assert results == [Reason.ACCEPTED, Reason.ACCEPTED, Reason.OUTBOX_FULL]
    key = "w/anonymous/a1"
    spec = msgpack.packb({"channel": "sms", "body": "hi"})
    asked = [
        commands.send(key, "r1", spec), commands.enter(key, "r2", "cart"),
        commands.stop(key, "r3", "cart"), commands.consent(key, "r4", [("sms", "all", "unknown")]),
    ]  # fmt: skip
    assert set(town.apply(*asked).results) == {Reason.OUTBOX_FULL}
    town.deliver_all()
    assert town.track("Bought", anonymous="a1", message_id="x2") == Reason.ACCEPTED


def test_a_message_by_the_api_goes_to_where_the_user_is_now(town: Families) -> None:
    town.identify(user="ann", phone="+4915112345678")
    town.alias("ann", "eve")
    spec = {"channel": "sms", "body": "hello", "purpose": "otp"}
    command = commands.send("w/user/ann", "r1", msgpack.packb(spec))
    assert town.run(command) == Reason.ACCEPTED
    (message,) = town.peek("user/eve").messages.values()
    assert (message.to, message.body) == ("+4915112345678", "hello")
    assert town.run(command) == Reason.ACCEPTED
    assert len(town.peek("user/eve").messages) == 1


def test_definitions_that_the_receiver_does_not_have_yet_let_a_merge_wait(town: Families) -> None:
    town.track("Viewed", anonymous="a1")
    town.deliver = False
    town.track("Viewed", user="ann", anonymous="a1")
    town.deliver_some(1)
    forward: Any = town.forwards[0][3]
    newer = (*forward[:6], forward[6] + 1, forward[7])
    assert town.apply(newer).results[0] == Reason.OUT_OF_TURN
    town.deliver_all()
    assert view(town.peek("user/ann"))["identifiers"] == [["anonymous", "a1", "merged"]]


def test_who_takes_over_a_wait_bounds_it_too(town: Families) -> None:
    town.deliver = False
    town.alias("u1", "u2")
    town.track("Bought", user="u1", anonymous="a1", cart_id="c1")
    for forward in [one for one in town.forwards if one[3][0] == commands.LINK]:
        if "user/u1" in forward[3][1]:
            town.forwards.remove(forward)
            town.forwards.insert(0, forward)
    town.deliver_some(1)
    asked = [one for one in town.forwards if one[3][0] == commands.LINK]
    town.forwards = [one for one in town.forwards if one not in asked]
    town.deliver_all()
    assert view(town.peek("user/u2"))["parked"] == 2
    town.pass_time(ms=limits.MERGE_WAIT_MS)
    assert view(town.peek("user/u2"))["parked"] == 0
    assert len(town.peek("user/u2").windows["Bought"]) == 1


def test_where_events_drive_the_clock_a_wait_is_no_matter_of_seconds(town: Families) -> None:
    day_ms = 86_400_000
    town.deliver = False
    batch = [
        commands.event("w/user/ann", f"x{n}", commands.TRACK, "Bought", town.now + n * day_ms,
                       b"", b"", "a1")
        for n in range(3)
    ]  # fmt: skip
    payload = commands.pack_payload([commands.pack_chunk(batch)])
    effects = town.shard.apply(town.shard.seq + 1, town.now, 1, payload)
    assert view(town.peek("user/ann"))["parked"] == 3
    town.forwards += effects.forwards
    town.now += 2 * day_ms
    town.deliver_all()
    assert len(town.peek("user/ann").windows["Bought"]) == 3
