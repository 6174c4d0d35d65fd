"""Filling under load: `make bench-filling`.

People and a past of events first. Then an open loop at a share of the rate that was just reached,
and in the middle of it new definitions are applied. Each case is another sort of definitions; each
round has a new instance.

The filling is held and let go in turns of a second, until every shard says that it is filled, and
the latency of acknowledgements while it goes on is compared with that while it is held. A machine
that others share has slow seconds of its own: p99 of a minute is made of them, and that of the next
minute, with nothing to fill, was four times as long. In turns both see the same seconds. A batch
counts where it was due; the first moments of a held turn, in which queues of the turn before are
worked off, do not count. What a filling leaves behind for later (rows to write, events that bring
somebody up to date) is in both: for that there are the figures of the seconds before it, with the
noise that they have.

A filling that is not done when the longest time is over counts with what it did until then, goes on
without the load, and the next case begins when it is done. The case `nothing` applies nothing: how
far its ratio is from 1 tells how well this measures.
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

import ray

from actors import placement
from actors.shard_host import ACTOR_OPTIONS, ShardHostProcess
from actors.store.archive import ShardArchive
from actors.store.identity import read_identity
from bench.measured import DEFINITIONS, MeasuredInstance

PEOPLE = 100_000
PAST = 100_000
SHARE = 0.5
BATCH = 100
ROUNDS = 3
BEGIN_S = 12.0  # until a load writes as many rows as it always will: a round of checkpoints
BEFORE_S = 15.0  # that are told for comparison
TURN_S = 1.0  # that the filling is held, and then goes on
LET_S = 0.15  # of a held turn is still the one before
LONGEST_S = 120.0
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
    "nothing": "",
}
_NAMED = {
    "events": "adders", "traits": "free", "changed": "engaged", "twenty": "twenty-0",
    "computed": "spenders", "nothing": "vip",
}  # fmt: skip


USUAL = ("events", "changed")


class HoldingHostProcess(ShardHostProcess):
    """A host whose filling can be held from outside."""

    async def hold_filling(self, held: bool) -> None:
        """See `Host.hold_filling`."""
        (await self._host.get()).hold_filling(held)


HoldingHost = ray.remote(**ACTOR_OPTIONS)(HoldingHostProcess)


class Case(NamedTuple):
    """What one filling did.

    Attributes:
        name: Its case.
        rate: Events a second of the load beside it.
        before: Milliseconds until acknowledgement of the batches before it, ascending.
        held: The same of those while it was held.
        filling: The same of those while it went on.
        seconds: How long it went on and was held.
        done: Which part of the people was done with by then; 1 if it ended.
        kept: How many commands the journals and archives held.
    """

    name: str
    rate: float
    before: list[float]
    held: list[float]
    filling: list[float]
    seconds: float
    done: float
    kept: float

    def figures(self) -> dict[str, float]:
        """What is told of it."""
        p50, p99 = (
            (at(self.held, 0.5), at(self.filling, 0.5)),
            (at(self.held, 0.99), at(self.filling, 0.99)),
        )
        return {
            "p50_before_ms": at(self.before, 0.5),
            "p50_held_ms": p50[0],
            "p50_filling_ms": p50[1],
            "p50_ratio": p50[1] / p50[0],
            "p99_before_ms": at(self.before, 0.99),
            "p99_held_ms": p99[0],
            "p99_filling_ms": p99[1],
            "p99_ratio": p99[1] / p99[0],
            "worst_held_ms": self.held[-1],
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
    with MeasuredInstance(directory, HoldingHost, [DEFINITIONS.read_text()]) as engine:
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
    seconds = BEGIN_S + BEFORE_S + LONGEST_S + 5.0
    load = engine.start_load(
        "shop", run, events=int(rate * seconds), users=PEOPLE, rate=rate, batch=BATCH,
        trace=trace, until=until,
    )  # fmt: skip
    assert load.stdout is not None
    load.stdout.readline()  # it begins now
    began = time.perf_counter()
    look_until(engine, "vip", began + BEGIN_S + BEFORE_S)
    kept = engine.shard_total("commands")
    applied = time.perf_counter()
    if CASES[name]:
        engine.apply(CASES[name])
    turns, done = fill_in_turns(engine, _NAMED[name], applied + LONGEST_S)
    until.touch()
    load.communicate(timeout=120)
    wait_until(lambda: engine.segment(_NAMED[name]).filled, UNLOADED_S)
    batches = [(due, late * 1e3) for due, late in json.loads(trace.read_text())]
    before = [late for due, late in batches if began + BEGIN_S <= due < applied]
    filling, held = (
        sorted(
            late
            for due, late in batches
            for goes_on, began, ended in turns
            if goes_on is which and began + (0.0 if which else LET_S) <= due < ended
        )
        for which in (True, False)
    )
    seconds = sum(ended - began for _, began, ended in turns)
    return Case(name, rate, sorted(before), held, filling, seconds, done, kept)


class Turn(NamedTuple):
    """A time in which a filling went on, or was held."""

    goes_on: bool
    began: float
    ended: float


def fill_in_turns(
    engine: MeasuredInstance, segment: str, moment: float
) -> tuple[list[Turn], float]:
    """Lets a filling go on, and holds it, in turns, until it has ended or a moment has come.

    Returns:
        The turns; and which part of the people is done with.
    """
    hosts = [
        ray.get_actor(name, namespace=placement.NAMESPACE)
        for name in engine.pids()
        if name.startswith(placement.host_name(0)[:-1])
    ]
    turns: list[Turn] = []
    started, done = False, 0.0
    while done < 1 and time.perf_counter() < moment:
        for goes_on in (False, True):
            ray.get([host.hold_filling.remote(not goes_on) for host in hosts])
            began = time.perf_counter()
            while (now := time.perf_counter()) < began + TURN_S and done < 1:
                time.sleep(LOOK_S)
                told = engine.segment(segment)
                started = started or not told.filled
                done = 0.99 * told.evaluated / max(1, told.entities)
                if started and told.filled:
                    done = 1.0
            turns.append(Turn(goes_on, began, now))
    ray.get([host.hold_filling.remote(False) for host in hosts])
    return turns, done


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
