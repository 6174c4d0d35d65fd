"""The sandbox carrier does what its options say, and the same again from the same seed."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import pytest

from actors.carriers import registry
from actors.carriers.base import CarrierMessage, CarrierReceipt, Inbound, Outcome
from actors.carriers.sandbox import SandboxCarrier, SeenUnits
from actors.clock import ManualClock
from engine import limits
from engine.lanes.definition import Lane
from engine.reasons import Reason


def messages(count: int, units: int = 1, attempt: int = 0) -> list[CarrierMessage]:
    return [
        CarrierMessage(f"{n:032x}", "sms", "", "+12025550123", "", "hi", units, attempt)
        for n in range(count)
    ]


class Bench:
    """A sandbox carrier with a clock, and the receipts it gave."""

    def __init__(self, seed: int = 7, directory: Path | None = None, **options: Any) -> None:
        self.clock = ManualClock()
        lane = Lane("main", "sms", "sandbox", options, "", ("*",), ((100, 1_000, None),))
        setup = registry.CarrierSetup(lane, "w/main", self.clock, seed, directory=directory)
        carrier = registry.make(setup)
        assert isinstance(carrier, SandboxCarrier)
        self.carrier = carrier
        self.receipts: list[CarrierReceipt] = []

    async def __aenter__(self) -> Self:
        await self.carrier.start(self.deliver, self.take_inbound)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.carrier.stop()

    async def take_inbound(self, messages: Sequence[Inbound]) -> None:
        raise AssertionError(messages)  # nobody writes to a sandbox

    async def deliver(self, receipts: Sequence[CarrierReceipt]) -> None:
        self.receipts += receipts

    async def settle(self, ms: int = 0) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        self.clock.advance(ms)
        for _ in range(20):
            await asyncio.sleep(0)


async def run_once(seed: int, **options: Any) -> tuple[list[Outcome], list[CarrierReceipt]]:
    async with Bench(seed, **options) as bench:
        results = await bench.carrier.submit(messages(2_000))
        for _ in range(20):
            await bench.settle(1_000)
        return [result.outcome for result in results], bench.receipts


def test_an_honest_carrier_takes_and_delivers_everything_at_once() -> None:
    outcomes, receipts = asyncio.run(run_once(1))
    assert set(outcomes) == {Outcome.ACCEPTED}
    assert [receipt.reason for receipt in receipts] == [Reason.DELIVERED] * 2_000


def test_it_does_the_same_again_from_the_same_seed() -> None:
    options = {"reject": 0.1, "fail": 0.1, "unknown": 0.1, "lost": 0.2, "receipt_ms": (0, 5_000)}
    first, second = (asyncio.run(run_once(3, **options)) for _ in range(2))
    assert first == second
    assert asyncio.run(run_once(4, **options)) != first


@pytest.mark.parametrize(
    ("option", "outcome"),
    [
        ("reject", Outcome.REJECTED),
        ("fail", Outcome.FAILED),
        ("throttle", Outcome.THROTTLED),
        ("unknown", Outcome.UNKNOWN),
    ],
)
def test_shares_of_outcomes_are_as_asked(option: str, outcome: Outcome) -> None:
    outcomes, _ = asyncio.run(run_once(5, **{option: 0.25}))
    assert Counter(outcomes)[outcome] == pytest.approx(500, rel=0.15)


def test_receipts_come_late_twice_out_of_order_or_never() -> None:
    _, receipts = asyncio.run(run_once(6, lost=0.3, duplicated=0.2, receipt_ms=(0, 9_000)))
    times = Counter(receipt.provider_id for receipt in receipts)
    assert len(times) == pytest.approx(1_400, rel=0.1)
    assert Counter(times.values())[2] == pytest.approx(280, rel=0.25)
    assert [r.provider_id for r in receipts] != sorted(r.provider_id for r in receipts)


def test_half_of_the_unknown_were_taken_and_are_told_of_with_our_reference() -> None:
    outcomes, receipts = asyncio.run(run_once(8, unknown=1.0))
    assert set(outcomes) == {Outcome.UNKNOWN}
    assert len({receipt.reference for receipt in receipts}) == pytest.approx(1_000, rel=0.1)


def test_receipts_are_on_their_way_in_order_and_not_too_many_at_once() -> None:
    count = limits.SANDBOX_UNTOLD + 500

    async def run() -> None:
        async with Bench() as bench:
            journaled = asyncio.Event()

            async def deliver(receipts: Sequence[CarrierReceipt]) -> None:
                bench.receipts += receipts
                await journaled.wait()

            bench.carrier._deliver = deliver
            await bench.carrier.submit(messages(count))
            await bench.settle()
            assert len(bench.receipts) == limits.SANDBOX_UNTOLD
            assert bench.carrier.status()["receipts_waiting"] == 500
            journaled.set()
            await bench.settle()
            told = [receipt.provider_id for receipt in bench.receipts]
            assert told == [f"sb-{message.id}" for message in messages(count)]

    asyncio.run(run())


def test_it_throttles_above_its_own_limit() -> None:
    async def run() -> Counter[Outcome]:
        async with Bench(most=100) as bench:
            results = await bench.carrier.submit(messages(70, units=2))
            bench.clock.advance(1_000)
            results += await bench.carrier.submit(messages(70, units=2))
            assert {r.retry_after_ms for r in results if r.outcome is Outcome.THROTTLED} == {1_000}
            return Counter(result.outcome for result in results)

    assert asyncio.run(run())[Outcome.ACCEPTED] == 100


def test_a_submit_takes_as_long_as_asked_and_is_seen_inside_it() -> None:
    async def run() -> None:
        async with Bench(latency_ms=(50, 50)) as bench:
            start = bench.clock.now_ms()
            task = asyncio.ensure_future(bench.carrier.submit(messages(1)))
            await bench.settle(49)
            assert not task.done()
            await bench.settle(1)
            assert task.done()
            assert start <= bench.carrier.seen._ring[0][0] <= start + 50

    asyncio.run(run())


def test_the_most_in_any_window_is_exact() -> None:
    seen = SeenUnits()
    for at, units in [(0, 5), (10, 5), (999, 1), (1_000, 7), (1_009, 1), (3_000, 11)]:
        seen.add(at, units)
    assert seen.max_in_any_window(1_000) == 14  # from 10 to 1,009
    assert seen.max_in_any_window(1) == 11
    assert seen.max_in_any_window(10_000) == 30


def test_the_log_has_every_message_before_submit_returns(tmp_path: Path) -> None:
    path = tmp_path / "sandbox" / "taken.log"

    async def run() -> None:
        async with Bench(directory=tmp_path, log="taken.log") as bench:
            await bench.carrier.submit(messages(3, units=2))
            lines = [line.split("\t") for line in path.read_text().splitlines()]
            assert [line[0] for line in lines] == [message.id for message in messages(3)]
            assert lines[0][1:] == ["w/main", str(bench.clock.now_ms()), "2", "0", "ACCEPTED"]

    asyncio.run(run())


@pytest.mark.parametrize("log", ["/etc/passwd", "../codes.key", "a/b", ".x", "..", "a" * 101])
def test_the_log_is_a_file_of_the_sandbox_alone(log: str) -> None:
    with pytest.raises(registry.UnknownCarrier, match="log"):
        Bench(log=log)


def test_the_log_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "sandbox" / "out").symlink_to(tmp_path / "elsewhere")

    async def run() -> None:
        with pytest.raises(OSError, match="symbolic links"):
            async with Bench(directory=tmp_path, log="out"):
                pass

    asyncio.run(run())
    assert not (tmp_path / "elsewhere").exists()


def test_wrong_options_and_names_are_told_with_what_would_be_right() -> None:
    def lane(carrier: str, **options: Any) -> Lane:
        return Lane("main", "sms", carrier, options, "", ("*",), ())

    with pytest.raises(
        registry.UnknownCarrier, match=r"no carrier 'sandbx'; did you mean 'sandbox'"
    ):
        registry.check(lane("sandbx"))
    with pytest.raises(registry.UnknownCarrier, match=r"no carrier 'x'; there are: .*sandbox"):
        registry.check(lane("x"))
    with pytest.raises(registry.UnknownCarrier, match=r"options\.reject: .*less than or equal"):
        registry.check(lane("sandbox", reject=2))
    with pytest.raises(registry.UnknownCarrier, match=r"options\.latency: Extra inputs"):
        registry.check(lane("sandbox", latency=2))
