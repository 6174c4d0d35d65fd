"""Governance where scenarios cannot look: bounds, what is packed, what goes wrong in between."""

from typing import Any

import pytest

from engine import commands, limits
from engine.definitions import Document
from engine.entity import Entity
from engine.governance import caps, waiting
from engine.messages.message import Message, Messages, SendRequest, new_message
from engine.packing import inside, pack
from engine.reasons import Reason
from engine.simulation.world import World
from gateway import names

KEY = "default/user/ann"
LANE = {"lane": "sms", "channel": "sms", "carrier": "sandbox", "prefixes": ["+34"]}
TEMPLATE = {
    "template": "hello", "channel": "sms", "body": "Hello {{ profile.name }}",
    "sample": {"profile": {"name": "Ann"}},
}  # fmt: skip
NIGHT = {"policy": "default", "quiet_hours": {"from": "22:00", "to": "08:00"}}
DAY_MS = 86_400_000


def _world(*documents: Any) -> World:
    world = World()  # a Monday, at midnight
    world.define([LANE, TEMPLATE, *documents])
    traits = {"phone": "+34600111222", "name": "Ann"}
    world.happen({"type": "identify", "userId": "ann", "traits": traits})
    return world


def _send(world: World, request: str = "r1", **fields: Any) -> None:
    spec = {"channel": "sms", "body": "hi", "validity_ms": DAY_MS, **fields}
    assert world.do(commands.send(KEY, request, pack(spec))) is Reason.ACCEPTED


def _ann(world: World) -> Entity:
    entity = world.person("ann")
    assert entity is not None
    return entity


def _last(world: World) -> Message:
    return _ann(world).kept.every()[-1]


def _statuses(world: World) -> list[str]:
    return [Reason(message.status).name for message in _ann(world).kept.every()]


def test_who_is_suppressed_gets_one_time_codes_only() -> None:
    world = _world()
    _ann(world).state["suppressed"] = 1
    for number, purpose in enumerate(("marketing", "transactional", "otp")):
        _send(world, f"r{number}", purpose=purpose)
    assert _statuses(world) == ["SUPPRESSED", "SUPPRESSED", "SENT"]


def test_what_waits_for_the_morning_is_not_sent_to_who_is_suppressed_by_then() -> None:
    world = _world(NIGHT)
    _send(world)
    _ann(world).state["suppressed"] = 1
    world.turn_to(world.now + DAY_MS)
    assert _statuses(world) == ["SUPPRESSED"]


def test_a_message_of_an_older_store_is_read() -> None:
    request = SendRequest("sms", "", "marketing", "hi", tags=("a",), topic="news")
    message = new_message("0" * 32, request, "+1", "sms", 5, int(Reason.QUEUED), "")
    fields = [getattr(message, name) for name in message.__struct_fields__]
    since = message.__struct_fields__.index("tags")  # the release before had no field from here on
    run = Messages()
    run += inside([pack(fields[:since]), pack(message)])
    run.number = 2
    old, new = run.every()
    assert (old.topic, old.tags, old.body) == ("", (), "hi")
    assert (new.topic, new.tags) == ("news", ("a",))


@pytest.mark.parametrize("topic", ["", "a", "news", "é" * 20, "t" * 150])
@pytest.mark.parametrize("tags", [(), ("a",), tuple("abcdefgh")])
def test_messages_are_found_behind_tags_and_topics(topic: str, tags: tuple[str, ...]) -> None:
    run = Messages()
    for number in range(5):
        request = SendRequest("sms", "", "marketing", "b" * 90 * number, tags=tags, topic=topic)
        run.keep(new_message(f"{number:032x}", request, "+1", "l", 1, 100, "why"), ())
    for number in range(5):
        found = run.get(f"{number:032x}")
        assert found is not None
        assert len(found.body) == 90 * number


def test_so_many_wait_and_no_more() -> None:
    world = _world(NIGHT)
    for number in range(limits.HELD_MESSAGES + 1):
        _send(world, f"r{number}")
    assert _statuses(world) == ["HELD"] * limits.HELD_MESSAGES + ["QUIET_HOURS"]
    assert "20 messages wait already" in _last(world).history[-1][3]
    world.turn_to(world.now + DAY_MS)
    assert _statuses(world)[:-1] == ["SENT"] * limits.HELD_MESSAGES
    assert waiting.STATE not in _ann(world).state


def test_a_message_that_waits_is_not_the_one_that_makes_room() -> None:
    world = _world(NIGHT)
    _send(world)
    for number in range(limits.MESSAGES + 5):
        _send(world, f"o{number}", purpose="otp")
    world.turn_to(world.now + DAY_MS)
    assert _statuses(world)[0] == "SENT"
    assert _ann(world).kept.every()[0].purpose == "marketing"


def test_what_is_too_large_to_keep_leaves_as_it_was_written() -> None:
    world = _world(NIGHT)
    data = {"long": "x" * limits.HELD_CONTEXT_BYTES}
    _send(world, template="hello", body="", data=data)
    world.happen({"type": "identify", "userId": "ann", "traits": {"name": "Anna"}})
    world.turn_to(world.now + DAY_MS)
    assert _last(world).body == "Hello Ann"


def test_a_quarantine_does_not_lose_what_waits() -> None:
    world = _world(NIGHT)
    _send(world)
    entity = _ann(world)
    entity.error, entity.timers = "a bug", {}
    world.turn_to(world.now + DAY_MS // 2)
    assert _statuses(world) == ["HELD"]
    world.do(commands.release(KEY))
    world.turn_to(world.now + 1_000)
    assert _statuses(world) == ["SENT"]


def test_a_full_outbox_lets_it_wait_a_little_longer() -> None:
    world = _world(NIGHT)
    _send(world)
    entity = _ann(world)
    entity.outbox.update({f"{n:032x}": (0, b"") for n in range(limits.OUTBOX)})
    world.turn_to(world.start_ms + 8 * 3_600_000)
    assert _statuses(world) == ["HELD"]
    entity.outbox.clear()
    world.turn_to(world.now + limits.HELD_RETRY_MS)
    assert _statuses(world) == ["SENT"]


@pytest.mark.parametrize(
    ("then", "status"),
    [
        ({"identify": {"phone": None}}, "NO_ADDRESS"),
        ({"identify": {"phone": "+4917012345678"}}, "NO_ROUTE"),
        ({"template": {**TEMPLATE, "body": "{{ profile.name + 1 }}", "sample":
                       {"profile": {"name": 1}}}}, "RENDER_FAILED"),
        ({"template": None}, "RENDER_FAILED"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_when_its_time_has_come_has_a_reason(
    then: dict[str, Any], status: str
) -> None:
    world = _world(NIGHT)
    _send(world, template="hello", body="")
    if "identify" in then:
        world.happen({"type": "identify", "userId": "ann", "traits": then["identify"]})
    elif then["template"] is None:
        world.change([Document("template", "hello", None)])
    else:
        world.define([then["template"]])
    world.turn_to(world.now + DAY_MS)
    assert _statuses(world) == [status]
    assert any(f"not sent: {status}" in line[3] for line in _ann(world).trail_lines())


def test_the_message_expires_if_its_wait_was_prolonged_beyond_its_validity() -> None:
    world = _world(NIGHT)
    _send(world, validity_ms=9 * 3_600_000)
    world.define([{"policy": "default", "quiet_hours": {"from": "22:00", "to": "12:00"}}])
    world.turn_to(world.now + DAY_MS)
    assert _statuses(world) == ["QUIET_HOURS"]


def test_only_what_a_cap_still_counts_is_kept() -> None:
    world = _world({"policy": "default", "caps": [{"at_most": 5, "per": "1h", "tag": "a"}]})
    _send(world, "r1", tags=["a"])
    _send(world, "r2")
    assert list(_ann(world).state[caps.STATE]) == ["sms/marketing/a/"]
    world.turn_to(world.now + 3_600_000)
    _send(world, "r3")
    assert caps.STATE not in _ann(world).state


def test_consents_are_bounded_and_those_that_are_known_can_be_changed() -> None:
    world = _world()
    for number in range(limits.CONSENTS):
        said = [("sms", f"t{number}", "subscribed")]
        assert world.do(commands.consent(KEY, f"c{number}", said)) is Reason.ACCEPTED
    more = [("sms", "one more", "subscribed")]
    assert world.do(commands.consent(KEY, "x", more)) is Reason.TOO_MANY_KEYS
    again = [("sms", "t7", "unsubscribed")]
    assert world.do(commands.consent(KEY, "y", again)) is Reason.ACCEPTED
    groups = [{"name": f"u{n}", "status": "SUBSCRIBED"} for n in range(3)]
    said_by_event = {"messaging_subscriptions": [{"type": "SMS", "groups": groups}]}
    world.happen({"type": "identify", "userId": "ann", "context": said_by_event})
    assert len(_ann(world).state["consents"]) == limits.CONSENTS
    assert "3 not taken: 200 are kept already" in _ann(world).trail_lines()[-1][3]


def test_the_policy_has_a_resource_name() -> None:
    assert names.definition("policies/default") == ("policy", "default")
    assert names.collection_of("policy") == "policies"


def test_the_caps_of_many_labels_are_known_within_bounds() -> None:
    found = caps.Caps([caps.Cap(1, 1_000, "", "", "a", ("marketing",), False)])
    for number in range(2 * limits.LABELS_KNOWN):
        label = caps.label_of("sms", "marketing", "", (f"t{number}", "a"))
        assert len(found.of(label)) == 1
    assert not found.of(caps.label_of("sms", "marketing", "", ("b",)))
    assert len(found._of) <= limits.LABELS_KNOWN
