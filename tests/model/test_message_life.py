"""A message's life against a naive model: receipts early, late, doubled and out of order.

The model knows nothing of the table: it ranks outcomes, lets a status only go up, and moves to the
next lane when the newest attempt fails in a way that the lane is at fault for. Of what is told of
the carrier's attempts it believes the latest.
"""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from engine import commands
from engine.packing import pack
from engine.reasons import Reason
from engine.simulation.sender import HOLD
from engine.simulation.world import World

LANES = ("first", "second", "third")
DEFINITIONS = [
    *({"lane": name, "channel": "sms", "carrier": "sandbox"} for name in LANES),
    {"route": "sms", "rules": [{"lanes": ["first"], "then": ["second", "third"]}]},
]
RANKS = {
    Reason.QUEUED: 0,
    Reason.UNKNOWN_OUTCOME: 1,
    Reason.SENT: 2,
    Reason.UNDELIVERED: 3,
    Reason.EXPIRED: 3,
    Reason.CARRIER_UNAVAILABLE: 3,
    Reason.NO_ROUTE: 3,
    Reason.PARTIALLY_DELIVERED: 4,
    Reason.DELIVERED: 5,
    Reason.READ: 6,
}
LANE_AT_FAULT = (Reason.CARRIER_UNAVAILABLE, Reason.NO_ROUTE)
ARRIVED = (Reason.PARTIALLY_DELIVERED, Reason.DELIVERED, Reason.READ)
ATTEMPTS = (Reason.SENDING, Reason.THROTTLED)
TOLD = [*(reason for reason in RANKS if reason is not Reason.QUEUED), *ATTEMPTS * 3]
NEVER = (-1, False)


@dataclass
class Naive:
    """What a person would keep on a card."""

    status: Reason = Reason.QUEUED
    hop: int = 0
    with_sender: bool = True
    offered: list[int] = field(default_factory=lambda: [0])
    newest: tuple[int, bool] = NEVER

    def take_attempt(self, hop: int, reason: Reason, at_ms: int) -> None:
        told = at_ms, reason is Reason.THROTTLED
        if hop == self.hop and self.status in (Reason.QUEUED, *ATTEMPTS) and told > self.newest:
            self.status, self.newest = reason, told

    def take(self, hop: int, reason: Reason) -> None:
        late = hop < self.hop
        if not late:
            self.with_sender = False
            if reason in LANE_AT_FAULT and self.hop < len(LANES) - 1:
                self.hop += 1
                self.offered.append(self.hop)
                self.status, self.with_sender = Reason.QUEUED, True
                self.newest = NEVER
                return
        if late and reason not in ARRIVED:
            return
        if self.status is Reason.SENT and reason in LANE_AT_FAULT:
            return  # a carrier had it: no lane can say that it never left
        if self.status in ATTEMPTS or RANKS[reason] > RANKS[self.status]:
            self.status = reason


RECEIPT = st.tuples(
    st.integers(0, 2), st.sampled_from(TOLD), st.integers(1, 2),
    st.integers(1, 5), st.sampled_from((commands.UNKNOWN, 0, 1)),
)  # fmt: skip


@given(st.lists(RECEIPT, max_size=12))
@settings(max_examples=300, deadline=None)
def test_receipts_in_any_order(told: list[tuple[int, Reason, int, int, int]]) -> None:
    world = World()
    world.define(DEFINITIONS)
    world.sender.does = HOLD
    key = "default/user/ann"
    spec = pack({"channel": "sms", "to": "+12025550123", "body": "hi"})
    assert world.do(commands.send(key, "r1", spec)) is Reason.ACCEPTED
    naive = Naive()
    made_ms = world.now
    world.turn_to(made_ms + 10)
    cancelled = False
    for back, reason, times, after_ms, took_ms in told:
        hop = max(0, naive.hop - back)
        newest = naive.hop
        for _ in range(times):
            entity = world.person(user="ann")
            assert entity is not None
            (message,) = entity.messages.values()
            name = f"{message.id}.{hop}" if hop else message.id
            world.sender.held.pop(name, None)
            before = message.hop
            at_ms = made_ms + (after_ms if hop == before else 0)  # what is late is early
            receipt = commands.receipt(
                key, name, reason, at_ms, reason not in ATTEMPTS, "carrier", LANES[hop],
                took_ms=took_ms,
            )  # fmt: skip
            world.do(receipt)
            if hop == before or not cancelled:
                if took_ms != commands.UNKNOWN:
                    naive.take_attempt(hop, Reason.SENDING, max(made_ms, at_ms - took_ms))
                if reason in ATTEMPTS:
                    naive.take_attempt(hop, reason, at_ms)
                else:
                    naive.take(hop, reason)
            (message,) = world.person(user="ann").messages.values()  # type: ignore[union-attr]
            if message.cancelled and not cancelled:
                # It arrived by an earlier lane: the newest attempt was called back.
                cancelled = True
                naive.with_sender = False
        assert newest <= message.hop
        assert (message.hop, message.status) == (naive.hop, naive.status), message.history
        if cancelled:
            return
        outbox = world.person(user="ann").outbox  # type: ignore[union-attr]
        assert (message.id in outbox) == naive.with_sender
        assert message.lane == LANES[message.hop]
        assert message.history[0][1] == Reason.QUEUED
        assert len(message.history) <= 16
    assert sorted(naive.offered) == naive.offered
    assert world.snapshot() == world.replayed().snapshot()
