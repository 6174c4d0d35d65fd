"""A sender from offer to receipt, with a clock that the test moves and the real ledger."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import apsw
import msgpack
import pytest

from actors.carriers.base import CarrierReceipt
from actors.carriers.sandbox import SandboxCarrier
from actors.clock import ManualClock
from actors.senders.ledger_writer import LedgerWriter
from actors.senders.sender import SenderCore
from actors.store.errors import ForeignStore, StoreLocked, WriteFailed
from actors.store.ledger import Ledger
from engine import limits, slots
from engine.commands import Command
from engine.errors import Overloaded, Unavailable
from engine.reasons import Reason

SHARDS = 4
MESSAGE_ID, REASON, AT, SETTLE, CARRIER, LANE, CODE, DETAIL, PROVIDER, MORE, TOOK = range(2, 13)


class Bench:
    """A sender, and the shards it tells."""

    def __init__(self, directory: Path, clock: ManualClock | None = None) -> None:
        self.directory = directory
        self.clock = clock or ManualClock()
        self.receipts: list[Command] = []
        self.refusals: list[Exception] = []
        self.core: SenderCore

    async def open(self, name: str = "sender-sms-1", **options: Any) -> "Bench":
        self.core = await SenderCore.open(
            name, self.directory, self.clock, self.report, SHARDS, wait_s=0, **options
        )
        return self

    async def report(self, shard: int, commands: Sequence[Command], size: int) -> bytes:
        if self.refusals:
            raise self.refusals.pop()
        assert all(slots.shard_of(slots.slot_of(c[1]), SHARDS) == shard for c in commands)
        assert len(msgpack.packb(list(commands))) <= size
        self.receipts += commands
        return bytes(len(commands))

    async def lanes(self, version: int = 1, **lanes: dict[str, Any]) -> None:
        bodies = {
            name: {"lane": name, "channel": "sms", "carrier": "sandbox", **body}
            for name, body in lanes.items()
        }
        await self.core.configure("w", version, msgpack.packb(bodies))

    async def offer(self, *messages: list[Any], epoch: int = 1, version: int = 1) -> list[Any]:
        """Offers each message in its own shard's part; the last one's code and all admissions."""
        by_shard: dict[int, list[list[Any]]] = defaultdict(list)
        for each in messages:
            by_shard[slots.shard_of(slots.slot_of(each[1]), SHARDS)].append(each)
        now_ms, versions = self.clock.now_ms(), {"w": version}
        answers = await self.call(
            *([shard, epoch, now_ms, group, versions] for shard, group in by_shard.items())
        )
        return [answers[-1][0], [each for answer in answers for each in answer[1]]]

    async def call(self, *parts: list[Any]) -> list[tuple[str, list[int], int]]:
        """One call with parts of any shards; code, admissions and delay of each."""
        incarnation, answers = msgpack.unpackb(await self.core.offer(msgpack.packb(parts)))
        assert incarnation == self.core.incarnation
        return [(code, list(admissions), retry_ms) for code, admissions, retry_ms in answers]

    def message(self, number: int, **fields: Any) -> list[Any]:
        values = {
            "id": f"{number:032x}", "key": f"w/user/u{number}", "workspace": "w", "lane": "main",
            "channel": "sms", "to": f"+1202555{number % 10_000:04d}", "purpose": "marketing",
            "body": "hi", "subject": "", "expires": self.clock.now_ms() + 3_600_000,
            "resend": False, "created": self.clock.now_ms(), **fields,
        }  # fmt: skip
        return list(values.values())

    async def until(self, done: Callable[[], bool], step_ms: int = 0, most_ms: int = 10_000_000):
        """Lets the sender work, moving the clock where it waits, until something is true."""
        end = self.clock.now_ms() + most_ms
        while not done():
            await asyncio.sleep(0)
            if step_ms and self.core._writer._task is None:
                self.clock.advance(step_ms)
            assert self.clock.now_ms() < end, self.core.status()

    def told(self, settle: bool = True) -> dict[str, Command]:
        return {each[MESSAGE_ID]: each for each in self.receipts if each[SETTLE] == settle}

    def outcomes(self, *reasons: Reason) -> list[tuple[str, int]]:
        """All that was told, in order, whether in one command or in several: id, reason."""
        return [
            (command[MESSAGE_ID], reason)
            for command in self.receipts
            for reason in (command[REASON], *(each[0] for each in command[MORE]))
            if not reasons or reason in reasons
        ]

    def carrier(self, lane: str = "w/main") -> SandboxCarrier:
        carrier = self.core._lanes.running[lane].carrier
        assert isinstance(carrier, SandboxCarrier)
        return carrier


def run(tmp_path: Path, scenario: Callable[[Bench], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        bench = await Bench(tmp_path).open(**options)
        try:
            async with asyncio.timeout(60):
                await scenario(bench)
        finally:
            await bench.core.close()

    asyncio.run(main())


def test_a_message_is_sent_told_settled_and_delivered(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={})
        assert await bench.offer(bench.message(1)) == ["ok", [Reason.QUEUED]]
        await bench.until(lambda: bool(bench.receipts))
        (receipt,) = bench.receipts
        name, now_ms = f"{1:032x}", bench.clock.now_ms()
        assert receipt[1:] == (
            "w/user/u1", name, Reason.SENT, now_ms, True, "sandbox", "main", "", "", f"sb-{name}",
            [(Reason.DELIVERED, now_ms, "", "")], 0,
        )  # fmt: skip
        await bench.until(lambda: bench.core.status()["held"] == 0)
        assert await bench.offer(bench.message(1)) == ["ok", [Reason.DUPLICATE]]
        assert bench.core.status()["held"] == 0
        assert bench.carrier().seen.units == 1

    run(tmp_path, scenario)


def test_lanes_are_asked_for_and_stale_owners_refused_also_after_a_restart(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        assert await bench.offer(bench.message(1)) == ["need_lanes", []]
        await bench.lanes(main={})
        assert (await bench.offer(bench.message(1), version=2))[0] == "need_lanes"
        assert (await bench.offer(bench.message(1), epoch=5))[0] == "ok"
        assert await bench.offer(bench.message(1), epoch=4) == ["stale_epoch", []]
        await bench.core.close()
        await bench.open()
        await bench.lanes(main={})
        assert await bench.offer(bench.message(1), epoch=4) == ["stale_epoch", []]
        assert bench.core.incarnation == "2"

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("fields", "reason", "words"),
    [
        ({"lane": "gone"}, Reason.NO_ROUTE, "not defined"),
        ({"to": "+15551234567"}, Reason.INVALID_NUMBER, "no network"),
        ({"to": "+19002345678"}, Reason.UNROUTABLE_NUMBER, "premium-rate"),
        ({"expires": 1}, Reason.EXPIRED, "validity"),
        ({"body": "x" * 4_000}, Reason.NO_ROUTE, "27 segments can never fit"),
    ],
)
def test_what_is_not_sent_has_a_recorded_outcome(
    tmp_path: Path, fields: dict[str, Any], reason: Reason, words: str
) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={"limits": [{"rate": "20/s"}]})
        assert await bench.offer(bench.message(1, **fields)) == ["ok", [Reason.QUEUED]]
        await bench.until(lambda: len(bench.receipts) == 1, step_ms=10)
        (receipt,) = bench.receipts
        assert (receipt[REASON], receipt[SETTLE]) == (reason, True)
        assert words in receipt[DETAIL]

    run(tmp_path, scenario)


def test_fraud_is_blocked_in_words_and_stays_blocked_over_a_restart(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={})
        codes = [bench.message(number, purpose="otp") for number in range(40)]
        await bench.offer(*codes)
        await bench.until(lambda: len(bench.told()) == 40)
        reasons = [bench.told()[each[0]] for each in codes]
        blocked = [each for each in reasons if each[REASON] == Reason.FRAUD_BLOCKED]
        assert len(blocked) == 10
        assert blocked[0][CODE] == "prefix_velocity"
        assert "blocked for 5 minutes" in blocked[0][DETAIL]
        assert bench.carrier().seen.units == 30
        await bench.core._writer.flush()
        await bench.core.close()  # as a crash would: nothing is drained
        await bench.open()
        await bench.lanes(main={})
        await bench.offer(bench.message(41, purpose="otp"), bench.message(42))
        await bench.until(lambda: len(bench.told()) == 42)
        assert bench.told()[f"{41:032x}"][REASON] == Reason.FRAUD_BLOCKED
        assert bench.told()[f"{42:032x}"][REASON] == Reason.SENT

    run(tmp_path, scenario)


def test_a_limit_is_reached_and_never_passed(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={"limits": [{"rate": "100/s"}, {"rate": "100000/day"}]})
        start = bench.clock.now_ms()
        await bench.offer(*(bench.message(number) for number in range(500)))
        await bench.until(lambda: len(bench.told()) == 500, step_ms=1)
        assert bench.carrier().max_in_any_window(1_000) <= 100
        assert bench.clock.now_ms() - start <= 5_000 * 1.01

    run(tmp_path, scenario)


def test_a_changed_limit_holds_at_once_and_brings_no_burst(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={"limits": [{"rate": "100/s"}]})
        await bench.offer(*(bench.message(number) for number in range(400)))
        await bench.until(lambda: len(bench.told()) >= 150, step_ms=1)
        await bench.lanes(2, main={"limits": [{"rate": "50/s"}, {"rate": "200/min"}]})
        before = len(bench.told())
        end = bench.clock.now_ms() + 30_000
        await bench.until(lambda: bench.clock.now_ms() >= end, step_ms=5)
        assert bench.carrier().max_in_any_window(60_000) == 200
        assert bench.carrier().max_in_any_window(1_000) <= 100
        assert len(bench.told()) == 200 > before

    run(tmp_path, scenario)


def test_throttling_pauses_the_lane_and_failures_back_off_until_they_are_final(
    tmp_path: Path,
) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.lanes(
            main={"options": {"most": 10, "throttle_ms": 5_000}},
            bad={"options": {"fail": 1.0}},
        )
        await bench.offer(*(bench.message(number) for number in range(25)))
        await bench.offer(bench.message(100, lane="bad"), bench.message(101, lane="bad"))
        await bench.until(lambda: len(bench.told()) == 27, step_ms=50)
        told = bench.told()
        assert all(told[f"{number:032x}"][REASON] == Reason.SENT for number in range(25))
        assert {told[f"{n:032x}"][REASON] for n in (100, 101)} == {Reason.CARRIER_UNAVAILABLE}
        assert told[f"{100:032x}"][CODE] == "8"
        assert bench.core._lanes.running["w/bad"].counts["retries"] == 8  # five attempts each

    run(tmp_path, scenario)


def test_a_message_that_can_not_be_tried_again_in_time_expires(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={"options": {"throttle": 1.0, "throttle_ms": 60_000}})
        await bench.offer(bench.message(1, expires=bench.clock.now_ms() + 30_000))
        await bench.until(lambda: len(bench.told()) == 1)
        receipt = bench.told()[f"{1:032x}"]
        assert (receipt[REASON], receipt[CODE]) == (Reason.EXPIRED, "88")
        assert "asked 1 times" in receipt[DETAIL]

    run(tmp_path, scenario)


@pytest.mark.parametrize("apart_ms", [-800_000_000_000, 800_000_000_000])
def test_what_is_left_of_a_validity_counts_from_the_arrival(tmp_path: Path, apart_ms: int) -> None:
    """The shard's clock shows another time: events move it, or it was restarted."""

    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={"limits": [{"rate": "1/min"}]})
        now_ms = bench.clock.now_ms()
        lefts_ms = {1: 0, 2: 30_000, 3: 90_000}
        messages = [
            bench.message(number, key="w/user/u", expires=now_ms + apart_ms + left_ms)
            for number, left_ms in lefts_ms.items()
        ]
        shard = slots.shard_of(slots.slot_of("w/user/u"), SHARDS)
        await bench.call([shard, 1, now_ms + apart_ms, messages, {"w": 1}])
        held = [each for each in bench.core._book.held.values() if each is not None]
        assert {int(each.id, 16): each.expires_ms - now_ms for each in held} == lefts_ms

    run(tmp_path, scenario)


def test_under_a_clock_that_events_move_the_whole_validity_counts_from_the_arrival(
    tmp_path: Path,
) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={})
        made_ms, now_ms = 852_000_000_000, bench.clock.now_ms()
        message = bench.message(1, expires=made_ms + 60_000, created=made_ms)
        shard = slots.shard_of(slots.slot_of(message[1]), SHARDS)
        await bench.call([shard, 1, made_ms + 10 * 86_400_000, [message], {"w": 1}])
        held = bench.core._book.held[f"{1:032x}"]
        assert held is not None
        assert held.expires_ms == now_ms + 60_000
        await bench.until(lambda: len(bench.told()) == 1)
        assert bench.told()[f"{1:032x}"][REASON] == Reason.SENT

    run(tmp_path, scenario, event_time=True)


def test_unknown_outcomes_are_final_unless_the_message_may_be_sent_again(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={"options": {"unknown": 1.0}, "circuit": False})
        await bench.offer(*(bench.message(number) for number in range(50)))
        await bench.until(lambda: len(bench.told()) == 50)
        assert {each[REASON] for each in bench.told().values()} == {Reason.UNKNOWN_OUTCOME}
        await bench.until(lambda: len(bench.told(settle=False)) >= 10)
        late = {each[REASON] for each in bench.told(settle=False).values()}
        assert late == {Reason.DELIVERED}
        assert not any(each[MORE] for each in bench.receipts), "each brings the carrier's id"
        assert "receipts_unmatched" not in bench.core._lanes.running["w/main"].counts
        await bench.offer(bench.message(99, resend=True, purpose="transactional"))
        await bench.until(lambda: len(bench.told()) == 51, step_ms=100)
        assert bench.told()[f"{99:032x}"][REASON] == Reason.UNKNOWN_OUTCOME
        assert bench.core._lanes.running["w/main"].counts["retries"] == 4

    run(tmp_path, scenario)


def test_a_cancelled_message_does_not_leave(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={"limits": [{"rate": "1/h"}]})
        first, second, third = (bench.message(number) for number in range(3))
        await bench.offer(first)
        await bench.until(lambda: len(bench.told()) == 1)
        await bench.offer(second)
        for each in (first, second, third, second[0]):
            shard = slots.shard_of(slots.slot_of(second[1]), SHARDS)
            await bench.core.cancel(msgpack.packb([[shard, 1, [each]]]))
        await bench.until(lambda: len(bench.told()) == 3)
        reasons = {name: each[REASON] for name, each in bench.told().items()}
        assert reasons == {
            first[0]: Reason.SENT,
            second[0]: Reason.CANCELLED,
            third[0]: Reason.CANCELLED,
        }
        assert await bench.offer(third) == ["ok", [Reason.DUPLICATE]]

    run(tmp_path, scenario)


def test_an_owner_that_is_followed_while_its_epoch_is_written_is_stale(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={})
        older, newer = await asyncio.gather(
            bench.offer(bench.message(1), epoch=1), bench.offer(bench.message(1), epoch=2)
        )
        assert (older, newer) == (["stale_epoch", []], ["ok", [Reason.QUEUED]])

    run(tmp_path, scenario)


def test_each_shard_of_a_call_has_an_answer_of_its_own(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={})
        now_ms = bench.clock.now_ms()
        first, second, third, fourth = (bench.message(number) for number in range(4))
        assert await bench.call([1, 5, now_ms, [], {}]) == [("ok", [], 0)]
        answers = await bench.call(
            [0, 1, now_ms, [first], {"w": 1}],
            [1, 4, now_ms, [second], {"w": 1}],
            [2, 1, now_ms, [third], {"w": 2}],
            [3, 1, now_ms, [fourth, first], {"w": 1}],
        )
        assert answers == [
            ("ok", [Reason.QUEUED], 0),
            ("stale_epoch", [], 0),
            ("need_lanes", [], 0),
            ("ok", [Reason.QUEUED, Reason.DUPLICATE], 0),
        ]
        assert list(bench.core._book.held) == [first[0], fourth[0]]

    run(tmp_path, scenario)


def test_cancels_of_a_former_owner_keep_none_of_another_shard_back(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={"limits": [{"rate": "1/h"}]})
        now_ms = bench.clock.now_ms()
        sent, old, new = (bench.message(number) for number in range(3))
        await bench.call([0, 5, now_ms, [sent, old], {"w": 1}], [1, 1, now_ms, [new], {"w": 1}])
        await bench.core.cancel(msgpack.packb([[0, 4, [old]], [1, 1, [new]]]))
        await bench.until(lambda: bool(bench.outcomes(Reason.CANCELLED)))
        assert bench.outcomes(Reason.CANCELLED) == [(new[0], Reason.CANCELLED)]

    run(tmp_path, scenario)


def test_receipts_are_told_again_until_a_shard_takes_them(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        bench.refusals = [Overloaded(1, "full"), Unavailable("away")]
        await bench.lanes(main={"options": {"receipts": False}})
        await bench.offer(bench.message(1))
        await bench.until(lambda: len(bench.receipts) == 1)
        assert bench.refusals == []
        await bench.until(lambda: bench.core.status()["held"] == 0)

    run(tmp_path, scenario)


def test_receipts_that_are_early_late_twice_or_foreign(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        options = {"early": 0.5, "duplicated": 0.5, "receipt_ms": [0, 20_000]}
        await bench.lanes(main={"options": options})
        await bench.offer(*(bench.message(number) for number in range(300)))
        await bench.until(lambda: len(bench.outcomes(Reason.DELIVERED)) == 300, step_ms=100)
        for number in range(300):
            order = [reason for name, reason in bench.outcomes() if name == f"{number:032x}"]
            assert order == [Reason.SENT, Reason.DELIVERED]
        assert 300 < len(bench.receipts) < 600, "the early ones are told with the submit"
        await bench.until(
            lambda: bench.core._lanes.running["w/main"].counts.get("receipts_unmatched", 0) > 50,
            step_ms=100,
        )

    run(tmp_path, scenario)


def test_what_is_early_is_told_in_one_command_and_what_comes_after_it_is_not_lost(
    tmp_path: Path,
) -> None:
    """Receipts of a push, which may be read, come while the result of its submit is written."""

    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={"channel": "push", "options": {"receipts": False}})
        await bench.offer(bench.message(1, channel="push", to="token"))
        lane = bench.core._lanes.running["w/main"]
        await bench.until(lambda: lane.carrier is not None and bench.carrier().seen.units == 1)

        def receipt(reason: Reason, detail: str = "") -> CarrierReceipt:
            return CarrierReceipt(f"sb-{1:032x}", reason, 5, "c", detail)

        one, two, three = (
            asyncio.ensure_future(lane._receipts.take(receipts))
            for receipts in (
                [receipt(Reason.SENT), receipt(Reason.DELIVERED, "to the phone")],
                [receipt(Reason.READ)],
                [receipt(Reason.READ), CarrierReceipt("foreign", Reason.DELIVERED, 5)],
            )
        )
        await asyncio.sleep(0)
        assert bench.receipts == []
        assert not one.done()
        assert not two.done()
        await asyncio.gather(one, two, three)
        (command,) = bench.receipts
        assert (command[REASON], command[SETTLE]) == (Reason.SENT, True)
        assert command[MORE] == [
            (Reason.SENT, 5, "c", ""),
            (Reason.DELIVERED, 5, "c", "to the phone"),
            (Reason.READ, 5, "c", ""),
        ]
        assert lane.counts == {"sent": 1, "delivered": 1, "read": 1, "receipts_unmatched": 2}
        assert len(bench.core._book.reporter) == 0

    run(tmp_path, scenario)


def test_no_more_receipts_wait_for_a_result_than_the_limit_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "EARLY_RECEIPTS", 3)

    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={"options": {"receipts": False}})
        await bench.offer(bench.message(1))
        lane = bench.core._lanes.running["w/main"]
        await bench.until(lambda: lane.carrier is not None and bench.carrier().seen.units == 1)
        same = [CarrierReceipt(f"sb-{1:032x}", Reason.SENT, at) for at in range(5)]
        await lane._receipts.take(same)
        assert lane.counts["receipts_unmatched"] == 2
        assert len(bench.receipts[0][MORE]) == 3

    run(tmp_path, scenario)


def test_more_early_receipts_than_a_history_holds_follow_in_commands_of_their_own(
    tmp_path: Path,
) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={"options": {"receipts": False}})
        await bench.offer(bench.message(1))
        lane = bench.core._lanes.running["w/main"]
        await bench.until(lambda: lane.carrier is not None and bench.carrier().seen.units == 1)
        name, count = f"{1:032x}", limits.MESSAGE_HISTORY + 2
        many = [CarrierReceipt(f"sb-{name}", Reason.SENT, at) for at in range(count)]
        bench.refusals = [Unavailable("away")]
        await lane._receipts.take([*many, CarrierReceipt(f"sb-{name}", Reason.DELIVERED, 99)])
        assert len(bench.receipts) == 4
        assert len(bench.receipts[0][MORE]) == limits.MESSAGE_HISTORY
        assert bench.outcomes() == [(name, Reason.SENT)] * (count + 1) + [(name, Reason.DELIVERED)]
        assert "receipts_unmatched" not in lane.counts

    run(tmp_path, scenario)


def test_a_restart_tells_what_is_unknown_and_keeps_windows_and_late_receipts(
    tmp_path: Path,
) -> None:
    async def scenario(bench: Bench) -> None:
        lane = {"limits": [{"rate": "10/min"}], "options": {"receipt_ms": [90_000, 90_000]}}
        await bench.lanes(main=lane)
        await bench.offer(*(bench.message(number) for number in range(5)))
        await bench.until(lambda: len(bench.told()) == 5, step_ms=100)
        # Three more reach the ledger, and the process ends during their submit.
        stuck = asyncio.Event()

        async def never(batch: Sequence[Any]) -> list[Any]:
            stuck.set()
            await asyncio.Event().wait()
            return []

        bench.carrier().submit = never  # type: ignore[method-assign]
        receipts = {"purpose": "transactional"}
        await bench.offer(bench.message(7, **receipts), bench.message(8, resend=True, **receipts))
        await bench.until(stuck.is_set, step_ms=100)
        await bench.core.close()
        await bench.open()
        await bench.until(lambda: len(bench.told()) == 6)
        assert bench.told()[f"{7:032x}"][REASON] == Reason.UNKNOWN_OUTCOME
        await bench.lanes(main=lane)
        again = [bench.message(7), bench.message(8, resend=True, **receipts), bench.message(3)]
        _, admissions = await bench.offer(*again)
        assert sorted(admissions) == [Reason.DUPLICATE, Reason.DUPLICATE, Reason.QUEUED]
        (limit,) = bench.core._lanes.running["w/main"].status()["limits"]
        assert limit[1] >= 6
        await bench.until(lambda: len(bench.told()) == 7, step_ms=100)
        assert bench.told()[f"{8:032x}"][REASON] == Reason.SENT
        # What the old process gave away is found by the new one's carrier.
        late = CarrierReceipt(f"sb-{2:032x}", Reason.DELIVERED, bench.clock.now_ms())
        await bench.core._lanes.running["w/main"]._receipts.take([late])
        assert bench.told(settle=False)[f"{2:032x}"][REASON] == Reason.DELIVERED

    run(tmp_path, scenario)


def test_outcomes_that_no_shard_has_heard_are_told_by_the_next_incarnation(
    tmp_path: Path,
) -> None:
    async def scenario(bench: Bench) -> None:
        bench.refusals = [Unavailable("away")] * 1_000
        await bench.lanes(main={"options": {"receipts": False}})
        await bench.offer(bench.message(1))
        await bench.until(lambda: len(bench.refusals) < 1_000)
        await bench.core.close()
        bench.refusals = []
        await bench.open()
        await bench.until(lambda: len(bench.told()) == 1)
        assert bench.told()[f"{1:032x}"][REASON] == Reason.SENT

    run(tmp_path, scenario)


def test_a_drained_sender_has_told_everything_and_takes_nothing_more(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={"options": {"receipts": False}}, slow={"limits": [{"rate": "1/h"}]})
        await bench.offer(*(bench.message(number) for number in range(700)))
        await bench.offer(*(bench.message(1_000 + n, lane="slow") for n in range(3)))
        await bench.until(lambda: len(bench.told()) >= 300)
        assert await bench.core.drain(10)
        assert await bench.offer(bench.message(9_999)) == ["ok", [Reason.QUEUE_FULL]]
        assert bench.carrier().seen.units == len(
            [each for each in bench.told().values() if each[LANE] == "main"]
        )

    run(tmp_path, scenario)


@pytest.mark.parametrize("full", ["lane", "sender"])
def test_newsletters_leave_room_for_receipts_and_both_for_codes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    capacity = 20
    if full == "sender":
        monkeypatch.setattr(limits, "SENDER_QUEUE_MESSAGES", capacity)
    else:
        monkeypatch.setattr(limits, "LANE_QUEUE_MESSAGES", capacity)
        monkeypatch.setattr(limits, "OFFER_MESSAGES", capacity)

    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={})
        # Nothing can leave while the loop has not turned, so what is offered at once waits.
        batch = [
            bench.message(100 * nth + number, purpose=purpose, key="w/user/ann")
            for nth, purpose in enumerate(("marketing", "transactional", "otp", "marketing"))
            for number in range(capacity)
        ]
        code, admissions = await bench.offer(*batch)
        assert code == "ok"
        of_class = [admissions[at : at + capacity] for at in range(0, 4 * capacity, capacity)]
        assert [each.count(Reason.QUEUED) for each in of_class] == [16, 2, 2, 0]
        assert [each.count(Reason.QUEUE_FULL) for each in of_class] == [4, 18, 18, 20]
        assert bench.core._offers.counts["full"] == 60

    run(tmp_path, scenario)


def test_a_deleted_lane_and_a_changed_carrier(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={"limits": [{"rate": "1/h"}]}, other={})
        await bench.offer(bench.message(1), bench.message(2), bench.message(3, lane="other"))
        await bench.until(lambda: len(bench.told()) == 2)
        await bench.lanes(2, other={"options": {"reject": 1.0}})
        await bench.until(lambda: len(bench.told()) == 3)
        assert bench.told()[f"{2:032x}"][DETAIL] == "lane 'main' was deleted"
        await bench.offer(bench.message(4, lane="other"), version=2)
        await bench.until(lambda: len(bench.told()) == 4)
        assert bench.told()[f"{4:032x}"][REASON] == Reason.CARRIER_REJECTED

    run(tmp_path, scenario)


def test_what_was_in_flight_when_its_lane_was_deleted_is_not_tried_again(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={"options": {"fail": 1.0}})
        await bench.offer(bench.message(1))
        await bench.until(lambda: bench.core.status()["lanes"][0]["in_flight"] == 1)
        await bench.lanes(2)
        await bench.until(lambda: bool(bench.told()), step_ms=50)
        receipt = bench.told()[f"{1:032x}"]
        assert (receipt[REASON], receipt[DETAIL]) == (Reason.NO_ROUTE, "lane 'main' was deleted")
        assert bench.core._lanes.running["w/main"].counts["retries"] == 0

    run(tmp_path, scenario)


def test_a_ledger_belongs_to_one_process_and_one_sender(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        with pytest.raises(StoreLocked):
            await Bench(tmp_path).open()
        await bench.core.close()
        (tmp_path / "sender-sms-1.ledger").rename(tmp_path / "sender-sms-2.ledger")
        with pytest.raises(ForeignStore, match="ledger of sender-sms-1"):
            await Bench(tmp_path).open("sender-sms-2")
        await bench.open()

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    "error", [RuntimeError("a defect in an adapter"), asyncio.CancelledError("by an adapter")]
)
def test_a_lane_whose_loop_ends_unexpectedly_fails_its_sender(
    tmp_path: Path, error: BaseException
) -> None:
    failures: list[BaseException] = []

    async def broken() -> None:
        raise error

    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={})
        await bench.offer(bench.message(1))
        await bench.until(lambda: bool(bench.receipts))
        carrier = bench.carrier()
        carrier.stop = broken  # type: ignore[method-assign]
        await bench.lanes(2, main={"sender": "other"})
        await bench.until(lambda: bool(failures))
        assert [type(each) for each in failures] == [type(error)]
        del carrier.stop

    run(tmp_path, scenario, fail=failures.append)


def test_a_ledger_that_meets_a_defect_fails_its_sender_like_one_that_meets_a_bad_disk(
    tmp_path: Path,
) -> None:
    failures: list[BaseException] = []

    async def main() -> None:
        writer = LedgerWriter(Ledger(tmp_path / "x.ledger", "x"), ManualClock(), failures.append)
        writer.fraud([object()])  # msgpack does not know how to write it
        with pytest.raises(WriteFailed, match="TypeError"):
            await writer.flush()
        with pytest.raises(WriteFailed, match="TypeError"):
            await writer.epoch(1, 1)
        await writer.close()

    asyncio.run(main())
    assert len(failures) == 1


def test_a_ledger_that_cannot_be_loaded_is_let_go(tmp_path: Path) -> None:
    async def main() -> None:
        bench = await Bench(tmp_path).open()
        await bench.core.close()
        connection = apsw.Connection(str(tmp_path / "sender-sms-1.ledger"))
        connection.execute("UPDATE state SET body = x'c1' WHERE name = 'incarnation'")
        for _ in range(2):  # the second would be StoreLocked, by this process itself
            with pytest.raises(msgpack.FormatError):
                await bench.open()
        connection.execute("DELETE FROM state WHERE name = 'incarnation'")
        connection.close()
        await bench.open()
        assert bench.core.incarnation == "1"
        await bench.core.close()

    asyncio.run(main())
