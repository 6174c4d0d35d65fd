"""Timers at scale: `make bench-timers`.

A million people who did something leave a segment one after the other, each at the exact moment at
which `within` is over, by time alone; and a million runs of a journey wait at a delay. Both on a
running instance. Beside them, over the same data in the same run, what the usual way costs: the
whole segment computed again every two minutes (DuckDB).

Lateness is measured from outside: at each look the number of members says up to which moment the
segment is true; the difference to the moment of the look is the lateness.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from bench.measured import MeasuredInstance

PEOPLE = 1_000_000
PER_S = 10_000  # how many leave the segment in a second
WITHIN_S = 1_200
RECOMPUTE_S = 120
LOOK_S = 0.2
SETTLE_S = 30
OUT = Path(__file__).parent / "timers.json"
SEGMENT = f"segment: recent\nwhen: {{event: Visited, within: {WITHIN_S}s}}"
JOURNEY = f"journey: parked\nentry: {{event: Visited}}\nsteps:\n  wait: {{delay: {WITHIN_S}s}}"


@dataclass(frozen=True)
class Plan:
    """When whose membership ends: person `n` of `people` at `first_s + n / per_s`."""

    people: int
    per_s: float
    first_s: float

    def members_at(self, now_s: float) -> float:
        """How many there should be."""
        return min(self.people, max(0.0, self.people - (now_s - self.first_s) * self.per_s))

    def true_at(self, members: int) -> float:
        """The moment for which a number of members is right."""
        return self.first_s + (self.people - members) / self.per_s


def main() -> int:
    """Runs the three, prints the figures, writes timers.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    figures = {"people": float(args.people)}
    figures |= expiry(args.people)
    figures |= parked(args.people)
    figures |= recomputed(args.people)
    for name, value in figures.items():
        print(f"{name:36} {value:14,.2f}")
    args.out.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


def expiry(people: int) -> dict[str, float]:
    """Everyone leaves the segment by time alone: how late, and at what cost."""
    with instance(SEGMENT) as engine:
        first_s = time.time() + 15 + people / 12_000  # when all are loaded
        plan = Plan(people, PER_S, first_s)
        load(engine, plan)
        wait_until(first_s)
        cpu_s, began_s = engine.cpu_s(), time.time()
        late: list[float] = []
        while True:
            members = engine.members("recent")
            now_s = time.time()
            if 0 < plan.members_at(now_s) < people:
                late.append(max(0.0, now_s - plan.true_at(members)))
            if not members:
                break
            time.sleep(LOOK_S)
        took_s = time.time() - began_s
        late.sort()
        return {
            "expiries_per_s": people / took_s,
            "expiry_late_p50_ms": late[len(late) // 2] * 1e3,
            "expiry_late_p99_ms": late[int(len(late) * 0.99)] * 1e3,
            "expiry_cpu_us": (engine.cpu_s() - cpu_s) / people * 1e6,
        }


def parked(people: int) -> dict[str, float]:
    """Everyone waits at a delay: the memory of a parked run, and of an idle instance's CPU."""
    with instance(JOURNEY) as engine:
        empty_mb = engine.hosts_rss_mb()
        load(engine, Plan(people, PER_S, time.time() + WITHIN_S))
        full_mb = engine.hosts_rss_mb()
        time.sleep(SETTLE_S)  # until what loading left behind is written
        cpu_s = engine.cpu_s()
        time.sleep(10)
        return {
            "parked_runs": engine.shard_total("timers"),
            "parked_bytes_each": (full_mb - empty_mb) * 1e6 / people,
            "parked_idle_cpu_percent": (engine.cpu_s() - cpu_s) / 10 * 100,
        }


def recomputed(people: int) -> dict[str, float]:
    """The same segment, computed whole every two minutes: its CPU, and how late that is."""
    database = duckdb.connect()
    database.execute(
        "CREATE TABLE event AS SELECT 'user-' || i AS person, 'Visited' AS name,"
        f" i / {PER_S}.0 AS at_s FROM range({people}) t(i)"
    )
    looks = max(1, round(people / PER_S / RECOMPUTE_S))
    started = time.process_time()
    for look in range(looks):
        database.execute(
            "SELECT count(*) FROM (SELECT person FROM event WHERE name = 'Visited' AND at_s > ?"
            " GROUP BY person HAVING count(*) >= 1)",
            [look * RECOMPUTE_S],
        ).fetchall()
    cpu_s = (time.process_time() - started) / looks
    return {
        "recompute_cpu_s": cpu_s,
        "recompute_cpu_percent": cpu_s / RECOMPUTE_S * 100,
        "recompute_late_p99_ms": RECOMPUTE_S * 0.99 * 1e3,
    }


def load(engine: MeasuredInstance, plan: Plan) -> None:
    """One event for each person, dated so that its time is up as planned."""
    loaded = engine.load(
        "visits", "v", plan.people, plan.people, due_from=plan.first_s - WITHIN_S, due_per_s=PER_S
    )
    print(f"loaded {loaded['events']:,.0f} at {loaded['events_per_s']:,.0f}/s", flush=True)


def instance(definitions: str) -> MeasuredInstance:
    """An instance on a store of its own."""
    directory = Path(tempfile.mkdtemp(prefix="denrei-bench-"))
    host_class: Any = None
    return MeasuredInstance(directory, host_class, [definitions])


def wait_until(moment_s: float) -> None:
    """Sleeps; an error if the moment has passed."""
    left_s = moment_s - time.time()
    if left_s < 0:
        msg = f"loading took {-left_s:.0f} s longer than planned; run it with fewer --people"
        raise RuntimeError(msg)
    time.sleep(left_s)


if __name__ == "__main__":
    sys.exit(main())
