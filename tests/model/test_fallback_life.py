"""Channels that replace each other, against a naive model: any receipts, any time, any restarts.

The same story is told for a journey's step and for a message by the API.
"""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import commands
from engine.messages.message import Message
from engine.packing import pack
from engine.reasons import Reason
from engine.simulation.world import World

HOUR = 3_600_000
CHANNELS = ("push", "sms", "email")
WITHIN = (3 * HOUR, 2 * HOUR)
DEFINITIONS = [
    *({"lane": name, "channel": name, "carrier": "sandbox"} for name in CHANNELS),
    {"template": "by_push", "channel": "push", "title": "Hi", "body": "hi"},
    {"template": "by_sms", "channel": "sms", "body": "hi"},
    {"template": "by_email", "channel": "email", "subject": "Hi", "body": "hi"},
    {
        "journey": "cart",
        "entry": {"event": "Cart"},
        "steps": {
            "nudge": {
                "message": {
                    "purpose": "marketing",
                    "channels": [
                        {"push": "by_push", "success": "read", "within": "3h"},
                        {"sms": "by_sms", "within": "2h"},
                        {"email": "by_email"},
                    ],
                },
                "then": "rest",
            },
            "rest": {"delay": "90d"},
        },
    },
]
SPEC = {
    "channel": "push",
    "template": "by_push",
    "success": int(Reason.READ),
    "within_ms": WITHIN[0],
    "fallbacks": [
        {"channel": "sms", "template": "by_sms", "within_ms": WITHIN[1]},
        {"channel": "email", "template": "by_email"},
    ],
}
ENOUGH = ({Reason.READ}, {Reason.DELIVERED, Reason.READ})
TRAITS = {"push": "push_token", "sms": "phone", "email": "email"}
VALUES = {"push": "t1", "sms": "+12025550123", "email": "a@x.org"}


@dataclass
class Naive:
    """One story: which channels went out, which is waited for, and until when."""

    has: tuple[str, ...]
    out: list[str] = field(default_factory=list)
    waits: int = -1
    until: int = 0
    given_up: set[str] = field(default_factory=set)
    heard: set[str] = field(default_factory=set)
    doubles: set[str] = field(default_factory=set)

    def go(self, first: int, now: int) -> None:
        self.waits = -1
        for at in range(first, len(CHANNELS)):
            if CHANNELS[at] in self.has:
                self.out.append(CHANNELS[at])
                if at < len(CHANNELS) - 1:
                    self.waits, self.until = at, now + WITHIN[at]
                return

    def pass_to(self, now: int) -> None:
        while self.waits >= 0 and self.until <= now:
            self.given_up.add(CHANNELS[self.waits])
            self.go(self.waits + 1, self.until)

    def told(self, channel: str, statuses: dict[str, Reason], moved: bool, now: int) -> None:
        at, status = CHANNELS.index(channel), statuses[channel]
        if not moved or at >= len(ENOUGH):
            return
        if at == self.waits:
            if status in ENOUGH[at]:
                self.waits = -1
            elif status is Reason.UNDELIVERED:
                self.given_up.add(channel)
                self.go(at + 1, now)
        elif channel in self.given_up and status in ENOUGH[at] and channel not in self.heard:
            self.heard.add(channel)
            after = self.out[self.out.index(channel) + 1 :]
            if any(statuses[other] is not Reason.UNDELIVERED for other in after):
                self.doubles.add(channel)
            if after:
                self.waits = -1


ACTS = st.one_of(
    st.tuples(st.just("turn"), st.integers(1, 5)),
    st.tuples(
        st.sampled_from(CHANNELS),
        st.sampled_from([Reason.SENT, Reason.UNDELIVERED, Reason.DELIVERED, Reason.READ]),
    ),
    st.tuples(st.just("restart"), st.just(0)),
)


@pytest.mark.parametrize("by_api", [False, True])
@given(
    has=st.lists(st.sampled_from(CHANNELS), unique=True, max_size=3),
    acts=st.lists(ACTS, max_size=10),
)
@settings(max_examples=120, deadline=None)
def test_channels_follow_each_other(
    by_api: bool, has: list[str], acts: list[tuple[str, int]]
) -> None:
    world = World()
    world.define(DEFINITIONS)
    traits = {TRAITS[channel]: VALUES[channel] for channel in has}
    world.happen({"type": "identify", "userId": "ann", "traits": traits})
    naive = Naive(tuple(has))
    naive.go(0, world.now)
    if by_api:
        assert not world.do(commands.send("default/user/ann", "r1", pack(SPEC)))
    else:
        world.happen({"type": "track", "userId": "ann", "event": "Cart"})
    for what, value in acts:
        if what == "turn":
            world.turn_to(world.now + value * HOUR)
            naive.pass_to(world.now)
        elif what == "restart":
            world.restart()
        elif what in naive.out:
            message = _messages(world)[what]
            before = message.status
            name, reason = message.id, Reason(value)
            world.do(commands.receipt("default/user/ann", name, reason, world.now, False))
            statuses = {name: Reason(one.status) for name, one in _messages(world).items()}
            naive.told(what, statuses, statuses[what] != before, world.now)
        _agree(world, naive, by_api)
    assert world.snapshot() == world.replayed().snapshot()


def _messages(world: World) -> dict[str, Message]:
    person = world.person(user="ann")
    assert person is not None
    return {one.channel: one for one in person.messages.values() if one.to}


def _agree(world: World, naive: Naive, by_api: bool) -> None:
    person = world.person(user="ann")
    assert person is not None
    assert list(_messages(world)) == naive.out
    doubles = {
        one.channel
        for one in person.messages.values()
        if any("a double" in words for _, _, _, words in one.history)
    }
    assert doubles == naive.doubles
    if by_api:
        assert ("fallback" in person.state) == (naive.waits >= 0)
        assert any(token.startswith("f:") for token in person.timers) == (naive.waits >= 0)
    else:
        (instance,) = person.instances.values()
        assert instance.step == ("nudge" if naive.waits >= 0 else "rest")
