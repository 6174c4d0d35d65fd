"""Reports: counts over all profiles of a workspace, one slice of one shard after the other.

A shard answers for a bounded slice at a time, and only one is asked at a time: so a report, however
large the workspace is, never holds ingestion up for longer than a slice. One call reads until a
part of its time is gone or it has read `limits.REPORT_SLICES`; a token says where to go on, and
counts of several calls add up, because every slice is in exactly one of them.
"""

import asyncio
from collections import Counter
from typing import Final

from engine import limits
from engine.errors import Unavailable
from engine.reasons import Reason
from gateway import pages, views
from gateway.binding import Call
from gateway.pb.denrei.v1 import system_pb2
from gateway.seams import Router

_START: Final = [0, ""]


async def read(router: Router, page_token: str, call: Call) -> system_pb2.Report:
    """Reads a page of counts.

    Args:
        router: The way to the shards.
        page_token: Where to go on; empty to begin.
        call: Whose workspace, and until when.

    Returns:
        Counts; without a token for the next page if all shards were read to their ends.

    Raises:
        StatusError: The token is not one of ours.
        Unavailable: Not even one slice was read in time.

    Cost: about 20 µs of the shards' hosts a profile.
    """
    workspace = call.workspace
    shard, after = pages.cursor(page_token, _START, "report", workspace)
    if not 0 <= shard < router.shards:
        raise pages.foreign_token()
    counts = _Counts()
    clock = asyncio.get_running_loop().time
    stop = clock() + call.remaining_s() * limits.REPORT_TIME_SHARE
    for number in range(limits.REPORT_SLICES):
        try:
            after = await counts.add_slice(router, shard, after, call)
        except Unavailable:
            if not number:
                raise
            break  # what was read is told; the next page begins with this slice
        if not after:
            shard += 1
        if shard == router.shards:
            return counts.report("")
        if clock() >= stop:
            break
    return counts.report(pages.token([shard, after], "report", workspace))


class _Counts:
    """What was counted so far."""

    def __init__(self) -> None:
        self._profiles = 0
        self._instances: Counter[tuple[str, str, str]] = Counter()
        self._messages: Counter[tuple[str, str, str]] = Counter()
        self._segments: dict[str, Counter[str]] = {}

    async def add_slice(self, router: Router, shard: int, after: str, call: Call) -> str:
        """Adds a slice, and with a shard's last one what the shard as a whole can tell.

        Returns:
            Where the shard's next slice begins, or empty if it was its last.

        Raises:
            Unavailable: The shard did not answer in time; nothing was added.
        """
        args = {"workspace": call.workspace}
        # An answer that comes too late for the call must leave time to tell what came before it.
        timeout_s = call.remaining_s() * limits.REPORT_TIME_SHARE
        slice_ = await router.query(shard, "tally", {**args, "after": after}, timeout_s)
        following: str = slice_["next"]
        if not following:
            members = await router.query(shard, "sizes", args, timeout_s / 4)
            moves = await router.query(shard, "moves", args, timeout_s / 4)
            for what, numbers in {"members": members, **moves}.items():
                for name, number in numbers.items():
                    self._segments.setdefault(name, Counter())[what] += number
        self._profiles += slice_["profiles"]
        for *run, number in slice_["instances"]:
            self._instances[tuple(run)] += number
        for *label, number in slice_["messages"]:
            self._messages[tuple(label)] += number
        return following

    def report(self, next_page_token: str) -> system_pb2.Report:
        """All of it as the contract says it, in the order of the names."""
        return system_pb2.Report(
            profiles=self._profiles,
            segments=[
                system_pb2.Report.SegmentCount(segment=f"segments/{name}", **counts)
                for name, counts in sorted(self._segments.items())
            ],
            instances=[
                system_pb2.Report.InstanceCount(
                    journey=f"journeys/{journey}", status=status, step=step, count=number
                )
                for (journey, status, step), number in sorted(self._instances.items())
            ],
            messages=[
                system_pb2.Report.MessageCount(
                    channel=views.CHANNELS[channel],
                    carrier=carrier,
                    status=views.reason(Reason[status]),
                    count=number,
                )
                for (channel, carrier, status), number in sorted(self._messages.items())
            ],
            next_page_token=next_page_token,
        )
