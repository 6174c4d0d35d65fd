"""A caller of webhooks, against a real server on this machine; only its clock is the test's."""

import asyncio
import base64
import hashlib
import hmac
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import msgpack
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from actors.address_guard import AddressGuard
from actors.callers.http import WebhookClient, sign
from actors.callers.webhooks import CallerCore
from actors.clock import ManualClock
from engine import commands, limits
from engine.commands import Command
from engine.errors import Unavailable
from engine.reasons import Reason

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HastyClock(ManualClock):
    """Whoever waits has waited."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[int] = []

    async def sleep_until(self, ms: int) -> None:
        self.pauses.append(ms - self.now_ms())
        self.advance(ms - self.now_ms())
        await asyncio.sleep(0)


class Receiver:
    """A server that answers as it is told, and a caller that knows the way."""

    def __init__(self) -> None:
        self.clock = HastyClock()
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answers: list[Any] = []
        self.told: list[Command] = []
        self.news = asyncio.Event()
        self.refusals = 0
        self.came = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()
        self.now = self.most = 0
        self.server: TestServer
        self.core: CallerCore

    async def start(self, allow: Sequence[str] = ("127.0.0.0/8",)) -> None:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self.handle)
        self.server = TestServer(app, host="127.0.0.1")
        await self.server.start_server()
        client = WebhookClient(AddressGuard(allow), wall_s=lambda: 1_700_000_000.9)
        named = {"w": {"crm": "s3cret", "sign": "whsec_" + base64.b64encode(b"key").decode()}}
        self.core = CallerCore(self.clock, self.report, client, named)

    async def stop(self) -> None:
        await self.core.close()
        await self.server.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests.append((request.method, request.raw_path, dict(request.headers), body))
        self.came.set()
        self.now += 1
        self.most = max(self.most, self.now)
        await self.go.wait()
        self.now -= 1
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, int):
            return web.Response(status=answer)
        if isinstance(answer, web.StreamResponse):
            return answer
        return web.json_response(answer)

    async def report(self, shard: int, batch: Sequence[Command], size_bytes: int) -> bytes:
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("not now")
        self.told.extend(batch)
        self.news.set()
        return bytes(len(batch))

    def call(self, number: int = 1, **changes: Any) -> list[Any]:
        fields = {
            "id": f"{number:032x}", "key": "w/user/ann", "workspace": "w",
            "receiver": f"127.0.0.1:{self.server.port}", "channel": "webhook",
            "url": f"http://127.0.0.1:{self.server.port}/a?b=c", "purpose": "", "body": '{"x":1}',
            "secret": "", "expires_ms": 60_000, "method": "POST", "headers": [], "retries": 3,
            "timeout_ms": 60_000, "instance": "i1",
        }  # fmt: skip
        return list({**fields, **changes}.values())

    async def offer(self, *calls: Any, epoch: int = 1) -> tuple[str, list[Reason], int]:
        batch = msgpack.packb([[0, epoch, 0, calls, {}]])
        _, [[code, admissions, retry_ms]] = msgpack.unpackb(await self.core.offer(batch))
        return code, [Reason(one) for one in admissions], retry_ms

    async def ask(self, **changes: Any) -> tuple[int, dict[str, Any], str, str]:
        """One webhook to its end: status, what is kept, the words, the error."""
        code, admissions, _ = await self.offer(self.call(**changes))
        assert (code, admissions) == ("ok", [Reason.QUEUED])
        await self.news.wait()
        self.news.clear()
        operation, key, _, instance, status, saved, words, error = self.told[-1]
        assert (operation, key, instance) == (commands.CALLED, "w/user/ann", "i1")
        return status, msgpack.unpackb(saved), words, error


@pytest.fixture
async def there() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.start()
    yield receiver
    receiver.go.set()
    await receiver.stop()


async def test_a_webhook_is_asked_and_its_answer_told(there: Receiver) -> None:
    there.answers = [{"score": 7, "items": [1, None]}]
    status, saved, words, error = await there.ask(headers=[["X-A", "b", ""]])
    assert (status, words, error) == (200, "1 attempt, 32 bytes", "")
    assert saved == {"status": 200, "body": {"score": 7, "items": [1, None]}}
    ((method, path, headers, body),) = there.requests
    assert (method, path, body) == ("POST", "/a?b=c", b'{"x":1}')
    assert headers["X-A"] == "b"
    assert headers["webhook-id"] == headers["Idempotency-Key"] == f"{1:032x}"
    assert headers["webhook-timestamp"] == "1700000000"
    assert "webhook-signature" not in headers


async def test_it_is_signed_as_standard_webhooks_say(there: Receiver) -> None:
    await there.ask(secret="sign", headers=[["Authorization", "Bearer ", "crm"]])
    _, _, headers, body = there.requests[0]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(b"key", signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["Authorization"] == "Bearer s3cret"


def test_the_signature_is_that_of_the_specifications_own_example() -> None:
    secret, id_ = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek"
    signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    body = b'{"test": 2432232314}'
    assert sign(secret, id_, "1614265330", body) == signature
    both = sign(f"{secret} other", id_, "1614265330", body).split()
    assert len(both) == 2
    assert both[0] == signature


async def test_failures_that_may_pass_are_tried_again_with_the_same_id_and_back_off(
    there: Receiver,
) -> None:
    there.answers = [500, 503, 429, {"ok": True}]
    status, saved, words, error = await there.ask()
    assert (status, saved, error) == (200, {"status": 200, "body": {"ok": True}}, "")
    assert words == "4 attempts, 12 bytes"
    assert len({headers["webhook-id"] for _, _, headers, _ in there.requests}) == 1
    for attempt, pause_ms in enumerate(there.clock.pauses):
        assert 500 << attempt <= pause_ms <= 1_000 << attempt


async def test_as_often_as_the_step_says(there: Receiver) -> None:
    there.answers = [502] * 9
    status, saved, words, error = await there.ask(retries=2)
    assert (status, words, error) == (502, "3 attempts", "it answered 502")
    assert saved == {"status": 502, "error": "it answered 502"}


@pytest.mark.parametrize("status", [400, 401, 404, 409, 410, 422])
async def test_what_the_receiver_refuses_is_not_tried_again(there: Receiver, status: int) -> None:
    there.answers = [web.json_response({"why": "no"}, status=status)]
    assert await there.ask() == (
        status,
        {"status": status, "body": {"why": "no"}, "error": f"it answered {status}"},
        "1 attempt, 13 bytes",
        f"it answered {status}",
    )
    assert len(there.requests) == 1


@pytest.mark.parametrize("after", ["7", "Tue, 14 Nov 2023 22:13:27 GMT"])
async def test_retry_after_is_kept(there: Receiver, after: str) -> None:
    there.answers = [web.Response(status=429, headers={"Retry-After": after}), 200]
    assert (await there.ask())[0] == 200
    (pause_ms,) = there.clock.pauses
    assert 6_000 <= pause_ms <= 7_000


async def test_who_asks_to_wait_longer_than_the_run_does_is_not_waited_for(there: Receiver) -> None:
    there.answers = [web.Response(status=503, headers={"Retry-After": "3600"})]
    assert (await there.ask())[0::2] == (503, "1 attempt")
    assert there.clock.pauses == []


async def test_a_redirect_is_not_followed(there: Receiver) -> None:
    there.answers = [web.Response(status=302, headers={"Location": "http://169.254.169.254/"})]
    status, _, _, error = await there.ask()
    assert (status, error) == (302, "it answered 302, a redirect, which is not followed")
    assert len(there.requests) == 1


async def test_nobody_listens(there: Receiver) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    status, saved, words, error = await there.ask(url=f"http://127.0.0.1:{port}/", retries=1)
    assert (status, words) == (0, "2 attempts")
    assert str(port) in error
    assert saved == {"status": 0, "error": error}


async def test_an_answer_that_does_not_come_in_time(there: Receiver) -> None:
    there.go.clear()
    await there.offer(there.call())
    await there.came.wait()
    there.clock.advance(60_000)
    await there.news.wait()
    assert there.told[0][4:] == (
        0,
        msgpack.packb({"status": 0, "error": "no answer before its time was up"}),
        "1 attempt",
        "no answer before its time was up",
    )


async def test_one_attempt_has_a_time_of_its_own(
    there: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WEBHOOK_ATTEMPT_S", 0.05)
    await there.stop()
    await there.start()
    there.go.clear()
    status, _, words, error = await there.ask(retries=1)
    assert (status, words, error) == (0, "2 attempts", "no answer within 0.05 s")


@pytest.mark.parametrize(
    ("body", "type_", "kept", "words"),
    [
        (b"", "text/plain", None, "1 attempt"),
        (b"fine", "text/plain", "fine", "4 bytes"),
        (b"\xff", "text/plain", None, "no JSON and no text"),
        (b'{"a": 1}', "application/problem+json", {"a": 1}, "8 bytes"),
        (b'{"a": NaN}', "application/json", None, "no JSON"),
        (b"9" * 40, "application/json", None, "no JSON"),
        (b"[" * 9_000, "application/json", None, "no JSON"),
        (b"x" * limits.WEBHOOK_ANSWER_BYTES, "text/plain", "x" * 16_384, "16384 bytes"),
        (b"x" * (limits.WEBHOOK_ANSWER_BYTES + 1), "text/plain", None, "more than 16384 bytes"),
        (b"x" * 3_000_000, "text/plain", None, "more than 16384 bytes"),
    ],
)
async def test_what_is_kept_of_a_body_is_bounded(
    there: Receiver, body: bytes, type_: str, kept: Any, words: str
) -> None:
    there.answers = [web.Response(body=body, content_type=type_)]
    status, saved, told, error = await there.ask()
    assert (status, error) == (200, "")
    assert saved.get("body") == kept
    assert words in told


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "[::1]"])
async def test_this_machine_is_refused_under_all_its_names(there: Receiver, host: str) -> None:
    await there.stop()
    await there.start(allow=())
    status, _, words, error = await there.ask(url=f"http://{host}:{there.server.port}/")
    assert (status, words) == (0, "1 attempt"), error
    assert "it may not go there" in error or "not a canonical IPv4 address" in error
    assert there.requests == []


async def test_a_secret_that_nobody_knows_is_never_sent_without(there: Receiver) -> None:
    _, _, _, error = await there.ask(secret="other")
    assert error == "the settings have no webhook secret 'other' for this workspace"
    _, _, _, error = await there.ask(id=f"{2:032x}", headers=[["A", "", "crm"]], workspace="v")
    assert error == "the settings have no webhook secret 'crm' for this workspace"
    assert there.requests == []


async def test_an_id_is_called_once_however_often_it_is_offered(there: Receiver) -> None:
    there.go.clear()
    call = there.call()
    assert (await there.offer(call, call))[1] == [Reason.QUEUED, Reason.DUPLICATE]
    await there.came.wait()
    assert (await there.offer(call))[1] == [Reason.DUPLICATE]
    there.go.set()
    await there.news.wait()
    assert (await there.offer(call))[1] == [Reason.DUPLICATE]
    assert len(there.requests) == len(there.told) == 1


async def test_an_answer_is_told_until_it_is_journaled(there: Receiver) -> None:
    there.refusals = 3
    assert (await there.ask())[0] == 200
    assert len(there.requests) == 1
    assert len(there.told) == 1


async def test_what_is_taken_back_is_not_called_and_nothing_is_told(there: Receiver) -> None:
    there.answers = [500]
    hold = asyncio.Event()

    async def sleep_until(ms: int) -> None:
        there.news.set()
        await hold.wait()

    there.clock.sleep_until = sleep_until  # type: ignore[method-assign]
    await there.offer(there.call())
    await there.news.wait()  # it waits for its second attempt
    await there.core.cancel(msgpack.packb([[0, 1, [there.call(url="", body="")]]]))
    hold.set()
    await there.offer()
    assert there.core.status()["taken_back"] == 1
    assert there.core.status()["calls"] == 0
    assert there.told == []


async def test_an_older_owner_of_a_shard_is_refused(there: Receiver) -> None:
    await there.offer(epoch=5)
    assert (await there.offer(there.call(), epoch=4))[0] == "stale_epoch"
    assert there.core.status()["calls"] == 0


async def test_a_receiver_gets_so_many_at_a_time_and_the_rest_waits(
    there: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WEBHOOK_AT_ONCE", 3)
    monkeypatch.setattr(limits, "WEBHOOK_CALLS_PER_RECEIVER", 10)
    calls = [there.call(number) for number in range(12)]
    _, admissions, retry_ms = await there.offer(*calls)
    assert admissions == [Reason.QUEUED] * 10 + [Reason.QUEUE_FULL] * 2
    assert retry_ms == limits.WEBHOOK_OFFER_PAUSE_MS
    _, admissions, _ = await there.offer(there.call(99, receiver="other:443", workspace="v"))
    assert admissions == [Reason.QUEUED], "a full receiver is in nobody else's way"
    while len(there.told) < 11:
        await there.news.wait()
        there.news.clear()
    assert there.most <= 3


async def test_a_receiver_gets_so_many_in_a_second(
    there: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WEBHOOK_PER_S", 10)
    started = there.clock.now_ms()
    await there.offer(*(there.call(number, expires_ms=600_000) for number in range(31)))
    while len(there.told) < 31:
        await there.news.wait()
        there.news.clear()
    assert there.clock.now_ms() - started >= 2_900
