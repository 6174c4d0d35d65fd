"""Routes: shares, orders, senders, and what a message needs of a carrier."""

import json
from collections import Counter

import pytest

from engine import definitions
from engine.messages.message import SendRequest
from engine.program import EMPTY, advance
from engine.routes import fail_over, numbers
from engine.routes.definition import SenderModel
from engine.routes.route import Pool, contents_of, ranked
from engine.routes.routing import Routes

LANES = "\n---\n".join(
    f"lane: {name}\nchannel: {channel}\ncarrier: sandbox"
    for name, channel in (("one", "sms"), ("two", "sms"), ("three", "sms"), ("chat", "whatsapp"))
)


def routes(text: str) -> Routes:
    documents = definitions.parse(f"{LANES}\n---\n{text}")
    definitions.check(documents, EMPTY)
    program = advance(EMPTY, 1, [(each.kind, each.name, each.body) for each in documents])
    return Routes(program.lanes.values(), program.routes)


@pytest.mark.parametrize(
    "weights", [[("a", 1), ("b", 1)], [("a", 90), ("b", 10)], [("a", 5), ("b", 3), ("c", 2)]]
)
def test_people_are_shared_by_weight(weights: list[tuple[str, int]]) -> None:
    people = 4_000
    firsts = Counter(ranked(weights, f"w/user/{n}")[0] for n in range(people))
    total = sum(weight for _, weight in weights)
    for name, weight in weights:
        assert abs(firsts[name] / people - weight / total) < 0.03


def test_a_lane_that_is_added_moves_only_those_who_come_to_it() -> None:
    before, after = [("a", 2), ("b", 3)], [("a", 2), ("b", 3), ("c", 5)]
    for number in range(500):
        who = f"w/user/{number}"
        first = ranked(after, who)[0]
        assert first in (ranked(before, who)[0], "c")
        rest = [name for name in ranked(after, who) if name != "c"]
        assert rest == ranked(before, who)


def test_the_order_is_whole_whatever_the_weights() -> None:
    weights = [(f"lane{n}", 1 + n * 7 % 100) for n in range(7)]
    for number in range(100):
        assert sorted(ranked(weights, str(number))) == sorted(name for name, _ in weights)


def test_a_recipient_keeps_a_sender_of_the_own_country() -> None:
    senders = ["+12025550100", "+12025550101", "+447400123456", "ACME"]
    pool = Pool([SenderModel(sender=sender) for sender in senders])
    found = {f"+1202555{n:04d}": pool.sender_for(f"+1202555{n:04d}") for n in range(100, 200)}
    assert set(found.values()) == {"+12025550100", "+12025550101"}
    assert all(pool.sender_for(to) == sender for to, sender in found.items())
    assert pool.sender_for("+447400999999") == "+447400123456"
    assert {pool.sender_for(f"+4930123{n:04d}") for n in range(100)} == set(senders)


def test_a_recipient_keeps_a_sender_however_the_number_is_written() -> None:
    pool = Pool([SenderModel(sender=f"+4915100000{n:03}") for n in range(7)])
    for n in range(50):
        number = f"+4915112345{n:03}"
        spaced = f"{number[:3]} ({number[3:6]}) {number[6:9]}-{number[9:]}"
        assert pool.sender_for(number) == pool.sender_for(spaced)


def test_one_sender_is_everybodys() -> None:
    assert Pool([SenderModel(sender="ACME")]).sender_for("+4930123456") == "ACME"


@pytest.mark.parametrize(
    ("number", "country", "kind"),
    [
        ("+12025550123", "US", "mobile"),
        ("+12025550123", "US", "fixed_line"),
        ("+14165550123", "CA", "mobile"),
        ("+18002345678", "US", "toll_free"),
        ("+49 151 23456789", "DE", "mobile"),
        ("+442079460000", "GB", "fixed_line"),
    ],
)
def test_what_is_known_of_a_number(number: str, country: str, kind: str) -> None:
    facts = numbers.facts_of(number)
    assert facts.country == country
    assert kind in facts.kinds
    assert " " not in facts.e164


def test_nothing_is_known_of_what_is_no_number() -> None:
    assert numbers.facts_of("ann") == ("", 0, (), "")


def test_what_a_message_needs() -> None:
    assert contents_of("") == {"text"}
    assert contents_of(json.dumps({"html": "<b>"})) == {"rich"}
    header = {"header": {"image": {"link": "x"}}, "action": {"buttons": [{"reply": {}}]}}
    assert contents_of(json.dumps({"interactive": header})) == {"rich", "media", "buttons"}


def test_a_rule_asks_for_the_content() -> None:
    found = routes(
        "route: whatsapp\nrules:\n"
        "  - {when: {content: [buttons]}, lanes: [chat], senders: [rich]}\n"
        "  - {lanes: [chat], senders: [plain]}"
    )
    plain = SendRequest("whatsapp", "+12025550123", "marketing", "hi")
    rich = SendRequest("whatsapp", "", "marketing", "hi", content='{"action": {"buttons": []}}')
    assert found.ways(plain, plain.to, "w/user/ann") == (("chat", "plain"),)
    assert found.ways(rich, "+12025550123", "w/user/ann") == (("chat", "rich"),)


def test_a_sender_that_is_asked_for_is_taken_on_every_lane() -> None:
    found = routes("route: sms\nrules: [{lanes: [one], then: [two], senders: [POOL]}]")
    request = SendRequest("sms", "+12025550123", "otp", "hi", sender="MINE")
    assert found.ways(request, request.to, "w/user/ann") == (("one", "MINE"), ("two", "MINE"))


def test_a_channel_without_a_route_goes_by_prefix() -> None:
    found = routes("route: sms\nrules: [{lanes: [one]}]")
    assert found.lane_for("whatsapp", "+12025550123") == "chat"
    assert "whatsapp" not in found.defined


@pytest.mark.parametrize("code", ["21211", "21610", "5.1.1", "ESME_RINVDSTADR", "unregistered"])
def test_an_address_at_fault_is_no_lanes_fault(code: str) -> None:
    assert fail_over._is_of_address(code)
    assert not fail_over._is_of_address("30007")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("route: letter\nrules: [{lanes: [one]}]", "route"),
        ("route: sms\nrules: []", "rules"),
        ("route: sms\nrules: [{lanes: [one, one]}]", "lane 'one' is given twice"),
        ("route: sms\nrules: [{lanes: [one], then: [one]}]", "lane 'one' is given twice"),
        ("route: sms\nrules: [{then: [one]}]", "'then' and 'by' stand without 'lanes'"),
        ("route: sms\nrules: [{lanes: [{lane: one, weight: 0}]}]", "weight"),
        ("route: sms\nrules: [{lanes: [{lane: one, wait: 1}]}]", "did you mean 'weight'"),
        ("route: sms\nrules: [{when: {country: [us]}, lanes: [one]}]", "did you mean 'US'"),
        ("route: sms\nrules: [{when: {prefix: ['0049']}, lanes: [one]}]", "did you mean '+49'"),
        ("route: sms\nrules: [{when: {number_type: [mobil]}, lanes: [one]}]", "'mobile'"),
        ("route: sms\nrules: [{when: {domain: [x.org]}, lanes: [one]}]", "means nothing"),
        ("route: email\nrules: [{when: {domain: [a@X.org]}}]", "did you mean 'x.org'"),
    ],
)
def test_a_route_that_makes_no_sense_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(definitions.DefinitionError, match=complaint.replace("+", r"\+")):
        routes(text)
