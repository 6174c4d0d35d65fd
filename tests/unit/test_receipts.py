"""What receipts do to a message and to its person, where two features meet in one receipt."""

from typing import Any

import pytest
from journey_helpers import Town

from engine import commands
from engine.conditions.consent import STATE
from engine.messages.message import Message
from engine.packing import pack
from engine.reasons import Reason

KEY = "w/user/ann"
LANES = """
{lane: first, channel: sms, carrier: sandbox, prefixes: ["+"]}
---
{lane: second, channel: sms, carrier: sandbox, prefixes: ["+"]}
---
{lane: mail, channel: email, carrier: sandbox}
---
{route: sms, rules: [{lanes: [first], then: [second]}], fail_over: {undelivered: true}}
---
{policy: default, caps: [{at_most: 1, per: 24h}]}
"""


class Desk(Town):
    """A town with a route of two lanes."""

    def __init__(self, text: str = LANES) -> None:
        super().__init__(text)
        self.sends = 0

    def send(self, **spec: Any) -> Message:
        self.sends += 1
        values = {"channel": "sms", "to": "+12025550123", "body": "hi", **spec}
        self.apply(commands.send(KEY, f"r{self.sends}", pack(values)))
        return self.messages()[-1]

    def messages(self) -> list[Message]:
        entity = self.shard.peek(KEY)
        assert entity is not None
        assert not entity.error, entity.error
        return list(entity.messages.values())

    def tell(self, name: str, reason: Reason, lane: str = "", *more: commands.Outcome) -> Reason:
        told = commands.receipt(
            KEY, name, reason, self.now, reason is not Reason.COMPLAINED, "sandbox", lane,
            "", "", "", more,
        )  # fmt: skip
        return Reason(self.apply(told).results[-1])

    def consents(self) -> dict[str, Any]:
        entity = self.shard.peek(KEY)
        assert entity is not None
        return {name: said[0] for name, said in entity.state.get(STATE, {}).items()}


def test_a_complaint_about_an_earlier_attempt_unsubscribes() -> None:
    desk = Desk()
    message = desk.send()
    desk.tell(message.id, Reason.SENT, "first")
    desk.tell(message.id, Reason.UNDELIVERED, "first")
    assert desk.messages()[-1].hop == 1
    desk.tell(message.id, Reason.COMPLAINED, "first")
    assert desk.consents() == {"sms/all": "unsubscribed"}


def test_a_complaint_about_a_message_that_was_forgotten_unsubscribes() -> None:
    desk = Desk()
    desk.send(channel="email", to="ann@example.org")
    assert desk.tell("f" * 32, Reason.COMPLAINED, "mail") is Reason.NOT_FOUND
    assert desk.consents() == {"email/all": "unsubscribed"}


def test_what_never_left_by_any_lane_counts_for_no_cap() -> None:
    desk = Desk()
    message = desk.send()
    desk.at("5s")
    desk.tell(message.id, Reason.CARRIER_UNAVAILABLE, "first")
    desk.at("9s")
    desk.tell(f"{message.id}.1", Reason.CARRIER_UNAVAILABLE, "second")
    assert desk.messages()[-1].status == Reason.CARRIER_UNAVAILABLE
    assert desk.send().status == Reason.QUEUED


def test_what_a_called_back_message_met_at_a_full_lane_counts_for_no_cap() -> None:
    desk = Desk()
    message = desk.send()
    desk.apply(commands.cancel(KEY, message.id))
    desk.tell(message.id, Reason.LANE_CAPPED, "first")
    assert desk.messages()[-1].status == Reason.LANE_CAPPED
    assert desk.send().status == Reason.QUEUED


def test_what_comes_after_the_word_that_made_it_go_on_is_of_the_attempt_before() -> None:
    desk = Desk()
    message = desk.send()
    told = [(Reason.UNDELIVERED, desk.now, "", ""), (Reason.DELIVERED, desk.now, "", "")]
    desk.tell(message.id, Reason.SENT, "first", *told)
    message = desk.messages()[-1]
    assert (message.status, message.hop, message.cancelled) == (Reason.DELIVERED, 1, True)


@pytest.mark.parametrize("lane", ["", "gone"])
def test_a_complaint_by_a_lane_that_is_gone_is_not_found(lane: str) -> None:
    desk = Desk()
    desk.send()
    assert desk.tell("f" * 32, Reason.COMPLAINED, lane) is Reason.NOT_FOUND
    assert desk.consents() == {}


ROUTED = """
{lane: first, channel: sms, carrier: sandbox, prefixes: ["+"]}
---
{lane: second, channel: sms, carrier: sandbox, prefixes: ["+"]}
---
route: sms
rules:
  - {lanes: [{lane: first, senders: ["+12025550100"]}], then: [{lane: second, senders: [ACME]}]}
---
{policy: default, quiet_hours: {from: "00:00", to: "02:30"}}
"""


def test_a_message_that_is_held_again_has_its_sender_chosen_when_it_leaves() -> None:
    desk = Desk(ROUTED)  # at 01:46 in the zone that holds if no other is known
    assert desk.send(validity_ms=86_400_000).status == Reason.HELD
    later = ROUTED.replace("02:30", "14:00")
    desk.define(later)
    desk.at("1h")
    assert [message.status for message in desk.messages()] == [Reason.HELD]
    desk.define(later.replace("+12025550100", "+12025550199"))
    desk.at("13h")
    (message,) = desk.messages()
    assert message.status == Reason.QUEUED
    assert (message.sender, message.others) == ("+12025550199", (("second", "ACME"),))


@pytest.mark.parametrize("reason", [Reason.UNDELIVERED, Reason.CARRIER_UNAVAILABLE])
def test_who_has_said_no_meanwhile_gets_no_further_attempt(reason: Reason) -> None:
    desk = Desk()
    message = desk.send()
    if reason is Reason.UNDELIVERED:
        desk.tell(message.id, Reason.SENT, "first")
    said = commands.consent(KEY, "c1", [("sms", "all", "unsubscribed")], "test", desk.now)
    assert desk.apply(said).results[-1] == Reason.ACCEPTED
    desk.tell(message.id, reason, "first")
    message = desk.messages()[-1]
    assert (message.hop, message.status) == (0, reason)


def test_who_is_suppressed_meanwhile_gets_no_further_attempt() -> None:
    desk = Desk()
    message = desk.send()
    desk.tell(message.id, Reason.SENT, "first")
    assert desk.apply(commands.suppress(KEY, "s1", True)).results[-1] == Reason.ACCEPTED
    desk.tell(message.id, Reason.UNDELIVERED, "first")
    message = desk.messages()[-1]
    assert (message.hop, message.status) == (0, Reason.UNDELIVERED)


def test_a_complaint_of_who_was_erased_leaves_nothing_of_them() -> None:
    desk = Desk()
    desk.send(channel="email", to="ann@example.org")
    desk.apply(commands.erase(KEY, "e1", False))
    assert desk.tell("f" * 32, Reason.COMPLAINED, "mail") is Reason.NOT_FOUND
    assert desk.consents() == {}
