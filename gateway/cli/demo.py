"""`denrei demo`: 18 months of a real shop through a running engine, in about a minute.

It is what a user would do by hand: start an instance with an event-time clock on a store of its
own, apply `examples/cdnow`, replay the data set through gRPC, move the clock on until everything
has run out, and look. Everything it started ends with it.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from gateway.cli import options, owner, person
from gateway.cli.apply import apply_sources, read_sources
from gateway.cli.client import Client
from gateway.cli.errors import FAILED, CliError
from gateway.cli.history.events import Reader, Recorded
from gateway.cli.history.mapping import read_mapping
from gateway.cli.history.rows import Recording
from gateway.cli.output import console, note, print_json, say, span_of, table, time_of
from gateway.cli.profile import events_of
from gateway.cli.replay import Run, advance, replay_events
from gateway.cli.report import Counts, read_counts, tables
from gateway.pb.denrei.v1 import profiles_pb2, system_pb2

app = typer.Typer()

EXAMPLE = Path(__file__).parents[2] / "examples" / "cdnow"
_DAY_MS = 86_400_000
_AFTER_MS = 121 * _DAY_MS  # win-back holds 90 days, then 30
_START_S = 120.0
_STOP_S = 120.0
_DRAIN_S = 90.0
_POLL_S = 0.1
_CANDIDATES = 300


@app.command()
def demo(
    keep: Annotated[
        Path | None,
        typer.Option("--keep", metavar="DIR", help="Keep the store there, to look further."),
    ] = None,
    user: Annotated[str, typer.Option("--user", help="Whose story is told.")] = "",
    json: options.Json = False,
) -> None:
    """Replay 18 months of real purchases through a running engine, and show what it did.

    Example: `denrei demo --keep /tmp/cdnow`

    Exit codes: 0 shown; 1 something did not work.
    """
    if not EXAMPLE.is_dir():
        raise CliError(f"there is no {EXAMPLE}", "run it in a clone of the repository", FAILED)
    if keep is not None and keep.exists() and any(keep.iterdir()):
        raise CliError(f"{keep} is not empty", "name a new directory with --keep", FAILED)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # runs what ends it
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="denrei-demo-")))
        store = keep or place / "store"
        note("starting an instance on an event-time clock ...")
        client = stack.enter_context(_instance(store, place / "up.log"))
        note("replaying 18 months of CDNOW, a record shop (1997-1998), through gRPC ...")
        purchases: dict[str, list[int]] = {}
        run = _replay(client, purchases)
        counts = read_counts(client)
        if json:
            print_json(_plain(run, counts))
            return
        _show(run, counts)
        _tell_story(client, store, user, purchases)
        note("stopping ...")
    if not json:
        _tell_more(keep, user)


@contextlib.contextmanager
def _instance(store: Path, log: Path) -> Iterator[Client]:
    """`denrei up` on a store, and a client of it; it is stopped when the block ends.

    It does not see this machine's settings: the demo is the same everywhere.
    """
    environment = {name: v for name, v in os.environ.items() if not name.startswith("DENREI_")}
    environment["DENREI_CONFIG"] = str(log.parent / "no-denrei.yaml")
    arguments = ("--store", str(store), "--clock", "event", "--grpc-port", "0", "--no-dashboard")
    command = [sys.executable, "-m", "gateway.cli", "up", *arguments]
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment,
            start_new_session=True,  # Ctrl-C is for us: we stop it in its own way
        )  # fmt: skip
    try:
        deadline = time.monotonic() + _START_S
        while (running := owner.running(store)) is None:
            if process.poll() is not None or time.monotonic() > deadline:
                words = f"the instance does not start:\n{log.read_text(errors='replace')}"
                raise CliError(words, "try `denrei up` by itself", FAILED)
            time.sleep(_POLL_S)
        with Client(running.address, store=store, timeout_s=_START_S) as client:
            yield client
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()


def _replay(client: Client, purchases: dict[str, list[int]]) -> Run:
    """Applies the example, replays its file, and lets everything run out.

    Args:
        client: To the instance.
        purchases: Takes in the times of each customer's purchases, to find a story to tell.
    """
    apply_sources(client, read_sources([EXAMPLE]))
    mapping = read_mapping(EXAMPLE / "cdnow.mapping.yaml", (), {})
    recording = Recording(EXAMPLE / "cdnow.csv.gz")
    reader = Reader(recording, mapping)
    run = replay_events(client, _noting(reader.events(), purchases), 0, recording=recording)
    note("letting the last holds run out, and the last messages leave ...")
    run.clock_ms = advance(client, run.last_ms, run.last_ms + _AFTER_MS)
    _drain(client)
    return run


def _noting(events: Iterator[Recorded], purchases: dict[str, list[int]]) -> Iterator[Recorded]:
    for recorded in events:
        if recorded.event.event:
            purchases.setdefault(recorded.event.user_id, []).append(recorded.ms)
        yield recorded


def _drain(client: Client) -> None:
    """Waits until every message has its last word."""
    deadline = time.monotonic() + _DRAIN_S
    while waiting := _outbox(client):
        if time.monotonic() > deadline:
            note(f"{waiting:,} messages are still on their way")
            return
        time.sleep(0.2)


def _outbox(client: Client) -> int:
    status = client.call(client.system.GetStatus, system_pb2.GetStatusRequest())
    return sum(int(shard.details["outbox"]) for shard in status.shards if shard.serving)


def _show(run: Run, counts: Counts) -> None:
    published = run.published
    median = span_of(published.percentile_ms(0.5))
    p99 = span_of(published.percentile_ms(0.99))
    rows = [
        ("events", f"{published.accepted:,} taken, {sum(published.refused.values()):,} refused"),
        ("profiles", f"{counts.profiles:,}"),
        ("history", f"{time_of(run.first_ms)} to {time_of(run.last_ms)}, in {run.took_s:.1f} s"),
        ("events/s", f"{run.events_per_s:,.0f}, each with its messages, on disk when acknowledged"),
        ("acknowledgement", f"{median} (median), {p99} (p99), a chunk of 500 events"),
    ]
    console.print(table("What came in", ("", ""), rows))
    for one in tables(counts):
        console.print(one)


def _tell_story(client: Client, store: Path, user: str, purchases: dict[str, list[int]]) -> None:
    """One person, as somebody who answers for the messages would want to read it."""
    profiles = (
        client.call(client.profiles.GetProfile, profiles_pb2.GetProfileRequest(name=f"users/{id_}"))
        for id_ in ([user] if user else _candidates(purchases))
    )
    found = max(profiles, key=_interest)
    name = found.name
    lines = person.story(found, events_of(store, name))
    console.print(person.show(f"One of them: {name}", lines))


def _candidates(purchases: dict[str, list[int]]) -> list[str]:
    """Customers who may have been vip, went quiet for three months, and came back in time."""
    found = []
    for user, times in purchases.items():
        quiet = [now for now, later in pairwise(times) if 91 <= (later - now) / _DAY_MS <= 119]
        vip = any(c - a < 90 * _DAY_MS for a, c in zip(times, times[2:], strict=False))
        if quiet and vip and len(times) <= 8:
            found.append(user)
            if len(found) == _CANDIDATES:
                break
    return found or list(purchases)[:1]


def _interest(profile: Any) -> tuple[int, int]:
    """How much there is to tell of a profile, and then how shortly it can be told."""
    words = {f"{line.kind} {line.detail.split(' ')[0].rstrip(':')}" for line in profile.trail}
    steps = {instance.step for instance in profile.ended_instances}
    told = len(words) + 3 * len(steps & {"won-back", "reminded", "lost"})
    return told, -len(profile.trail)


def _tell_more(store: Path | None, user: str) -> None:
    console.print()
    console.print(Text("Look further", "bold"))
    if store is None:
        say("  denrei demo --keep /tmp/cdnow        the same, and the store stays")
        say("  denrei up --store /tmp/cdnow --clock event &")
        store = Path("/tmp/cdnow")
    else:
        say(f"  denrei up --store {store} --clock event &")
    say(f"  denrei profile {user or '00042'} --store {store}      anybody's story")
    say(f"  denrei journal --store {store}            what came in, entry by entry")
    say("  examples/cdnow                        the journeys and segments, to change and try")


def _plain(run: Run, counts: Counts) -> dict[str, Any]:
    published = run.published
    return {
        "events": published.settled,
        "refused": sum(published.refused.values()),
        "events_per_s": round(run.events_per_s),
        "ack_p50_ms": round(published.percentile_ms(0.5), 2),
        "ack_p99_ms": round(published.percentile_ms(0.99), 2),
        **counts.plain(),
    }
