"""`denrei replay`: publishes a file of recorded events, as quickly as the instance takes them.

On an instance with an event-time clock (`denrei up --clock event`) each event brings the time with
it: holds and windows run as they ran in history, in as long as the CPU needs. What the last events
leave waiting runs out when the clock is moved on at the end (`--then`, `--until`).
"""

import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from engine import limits
from engine.durations import parse as parse_duration
from gateway.cli import options
from gateway.cli.client import Client, millis
from gateway.cli.errors import FAILED, REFUSED, USAGE, CliError
from gateway.cli.history.events import Reader, Recorded
from gateway.cli.history.mapping import read_mapping, read_names
from gateway.cli.history.publisher import Published, Publisher
from gateway.cli.history.rows import Recording
from gateway.cli.history.times import read_any
from gateway.cli.output import errors as stderr
from gateway.cli.output import note, print_json, say, span_of, time_of
from gateway.pb.denrei.v1 import system_pb2

app = typer.Typer()

_REAL_TIME_MS = 3_600_000  # a clock this near to ours is a real one
_STEP_MS = 86_400_000
_STEPS = 1_000


_File = Annotated[Path, typer.Argument(metavar="FILE", help="CSV or JSON lines; also .gz.")]
_Map = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="FIELD=COLUMN,...", help="What columns mean; see below."),
]
_MapFile = Annotated[
    Path | None, typer.Option("--map-file", metavar="FILE", help="The same as a YAML file.")
]
_Names = Annotated[
    list[str] | None,
    typer.Option("--names", metavar="VALUE=NAME,...", help="Event names for column values."),
]
_Event = Annotated[
    str | None, typer.Option("--event", metavar="NAME", help="All rows are this event.")
]
_Format = Annotated[str | None, typer.Option("--format", help="csv or jsonl.")]
_NoHeader = Annotated[bool, typer.Option("--no-header", help="Columns have numbers, from 0.")]
_Delimiter = Annotated[str | None, typer.Option("--delimiter", help="Between columns.")]
_TimeUnit = Annotated[
    str | None, typer.Option("--time-unit", help="s, ms, iso or date (YYYYMMDD).")
]
_Sort = Annotated[bool, typer.Option("--sort", help="Bring rows into order, in memory.")]
_Late = Annotated[
    bool, typer.Option("--late", help="Send events that are earlier than they should be.")
]
_Limit = Annotated[int, typer.Option("--limit", min=0, help="Only so many events.")]
_Until = Annotated[
    str, typer.Option("--until", metavar="TIME", help="Then move the clock to this time.")
]
_Then = Annotated[
    str, typer.Option("--then", metavar="30d", help="Then move the clock on by so much.")
]
_ChunkSize = Annotated[
    int, typer.Option("--chunk", min=1, max=limits.BATCH_EVENTS, help="Events a chunk.")
]
_InFlight = Annotated[int, typer.Option("--in-flight", min=1, max=32, help="Chunks.")]


@app.command()
def replay(
    file: _File,
    map_: _Map = None,
    map_file: _MapFile = None,
    names: _Names = None,
    event: _Event = None,
    format_: _Format = None,
    no_header: _NoHeader = False,
    delimiter: _Delimiter = None,
    time_unit: _TimeUnit = None,
    sort: _Sort = False,
    late: _Late = False,
    limit: _Limit = 0,
    until: _Until = "",
    then: _Then = "",
    chunk: _ChunkSize = 500,
    in_flight: _InFlight = 4,
    address: options.Address = "",
    key: options.Key = "",
    store: options.Store = options.DEFAULT_STORE,
    ca: options.Ca = None,
    timeout: options.Timeout = 60.0,
    json: options.Json = False,
) -> None:
    """Publish a file of recorded events, and let the clock run with them.

    Example: `denrei replay taobao.csv.gz --map user_id=user_id,event=behavior,timestamp=timestamp
    --names "pv=Product Viewed,cart=Product Added,buy=Order Completed" --then 20m`

    `--map` says which column is which field: user_id, anonymous_id, event, timestamp, message_id,
    and any other name for a property (`price=amount:number`). Without any mapping a file of JSON
    lines is read as events of the Segment Spec.

    Events get ids from the file's name and their line, so that sending them again changes nothing,
    within the 24 hours for which the engine remembers ids. On an event-time clock a file that
    begins more than 24 hours before the instance's time is therefore refused.

    Exit codes: 0 all events were taken; 1 some were refused; 2 wrong usage; 3 no answer; 4 the key
    is not accepted; 5 the file or its mapping is wrong, or it lies before the instance's time.
    """
    given = {
        "format": format_, "header": False if no_header else None, "delimiter": delimiter,
        "sort": sort or None, "time_unit": time_unit, "event_is": event,
        "names": read_names(names or ()),
    }  # fmt: skip
    mapping = read_mapping(map_file, map_ or (), given)
    end = _End(until, then)
    recording = Recording(file, mapping.format or "", mapping.header, mapping.delimiter)
    reader = Reader(recording, mapping)
    with Client(address, key, store, ca, timeout) as client:
        clock_ms = read_clock(client)
        events = reader.events(late)
        if limit:
            events = islice(events, limit)
        run = replay_events(client, events, clock_ms, late, recording, chunk, in_flight)
        run.skipped = reader.skipped
        run.clock_ms = end.move(client, run.last_ms, clock_ms)
    _tell(run, file, json)
    if run.published.refused:
        raise typer.Exit(FAILED)


class Run:
    """What a replay did.

    Attributes:
        published: What became of the events.
        first_ms: The time of the first event.
        last_ms: The time of the newest event.
        took_s: How long it took, seconds.
        skipped: Rows for which the mapping names no event.
        clock_ms: Where the instance's clock was moved to in the end; 0 if it was not.
    """

    def __init__(self) -> None:
        self.published = Published()
        self.first_ms = 0
        self.last_ms = 0
        self.took_s = 0.0
        self.skipped = 0
        self.clock_ms = 0

    @property
    def events_per_s(self) -> float:
        """Settled events per second of real time."""
        return self.published.settled / self.took_s if self.took_s else 0.0


class _End:
    """Where the clock goes after the last event; checked before anything is sent."""

    def __init__(self, until: str, then: str) -> None:
        if until and then:
            raise CliError("give either --until or --then", "", USAGE)
        try:
            self._until_ms = read_any(until) if until else 0
        except ValueError:
            hint = "write it like 2017-11-26T10:55:00Z"
            raise CliError(f"--until {until!r} is not a time", hint, USAGE) from None
        try:
            self._then_ms = parse_duration(then) if then else 0
        except ValueError as error:
            raise CliError(f"--then {then!r}: {error}", "write it like 30d", USAGE) from None

    def move(self, client: Client, last_ms: int, clock_ms: int | None) -> int:
        to_ms = self._until_ms or (last_ms + self._then_ms if self._then_ms and last_ms else 0)
        if not to_ms:
            return 0
        if clock_ms is None:
            note("the instance runs on real time: its clock was not moved")
            return 0
        return advance(client, last_ms or clock_ms, to_ms)


def read_clock(client: Client) -> int | None:
    """The time of an instance on an event-time clock: that of its newest event; else None.

    Says so if the instance runs on real time, which is seldom what a replay wants.
    """
    status = client.call(client.system.GetStatus, system_pb2.GetStatusRequest())
    if abs(millis(status.time) - time.time() * 1_000) < _REAL_TIME_MS:
        note(
            "this instance runs on real time: holds and windows count from now. For a replay in "
            "the events' own time start one with `denrei up --clock event`"
        )
        return None
    return max(
        (int(shard.details["now_ms"]) for shard in status.shards if shard.serving), default=0
    )


def advance(client: Client, from_ms: int, to_ms: int) -> int:
    """Moves the instance's clock; its new time. Timers that fall due have fired by then.

    It goes day by day, so that what falls due leaves on its day, and is not sent to the carriers
    (or found to be too late for them) all at the end.
    """
    step_ms = max(_STEP_MS, (to_ms - from_ms) // _STEPS)
    for at_ms in (*range(from_ms + step_ms, to_ms, step_ms), to_ms):
        request = system_pb2.AdvanceClockRequest()
        request.time.FromMilliseconds(at_ms)
        now = client.call(client.system.AdvanceClock, request).time
    return millis(now)


def replay_events(
    client: Client,
    events: Iterator[Recorded],
    clock_ms: int | None,
    late: bool = False,
    recording: Recording | None = None,
    chunk: int = 500,
    in_flight: int = 4,
) -> Run:
    """Publishes events in chunks, with a progress bar on a terminal.

    Raises:
        CliError: The first event lies before the instance's time, or a row is wrong. What was
            acknowledged before stays.
    """
    run = Run()
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[words]}"), TimeElapsedColumn(),
        console=stderr, transient=True, disable=not stderr.is_terminal,
    )  # fmt: skip
    started = time.monotonic()
    with bar, Publisher(client, in_flight, chunk) as publisher:
        run.published = publisher.published
        total = recording.size_bytes if recording else None
        task = bar.add_task("replaying", total=total, words="")
        while batch := list(islice(events, chunk)):
            if not run.first_ms:
                run.first_ms = batch[0].ms
                _check_time(run.first_ms, clock_ms, late)
            run.last_ms = max(run.last_ms, *(one.ms for one in batch))
            publisher.put([one.event for one in batch])
            words = f"{publisher.published.settled:,} events, {time_of(batch[-1].ms)}"
            bar.update(task, words=words, completed=recording.read_bytes if recording else None)
        publisher.drain()
    run.took_s = time.monotonic() - started
    return run


def _check_time(first_ms: int, clock_ms: int | None, late: bool) -> None:
    """Refuses a file that the instance has left behind: its ids may be forgotten."""
    if clock_ms is None or late or first_ms >= clock_ms - limits.SEEN_MS:
        return
    raise CliError(
        f"the file begins at {time_of(first_ms)}, and the instance's time is {time_of(clock_ms)}: "
        "it has gone on for more than the 24 hours for which it remembers ids, so it could not "
        "tell which of these events it has",
        "if this file was replayed already, there is nothing to do. Otherwise replay it into an "
        "instance with a store of its own, or say --late to send it all the same",
        REFUSED,
    )


def _tell(run: Run, file: Path, json: bool) -> None:
    published = run.published
    if json:
        print_json({
            "file": str(file), "events": published.settled, "accepted": published.accepted,
            "duplicates": published.duplicates, "refused": dict(published.refused),
            "skipped_rows": run.skipped, "sent_again": published.again,
            "first_ms": run.first_ms, "last_ms": run.last_ms, "clock_ms": run.clock_ms,
            "took_s": round(run.took_s, 3), "events_per_s": round(run.events_per_s),
            "ack_p50_ms": round(published.percentile_ms(0.5), 2),
            "ack_p99_ms": round(published.percentile_ms(0.99), 2),
        })  # fmt: skip
        return
    say(
        f"{published.settled:,} events in {timedelta(seconds=round(run.took_s))} "
        f"({run.events_per_s:,.0f}/s): {published.accepted:,} accepted, "
        f"{published.duplicates:,} taken before, {sum(published.refused.values()):,} refused"
    )
    if run.skipped:
        say(f"{run.skipped:,} rows are no event of the mapping")
    if published.settled:
        say(
            f"from {time_of(run.first_ms)} to {time_of(run.last_ms)}; a chunk was acknowledged in "
            f"{span_of(published.percentile_ms(0.5))} (median), "
            f"{span_of(published.percentile_ms(0.99))} (p99)"
        )
    if run.clock_ms:
        say(f"the clock was moved on to {time_of(run.clock_ms)}")
    for id_, reason, words in published.samples:
        say(f"  refused {id_}: {reason} {words}")
