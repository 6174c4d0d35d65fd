"""One shard at work: its journal, its state machine, and the pipeline between them.

What waits goes into one entry; the entry is committed in a thread while the entry before it is
applied on the loop; an entry is applied, and its commands are acknowledged, only after its commit
has returned. So nothing is acknowledged that is not on disk, the disk and the CPU work at the same
time, and batches grow by themselves: the longer a commit takes, the more waits for the next.

Rows of changed entities ride along in the commits, a few at a time, so that a checkpoint is never
a pause. After a commit that failed the runner is dead, for ever: whether the entry is on disk is
unknown, and only a recovery can tell.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from time import perf_counter
from typing import Any

from actors.checkpoint_pace import CheckpointPace
from actors.clock import Clock, Handle
from actors.erasures import Erasures
from actors.runner_stats import RunnerStats
from actors.store.base import Commit, DefinitionRow, EntityRow, Entry, ErasureRow, ShardStore
from engine import commands, limits
from engine.entities import Row
from engine.errors import Overloaded, Unavailable
from engine.privacy.hidden import slot_of_row
from engine.shard import Effects, Shard

logger = logging.getLogger(__name__)


_Asked = tuple[int, "asyncio.Future[bytes]", float]
"""How many commands a chunk holds, who waits for their results, and since when."""


class ShardRunner:
    """One shard at work; see the module's text.

    Args:
        store: The shard's store, opened: its epoch is ours.
        shards: How many shards there are.
        clock: The time.
        executor: Where commits are synced; one thread per shard is enough.
        archiver: Where passed entries are archived: not there, since a commit may have to wait
            for the archive's own short one.
        dispatch: Takes the effects of an entry once it is durable and applied.
        fail: Told once if the shard can't go on; the process should end.
        hot_entities: See `Shard`.
        make_shard: The state machine; a measurement may put another in its place.
        making_state: Entered while entries are applied, if given; see `actors.collector`.
    """

    def __init__(
        self,
        store: ShardStore,
        shards: int,
        clock: Clock,
        executor: Executor,
        archiver: Executor,
        dispatch: Callable[["ShardRunner", Effects], None],
        fail: Callable[[BaseException], None],
        hot_entities: int = limits.HOT_ENTITIES,
        make_shard: type[Shard] = Shard,
        making_state: AbstractContextManager[object] | None = None,
    ) -> None:
        self.store = store
        self.shard = make_shard(store.shard, shards, store.load, store.scan, hot_entities)
        self.shard.secret = store.secret
        self.stats = RunnerStats()
        self.queued_bytes = 0
        self._clock = clock
        self._executor = executor
        self.beside = archiver
        self._dispatch = dispatch
        self._fail = fail
        self._making_state = making_state or nullcontext()
        self._waiting: deque[tuple[bytes, _Asked]] = deque()
        self._pace = CheckpointPace()
        self._definitions: list[DefinitionRow] = []
        self._erasures = Erasures()
        self._wipe: tuple[int, asyncio.Future[None]] | None = None
        self.sweep: dict[str, Any] = {}
        self._tick_ms: int | None = None
        self._newest_ms = 0
        self._wake = asyncio.Event()
        self._alarm: Handle | None = None
        self._checkpoint_alarm: Handle | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    # --- life -------------------------------------------------------------------------------

    def recover(self) -> Effects:
        """Loads what is stored and replays the journal's tail.

        Returns:
            All unsettled effects, to be handed over again with the same ids.

        Raises:
            StoreError: The journal is torn or foreign; the shard must not serve.
        """
        loop = asyncio.get_running_loop()
        started = loop.time()
        store, shard = self.store, self.shard
        for row in store.definitions():
            if row.seq < store.start_seq:
                shard.install(row.workspace, row.version, row.documents)
        stored = store.entity_count()
        shard.recover(stored, store.due(), store.segment_counts(), 0)
        shard.seq = store.start_seq - 1
        for entry in store.journal(store.start_seq):
            self.stats.replayed += len(self._play(entry).results)
            self._newest_ms = max(self._newest_ms, shard.now)
        self._log_faults()
        self.stats.recovery_s = loop.time() - started
        return shard.unsettled(store.pending())

    def start(self) -> None:
        """Starts to serve."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Drains what waits, writes a full checkpoint and closes the store."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task
        for alarm in (self._alarm, self._checkpoint_alarm):
            if alarm is not None:
                alarm.cancel()
        self.store.close()

    async def crash(self) -> None:
        """Ends at once, as the death of the process would."""
        self._stopping = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for alarm in (self._alarm, self._checkpoint_alarm):
            if alarm is not None:
                alarm.cancel()
        self.store.close()

    # --- coming in --------------------------------------------------------------------------

    def admit(self, chunk: bytes, count: int, control: bool) -> asyncio.Future[bytes]:
        """Takes a chunk in.

        Args:
            chunk: `commands.pack_chunk`.
            count: How many commands it holds.
            control: True for what helps the shard to get rid of work (receipts, settlements):
                it is taken even while the outbox is full.

        Returns:
            One `Reason` byte per command.

        Raises:
            Overloaded: The queue or the outbox is full.
            Unavailable: The shard is closing.

        Durability: When the future is done, the commands are synced and applied.
        """
        if self._stopping:
            raise Unavailable(f"shard {self.shard.index} is closing")
        if self.queued_bytes + len(chunk) > limits.INGEST_QUEUE_BYTES:
            self.stats.refused += count
            raise Overloaded(200, f"the ingest queue of shard {self.shard.index} is full")
        if not control and self.shard.outbox >= limits.OUTBOX_PER_SHARD:
            self.stats.refused += count
            raise Overloaded(1_000, f"the outbox of shard {self.shard.index} is full")
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.append((chunk, (count, future, perf_counter())))
        self.queued_bytes += len(chunk)
        self._wake.set()
        return future

    async def tick(self, now_ms: int) -> None:
        """Journals a tick at a given time and waits until all its timers have fired."""
        self._tick_ms = now_ms
        while self._tick_ms is not None:
            self._wake.set()
            await self.admit(commands.pack_chunk(()), 0, control=True)

    def keep_erasures(self, rows: Sequence[ErasureRow], swept: int = 0) -> "asyncio.Future[None]":
        """Keeps what is known of erasures, and forgets those of a sweep; see `Commit`.

        Durability: synced when the future is done.
        """
        self._wake.set()
        return self._erasures.keep(rows, swept)

    @property
    def has_erasures(self) -> bool:
        """Whether there are erasures that are not in the store's list yet."""
        return self._erasures.on_the_way

    def wipe(self, most_bytes: int) -> "asyncio.Future[None]":
        """Has the store wiped between two commits; see `ShardStore.wipe`."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._wipe = most_bytes, future
        self._wake.set()
        return future

    # --- the pipeline -----------------------------------------------------------------------

    async def _run(self) -> None:
        applying: tuple[Entry, list[_Asked]] | None = None
        futures: list[_Asked] = []
        try:
            while True:
                if self._wipe is not None:
                    if applying is not None:
                        self._apply(*applying)
                        applying = None
                    await self._wipe_now(*self._wipe)
                entry, futures = self._next_entry()
                rows = self._next_rows(alone=entry is None)
                commit = None
                if entry or rows or self._definitions or self._erasures.waiting:
                    commit = self._commit(entry, rows)
                if applying is not None:
                    self._apply(*applying)
                    applying = None
                if commit is not None:
                    await commit
                    self._stored(rows)
                    self._erasures.stored()
                    if entry is not None:
                        applying = (entry, futures)
                elif self._stopping and not self._waiting and not self.shard.dirty:
                    return
                elif not self._waiting and self._next_entry_is_far():
                    self._set_alarm()
                    await self._wake.wait()
                    self._wake.clear()
        except Exception as error:
            unknown = Unavailable(f"shard {self.shard.index} failed; the outcome is unknown")
            waiting = [asked for _, asked in self._waiting]
            for _, future, _ in (*(applying[1] if applying else ()), *futures, *waiting):
                if not future.done():
                    future.set_exception(unknown)
                    future.exception()  # whoever waited may be gone
            self._erasures.fail(unknown)
            self._fail(error)

    async def _wipe_now(self, most_bytes: int, future: "asyncio.Future[None]") -> None:
        loop = asyncio.get_running_loop()
        self._wipe = None
        await loop.run_in_executor(self._executor, self.store.wipe, most_bytes)
        if not future.done():
            future.set_result(None)

    def _next_entry(self) -> tuple[Entry | None, list[_Asked]]:
        """What waits, as one entry; a tick if only a timer is due; nothing otherwise."""
        clock, shard = self._clock, self.shard
        # Not before the entry that is still on its way: a recovery may begin at this one.
        newest_ms = max(self._newest_ms, shard.now)
        now_ms = newest_ms if clock.mode else max(clock.now_ms(), newest_ms)
        due_ms = shard.next_due_ms()
        if self._tick_ms is not None:
            now_ms = max(now_ms, self._tick_ms)
        elif clock.mode:
            due_ms = None
        if shard.outbox >= limits.OUTBOX_PER_SHARD and self._tick_ms is None:
            now_ms = newest_ms  # time stands still, so that timers make no more messages
        late = due_ms is not None and due_ms <= now_ms
        if late:
            horizon_ms = max(shard.due_horizon_ms(now_ms), newest_ms)
            if horizon_ms < now_ms:
                self._newest_ms = horizon_ms
                return Entry(self._next_seq(), self.store.epoch, horizon_ms, 0, b""), []
        self._tick_ms = None
        chunks, futures, size = [], [], 0
        waiting = self._waiting
        commands_taken = 0
        while waiting and size < limits.ENTRY_BYTES and commands_taken < limits.ENTRY_COMMANDS:
            chunk, asked = waiting.popleft()
            commands_taken += asked[0]
            size += len(chunk)
            futures.append(asked)
            if asked[0]:
                chunks.append(chunk)
        self.queued_bytes -= size
        if not futures and not late:
            return None, []
        payload = commands.pack_payload(chunks) if chunks else b""
        self._newest_ms = max(now_ms, _newest_event_ms(payload)) if clock.mode else now_ms
        return Entry(self._next_seq(), self.store.epoch, now_ms, clock.mode, payload), futures

    def _next_seq(self) -> int:
        return self.store.last_seq + 1

    def _next_rows(self, alone: bool) -> list[Row]:
        """The rows that ride along, or go by themselves; see `actors.checkpoint_pace`."""
        shard = self.shard
        if self._stopping:
            return shard.take_rows(limits.CHECKPOINT_ROWS)
        now = asyncio.get_running_loop().time()
        rows = self._pace.rows_now(shard.dirty, shard.rows_until, now, alone)
        return shard.take_rows(rows) if rows else []

    def _commit(self, entry: Entry | None, rows: list[Row]) -> "asyncio.Future[None]":
        definitions, self._definitions = self._definitions, []
        started = perf_counter()
        self.store.stage(
            Commit(
                [entry] if entry else [],
                [
                    EntityRow(key, slot_of_row(key), seq, due_ms, pending, segments, data)
                    for key, seq, due_ms, pending, segments, data in rows
                ],
                definitions,
                self.shard.oldest_needed,
                *self._erasures.take(),
            )
        )
        self.stats.stage_s += perf_counter() - started
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._executor, self._sync)

    def _sync(self) -> None:
        """In the commit thread: the only thing there that waits for the disk."""
        started = perf_counter()
        self.store.sync()
        self.stats.commit_s += perf_counter() - started

    def _stored(self, rows: list[Row]) -> None:
        self.shard.rows_stored(rows)
        self.stats.rows += len(rows)
        self._pace.passed(self.shard.oldest_needed)

    def _apply(self, entry: Entry, futures: "list[_Asked]") -> None:
        started = perf_counter()
        effects = self._play(entry)
        if effects.installed:
            self._log_faults()
        results, at = bytes(effects.results), 0
        now = perf_counter()
        for count, future, since in futures:
            if not future.done():
                future.set_result(results[at : at + count])
            at += count
            self.stats.took_s += now - since
        self.stats.chunks += len(futures)
        assert at == len(results), "each command of an entry has one result"
        self.stats.take(effects, now - started)
        self._dispatch(self, effects)

    def _play(self, entry: Entry) -> Effects:
        """Applies an entry, in a recovery as in work, and tells the pace what it did."""
        dirty = self.shard.dirty
        with self._making_state:
            effects = self.shard.apply(entry.seq, entry.now_ms, entry.mode, entry.payload)
        self._keep_definitions(entry.seq, effects)
        if effects.erased:
            self._erasures.keep_all(effects.erased, entry.seq, self.shard.now)
        self._pace.applied(entry.seq, len(effects.results), self.shard.dirty - dirty)
        return effects

    def _keep_definitions(self, seq: int, effects: Effects) -> None:
        for workspace, version, documents in effects.installed:
            self._definitions.append(DefinitionRow(workspace, version, seq, documents))

    def _log_faults(self) -> None:
        if self.shard.workspaces.faults:
            logger.error("definitions that do not compile: %s", self.shard.workspaces.faults)

    # --- waiting ----------------------------------------------------------------------------

    def _next_entry_is_far(self) -> bool:
        due_ms = self.shard.next_due_ms()
        if self._tick_ms is not None or self._definitions or self._erasures.waiting or self._wipe:
            return False
        if self.shard.outbox >= limits.OUTBOX_PER_SHARD:
            return True  # until a receipt comes in
        return self._clock.mode == 1 or due_ms is None or due_ms > self._clock.now_ms()

    def _set_alarm(self) -> None:
        """Wakes the runner for the next timer, or to write rows of what is dirty."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._checkpoint_alarm is not None:
            self._checkpoint_alarm.cancel()
            self._checkpoint_alarm = None
        loop = asyncio.get_running_loop()
        wake_at = self._pace.wake_at(self.shard.dirty, loop.time())
        if wake_at is not None:
            self._checkpoint_alarm = loop.call_at(wake_at, self._wake.set)
        due_ms = None if self._clock.mode else self.shard.next_due_ms()
        if due_ms is not None:
            self._alarm = self._clock.call_at(due_ms, self._wake.set)

    def now_ms(self) -> int:
        """The time, which for a shard never goes back."""
        return max(self._clock.now_ms(), self.shard.now)

    async def archive(self, all_of_it: bool = False) -> int:
        """Moves passed journal entries into the archive; returns how many."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.beside, self.store.archive_passed, all_of_it)

    def describe(self) -> dict[str, Any]:
        """The shard's state for status and metrics: numbers, and what does not compile."""
        shard, due_ms = self.shard, self.shard.next_due_ms()
        now_ms = self.now_ms()
        return {
            "shard": shard.index,
            "epoch": self.store.epoch,
            "seq": shard.seq,
            "start_seq": self.store.start_seq,
            "now_ms": now_ms,
            "entities": shard.entities,
            "dirty": shard.dirty,
            "outbox": shard.outbox,
            "queued_bytes": self.queued_bytes,
            "timers": shard.timers,
            "timer_lag_ms": max(0, now_ms - due_ms) if due_ms is not None else 0,
            "timers_fired": shard.timers_fired,
            **self.stats.describe(),
            "erasures": dict(self.sweep),
            "installed": {name: program.version for name, program in shard.programs.items()},
            "faults": _by_workspace(shard.workspaces.faults),
        }


def _by_workspace(faults: Iterable[tuple[str, str]]) -> dict[str, dict[str, Any]]:
    """How many definitions of each workspace do not compile, and the names of the first."""
    told: dict[str, dict[str, Any]] = {}
    for workspace, label in sorted(faults):
        one = told.setdefault(workspace, {"count": 0, "names": []})
        one["count"] += 1
        if one["count"] <= limits.FAULTS_SHOWN:
            one["names"].append(label)
    return told


def _newest_event_ms(payload: bytes) -> int:
    """The newest time among an entry's events."""
    times = [
        command[5]
        for chunk in commands.unpack_payload(payload)
        for command in chunk
        if command[0] in commands.TIMED
    ]
    return max(times, default=0)
