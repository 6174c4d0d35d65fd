"""A sender and the attempts of one message: each is a message of its own to it."""

from pathlib import Path
from typing import Any

import msgpack
from test_sender import CODE, LANE, MESSAGE_ID, REASON, SETTLE, SHARDS, Bench, run

from actors.carriers.base import CarrierReceipt
from engine import slots
from engine.reasons import Reason

ID = f"{1:032x}"


def attempt(bench: Bench, hop: int, lane: str) -> list[Any]:
    name = f"{ID}.{hop}" if hop else ID
    fields = {"sender": "+12025550100", "content": "", "facts": None, "hop": hop, "last": hop == 1}
    return bench.message(1, id=name, lane=lane, **fields)


def test_the_second_attempt_is_no_repeat_of_the_first(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.lanes(one={"options": {"reject": 1.0}}, two={})
        assert await bench.offer(attempt(bench, 0, "one")) == ["ok", [Reason.QUEUED]]
        await bench.until(lambda: bool(bench.receipts))
        (first,) = bench.receipts
        assert (first[MESSAGE_ID], first[REASON]) == (ID, Reason.CARRIER_REJECTED)
        assert await bench.offer(attempt(bench, 1, "two")) == ["ok", [Reason.QUEUED]]
        assert await bench.offer(attempt(bench, 1, "two")) == ["ok", [Reason.DUPLICATE]]
        await bench.until(lambda: len(bench.receipts) == 2)
        second = bench.receipts[1]
        assert (second[MESSAGE_ID], second[LANE]) == (f"{ID}.1", "two")
        assert (second[REASON], second[SETTLE], second[CODE]) == (Reason.SENT, True, "")
        await bench.until(lambda: bench.core.status()["held"] == 0)
        assert await bench.offer(attempt(bench, 0, "one")) == ["ok", [Reason.DUPLICATE]]
        assert await bench.offer(attempt(bench, 1, "two")) == ["ok", [Reason.DUPLICATE]]

    run(tmp_path, scenario)


def test_a_late_receipt_names_the_attempt_that_it_is_of_also_after_a_restart(
    tmp_path: Path,
) -> None:
    async def scenario(bench: Bench) -> None:
        quiet = {"options": {"lost": 1.0}}
        await bench.lanes(one=quiet, two=quiet)
        await bench.offer(attempt(bench, 0, "one"))
        await bench.offer(attempt(bench, 1, "two"))
        await bench.until(lambda: len(bench.receipts) == 2)
        await bench.core.drain(5)
        await bench.core.close()
        bench.receipts.clear()
        await bench.open()
        await bench.lanes(one=quiet, two=quiet)
        await bench.offer(bench.message(2, lane="one"), bench.message(3, lane="two"))
        await bench.until(lambda: len(bench.receipts) == 2)
        bench.receipts.clear()
        for lane, name in (("one", ID), ("two", f"{ID}.1")):
            receipts = bench.core._lanes.running[f"w/{lane}"]._receipts
            told = CarrierReceipt(f"sb-{name}", Reason.DELIVERED, bench.clock.now_ms())
            await receipts.take([told])
        assert [each[MESSAGE_ID] for each in bench.receipts] == [ID, f"{ID}.1"]

    run(tmp_path, scenario)


def test_a_cancel_meets_the_attempt_that_it_names(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.lanes(two={})
        offer = attempt(bench, 1, "two")
        shard = slots.shard_of(slots.slot_of(offer[1]), SHARDS)
        await bench.core.cancel(msgpack.packb([[shard, 1, [offer]]]))
        await bench.until(lambda: bool(bench.receipts))
        (told,) = bench.receipts
        assert (told[MESSAGE_ID], told[REASON]) == (f"{ID}.1", Reason.CANCELLED)
        assert await bench.offer(offer) == ["ok", [Reason.DUPLICATE]]

    run(tmp_path, scenario)


def test_a_token_of_another_workspace_is_no_receipt_of_this_ones_lane(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.lanes(one={})
        bench.core._lanes.find("w/one")
        receipts = bench.core._lanes.running["w/one"]._receipts
        at_ms = bench.clock.now_ms()
        for key in ("other/user/u1", "w2/user/u1", "w/user/u1"):
            await receipts.take([CarrierReceipt("", Reason.COMPLAINED, at_ms, "", "", ID, key)])
        assert [each[1] for each in bench.receipts] == ["w/user/u1"]

    run(tmp_path, scenario)
