"""A carrier described in YAML: the three of docs/http-carriers.md, and whatever else is sent."""

import asyncio
import hashlib
import hmac
import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import pytest
import yaml
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.carriers import registry
from actors.carriers.base import Callback, CarrierMessage, CarrierReceipt, Inbound, Outcome
from actors.carriers.http import paths as http_paths
from actors.carriers.http.adapter import HttpCarrier
from actors.carriers.http.options import HttpOptions
from actors.carriers.registry import CarrierSetup, UnknownCarrier
from actors.clock import ManualClock
from engine.content.down import render_down
from engine.lanes.definition import lane_from
from engine.reasons import Reason
from tests.support.docs import ROOT, snippets
from tests.support.peers import LOOPBACK

NOW_MS = 1_700_000_000_000
BASE = "https://hooks.example.com/v1/carriers/shop/main/"
SECRETS = {
    "vonage": "v-password", "vonage-signing": "v-signing", "infobip": "i-key",
    "infobip-hook": "i-hook", "whatsapp": "w-token", "app-secret": "w-app", "wa-verify": "w-verify",
}  # fmt: skip
ID = f"{7:032x}"


@cache
def documented(name: str) -> dict[str, Any]:
    """A lane of the page, by its name."""
    for snippet in snippets(ROOT / "docs/http-carriers.md", "yaml"):
        for body in yaml.safe_load_all(snippet.text):
            if body.get("lane") == name:
                return body
    raise AssertionError(name)


class Api:
    """A server that answers as it is told, and an adapter that asks it."""

    def __init__(self, lane: dict[str, Any], /, **options: Any) -> None:
        self.body = {**lane, "options": {**lane["options"], **options}}
        self.asked: list[tuple[dict[str, str], str]] = []
        self.answer: tuple[int, Any] = (200, {})
        self.receipts: list[CarrierReceipt] = []
        self.inbound: list[Inbound] = []
        self.clock = ManualClock(NOW_MS)
        self.carrier: HttpCarrier

    def make(self, secrets: dict[str, str] = SECRETS) -> HttpCarrier:
        lane = lane_from(self.body)
        registry.check(lane)
        return HttpCarrier(
            CarrierSetup(lane, "shop/main", self.clock, 1, BASE, secrets, allow=LOOPBACK)
        )

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append((dict(request.headers), await request.text()))
        status, body = self.answer
        return web.json_response(body, status=status)

    async def deliver(self, receipts: Sequence[CarrierReceipt]) -> None:
        self.receipts += receipts

    async def take(self, messages: Sequence[Inbound]) -> None:
        self.inbound += messages

    async def send(self, **fields: Any) -> Any:
        values = {
            "id": ID, "channel": "sms", "sender": "12025550100", "to": "+447700900123",
            "subject": "", "body": 'Hi "Ann"\n{{ x }}', "units": 1, "attempt": 0, **fields,
        }  # fmt: skip
        return (await self.carrier.submit([CarrierMessage(**values)]))[0]

    async def call(
        self,
        data: Any,
        headers: dict[str, str] | None = None,
        kind: str = "events",
        method: str = "POST",
        query: str = "",
    ) -> int:
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        request = Callback(method, f"{BASE}{kind}{query}", kind, headers or {}, body)
        return (await self.carrier.callback(request)).status


@asynccontextmanager
async def beside(lane: dict[str, Any], **options: Any) -> AsyncIterator[Api]:
    api = Api(lane, **options)
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", api.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    api.body["options"]["url"] = f"http://127.0.0.1:{runner.addresses[0][1]}/send"
    api.carrier = api.make()
    await api.carrier.start(api.deliver, api.take)
    try:
        yield api
    finally:
        await api.carrier.stop()
        await runner.cleanup()


def jwt(key: str, claims: dict[str, Any], **header: Any) -> dict[str, str]:
    def part(value: Any) -> str:
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        return urlsafe_b64encode(raw).decode().rstrip("=")

    signed = f"{part({'alg': 'HS256', 'typ': 'JWT', **header})}.{part(claims)}"
    digest = hmac.digest(key.encode(), signed.encode(), "sha256")
    return {"authorization": f"Bearer {signed}.{part(digest)}", "content-type": "application/json"}


async def test_vonage() -> None:
    async with beside(documented("vonage")) as api:
        api.answer = (202, {"message_uuid": "u-1"})
        result = await api.send()
        assert (result.outcome, result.provider_id) == (Outcome.ACCEPTED, "u-1")
        headers, body = api.asked[0]
        assert headers["Authorization"] == "Basic " + b64encode(b"abcd1234:v-password").decode()
        assert json.loads(body) == {
            "message_type": "text", "channel": "sms", "from": "12025550100", "to": "447700900123",
            "text": 'Hi "Ann"\n{{ x }}', "client_ref": ID, "webhook_url": f"{BASE}status",
        }  # fmt: skip
        api.answer = (422, {"type": "https://x/errors#1150", "detail": "Invalid params"})
        rejected = await api.send()
        assert (rejected.outcome, rejected.detail) == (Outcome.REJECTED, "Invalid params")
        api.answer = (402, {"type": "low balance"})
        assert (await api.send()).outcome is Outcome.FAILED

        report = {
            "message_uuid": "u-1", "client_ref": ID, "status": "rejected",
            "error": {"title": "1022", "detail": "no"},
        }  # fmt: skip
        raw = json.dumps(report).encode()
        claims = {"iat": NOW_MS // 1_000, "payload_hash": hashlib.sha256(raw).hexdigest()}
        good = jwt("v-signing", claims)
        assert await api.call(raw, good, "status") == 200
        assert api.receipts == [CarrierReceipt("u-1", Reason.UNDELIVERED, NOW_MS, "1022", "no", ID)]
        for forged in (
            {}, jwt("other", claims), jwt("v-signing", {**claims, "payload_hash": "0"}),
            jwt("v-signing", {"iat": claims["iat"]}), jwt("v-signing", claims, alg="none"),
            jwt("v-signing", {**claims, "iat": claims["iat"] - 3_600}),
            jwt("v-signing", {**claims, "iat": "now"}),
            jwt("v-signing", {"payload_hash": claims["payload_hash"]}),  # good for ever
            {"authorization": good["authorization"].rpartition(".")[0] + "."},
        ):  # fmt: skip
            assert await api.call(raw, forged, "status") == 403
        assert await api.call(raw + b" ", good, "status") == 403
        assert len(api.receipts) == 1

        said = {"message_uuid": "u-2", "from": "447700900123", "to": "12025550100", "text": "Hello"}
        raw = json.dumps(said).encode()
        claims["payload_hash"] = hashlib.sha256(raw).hexdigest()
        assert await api.call(raw, jwt("v-signing", claims), "inbound") == 200
        assert api.inbound == [
            Inbound("u-2", "+447700900123", "12025550100", "Hello", NOW_MS, (), {})
        ]


async def test_infobip() -> None:
    async with beside(documented("infobip")) as api:
        api.answer = (200, {"messages": [{"messageId": "m1", "status": {"groupName": "PENDING"}}]})
        assert (await api.send()).provider_id == "m1"
        headers, body = api.asked[0]
        assert headers["Authorization"] == "App i-key"
        (message,) = json.loads(body)["messages"]
        assert message["webhooks"]["delivery"]["url"] == f"{BASE}status?token=i-hook"
        assert message["destinations"] == [{"to": "447700900123", "messageId": ID}]
        api.answer = (200, {"messages": [{"messageId": "m1", "status": {"groupName": "REJECTED"}}]})
        result = await api.send()
        assert (result.outcome, result.code) == (Outcome.REJECTED, "REJECTED")
        api.answer = (200, {"requestError": "?"})
        assert (await api.send()).outcome is Outcome.UNKNOWN
        reports = {
            "results": [
                {"messageId": "m1", "status": {"groupName": "DELIVERED"}},
                {"messageId": "m2", "status": {"groupName": "EXPIRED"}, "error": {"name": "EC"}},
                {"messageId": "m3", "status": {"groupName": "PENDING"}},
                {"status": {"groupName": "DELIVERED"}}, "odd", None,
            ]
        }  # fmt: skip
        assert await api.call(reports, kind="status", query="?token=i-hook") == 200
        assert [(each.provider_id, each.reason, each.code) for each in api.receipts] == [
            ("m1", Reason.DELIVERED, ""), ("m2", Reason.UNDELIVERED, "EC"),
        ]  # fmt: skip
        for query in ("", "?token=", "?token=i-hoo", "?token=i-hookk", "?Token=i-hook"):
            assert await api.call(reports, kind="status", query=query) == 403


REFERENCE: dict[str, Any] = {
    "name": "cart", "language": "en_US", "variables": {"1": "Ann", "2": 'a "hat"'},
    "header": {"image": "https://a.example/b.png"}, "buttons": [{"index": "0", "url": "cart/7"}],
}  # fmt: skip


async def test_whatsapp() -> None:
    async with beside(documented("wa")) as api:
        api.answer = (200, {"messages": [{"id": "wamid.1"}]})
        assert (await api.send(channel="whatsapp")).provider_id == "wamid.1"
        assert api.asked[0][0]["Authorization"] == "Bearer w-token"
        plain = {"messaging_product": "whatsapp", "to": "447700900123"}
        plain["biz_opaque_callback_data"] = ID
        assert json.loads(api.asked[0][1]) == {
            **plain, "type": "text", "text": {"body": 'Hi "Ann"\n{{ x }}'}
        }  # fmt: skip
        shown = render_down({"text": "Still there?", "replies": [{"label": "Yes"}]}, "whatsapp")
        await api.send(channel="whatsapp", body=shown.text, content=json.dumps(shown.rich))
        rich = json.loads(api.asked[1][1])
        assert rich == {**plain, **shown.rich}
        assert rich["interactive"]["type"] == "button"
        for content in (
            {"text": "Hi Ann", "template": REFERENCE},
            {"text": "Look", "media": "https://a.example/b.png"},
            {"location": {"latitude": "52.5", "longitude": "13.4"}},
        ):
            shown = render_down(content, "whatsapp")
            await api.send(channel="whatsapp", body=shown.text, content=json.dumps(shown.rich))
            asked = json.loads(api.asked[-1][1])
            assert asked == {**plain, **shown.rich}
            assert asked["type"] in shown.rich
        shown = render_down({"text": "Hi Ann", "template": {"content_sid": "HX1"}}, "whatsapp")
        await api.send(channel="whatsapp", body=shown.text, content=json.dumps(shown.rich))
        assert json.loads(api.asked[-1][1]) == {**plain, "type": "text", "text": {"body": "Hi Ann"}}
        api.answer = (400, {"error": {"code": 131056, "message": "pair rate"}})
        result = await api.send(channel="whatsapp")
        assert (result.outcome, result.code) == (Outcome.THROTTLED, "131056")
        api.answer = (400, {"error": {"code": 131026, "message": "undeliverable"}})
        assert (await api.send(channel="whatsapp")).outcome is Outcome.REJECTED

        value = {
            "statuses": [
                {"id": "wamid.1", "status": "read", "biz_opaque_callback_data": ID},
                {"id": "wamid.2", "status": "failed", "errors": [{"code": 131026, "title": "no"}]},
            ],
            "messages": [
                {"id": "wamid.9", "from": "447700900123", "type": "text", "text": {"body": "Hi"}},
                {"id": "wamid.8", "from": "447700900123", "type": "button",
                 "button": {"text": "Yes"}},
            ],
        }  # fmt: skip
        raw = json.dumps({"entry": [{"changes": [{"value": value}]}]}).encode()
        digest = hmac.digest(b"w-app", raw, "sha256").hex()
        assert await api.call(raw, {"x-hub-signature-256": f"sha256={digest}"}) == 200
        assert [(each.provider_id, each.reason, each.code) for each in api.receipts] == [
            ("wamid.1", Reason.READ, ""), ("wamid.2", Reason.UNDELIVERED, "131026"),
        ]  # fmt: skip
        assert [(each.body, each.values) for each in api.inbound] == [
            ("Hi", {"kind": "text"}), ("", {"reply": "Yes", "kind": "button"}),
        ]  # fmt: skip
        for forged in ("", digest, f"sha256={digest[:-1]}", f"sha1={digest}"):
            assert await api.call(raw, {"x-hub-signature-256": forged}) == 403

        asked = "?hub.mode=subscribe&hub.verify_token={}&hub.challenge=1158201444"
        request = Callback("GET", f"{BASE}events{asked.format('w-verify')}", "events", {}, b"")
        reply = await api.carrier.callback(request)
        assert (reply.status, reply.body) == (200, "1158201444")
        request = Callback("GET", f"{BASE}events{asked.format('guess')}", "events", {}, b"")
        assert (await api.carrier.callback(request)).status == 403


PLAIN: dict[str, Any] = {
    "lane": "main", "channel": "sms", "carrier": "http",
    "options": {
        "url": "https://a.example", "reports": {"id": "id", "status": "s",
        "statuses": {"delivered": [0, "ok"]}}, "inbound": {"id": "id", "sender": "from"},
        "signature": {"user": "u", "password": {"secret": "vonage"}},
    },
}  # fmt: skip
BASIC = {"authorization": "Basic " + b64encode(b"u:v-password").decode()}


async def test_half_a_character_in_an_address_of_media_can_be_journaled_too() -> None:
    inbound = {"id": "id", "sender": "from", "media": "media.*"}
    lane = {**PLAIN, "options": {**PLAIN["options"], "inbound": inbound}}
    async with beside(lane) as api:
        raw = b'{"id": "1", "from": "+1", "media": ["https://a.example/\\ud800", 7, null]}'
        assert await api.call(raw, BASIC, "inbound") == 200
        assert api.inbound[0].media == ("https://a.example/?",)


async def test_calls_may_be_forms_or_queries() -> None:
    async with beside(PLAIN) as api:
        form = {**BASIC, "content-type": "application/x-www-form-urlencoded; charset=utf-8"}
        assert await api.call(b"id=1&s=OK", form, "status") == 200
        assert await api.call(b"", BASIC, "status", "GET", "?id=2&s=0") == 200
        assert [each.provider_id for each in api.receipts] == ["1", "2"]
        assert await api.call(b"{", BASIC) == 200  # nothing is in it
        assert await api.call(b"[" * 100_000, BASIC) == 200
        assert await api.call(b'{"id": "\\ud800", "s": "ok"}', BASIC) == 200
        assert await api.call({"id": "1", "from": "a" * 10_000}, BASIC, "other") == 404
        assert api.carrier.status()["callbacks"]["not_read"] == 2


async def test_a_hash_may_sign_more_than_the_body() -> None:
    signature = {
        "hmac": "sha512", "header": "X-Sign", "key": {"secret": "vonage"}, "encoding": "base64",
        "signs": "{method} {url}\n{header:X-Time}.{body}", "time_header": "X-Time",
    }  # fmt: skip
    async with beside(PLAIN, signature=signature) as api:
        at = str(NOW_MS // 1_000)

        def signed(body: bytes, time: str) -> dict[str, str]:
            text = f"POST {BASE}status\n{time}.".encode() + body
            made = b64encode(hmac.digest(b"v-password", text, "sha512")).decode()
            return {"x-sign": made, "x-time": time}

        body = b'{"id": "1", "s": "ok"}'
        assert await api.call(body, signed(body, at), "status") == 200
        old = str(NOW_MS // 1_000 - 301)
        assert await api.call(body, signed(body, old), "status") == 403
        assert await api.call(body, {**signed(body, old), "x-time": at}, "status") == 403
        assert await api.call(body, signed(b"", at), "status") == 403
        assert await api.call(body, signed(body, "soon"), "status") == 403


async def test_texts_left_empty_are_left_out_and_values_stay_what_they_are() -> None:
    shape = {
        "a": "{{ subject }}", "b": ["{{ subject }}", "{{ to }}"], "c": {"$from": "content.buttons"},
        "d": {"$from": "content.none"}, "e": 5, "f": {"g": "{{ content.title }}"},
    }  # fmt: skip
    async with beside(PLAIN, json=shape) as api:
        content = json.dumps({"buttons": [{"id": 1}], "title": "T"})
        await api.send(content=content)
        assert json.loads(api.asked[0][1]) == {
            "b": ["+447700900123"], "c": [{"id": 1}], "e": 5, "f": {"g": "T"},
        }  # fmt: skip


async def test_an_address_that_is_none_tells_no_secret() -> None:
    api = Api(PLAIN, url="https://[zz/{{ secrets.vonage }}", secrets=["vonage"])
    api.carrier = api.make()
    await api.carrier.start(api.deliver, api.take)
    result = await api.send()
    assert (result.outcome, result.code) == (Outcome.REJECTED, "url")
    assert "v-password" not in result.detail
    await api.carrier.stop()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433"]
)
async def test_who_defines_a_lane_reaches_no_machine_of_the_operator(host: str) -> None:
    lane = lane_from({**PLAIN, "options": {**PLAIN["options"], "url": f"http://{host}:1/x"}})
    carrier = HttpCarrier(CarrierSetup(lane, "shop/main", ManualClock(), 1, BASE, SECRETS))
    api = Api(PLAIN)
    await carrier.start(api.deliver, api.take)
    (result,) = await carrier.submit(
        [CarrierMessage(ID, "sms", "", "+12025550123", "", "Hi", 1, 0)]
    )
    await carrier.stop()
    assert result.outcome is Outcome.REJECTED
    assert result.code == "url" or "the setting carrier_allow may allow it" in result.detail


async def test_what_cannot_be_written_is_not_sent() -> None:
    async with beside(PLAIN, body="{% for i in range(99999) %}{{ i }}{% endfor %}") as api:
        result = await api.send()
        assert (result.outcome, result.code) == (Outcome.REJECTED, "template")
        assert not api.asked


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"json": {}, "form": {}}, "one of 'json', 'form' and 'body'"),
        ({"url": "http://{{ subject }}/x"}, "without a template in the host"),
        ({"url": "https://a.example@{{ body }}"}, "without a template in the host"),
        ({"url": "file:///etc/passwd"}, "must begin with http"),
        ({"signature": None}, "without 'signature' anybody could report"),
        ({"json": {"a": "{{ x"}}, "no template"),
        ({"url": "{% if %}"}, "no template"),
        ({"reports": {"status": "s", "statuses": {}}}, "has to name its message"),
        ({"reports": {"id": "a", "status": "s", "statuses": {"gone": "x"}}}, "statuses"),
        ({"json": {"$from": "a", "b": 1}}, "stands alone"),
        ({"signature": {"hmac": "md5", "header": "x", "key": {"secret": "a"}}}, "signature"),
        ({"auth": {"value": "plain-secret"}}, "auth"),
    ],
)
def test_what_is_written_wrong_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UnknownCarrier) as error:
        Api(PLAIN, **options).make()
    assert words in str(error.value)


def test_a_key_that_is_not_what_it_should_be_is_told_at_once() -> None:
    signature = {"hmac": "sha1", "header": "x", "key": {"secret": "vonage"}, "key_encoding": "hex"}
    with pytest.raises(ValueError, match="the key is not hex"):
        Api(PLAIN, signature=signature).make()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["results", "messageId", "status", "groupName", "from", "text", "x"]),
        inner, max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(JSON, st.sampled_from(["events", "status", "inbound"]))
def test_whatever_a_carrier_sends_breaks_nothing(data: Any, kind: str) -> None:
    async def run() -> None:
        api = Api(documented("infobip"))
        api.carrier = api.make()
        await api.carrier.start(api.deliver, api.take)
        assert await api.call(data, kind=kind, query="?token=i-hook") == 200
        await api.carrier.stop()

    asyncio.run(run())


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(["vonage", "infobip", "wa"]),
    method=st.sampled_from(["GET", "POST"]),
    body=st.binary(max_size=100),
    query=st.text(max_size=40),
    headers=st.dictionaries(
        st.sampled_from(["authorization", "x-hub-signature-256", "content-type"]),
        st.text(max_size=60) | st.just("Bearer a.b.c") | st.just("Bearer e30.e30."),
    ),
)
def test_no_stranger_is_believed(
    name: str, method: str, body: bytes, query: str, headers: dict[str, str]
) -> None:
    async def run() -> None:
        api = Api(documented(name))
        api.carrier = api.make()
        await api.carrier.start(api.deliver, api.take)
        for kind in ("status", "inbound", "events", "x"):
            assert await api.call(body, headers, kind, method, f"?{query}") == 403
        assert not api.receipts
        assert not api.inbound
        await api.carrier.stop()

    asyncio.run(run())


def test_paths() -> None:
    data = {"a": [{"b": 1}, {"b": "x"}, {}], "c": {"0": "zero"}, "n": None}
    assert list(http_paths.find(data, "a.*.b")) == [1, "x"]
    assert http_paths.text(data, "a.0.b") == "1"
    assert http_paths.text(data, "c.0") == "zero"
    for path in ("a.7.b", "a.x", "c.*", "n.x", "n", "", "a", "a.*"):
        assert http_paths.text(data, path) == ""


def test_the_documented_lanes_hold_together() -> None:
    for name in ("us", "vonage", "infobip", "wa"):
        registry.check(lane_from(documented(name)))
    options = HttpOptions.model_validate(documented("vonage")["options"])
    assert options.meanings()["undeliverable"] == "undelivered"
