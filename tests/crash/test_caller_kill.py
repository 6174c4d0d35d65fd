"""Webhooks of a running instance, whose caller and hosts are killed with SIGKILL meanwhile.

The receiver is a real server in this process. It checks every signature, fails now and then, and
never answers some. In the end each run has gone on by an answer that the receiver gave for its
webhook's id, or by its time-out; nothing was asked that no run knows of, and who was answered was
told the same under the same id each time.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import msgpack
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.pb.denrei.v1 import events_pb2, events_pb2_grpc, instances_pb2, reason_pb2
from tests.support.running import RunningInstance

USERS = 120
KEY = b"the signing key"

JOURNEYS = """
journey: ask
entry: {{event: Go}}
steps:
  ask:
    webhook:
      url: {url}/score/{{{{ user_id }}}}
      headers: {{Authorization: {{secret: token, prefix: "Bearer "}}}}
      body: {{user: "{{{{ user_id }}}}", n: {{from: properties.n}}}}
      secret: sign
      timeout: 10m
      retries: 20
      save_as: score
    then: keep
    else: fail
  keep: {{update: {{set: {{score: {{from: events.score.body.score}}}}}}}}
  fail: {{update: {{set: {{failed: {{from: events.score.error}}}}}}}}
---
journey: slow
entry: {{event: Slow}}
steps:
  ask: {{webhook: {{url: "{url}/slow", timeout: 2s, save_as: it}}, else: fail}}
  fail: {{update: {{set: {{slow: {{from: events.it.error}}}}}}}}
---
journey: inside
entry: {{event: Inside}}
steps:
  ask: {{webhook: {{url: "http://10.0.0.1/", save_as: it}}, else: next}}
  next:
    webhook: {{url: "http://169.254.169.254/latest/meta-data", save_as: other}}
    else: fail
  fail: {{update: {{set: {{in: {{from: events.it.error}}, cloud: {{from: events.other.error}}}}}}}}
"""


class Receiver:
    """The other system."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.ids: dict[str, set[str]] = {}
        self.came = asyncio.Condition()
        self.wrong: list[str] = []
        self.never = asyncio.Event()

    async def score(self, request: web.Request) -> web.Response:
        body = await request.read()
        user = request.match_info["user"]
        self.check(request, body, user)
        id_ = request.headers["webhook-id"]
        self.ids.setdefault(user, set()).add(id_)
        self.asked[user] += 1
        async with self.came:
            self.came.notify_all()
        if self.asked[user] == 1 and int(user[1:]) % 3 == 0:
            return web.Response(status=503)
        return web.json_response({"score": len(user) + int(user[1:])})

    def check(self, request: web.Request, body: bytes, user: str) -> None:
        headers = request.headers
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        digest = base64.b64encode(hmac.digest(KEY, signed, hashlib.sha256)).decode()
        if headers["webhook-signature"] != f"v1,{digest}":
            self.wrong.append("signature")
        if abs(time.time() - int(headers["webhook-timestamp"])) > 300:
            self.wrong.append("timestamp")
        if headers["Authorization"] != "Bearer t0ken":
            self.wrong.append("header")
        if json.loads(body) != {"user": user, "n": int(user[1:])}:
            self.wrong.append(f"body {body!r}")

    async def slow(self, request: web.Request) -> web.Response:
        await self.never.wait()
        return web.Response()

    async def seen(self, users: int) -> None:
        async with self.came:
            await self.came.wait_for(lambda: len(self.asked) >= users)


@pytest.mark.timeout(280)
async def test_each_run_goes_on_by_an_answer_whoever_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "whsec_" + base64.b64encode(KEY).decode()
    monkeypatch.setenv("DENREI_WEBHOOK_ALLOW", '["127.0.0.0/8"]')
    monkeypatch.setenv(
        "DENREI_WEBHOOK_SECRETS", json.dumps({"default": {"sign": secret, "token": "t0ken"}})
    )
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/score/{user}", receiver.score)
    app.router.add_post("/slow", receiver.slow)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    instance = RunningInstance(tmp_path / "store", "--hosts", "1")
    try:
        await asyncio.to_thread(instance.start)
        await asyncio.to_thread(
            instance.apply, JOURNEYS.format(url=f"http://127.0.0.1:{server.port}")
        )
        await asyncio.to_thread(publish, instance)
        await receiver.seen(10)
        await asyncio.to_thread(kill, instance, "caller")
        await receiver.seen(40)
        await asyncio.to_thread(kill, instance, "shard-host")
        await receiver.seen(80)
        await asyncio.to_thread(kill, instance, "caller")
        await asyncio.to_thread(instance.wait_settled)
        await asyncio.to_thread(check, instance, receiver)
    finally:
        receiver.never.set()
        await asyncio.to_thread(instance.stop)
        await server.close()
    assert receiver.wrong == []
    print(f"{receiver.asked.total()} requests for {USERS} webhooks")


def publish(instance: RunningInstance) -> None:
    batch = [event(f"u{n}", "Go", n) for n in range(USERS)]
    batch += [event("slow", "Slow", 0), event("inside", "Inside", 0)]
    with grpc.insecure_channel(instance.address) as channel:
        reply = events_pb2_grpc.EventsServiceStub(channel).PublishBatch(
            events_pb2.PublishBatchRequest(events=batch), metadata=instance.metadata, timeout=30
        )
    assert set(reply.outcomes) == {reason_pb2.ACCEPTED}


def event(user: str, name: str, n: int) -> Any:
    return events_pb2.Event(
        type=events_pb2.TRACK, event=name, user_id=user, message_id=f"{user}-1",
        properties_msgpack=msgpack.packb({"n": n}),
    )  # fmt: skip


def kill(instance: RunningInstance, kind: str) -> None:
    victims = [name for name in instance.pids() if name.startswith(kind + ":")]
    assert victims
    assert instance.kill(victims[0])


def check(instance: RunningInstance, receiver: Receiver) -> None:
    for number in range(USERS):
        user = f"u{number}"
        profile = instance.profile(user)
        (run,) = profile.ended_instances
        assert run.state == instances_pb2.Instance.COMPLETED, run
        assert dict(profile.traits) == {"score": len(user) + number}, profile
        (id_,) = receiver.ids[user]
        assert any(id_ in str(line) for line in run.trail), run
    slow = dict(instance.profile("slow").traits)
    assert slow["slow"] in ("no answer within 2s", "no answer before its time was up")
    inside = dict(instance.profile("inside").traits)
    assert "10.0.0.1, not a public one" in inside["in"]
    assert "169.254.169.254, a link-local address" in inside["cloud"]
    answered = receiver.asked.total() - sum(n % 3 == 0 for n in range(USERS))
    assert answered >= USERS
    details = next(part.details for part in instance.status().senders if part.name == "caller-1")
    assert details["calls"] == 0
