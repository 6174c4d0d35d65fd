"""All that somebody is known by elsewhere hears of an erasure, also what was under way."""

from typing import Any

import pytest

from engine import commands, limits
from engine.messages.inbound import CARRIER, OWNERS, Received
from engine.packing import pack
from engine.privacy.hidden import is_hidden
from engine.reasons import Reason
from tests.unit.identity_helpers import Families

DEFINITIONS = """
identity: profiles
identifiers: [email]
---
lane: texts
channel: sms
carrier: sandbox
---
lane: mail
channel: email
carrier: sandbox
---
verification: login
brand: Acme
channels: [sms]
---
journey: cart
entry: {event: Product Added}
steps:
  rest: {delay: 1h}
---
policy: default
quiet_hours: {from: "01:00", to: "03:00"}
"""
EMAIL, PHONE = "ann@example.com", "+12025550123"
IDENTIFIER, ADDRESS = f"w/identifier/email:{EMAIL}", f"w/address/{PHONE}"


def families(deliver: bool = True) -> Families:
    made = Families(DEFINITIONS)
    made.deliver = deliver
    return made


def erase(here: Families, key: str, request: str = "r1", suppress: bool = False) -> int:
    return here.run(commands.erase(key, request, suppress))


def group(here: Families, name: str, user: str = "", anonymous: str = "") -> None:
    here.event(commands.GROUP, name, user, anonymous, {"plan": "pro"}, "")


def write(here: Families, owner: str, id_: str = "i1") -> None:
    """Somebody writes from the phone; the sender has written to an owner there."""
    said = Received(id_, "sms", "texts", "p", PHONE, "+1", "hello", here.now)
    here.run(commands.inbound(ADDRESS, CARRIER, pack(said), owner))


def start(here: Families, user: str = "w/user/ann", request: str = "s1") -> int:
    return here.run(
        commands.start(ADDRESS, request, "login", user, "sms", "en", b"d" * 32, "sealed", {})
    )


def check_nobody_is_named(here: Families) -> None:
    for entity in here.shard.scan("", 1_000):
        if entity.kind == "catalog":
            continue
        packed = entity.pack()
        named = [
            key for key in (b"w/user/", b"w/anonymous/", b"@example", b"5550123") if key in packed
        ]
        assert not named, (entity.key, entity.state, named)
        if entity.kind != "account":
            assert is_hidden(entity), entity.key


@pytest.mark.parametrize("name", ["w/user/ann", "w/anonymous/v"])
@pytest.mark.parametrize("delivered", range(12))
def test_a_merge_under_way_takes_no_tie_with_it(name: str, delivered: int) -> None:
    here = families()
    group(here, "acme", anonymous="v")
    write(here, "w/anonymous/v")
    here.deliver = False
    here.identify(anonymous="v", email=EMAIL)
    here.track("Bought", user="ann", anonymous="v")
    for _ in range(delivered):
        if here.forwards:
            here.deliver_some(1)
    erase(here, name)
    here.deliver_all()
    for number, key in enumerate(("w/user/ann", "w/anonymous/v")):  # it may not have been one yet
        erase(here, key, f"again {number}")
    here.deliver_all()
    check_nobody_is_named(here)


def test_an_account_forgets_everyone_whom_the_person_was_there() -> None:
    here = families()
    group(here, "acme", anonymous="v")
    group(here, "acme", user="bob")
    here.track("Bought", user="ann", anonymous="v")
    group(here, "acme", user="ann")
    assert len(here.peek("account/acme").state["members"]) == 3
    erase(here, "w/user/ann")
    assert list(here.peek("account/acme").state["members"]) == ["w/user/bob"]


def test_an_address_forgets_everyone_whom_the_person_was_there() -> None:
    here = families()
    here.identify(anonymous="v", phone=PHONE)
    write(here, "w/anonymous/v")
    here.track("Bought", user="ann", anonymous="v")
    assert here.shard.peek(ADDRESS).state[OWNERS] == ["w/anonymous/v"]  # type: ignore[union-attr]
    erase(here, "w/user/ann")
    check_nobody_is_named(here)


def test_an_address_of_two_forgets_for_whom_it_was_verified() -> None:
    here = families()
    here.identify(user="ann", phone=PHONE)
    write(here, "w/user/bob")
    start(here)
    erase(here, "w/user/ann")
    address = here.shard.peek(ADDRESS)
    assert address is not None
    assert address.state[OWNERS] == ["w/user/bob"]
    assert b"w/user/ann" not in address.pack()


def test_a_repeat_takes_no_identifier_from_who_has_claimed_it_since() -> None:
    here = families()
    here.identify(user="ann", email=EMAIL)
    here.deliver = False
    erase(here, "w/user/ann")
    late = [forward[3] for forward in here.forwards]
    here.deliver = True
    here.deliver_all()
    here.identify(user="bob", email=EMAIL)
    for command in late:
        here.run(command)
    owner = here.shard.peek(IDENTIFIER)
    assert owner is not None
    assert owner.state["owner"] == "w/user/bob"


# --- verifications ------------------------------------------------------------------------------


def check_answer(here: Families, digest: bytes = b"d" * 32, request: str = "c1") -> int:
    return here.run(commands.check(ADDRESS, request, "login", digest))


@pytest.mark.parametrize("delivered", range(3))
def test_a_verification_brings_nobody_back(delivered: int) -> None:
    """The address is in none of the traits: only the verification knows that it is theirs."""
    here = families()
    here.identify(user="ann", plan="pro")
    here.deliver = False
    start(here)
    for _ in range(delivered):
        if here.forwards:
            here.deliver_some(1)
    here.pass_time(ms=5)
    erase(here, "w/user/ann")
    check_answer(here)
    here.deliver_all()
    here.pass_time(minutes=24 * 60)
    here.deliver_all()
    receipts = [
        commands.receipt(offer[1], offer[0], Reason.CANCELLED, here.now, True)
        for offer in here.cancels
    ]
    here.apply(*receipts)
    check_nobody_is_named(here)


def test_a_visitor_who_became_known_is_not_brought_back_by_a_verification_either() -> None:
    here = families()
    here.identify(anonymous="v", plan="pro")
    start(here, "w/anonymous/v")
    here.track("Bought", user="ann", anonymous="v")
    here.pass_time(ms=5)
    erase(here, "w/user/ann")
    check_answer(here)
    here.pass_time(minutes=24 * 60)
    here.apply(*(commands.receipt(o[1], o[0], Reason.SENT, here.now, True) for o in here.offers))
    check_nobody_is_named(here)


def test_a_verification_that_is_started_after_the_erasure_is_heard_of() -> None:
    here = families()
    here.identify(user="ann", plan="pro")
    erase(here, "w/user/ann")
    here.pass_time(ms=5)
    start(here)
    check_answer(here)
    assert not is_hidden(here.peek("user/ann"))
    assert here.peek("user/ann").state["told_by"] == {ADDRESS: here.now}


def test_a_profile_remembers_the_newest_of_those_who_told_it_something() -> None:
    from engine.privacy.ties import join_tellers, keep_teller  # noqa: PLC0415

    state: dict[str, Any] = {}
    for number in range(limits.TELLERS + 5):
        keep_teller(state, f"a{number}", number)
    assert len(state["told_by"]) == limits.TELLERS
    assert "a4" not in state["told_by"]
    assert len(join_tellers(state["told_by"], {"x": 10**6})) == limits.TELLERS


# --- suppressing, and what is late ---------------------------------------------------------------


def test_a_broadcast_that_is_late_brings_nobody_back() -> None:
    here = families()
    here.identify(user="ann", plan="pro")
    erase(here, "w/user/ann")
    enter = commands.enter("w/user/ann", "e", "cart", kind="broadcast", number=0)
    assert here.run(enter) == Reason.NOT_FOUND
    assert is_hidden(here.peek("user/ann"))


def test_what_is_held_for_a_suppressed_person_is_called_back_at_once() -> None:
    here = families()
    here.identify(user="ann", phone=PHONE)
    spec = pack({"channel": "sms", "purpose": "marketing", "body": "Hi"})
    here.run(commands.send("w/user/ann", "q", spec))
    (held,) = here.peek("user/ann").messages.values()
    assert held.status == Reason.HELD
    here.run(commands.suppress("w/user/ann", "s1", True))
    (held,) = here.peek("user/ann").messages.values()
    assert held.status == Reason.CANCELLED
    assert not here.peek("user/ann").timers


def test_every_id_of_a_suppressed_person_refuses() -> None:
    here = families()
    here.identify(user="ann", plan="pro")
    here.identify(user="ann", email=EMAIL)
    here.run(commands.suppress("w/user/ann", "s1", True))
    here.identify(anonymous="w", email=EMAIL)  # who becomes a part of her by her address
    assert here.identify(anonymous="w", city="Ulm") == Reason.PERSON_SUPPRESSED
    enter = commands.enter("w/anonymous/w", "e", "cart")
    assert here.run(enter) == Reason.PERSON_SUPPRESSED
    here.run(commands.suppress("w/user/ann", "s2", False))
    assert here.identify(anonymous="w", city="Ulm") == Reason.ACCEPTED
    assert here.run(enter) == Reason.ACCEPTED


def test_consent_brings_nobody_back_who_is_erased_and_suppressed() -> None:
    here = families()
    here.identify(user="ann", plan="pro")
    erase(here, "w/user/ann", suppress=True)
    consent = commands.consent("w/user/ann", "c", [("sms", "all", "subscribed")])
    assert here.run(consent) == Reason.PERSON_SUPPRESSED
    assert is_hidden(here.peek("user/ann"))
