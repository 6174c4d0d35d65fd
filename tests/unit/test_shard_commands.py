"""What one command does to one person, and what it must not do, on a real shard."""

import msgpack
import pytest
from journey_helpers import SMS_LANE, Town

from engine import commands, limits
from engine.messages.message import api_message_id
from engine.reasons import Reason

TEMPLATE = """
template: sum
channel: sms
body: "{{ event.n * 2 }}"
sample: {event: {n: 1}}
"""
SEGMENTS = """
segment: buyer
when: {event: Bought, at_least: 1, within: 7d}
"""
KEY = "w/user/ann"


@pytest.fixture
def town() -> Town:
    return new_town()


def new_town() -> Town:
    town = Town(f"{SMS_LANE}\n---{TEMPLATE}\n---{SEGMENTS}")
    town.identify(phone="+15551234567")
    return town


def send(town: Town, request_id: str, **spec: object) -> Reason:
    packed = msgpack.packb({"channel": "sms", "purpose": "otp", **spec})
    (result,) = town.apply(commands.send(KEY, request_id, packed)).results
    return Reason(result)


def test_a_message_that_cannot_be_rendered_is_a_message_with_that_outcome(town: Town) -> None:
    assert send(town, "r1", template="sum", data={"n": {}}) is Reason.ACCEPTED
    entity = town.person()
    message = entity.messages[api_message_id(KEY, "r1")]
    assert not entity.error
    assert message.to == "+15551234567"
    ((at_ms, reason, code, why),) = message.history
    assert (at_ms, reason, code) == (town.now, Reason.RENDER_FAILED, "")
    assert why.startswith("template 'sum': line 1: tried to use")
    assert town.notes("message") == [f"{message.id}: not sent: RENDER_FAILED, {why}"]
    assert not entity.outbox
    assert not town.effects[-1].sends
    assert send(town, "r1", template="sum", data={"n": {}}) is Reason.DUPLICATE


def test_a_request_that_was_refused_may_be_made_again(town: Town) -> None:
    assert send(town, "r1", template="late") is Reason.TEMPLATE_MISSING
    town.define("template: late\nchannel: sms\nbody: at last")
    assert send(town, "r1", template="late") is Reason.ACCEPTED
    assert send(town, "r1", template="late") is Reason.DUPLICATE
    assert town.bodies() == ["at last"]


def test_a_request_that_a_full_outbox_refused_may_be_made_again(town: Town) -> None:
    for number in range(limits.OUTBOX):
        assert send(town, f"r{number}", body="x") is Reason.ACCEPTED
    assert send(town, "late", body="x") is Reason.OUTBOX_FULL
    first = api_message_id(KEY, "r0")
    town.apply(commands.receipt(KEY, first, Reason.SENT, town.now, settle=True))
    assert send(town, "late", body="x") is Reason.ACCEPTED


def test_a_message_that_waits_in_the_outbox_is_never_forgotten(town: Town) -> None:
    for number in range(limits.MESSAGES + 10):
        send(town, f"r{number}", body=str(number))
    entity = town.person()
    assert list(entity.messages) == list(entity.outbox)
    assert len(town.shard.unsettled([]).sends) == limits.MESSAGES + 10


def test_traits_that_do_not_fit_may_come_again_once_there_is_room(town: Town) -> None:
    full = commands.event(
        KEY, "m", commands.IDENTIFY, "", town.now,
        msgpack.packb({f"t{n}": n for n in range(limits.TRAITS)}),
    )  # fmt: skip
    assert list(town.apply(full).results) == [Reason.TRAITS_FULL]
    town.identify(phone=None)
    assert list(town.apply(full).results) == [Reason.ACCEPTED]
    assert list(town.apply(full).results) == [Reason.DUPLICATE]


@pytest.mark.parametrize("type_", [commands.TRACK, commands.PAGE, commands.SCREEN])
def test_named_events_count(town: Town, type_: int) -> None:
    names = {commands.TRACK: "Bought", commands.PAGE: "Viewed A Page",
             commands.SCREEN: "Viewed A Screen"}  # fmt: skip
    when = f"{{event: {names[type_]}, at_least: 1, within: 7d}}"
    town.define(f"segment: buyer\nwhen: {when}")
    town.happen(type_, "Bought" if type_ == commands.TRACK else "A", "ann", {})
    assert list(town.person().segments) == ["buyer"]


@pytest.mark.parametrize("type_", [commands.IDENTIFY, commands.GROUP, commands.ALIAS])
def test_an_id_that_is_equal_to_the_name_of_an_event_is_not_that_event(
    town: Town, type_: int
) -> None:
    town.happen(type_, "Bought", "ann", {})
    assert town.person().segments == {}
    assert town.person().windows == {}


@pytest.mark.parametrize("raw", [b"\xc1", b"\x81", msgpack.packb([1]), msgpack.packb("x")])
def test_properties_that_cannot_be_read_are_none_and_the_trail_says_so(
    town: Town, raw: bytes
) -> None:
    town.define(
        "journey: j\nentry: {event: Bought, where: [{property: price, exists: false}]}\n"
        "steps: {a: {delay: 1h}}"
    )
    for number, (type_, name) in enumerate([(commands.TRACK, "Bought"), (commands.IDENTIFY, "")]):
        effects = town.apply(commands.event(KEY, f"bad{number}", type_, name, town.now, raw))
        assert list(effects.results) == [Reason.ACCEPTED]
    assert not town.person().error
    assert town.person().traits == {"phone": "+15551234567"}
    assert town.only().status == "running"
    said = "its properties could not be read: taken as none"
    assert town.notes("event") == [f"Bought: {said}", f": {said}"]


def test_what_nobody_asks_for_is_not_read(town: Town) -> None:
    town.apply(commands.event(KEY, "bad", commands.TRACK, "Other", town.now, b"\xc1"))
    assert town.notes("event") == []


def test_feed_lines_name_the_entity_by_its_key(town: Town) -> None:
    feed: list[list[object]] = []
    town.shard.watch(feed)
    town.track("Bought")
    send(town, "r1", body="x")
    id_ = api_message_id(KEY, "r1")
    town.apply(commands.receipt(KEY, id_, Reason.SENT, town.now, settle=True))
    assert feed == [
        [town.now, "w", "segment", "ann", "buyer", "entered: its condition became true", KEY],
        [town.now, "w", "event", "ann", "track", "Bought", KEY],
        [town.now, "w", "message", "ann", id_, "QUEUED sms to +15551234567 x", KEY],
        [town.now, "w", "message", "ann", id_, "SENT", KEY],
    ]
    town.shard.watch(None)
    town.track("Bought")
    assert len(feed) == 4


@pytest.mark.parametrize(
    "more",
    [
        [],
        [(Reason.DELIVERED, 400, "", "")],
        [(Reason.UNDELIVERED, 400, "7", "absent subscriber"), (Reason.DELIVERED, 900, "", "")],
        [(Reason.DELIVERED, 400, "", ""), (Reason.SENT, 500, "", ""), (Reason.READ, 99, "", "")],
    ],
)
def test_outcomes_in_one_receipt_are_as_those_in_receipts_of_their_own(
    more: list[commands.Outcome],
) -> None:
    id_ = api_message_id(KEY, "r1")
    towns = []
    for together in (True, False):
        town = new_town()
        feed: list[list[object]] = []
        town.shard.watch(feed)
        send(town, "r1", body="x")
        made_ms = town.now
        town.now += 1_000
        outcomes = [(reason, made_ms + at_ms, code, why) for reason, at_ms, code, why in more]
        words = ("sandbox", "main", "", "", "sb-1")
        sent = (KEY, id_, Reason.SENT, made_ms + 300, True, *words)
        if together:
            effects = town.apply(commands.receipt(*sent, outcomes, 200))
        else:
            given = commands.receipt(KEY, id_, Reason.SENDING, made_ms + 100, False, *words[:2])
            rest = [
                commands.receipt(KEY, id_, reason, at_ms, False, *words[:2], code, why, words[4])
                for reason, at_ms, code, why in outcomes
            ]
            effects = town.apply(given, commands.receipt(*sent), *rest)
        assert effects.results[0] == Reason.ACCEPTED
        assert not town.person().outbox
        message, notes = town.person().messages[id_], town.notes("message")
        towns.append((message.view(), effects.outcomes, feed, notes))
    assert towns[0] == towns[1]
    times = [at_ms - made_ms for at_ms, _, _, _ in towns[0][0]["history"]]
    assert times[:3] == [0, 100, 300]
    assert len(times) > 1 + len(more)
    assert towns[0][1][Reason.SENDING] == 1


def test_a_receipt_of_several_outcomes_is_judged_by_its_first(town: Town) -> None:
    send(town, "r1", body="x")
    id_ = api_message_id(KEY, "r1")
    more = [(Reason.DELIVERED, town.now, "", "")]
    sent = commands.receipt(KEY, id_, Reason.SENT, town.now, True, more=more)
    unknown = commands.receipt(KEY, "f" * 32, Reason.SENT, town.now, True, more=more)
    results = [list(town.apply(each).results) for each in (sent, sent, unknown)]
    assert results == [[Reason.ACCEPTED], [Reason.DUPLICATE], [Reason.NOT_FOUND]]
    assert town.person().messages[id_].status == Reason.DELIVERED


def test_what_a_repeat_changes_is_stored_whenever_the_row_is_written() -> None:
    """A repeat moves no status, but it may bring another id of the carrier."""
    id_ = api_message_id(KEY, "r1")
    stored = []
    for written_between in (True, False):
        town = new_town()
        send(town, "r1", body="x")
        for provider_id in ("P1", "P2"):
            names = ("sandbox", "main", "", "", provider_id)
            town.apply(commands.receipt(KEY, id_, Reason.DELIVERED, town.now, True, *names))
            if written_between:
                town.person().pack()
        stored.append(town.person().pack())
    assert stored[0] == stored[1]


def test_a_receipt_of_an_old_journal_has_one_outcome(town: Town) -> None:
    send(town, "r1", body="x")
    id_ = api_message_id(KEY, "r1")
    old = commands.receipt(KEY, id_, Reason.SENT, town.now, True, "sandbox", "main")[:11]
    assert list(town.apply(old).results) == [Reason.ACCEPTED]
    assert town.person().messages[id_].status == Reason.SENT
    more = [(Reason.DELIVERED, town.now, "", "")]
    newer = commands.receipt(KEY, id_, Reason.SENT, town.now, True, more=more)
    for told in (newer[:12], (*newer, "what a later version adds")):
        town.apply(told)
        found = [line[1] for line in town.person().messages[id_].history]
        assert found == [Reason.QUEUED, Reason.SENT, Reason.DELIVERED]


@pytest.mark.parametrize("others", range(limits.MESSAGE_HISTORY - 3, limits.MESSAGE_HISTORY))
def test_the_hand_over_of_a_message_with_a_long_history_keeps_it_bounded(
    town: Town, others: int
) -> None:
    send(town, "r1", body="x")
    id_ = api_message_id(KEY, "r1")
    kept = town.person().kept
    message = kept.get(id_)
    assert message is not None
    for _ in range(others):
        message.begin_again(Reason.QUEUED, town.now, "again")
    kept.give_back(message)
    for reason in (Reason.THROTTLED, Reason.SENT):
        town.now += 1_000
        settle = reason is Reason.SENT
        town.apply(commands.receipt(KEY, id_, reason, town.now, settle, took_ms=5))
    found = [line[1] for line in town.person().messages[id_].history]
    assert len(found) == limits.MESSAGE_HISTORY
    assert found[-2:] == [Reason.SENDING, Reason.SENT]


def test_a_message_is_sending_until_its_carrier_answers(town: Town) -> None:
    send(town, "r1", body="x")
    id_, made_ms = api_message_id(KEY, "r1"), town.now
    by = ("sandbox", "main")
    town.now += 2_000
    town.apply(commands.receipt(KEY, id_, Reason.SENDING, made_ms + 5, False, *by))
    message = town.person().messages[id_]
    assert (message.status, message.carrier, message.lane) == (Reason.SENDING, *by)
    assert id_ in town.person().outbox
    # Called back now, it is up to the sender, which does not try again what the carrier refuses.
    assert town.apply(commands.cancel(KEY, id_)).cancels
    town.now += 2_000
    refused = commands.receipt(KEY, id_, Reason.THROTTLED, town.now, False, *by, "88", "slow")
    assert not town.apply(refused).cancels
    gone = commands.receipt(KEY, id_, Reason.CANCELLED, town.now, True, *by, "88")
    assert not town.apply(gone, refused).cancels
    message = town.person().messages[id_]
    assert [(at_ms - made_ms, reason, code) for at_ms, reason, code, _ in message.history] == [
        (0, Reason.QUEUED, ""), (5, Reason.SENDING, ""), (4_000, Reason.THROTTLED, "88"),
        (4_000, Reason.CANCELLED, "88"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("told_ms", "given_ms", "kept_ms"),
    [(-(10**12), 0, 0), (500, 450, 500), (10**12, 950, 1_000)],
)
def test_a_receipt_of_another_clock_is_kept_between_the_making_and_now(
    town: Town, told_ms: int, given_ms: int, kept_ms: int
) -> None:
    send(town, "r1", body="x")
    made_ms, id_ = town.now, api_message_id(KEY, "r1")
    town.now += 1_000
    sent = commands.receipt(KEY, id_, Reason.SENT, made_ms + told_ms, True, took_ms=50)
    town.apply(sent)
    message = town.person().messages[id_]
    assert [(at_ms - made_ms, reason) for at_ms, reason, _, _ in message.history] == [
        (0, Reason.QUEUED), (given_ms, Reason.SENDING), (kept_ms, Reason.SENT),
    ]  # fmt: skip
