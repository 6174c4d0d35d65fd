"""Web push: what a browser reads, and where an endpoint may not lead."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from actors.carriers import registry
from actors.carriers.base import CarrierMessage, Outcome, SubmitResult
from actors.carriers.web_push import Vapid, WebPushCarrier
from actors.clock import ManualClock
from engine.issues import DefinitionError
from engine.lanes.definition import lane_from
from tests.carriers.subject_web_push import OPTIONS, PEM, Browsers, service
from tests.support.peers import LOOPBACK

NOW = 1_700_000_000_000


def carrier_of(pem: str = PEM, allow: Sequence[str] = LOOPBACK, **options: Any) -> WebPushCarrier:
    lane = lane_from(
        {"lane": "browsers", "channel": "push", "carrier": "web_push",
         "options": {**OPTIONS, **options}}
    )  # fmt: skip
    setup = registry.CarrierSetup(
        lane, "w/browsers", ManualClock(NOW), 7, "", {"vapid": pem}, allow=allow
    )
    carrier = registry.make(setup)
    assert isinstance(carrier, WebPushCarrier)
    return carrier


def message(to: str, **fields: Any) -> CarrierMessage:
    plain: dict[str, Any] = {
        "id": "0" * 32, "channel": "push", "sender": "", "to": to, "subject": "Hällo",
        "body": "There is news", "units": 1, "attempt": 0, "purpose": "otp",
        "expires_ms": NOW + 60_000,
    }  # fmt: skip
    return CarrierMessage(**{**plain, **fields})


def told(*messages: CarrierMessage, **options: Any) -> list[SubmitResult]:
    async def run() -> list[SubmitResult]:
        carrier = carrier_of(**options)
        await carrier.start(None, None)  # type: ignore[arg-type]
        try:
            return await carrier.submit(messages)
        finally:
            await carrier.stop()

    return asyncio.run(run())


def test_a_browser_decrypts_what_was_sent() -> None:
    with service() as peer:
        browsers = Browsers(peer.port)
        key = carrier_of().status()["public_key"]
        one, other = browsers.subscribe(key), browsers.subscribe(key)
        content = json.dumps({"url": "https://acme.example/", "title": "overruled"})
        results = told(message(one, content=content), message(other, body="ünd 🎉"))
        assert [each.outcome for each in results] == [Outcome.ACCEPTED] * 2
        assert browsers.read(one) == [
            {"title": "Hällo", "body": "There is news", "id": "0" * 32,
             "url": "https://acme.example/"}
        ]  # fmt: skip
        assert browsers.read(other)[0]["body"] == "ünd 🎉"
        browsers.expire(one)
        (gone,) = told(message(one))
        assert (gone.outcome, gone.code) == (Outcome.REJECTED, "410")


def test_a_message_that_is_too_long_for_a_browser_is_refused() -> None:
    subscription = json.dumps(
        {"endpoint": "http://127.0.0.1:9/x",
         "keys": {"p256dh": "BAAA", "auth": "AAAA"}}
    )  # fmt: skip
    (result,) = told(message(subscription, body="x" * 4_000))
    assert result.outcome is Outcome.REJECTED


@pytest.mark.parametrize(
    ("status", "headers", "outcome"),
    [
        (201, {"Location": "/m/1"}, Outcome.ACCEPTED),
        (429, {"Retry-After": "7"}, Outcome.FAILED),
        (413, {}, Outcome.REJECTED),
        (503, {}, Outcome.FAILED),
        (307, {"Location": "http://127.0.0.1:1/"}, Outcome.REJECTED),
    ],
)
def test_what_a_push_service_answers(
    status: int, headers: dict[str, str], outcome: Outcome
) -> None:
    seen: list[dict[str, str]] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        seen.append(dict(request.headers))
        await request.read()
        return web.Response(status=status, headers=headers)

    async def run() -> SubmitResult:
        runner = web.ServerRunner(web.Server(answer))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        carrier = carrier_of()
        await carrier.start(None, None)  # type: ignore[arg-type]
        subscription = subscribed(f"http://127.0.0.1:{runner.addresses[0][1]}/x")
        (result,) = await carrier.submit([message(subscription)])
        await carrier.stop()
        await runner.cleanup()
        return result

    result = asyncio.run(run())
    assert result.outcome is outcome
    (head,) = seen
    assert (head["TTL"], head["Urgency"], head["Content-Encoding"]) == ("60", "high", "aes128gcm")
    assert head["Authorization"].startswith("vapid t=")
    assert result.retry_after_ms == (7_000 if status == 429 else 0)


def subscribed(endpoint: str) -> str:
    """A subscription with good keys, for any endpoint."""
    point = carrier_of().status()["public_key"]
    keys = {"p256dh": point, "auth": "AAAAAAAAAAAAAAAAAAAAAA"}
    return json.dumps({"endpoint": endpoint, "keys": keys})


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://push.example/x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://169.254.169.254/latest",
        "https://localhost/x",
        "ftp://push.example/x",
        "https:///x",
        "",
        "https://\u246027.0.0.1/x",
        "https://127.1/x",
        "https://2130706433/x",
        "https://[::1/x",
        "https://a..b/x",
        "https://" + "a" * 64 + ".example/x",
        "https://ann:secret@push.example/x",
        "https://ann@push.example/x",
        "https://push example/x",
        "https://push.example:99999/x",
        "https://push.example:x/",
    ],
)
def test_an_endpoint_leads_nowhere_inside_and_is_an_address(endpoint: str) -> None:
    (result,) = told(message(subscribed(endpoint)), allow=[])
    assert result.outcome is Outcome.REJECTED, result
    assert "webhook_allow" not in result.detail


@pytest.mark.parametrize("endpoint", ["https://127.0.0.1/x", "https://localhost/x"])
def test_a_refusal_names_the_setting_that_allows_it(endpoint: str) -> None:
    (result,) = told(message(subscribed(endpoint)), allow=[])
    assert result.detail.endswith("the setting carrier_allow may allow it")


async def test_what_one_message_meets_is_not_said_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Vapid, "authorization", lambda vapid, origin: 1 / int("odd" not in origin))
    carrier = carrier_of()
    odd = message(subscribed("http://odd.example/x"))
    deep = message("[" * 200_000)
    results = await carrier.submit([odd, deep, message(subscribed("http://127.0.0.1:1/"))])
    assert [each.outcome for each in results] == [
        Outcome.FAILED, Outcome.REJECTED, Outcome.FAILED,
    ]  # fmt: skip
    await carrier.start(None, None)  # type: ignore[arg-type]
    (result,) = await carrier.submit([message(subscribed("http://odd2.example/x"))])
    assert (result.outcome, result.code) == (Outcome.UNKNOWN, "error")
    await carrier.stop()


@given(st.one_of(st.text(max_size=60), st.dictionaries(st.text(max_size=9), st.text(), max_size=3)
                 .map(json.dumps)))  # fmt: skip
def test_no_text_is_a_subscription_by_chance(text: str) -> None:
    carrier = carrier_of()

    async def run() -> SubmitResult:
        (result,) = await carrier.submit([message(text)])
        return result

    assert asyncio.run(run()).outcome is Outcome.REJECTED


def test_a_key_of_another_kind_is_refused() -> None:
    with pytest.raises(DefinitionError, match="P-256"):
        carrier_of(pem="no key")
