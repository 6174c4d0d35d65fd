"""The Twilio adapter: what it asks, what answers mean, and which calls it believes."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from actors.carriers.base import (
    Callback,
    CallbackReply,
    CarrierMessage,
    CarrierReceipt,
    Inbound,
    Outcome,
)
from actors.carriers.http.pool import Answer
from actors.carriers.registry import CarrierSetup, UnknownCarrier, listens
from actors.carriers.twilio import TwilioCarrier, signature
from actors.clock import ManualClock
from engine import limits
from engine.content.down import render_down
from engine.lanes.definition import lane_from
from engine.reasons import Reason
from tests.support.fake_twilio import ACCOUNT, TOKEN, FakeTwilio
from tests.support.peers import LOOPBACK

NOW_MS = 1_700_000_000_000
BASE = "https://hooks.example.com/v1/carriers/shop/main/"
OPTIONS = {"account_sid": ACCOUNT, "auth_token": {"secret": "token"}}
SECRETS = {"token": TOKEN, "shared": "shared-secret"}


class Bench:
    """An adapter, and what it told."""

    def __init__(self, channel: str = "sms", sender: str = "+12025550100", **options: Any) -> None:
        self.lane = lane_from(
            {
                "lane": "main", "channel": channel, "carrier": "twilio", "sender": sender,
                "options": {**OPTIONS, **options},
            }
        )  # fmt: skip
        self.clock = ManualClock(NOW_MS)
        self.receipts: list[CarrierReceipt] = []
        self.inbound: list[Inbound] = []
        self.carrier = TwilioCarrier(
            CarrierSetup(self.lane, "shop/main", self.clock, 1, BASE, SECRETS, allow=LOOPBACK)
        )

    async def start(self) -> "Bench":
        await self.carrier.start(self._deliver, self._inbound)
        return self

    async def _deliver(self, receipts: Sequence[CarrierReceipt]) -> None:
        self.receipts += receipts

    async def _inbound(self, messages: Sequence[Inbound]) -> None:
        self.inbound += messages

    async def call(
        self,
        fields: dict[str, str],
        kind: str = "status",
        query: str = "",
        signed: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> CallbackReply:
        url = f"{BASE}{kind}{query}"
        if signed is None:
            signed = RequestValidator(TOKEN).compute_signature(url, fields)
        request = Callback(
            "POST", url, kind, {"x-twilio-signature": signed, **(headers or {})},
            urlencode(fields).encode(),
        )  # fmt: skip
        return await self.carrier.callback(request)


def message(number: int = 1, **fields: Any) -> CarrierMessage:
    values = {
        "id": f"{number:032x}", "channel": "sms", "sender": "+12025550100",
        "to": f"+1202555{number:04d}", "subject": "", "body": "hello", "units": 1, "attempt": 0,
        "expires_ms": NOW_MS + 600_000, **fields,
    }  # fmt: skip
    return CarrierMessage(**values)


@asynccontextmanager
async def beside(**options: Any) -> AsyncIterator[tuple[FakeTwilio, Bench]]:
    async with FakeTwilio() as twilio:
        bench = await Bench(url=twilio.url, **options).start()
        try:
            yield twilio, bench
        finally:
            await bench.carrier.stop()


async def test_a_text_is_asked_for_with_our_id_in_its_report() -> None:
    async with beside() as (twilio, bench):
        (result,) = await bench.carrier.submit([message()])
        assert result.outcome is Outcome.ACCEPTED
        assert twilio.requests == [
            {
                "To": "+12025550001", "From": "+12025550100", "Body": "hello",
                "StatusCallback": f"{BASE}status?m={1:032x}", "ValidityPeriod": "600",
            }
        ]  # fmt: skip


async def test_a_service_chooses_the_number() -> None:
    async with beside(messaging_service="MG1", sender="") as (twilio, bench):
        await bench.carrier.submit([message(sender="")])
        assert twilio.requests[0]["MessagingServiceSid"] == "MG1"
        assert "From" not in twilio.requests[0]


async def test_without_any_sender_nothing_is_asked() -> None:
    async with beside(sender="") as (twilio, bench):
        (result,) = await bench.carrier.submit([message(sender="")])
        assert result.outcome is Outcome.REJECTED
        assert not twilio.requests


@pytest.mark.parametrize(("left_ms", "told"), [(400, "1"), (-5, "1"), (10**9, "36000")])
async def test_a_validity_is_within_twilios_bounds(left_ms: int, told: str) -> None:
    async with beside() as (twilio, bench):
        await bench.carrier.submit([message(expires_ms=NOW_MS + left_ms)])
        assert twilio.requests[0]["ValidityPeriod"] == told


async def test_whatsapp_media() -> None:
    content = json.dumps({"media": ["https://a/b.png"]})
    async with beside(channel="whatsapp") as (twilio, bench):
        await bench.carrier.submit([message(channel="whatsapp", body="", content=content)])
        form = twilio.requests[0]
        assert (form["To"], form["From"]) == ("whatsapp:+12025550001", "whatsapp:+12025550100")
        assert form["MediaUrl"] == "https://a/b.png"
        assert "Body" not in form


@pytest.mark.parametrize("channel", ["whatsapp", "rcs"])
async def test_an_approved_template_stands_alone(channel: str) -> None:
    sid = "HX" + "c" * 32
    reference = {
        "name": "cart", "language": "en_US", "content_sid": sid,
        "variables": {"1": "Ann"}, "content_variables": {"2": "cart/7"},
        "header": {"image": "https://a/b.png"},
    }  # fmt: skip
    shown = render_down({"text": "Hi Ann", "template": reference}, channel)
    async with beside(channel=channel) as (twilio, bench):
        content = json.dumps(shown.rich)
        await bench.carrier.submit([message(channel=channel, body=shown.text, content=content)])
        form = twilio.requests[0]
        assert form["ContentSid"] == sid
        assert json.loads(form["ContentVariables"]) == {"1": "Ann", "2": "cart/7"}
        assert not {"Body", "MediaUrl"} & set(form)


async def test_a_template_that_twilio_does_not_know_goes_as_its_text() -> None:
    shown = render_down({"text": "Hi", "template": {"name": "a", "language": "de"}}, "whatsapp")
    async with beside(channel="whatsapp") as (twilio, bench):
        content = json.dumps(shown.rich)
        await bench.carrier.submit([message(channel="whatsapp", body=shown.text, content=content)])
        assert twilio.requests[0]["Body"] == "Hi"


async def test_a_picture_goes_with_its_caption() -> None:
    shown = render_down({"text": "Look", "media": "https://a/b.png"}, "whatsapp")
    async with beside(channel="whatsapp") as (twilio, bench):
        content = json.dumps(shown.rich)
        await bench.carrier.submit([message(channel="whatsapp", body=shown.text, content=content)])
        form = twilio.requests[0]
        assert (form["Body"], form["MediaUrl"]) == ("Look", "https://a/b.png")
        odd = [
            message(number, content=odd) for number, odd in enumerate(("[]", "{", "1", '{"a":1}'))
        ]
        results = await bench.carrier.submit(odd)
        assert {each.outcome for each in results} == {Outcome.ACCEPTED}


async def test_a_call_says_the_text() -> None:
    async with beside(channel="voice", repeat=2, voice="alice") as (twilio, bench):
        twilio.post = lambda url, body, headers: _answer(bench, url, body, headers)
        twilio.fates = lambda form: ["ringing", "in-progress", "completed"]
        (result,) = await bench.carrier.submit([message(channel="voice", body="A < 1 & B")])
        await twilio.settled()
        assert result.provider_id.startswith("CA")
        say = '<Say language="en-US" voice="alice">A &lt; 1 &amp; B</Say>'
        assert twilio.requests[0]["Twiml"] == (
            f'<Response>{say}<Pause length="1"/>{say}</Response>'
        )
        assert [each.reason for each in bench.receipts] == [Reason.SENT, Reason.DELIVERED]


async def _answer(bench: Bench, url: str, body: bytes, headers: dict[str, str]) -> int:
    lower = {name.lower(): value for name, value in headers.items()}
    return (await bench.carrier.callback(Callback("POST", url, "status", lower, body))).status


@pytest.mark.parametrize(
    ("status", "body", "outcome", "code"),
    [
        (201, {"sid": "SM1"}, Outcome.ACCEPTED, ""),
        (201, {}, Outcome.UNKNOWN, "201"),
        (201, "no json", Outcome.UNKNOWN, "201"),
        (200, {"sid": 5}, Outcome.UNKNOWN, "200"),
        (301, {}, Outcome.UNKNOWN, "301"),
        (400, {"code": 21610, "message": "unsubscribed"}, Outcome.REJECTED, "21610"),
        (400, {"code": 21611}, Outcome.THROTTLED, "21611"),
        (401, {"code": 20003}, Outcome.FAILED, "20003"),
        (404, {"code": 20404}, Outcome.FAILED, "20404"),
        (408, {}, Outcome.UNKNOWN, "408"),
        (429, {"code": 20429}, Outcome.THROTTLED, "20429"),
        (500, {"code": 20500}, Outcome.UNKNOWN, "20500"),
        (502, None, Outcome.UNKNOWN, "502"),
        (503, {"code": 20503}, Outcome.FAILED, "20503"),
        (504, [1], Outcome.UNKNOWN, "504"),
    ],
)
def test_what_an_answer_means(status: int, body: Any, outcome: Outcome, code: str) -> None:
    bench = Bench()
    text = body if isinstance(body, str) else json.dumps(body)
    result = bench.carrier._meaning(Answer(status, {}, text))
    assert (result.outcome, result.code) == (outcome, code)


def test_how_long_a_carrier_wants_peace() -> None:
    def pause(told: str) -> int:
        return Answer(429, {"retry-after": told}, "").retry_after_ms(NOW_MS)

    assert pause("3") == 3_000
    assert pause("Tue, 14 Nov 2023 22:13:25 GMT") == 5_000
    assert pause("Tue, 14 Nov 2023 22:13:15 GMT") == 0
    assert pause("99999999999") == limits.HTTP_LONGEST_PAUSE_MS
    assert [pause(odd) for odd in ("", "soon", "-3", "²", "9e9", "Thu, 99 Foo")] == [0] * 6


async def test_what_was_not_begun_in_time_was_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SUBMIT_TIMEOUT_S", 5.3)  # of which a batch has 0.3 s
    async with beside(window=1) as (twilio, bench):
        twilio.gate = asyncio.Event()
        results = await bench.carrier.submit([message(1), message(2)])
        assert [each.outcome for each in results] == [Outcome.UNKNOWN, Outcome.FAILED]
        assert len(twilio.requests) == 1
        twilio.gate.set()


async def test_a_time_out_is_unknown() -> None:
    async with beside(timeout_s=0.1) as (twilio, bench):
        twilio.gate = asyncio.Event()
        (result,) = await bench.carrier.submit([message()])
        assert (result.outcome, result.code) == (Outcome.UNKNOWN, "timeout")
        twilio.gate.set()


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("sent", Reason.SENT), ("delivered", Reason.DELIVERED), ("read", Reason.READ),
        ("undelivered", Reason.UNDELIVERED), ("failed", Reason.UNDELIVERED),
        ("canceled", Reason.UNDELIVERED), ("partially_delivered", Reason.PARTIALLY_DELIVERED),
    ],
)  # fmt: skip
async def test_what_reports_say(status: str, reason: Reason) -> None:
    bench = await Bench().start()
    fields = {"MessageSid": "SM1", "MessageStatus": status, "ErrorCode": "30003"}
    reply = await bench.call(fields, query=f"?m={1:032x}")
    assert reply.status == 200
    (receipt,) = bench.receipts
    assert (receipt.provider_id, receipt.reason, receipt.reference, receipt.code) == (
        "SM1", reason, f"{1:032x}", "30003",
    )  # fmt: skip
    await bench.carrier.stop()


@pytest.mark.parametrize("status", ["queued", "accepted", "sending", "no such status", ""])
async def test_what_says_nothing_new_is_answered_and_left(status: str) -> None:
    bench = await Bench().start()
    assert (await bench.call({"MessageSid": "SM1", "MessageStatus": status})).status == 200
    assert not bench.receipts
    await bench.carrier.stop()


async def test_a_message_of_a_person() -> None:
    bench = await Bench(channel="whatsapp").start()
    reply = await bench.call(
        {
            "MessageSid": "SM9", "From": "whatsapp:+12025550123", "To": "whatsapp:+12025550100",
            "Body": "Grüße 👋", "NumMedia": "1", "MediaUrl0": "https://a/b", "ProfileName": "Ann",
            "MediaContentType0": "image/png", "ApiVersion": "2010-04-01", "AccountSid": ACCOUNT,
        },
        kind="inbound",
    )  # fmt: skip
    assert (reply.status, reply.content_type) == (200, "text/xml")
    assert reply.body.endswith("<Response/>")
    assert bench.inbound == [
        Inbound(
            "SM9", "+12025550123", "+12025550100", "Grüße 👋", NOW_MS, ("https://a/b",),
            {"ProfileName": "Ann"},
        )
    ]  # fmt: skip
    await bench.carrier.stop()


async def test_what_is_forged_changes_nothing() -> None:
    bench = await Bench().start()
    fields = {"MessageSid": "SM1", "MessageStatus": "delivered"}
    good = RequestValidator(TOKEN).compute_signature(f"{BASE}status", fields)
    for signed in ("", "x", good[:-1], good.lower(), f"{good}=", "ü"):
        assert (await bench.call(fields, signed=signed)).status == 403
    assert (await bench.call({**fields, "MessageStatus": "read"}, signed=good)).status == 403
    assert (await bench.call({**fields, "More": ""}, signed=good)).status == 403
    assert (await bench.call(fields, query="?m=1", signed=good)).status == 403
    assert (await bench.call(fields, kind="inbound", signed=good)).status == 403
    wrong = RequestValidator("another token").compute_signature(f"{BASE}status", fields)
    assert (await bench.call(fields, signed=wrong)).status == 403
    assert not bench.receipts
    assert not bench.inbound
    assert bench.carrier.status()["callbacks"]["forged"] == 11
    assert (await bench.call(fields, signed=good)).status == 200
    await bench.carrier.stop()


async def test_a_shared_key_signs_with_sha256() -> None:
    bench = await Bench(webhook_key={"secret": "shared"}).start()
    fields = {"MessageSid": "SM1", "MessageStatus": "delivered"}
    header = {"x-twilio-webhooks-signature-settings": "key=k1,algorithm=HMAC_SHA256"}
    made = RequestValidator("shared-secret").compute_signature(
        f"{BASE}status", fields, "HMAC_SHA256"
    )
    assert (await bench.call(fields, signed=made, headers=header)).status == 200
    assert (await bench.call(fields, signed=made)).status == 403
    none = {"x-twilio-webhooks-signature-settings": "algorithm=none"}
    assert (await bench.call(fields, headers=none)).status == 403
    await bench.carrier.stop()


@pytest.mark.parametrize(
    "signed_url",
    [f"{BASE}status", BASE.replace(".com/", ".com:443/") + "status"],
)
async def test_the_port_may_be_in_what_was_signed(signed_url: str) -> None:
    bench = await Bench().start()
    fields = {"MessageSid": "SM1", "MessageStatus": "delivered"}
    made = RequestValidator(TOKEN).compute_signature(signed_url, fields)
    assert (await bench.call(fields, signed=made)).status == 200
    await bench.carrier.stop()


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(TEXT, TEXT, max_size=8), st.sampled_from(["", "?m=1", "?a=%20&b=ü"]))
def test_signatures_are_twilios(fields: dict[str, str], query: str) -> None:
    url = f"{BASE}status{query}"
    assert RequestValidator(TOKEN).validate(url, fields, signature(url, [*fields.items()], TOKEN))


@settings(max_examples=300, deadline=None)
@given(
    method=st.sampled_from(["GET", "POST"]),
    kind=st.sampled_from(["status", "inbound", "other"]),
    query=st.text(max_size=40),
    body=st.one_of(
        st.binary(max_size=200),
        st.dictionaries(
            st.sampled_from(["MessageSid", "MessageStatus", "From", "CallStatus", "Body", "x"]),
            st.sampled_from(["SM1", "delivered", "STOP", "", "completed"]),
        ).map(lambda fields: urlencode(fields).encode()),
    ),
    headers=st.dictionaries(
        st.sampled_from(["x-twilio-signature", "x-twilio-webhooks-signature-settings", "host"]),
        st.text(max_size=40),
    ),
)
def test_no_stranger_is_believed_and_none_breaks_it(
    method: str, kind: str, query: str, body: bytes, headers: dict[str, str]
) -> None:
    async def run() -> None:
        bench = await Bench().start()
        request = Callback(method, f"{BASE}{kind}?{query}", kind, headers, body)
        assert (await bench.carrier.callback(request)).status == 403
        assert not bench.receipts
        assert not bench.inbound
        await bench.carrier.stop()

    asyncio.run(run())


async def test_a_repeated_call_tells_the_same() -> None:
    bench = await Bench().start()
    for _ in range(2):
        assert (await bench.call({"MessageSid": "SM1", "MessageStatus": "delivered"})).status == 200
    assert bench.receipts[0] == bench.receipts[1]
    await bench.carrier.stop()
    after = await bench.call({"MessageSid": "SM1", "MessageStatus": "delivered"})
    assert after.status == 503
    assert len(bench.receipts) == 2


def test_a_secret_that_is_not_there_is_named() -> None:
    lane = Bench().lane
    with pytest.raises(UnknownCarrier, match="no secret 'token' for workspace 'shop'"):
        TwilioCarrier(CarrierSetup(lane, "shop/main", ManualClock(), 1, BASE))


def test_its_lanes_are_connected_at_once() -> None:
    assert listens(Bench().lane)
    assert not listens(lane_from({"lane": "a", "channel": "sms", "carrier": "sandbox"}))
