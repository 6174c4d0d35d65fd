"""Filling under load: `make bench-filling`.

People and a past of events first. Then an open loop at a share of the rate that was just reached,
and in the middle of it new definitions are applied. Compared is the latency of acknowledgements
before and after the filling with the one in it, so each ratio is of one minute and one load. Each
case is another sort of definitions; each round has a new instance.

A batch counts where it was due: in the filling from the moment of the apply until every shard says
that it is filled; before it after a few seconds to settle, and after it likewise. A filling that is
not done when the longest time is over counts with what it did until then, goes on without the load,
and the next case begins when it is done.

What is normal is looked at for as long as a filling at most. A machine that others share has slow
seconds of its own, several of them in a minute, and p99 is made of them: next to a few quick
seconds any minute looks bad. The case `nothing` applies something that nobody is evaluated for: how
far its ratio is from 1 tells what the machine does by itself.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from actors.store.archive import ShardArchive
from actors.store.identity import read_identity
from bench.measured import DEFINITIONS, MeasuredInstance

PEOPLE = 100_000
PAST = 500_000
SHARE = 0.5
BATCH = 100
ROUNDS = 3
BEGIN_S = 12.0  # until a load writes as many rows as it always will: a round of checkpoints
SETTLE_S = 2.0  # after a filling
LONGEST_S = 60.0
NORMAL_S = LONGEST_S  # before
AFTER_S = 6.0
LOOK_S = 0.25
UNLOADED_S = 300.0  # until a filling is done that had not the time to, at most
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
    "nothing": "template: greeting\nchannel: sms\nbody: Hello.",
}
_NAMED = {
    "events": "adders", "traits": "free", "changed": "engaged", "twenty": "twenty-0",
    "computed": "spenders", "nothing": "vip",
}  # fmt: skip


USUAL = ("events", "changed")


class Case(NamedTuple):
    """What one filling did.

    Attributes:
        name: Its case.
        rate: Events a second of the load beside it.
        normal: Milliseconds until acknowledgement of the batches before it and after it, ascending.
        filling: The same of those in it.
        seconds: How long it took, or was looked at.
        done: Which part of the people was done with by then; 1 if it ended.
        kept: How many commands the journals and archives held.
    """

    name: str
    rate: float
    normal: list[float]
    filling: list[float]
    seconds: float
    done: float
    kept: float

    def figures(self) -> dict[str, float]:
        """What is told of it."""
        p99 = at(self.normal, 0.99), at(self.filling, 0.99)
        return {
            "p50_normal_ms": at(self.normal, 0.5),
            "p50_filling_ms": at(self.filling, 0.5),
            "p99_normal_ms": p99[0],
            "p99_filling_ms": p99[1],
            "p99_ratio": p99[1] / p99[0],
            "worst_normal_ms": self.normal[-1],
            "worst_filling_ms": self.filling[-1],
            "seconds": self.seconds,
            "done": self.done,
            "commands_before": self.kept,
            "people_per_s": PEOPLE * self.done / self.seconds,
        }


def main() -> int:
    """Runs the rounds, prints the table, writes filling.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--past", type=int, default=PAST, help="events before the first filling")
    parser.add_argument("--share", type=float, default=SHARE, help="of the rate reached")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(USUAL))
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


def one_round(run: str, past: int, share: float, names: list[str]) -> Iterator[Case]:
    """All cases, one after the other, on one instance."""
    directory = Path(tempfile.mkdtemp(prefix="denrei-bench-"))
    with MeasuredInstance(directory, None, [DEFINITIONS.read_text()]) as engine:
        engine.load("profiles", f"p{run}", PEOPLE, PEOPLE)
        loaded = engine.load("shop", f"past{run}", past, PEOPLE, batch=BATCH)
        reached = loaded["events_per_s"]
        kept, entries = engine.shard_total("commands"), engine.shard_total("entries")
        print(
            f"  {kept:,.0f} commands in {entries:,.0f} entries, {archived(directory):,} of them"
            f" archived; {reached:,.0f} events/s reached",
            flush=True,
        )
        for name in names:
            yield one_case(engine, directory, name, f"{run}{name}", reached * share)


def one_case(engine: MeasuredInstance, directory: Path, name: str, run: str, rate: float) -> Case:
    """The load, and in its middle the definitions."""
    trace, until = directory / "trace.json", directory / "until"
    until.unlink(missing_ok=True)
    seconds = BEGIN_S + NORMAL_S + LONGEST_S + SETTLE_S + AFTER_S + 5.0
    load = engine.start_load(
        "shop", run, events=int(rate * seconds), users=PEOPLE, rate=rate, batch=BATCH,
        trace=trace, until=until,
    )  # fmt: skip
    assert load.stdout is not None
    load.stdout.readline()  # it begins now
    began = time.perf_counter()
    look_until(engine, "vip", began + BEGIN_S + NORMAL_S)
    kept = engine.shard_total("commands")
    applied = time.perf_counter()
    engine.apply(CASES[name])
    ended, done = look_until_filled(engine, _NAMED[name], applied + LONGEST_S)
    if done == 1:
        look_until(engine, "vip", ended + SETTLE_S + AFTER_S)
    until.touch()
    load.communicate(timeout=120)
    wait_until(lambda: engine.segment(_NAMED[name]).filled, UNLOADED_S)
    batches = [(due, late * 1e3) for due, late in json.loads(trace.read_text())]
    normal = [
        late
        for due, late in batches
        if began + BEGIN_S <= due < applied or (done == 1 and due >= ended + SETTLE_S)
    ]
    filling = [late for due, late in batches if applied <= due < ended]
    return Case(name, rate, sorted(normal), sorted(filling), ended - applied, done, kept)


def look_until_filled(engine: MeasuredInstance, segment: str, moment: float) -> tuple[float, float]:
    """Asks until a filling has begun and ended, or a moment has come.

    Returns:
        When it ended, or now; and which part of the people is done with.
    """
    began = False
    while True:
        time.sleep(LOOK_S)
        told, now = engine.segment(segment), time.perf_counter()
        if began and told.filled:
            return now, 1.0
        if now >= moment:
            return now, 0.99 * told.evaluated / max(1, told.entities)
        began = began or not told.filled


def look_until(engine: MeasuredInstance, segment: str, moment: float) -> None:
    """Asks as often as while it is filled, so that asking makes no difference."""
    while time.perf_counter() < moment:
        time.sleep(LOOK_S)
        engine.segment(segment)


def wait_until(is_so: Callable[[], bool], longest_s: float) -> None:
    """Asks now and then, until it is so or the time is over."""
    until = time.perf_counter() + longest_s
    while not is_so() and time.perf_counter() < until:
        time.sleep(LOOK_S)


def archived(directory: Path) -> int:
    """How many entries are archived: in files of 4 MB; the rest is read from the journals."""
    identity = read_identity(directory)
    assert identity is not None
    return sum(ShardArchive(directory, identity, n).last_seq for n in range(identity.shards))


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
