"""Filling under load: `make bench-filling`.

People and a past of events first, until the archive has most of them. Then an open loop at a share
of the rate that was just reached, and in the middle of it new definitions are applied. Compared is
the latency of acknowledgements before and after the filling with the one in it, so each ratio is of
one minute and one load. Each case is another sort of definitions; each round has a new instance.

A batch counts where it was due: in the filling from the moment of the apply until every shard says
that it is filled; before it after a few seconds to settle, and after it likewise.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from actors.store.identity import read_identity
from actors.store.reader import JournalReader
from bench.measured import DEFINITIONS, MeasuredInstance
from engine import commands

PEOPLE = 100_000
PAST = 500_000
SHARE = 0.5
BATCH = 100
ROUNDS = 3
SETTLE_S = 4.0
NORMAL_S = 10.0  # before, and as long after
LONGEST_S = 150.0
LOOK_S = 0.25
ARCHIVING_S = 25.0
ARCHIVING_LOOKS = 5  # with a small --past there may be nothing to archive
OUT = Path(__file__).parent / "filling.json"

_BOUGHT = (
    "{{event: {event}, where: {{property: price, at_least: {price}}}, at_least: 2, within: 30d}}"
)
_EVENTS = ("Product Viewed", "Product Added", "Order Completed")


def _twenty() -> str:
    """Twenty at once: fourteen ask for the past of three events, six for traits."""
    texts = [
        f"segment: twenty-{n}\nwhen: "
        + _BOUGHT.format(event=_EVENTS[n % len(_EVENTS)], price=5 + 5 * n)
        for n in range(14)
    ]
    texts += [
        f"segment: twenty-{n}\nwhen: {{trait: first_name, is: Name{n}}}" for n in range(14, 20)
    ]
    return "\n---\n".join(texts)


CASES = {
    "events": "segment: adders\nwhen: {event: Product Added, at_least: 2, within: 30d}",
    "traits": "segment: free\nwhen: {trait: plan, is: free}",
    "changed": "segment: engaged\nwhen: " + _BOUGHT.format(event="Product Viewed", price=1),
    "twenty": _twenty(),
    "computed": (
        "trait: spent\ncompute: {sum: {event: Order Completed, property: price}}\n---\n"
        "segment: spenders\nwhen: {trait: spent, at_least: 50}"
    ),
}
_NAMED = {
    "events": "adders", "traits": "free", "changed": "engaged", "twenty": "twenty-0",
    "computed": "spenders",
}  # fmt: skip


class Case(NamedTuple):
    """What one filling did.

    Attributes:
        name: Its case.
        rate: Events a second of the load beside it.
        normal: Milliseconds until acknowledgement of the batches before it and after it, ascending.
        filling: The same of those in it.
        seconds: How long it took.
        kept: How many commands the journals and archives held.
        people: How many people are in its segment (of twenty, in the first).
    """

    name: str
    rate: float
    normal: list[float]
    filling: list[float]
    seconds: float
    kept: float
    people: int

    def figures(self) -> dict[str, float]:
        """What is told of it."""
        p99 = at(self.normal, 0.99), at(self.filling, 0.99)
        return {
            "p50_normal_ms": at(self.normal, 0.5),
            "p50_filling_ms": at(self.filling, 0.5),
            "p99_normal_ms": p99[0],
            "p99_filling_ms": p99[1],
            "p99_ratio": p99[1] / p99[0],
            "worst_filling_ms": self.filling[-1],
            "seconds": self.seconds,
            "commands_per_s": self.kept / self.seconds,
            "people_per_s": PEOPLE / self.seconds,
        }


def main() -> int:
    """Runs the rounds, prints the table, writes filling.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--past", type=int, default=PAST, help="events before the first filling")
    parser.add_argument("--share", type=float, default=SHARE, help="of the rate reached")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {name: [] for name in args.cases}
    for number in range(1, args.rounds + 1):
        print(f"round {number} of {args.rounds}, load {Path('/proc/loadavg').read_text()[:14]}")
        for case in one_round(f"r{number}", args.past, args.share, args.cases):
            figures = case.figures()
            found[case.name].append(figures)
            told = ", ".join(f"{name} {value:,.1f}" for name, value in figures.items())
            print(f"  {case.name} at {case.rate:,.0f}/s: {told}", flush=True)
    report(found, args)
    return 0


def one_round(run: str, past: int, share: float, names: list[str]) -> list[Case]:
    """All cases, one after the other, on one instance."""
    directory = Path(tempfile.mkdtemp(prefix="denrei-bench-"))
    with MeasuredInstance(directory, None, [DEFINITIONS.read_text()]) as engine:
        engine.load("profiles", f"p{run}", PEOPLE, PEOPLE)
        loaded = engine.load("shop", f"past{run}", past, PEOPLE, batch=BATCH)
        archived, all_ = wait_for_archive(directory)
        reached = loaded["events_per_s"]
        print(
            f"  {all_:,} commands, {archived:,} of them archived; {reached:,.0f} events/s reached"
        )
        rate = reached * share
        return [one_case(engine, directory, name, f"{run}{name}", rate) for name in names]


def one_case(engine: MeasuredInstance, directory: Path, name: str, run: str, rate: float) -> Case:
    """The load, and in its middle the definitions."""
    trace, until = directory / "trace.json", directory / "until"
    until.unlink(missing_ok=True)
    load = engine.start_load(
        "shop", run, events=int(rate * LONGEST_S), users=PEOPLE, rate=rate, batch=BATCH,
        trace=trace, until=until,
    )  # fmt: skip
    assert load.stdout is not None
    load.stdout.readline()  # it begins now
    began = time.perf_counter()
    look_until(engine, "vip", began + SETTLE_S + NORMAL_S)
    kept = engine.shard_total("commands")
    applied = time.perf_counter()
    engine.apply(CASES[name])
    filled = look_until_filled(engine, _NAMED[name], load)
    look_until(engine, "vip", filled + SETTLE_S + NORMAL_S)
    until.touch()
    load.communicate(timeout=120)
    batches = [(due, late * 1e3) for due, late in json.loads(trace.read_text())]
    normal = [
        late
        for due, late in batches
        if began + SETTLE_S <= due < applied or due >= filled + SETTLE_S
    ]
    filling = [late for due, late in batches if applied <= due < filled]
    people = engine.members(_NAMED[name])
    return Case(name, rate, sorted(normal), sorted(filling), filled - applied, kept, people)


def look_until_filled(
    engine: MeasuredInstance, segment: str, load: "subprocess.Popen[str]"
) -> float:
    """Asks until a filling has begun and ended; gives the moment."""
    began = False
    while load.poll() is None:
        time.sleep(LOOK_S)
        filled = engine.segment(segment).filled
        if began and filled:
            return time.perf_counter()
        began = began or not filled
    msg = f"the filling took longer than the load, {LONGEST_S:.0f} s"
    raise RuntimeError(msg)


def look_until(engine: MeasuredInstance, segment: str, moment: float) -> None:
    """Asks as often as while it is filled, so that asking makes no difference."""
    while time.perf_counter() < moment:
        time.sleep(LOOK_S)
        engine.segment(segment)


def wait_for_archive(directory: Path) -> tuple[int, int]:
    """Waits until no more goes into the archive; gives what it holds, and what all that is kept is.

    A host archives a file of each shard every 10 s, as far as checkpoints have come, and those go
    round in 15 s. What does not fill a file stays in the journal, and is read from there.
    """
    before = 0
    for _ in range(ARCHIVING_LOOKS):
        time.sleep(ARCHIVING_S)
        archived = sum(reader.archive.last_seq for reader in _readers(directory))
        if archived and archived == before:
            break
        before = archived
    inside = kept = 0
    for reader in _readers(directory):
        last = reader.archive.last_seq
        for entry in reader.entries():
            number = sum(len(chunk) for chunk in commands.unpack_payload(entry.payload))
            kept += number
            inside += number if entry.seq <= last else 0
    return inside, kept


def _readers(directory: Path) -> list[JournalReader]:
    identity = read_identity(directory)
    assert identity is not None
    return [JournalReader(directory, shard) for shard in range(identity.shards)]


def at(values: list[float], part: float) -> float:
    """A quantile of what is sorted."""
    return values[min(int(len(values) * part), len(values) - 1)]


def report(found: dict[str, list[dict[str, float]]], args: argparse.Namespace) -> None:
    """Prints medians with their spread, and writes them."""
    result: dict[str, Any] = {"share": args.share, "past": args.past, "rounds": args.rounds}
    print(f"\n{'':10} {'':20} {'median':>10} {'min':>10} {'max':>10}")
    for name, rounds in found.items():
        result[name] = {"spread": {}}
        for figure in rounds[0]:
            values = sorted(one[figure] for one in rounds)
            middle = statistics.median(values)
            print(f"{name:10} {figure:20} {middle:10,.2f} {values[0]:10,.2f} {values[-1]:10,.2f}")
            result[name][figure] = round(middle, 3)
            result[name]["spread"][figure] = [round(value, 3) for value in values]
    args.out.write_text(json.dumps(result, indent=2) + "\n")
    print(f"\nwritten to {args.out.name}")


if __name__ == "__main__":
    sys.exit(main())
