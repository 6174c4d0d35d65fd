"""Verifications while everything else goes on: answers, time, receipts of any attempt, fail-over.

Whatever comes in whatever order: a code is good once, what is sealed stays no longer than a sender
may need it, nothing waits for ever, and a replay gives the same bytes.
"""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine import commands, limits
from engine.messages.message import hop_of
from engine.packing import pack
from engine.reasons import Reason
from engine.simulation.sender import HOLD
from engine.simulation.world import World
from engine.verification import record
from engine.verification.sealed import SEALED

PHONE = "+4915112345678"
KEY = f"default/address/{PHONE}"
LANES = {"sms": ("first", "second"), "voice": ("calls",), "whatsapp": ("chat",)}
DEFINITIONS = [
    *(
        {"lane": name, "channel": channel, "carrier": "sandbox"}
        for channel, names in LANES.items()
        for name in names
    ),
    {
        "route": "sms",
        "rules": [{"lanes": ["first"], "then": ["second"]}],
        "fail_over": {"undelivered": True},
    },
    {
        "verification": "login",
        "brand": "Acme",
        "channels": ["sms", "voice", "whatsapp"],
        "attempts": 3,
        "resend": ["30s"],
        "limits": [{"per": "address", "at_most": 6, "within": "1h"}],
    },
]
OUTCOMES = [
    Reason.SENT, Reason.DELIVERED, Reason.UNDELIVERED, Reason.CARRIER_UNAVAILABLE,
    Reason.CARRIER_REJECTED, Reason.LANE_CAPPED, Reason.LIMIT_REACHED, Reason.FRAUD_CHALLENGED,
    Reason.FRAUD_BLOCKED, Reason.EXPIRED, Reason.UNKNOWN_OUTCOME, Reason.CANCELLED,
]  # fmt: skip
ACTS = st.one_of(
    st.tuples(st.just("start"), st.integers(0, 1)),
    st.tuples(st.just("check"), st.integers(0, 16)),
    st.tuples(st.just("close"), st.just(0)),
    st.tuples(st.just("wait"), st.sampled_from([1_000, 31_000, 400_000, 4_000_000])),
    st.tuples(st.just("told"), st.sampled_from(OUTCOMES), st.integers(0, 9), st.booleans()),
)


def digest(code: int) -> bytes:
    return pack(code).ljust(32, b".")


@given(st.lists(ACTS, max_size=40))
@example(
    [
        ("start", 0), ("told", Reason.SENT, 0, False), ("close", 0),
        ("told", Reason.CARRIER_UNAVAILABLE, 0, False),
    ]
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_a_verification_in_any_weather(acts: list[tuple[object, ...]]) -> None:
    world = World()
    world.define(DEFINITIONS)
    world.sender.does = HOLD
    codes = 0
    good: set[int] = set()
    for number, (act, *rest) in enumerate(acts):
        request = f"r{number}"
        if act == "start":
            codes += 2
            first, spare = codes - 1, codes
            command = commands.start(
                KEY, request, "login", "", "", "", digest(first), f"seal {first}", {},
                digest(spare), f"seal {spare}",
            )  # fmt: skip
            if world.do(command) is Reason.ACCEPTED:
                assert world.do(command) is Reason.DUPLICATE
        elif act == "check":
            code = int(str(rest[0]))
            command = commands.check(KEY, request, "login", digest(code))
            outcome = world.do(command)
            if outcome is Reason.ACCEPTED:
                assert 0 < code <= codes
                assert code not in good
                good.add(code)
            assert world.do(command) is outcome or outcome is Reason.NOT_FOUND
            if outcome is not Reason.NOT_FOUND:
                other = commands.check(KEY, request, "login", digest(code + 1))
                assert world.do(other) in {Reason.KEY_REUSED, Reason.VERIFICATION_FAILED}
        elif act == "close":
            world.do(commands.close(KEY, request, "login"))
        elif act == "wait":
            world.turn_to(world.now + int(str(rest[0])))
        elif offers := sorted(world.sender.held):
            reason, which, settle = rest
            assert isinstance(reason, Reason)
            name = offers[int(str(which)) % len(offers)]
            done = bool(settle) or reason is not Reason.DELIVERED
            world.do(commands.receipt(KEY, name, reason, world.now, done, "c", ""))
        look_at(world)
    world.turn_to(world.now + limits.VERIFICATION_KEPT_MS + 2 * limits.CODE_VALIDITY_MS)
    entity = world.entity("address", PHONE)
    if entity is not None:
        assert record.find(entity, "login") is None
        assert not entity.timers
    assert world.snapshot() == world.replayed().snapshot()


def look_at(world: World) -> None:
    entity = world.entity("address", PHONE)
    if entity is None:
        return
    assert not entity.error, entity.error
    one = record.find(entity, "login")
    pending = one is not None and one.status == record.PENDING
    if one is not None:
        assert bool(one.codes) == pending
        assert pending or not (one.spare or one.try_ms)
        assert len(one.sendings) <= limits.CODE_SENDS
        assert record.TIMER + "login" in entity.timers
    for message in entity.kept.every():
        waits = message.id in entity.outbox
        if SEALED in (message.facts or {}):
            assert waits
        if waits and not pending:
            assert message.cancelled
        if waits:
            assert any(hop_of(name) == (message.id, message.hop) for name in world.sender.held)
