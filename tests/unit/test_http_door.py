"""The HTTP door: what strangers may do to it, and how a carrier's request reaches its lane."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.msgpack import Decoder

from actors.carriers.base import Callback, CallbackReply
from actors.clock import ManualClock
from actors.settings import Settings
from engine import limits
from engine.errors import Overloaded
from engine.packing import pack
from gateway.http import carriers, routes
from gateway.http.door import HttpDoor, Within
from gateway.http.pace import Pace
from gateway.server import Tls
from tests.end_to_end.test_gateway_door import self_signed
from tests.support.gateway_support import NOW_MS, RecordingRouter

LANES: dict[str, Any] = {
    "acme": [3, {"main": {"lane": "main", "channel": "sms", "carrier": "twilio"}}]
}
read = Decoder(Callback).decode


class OneSender:
    """A pool of one sender, which answers as it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Callback]] = []
        self.configured: list[tuple[str, int, Any]] = []
        self.asked: list[tuple[str, str, str]] = []
        self.reply = CallbackReply(200, "<Response/>", "text/xml")
        self.knows_lanes = True
        self.failure: Exception | None = None
        self.gate: asyncio.Event | None = None

    def sender_of(self, workspace: str, channel: str, lane: str) -> str:
        self.asked.append((workspace, channel, lane))
        return "sender-sms-1"

    def link(self, name: str) -> "OneSender":
        assert name == "sender-sms-1"
        return self

    async def callback(self, lane_key: str, request: bytes) -> bytes:
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        if not self.knows_lanes:
            return b""
        self.heard.append((lane_key, read(request)))
        return pack(self.reply)

    async def configure(self, workspace: str, version: int, lanes: bytes) -> None:
        self.configured.append((workspace, version, msgpack.unpackb(lanes)))
        self.knows_lanes = True


class Open:
    """A door that is open on a free port."""

    def __init__(self, public_url: str) -> None:
        self.router = RecordingRouter()
        self.router.answers["lanes"] = lambda shard, args: {
            key: value for key, value in LANES.items() if key == args["workspace"]
        }
        self.senders = OneSender()
        inside = Within(self.router, self.senders, ManualClock(NOW_MS), {})  # type: ignore[arg-type]
        self.door = HttpDoor(inside, public_url)
        self.port = 0
        self.client: aiohttp.ClientSession

    async def call(
        self, path: str, method: str = "POST", **options: Any
    ) -> tuple[int, str, dict[str, str]]:
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self.client.request(method, url, **options) as answer:
            return answer.status, await answer.text(), dict(answer.headers)


@asynccontextmanager
async def opened(public_url: str = "") -> AsyncIterator[Open]:
    door = Open(public_url)
    door.port = await door.door.start("127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession() as door.client, asyncio.timeout(30):
            yield door
    finally:
        await door.door.stop()


async def test_a_request_comes_to_its_lane_and_the_answer_back() -> None:
    async with opened("https://hooks.example.com/denrei/") as door:
        status, body, headers = await door.call(
            "/v1/carriers/acme/main/status?a=b%20c",
            data=b"MessageSid=SM1",
            headers={"X-Twilio-Signature": "abc"},
        )
        assert (status, body, headers["Content-Type"]) == (
            200, "<Response/>", "text/xml; charset=utf-8",
        )  # fmt: skip
        ((key, heard),) = door.senders.heard
        assert key == "acme/main"
        assert heard.url == "https://hooks.example.com/denrei/v1/carriers/acme/main/status?a=b%20c"
        assert (heard.method, heard.kind, heard.body) == ("POST", "status", b"MessageSid=SM1")
        assert heard.headers["x-twilio-signature"] == "abc"
        assert door.senders.asked == [("acme", "sms", "main")]


async def test_without_a_public_address_the_url_is_what_the_request_says() -> None:
    async with opened() as door:
        await door.call("/v1/carriers/acme/main/status", headers={"Host": "example.com"})
        assert door.senders.heard[0][1].url == "http://example.com/v1/carriers/acme/main/status"


@pytest.mark.parametrize(
    "path",
    [
        "/", "/v1", "/v1/carriers/acme/main", "/v1/carriers/acme/other/status",
        "/v1/carriers/nobody/main/status", "/v1/carriers/acme/main/status/more",
        "/v1/carriers/acme/ma%2Fin/status", "/v1/carriers/acme/main/%00", "/v1/carriers///",
        f"/v1/carriers/acme/main/{'x' * 500}",
    ],
)  # fmt: skip
async def test_what_is_not_there_is_not_found(path: str) -> None:
    async with opened() as door:
        assert (await door.call(path))[0] == 404
        assert not door.senders.heard


async def test_another_method_is_not_allowed() -> None:
    async with opened() as door:
        status, _, headers = await door.call("/v1/carriers/acme/main/status", "DELETE")
        assert (status, headers["Allow"]) == (405, "GET, POST")


async def test_health() -> None:
    async with opened() as door:
        assert (await door.call("/v1/health", "GET"))[:2] == (200, "ok\n")


async def test_a_body_past_the_limit_is_refused_with_and_without_its_length() -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield bytes(limits.CALLBACK_BYTES // 5)

    async with opened() as door:
        path = "/v1/carriers/acme/main/status"
        assert (await door.call(path, data=bytes(limits.CALLBACK_BYTES)))[0] == 200
        assert (await door.call(path, data=bytes(limits.CALLBACK_BYTES + 1)))[0] == 413
        assert (await door.call(path, data=parts()))[0] == 413
        assert len(door.senders.heard) == 1


async def test_of_a_long_bounce_the_beginning_is_taken_and_the_rest_thrown_away() -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"begins"
        for _ in range(40):
            yield bytes(limits.CALLBACK_BYTES)

    async with opened() as door:
        path = "/v1/carriers/acme/main/bounce"
        for data in (b"begins" + bytes(1_000_000), parts(), b"begins"):
            assert (await door.call(path, data=data))[0] == 200
        for (_, heard), length in zip(
            door.senders.heard, (limits.CALLBACK_BYTES, limits.CALLBACK_BYTES, 6), strict=True
        ):
            assert heard.kind == "bounce"
            assert heard.body.startswith(b"begins")
            assert len(heard.body) == length


async def test_who_is_not_believed_sends_no_more_than_the_beginning() -> None:
    async with opened() as door:
        door.senders.reply = CallbackReply(403, "forged")
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        head = b"POST /v1/carriers/acme/main/bounce HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000"
        writer.write(head + b"\r\n\r\n" + bytes(limits.CALLBACK_BYTES + 1))
        assert (await reader.readline()).startswith(b"HTTP/1.1 403")
        await reader.read()  # and it hangs up
        writer.close()


async def test_a_body_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HTTP_BODY_S", 0.01)
    async with opened() as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        head = (
            "POST /v1/carriers/acme/main/status HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"
        )
        writer.write(head.encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 408")
        writer.close()


async def test_connections_past_the_limit_are_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HTTP_CONNECTIONS", 1)
    async with opened() as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(b"GET /v1/health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        with pytest.raises(aiohttp.ClientError):
            await door.call("/v1/health", "GET")
        writer.close()


async def test_a_lane_has_its_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CALLBACKS_AT_ONCE", 1)
    path = "/v1/carriers/acme/main/status"
    async with opened() as door:
        door.senders.gate = asyncio.Event()
        first = asyncio.create_task(door.call(path))
        while not door.senders.asked:
            await asyncio.sleep(0)
        status, _, headers = await door.call(path)
        assert (status, headers["Retry-After"]) == (503, "1")
        door.senders.gate.set()
        assert (await first)[0] == 200


async def ask(door: Open, remote: str, lane: str = "main") -> int:
    """What a call-back of an address is answered."""
    values = {"workspace": "acme", "lane": lane, "kind": "status"}
    request = routes.Request("POST", "https://example.com/", values, "", {}, b"", remote)
    return (await carriers.take(request, door.door._inside)).status


async def test_who_forges_too_often_waits_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FORGED_BURST", 3)
    monkeypatch.setattr(limits, "FORGED_PER_S", 0.001)
    monkeypatch.setitem(LANES["acme"][1], "other", LANES["acme"][1]["main"])
    genuine, forged = CallbackReply(200), CallbackReply(403)
    async with opened() as door:
        door.senders.reply = genuine
        assert [await ask(door, "192.0.2.1") for _ in range(9)] == [200] * 9
        door.senders.reply = forged
        assert [await ask(door, "192.0.2.9") for _ in range(5)] == [403, 403, 403, 429, 429]
        assert len(door.senders.heard) == 12  # what is too fast costs the sender nothing
        door.senders.reply = genuine
        assert await ask(door, "192.0.2.1") == 200
        assert await ask(door, "192.0.2.9") == 429
        assert await ask(door, "192.0.2.9", "other") == 200


async def test_what_is_not_the_callers_fault_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "FORGED_BURST", 1)
    monkeypatch.setattr(limits, "FORGED_PER_S", 0.001)
    async with opened() as door:
        door.senders.reply = CallbackReply(503, "try again")
        assert [await ask(door, "192.0.2.1") for _ in range(3)] == [503] * 3


async def test_of_an_ipv6_address_the_network_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FORGED_BURST", 2)
    monkeypatch.setattr(limits, "FORGED_PER_S", 0.001)
    async with opened() as door:
        door.senders.reply = CallbackReply(404)
        forgers = [f"2001:db8:0:1::{n}" for n in range(3)]
        assert [await ask(door, each) for each in forgers] == [404, 404, 429]
        assert await ask(door, "2001:db8:0:2::1") == 404
        assert await ask(door, "fe80::1%eth0") == 404
        mapped = [f"::ffff:192.0.2.{n}" for n in range(3)]
        assert [await ask(door, each) for each in mapped] == [404] * 3


async def test_requests_past_the_limit_are_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HTTP_REQUESTS", 0)
    async with opened() as door:
        assert (await door.call("/v1/health", "GET"))[0] == 503


async def test_look_ups_of_invented_workspaces_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HTTP_LOOKUPS_PER_S", 2)
    async with opened() as door:
        found = [(await door.call(f"/v1/carriers/w{n}/main/status"))[0] for n in range(6)]
        assert found.count(503) >= 2
        asked = len(door.router.asked)
        assert [(await door.call("/v1/carriers/w0/main/status"))[0] for _ in range(9)] == [404] * 9
        assert len(door.router.asked) == asked  # it is known that there is none


async def test_a_sender_that_began_anew_hears_of_its_lanes() -> None:
    async with opened() as door:
        door.senders.knows_lanes = False
        assert (await door.call("/v1/carriers/acme/main/status"))[0] == 200
        assert door.senders.configured == [("acme", 3, LANES["acme"][1])]


async def test_what_goes_wrong_behind_it_comes_again() -> None:
    path = "/v1/carriers/acme/main/status"
    async with opened() as door:
        door.senders.failure = ConnectionError("away")
        assert (await door.call(path))[0] == 503
        door.senders.failure = None
        door.senders.reply = CallbackReply(403, "forged")
        assert (await door.call(path))[:2] == (403, "forged")


async def test_a_handler_that_fails_tells_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened() as door:

        async def broken(request: routes.Request, inside: routes.Inside) -> routes.Reply:
            raise KeyError("secret")

        async def full(request: routes.Request, inside: routes.Inside) -> routes.Reply:
            raise Overloaded(2_500, "a queue")

        monkeypatch.setitem(routes._ROUTES, 1, [])
        routes.route("/broken", "GET")(broken)
        routes.route("/full", "GET")(full)
        status, body, _ = await door.call("/broken", "GET")
        assert (status, "secret" in body) == (500, False)
        status, _, headers = await door.call("/full", "GET")
        assert (status, headers["Retry-After"]) == (503, "3")


def test_a_pace_is_kept_by_name() -> None:
    pace = Pace(10, 2, names=2)
    assert [pace.take("a", 0.0) for _ in range(3)] == [True, True, False]
    assert pace.take("b", 0.0)
    assert not pace.take("a", 0.05)
    assert pace.take("a", 0.1)
    assert pace.take("c", 0.1)  # the oldest name is forgotten
    assert len(pace._whole_at) == 2


def test_every_route_is_found() -> None:
    routes.load()
    handler, values = routes.find("POST", "/v1/carriers/a/b/c")  # type: ignore[misc]
    assert handler is carriers.take
    assert values == {"workspace": "a", "lane": "b", "kind": "c"}


ODD_REQUESTS = st.one_of(
    st.binary(max_size=300),
    st.builds(
        lambda method, path, headers, body: (
            f"{method} /{path} HTTP/1.1\r\nHost: a\r\n".encode() + headers + b"\r\n" + body
        ),
        st.sampled_from(["GET", "POST", "PUT", "X", ""]),
        st.one_of(
            st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=40),
            st.sampled_from(["v1/carriers/acme/main/status", "v1/health", "v1/carriers/%ff/%00/x"]),
        ),
        st.sampled_from(
            [
                b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b": x\r\n",
                b"Content-Encoding: gzip\r\nContent-Length: 2\r\n", b"X: \xff\xfe\r\n",
                b"Content-Length: -1\r\n", b"Expect: 100-continue\r\nContent-Length: 2\r\n",
            ]
        ),
        st.binary(max_size=60),
    ),
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.lists(ODD_REQUESTS, min_size=1, max_size=4))
def test_whatever_comes_the_door_stays_open(requests: list[bytes]) -> None:
    async def run() -> None:
        async with opened() as door:
            for request in requests:
                reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
                writer.write(request)
                writer.write_eof()
                answer = await reader.read()
                assert b" 500 " not in answer.partition(b"\r\n")[0], (request, answer)
                writer.close()
            assert (await door.call("/v1/health", "GET"))[0] == 200

    asyncio.run(run())


def test_the_ports_and_the_address_of_the_settings(tmp_path: Path) -> None:
    assert Settings(store=tmp_path).http_port == 50_052
    assert Settings(store=tmp_path, grpc_port=0).http_port == 0
    assert Settings(store=tmp_path, grpc_port=0, http_port=8_080).http_port == 8_080
    with pytest.raises(ValueError, match="grpc_port and http_port are both 50052"):
        Settings(store=tmp_path, grpc_port=50_052)
    for wrong in ("example.com", "ftp://a", "https://", "https://a?b"):
        with pytest.raises(ValueError, match="is not an address"):
            Settings(store=tmp_path, public_url=wrong)
    told = Settings(store=tmp_path, public_url="https://example.com/denrei/").plain(2)
    assert told["http_url"] == "https://example.com/denrei"
    assert Settings(store=tmp_path, bind="0.0.0.0").http_url == "http://127.0.0.1:50052"
    assert Settings(store=tmp_path, bind="::1", http_port=1).http_url == "http://[::1]:1"


def test_secrets_are_shown_to_nobody(tmp_path: Path) -> None:
    settings_ = Settings(store=tmp_path, carrier_secrets={"shop": {"twilio": "s3cret"}})
    assert "s3cret" not in repr(settings_)
    assert settings_.plain(2)["carrier_secrets"] == {"shop": {"twilio": "s3cret"}}


@pytest.mark.parametrize("empty", ["", "  "])
@pytest.mark.parametrize("field", ["carrier_secrets", "webhook_secrets"])
def test_an_empty_secret_is_refused(tmp_path: Path, field: str, empty: str) -> None:
    with pytest.raises(ValueError, match="the secret 'twilio' of workspace 'shop' is empty"):
        Settings.model_validate({"store": tmp_path, field: {"shop": {"twilio": empty}}})


async def test_it_speaks_tls_with_the_gateways_certificate(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    door = Open("")
    # Whoever calls over HTTP shows no certificate, whatever gRPC asks for.
    tls = Tls(certificate, key, client_ca=certificate)
    port = await door.door.start("127.0.0.1", 0, tls)
    try:
        context = ssl.create_default_context(cafile=str(certificate))
        url = f"https://localhost:{port}/v1/carriers/acme/main/status"
        async with (
            aiohttp.ClientSession() as client,
            client.post(url, ssl=context) as answer,
        ):
            assert answer.status == 200
        assert door.senders.heard[0][1].url == url
    finally:
        await door.door.stop()


async def test_a_stop_lets_requests_in_work_end() -> None:
    async with opened() as door:
        door.senders.gate = asyncio.Event()
        call = asyncio.create_task(door.call("/v1/carriers/acme/main/status"))
        while not door.senders.asked:
            await asyncio.sleep(0)
        stopping = asyncio.create_task(door.door.stop())
        await asyncio.sleep(0)
        door.senders.gate.set()
        assert (await call)[0] == 200
        await stopping
        with pytest.raises(aiohttp.ClientError):
            await door.call("/v1/health", "GET")
