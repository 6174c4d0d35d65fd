"""Group commit for a sender's ledger: what came in while one transaction was synced goes with the
next, so the number of syncs follows the disk and not the number of batches.

`open` and `results` are waited for; stamps and closings ride along with whatever comes next, since
a lost stamp counts as of the restart and a lost closing only repeats a receipt.
"""  # noqa: D205 - one sentence

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from actors.clock import Clock
from actors.store.errors import StoreError, WriteFailed
from actors.store.ledger import BatchRow, Ledger, LedgerWork, ResultsRow
from engine.lanes.rates import Use


class LedgerWriter:
    """The asyncio side of a ledger.

    Args:
        ledger: The ledger; it is written from one thread of its own.
        clock: The node's clock.
        failed: Called once when a write fails. After that nothing may be given to a carrier: the
            owner has to exit, and every write raises. Whatever the failure is: one that is no
            error of the disk is a defect, and what it left unwritten is not known either.
    """

    def __init__(
        self, ledger: Ledger, clock: Clock, failed: Callable[[StoreError], object]
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._failed = failed
        self._error: StoreError | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._work = LedgerWork()
        self._waiting: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None
        self.commits = 0

    def open(self, batch: BatchRow) -> "asyncio.Future[None]":
        """A batch is about to be given away; await it first.

        Durability: The batch's ids are synced when it is done.
        """
        self._work.batches.append(batch)
        return self._soon()

    def results(self, results: ResultsRow) -> "asyncio.Future[None]":
        """What the carrier said to a batch; synced when it is done."""
        self._work.results.append(results)
        return self._soon()

    def epoch(self, shard: int, epoch: int) -> "asyncio.Future[None]":
        """The newest epoch of a shard; synced when it is done."""
        self._work.epochs[shard] = epoch
        return self._soon()

    def block(self, name: str, body: list[Any]) -> None:
        """A new block of the fraud guard; written at once, not waited for."""
        self._work.blocks.append((name, body))
        self._soon()

    def look(self, message_id: str, body: list[Any] | None) -> None:
        """A message waits for another look of the fraud guard; written at once, not waited for.

        Without a body it waits no more; that goes with the next write.
        """
        self._work.looks[message_id] = body
        if body is not None:
            self._soon()

    def stamp(self, batch: int, returned_ms: int) -> None:
        """When a batch's submit returned; goes with the next write."""
        self._work.returned.append((batch, returned_ms))

    def close_batch(self, batch: int) -> None:
        """All is told of a batch; goes with the next write."""
        self._work.closed.append(batch)

    def learnt(self, uses: dict[str, list[Use]]) -> None:
        """What meters have learnt of the past; goes with the next write, so before the next batch.

        Args:
            uses: By the meter's name.
        """
        for meter, those in uses.items():
            self._work.learnt.setdefault(meter, []).extend(those)

    def fraud(self, snapshot: list[Any]) -> None:
        """The guard's counters; goes with the next write."""
        self._work.fraud = snapshot

    async def flush(self) -> None:
        """Writes everything; synced when it returns."""
        await self._soon()

    async def tidy(self) -> None:
        """Forgets what is old, also while nothing is sent, and leaves no trace of it in the log."""
        await self._soon()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._ledger.tidy, self._clock.now_ms())

    async def close(self) -> None:
        """Writes everything that may still be written, and closes the ledger."""
        if self._error is None:
            await self.flush()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._ledger.close)
        self._thread.shutdown()

    def _soon(self) -> "asyncio.Future[None]":
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        if self._error is not None:
            done.set_exception(self._error)
            done.exception()  # seen: whoever does not wait for it has been told by `failed`
            return done
        self._waiting.append(done)
        if self._task is None:
            self._task = loop.create_task(self._write(), name="ledger writer")
        return done

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            work, self._work = self._work, LedgerWork()
            waiting, self._waiting = self._waiting, []
            try:
                await loop.run_in_executor(
                    self._thread, self._ledger.write, work, self._clock.now_ms()
                )
            except Exception as error:
                self._break(error, waiting)
                break
            self.commits += 1
            for done in waiting:
                if not done.done():
                    done.set_result(None)
        self._task = None

    def _break(self, error: Exception, waiting: list[asyncio.Future[None]]) -> None:
        """A write failed: nothing is written any more, and the owner is told."""
        if not isinstance(error, StoreError):
            what = f"a write to the ledger failed: {type(error).__name__}: {error}"
            defect = WriteFailed(what, "This is a defect: report it")
            defect.__cause__ = error
            error = defect
        self._error = error
        for done in waiting + self._waiting:
            if not done.done():
                done.set_exception(error)
                done.exception()
        self._waiting = []
        self._failed(error)
