"""Counts over all profiles of a workspace: what became of people, and of messages.

The counts come from the shards, slice by slice, so that reading them does not disturb ingestion.
They are asked for through Ray, from the process that started the instance: the contract has no
call for reports (yet), and this module is the one place that would change.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from actors.directory import RayDirectory
from actors.router import Router

_TIMEOUT_S = 60.0


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
        instances: By journey, status, and step (the last one, if the shards tell it).
        messages: By channel, carrier, and outcome.
        segments: By name.
    """

    profiles: int = 0
    instances: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    messages: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    segments: dict[str, SegmentCounts] = field(default_factory=dict)


def read_report(settings: dict[str, Any], workspace: str) -> Report:
    """Asks all shards of the instance that this process started.

    Args:
        settings: `Settings.plain()`.
        workspace: Whose profiles.

    Cost: about 20 µs of the hosts a profile.
    """
    return asyncio.run(_read(settings, workspace))


async def _read(settings: dict[str, Any], workspace: str) -> Report:
    router = Router(RayDirectory(settings))
    report = Report()
    try:
        await asyncio.gather(
            *(_add_shard(report, router, shard, workspace) for shard in range(router.shards))
        )
    finally:
        await router.close()
    return report


async def _add_shard(report: Report, router: Router, shard: int, workspace: str) -> None:
    after = ""
    while True:
        args = {"workspace": workspace, "after": after}
        found = await router.query(shard, "tally", args, _TIMEOUT_S)
        report.profiles += found["profiles"]
        for journey, status, *step, count in found["instances"]:
            report.instances[journey, status, step[0] if step else ""] += count
        for channel, carrier, status, count in found["messages"]:
            report.messages[channel, carrier, status] += count
        after = found["next"]
        if not after:
            break
    sizes = await router.query(shard, "sizes", {"workspace": workspace}, _TIMEOUT_S)
    status = await router.query(shard, "status", {}, _TIMEOUT_S)
    prefix = f"{workspace}/"
    for name, members in sizes.items():
        report.segments.setdefault(name, SegmentCounts()).members += members
    for direction in ("entered", "left"):
        for label, count in status.get(direction, {}).items():
            if label.startswith(prefix):
                counts = report.segments.setdefault(label[len(prefix) :], SegmentCounts())
                setattr(counts, direction, getattr(counts, direction) + count)
