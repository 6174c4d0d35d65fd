"""Fail-over with real shards and a real sender, both of which die meanwhile."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgpack

from actors.clock import SystemClock
from actors.senders.sender import SenderCore
from engine import commands, limits
from engine.commands import Command
from engine.messages.message import api_message_id, hop_of
from tests.support.local_engine import LocalEngine

MESSAGES = 300
DEFINITIONS = """
lane: first
channel: sms
carrier: sandbox
options: {{reject: 0.5, latency_ms: [1, 5], log: carriers.log}}
---
lane: second
channel: sms
carrier: sandbox
options: {{undelivered: 0.3, latency_ms: [1, 5], log: carriers.log}}
---
lane: third
channel: sms
carrier: sandbox
options: {{latency_ms: [1, 5], log: carriers.log}}
---
route: sms
rules:
  - {{lanes: [first], then: [second, third]}}
fail_over: {{codes: ["11"], undelivered: true}}
"""


class Pool:
    """One sender of this process."""

    core: SenderCore

    def names(self) -> list[str]:
        return ["sender-sms-1"]

    def sender_of(self, workspace: str, channel: str, lane: str) -> str:
        return "sender-sms-1"

    def link(self, name: str) -> SenderCore:
        return self.core


async def test_every_message_arrives_once_by_some_lane_whoever_dies(tmp_path: Path) -> None:
    clock, pool = SystemClock(), Pool()
    (tmp_path / "senders").mkdir()
    engine = LocalEngine(tmp_path / "store", clock=clock, pool=pool)

    async def report(shard: int, batch: Sequence[Command], size: int) -> bytes:
        deadline = asyncio.get_running_loop().time() + limits.REPORT_TIMEOUT_S
        return await engine.router.submit(shard, batch, size, deadline)

    async def open_sender() -> None:
        pool.core = await SenderCore.open(
            "sender-sms-1", tmp_path / "senders", clock, report, engine.shards
        )

    keys = [f"default/user/u{number}" for number in range(MESSAGES)]
    log = tmp_path / "senders" / "sandbox" / "carriers.log"
    async with asyncio.timeout(120), engine:
        await open_sender()
        await engine.apply(DEFINITIONS.format(log=log))
        spec = msgpack.packb(
            {"channel": "sms", "to": "+12025550123", "purpose": "transactional", "body": "Hi"}
        )
        for number, key in enumerate(keys):
            await engine.submit([commands.send(key, "r1", spec)])
            if number % 50 == 49:
                await (engine.crash_host() if number % 100 == 99 else pool.core.close())
                await (engine.start_host() if number % 100 == 99 else open_sender())

        while True:
            found = [
                await engine.query("message", key, id=api_message_id(key, "r1")) for key in keys
            ]
            if not {"QUEUED", "SENDING", "THROTTLED"} & {one["status"] for one in found}:
                break
            await asyncio.sleep(0.05)
        await pool.core.close()

    outcomes = Counter(one["status"] for one in found)
    # What the carrier had to tell of some went with the sender: they stay SENT.
    assert set(outcomes) <= {"DELIVERED", "SENT", "UNKNOWN_OUTCOME"}, outcomes
    assert outcomes["DELIVERED"] + outcomes["SENT"] > MESSAGES // 2
    taken = Counter(line.split()[0] for line in log.read_text().splitlines())
    assert max(taken.values()) == 1  # no attempt was given to a carrier twice
    by_message = Counter(hop_of(name)[0] for name in taken)
    assert set(by_message) <= {api_message_id(key, "r1") for key in keys}
    assert {one["hop"] for one in found} >= {0, 1, 2}
    for one in found:
        assert len([line for line in one["history"] if line[1] == "QUEUED"]) == one["hop"] + 1
