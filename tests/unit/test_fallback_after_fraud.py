"""What goes out in the place of a message that the fraud guard has stopped."""

import pytest
from journey_helpers import Town

from engine import commands
from engine.entity import Entity
from engine.fallback.success import may_follow
from engine.messages.message import CHANNELS, PHONE_CHANNELS
from engine.packing import pack
from engine.reasons import Reason

ANN = "w/user/ann"
TRAITS = {"phone": "+4915112345678", "email": "a@x.org", "push_token": "t1"}
TEXT = """
{lane: texts, channel: sms, carrier: sandbox, prefixes: ["+"]}
---
{lane: calls, channel: voice, carrier: sandbox, prefixes: ["+"]}
---
{lane: mails, channel: email, carrier: sandbox}
---
{template: by_sms, channel: sms, body: hi}
---
{template: by_voice, channel: voice, body: hi}
---
{template: by_mail, channel: email, subject: hi, body: hi}
---
journey: nudge
entry: {event: Cart}
steps:
  nudge:
    message:
      purpose: transactional
      channels:
        - {sms: by_sms, within: 1h}
        - {voice: by_voice, within: 1h}
        - {email: by_mail, within: 1h}
        - {voice: by_voice}
    then: rest
  rest: {delay: 30d}
"""
SPEC = {
    "channel": "sms",
    "purpose": "transactional",
    "body": "hi",
    "within_ms": 3_600_000,
    "fallbacks": [
        {"channel": "voice", "body": "hi", "within_ms": 3_600_000},
        {"channel": "email", "subject": "hi", "body": "hi", "within_ms": 3_600_000},
        {"channel": "voice", "body": "hi"},
    ],
}


class Story(Town):
    """A message with fall-backs, asked for by the API or by a journey."""

    def __init__(self, by_api: bool) -> None:
        super().__init__(TEXT)
        self.by_api = by_api
        self.identify(**TRAITS)
        if by_api:
            self.apply(commands.send(ANN, "r1", pack(SPEC)))
        else:
            self.track("Cart")

    def entity(self) -> Entity:
        entity = self.shard.peek(ANN)
        assert entity is not None
        assert not entity.error, entity.error
        return entity

    def told(self, reason: Reason) -> None:
        """The sender tells of the newest message."""
        newest = list(self.entity().messages.values())[-1]
        self.apply(commands.receipt(ANN, newest.id, reason, self.now, True))

    def out(self) -> list[str]:
        return [message.channel for message in self.entity().messages.values()]

    def over(self) -> bool:
        """Whether nothing is waited for."""
        entity = self.entity()
        if self.by_api:
            timers = [token for token in entity.timers if token.startswith("f:")]
            return not timers and "fallback" not in entity.state
        return self.only().step == "rest"


by_both = pytest.mark.parametrize("by_api", [False, True])


@by_both
def test_after_another_end_the_next_channel_goes_out(by_api: bool) -> None:
    story = Story(by_api)
    story.told(Reason.FRAUD_CHALLENGED)
    assert story.out() == ["sms", "voice"]


@by_both
def test_nothing_gives_a_shadow_away(by_api: bool) -> None:
    story = Story(by_api)
    story.told(Reason.FRAUD_SHADOWED)
    assert story.over()
    story.at("2 d")
    assert story.out() == ["sms"]


@by_both
def test_a_block_is_followed_by_no_channel_that_is_paid_for(by_api: bool) -> None:
    story = Story(by_api)
    story.told(Reason.FRAUD_BLOCKED)
    assert story.out() == ["sms", "email"]
    story.told(Reason.UNDELIVERED)
    assert story.over()
    assert story.out() == ["sms", "email"]


@by_both
def test_a_block_of_the_second_keeps_the_third_paid_one_back(by_api: bool) -> None:
    story = Story(by_api)
    story.told(Reason.UNDELIVERED)
    story.told(Reason.FRAUD_BLOCKED)
    assert story.out() == ["sms", "voice", "email"]
    story.told(Reason.CARRIER_REJECTED)
    assert story.over()
    assert story.out() == ["sms", "voice", "email"]


def test_the_rule_says_of_each_channel_whether_it_may_follow() -> None:
    for channel in CHANNELS:
        assert may_follow(Reason.UNDELIVERED, channel)
        assert may_follow(Reason.FRAUD_CHALLENGED, channel)
        assert not may_follow(Reason.FRAUD_SHADOWED, channel)
        assert may_follow(Reason.FRAUD_BLOCKED, channel) == (channel not in PHONE_CHANNELS)
