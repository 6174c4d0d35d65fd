"""Messages that people send: once, to whom the address belongs, with STOP and START."""

from typing import Any

import pytest
from msgspec.structs import replace

from engine import commands, limits
from engine.history import History
from engine.messages import inbound
from engine.messages.inbound import CARRIER, PASSED, Received, received_of
from engine.messages.keywords import HELP, START, STOP, YES, keyword_of
from engine.packing import pack
from engine.reasons import Reason
from tests.unit.identity_helpers import Families

ANN = "+12025550123"
ADDRESS = f"w/address/{ANN}"
START_MS = 1_000

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
VERIFICATION = """
{lane: texts, channel: sms, carrier: sandbox, prefixes: ["+"]}
---
verification: login
brand: Acme
channels: [sms]
---
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


def test_with_a_person_goes_what_is_kept_under_their_addresses_but_a_stop() -> None:
    town = Families()
    comes(town, "a word from nobody", 1)
    comes(town, "STOP", 2, owner="w/user/ann")
    town.run(commands.erase("w/user/ann", "r1", suppress=True))
    address = town.shard.peek(ADDRESS)
    assert address is not None
    assert sorted(address.state) == ["consents", "privacy"]
    assert b"nobody" not in address.pack()
    assert b"ann" not in address.pack()
    assert consents(town, ADDRESS) == {"sms/all": "unsubscribed", "rcs/all": "unsubscribed"}
    comes(town, "START", 3)  # whoever has the number now
    assert bodies(town, ADDRESS) == ["START"]
    assert consents(town, ADDRESS) == {"sms/all": "subscribed", "rcs/all": "subscribed"}


def test_an_address_that_is_somebody_elses_too_stays() -> None:
    town = Families()
    comes(town, "one", 1, owner="w/user/ann")
    comes(town, "two", 2, owner="w/user/bob")
    town.run(commands.erase("w/user/ann", "r1", suppress=False))
    assert town.peek(f"address/{ANN}").state["owners"] == ["w/user/bob"]
    comes(town, "three", 3)
    assert bodies(town, "w/user/bob") == ["two", "three"]


def test_what_finds_nobody_after_the_erasure_does_not_come_back() -> None:
    town = Families()
    comes(town, "one", 1, owner="w/user/ann")
    town.deliver = False
    comes(town, "two", 2)
    town.run(commands.erase("w/user/ann", "r1", suppress=False))
    town.forwards.sort(key=lambda one: one[3][0] == commands.INBOUND)  # the erasure is quicker
    town.deliver_all()
    assert bodies(town, ADDRESS) == bodies(town, "w/user/ann") == []
    assert "gone" in town.peek(f"address/{ANN}").state["privacy"]


def test_the_journal_need_not_name_who_is_not_there() -> None:
    town = Families()
    town.run(commands.erase("w/user/ann", "r1", suppress=False))
    effects = town.apply(commands.inbound(ADDRESS, CARRIER, said("hi"), "w/user/ann"))
    assert not effects.erased
    passed = town.forwards.pop(0)[3]
    (back,) = town.apply(passed).forwards
    assert town.apply(back[3]).erased == [(ADDRESS, "named w/user/ann", b"")]


def test_of_the_suppressed_nothing_is_taken_but_stop_counts() -> None:
    town = Families()
    comes(town, "one", 1, owner="w/user/ann")
    town.run(commands.suppress("w/user/ann", "r1", is_on=True))
    comes(town, "STOP", 2)
    assert bodies(town, "w/user/ann") == ["one"]
    assert consents(town, ADDRESS) == {"sms/all": "unsubscribed", "rcs/all": "unsubscribed"}


@pytest.mark.parametrize(
    "body",
    ["STOP", " stop ", "Stop.", "Arrêt", "ARRÊT!", "stop all", "\nQuit\n", "\ufeffStop\u200b"],
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


def test_a_segment_that_is_new_finds_what_was_written_before() -> None:
    town = Families("segment: wrote\nwhen: {event: Message Received, at_least: 2}")
    windows = town.shard.programs["w"].index.windows.values()
    history = History("w", windows, range(1024), 100)
    one = pack(replace(inbound.unpack(said("one", 1)), at_ms=4))
    before = [
        commands.inbound("w/user/ann", PASSED, one),
        commands.inbound("w/user/ann", PASSED, one),
        commands.inbound(ADDRESS, CARRIER, said("two", 2), "w/user/ann"),
    ]
    history.read(START_MS, 0, commands.pack_payload([commands.pack_chunk(before)]))
    comes(town, "three", 3, owner="w/user/ann")
    for command in history.found():
        town.run(command)
    assert [len(times) for times in town.peek("user/ann").windows.values()] == [2]
    assert "wrote" in town.peek("user/ann").segments


def test_an_address_that_somebody_has_verified_is_erased_with_them() -> None:
    town = Families(VERIFICATION + IDENTITY.replace("[phone]", "[email]"))
    town.identify("ann", phone="+1 (202) 555-0123", email="Ann@example.com")
    start = commands.start(ADDRESS, "r1", "login", "w/user/ann", "sms", "en", b"d" * 32, "s", {})
    assert town.run(start) == Reason.ACCEPTED
    town.run(commands.erase("w/user/ann", "r2", suppress=False))
    town.pass_time(minutes=120)  # and what it began does not end with a word about her
    assert sorted(town.peek(f"address/{ANN}").state) == ["privacy"]
    assert town.peek("user/ann").state["privacy"]["gone"]
    assert town.peek("address/ann@example.com").state["privacy"]["gone"]  # never heard of


def test_who_only_says_that_a_number_is_theirs_does_not_empty_it() -> None:
    town = Families()
    comes(town, "STOP", 1)
    town.identify("eve", phone=ANN)
    town.run(commands.erase("w/user/eve", "r1", suppress=False))
    assert bodies(town, ADDRESS) == ["STOP"]
