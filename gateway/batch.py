"""A batch on its way to the shards: what goes where, and what became of each item.

One future per call to a shard, none per item: an item is a position in the batch, a tuple in the
list of its part, and a byte in `outcomes`.
"""

import asyncio
from typing import NamedTuple

from engine.commands import Command
from engine.errors import DenreiError, Overloaded, Unavailable
from engine.limits import CALL_BYTES, CALL_COMMANDS
from engine.reasons import Reason
from gateway import errors
from gateway.seams import Router


class Rejected(NamedTuple):
    """An item of a batch that was not taken, by its position in it."""

    position: int
    reason: Reason
    field: str
    message: str
    retry: bool = False


class Part:
    """Some of a batch's commands for one shard: what fits into one call.

    Attributes:
        shard: Which shard.
        commands: The commands, in the batch's order.
        indexes: For each command, the position of its item in the batch.
        size_bytes: Roughly what the commands take when they are packed.
    """

    __slots__ = ("commands", "indexes", "shard", "size_bytes")

    def __init__(self, shard: int) -> None:
        self.shard = shard
        self.commands: list[Command] = []
        self.indexes: list[int] = []
        self.size_bytes = 0


class Batch:
    """Some items, sorted by shard.

    Attributes:
        parts: What is to be submitted, in this order.
        outcomes: One `Reason` for each item; ACCEPTED where a shard is still to answer.
        rejected: The items that were refused so far.
        retry_ms: How long to wait before the items that may be sent again are; 0 if there are none.
    """

    __slots__ = ("_open", "outcomes", "parts", "rejected", "retry_ms")

    def __init__(self, items: int) -> None:
        self.parts: list[Part] = []
        self.outcomes = bytearray(items)
        self.rejected: list[Rejected] = []
        self.retry_ms = 0
        self._open: dict[int, Part] = {}

    def place(self, index: int, shard: int, command: Command, size_bytes: int) -> None:
        """Adds an item's command. Cost: 0.3 µs."""
        part = self._open.get(shard)
        if (
            part is None
            or part.size_bytes + size_bytes > CALL_BYTES
            or len(part.commands) >= CALL_COMMANDS
        ):
            part = self._open[shard] = Part(shard)
            self.parts.append(part)
        part.commands.append(command)
        part.indexes.append(index)
        part.size_bytes += size_bytes

    @property
    def size_bytes(self) -> int:
        """The sizes of all parts together."""
        return sum(part.size_bytes for part in self.parts)

    def reject(
        self, index: int, reason: Reason, field: str, message: str, retry: bool = False
    ) -> None:
        """Records that an item is not taken."""
        self.outcomes[index] = reason
        self.rejected.append(Rejected(index, reason, field, message, retry))

    def count(self, traffic: dict[str, int]) -> None:
        """Adds the batch to counts of `accepted`, `duplicate` and `refused` items."""
        outcomes = self.outcomes
        accepted, duplicate = outcomes.count(Reason.ACCEPTED), outcomes.count(Reason.DUPLICATE)
        traffic["accepted"] += accepted
        traffic["duplicate"] += duplicate
        traffic["refused"] += len(outcomes) - accepted - duplicate

    def post(self, router: Router, deadline: float) -> "list[asyncio.Future[bytes]]":
        """Gives all parts their places in the order; their answers are for `settle`.

        Args:
            router: The way to the shards.
            deadline: On the running loop's clock, seconds.
        """
        futures: list[asyncio.Future[bytes]] = []
        for part in self.parts:
            try:
                future = router.post(part.shard, part.commands, part.size_bytes, deadline)
            except Overloaded as error:
                future = asyncio.get_running_loop().create_future()
                future.set_exception(error)
            futures.append(future)
        return futures

    async def settle(self, futures: "list[asyncio.Future[bytes]]", deadline: float) -> None:
        """Waits for the answers and takes them into `outcomes`.

        Raises:
            Overloaded: Every part was refused, and nothing else is to be told.
            Unavailable: No part was answered, and nothing else is to be told.
            TimeoutError: The same, at the deadline.

        Durability: Items with the outcome ACCEPTED or DUPLICATE are synced and applied.
        """
        if not futures:
            return
        try:
            await asyncio.wait(futures, timeout=deadline - asyncio.get_running_loop().time())
        finally:
            failures = [_failure(future) for future in futures]
        first = failures[0]
        if first is not None and None not in failures and not self.rejected:
            raise first
        for part, future, failure in zip(self.parts, futures, failures, strict=True):
            if failure is None:
                self._take(part, future.result())
            else:
                self._fail(part, failure)

    def _take(self, part: Part, results: bytes) -> None:
        """A shard's answer: a byte for each command."""
        if results.count(Reason.ACCEPTED) == len(part.commands):
            return
        for index, code in zip(part.indexes, results, strict=True):
            self.outcomes[index] = code
            if Reason.DUPLICATE < code < Reason.QUEUED:
                reason = Reason(code)
                retry = reason in errors.RETRYABLE
                self.reject(index, reason, "", errors.sentence(reason), retry)
                if retry:
                    self.retry_ms = max(self.retry_ms, errors.RETRY_MS)

    def _fail(self, part: Part, failure: Exception) -> None:
        """A part that no shard has answered."""
        reason, retry_ms = Reason.DEADLINE, errors.RETRY_MS
        if isinstance(failure, Overloaded):
            reason, retry_ms = Reason.OVERLOADED, failure.retry_after_ms
        elif isinstance(failure, Unavailable):
            reason, retry_ms = Reason.UNAVAILABLE, failure.retry_after_ms
        self.retry_ms = max(self.retry_ms, retry_ms)
        text = str(failure) or errors.sentence(reason)
        for index in part.indexes:
            self.reject(index, reason, "", text, retry=True)


def _failure(future: "asyncio.Future[bytes]") -> Exception | None:
    """Why a part has no answer, or None if it has; a future that still waits is given up."""
    if not future.done():
        future.cancel()
        return TimeoutError()
    if future.cancelled():
        return Unavailable("the router was closed")
    error = future.exception()
    if error is None or isinstance(error, DenreiError):
        return error
    raise error
