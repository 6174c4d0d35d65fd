"""Runs all measurements on this machine, in turns, and prints medians with their spread.

Each round starts the floor and the engine one after the other, so that both see the same minutes
of a noisy machine. Results go to bench/out.json; see bench/README.md for what each key means.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bench import many
from bench.floor import FloorHost
from bench.measured import MeasuredInstance

ROUNDS = 3
EVENTS = 300_000
USERS = 100_000
MESSAGES = 100_000
RECOVERY_PROFILES = 100_000
OUT = Path(__file__).parent / "out.json"

Figures = dict[str, list[float]]


def main() -> int:
    """Runs the rounds, prints the table, writes out.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--scale", type=float, default=1.0, help="events and messages, times this")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    figures: Figures = {}
    for number in range(1, args.rounds + 1):
        print(f"round {number} of {args.rounds}", flush=True)
        one_round(figures, args.scale, f"r{number}-{int(time.time())}")
    floors = figures["floor_events_per_s"]
    for name in ("engine", "many"):
        rates = figures[f"{name}_events_per_s"]
        figures[f"{name}_vs_floor"] = [a / b for a, b in zip(rates, floors, strict=True)]
    report(figures, args.out)
    return 0


def one_round(figures: Figures, scale: float, run: str) -> None:
    """The floor, then the engine with everything that is asked of it."""
    events = int(EVENTS * scale)
    keep(figures, "machine_loop_ns", loop_ns())
    with instance(FloorHost) as floor:
        floor.load("shop", f"w{run}", events=events // 6, users=USERS)  # warm
        loaded = floor.load("shop", f"f{run}", events=events, users=USERS)
        keep(figures, "floor_events_per_s", loaded["events_per_s"])
    with instance(None) as engine:
        empty_mb = engine.hosts_rss_mb()
        profiles = int(RECOVERY_PROFILES * scale)
        engine.load("profiles", f"p{run}", events=profiles, users=profiles)
        full_mb = engine.hosts_rss_mb()
        keep(figures, "rss_mb_per_100k_profiles", (full_mb - empty_mb) * 100_000 / profiles)
        cpu_s = engine.cpu_s()
        loaded = engine.load("shop", f"e{run}", events=events, users=USERS)
        keep(figures, "engine_events_per_s", loaded["events_per_s"])
        keep(figures, "cpu_us_per_event", (engine.cpu_s() - cpu_s) / loaded["events"] * 1e6)
        half = loaded["events_per_s"] / 2
        for phase in ("settle", "half"):  # the first until what full load left behind is written
            loaded = engine.load(
                "shop",
                f"{phase}{run}",
                events=int(half * 8 * scale),
                users=USERS,
                rate=half,
            )
        keep(figures, "ack_p50_ms_half_load", loaded["p50_ms"])
        keep(figures, "ack_p99_ms_half_load", loaded["p99_ms"])
        messages = int(MESSAGES * scale)
        keep(figures, "messages_with_carts_per_s", engine.messages_per_s(f"c{run}", messages))
        keep(figures, "recovery_s_100k_profiles", engine.recovery_s())
    with instance(None) as engine:
        keep(figures, "messages_per_s", engine.messages_per_s(f"m{run}", messages))
    with instance(None, many.documents()) as engine:
        engine.load("profiles", f"mp{run}", events=profiles, users=USERS)
        loaded = engine.load("shop", f"me{run}", events=events, users=USERS)
        keep(figures, "many_events_per_s", loaded["events_per_s"])
    keep(figures, "apply_us_5_segments", many.apply_us(5, 3))
    keep(figures, "apply_us_200_segments", many.apply_us(many.SEGMENTS, many.JOURNEYS))


def loop_ns() -> float:
    """One turn of a plain loop in Python: how quick this machine is at this moment."""
    turns, total = 2_000_000, 0
    started = time.process_time()
    for number in range(turns):
        total += number
    return (time.process_time() - started) / turns * 1e9


def instance(host_class: Any, definitions: Iterable[str] | None = None) -> MeasuredInstance:
    """An instance on a store of its own."""
    directory = Path(tempfile.mkdtemp(prefix="denrei-bench-"))
    return MeasuredInstance(directory, host_class, definitions)


def keep(figures: Figures, name: str, value: float) -> None:
    """Notes one figure and says it."""
    figures.setdefault(name, []).append(value)
    print(f"  {name:30} {value:12,.1f}", flush=True)


def report(figures: Figures, out: Path) -> None:
    """Prints the table and writes the medians and spreads."""
    median: Callable[[list[float]], float] = statistics.median
    print(f"\n{'':30} {'median':>12} {'min':>12} {'max':>12}")
    result: dict[str, Any] = {"spread": {}}
    for name, values in figures.items():
        print(f"{name:30} {median(values):12,.2f} {min(values):12,.2f} {max(values):12,.2f}")
        result[name] = round(median(values), 3)
        result["spread"][name] = [round(value, 3) for value in sorted(values)]
    out.write_text(json.dumps(result, indent=2) + "\n")
    print(f"\nwritten to {out.name}: {', '.join(figures)}")


if __name__ == "__main__":
    sys.exit(main())
