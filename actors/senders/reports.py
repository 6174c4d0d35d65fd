"""From a sender back to the shards: receipts, in batches, until each is journaled.

Each shard has a queue and at most one call in flight, so the receipts of a message arrive in their
order, and a call that failed is made again with the same commands before any later one: a receipt
that comes twice changes nothing. Nothing leaves a queue before its shard has journaled it.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from itertools import islice
from typing import Final

from engine import commands, limits
from engine.errors import DenreiError, Overloaded
from engine.reasons import Reason

Report = Callable[[int, Sequence[commands.Command], int], Awaitable[bytes]]
"""Takes a shard, commands and about their size; one `Reason` byte a command once journaled."""

_LATER: Final = bytes((Reason.OVERLOADED, Reason.UNAVAILABLE, Reason.DEADLINE))
_COMMAND_BYTES: Final = 200
_OUTCOME_BYTES: Final = 50
_ID_WEIGHT: Final = 3  # carriers' ids are often random, and hardly compress while all else does
_log = logging.getLogger("denrei.sender")


class Delivery:
    """One batch of a carrier's receipts, so that the carrier can wait until all are journaled."""

    __slots__ = ("done", "left")

    def __init__(self, receipts: int) -> None:
        self.left = receipts
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def told(self, receipts: int = 1) -> None:
        """So many of them are journaled, or not for us."""
        self.left -= receipts
        if not self.left and not self.done.done():
            self.done.set_result(None)


Item = tuple[commands.Command, Sequence[Delivery]]
"""A `commands.receipt`, and the carrier's batches of receipts that it tells of, one for each."""
# A plain tuple, since one is made for each message: a named one costs many times as much to make.


class Reporter:
    """The queues to the shards.

    Args:
        report: The way to them; it raises a `DenreiError` if nothing is known.
        settled: Called with the ids of messages whose last word is journaled.
    """

    def __init__(self, report: Report, settled: Callable[[list[str]], object]) -> None:
        self._report = report
        self._settled = settled
        self._queues: dict[int, deque[Item]] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._waiting = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.told = 0
        self.retries = 0

    def __len__(self) -> int:
        return self._waiting

    def add(self, shard: int, command: commands.Command) -> None:
        """Queues a receipt for the shard of its message."""
        self.add_all({shard: [(command, ())]})

    def add_all(self, news: Mapping[int, Collection[Item]]) -> None:
        """Queues receipts, by the shards of their messages. Cost: 0.1 µs each."""
        for shard, items in news.items():
            queue = self._queues.get(shard)
            if queue is None:
                queue = self._queues[shard] = deque()
            queue.extend(items)
            self._waiting += len(items)
            if shard not in self._tasks:
                self._idle.clear()
                loop = asyncio.get_running_loop()
                self._tasks[shard] = loop.create_task(self._run(shard), name=f"report {shard}")

    async def idle(self) -> None:
        """Returns when every receipt is journaled."""
        await self._idle.wait()

    async def stop(self) -> None:
        """Ends the calls; what was not journaled is told again after a restart."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, shard: int) -> None:
        queue = self._queues[shard]
        pause_s = limits.REPORT_PAUSE_S
        try:
            while queue:
                items, size = _take(queue)
                try:
                    results = await self._report(shard, [item[0] for item in items], size)
                except Overloaded as error:
                    pause_s = error.retry_after_ms / 1_000
                    later = items
                except DenreiError as error:
                    _log.warning("shard %d takes no receipts: %s", shard, error)
                    later = items
                except asyncio.CancelledError:
                    queue.extendleft(reversed(items))
                    raise
                except Exception:
                    _log.exception("shard %d can't be told of receipts", shard)
                    later = items
                else:
                    later = self._take_results(items, results)
                if later:
                    self.retries += 1
                    queue.extendleft(reversed(later))
                    await asyncio.sleep(pause_s)
                    pause_s = min(limits.REPORT_LONGEST_PAUSE_S, pause_s * 2)
                else:
                    pause_s = limits.REPORT_PAUSE_S
        finally:
            del self._tasks[shard]
            if not self._tasks:
                self._idle.set()

    def _take_results(self, items: list[Item], results: bytes) -> list[Item]:
        """Lets go of what is journaled; what has to be told again."""
        if len(results) != len(items):
            return items
        later: list[Item] = []
        if len(results.translate(None, _LATER)) < len(results):
            answers = list(zip(items, results, strict=True))
            later = [item for item, result in answers if result in _LATER]
            items = [item for item, result in answers if result not in _LATER]
        receipts = Counter([delivery for item in items for delivery in item[1]])
        for delivery, told in receipts.items():
            delivery.told(told)
        self._waiting -= len(items)
        self.told += len(items)
        settled: list[str] = [command[2] for command, _ in items if command[5]]
        if settled:
            self._settled(settled)
        return later


def _take(queue: deque[Item]) -> tuple[list[Item], int]:
    """The next call's items, and about how large they are."""
    items = list(islice(queue, limits.CALL_COMMANDS))
    size = _size(items)
    if size > limits.REPORT_BYTES:
        size = 0
        for at, item in enumerate(items):
            longer = size + _size((item,))
            if at and longer > limits.REPORT_BYTES:
                del items[at:]
                break
            size = longer
    if len(items) == len(queue):
        queue.clear()
    else:
        for _ in items:
            queue.popleft()
    return items, size


def _size(items: Sequence[Item]) -> int:
    """About how many bytes receipts are, before they are compressed."""
    details = [len(outcome[3]) for command, _ in items for outcome in command[11]]
    size = len(items) * _COMMAND_BYTES + len(details) * _OUTCOME_BYTES + sum(details)
    return size + sum([len(command[1]) + _ID_WEIGHT * len(command[9]) for command, _ in items])
