"""A sender beside an SMSC: what is known of parts and of ids when its adapter is a new one."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgpack
import pytest

from actors.carriers.smpp import receipts
from actors.clock import SystemClock
from actors.senders.sender import SenderCore
from engine import slots
from engine.commands import Command
from engine.reasons import Reason
from tests.support.smsc import Smsc

SHARDS = 4
LONG = "0123456789" * 16 + "!"  # two parts
MESSAGE_ID, REASON, PROVIDER, MORE = 2, 3, 10, 11


class Sender:
    """A sender with one lane to an SMSC, and what it tells of the one message that counts."""

    def __init__(self, directory: Path, smsc: Smsc, **options: Any) -> None:
        self.directory = directory
        self.options = smsc.options(**options)
        self.clock = SystemClock()
        self.told: list[tuple[str, Reason, str]] = []
        self.version = 0
        self.core: SenderCore

    async def open(self) -> None:
        self.core = await SenderCore.open(
            "sender-sms-1", self.directory, self.clock, self._report, SHARDS
        )
        await self.configure()

    async def configure(self, **options: Any) -> None:
        self.options |= options
        self.version += 1
        lane = {"lane": "main", "channel": "sms", "carrier": "smpp", "options": self.options}
        await self.core.configure(
            "w", self.version, msgpack.packb({"main": {**lane, "sender": "+12025550100"}})
        )

    async def send(self, number: int, body: str) -> None:
        now_ms = self.clock.now_ms()
        key = f"w/user/u{number}"
        message = [
            f"{number:032x}", key, "w", "main", "sms", to(number), "transactional", body, "",
            now_ms + 3_600_000, False, now_ms,
        ]  # fmt: skip
        shard = slots.shard_of(slots.slot_of(key), SHARDS)
        part = [shard, 1, now_ms, [message], {"w": self.version}]
        ((code, _, _),) = msgpack.unpackb(await self.core.offer(msgpack.packb([part])))[1]
        assert code == "ok"

    async def until(self, number: int, reason: Reason) -> str:
        """Waits for a word on a message; the carrier's id of it."""
        name = f"{number:032x}"
        async with asyncio.timeout(20):
            while True:
                for message_id, told, provider_id in self.told:
                    if (message_id, told) == (name, reason):
                        return provider_id
                await asyncio.sleep(0.005)

    async def _report(self, shard: int, commands: Sequence[Command], size: int) -> bytes:
        for each in commands:
            reasons = [each[REASON], *(more[0] for more in each[MORE])]
            self.told += [(each[MESSAGE_ID], Reason(one), each[PROVIDER]) for one in reasons]
        return bytes(len(commands))


def to(number: int) -> str:
    return f"+1202555{number:04d}"


def receipt(smsc: Smsc, number: int, message_id: str, stat: str = "DELIVRD") -> None:
    note = f"id:{message_id} sub:001 dlvrd:001 submit date:1 done date:1 stat:{stat} err:000 text:"
    fields = {"source_addr": to(number)[1:], "destination_addr": "12025550100", "esm_class": 4}
    smsc.order(order="deliver", fields={**fields, "short_message": note})


async def bound(smsc: Smsc, times: int) -> None:
    await asyncio.to_thread(smsc.wait, "bound", times)


@pytest.mark.parametrize(("ids", "dialect"), [("counter", "same"), ("name", "auto")])
async def test_after_a_restart_parts_are_joined(tmp_path: Path, ids: str, dialect: str) -> None:
    """Whether ids are told of by the lane, or cannot be read in two ways."""
    with Smsc(ids=ids) as smsc:
        sender = Sender(tmp_path, smsc, receipt_ids=dialect)
        await sender.open()
        await sender.send(1, LONG)
        provider_id = await sender.until(1, Reason.SENT)
        await sender.core.close()
        await sender.open()
        await bound(smsc, 2)
        first, second = provider_id.split(",")
        receipt(smsc, 1, first)
        receipt(smsc, 1, second, "EXPIRED")
        assert await sender.until(1, Reason.PARTIALLY_DELIVERED) == provider_id
        await sender.core.close()


async def test_after_a_restart_it_is_known_how_receipts_write_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipts, "_LEARNED", 3)
    with Smsc(ids="hex", receipt_ids="decimal", first=170) as smsc:
        sender = Sender(tmp_path, smsc)
        await sender.open()
        for number in range(3):
            await sender.send(number, "hi")
            await sender.until(number, Reason.SENT)
            receipt(smsc, number, str(171 + number))
            await sender.until(number, Reason.DELIVERED)
        await sender.send(7, LONG)
        assert await sender.until(7, Reason.SENT) == "ae,af"
        await sender.send(8, "hi")
        await sender.until(8, Reason.SENT)
        await sender.core.close()
        await sender.open()
        await bound(smsc, 2)
        for number, message_id in ((7, "174"), (7, "175"), (8, "176")):
            receipt(smsc, number, message_id)
        assert await sender.until(7, Reason.DELIVERED) == "ae,af"
        await sender.until(8, Reason.DELIVERED)
        await sender.core.close()


async def test_a_change_of_options_forgets_neither_parts_nor_what_is_being_learnt(
    tmp_path: Path,
) -> None:
    with Smsc(ids="hex", receipt_ids="decimal", first=170) as smsc:
        sender = Sender(tmp_path, smsc)
        await sender.open()
        await sender.send(1, LONG)
        assert await sender.until(1, Reason.SENT) == "ab,ac"
        receipt(smsc, 1, "171")
        await asyncio.to_thread(smsc.wait, "confirmed")
        await sender.configure(window=7)
        await bound(smsc, 2)
        receipt(smsc, 1, "172")
        assert await sender.until(1, Reason.DELIVERED) == "ab,ac"
        await sender.core.close()
