"""What a client is told when things are full, away or late, and how streams flow."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from engine import limits
from engine.errors import Overloaded, Unavailable
from engine.reasons import Reason
from gateway.pb.denrei.v1 import events_pb2 as e
from gateway.pb.denrei.v1 import messages_pb2 as m
from gateway.pb.denrei.v1 import reason_pb2 as r
from gateway.pb.denrei.v1 import system_pb2 as s
from tests.support.gateway_client import Client, added, over_recorder
from tests.support.gateway_support import NOW_MS, RecordingRouter, open_door, refused


def test_a_watch_shows_what_happens_and_ends_with_its_client(tmp_path: Path) -> None:
    async def scenario(client: Client, router: RecordingRouter) -> None:
        call = client.system.Watch(s.WatchRequest(name="users/ann", kinds=["event"]))
        lines = aiter(call)
        ann = "acme/user/ann"
        router.feed.put_nowait([NOW_MS, "acme", "segment", "ann", "vip", "entered", ann])
        router.feed.put_nowait([NOW_MS, "acme", "event", "ann", "track", "Bought", ann])
        line = await anext(lines)
        assert (line.kind, line.name, line.detail) == ("event", "users/ann", "Bought")
        assert line.time.ToMilliseconds() == NOW_MS
        assert router.watched == [("acme", "acme/user/ann")]
        call.cancel()

    over_recorder(tmp_path, scenario)


def test_a_watch_of_messages_shows_changes_of_status(tmp_path: Path) -> None:
    async def scenario(client: Client, router: RecordingRouter) -> None:
        changes = aiter(client.messages.WatchMessages(m.WatchMessagesRequest()))
        for kind, detail in (("event", "x"), ("message", "not sent: no"), ("message", "SENT")):
            key = "acme/address/+15005550001"
            line = [NOW_MS, "acme", kind, "+15005550001", "f" * 32, detail, key]
            router.feed.put_nowait(line)
        change = await anext(changes)
        assert change.name == f"addresses/+15005550001/messages/{'f' * 32}"
        assert (change.status, change.detail) == (r.SENT, "SENT")

    over_recorder(tmp_path, scenario)


def test_a_full_queue_is_told_with_a_delay(tmp_path: Path) -> None:
    async def scenario(client: Client, router: RecordingRouter) -> None:
        router.failure = Overloaded(350, "the queue is full")
        for call in (
            client.events.Publish(e.PublishRequest(event=added("c1"))),
            client.publish(added("c1"), added("c2", user="bob")),
        ):
            told = await refused(call)
            assert told.code is StatusCode.RESOURCE_EXHAUSTED
            assert (told.reason, told.retry_ms) == ("OVERLOADED", 350)
        router.failure = Unavailable("shard-host-0 is away")
        told = await refused(client.publish(added("c1")))
        assert (told.code, told.retry_ms) == (StatusCode.UNAVAILABLE, 1_000)

    over_recorder(tmp_path, scenario)


def test_what_a_full_queue_did_not_take_is_told_item_by_item(tmp_path: Path) -> None:
    class HalfFull(RecordingRouter):
        def post(self, shard: int, *rest: Any) -> "asyncio.Future[bytes]":
            if shard % 2:
                raise Overloaded(120, "the queue is full")
            return super().post(shard, *rest)

    async def run() -> None:
        async with open_door(tmp_path, HalfFull()) as door:
            users = [f"u{n}" for n in range(40)]
            reply = await Client(door).publish(*(added("c", user=user) for user in users))
            assert set(reply.outcomes) == {r.ACCEPTED, r.OVERLOADED}
            refused_at = [at for at, code in enumerate(reply.outcomes) if code == r.OVERLOADED]
            assert [one.index for one in reply.rejections] == refused_at
            assert all(one.retry for one in reply.rejections)
            assert reply.retry_delay.ToMilliseconds() == 120
            taken = {command[1] for command in door.router.commands}
            assert len(taken) == 40 - len(refused_at)

    asyncio.run(run())


def test_a_refusal_of_the_shard_is_told_with_its_reason(tmp_path: Path) -> None:
    async def scenario(client: Client, router: RecordingRouter) -> None:
        router.answer = lambda command: (
            Reason.USER_RATE if command[1].endswith("bob") else Reason.ACCEPTED
        )
        reply = await client.publish(added("c"), added("c", user="bob"))
        assert list(reply.outcomes) == [r.ACCEPTED, r.USER_RATE]
        (rejection,) = reply.rejections
        assert (rejection.index, rejection.reason, rejection.retry) == (1, r.USER_RATE, True)
        assert reply.HasField("retry_delay")
        told = await refused(client.events.Publish(e.PublishRequest(event=added("c", user="bob"))))
        assert (told.code, told.reason) == (StatusCode.RESOURCE_EXHAUSTED, "USER_RATE")
        router.answer = lambda command: Reason.QUARANTINED
        told = await refused(client.events.Publish(e.PublishRequest(event=added("c"))))
        assert (told.code, told.reason) == (StatusCode.FAILED_PRECONDITION, "QUARANTINED")

    over_recorder(tmp_path, scenario)


def test_at_the_deadline_the_answer_is_that_it_is_not_known(tmp_path: Path) -> None:
    async def scenario(client: Client, router: RecordingRouter) -> None:
        router.silent = True
        request = e.PublishRequest(event=added("c1"))
        told = await refused(client.events.Publish(request, timeout=0.3))
        assert (told.code, told.reason) == (StatusCode.DEADLINE_EXCEEDED, "DEADLINE")
        assert len(router.commands) == 1

    over_recorder(tmp_path, scenario)


def test_a_client_that_goes_away_gives_up_what_it_waited_for(tmp_path: Path) -> None:
    futures: list[asyncio.Future[bytes]] = []

    class Silent(RecordingRouter):
        def post(self, *args: Any) -> "asyncio.Future[bytes]":
            futures.append(asyncio.get_running_loop().create_future())
            return futures[-1]

    async def run() -> None:
        async with open_door(tmp_path, Silent()) as door:
            call = Client(door).events.Publish(e.PublishRequest(event=added("c1")))
            while not futures:
                await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await asyncio.wait(futures, timeout=10)
            assert futures[0].cancelled()

    asyncio.run(run())


def test_a_stream_that_is_cancelled_gives_up_what_it_waited_for(tmp_path: Path) -> None:
    futures: list[asyncio.Future[bytes]] = []

    class Silent(RecordingRouter):
        def post(self, *args: Any) -> "asyncio.Future[bytes]":
            futures.append(asyncio.get_running_loop().create_future())
            return futures[-1]

    async def run() -> None:
        async with open_door(tmp_path, Silent()) as door:
            chunks = [e.PublishStreamRequest(sequence=n, events=[added("c")]) for n in range(3)]
            call = Client(door).events.PublishStream(iter(chunks))
            reading = asyncio.ensure_future(anext(aiter(call)))
            while len(futures) < 3:
                await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            await asyncio.wait(futures, timeout=10)
            assert all(future.cancelled() for future in futures)

    asyncio.run(run())


def test_a_stream_that_does_not_get_answers_is_not_read_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STREAM_CHUNKS_IN_FLIGHT", 5)
    held: list[asyncio.Future[bytes]] = []

    class Holding(RecordingRouter):
        def post(self, shard: int, commands: Any, *rest: Any) -> "asyncio.Future[bytes]":
            self.posted.append((shard, list(commands)))
            held.append(asyncio.get_running_loop().create_future())
            return held[-1]

    async def run() -> None:
        async with open_door(tmp_path, Holding()) as door:
            chunks = [
                e.PublishStreamRequest(sequence=n, events=[added("c", str(n))]) for n in range(20)
            ]
            replies = aiter(Client(door).events.PublishStream(iter(chunks)))
            waiting = asyncio.ensure_future(anext(replies))
            while len(held) < 5:
                await asyncio.sleep(0)
            status = await Client(door).system.GetStatus(s.GetStatusRequest())  # time passes
            assert status.server_version
            assert len(held) == 5
            sequences = []
            for answered in range(20):
                held[answered].set_result(b"\x00")
                sequences.append((await waiting).sequence)
                if answered < 19:
                    waiting = asyncio.ensure_future(anext(replies))
            assert sequences == list(range(20))
            assert [command[2] for command in door.router.commands] == list(map(str, range(20)))

    asyncio.run(run())
