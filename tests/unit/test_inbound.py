"""Messages that people send: once, to whom the address belongs, with STOP and START."""

from typing import Any

import pytest

from engine import commands, inbound, limits
from engine.inbound import CARRIER, Received, received_of
from engine.keywords import HELP, START, STOP, YES, keyword_of
from engine.packing import pack
from engine.reasons import Reason
from tests.unit.identity_helpers import Families

ANN = "+12025550123"
ADDRESS = f"w/address/{ANN}"

LANE = """
lane: main
channel: sms
carrier: sandbox
"""
REPLIES = """
journey: survey
entry: {event: Asked}
steps:
  ask: {message: {purpose: transactional, channel: sms, template: ask}, then: wait}
  wait:
    hold: 1d
    on: [{event: Message Received, where: [{property: body, is: "5"}], then: thanks}]
    timeout: end
  thanks: {message: {purpose: transactional, channel: sms, template: thanks}}
"""
TEMPLATES = """
template: ask
channel: sms
body: 1 to 5?
---
template: thanks
channel: sms
body: Thank you
"""
IDENTITY = """
identity: rules
identifiers: [phone]
"""


def said(body: str, number: int = 1, sender: str = ANN, **values: Any) -> bytes:
    keyword, word = keyword_of(body)
    message = Received(
        f"{number:032x}", "sms", "main", f"SM{number}", sender, "+12025550100", body, 5,
        keyword=keyword, word=word, **values,
    )  # fmt: skip
    return pack(message)


def comes(town: Families, body: str, number: int = 1, owner: str = "", **values: Any) -> int:
    return town.run(commands.inbound(ADDRESS, CARRIER, said(body, number, **values), owner))


def bodies(town: Families, key: str) -> list[str]:
    entity = town.shard.peek(key)
    return [one["body"] for one in received_of(entity)] if entity else []


def consents(town: Families, key: str) -> dict[str, str]:
    entity = town.shard.peek(key)
    assert entity is not None
    return {name: said[0] for name, said in entity.state.get("consents", {}).items()}


def test_without_an_owner_the_address_hears_it_once() -> None:
    town = Families()
    assert comes(town, "hello") == Reason.ACCEPTED
    assert comes(town, "hello") == Reason.DUPLICATE
    assert bodies(town, ADDRESS) == ["hello"]
    assert comes(town, "", number=2) == Reason.ACCEPTED  # a picture without words
    assert bodies(town, ADDRESS) == ["hello", ""]


def test_the_profile_that_was_written_to_hears_it_and_is_remembered() -> None:
    town = Families()
    comes(town, "one", 1, owner="w/user/ann")
    comes(town, "two", 2)  # the sender knows nothing any more
    assert bodies(town, "w/user/ann") == ["one", "two"]
    assert bodies(town, ADDRESS) == []
    comes(town, "three", 3, owner="w/user/bob")
    assert bodies(town, "w/user/ann") == ["one", "two", "three"]
    assert bodies(town, "w/user/bob") == ["three"]


def test_an_address_is_no_owner_of_itself() -> None:
    town = Families()
    comes(town, "hi", 1, owner=ADDRESS)
    assert bodies(town, ADDRESS) == ["hi"]


def test_an_identifier_finds_its_profile_and_nobody_hears_it_twice() -> None:
    town = Families(IDENTITY)
    comes(town, "who?", 1)
    assert bodies(town, ADDRESS) == ["who?"]  # the identifier is nobody's yet
    town.event(commands.IDENTIFY, "", "ann", "", {"phone": ANN}, "i1")
    comes(town, "me", 2)
    assert bodies(town, "w/user/ann") == ["me"]
    assert bodies(town, ADDRESS) == ["who?"]
    comes(town, "me again", 3, owner="w/user/ann")
    assert bodies(town, "w/user/ann") == ["me", "me again"]


def test_a_merged_profile_passes_it_on() -> None:
    town = Families()
    comes(town, "one", 1, owner="w/user/old")
    town.event(commands.ALIAS, "old", "new", "", {}, "a1")
    comes(town, "two", 2)
    assert bodies(town, "w/user/new") == ["one", "two"]


def test_who_was_erased_is_not_there_and_the_address_hears_it() -> None:
    town = Families()
    comes(town, "one", 1, owner="w/user/ann")
    town.run(commands.erase("w/user/ann", "r1", suppress=False))
    comes(town, "two", 2)
    assert bodies(town, "w/user/ann") == []
    assert bodies(town, ADDRESS) == ["two"]
    comes(town, "three", 3)
    assert bodies(town, ADDRESS) == ["two", "three"]


def test_of_the_suppressed_nothing_is_taken_but_stop_counts() -> None:
    town = Families()
    comes(town, "one", 1, owner="w/user/ann")
    town.run(commands.suppress("w/user/ann", "r1", is_on=True))
    comes(town, "STOP", 2)
    assert bodies(town, "w/user/ann") == ["one"]
    assert consents(town, ADDRESS) == {"sms/all": "unsubscribed", "rcs/all": "unsubscribed"}


@pytest.mark.parametrize(
    "body", ["STOP", " stop ", "Stop.", "Arrêt", "ARRÊT!", "stop all", "\nQuit\n"]
)
def test_stop_ends_texts_for_the_person_and_the_address(body: str) -> None:
    town = Families()
    comes(town, body, 1, owner="w/user/ann")
    for key in (ADDRESS, "w/user/ann"):
        assert consents(town, key) == {"sms/all": "unsubscribed", "rcs/all": "unsubscribed"}
    ann = town.shard.peek("w/user/ann")
    assert ann is not None
    lines = [why for _, kind, subject, why in ann.trail_lines() if subject == "sms/all"]
    assert lines == [f"unsubscribed, by a reply of {keyword_of(body)[1]}"]


def test_start_begins_again_and_yes_only_what_was_ended() -> None:
    town = Families()
    comes(town, "yes", 1, owner="w/user/ann")
    assert consents(town, "w/user/ann") == {}
    comes(town, "stop", 2)
    town.pass_time(1)
    comes(town, "YES", 3)
    assert set(consents(town, "w/user/ann").values()) == {"subscribed"}
    comes(town, "stop", 4)
    comes(town, "start", 5)
    assert set(consents(town, "w/user/ann").values()) == {"subscribed"}


@pytest.mark.parametrize("body", ["please stop", "don't stop", "stopping", "", "no", "STOP " * 20])
def test_only_the_whole_message_is_a_keyword(body: str) -> None:
    assert keyword_of(body) == ("", "")


def test_what_keywords_mean() -> None:
    found = {word: keyword_of(word)[0] for word in ("OPT-OUT", "unstop", "Yes!", "aide", "info")}
    assert found == {"OPT-OUT": STOP, "unstop": START, "Yes!": YES, "aide": HELP, "info": HELP}


def test_a_journey_holds_for_the_answer() -> None:
    town = Families(f"{LANE}---{TEMPLATES}---{REPLIES}")
    town.event(commands.IDENTIFY, "", "ann", "", {"phone": ANN}, "i1")
    town.event(commands.TRACK, "Asked", "ann", "", {}, "e1")
    comes(town, "4", 1, owner="w/user/ann")
    assert len(town.offers) == 1
    comes(town, "5", 2)
    assert [offer[7] for offer in town.offers] == ["1 to 5?", "Thank you"]


def test_a_stranger_is_answered() -> None:
    answer = """
journey: help
entry: {event: Message Received, where: [{property: keyword, is: help}]}
steps:
  tell: {message: {purpose: transactional, channel: sms, template: thanks}}
"""
    town = Families(f"{LANE}---{TEMPLATES}---{answer}")
    comes(town, "HELP", 1)
    assert [(offer[5], offer[7]) for offer in town.offers] == [(ANN, "Thank you")]


def test_an_address_may_be_erased_and_suppressed() -> None:
    town = Families()
    comes(town, "one", 1, owner="w/user/ann")
    town.run(commands.erase(ADDRESS, "r1", suppress=False))
    comes(town, "two", 2)
    assert bodies(town, "w/user/ann") == ["one"]  # whose it was is forgotten
    assert bodies(town, ADDRESS) == ["two"]
    town.run(commands.suppress(ADDRESS, "r2", is_on=True))
    assert comes(town, "three", 3) == Reason.PERSON_SUPPRESSED
    assert bodies(town, ADDRESS) == ["two"]


def test_what_an_address_may_send_is_bounded() -> None:
    town = Families()
    for number in range(limits.INBOUND + 5):
        comes(town, f"m{number}", number)
    assert bodies(town, ADDRESS) == [f"m{number}" for number in range(5, limits.INBOUND + 5)]


def test_what_is_kept_is_bounded_by_its_size_too() -> None:
    town = Families()
    for number in range(5):
        comes(town, str(number) * 20_000, number)
    assert [body[0] for body in bodies(town, ADDRESS)] == ["2", "3", "4"]


def test_what_is_refused_may_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    town = Families()
    monkeypatch.setattr(limits, "OUTBOX", 0)
    assert comes(town, "hello") == Reason.OUTBOX_FULL
    monkeypatch.undo()
    assert comes(town, "hello") == Reason.ACCEPTED


def test_the_event_tells_what_came() -> None:
    message = Received(
        "id", "sms", "main", "SM1", ANN, "+1", "hi", 5, ("https://a/b",), {"SegmentCount": "1"}
    )
    assert message.properties() == {
        "channel": "sms", "lane": "main", "from": ANN, "to": "+1", "body": "hi",
        "media": ["https://a/b"], "provider_id": "SM1", "carrier": {"SegmentCount": "1"},
    }  # fmt: skip
    assert inbound.unpack(pack(message)) == message
