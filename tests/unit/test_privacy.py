"""Erasure and suppression: what is left of a person, and what can't bring them back."""

from typing import Any

import msgpack
import pytest

from engine import commands
from engine.entity import Entity
from engine.packing import pack
from engine.reasons import Reason
from engine.shard import Shard
from tests.unit.identity_helpers import Families

MARK = "Zweifelstein"
JOURNEY = """
identity: profiles
identifiers: [email]
---
template: hello
channel: email
subject: "Dear {{ profile.name }}"
body: "For {{ profile.name }} of {{ event.city }}"
sample: {profile: {name: Ann}, event: {city: Ulm}}
---
journey: cart
entry: {event: Product Added, key: properties.cart}
steps:
  hello: {message: {purpose: transactional, channel: email, template: hello}, then: wait}
  wait: {delay: 2h}
---
segment: named
when: {trait: name, is: Zweifelstein}
---
segment: unplanned
when: {not: {trait: plan, is: pro}}
---
lane: mail
channel: email
carrier: sandbox
limits: [{rate: 10/s}]
"""
EMAIL = "zweifelstein@example.com"


def erased(families: Families, key: str, request: str = "r1", suppress: bool = False) -> int:
    return families.run(commands.erase(f"w/{key}", request, suppress))


def known(deliver: bool = True) -> Families:
    """Ann, whom three ids name, in the middle of a journey, with a message under way."""
    families = Families(JOURNEY)
    families.deliver = deliver
    fill_with_ann(families)
    return families


def fill_with_ann(families: Families) -> None:
    families.track("Product Added", anonymous="zweifel-1", cart="Zweifelstein-1", city=MARK)
    families.identify(user="ann", name=MARK, email=EMAIL)
    families.track("Product Added", user="ann", cart=MARK, city=MARK)
    command = commands.event(
        "w/user/ann", f"m-{MARK}", commands.TRACK, MARK, families.now,
        msgpack.packb({"x": MARK}), msgpack.packb({"page": MARK}), "zweifel-1",
    )  # fmt: skip
    families.run(command)
    families.event(commands.GROUP, "acme", "ann", "", {"x": 1}, "")


def holds(entity: Entity) -> bool:
    """Whether an entity still says something of the person but its key."""
    found = entity.pack() + pack(entity.messages) + pack(entity.trail_lines())
    return any(word in found.lower() for word in (b"zweifel", b"ann", b"acme", b"cart"))


def every(shard: Shard) -> list[Entity]:
    found: list[Entity] = []
    while True:
        more = shard.scan(found[-1].key if found else "", 100)
        if not more:
            return found
        found += more


def of_the_person(families: Families) -> list[Entity]:
    return [entity for entity in every(families.shard) if entity.kind != "catalog"]


def test_nothing_is_left_of_a_person_but_tombstones() -> None:
    families = known()
    assert families.peek("user/ann").instances
    assert families.shard.sizes["w/named"] == 1
    assert families.offers
    assert erased(families, "user/ann") == Reason.ACCEPTED
    for entity in of_the_person(families):
        assert not holds(entity), (entity.key, msgpack.unpackb(entity.pack(), strict_map_key=False))
    ann = families.peek("user/ann")
    kept = (ann.traits, ann.windows, ann.segments, ann.instances, ann.timers)
    assert not any(kept)
    assert not families.shard.sizes
    assert set(ann.state) == {"privacy"}
    for row in families.shard.take_rows(100):
        assert b"zweifel" not in bytes(str(row), "utf-8").replace(b"zweifel-1", b"").replace(
            EMAIL.encode(), b""
        )


def test_messages_under_way_are_called_back_without_their_words_and_addresses() -> None:
    families = known()
    waiting = [offer[0] for offer in families.offers]
    families.cancels.clear()
    erased(families, "user/ann")
    assert sorted(offer[0] for offer in families.cancels) == sorted(waiting)
    assert all(offer[3] == "mail" for offer in families.cancels)
    assert MARK.encode() not in pack(families.cancels)
    assert EMAIL.encode() not in pack(families.cancels)
    again = families.shard.unsettled([])
    assert not again.sends
    assert not again.forwards
    assert sorted(offer[0] for offer in again.cancels) == sorted(waiting)
    assert MARK.encode() not in pack(again.cancels)
    for offer in again.cancels:
        receipt = commands.receipt(
            offer[1], offer[0], Reason.CANCELLED, families.now, True, detail=MARK
        )
        assert families.run(receipt) == Reason.NOT_FOUND
        assert families.run(receipt) == Reason.NOT_FOUND
    assert not families.shard.unsettled([]).cancels
    assert not any(holds(entity) or entity.kept for entity in of_the_person(families))


@pytest.mark.parametrize("name", ["user/ann", "anonymous/zweifel-1"])
def test_whichever_id_is_named_all_of_the_person_is_erased(name: str) -> None:
    families = known()
    assert erased(families, name) == Reason.ACCEPTED
    assert not any(holds(entity) for entity in of_the_person(families))
    gone = [e.key for e in of_the_person(families) if "privacy" in e.state]
    assert gone == [
        f"w/address/{EMAIL}",
        "w/anonymous/zweifel-1",
        f"w/identifier/email:{EMAIL}",
        "w/user/ann",
    ]
    assert families.peek("account/acme").state["members"] == {}


def test_the_audit_line_names_nobody() -> None:
    families = known()
    erased(families, "user/ann", request="ticket about Zweifelstein")
    (line,) = families.peek("user/ann").trail_lines()
    assert line[1] == "privacy"
    assert line[3] == "erased"
    assert len(line[2]) == 32
    other = Families(JOURNEY)
    other.identify(user="bob")
    erased(other, "user/bob")
    assert other.peek("user/bob").trail_lines()[-1][2] != line[2]


def test_a_repeat_of_the_request_does_not_erase_who_came_back() -> None:
    families = known()
    erased(families, "user/ann")
    families.pass_time(1)
    families.identify(user="ann", plan="pro")
    assert erased(families, "user/ann") == Reason.DUPLICATE
    assert families.traits("user/ann") == {"plan": "pro"}
    assert erased(families, "user/ann", "r2") == Reason.ACCEPTED
    assert families.traits("user/ann") == {}


def test_who_comes_back_is_somebody_new() -> None:
    families = known()
    erased(families, "user/ann")
    families.pass_time(1)
    families.define("segment: other\nwhen: {not: {trait: plan, is: pro}}")
    families.run(commands.refresh("w/user/ann"))
    assert not families.peek("user/ann").segments
    families.track("Product Added", user="ann", anonymous="zweifel-1", cart="c2")
    ann = families.peek("user/ann")
    assert set(ann.segments) == {"other", "unplanned"}
    assert [instance.key for instance in ann.instances.values()] == ["c2"]
    assert ann.created_ms >= ann.state["privacy"]["erased_ms"]
    families.identify(anonymous="zweifel-1", city="Ulm")
    assert families.traits("user/ann") == {"city": "Ulm"}


def test_ids_are_never_given_twice() -> None:
    families = known()
    before = {offer[0] for offer in families.offers}
    erased(families, "user/ann")
    families.offers.clear()
    families.identify(user="ann", name="x", email=EMAIL)
    families.track("Product Added", user="ann", cart="c", city="c")
    assert families.offers
    assert not before & {offer[0] for offer in families.offers}


def test_the_past_does_not_come_back_by_filling() -> None:
    families = known()
    families.define("segment: buyers\nwhen: {event: Product Added, at_least: 1, within: 30d}")
    (window,) = families.shard.programs["w"].index.windows
    old = families.now
    erased(families, "user/ann")
    fill = commands.fill("w/user/ann", pack({window: [old - 5]}))
    assert families.run(fill) == Reason.NOT_FOUND
    families.pass_time(1)
    families.identify(user="ann", plan="pro")
    families.run(fill)
    assert not families.peek("user/ann").segments


def test_one_in_quarantine_can_be_erased() -> None:
    families = known()
    ann = families.shard.peek("w/user/ann")
    assert ann is not None
    ann.error = f"ValueError: {MARK}"
    assert erased(families, "user/ann") == Reason.ACCEPTED
    assert not families.peek("user/ann").error


def test_a_suppressed_person_is_heard_of_no_more() -> None:
    families = known()
    families.cancels.clear()
    assert families.run(commands.suppress("w/anonymous/zweifel-1", "s1", True)) == Reason.ACCEPTED
    assert families.cancels
    assert families.identify(user="ann", plan="pro") == Reason.PERSON_SUPPRESSED
    assert families.identify(anonymous="zweifel-1", plan="pro") == Reason.PERSON_SUPPRESSED
    assert families.run(commands.enter("w/user/ann", "e", "cart")) == Reason.PERSON_SUPPRESSED
    assert "plan" not in families.traits("user/ann")
    assert families.run(commands.suppress("w/user/ann", "s2", True)) == Reason.DUPLICATE
    assert families.run(commands.suppress("w/user/ann", "s3", False)) == Reason.ACCEPTED
    assert families.identify(anonymous="zweifel-1", plan="pro") == Reason.ACCEPTED
    assert families.traits("user/ann")["plan"] == "pro"


def test_erased_and_suppressed_stays_a_tombstone() -> None:
    families = known()
    erased(families, "user/ann", suppress=True)
    assert families.identify(user="ann", plan="pro") == Reason.PERSON_SUPPRESSED
    assert families.identify(anonymous="zweifel-1", plan="pro") == Reason.PERSON_SUPPRESSED
    spec = msgpack.packb({"channel": "email", "to": EMAIL, "body": MARK})
    assert families.run(commands.send("w/user/ann", "q", spec)) == Reason.PERSON_SUPPRESSED
    assert not any(holds(entity) for entity in of_the_person(families))


def test_what_is_no_person_is_not_erased() -> None:
    families = known()
    assert erased(families, "catalog/definitions") == Reason.NOT_FOUND
    assert erased(families, "account/acme") == Reason.NOT_FOUND
    assert erased(families, f"identifier/email:{EMAIL}") == Reason.NOT_FOUND


@pytest.mark.parametrize("delivered", range(14))
@pytest.mark.parametrize("name", ["user/ann", "anonymous/zweifel-1"])
def test_forwards_under_way_bring_nothing_back(name: str, delivered: int) -> None:
    families = known(deliver=False)
    for _ in range(delivered):
        if families.forwards:
            families.deliver_some(1)
    late = list(families.forwards)
    families.run(commands.erase(f"w/{name}", "r1", False))
    families.deliver_all()
    if name != "user/ann":  # they may not have been one yet
        families.run(commands.erase("w/user/ann", "r2", False))
        families.deliver_all()
    for turn in (late, late[::-1]):  # copies that a slow network brings
        for _, _, _, command in turn:
            families.apply(command)
        families.deliver_all()
    assert not [entity.key for entity in of_the_person(families) if holds(entity)]


@pytest.mark.parametrize("delivered", range(8))
def test_who_comes_back_while_it_is_under_way_keeps_what_is_new(delivered: int) -> None:
    families = known()
    families.deliver = False
    families.run(commands.erase("w/user/ann", "r1", False))
    for _ in range(delivered):
        if families.forwards:
            families.deliver_some(1)
    families.now += 1_000
    families.identify(user="ann", anonymous="zweifel-1", plan="pro", email="new@example.com")
    families.deliver_all()
    families.pass_time(1)
    families.deliver_all()
    families.identify(anonymous="zweifel-1", city="Ulm")
    families.deliver_all()
    assert families.traits("user/ann")["plan"] == "pro"
    everywhere = {**families.traits("anonymous/zweifel-1"), **families.traits("user/ann")}
    assert everywhere["city"] == "Ulm"
    assert MARK not in everywhere.values()


def test_a_replay_gives_the_same() -> None:
    families = Families()
    entries: list[tuple[int, int, int, bytes]] = []
    apply = families.shard.apply

    def write(seq: int, now_ms: int, mode: int, payload: bytes) -> Any:
        entries.append((seq, now_ms, mode, payload))
        return apply(seq, now_ms, mode, payload)

    families.shard.apply = write  # type: ignore[method-assign]
    families.define(JOURNEY)
    fill_with_ann(families)
    families.run(commands.erase("w/user/ann", "r1", True))
    again = Shard(0, 1, lambda key: None, lambda after, limit: [])
    for entry in entries:
        again.apply(*entry)
    ours = [(entity.key, entity.pack()) for entity in every(families.shard)]
    assert ours == [(entity.key, entity.pack()) for entity in every(again)]
    assert again.sizes == families.shard.sizes


def test_a_suppressed_visitor_who_becomes_known_stays_suppressed() -> None:
    families = Families(JOURNEY)
    families.identify(anonymous="v", city="Ulm")
    families.run(commands.suppress("w/anonymous/v", "s", True))
    families.event(commands.IDENTIFY, "", "ann", "v", {"plan": "pro"}, "")
    assert families.identify(user="ann", plan="free") == Reason.PERSON_SUPPRESSED
    assert families.run(commands.suppress("w/user/ann", "s2", False)) == Reason.ACCEPTED
    assert families.identify(user="ann", plan="free") == Reason.ACCEPTED
    assert "privacy" not in families.peek("user/ann").state
