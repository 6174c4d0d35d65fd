"""Laws 1, 3, 4, 5 and 7 while everything is killed -9, one part after the other, then all at once.

Each user publishes numbered events, a few at a time, and publishes what was not acknowledged again
with the same ids. Each event begins a journey instance of its own, which sends one message through
a lane with a limit and then waits two seconds. Meanwhile hosts, senders and gateways are killed at
random moments; in the end the whole instance, which then starts again on its store. The history
must show: each acknowledged event applied exactly once and in order, each message given to the
carrier at most once, the carrier's limit kept in every window, every timer fired and none early.

`DENREI_TEST_SEED` repeats a run's choices, `DENREI_TEST_KILLS` sets the number of kills.
"""

import asyncio
import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import msgpack
import pytest

from gateway.pb.denrei.v1 import events_pb2, events_pb2_grpc, instances_pb2, reason_pb2
from tests.support.running import RunningInstance

KILLS = int(os.environ.get("DENREI_TEST_KILLS", "30"))
SEED = int(os.environ.get("DENREI_TEST_SEED", str(time.time_ns() % 1_000_000)))
EVENTS_PER_USER = 18  # an entity keeps its last 20 ended instances and 50 messages
USERS = max(100, KILLS * 5)
LIMIT_PER_S = 150
RETRYABLE = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.CANCELLED,
)

DEFINITIONS = """
template: tick
channel: sms
body: "{{{{ user_id }}}} {{{{ event.n }}}}"
sample: {{user_id: u, event: {{n: 1}}}}
---
lane: main
channel: sms
carrier: sandbox
sender: "+15005550006"
prefixes: ["+"]
options: {{latency_ms: [0, 30], receipt_ms: [0, 200], log: "{log}"}}
limits: [{{rate: {limit}/s}}]
---
journey: echo
entry: {{event: Tick, key: properties.n}}
steps:
  tell:
    message: {{purpose: transactional, channel: sms, template: tick, validity: 10h}}
    then: pause
  pause: {{delay: 2s}}
"""


@pytest.mark.timeout(600 + KILLS * 10)
def test_nothing_is_lost_doubled_or_reordered(tmp_path: Path) -> None:
    print(f"DENREI_TEST_SEED={SEED} DENREI_TEST_KILLS={KILLS}")
    log = tmp_path / "carrier.log"
    instance = RunningInstance(tmp_path / "store")
    with instance:
        instance.apply(DEFINITIONS.format(log=log, limit=LIMIT_PER_S))
        kills = asyncio.run(Chaos(instance, random.Random(SEED)).run())
        instance.kill_everything()
        instance.start()
        instance.wait_settled()
        unknown = check_history(instance)
    ids = check_carrier(log)
    print(f"kills: {dict(kills)}, messages at the carrier: {len(ids)}, unknown: {len(unknown)}")
    assert sum(kills.values()) >= KILLS
    assert set(kills) == {"shard-host", "sender", "gateway"}
    assert not unknown & {id_ for id_, count in ids.items() if count != 1}


class Chaos:
    """Users that publish, and a hand that kills, paced by what was acknowledged."""

    def __init__(self, instance: RunningInstance, rng: random.Random) -> None:
        self.instance = instance
        self.rng = rng
        self.acknowledged = 0
        self.progress = asyncio.Condition()
        self.kills: Counter[str] = Counter()

    async def run(self) -> Counter[str]:
        options = [("grpc.enable_retries", 0), ("grpc.max_reconnect_backoff_ms", 500)]
        async with grpc.aio.insecure_channel(self.instance.address, options=options) as channel:
            events = events_pb2_grpc.EventsServiceStub(channel)
            publishing = asyncio.gather(*(self.user(events, n) for n in range(USERS)))
            killing = asyncio.ensure_future(self.kill())
            await publishing
            await killing
        return self.kills

    async def kill(self) -> None:
        """Kills something each time when a few more events were acknowledged."""
        total = USERS * EVENTS_PER_USER
        marks = sorted(self.rng.sample(range(30, total - 30), KILLS))
        kinds = ["shard-host", "sender", "gateway"]
        for number, mark in enumerate(marks):
            async with self.progress:
                await self.progress.wait_for(lambda mark=mark: self.acknowledged >= mark)
            kind = kinds[number] if number < len(kinds) else self.rng.choice(kinds)
            while not await self.kill_one(kind):
                await asyncio.sleep(0.05)  # it is just being restarted

    async def kill_one(self, kind: str) -> bool:
        pids = await asyncio.to_thread(self.instance.pids)
        victims = sorted(name for name in pids if name.startswith(kind + ":"))
        if not victims or not self.instance.kill(self.rng.choice(victims)):
            return False
        self.kills[kind] += 1
        return True

    async def user(self, events: Any, number: int) -> None:
        """Publishes one user's events in their order, each until it is acknowledged."""
        user = f"user-{number}"
        phone = f"+4915{10_000_000 + number}1"
        traits = msgpack.packb({"phone": phone})
        await self.publish(
            events,
            [
                events_pb2.Event(
                    type=events_pb2.IDENTIFY,
                    user_id=user,
                    message_id=f"{user}-0",
                    traits_msgpack=traits,
                )
            ],
        )
        at = 1
        while at <= EVENTS_PER_USER:
            count = min(1 + (number + at) % 3, EVENTS_PER_USER + 1 - at)
            await self.publish(events, [tick(user, n) for n in range(at, at + count)])
            at += count
            self.acknowledged += count
            async with self.progress:
                self.progress.notify_all()

    async def publish(self, events: Any, batch: list[events_pb2.Event]) -> None:
        """Publishes a batch until each of its events is accepted or a duplicate."""
        request = events_pb2.PublishBatchRequest(events=batch)
        while True:
            try:
                reply = await events.PublishBatch(
                    request, metadata=self.instance.metadata, timeout=30
                )
            except grpc.aio.AioRpcError as error:
                if error.code() not in RETRYABLE:
                    raise
                await asyncio.sleep(0.1)
                continue
            if all(o in (reason_pb2.ACCEPTED, reason_pb2.DUPLICATE) for o in reply.outcomes):
                return
            assert all(rejection.retry for rejection in reply.rejections), reply
            await asyncio.sleep(0.1)


def tick(user: str, n: int) -> events_pb2.Event:
    return events_pb2.Event(
        type=events_pb2.TRACK,
        event="Tick",
        user_id=user,
        message_id=f"{user}-{n}",
        properties_msgpack=msgpack.packb({"n": n}),
    )


def check_history(instance: RunningInstance) -> set[str]:
    """Every event exactly once and in order, every timer fired; returns unknown messages."""
    unknown = set()
    expected = list(range(1, EVENTS_PER_USER + 1))
    for number in range(USERS):
        profile = instance.profile(f"user-{number}")
        assert not profile.quarantine
        bodies = [message.body.split() for message in profile.messages]
        assert [int(n) for _, n in bodies] == expected, (number, bodies)
        assert {user for user, _ in bodies} == {f"user-{number}"}
        for message in profile.messages:
            status = reason_pb2.Reason.Name(message.status)
            assert status in ("DELIVERED", "SENT", "UNKNOWN_OUTCOME"), message
            if status == "UNKNOWN_OUTCOME":
                unknown.add(message.name.rpartition("/")[2])
        assert not profile.instances
        assert len(profile.ended_instances) == EVENTS_PER_USER
        for run in profile.ended_instances:
            assert run.state == instances_pb2.Instance.COMPLETED, run
            waited = run.end_time.ToMilliseconds() - run.enter_time.ToMilliseconds()
            assert waited == 2_000, run
            assert run.end_time.ToMilliseconds() <= time.time() * 1_000
    return unknown


def check_carrier(log: Path) -> Counter[str]:
    """Each message at most once, never more than the limit in any window of a second."""
    lines = [line.split("\t") for line in log.read_text().splitlines()]
    ids = Counter(line[0] for line in lines)
    assert max(ids.values()) == 1, ids.most_common(3)
    seen = sorted(int(line[2]) for line in lines)
    worst = 0
    first = 0
    for last, at_ms in enumerate(seen):
        while seen[first] <= at_ms - 1_000:
            first += 1
        worst = max(worst, last - first + 1)
    assert worst <= LIMIT_PER_S, f"{worst} in one second"
    return ids
