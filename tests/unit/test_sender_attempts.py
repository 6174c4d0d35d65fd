"""What a sender tells of each attempt: that the carrier has a message, and that it waits again."""

import asyncio
from pathlib import Path
from typing import Any

import msgpack
import pytest

from actors.carriers.base import SubmitResult, accepted, rejected, throttled, unknown
from engine import limits
from engine.commands import UNKNOWN, Command
from engine.reasons import Reason
from tests.unit.test_sender import (
    AT,
    CARRIER,
    CODE,
    DETAIL,
    LANE,
    MESSAGE_ID,
    MORE,
    REASON,
    SETTLE,
    TOOK,
    Bench,
    run,
)

BOUND_MS = limits.SENDING_UNTOLD_MS


class Slow:
    """A carrier that answers when it is told to, and what it is told to."""

    def __init__(self, bench: Bench) -> None:
        self._answers: asyncio.Queue[list[SubmitResult]] = asyncio.Queue()
        self.asked: list[int] = []  # when
        self._clock = bench.clock
        bench.carrier().submit = self.submit  # type: ignore[method-assign]

    async def submit(self, batch: Any) -> list[SubmitResult]:
        self.asked.append(self._clock.now_ms())
        return await self._answers.get()

    def answer(self, *results: SubmitResult) -> None:
        self._answers.put_nowait(list(results))


async def slow(bench: Bench, **lane: Any) -> Slow:
    await bench.lanes(main=lane)
    runner = bench.core._lanes.find("w/main")
    assert runner is not None
    await bench.until(lambda: runner.carrier is not None)
    return Slow(bench)


async def settle(bench: Bench) -> None:
    """Lets everything happen that needs no time."""
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(bench.core._book.reporter) == 0


def brief(command: Command) -> tuple[Any, ...]:
    return tuple(command[at] for at in (MESSAGE_ID, REASON, AT, SETTLE, TOOK))


ONE, TWO = f"{1:032x}", f"{2:032x}"


def test_an_answer_in_time_brings_the_time_of_its_attempt(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        carrier = await slow(bench)
        await bench.offer(bench.message(1))
        await bench.until(lambda: len(carrier.asked) == 1)
        bench.clock.advance(BOUND_MS - 1)
        await settle(bench)
        assert bench.receipts == []
        carrier.answer(accepted("a-1"))
        await bench.until(lambda: bool(bench.receipts))
        (receipt,) = bench.receipts
        assert brief(receipt) == (ONE, Reason.SENT, bench.clock.now_ms(), True, BOUND_MS - 1)
        bench.clock.advance(10 * BOUND_MS)
        await settle(bench)
        assert len(bench.receipts) == 1

    run(tmp_path, scenario)


def test_while_an_answer_is_long_in_coming_shards_know_that_the_carrier_has_it(
    tmp_path: Path,
) -> None:
    async def scenario(bench: Bench) -> None:
        carrier = await slow(bench)
        given_ms = bench.clock.now_ms()
        same = "w/user/same"
        await bench.offer(bench.message(1, key=same), bench.message(2, key=same))
        await bench.until(lambda: len(carrier.asked) == 1)
        bench.clock.advance(BOUND_MS)
        await settle(bench)
        sending = (Reason.SENDING, given_ms, False, UNKNOWN)
        assert [brief(each) for each in bench.receipts] == [(ONE, *sending), (TWO, *sending)]
        assert {(each[CARRIER], each[LANE]) for each in bench.receipts} == {("sandbox", "main")}
        assert bench.core.status()["held"] == 2
        assert bench.core._book.outcomes == {}, "it is no outcome"
        bench.clock.advance(BOUND_MS)
        await settle(bench)
        assert len(bench.receipts) == 2, "it is told once"
        carrier.answer(accepted("a-1"), accepted("a-2"))
        await bench.until(lambda: bench.core.status()["held"] == 0)
        sent = (Reason.SENT, given_ms + 2 * BOUND_MS, True, UNKNOWN)
        assert [brief(each) for each in bench.receipts[2:]] == [(ONE, *sent), (TWO, *sent)]

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    "answer", [throttled(1_000, "88", "slow down"), unknown("88", "slow down")]
)
def test_a_message_that_is_refused_for_now_is_told_to_wait_again(
    tmp_path: Path, answer: SubmitResult
) -> None:
    async def scenario(bench: Bench) -> None:
        carrier = await slow(bench, circuit=False)
        await bench.offer(bench.message(1, resend=True, purpose="transactional"))
        await bench.until(lambda: len(carrier.asked) == 1)
        bench.clock.advance(70)
        carrier.answer(answer)
        first_ms = bench.clock.now_ms()
        await bench.until(lambda: len(carrier.asked) == 2, step_ms=10)
        bench.clock.advance(BOUND_MS)
        carrier.answer(answer)
        again_ms = bench.clock.now_ms()
        await bench.until(lambda: len(carrier.asked) == 3, step_ms=10)
        carrier.answer(accepted("a"))
        last_ms = bench.clock.now_ms()
        await bench.until(lambda: bench.core.status()["held"] == 0)
        assert [brief(each) for each in bench.receipts] == [
            (ONE, Reason.THROTTLED, first_ms, False, 70),
            (ONE, Reason.SENDING, carrier.asked[1], False, UNKNOWN),
            (ONE, Reason.THROTTLED, again_ms, False, UNKNOWN),
            (ONE, Reason.SENT, last_ms, True, last_ms - carrier.asked[2]),
        ]
        words = [(each[CODE], each[DETAIL]) for each in bench.receipts]
        assert words == [("88", "slow down"), ("", ""), ("88", "slow down"), ("", "")]

    run(tmp_path, scenario)


def test_of_a_batch_each_message_is_told_its_own_answer(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        carrier = await slow(bench)
        same = "w/user/same"
        await bench.offer(*(bench.message(number, key=same) for number in range(3)))
        await bench.until(lambda: len(carrier.asked) == 1)
        bench.clock.advance(7)
        carrier.answer(accepted("a"), throttled(60_000, "88"), rejected("11", True))
        await bench.until(lambda: len(bench.receipts) == 3)
        found = {int(each[MESSAGE_ID], 16): each for each in bench.receipts}
        assert {n: (each[REASON], each[TOOK]) for n, each in found.items()} == {
            0: (Reason.SENT, 7), 1: (Reason.THROTTLED, 7), 2: (Reason.CARRIER_REJECTED, 7),
        }  # fmt: skip
        # Until the next attempt it waits in the lane: it can be called back.
        shard = bench.core._book.held[f"{1:032x}"].shard  # type: ignore[union-attr]
        await bench.core.cancel(msgpack.packb([(shard, 1, [f"{1:032x}"])]))
        await bench.until(lambda: len(bench.receipts) == 4)
        assert bench.receipts[3][REASON] == Reason.CANCELLED
        assert bench.receipts[3][TOOK] == UNKNOWN

    run(tmp_path, scenario)


def test_a_message_that_is_called_back_while_its_carrier_has_it_is_not_tried_again(
    tmp_path: Path,
) -> None:
    async def scenario(bench: Bench) -> None:
        carrier = await slow(bench, circuit=False)
        await bench.offer(bench.message(1), bench.message(2))
        await bench.until(lambda: len(carrier.asked) == 1)
        for name in (ONE, TWO):
            shard = bench.core._book.held[name].shard  # type: ignore[union-attr]
            await bench.core.cancel(msgpack.packb([(shard, 1, [name])]))
        carrier.answer(throttled(10, "88"), accepted("a-2"))
        await bench.until(lambda: bench.core.status()["held"] == 0)
        told = [(each[MESSAGE_ID], each[REASON], each[SETTLE]) for each in bench.receipts]
        assert [each for each in told if each[0] == ONE] == [
            (ONE, Reason.THROTTLED, False), (ONE, Reason.CANCELLED, True),
        ]  # fmt: skip
        assert (TWO, Reason.SENT, True) in told
        bench.clock.advance(10 * BOUND_MS)
        await settle(bench)
        assert len(carrier.asked) == 1

    run(tmp_path, scenario)


def test_news_of_attempts_is_let_go_while_too_much_waits_to_be_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ATTEMPT_RECEIPTS", 1)

    async def scenario(bench: Bench) -> None:
        carrier = await slow(bench)
        await bench.offer(bench.message(1), bench.message(2))
        await bench.until(lambda: len(carrier.asked) == 1)
        bench.clock.advance(BOUND_MS)
        carrier.answer(throttled(0, "88"), throttled(0, "88"))
        await bench.until(lambda: len(carrier.asked) == 2, step_ms=100)
        assert bench.receipts == []
        assert bench.core._lanes.running["w/main"].counts["attempts_untold"] == 4
        carrier.answer(accepted("a"), accepted("b"))
        await bench.until(lambda: len(bench.told()) == 2)
        took_ms = bench.clock.now_ms() - carrier.asked[1]
        assert [each[TOOK] for each in bench.receipts] == [took_ms] * 2

    run(tmp_path, scenario)


def test_what_a_sender_had_in_flight_at_its_end_is_unknown(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        carrier = await slow(bench)
        await bench.offer(bench.message(1))
        await bench.until(lambda: len(carrier.asked) == 1)
        bench.clock.advance(BOUND_MS)
        await settle(bench)
        await bench.core.close()
        await bench.open()
        await bench.until(lambda: len(bench.receipts) == 2)
        assert [each[REASON] for each in bench.receipts] == [
            Reason.SENDING, Reason.UNKNOWN_OUTCOME,
        ]  # fmt: skip
        assert bench.receipts[1][SETTLE]
        assert not any(each[MORE] for each in bench.receipts)

    run(tmp_path, scenario)
