"""Laws 1, 3, 4, 5 and 7 while everything is killed -9, one part after the other, then all at once.

Each user publishes numbered events, a few at a time, and publishes what was not acknowledged again
with the same ids. Each event begins a journey instance of its own, which sends one message through
a lane with a limit, waits two seconds and sends another. Meanwhile hosts, senders and gateways are
killed at random moments; in the end the whole instance, which then starts again on its store.

The history must show: each acknowledged event applied exactly once and in order; every timer fired
once. The carrier's own log, whose times are those of the wall, must show: each message at most
once, and exactly once unless it is told as unknown; nothing that no profile knows of; none before
it was due; never more than the limit in any second. How late they were is only told: it is the
restarts' time, and the limit's.

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

from gateway.pb.denrei.v1 import (
    events_pb2,
    events_pb2_grpc,
    instances_pb2,
    messages_pb2,
    reason_pb2,
)
from tests.support.running import RunningInstance

KILLS = int(os.environ.get("DENREI_TEST_KILLS", "30"))
SEED = int(os.environ.get("DENREI_TEST_SEED", str(time.time_ns() % 1_000_000)))
EVENTS_PER_USER = 18  # two messages each; an entity keeps 20 ended instances, 50 messages
USERS = max(100, KILLS * 5)
DELAY_MS = 2_000
LIMIT_PER_S = 300
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
template: later
channel: sms
body: "{{{{ user_id }}}} {{{{ event.n }}}} later"
sample: {{user_id: u, event: {{n: 1}}}}
---
lane: main
channel: sms
carrier: sandbox
sender: "+15005550006"
prefixes: ["+"]
options: {{latency_ms: [0, 30], receipt_ms: [0, 200], log: carrier.log}}
limits: [{{rate: {limit}/s}}]
---
journey: echo
entry: {{event: Tick, key: properties.n}}
steps:
  tell:
    message: {{purpose: transactional, channel: sms, template: tick, validity: 10h}}
    then: pause
  pause: {{delay: 2s, then: again}}
  again: {{message: {{purpose: transactional, channel: sms, template: later, validity: 10h}}}}
"""


@pytest.mark.timeout(600 + KILLS * 10)
def test_nothing_is_lost_doubled_or_reordered(tmp_path: Path) -> None:
    print(f"DENREI_TEST_SEED={SEED} DENREI_TEST_KILLS={KILLS}")
    log = tmp_path / "store" / "senders" / "sandbox" / "carrier.log"
    instance = RunningInstance(tmp_path / "store")
    with instance:
        instance.apply(DEFINITIONS.format(limit=LIMIT_PER_S))
        kills = asyncio.run(Chaos(instance, random.Random(SEED)).run())
        instance.kill_everything()
        instance.start()
        instance.wait_settled(timers=True)
        messages = check_profiles(instance)
    seen_ms = check_carrier(log)
    check_messages(messages, seen_ms)
    unknown = sum(message.status == reason_pb2.UNKNOWN_OUTCOME for message in messages.values())
    late_ms = sorted(
        seen_ms[id_] - message.create_time.ToMilliseconds()
        for id_, message in messages.items()
        if message.template == "templates/later" and id_ in seen_ms
    )
    print(
        f"kills: {dict(kills)}, messages at the carrier: {len(seen_ms)}, unknown: {unknown}, "
        f"behind their timers: {late_ms[len(late_ms) // 2]} ms, at most {late_ms[-1]} ms"
    )
    assert sum(kills.values()) >= KILLS
    assert set(kills) == {"shard-host", "sender", "gateway"}
    # A sender that dies leaves in doubt what it was about to send: less than a second's worth.
    assert unknown <= (kills["sender"] + 1) * LIMIT_PER_S


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


def check_profiles(instance: RunningInstance) -> dict[str, messages_pb2.Message]:
    """Every event exactly once and in order, every timer fired; returns all messages by id."""
    messages: dict[str, messages_pb2.Message] = {}
    expected = list(range(1, EVENTS_PER_USER + 1))
    for number in range(USERS):
        user = f"user-{number}"
        profile = instance.profile(user)
        assert not profile.quarantine
        by_template: dict[str, list[int]] = {"templates/tick": [], "templates/later": []}
        for message in profile.messages:
            of, n = message.body.split()[:2]
            assert of == user, message
            by_template[message.template].append(int(n))
            messages[message.name.rpartition("/")[2]] = message
        assert by_template["templates/tick"] == expected, (number, by_template)
        # Timers of one millisecond have no order among themselves.
        assert sorted(by_template["templates/later"]) == expected, (number, by_template)
        assert not profile.instances
        assert len(profile.ended_instances) == EVENTS_PER_USER
        due_ms = Counter(
            message.create_time.ToMilliseconds()
            for message in profile.messages
            if message.template == "templates/later"
        )
        for run in profile.ended_instances:
            assert run.state == instances_pb2.Instance.COMPLETED, run
            due_ms[run.enter_time.ToMilliseconds() + DELAY_MS] -= 1
        assert not any(due_ms.values()), (number, due_ms)
    assert len(messages) == USERS * 2 * EVENTS_PER_USER
    return messages


def check_carrier(log: Path) -> dict[str, int]:
    """Each message at most once, the limit in any second; returns when each was seen, by its id."""
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
    return {line[0]: int(line[2]) for line in lines}


def check_messages(messages: dict[str, messages_pb2.Message], seen_ms: dict[str, int]) -> None:
    """What profiles tell of messages is what the carrier saw, and it saw none before its time."""
    assert not set(seen_ms) - set(messages), "the carrier has messages that no profile knows"
    for id_, message in messages.items():
        status = reason_pb2.Reason.Name(message.status)
        assert status in ("DELIVERED", "SENT", "UNKNOWN_OUTCOME"), message
        assert id_ in seen_ms or status == "UNKNOWN_OUTCOME", message
        if id_ in seen_ms:
            assert seen_ms[id_] >= message.create_time.ToMilliseconds(), message
