"""Counts over all profiles of a workspace: what became of people, and of messages."""

from collections import Counter
from dataclasses import dataclass, field

from gateway.cli.client import Client
from gateway.pb.denrei.v1 import messages_pb2, reason_pb2, system_pb2


@dataclass(slots=True)
class SegmentCounts:
    """How many are in a segment, and how many came and went since the hosts started."""

    members: int = 0
    entered: int = 0
    left: int = 0


@dataclass(slots=True)
class Report:
    """Counts over all profiles.

    Attributes:
        profiles: How many there are.
        instances: By journey, status, and the last step.
        messages: By channel, carrier, and outcome.
        segments: By name.
    """

    profiles: int = 0
    instances: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    messages: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    segments: dict[str, SegmentCounts] = field(default_factory=dict)


def read_report(client: Client) -> Report:
    """Reads the counts of the workspace that the client's key stands for.

    Raises:
        grpc.RpcError: It was refused, or the time is up.

    Cost: about 20 µs of the hosts a profile.
    """
    report = Report()
    request = system_pb2.GetReportRequest()
    while True:
        page = client.call(client.system.GetReport, request)
        _add(report, page)
        if not page.next_page_token:
            return report
        request.page_token = page.next_page_token


def _add(report: Report, page: system_pb2.Report) -> None:
    report.profiles += page.profiles
    for run in page.instances:
        report.instances[run.journey.removeprefix("journeys/"), run.status, run.step] += run.count
    for sent in page.messages:
        channel = messages_pb2.Channel.Name(sent.channel).lower()
        report.messages[channel, sent.carrier, reason_pb2.Reason.Name(sent.status)] += sent.count
    for segment in page.segments:
        name = segment.segment.removeprefix("segments/")
        counts = report.segments.setdefault(name, SegmentCounts())
        counts.members += segment.members
        counts.entered += segment.entered
        counts.left += segment.left
