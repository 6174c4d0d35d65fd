"""A message that the guard would challenge waits for another look, once, and over a restart."""

from pathlib import Path
from typing import Any

import msgpack
import pytest

from engine import limits, slots
from engine.fraud.policy import guard_from
from engine.issues import DefinitionError
from engine.reasons import Reason
from tests.unit.test_sender import AT, CODE, DETAIL, REASON, SETTLE, SHARDS, Bench, run

MINUTE_MS = 60_000
WAIT_MS = 5 * MINUTE_MS
SUSPECT = "+12025550001"
STRICT = {"weight": 1.0, "action": "challenge", "delay": "5m"}


async def begin(bench: Bench, **purpose: Any) -> None:
    """A lane, and a guard that holds something against one number."""
    guard = {"guard": "default", "purposes": {"transactional": {**STRICT, **purpose}}}
    bodies = {
        "main": {"lane": "main", "channel": "sms", "carrier": "sandbox"},
        "guard/default": guard,
    }
    await bench.core.configure("w", 1, msgpack.packb(bodies))


async def say(bench: Bench, what: str) -> None:
    await bench.core.feedback(msgpack.packb([["w", SUSPECT, what]]))


def text(bench: Bench, number: int = 1, **fields: Any) -> list[Any]:
    return bench.message(number, to=SUSPECT, purpose="transactional", **fields)


def delayed(bench: Bench) -> list[Any]:
    return [each for each in bench.receipts if each[REASON] == Reason.FRAUD_DELAYED]


async def suspected(bench: Bench, *messages: list[Any]) -> None:
    """Messages that wait for another look."""
    await begin(bench)
    await say(bench, "fraud")
    await bench.offer(*(messages or [text(bench)]))
    await bench.until(lambda: len(delayed(bench)) == (len(messages) or 1))


async def pass_time(bench: Bench, by_ms: int) -> None:
    end_ms = bench.clock.now_ms() + by_ms
    await bench.until(lambda: bench.clock.now_ms() >= end_ms, step_ms=1_000)


async def ended(bench: Bench, number: int = 1) -> Any:
    """The last word on a message; the clock moves until it is said."""
    name = f"{number:032x}"
    await bench.until(lambda: name in bench.told(), step_ms=1_000)
    return bench.told()[name]


async def crash(bench: Bench) -> None:
    """Ends a sender without draining it, and starts the next."""
    await bench.core._writer.flush()
    await bench.core.close()
    await bench.open()
    await begin(bench)


def rows(bench: Bench) -> list[Any]:
    """The rows of the ledger about messages that wait."""
    return list(bench.core._writer._ledger._rows("SELECT id FROM fraud_look"))


def test_it_is_sent_if_nothing_stands_against_it_by_then(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        start_ms = bench.clock.now_ms()
        await suspected(bench)
        (told,) = delayed(bench)
        assert (told[AT], told[SETTLE], told[CODE]) == (start_ms, False, "reported")
        assert told[DETAIL].endswith("fraud score 99; it waits 5 minutes to be looked at once more")
        await say(bench, "legit")
        receipt = await ended(bench)
        assert receipt[REASON] == Reason.SENT
        assert WAIT_MS <= receipt[AT] - start_ms <= WAIT_MS + 2_000
        await bench.core._writer.flush()
        assert rows(bench) == []
        assert len(delayed(bench)) == 1

    run(tmp_path, scenario)


def test_it_is_challenged_if_something_still_does(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await suspected(bench)
        receipt = await ended(bench)
        assert (receipt[REASON], receipt[CODE]) == (Reason.FRAUD_CHALLENGED, "reported")
        assert receipt[DETAIL].endswith("; it had waited 5 minutes")
        assert len(delayed(bench)) == 1
        assert not len(bench.core._screen.looks)

    run(tmp_path, scenario)


def test_it_is_blocked_if_the_guard_has_become_stricter(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await suspected(bench)
        await begin(bench, action="block")
        assert (await ended(bench))[REASON] == Reason.FRAUD_BLOCKED

    run(tmp_path, scenario)


@pytest.mark.parametrize("action", ["block", "shadow"])
def test_only_a_challenge_waits(tmp_path: Path, action: str) -> None:
    async def scenario(bench: Bench) -> None:
        await begin(bench, action=action)
        await say(bench, "fraud")
        await bench.offer(text(bench))
        assert (await ended(bench))[REASON] in (Reason.FRAUD_BLOCKED, Reason.FRAUD_SHADOWED)
        assert not delayed(bench)

    run(tmp_path, scenario)


def test_nothing_waits_unless_the_guard_says_so(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await begin(bench)
        without = {name: value for name, value in STRICT.items() if name != "delay"}
        guard = {"guard": "default", "purposes": {"transactional": without}}
        bench.core._screen.configure("w", guard)
        await say(bench, "fraud")
        await bench.offer(text(bench))
        assert (await ended(bench))[REASON] == Reason.FRAUD_CHALLENGED
        assert not delayed(bench)

    run(tmp_path, scenario)


@pytest.mark.parametrize("left_ms", [MINUTE_MS, WAIT_MS])
def test_one_that_would_expire_first_is_challenged_at_once(tmp_path: Path, left_ms: int) -> None:
    async def scenario(bench: Bench) -> None:
        await begin(bench)
        await say(bench, "fraud")
        start_ms = bench.clock.now_ms()
        await bench.offer(text(bench, expires=start_ms + left_ms))
        await bench.until(lambda: bool(bench.told()))
        assert (await ended(bench))[REASON] == Reason.FRAUD_CHALLENGED
        assert bench.clock.now_ms() == start_ms

    run(tmp_path, scenario)


def test_one_that_came_from_another_lane_is_challenged_at_once(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await begin(bench)
        await say(bench, "fraud")
        await bench.offer([*text(bench), "", "", None, 1])
        assert (await ended(bench))[REASON] == Reason.FRAUD_CHALLENGED

    run(tmp_path, scenario)


def test_a_crash_lets_it_wait_for_the_rest_only(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        start_ms = bench.clock.now_ms()
        message = text(bench)
        await suspected(bench, message)
        await pass_time(bench, 3 * MINUTE_MS)
        await crash(bench)
        assert await bench.offer(message) == ["ok", [Reason.QUEUED]]
        await bench.until(lambda: len(delayed(bench)) == 2)
        assert delayed(bench)[0] == delayed(bench)[1], "told again, as it was"
        receipt = await ended(bench)
        assert receipt[REASON] == Reason.FRAUD_CHALLENGED
        assert WAIT_MS <= receipt[AT] - start_ms <= WAIT_MS + 2_000
        assert await bench.offer(message) == ["ok", [Reason.DUPLICATE]]

    run(tmp_path, scenario)


def test_a_crash_after_its_time_looks_at_it_and_lets_it_wait_no_more(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        message = text(bench)
        await suspected(bench, message)
        await bench.core._writer.flush()
        await bench.core.close()
        bench.clock.advance(2 * WAIT_MS)
        await bench.open()
        await begin(bench)
        await bench.offer(message)
        receipt = await ended(bench)
        assert (receipt[REASON], len(delayed(bench))) == (Reason.FRAUD_CHALLENGED, 1)
        assert receipt[DETAIL].endswith("; it had waited 5 minutes")

    run(tmp_path, scenario)


def test_what_nobody_offers_again_is_forgotten_with_its_validity(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await suspected(bench)
        await bench.core._writer.flush()
        await bench.core.close()
        bench.clock.advance(3_600_000)
        await bench.open()
        await bench.core._writer.flush()
        assert not len(bench.core._screen.looks)
        assert rows(bench) == []

    run(tmp_path, scenario)


def test_it_may_be_called_back_while_it_waits(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        message = text(bench)
        await suspected(bench, message)
        shard = slots.shard_of(slots.slot_of(message[1]), SHARDS)
        await bench.core.cancel(msgpack.packb([[shard, 1, [message[0]]]]))
        await bench.until(lambda: bool(bench.told()))
        assert (await ended(bench))[REASON] == Reason.CANCELLED
        await pass_time(bench, 2 * WAIT_MS)
        await bench.core._writer.flush()
        assert (len(bench.told()), rows(bench)) == (1, [])

    run(tmp_path, scenario)


def test_it_may_be_called_back_before_its_shard_has_offered_it_again(tmp_path: Path) -> None:
    """After a crash it is told as a whole, and the row with the reason goes at once."""

    async def scenario(bench: Bench) -> None:
        message = text(bench)
        await suspected(bench, message)
        await crash(bench)
        assert len(rows(bench)) == 1
        shard = slots.shard_of(slots.slot_of(message[1]), SHARDS)
        await bench.core.cancel(msgpack.packb([[shard, 1, [message]]]))
        assert (await ended(bench))[REASON] == Reason.CANCELLED
        await bench.until(lambda: not len(bench.core._screen.looks))
        await bench.core._writer.flush()
        assert rows(bench) == []

    run(tmp_path, scenario)


def test_it_goes_with_its_lane(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await suspected(bench)
        await bench.core.configure("w", 2, msgpack.packb({}))
        await bench.until(lambda: bool(bench.told()))
        assert (await ended(bench))[REASON] == Reason.NO_ROUTE
        await bench.until(lambda: not len(bench.core._screen.looks))

    run(tmp_path, scenario)


def test_it_takes_no_room_of_its_lane(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await suspected(bench, *(text(bench, number) for number in range(1, 21)))
        runner = bench.core._lanes.running["w/main"]
        assert (runner.status()["delayed"], len(runner.queue), runner.queue.outside) == (20, 0, 0)
        assert bench.carrier().seen.units == 0
        await bench.offer(bench.message(99))
        await bench.until(lambda: bool(bench.told()))
        assert bench.told()[f"{99:032x}"][REASON] == Reason.SENT

    run(tmp_path, scenario)


def test_only_so_many_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(bench: Bench) -> None:
        monkeypatch.setattr(limits, "FRAUD_DELAYED", 1)
        await suspected(bench)
        await bench.offer(text(bench, 2))
        await bench.until(lambda: bool(bench.told()))
        assert (await ended(bench, 2))[REASON] == Reason.FRAUD_CHALLENGED
        assert (await ended(bench, 1))[REASON] == Reason.FRAUD_CHALLENGED
        await bench.offer(text(bench, 3))
        await bench.until(lambda: len(delayed(bench)) == 2)

    run(tmp_path, scenario)


def test_one_with_another_route_takes_it_if_its_lane_is_away_by_then(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await suspected(bench, [*text(bench), "", "", None, 0, False])
        runner = bench.core._lanes.running["w/main"]
        runner._overflow.away = Reason.CARRIER_UNAVAILABLE, "its circuit is open"
        (message,) = runner._delayed.due(bench.clock.now_ms() + WAIT_MS)
        runner._look_again(message)
        await bench.until(lambda: bool(bench.told()))
        assert (await ended(bench))[REASON] == Reason.CARRIER_UNAVAILABLE

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("delay", "words"), [("30s", "shorter than a minute"), ("2d", "longer than 1d")]
)
def test_a_delay_has_bounds(delay: Any, words: str) -> None:
    with pytest.raises(DefinitionError, match=words):
        guard_from({"guard": "default", "purposes": {"otp": {"delay": delay}}})
