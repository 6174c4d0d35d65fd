"""`denrei report`: counts over a workspace: what became of people, and of messages."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import typer
from rich.table import Table

from engine.reasons import Reason
from gateway.cli import options
from gateway.cli.client import Client
from gateway.cli.output import console, print_json, say, table
from gateway.pb.denrei.v1 import messages_pb2, system_pb2

app = typer.Typer()

_TIMEOUT_S = 60.0


@dataclass(slots=True)
class SegmentCounts:
    """How many are in a segment, and how often people came and went since the hosts started."""

    members: int = 0
    entered: int = 0
    left: int = 0


@dataclass(slots=True)
class Counts:
    """Counts over all profiles of a workspace.

    Attributes:
        profiles: How many there are.
        segments: By name.
        instances: By journey, status, and step.
        messages: By channel, carrier, and outcome.
    """

    profiles: int = 0
    segments: dict[str, SegmentCounts] = field(default_factory=dict)
    instances: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    messages: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def add(self, page: Any) -> None:
        """Adds a page of the contract's report."""
        self.profiles += page.profiles
        for one in page.segments:
            name = one.segment.removeprefix("segments/")
            counts = self.segments.setdefault(name, SegmentCounts())
            counts.members += one.members
            counts.entered += one.entered
            counts.left += one.left
        for one in page.instances:
            self.instances[one.journey.removeprefix("journeys/"), one.status, one.step] += one.count
        for one in page.messages:
            channel = messages_pb2.Channel.Name(one.channel).lower()
            self.messages[channel, one.carrier, Reason(one.status).name] += one.count

    def plain(self) -> dict[str, Any]:
        """The counts as plain values, for JSON."""
        return {
            "profiles": self.profiles,
            "segments": {
                name: {"members": one.members, "entered": one.entered, "left": one.left}
                for name, one in sorted(self.segments.items())
            },
            "instances": [
                {"journey": journey, "status": status, "step": step, "count": count}
                for (journey, status, step), count in sorted(self.instances.items())
            ],
            "messages": [
                {"channel": channel, "carrier": carrier, "status": status, "count": count}
                for (channel, carrier, status), count in sorted(self.messages.items())
            ],
        }


@app.command()
def report(
    address: options.Address = "",
    key: options.Key = "",
    store: options.Store = options.DEFAULT_STORE,
    ca: options.Ca = None,
    timeout: options.Timeout = _TIMEOUT_S,
    json: options.Json = False,
) -> None:
    """Count profiles, segments, journeys by outcome, and messages by outcome.

    Example: `denrei report --json`

    It reads every profile, slice by slice, beside everything else that goes on.

    Exit codes: 0 counted; 3 no answer; 4 the key is not accepted.
    """
    with Client(address, key, store, ca, timeout) as client:
        counts = read_counts(client)
    if json:
        print_json(counts.plain())
        return
    say(f"{counts.profiles:,} profiles")
    for one in tables(counts):
        console.print(one)


def read_counts(client: Client) -> Counts:
    """The counts of the key's workspace, page after page."""
    counts = Counts()
    request = system_pb2.GetReportRequest()
    while True:
        page = client.call(client.system.GetReport, request)
        counts.add(page)
        if not page.next_page_token:
            return counts
        request.page_token = page.next_page_token


def tables(counts: Counts) -> Iterator[Table]:
    """The counts as tables for people."""
    segments = [
        (name, one.entered, one.left, one.members) for name, one in sorted(counts.segments.items())
    ]
    if segments:
        columns = ("segment", "#entered", "#left", "#in it now")
        yield table("Segments", columns, segments)
    instances = [(*label, count) for label, count in sorted(counts.instances.items())]
    if instances:
        columns = ("journey", "outcome", "last step", "#instances")
        yield table("Journeys", columns, instances)
    messages = [(*label, count) for label, count in sorted(counts.messages.items())]
    if messages:
        columns = ("channel", "carrier", "outcome", "#messages")
        yield table("Messages", columns, messages)
