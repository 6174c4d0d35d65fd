"""`denrei demo`: 18 months of a real shop through a running engine, in about a minute.

It is what a user would do by hand: start an instance with an event-time clock on a store of its
own, apply `examples/cdnow`, replay the data set through gRPC, move the clock on until everything
has run out, and look. Everything it started ends with it.
"""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from actors.settings import Settings
from gateway.cli import options, person
from gateway.cli.apply import apply_sources, read_sources
from gateway.cli.client import Client
from gateway.cli.errors import FAILED, CliError
from gateway.cli.history.events import Reader, Recorded
from gateway.cli.history.mapping import read_mapping
from gateway.cli.history.rows import Recording
from gateway.cli.output import console, note, print_json, say, span_of, table, time_of
from gateway.cli.profile import events_of
from gateway.cli.replay import Run, advance, replay_events
from gateway.cli.report import Report, read_report
from gateway.cli.up import prepare_keys
from gateway.pb.denrei.v1 import profiles_pb2, system_pb2

app = typer.Typer()

EXAMPLE = Path(__file__).parents[2] / "examples" / "cdnow"
_DAY_MS = 86_400_000
_AFTER_MS = 121 * _DAY_MS  # win-back holds 90 days, then 30
_DRAIN_S = 90.0
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
    with contextlib.ExitStack() as stack:
        store = keep or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="denrei-demo-"))
        )
        client = stack.enter_context(_instance(store))
        purchases: dict[str, list[int]] = {}
        note("replaying 18 months of CDNOW, a record shop (1997-1998), through gRPC ...")
        run = _replay(client, purchases)
        report = read_report(client)
        if json:
            print_json(_plain(run, report))
            return
        _show(run, report)
        _tell_story(client, store, user, purchases)
        _tell_more(store if keep else None, user)


@contextlib.contextmanager
def _instance(store: Path) -> Iterator[Client]:
    """An instance on a store of its own, and a client of it; it ends with the block."""
    from actors.instance import Instance  # noqa: PLC0415 - it imports Ray
    from gateway.gateway_actor import GatewayActor  # noqa: PLC0415

    given: dict[str, Any] = {
        "store": store, "clock": "event", "grpc_port": 0, "bind": "127.0.0.1", "dashboard": False,
        "tls": None,
    }  # fmt: skip
    settings = Settings(**given)
    prepare_keys(settings)
    note(f"starting an instance with {settings.hosts} shard hosts ...")
    instance = Instance(settings, GatewayActor)
    try:
        instance.start()
        with Client(instance.address, store=store, timeout_s=120.0) as client:
            yield client
    finally:
        instance.stop()


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
    for to_ms in range(run.last_ms + _DAY_MS, run.last_ms + _AFTER_MS + 1, _DAY_MS):
        run.clock_ms = advance(client, to_ms)
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


def _show(run: Run, report: Report) -> None:
    published = run.published
    median = span_of(published.percentile_ms(0.5))
    p99 = span_of(published.percentile_ms(0.99))
    rows = [
        ("events", f"{published.accepted:,} taken, {sum(published.refused.values()):,} refused"),
        ("profiles", f"{report.profiles:,}"),
        ("history", f"{time_of(run.first_ms)} to {time_of(run.last_ms)}, in {run.took_s:.1f} s"),
        ("events/s", f"{run.events_per_s:,.0f}, each with its messages, on disk when acknowledged"),
        ("acknowledgement", f"{median} (median), {p99} (p99), a chunk of 500 events"),
    ]
    console.print(table("\nWhat came in", ("", ""), rows))
    segments = [
        (name, counts.entered, counts.left, counts.members)
        for name, counts in sorted(report.segments.items())
    ]
    columns = ("segment", "#entered", "#left", "#in it at the end")
    console.print(table("\nSegments", columns, segments))
    instances = [(*label, count) for label, count in sorted(report.instances.items())]
    columns = ("journey", "outcome", "last step", "#instances")
    console.print(table("\nJourneys", columns, instances))
    messages = [(*label, count) for label, count in sorted(report.messages.items())]
    columns = ("channel", "carrier", "outcome", "#messages")
    console.print(table("\nMessages", columns, messages))


def _tell_story(client: Client, store: Path, user: str, purchases: dict[str, list[int]]) -> None:
    """One person, as somebody who answers for the messages would want to read it."""
    profiles = (
        client.call(client.profiles.GetProfile, profiles_pb2.GetProfileRequest(name=f"users/{id_}"))
        for id_ in ([user] if user else _candidates(purchases))
    )
    found = max(profiles, key=_interest)
    name = found.name
    lines = person.story(found, events_of(store, name))
    console.print(person.show(f"\nOne of them: {name}", lines))


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


def _plain(run: Run, report: Report) -> dict[str, Any]:
    published = run.published
    return {
        "events": published.settled,
        "refused": sum(published.refused.values()),
        "profiles": report.profiles,
        "events_per_s": round(run.events_per_s),
        "ack_p50_ms": round(published.percentile_ms(0.5), 2),
        "ack_p99_ms": round(published.percentile_ms(0.99), 2),
        "segments": {
            name: {"entered": one.entered, "left": one.left, "members": one.members}
            for name, one in sorted(report.segments.items())
        },
        "instances": [[*label, count] for label, count in sorted(report.instances.items())],
        "messages": [[*label, count] for label, count in sorted(report.messages.items())],
    }
