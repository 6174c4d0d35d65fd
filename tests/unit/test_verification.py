"""Verifications: codes that are good once, for a while, for one address, and known to nobody."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journey_helpers import Town

from actors.carriers.base import CarrierMessage
from actors.codes import BrokenSeal, Codes, reveal_codes
from engine import commands, definitions, limits
from engine.content import sms
from engine.entity import Entity
from engine.issues import DefinitionError
from engine.messages.message import EMAIL, VOICE, Message
from engine.program import EMPTY
from engine.reasons import Reason
from engine.verification import record, texts
from engine.verification.run import view
from engine.verification.sealed import SEALED

PHONE = "+4915112345678"
LANES = """
{lane: texts, channel: sms, carrier: sandbox, prefixes: ["+"]}
---
{lane: calls, channel: voice, carrier: sandbox, prefixes: ["+"]}
---
{lane: mail, channel: email, carrier: sandbox}
---
"""
LOGIN = """
verification: login
brand: Acme
channels: [sms, voice, email]
validity: 10m
attempts: 3
resend: [30s, 1m]
limits: [{per: address, at_most: 4, within: 1h}, {per: ip, at_most: 2, within: 1h}]
"""


class Desk(Town):
    """A town, and somebody at a login form."""

    def __init__(self, text: str = LANES + LOGIN) -> None:
        super().__init__(text)
        self.requests = 0

    def ask(
        self, code: str = "123456", address: str = PHONE, user: str = "", **more: Any
    ) -> Reason:
        key = f"w/address/{address}"
        spare = more.get("spare", "")
        self.requests += 1
        command = commands.start(
            key, more.get("request") or f"r{self.requests}", "login",
            f"w/user/{user}" if user else "", more.get("channel", ""), more.get("locale", ""),
            digest(code), f"sealed {code}", more.get("facts", {}),
            digest(spare), f"sealed {spare}" if spare else "",
        )  # fmt: skip
        return self.result(command)

    def check(self, code: str, address: str = PHONE, request: str = "") -> Reason:
        self.requests += 1
        key = f"w/address/{address}"
        request = request or f"r{self.requests}"
        return self.result(commands.check(key, request, "login", digest(code)))

    def result(self, command: commands.Command) -> Reason:
        results = self.apply(command).results
        return Reason(results[-1])

    def receipt(self, message: Message, reason: Reason, address: str = PHONE) -> None:
        self.apply(commands.receipt(f"w/address/{address}", message.id, reason, self.now, True))

    def desk(self, address: str = PHONE) -> Entity:
        entity = self.shard.peek(f"w/address/{address}")
        assert entity is not None
        assert not entity.error, entity.error
        return entity

    def sent(self, address: str = PHONE) -> list[Message]:
        return list(self.desk(address).messages.values())

    def state(self, address: str = PHONE) -> dict[str, Any]:
        found = view(self.desk(address), "login", self.shard.programs["w"].verifications)
        assert found is not None
        return found


def digest(code: str) -> bytes:
    return code.encode().ljust(32, b".")


def test_the_right_code_is_good_once() -> None:
    desk = Desk()
    assert desk.ask("123456") is Reason.ACCEPTED
    (message,) = desk.sent()
    assert message.body == ("Your Acme code is ******. It is good for 10 minutes. Do not share it.")
    assert (message.purpose, message.facts) == (
        "otp",
        {"sealed": "sealed 123456", "code_length": "6"},
    )
    assert desk.check("123456") is Reason.ACCEPTED
    assert desk.state()["status"] == record.APPROVED
    assert desk.check("123456") is Reason.NOT_FOUND


def test_a_repeated_answer_is_told_the_same() -> None:
    desk = Desk()
    desk.ask("123456")
    assert desk.check("000000", request="a") is Reason.VERIFICATION_WRONG
    assert desk.check("000000", request="a") is Reason.VERIFICATION_WRONG
    assert desk.check("123456", request="b") is Reason.ACCEPTED
    assert desk.check("123456", request="b") is Reason.ACCEPTED
    assert desk.state()["attempts_left"] == 2


def test_wrong_answers_end_it() -> None:
    desk = Desk()
    desk.ask("123456")
    assert [desk.check(code) for code in ("1", "2", "3", "123456")] == [
        Reason.VERIFICATION_WRONG, Reason.VERIFICATION_WRONG, Reason.VERIFICATION_FAILED,
        Reason.VERIFICATION_FAILED,
    ]  # fmt: skip
    assert desk.state()["status"] == record.TOO_MANY_ATTEMPTS


def test_a_code_is_good_up_to_its_last_moment_and_then_the_verification_expires() -> None:
    desk = Desk()
    desk.ask("123456", user="ann")
    desk.at("9m59s")
    assert desk.state()["status"] == record.PENDING
    desk.at("10m")
    assert desk.state()["status"] == record.EXPIRED
    assert desk.check("123456") is Reason.NOT_FOUND
    desk.at("1d10m")
    assert record.find(desk.desk(), "login") is None


def test_a_resend_waits_its_time_and_brings_the_same_code() -> None:
    desk = Desk()
    desk.ask("111111")
    assert desk.ask("222222") is Reason.VERIFICATION_TOO_SOON
    assert desk.state()["next_send_ms"] == desk.now + 30_000
    desk.at("30s")
    assert desk.ask("222222") is Reason.ACCEPTED
    assert [message.facts and message.facts[SEALED] for message in desk.sent()] == [
        "sealed 111111", "sealed 111111",
    ]  # fmt: skip
    assert desk.check("222222") is Reason.VERIFICATION_WRONG
    assert desk.check("111111") is Reason.ACCEPTED


def test_a_late_resend_brings_a_new_code_and_both_are_good() -> None:
    desk = Desk()
    desk.ask("111111")
    desk.at("6m")
    desk.ask("222222")
    assert desk.sent()[-1].facts == {"sealed": "sealed 222222", "code_length": "6"}
    desk.at("9m")
    assert desk.check("111111") is Reason.ACCEPTED
    desk.at("20m")
    desk.ask("333333")
    desk.at("26m")
    desk.ask("444444")
    desk.at("31m")
    assert desk.check("333333") is Reason.VERIFICATION_WRONG  # its own ten minutes are over
    assert desk.check("444444") is Reason.ACCEPTED


def test_an_address_gets_so_many_codes_and_no_more() -> None:
    desk = Desk()
    for minute in range(4):
        desk.at(f"{10 * minute}m" if minute else "0s")
        assert desk.ask() is Reason.ACCEPTED
        desk.check("123456")
    desk.at("45m")
    assert desk.ask() is Reason.VERIFICATION_LIMIT
    assert desk.ask(address="+4915112345679") is Reason.ACCEPTED
    desk.at("1h1s")
    assert desk.ask() is Reason.ACCEPTED


def test_who_asks_is_limited_wherever_the_codes_go() -> None:
    desk = Desk()
    key = "w/limiter/ip:0a0b0c"
    asked = [desk.result(commands.count(key, f"c{n}", "login")) for n in (1, 2, 2, 3)]
    assert asked == [Reason.ACCEPTED, Reason.ACCEPTED, Reason.DUPLICATE, Reason.VERIFICATION_LIMIT]
    assert desk.result(commands.count("w/limiter/user:0a", "c1", "login")) is Reason.ACCEPTED
    assert desk.result(commands.count(key, "c9", "logout")) is Reason.NOT_FOUND
    desk.at("1h")
    entity = desk.shard.peek(key)
    assert entity is not None
    assert not entity.state
    assert desk.result(commands.count(key, "c4", "login")) is Reason.ACCEPTED


@pytest.mark.parametrize("why", [Reason.UNDELIVERED, Reason.CARRIER_REJECTED, Reason.NO_ROUTE])
def test_what_does_not_arrive_is_said_in_a_call(why: Reason) -> None:
    desk = Desk()
    desk.ask()
    desk.receipt(desk.sent()[0], why)
    first, second = desk.sent()
    assert (first.channel, second.channel) == ("sms", VOICE)
    assert second.body.endswith("Do not share it. ******.")
    desk.receipt(second, why)
    assert len(desk.sent()) == 2  # nothing else reaches a phone
    assert desk.check("123456") is Reason.ACCEPTED


@pytest.mark.parametrize("reason", [Reason.FRAUD_BLOCKED, Reason.FRAUD_SHADOWED])
def test_what_the_guard_stops_is_not_tried_another_way(reason: Reason) -> None:
    desk = Desk()
    desk.ask()
    desk.receipt(desk.sent()[0], reason)
    assert len(desk.sent()) == 1


def test_without_a_lane_the_next_channel_is_taken_at_once() -> None:
    desk = Desk(LANES.replace("channel: sms", "channel: whatsapp") + LOGIN)
    assert desk.ask() is Reason.ACCEPTED
    assert [(one.channel, Reason(one.status)) for one in desk.sent()] == [
        ("sms", Reason.NO_ROUTE), (VOICE, Reason.QUEUED),
    ]  # fmt: skip


def test_a_mailbox_gets_mail() -> None:
    desk = Desk()
    assert desk.ask(address="ann@example.org", channel="sms") is Reason.VERIFICATION_CHANNEL
    assert desk.ask(address="ann@example.org", locale="de-AT") is Reason.ACCEPTED
    (message,) = desk.sent("ann@example.org")
    assert (message.channel, message.subject) == (EMAIL, "Ihr Code für Acme")


def test_the_end_cancels_what_has_not_left_and_wipes_the_codes() -> None:
    desk = Desk()
    desk.ask("123456")
    desk.at("30s")
    desk.ask("123456")
    first, second = desk.sent()
    desk.receipt(first, Reason.SENT)
    assert desk.sent()[0].facts == {"code_length": "6"}
    assert desk.check("123456") is Reason.ACCEPTED
    assert desk.effects[-1].cancels[0][0] == second.id
    desk.receipt(second, Reason.CANCELLED)
    packed = desk.desk().pack()
    assert b"sealed 123456" not in packed
    assert digest("123456") not in packed


def test_the_profile_hears_what_happens() -> None:
    desk = Desk()
    desk.ask(user="ann")
    ((key, forward_id, _, command),) = desk.effects[-1].forwards
    assert (command[0], command[1], command[4]) == (
        commands.TOLD, "w/user/ann", "Verification Started",
    )  # fmt: skip
    desk.apply(commands.settle(key, forward_id))
    desk.check("123456")
    assert desk.effects[-1].forwards[0][3][4] == "Verification Approved"


def test_a_cancelled_one_is_over() -> None:
    desk = Desk()
    desk.ask()
    key = f"w/address/{PHONE}"
    assert desk.result(commands.close(key, "x", "login")) is Reason.ACCEPTED
    assert desk.result(commands.close(key, "x", "login")) is Reason.DUPLICATE
    assert desk.check("123456") is Reason.NOT_FOUND
    assert desk.state()["status"] == record.CANCELLED


def test_a_repeated_start_is_one() -> None:
    desk = Desk()
    assert desk.ask(request="a") is Reason.ACCEPTED
    assert desk.ask(request="a") is Reason.DUPLICATE
    assert len(desk.sent()) == 1


def test_own_templates_say_it_in_their_words() -> None:
    own = """
template: otp_sms
channel: sms
body: "{{ data.code }} is your code at {{ data.brand }}"
sample: {data: {code: "1", brand: b}}
---
""" + LOGIN.replace("attempts: 3", "attempts: 3\ntemplates: {sms: {en: otp_sms}}")
    desk = Desk(LANES + own)
    desk.ask()
    assert desk.sent()[0].body == "****** is your code at Acme"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ("channels: [sms, push]", "nobody types a code from push"),
        ("channels: [sms, sms]", "given twice"),
        ("locale: xx", "there is no text in 'xx'"),
        ("templates: {email: {en: x}}\nchannels: [sms]", "email is not among 'channels'"),
        ("validity: 2d", "longer than 1d"),
        ("code: {length: 3}", "must be at least 4, not 3"),
    ],
)
def test_what_makes_no_sense_is_refused(changed: str, told: str) -> None:
    text = f"verification: login\nbrand: Acme\n{changed}\n"
    with pytest.raises(DefinitionError, match=told.replace("(", r"\(")):
        definitions.check(definitions.parse(text), EMPTY)


@pytest.mark.parametrize("locale", texts.LOCALES)
def test_each_text_fits_into_a_segment_or_two(locale: str) -> None:
    body, subject = texts.write(locale, "sms", "Acme", "******", 600_000)
    assert "******" in body
    assert sms.parts(body) <= 2
    assert subject == ""
    assert "Acme" in texts.write(locale, EMAIL, "Acme", "******", 600_000)[1]


# The secret.


def test_a_seal_opens_for_its_own_address_only(tmp_path: Path) -> None:
    codes, again = Codes(tmp_path), Codes(tmp_path)
    sealed = codes.seal("w/address/a", "123456")
    assert again.unseal("w/address/a", sealed) == "123456"
    for address, text in (("w/address/b", sealed), ("w/address/a", sealed[:-4]), ("w", "?")):
        with pytest.raises(BrokenSeal):
            again.unseal(address, text)
    assert codes.digest("a", "login", "1") == again.digest("a", "login", "1")
    assert (tmp_path / "codes.key").stat().st_mode & 0o077 == 0


def test_another_store_has_another_key(tmp_path: Path) -> None:
    one, other = Codes(tmp_path / "one"), Codes(tmp_path / "other")
    assert one.digest("a", "login", "1") != other.digest("a", "login", "1")
    with pytest.raises(BrokenSeal):
        other.unseal("a", one.seal("a", "1"))


def test_a_sender_puts_codes_into_what_leaves_and_refuses_what_it_cannot_open(
    tmp_path: Path,
) -> None:
    codes = Codes(tmp_path)

    def carrying(sealed: str, channel: str = "sms") -> CarrierMessage:
        return CarrierMessage(
            "0" * 32, channel, "", PHONE, "", "code: ****", 1, 0, facts={SEALED: sealed, "ip": "1"},
            key="w/address/a",
        )  # fmt: skip

    plain = CarrierMessage("1" * 32, "sms", "", PHONE, "", "****", 1, 0)
    good = carrying(codes.seal("w/address/a", "1234"))
    call = carrying(codes.seal("w/address/a", "1234"), VOICE)
    foreign = carrying(codes.seal("w/address/b", "1234"))
    ready, refused = reveal_codes([plain, good, foreign, call], codes)
    assert [one.body for one in ready] == ["****", "code: 1234", "code: 1, 2, 3, 4"]
    assert ready[1].facts == {"ip": "1"}
    assert list(refused) == [2]
    assert list(reveal_codes([good], None)[1]) == [0]


# Any history at all.

STEP = st.one_of(
    st.tuples(st.just("start"), st.sampled_from(["111111", "222222"])),
    st.tuples(st.just("check"), st.sampled_from(["111111", "222222", "999999"])),
    st.tuples(st.just("wait"), st.sampled_from(["29s", "30s", "5m", "11m"])),
    st.tuples(st.just("fail"), st.just("")),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEP, max_size=25))
def test_no_code_is_good_twice_or_past_its_time_and_nothing_grows(
    steps: list[tuple[str, str]],
) -> None:
    desk = Desk()
    waited = 0
    for step, what in steps:
        if step == "start":
            desk.ask(what)
        elif step == "check":
            entity = desk.shard.peek(f"w/address/{PHONE}")
            one = record.find(entity, "login") if entity else None
            valid = one is not None and any(
                code.digest == digest(what) and desk.now < code.expires_ms for code in one.codes
            )
            assert (desk.check(what) is Reason.ACCEPTED) == valid
            assert desk.check(what) is not Reason.ACCEPTED or not valid
        elif step == "wait":
            waited += {"29s": 29, "30s": 30, "5m": 300, "11m": 660}[what]
            desk.at(f"{waited}s")
        else:
            entity = desk.shard.peek(f"w/address/{PHONE}")
            for message in entity.messages.values() if entity else ():
                desk.receipt(message, Reason.UNDELIVERED)
        entity = desk.shard.peek(f"w/address/{PHONE}")
        one = record.find(entity, "login") if entity else None
        if one is not None:
            assert len(one.codes) <= limits.CODES_VALID
            assert len(one.sendings) <= limits.CODE_SENDS
            assert bool(one.codes) == (one.status == record.PENDING)


BROKEN = (
    LANES
    + """
template: broken
channel: sms
body: "{{ data.code }} {{ 1 / (data.minutes - 10) }}"
sample: {data: {code: x, minutes: 2}}
---
verification: login
brand: Acme
channels: [sms, voice]
templates: {sms: {en: broken}}
"""
)


def test_a_template_that_cannot_be_rendered_does_not_keep_the_code_back() -> None:
    desk = Desk(BROKEN)
    assert desk.ask() is Reason.ACCEPTED
    statuses = [(message.channel, message.status) for message in desk.sent()]
    assert statuses == [("sms", Reason.RENDER_FAILED), ("voice", Reason.QUEUED)]
    assert [each[1] for each in desk.state()["sendings"]] == ["sms", "voice"]


@pytest.mark.parametrize("reason", [Reason.LIMIT_REACHED, Reason.CARRIER_UNAVAILABLE])
def test_what_a_lane_does_not_take_goes_by_the_next_channel(reason: Reason) -> None:
    desk = Desk()
    desk.ask()
    desk.receipt(desk.sent()[0], reason)
    assert [message.channel for message in desk.sent()] == ["sms", "voice"]


def test_timers_that_a_quarantine_has_taken_are_set_again() -> None:
    desk = Desk()
    desk.ask("123456")
    desk.shard._quarantine(desk.shard.peek(f"w/address/{PHONE}"), ValueError("a bug"))  # type: ignore[arg-type]
    desk.apply(commands.release(f"w/address/{PHONE}"))
    desk.at("11m")
    assert desk.state()["status"] == record.EXPIRED
    desk.at("2d")
    assert view(desk.desk(), "login", desk.shard.programs["w"].verifications) is None


def test_counts_that_a_quarantine_has_left_are_forgotten_in_the_end() -> None:
    desk = Desk()
    key = "w/limiter/ip:123456"
    assert desk.result(commands.count(key, "r1", "login")) is Reason.ACCEPTED
    entity = desk.shard.peek(key)
    assert entity is not None
    desk.shard._quarantine(entity, ValueError("a bug"))
    desk.apply(commands.release(key))
    assert desk.result(commands.count(key, "r2", "login")) is Reason.ACCEPTED
    assert desk.result(commands.count(key, "r3", "login")) is Reason.VERIFICATION_LIMIT
    desk.at(f"{limits.CODE_LIMIT_DAYS}d")
    found = desk.shard.peek(key)
    assert found is not None
    assert not found.state
