"""Text messages over one SMPP bind: what the wire takes, and what the whole engine gets through it.

The other side is an SMSC made of npm's `smpp`, a process of its own on the same machine, which
takes every submit and tells its delivery at once. Each round measures both in the same minutes:

- `wire_submits_per_s`: the adapter alone, in this process, from the first submit until the last
  answer; no receipts.
- `wire_receipts_per_s`: the same with receipts, until the last is delivered and confirmed.
- `wire_cpu_us`: this process' CPU time for one submit and its receipt.
- `sms_per_s`: the whole engine, as `messages_per_s` of `make bench`: event, journey, template,
  guard, lane, bind, receipt, journaled; until the last delivery receipt is.
- `sms_vs_wire`: their ratio.

Results go to bench/smpp.json.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import uvloop

from actors.carriers import registry
from actors.carriers.base import CarrierMessage, CarrierReceipt, Inbound, Outcome
from actors.clock import SystemClock
from bench.measured import DEFINITIONS, MeasuredInstance
from engine import limits
from engine.lanes.definition import Lane
from tests.support.smsc import Smsc

ROUNDS = 3
MESSAGES = 40_000
WINDOW = 500
WARM = 10 * limits.SUBMIT_MESSAGES
OUT = Path(__file__).parent / "smpp.json"


def main() -> int:
    """Runs the rounds, prints the table, writes smpp.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--messages", type=int, default=MESSAGES)
    parser.add_argument("--window", type=int, default=WINDOW)
    parser.add_argument("--wire-only", action="store_true")
    args = parser.parse_args()
    figures: dict[str, list[float]] = {}
    for number in range(1, args.rounds + 1):
        print(f"round {number} of {args.rounds}", flush=True)
        one_round(args, number, figures)
    print(f"\n{'':22} {'median':>10} {'min':>10} {'max':>10}")
    for name, values in figures.items():
        median = statistics.median(values)
        print(f"{name:22} {median:10,.2f} {min(values):10,.2f} {max(values):10,.2f}")
    OUT.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


def one_round(args: argparse.Namespace, number: int, figures: dict[str, list[float]]) -> None:
    """The wire, then the engine."""
    with Smsc(quiet=True) as smsc:
        options = smsc.options(window=args.window, receipt_ids="same")
        submits_per_s, _ = uvloop.run(wire(options, args.messages, receipts=False))
        keep(figures, "wire_submits_per_s", submits_per_s)
    with Smsc(quiet=True, receipt={}) as smsc:
        options = smsc.options(window=args.window, receipt_ids="same")
        receipts_per_s, cpu_us = uvloop.run(wire(options, args.messages, receipts=True))
        keep(figures, "wire_receipts_per_s", receipts_per_s)
        keep(figures, "wire_cpu_us", cpu_us)
        if args.wire_only:
            return
        directory = Path(tempfile.mkdtemp(prefix="denrei-bench-"))
        with MeasuredInstance(directory, None, [definitions(options)]) as engine:
            run = f"s{number}-{int(time.time())}"
            rate = engine.messages_per_s(run, args.messages)
        keep(figures, "sms_per_s", rate)
        keep(figures, "sms_vs_wire", rate / receipts_per_s)


def keep(figures: dict[str, list[float]], name: str, value: float) -> None:
    """Notes one figure and says it."""
    figures.setdefault(name, []).append(value)
    print(f"  {name:22} {value:10,.2f}", flush=True)


def definitions(options: dict[str, Any]) -> str:
    """The benchmark's definitions, with the lane on SMPP."""
    lane = f"carrier: smpp\noptions: {json.dumps(options)}\n"
    return DEFINITIONS.read_text().replace("carrier: sandbox\n", lane)


async def wire(options: dict[str, Any], count: int, receipts: bool) -> tuple[float, float]:
    """The adapter alone: as many batches in flight as a lane has.

    Returns:
        Messages a second, and this process' CPU time for one in microseconds.
    """
    told = 0
    all_told = asyncio.Event()

    async def deliver(brought: Sequence[CarrierReceipt]) -> None:
        nonlocal told
        told += len(brought)
        if told >= count:
            all_told.set()

    async def inbound(messages: Sequence[Inbound]) -> None:
        raise AssertionError(messages)

    lane = Lane("main", "sms", "smpp", options, "+15005550006", ("*",), ())
    carrier = registry.make(registry.CarrierSetup(lane, "bench/main", SystemClock(), 1))
    count += WARM
    batches = batches_of(count)
    await carrier.start(deliver, inbound)
    try:
        for _ in range(WARM // limits.SUBMIT_MESSAGES):
            await carrier.submit(next(batches))  # bound, and the other side's code compiled
        timed = count - (WARM // limits.SUBMIT_MESSAGES) * limits.SUBMIT_MESSAGES
        started, cpu_s = time.perf_counter(), time.process_time()

        async def worker() -> None:
            for batch in batches:
                results = await carrier.submit(batch)
                assert all(each.outcome is Outcome.ACCEPTED for each in results)

        flights = limits.LANE_IN_FLIGHT_MESSAGES // limits.SUBMIT_MESSAGES
        await asyncio.gather(*(worker() for _ in range(flights)))
        if receipts:
            await all_told.wait()
        elapsed_s = time.perf_counter() - started
        return timed / elapsed_s, (time.process_time() - cpu_s) / timed * 1e6
    finally:
        await carrier.stop()


def batches_of(count: int) -> Iterator[list[CarrierMessage]]:
    """So many messages, in batches of a lane's size."""
    expires_ms = SystemClock().now_ms() + 3_600_000
    messages = [
        CarrierMessage(
            f"{number:032x}", "sms", "+15005550006", f"+1202555{number % 10_000:04d}", "",
            f"Hi Ann {number}, your order {number} has left our house.", 1, 0, "transactional",
            expires_ms,
        )
        for number in range(count)
    ]  # fmt: skip
    size = limits.SUBMIT_MESSAGES
    return iter([messages[at : at + size] for at in range(0, count, size)])


if __name__ == "__main__":
    sys.exit(main())
