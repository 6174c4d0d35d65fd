"""Sweeping: what came in of people who are erased is taken out of the journal and its archive.

An erasure empties the person's rows at once. The commands that made them what they were still lie
in the journal and in the files of its archive. Each shard keeps a list of what is to go
(`Effects.erased`), with the entry that said so, in the store and in the transaction after that
entry, so a crash forgets none of it. Some hours later, or when somebody asks for it, a sweep takes
all that is on the list:

1. It notes for each erasure up to which entry it holds. Of somebody who has not come back that is
   all until now, and the tombstone leaves the memory, so that whatever is heard of them from here
   on is noticed and put on the list again. It waits for those of whom something is still under way.
2. It waits until checkpoints have passed these entries, and archives them, however few they are.
3. It rewrites the archive's files, the oldest first (so that a replay meanwhile never sees somebody
   without the end), and each at once or not at all. A file says which sweep was there last.
4. It takes what it did from the list, and has the store wiped, in that order: the list has names.

A crash anywhere begins the step again, which does no harm. The work is in a thread that rests most
of the time.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from actors.store.base import Entry, ErasureRow
from actors.store.errors import StoreError
from engine import commands, limits
from engine.errors import Overloaded, Unavailable
from engine.privacy.erasing import is_blank
from engine.privacy.hidden import BACK, WHOLE, is_hidden
from engine.privacy.record import is_gone
from engine.privacy.rewriting import Gone, Rewriter

if TYPE_CHECKING:
    from actors.shard_runner import ShardRunner
    from engine.entity import Entity

_log: Final = logging.getLogger(__name__)
_WORK_S: Final = 0.002  # how long the thread works,
_REST_S: Final = 0.006  # and how long it then leaves the interpreter to the others
_WIPE: Final = ErasureRow("", "wipe", 0, 0, b"", -1)  # on the list while only the wiping is left
_MS: Final = 1_000
_ANY_SIZE: Final = 1 << 62
Answer = TypeVar("Answer")


class Sweeping:
    """Sweeps the shards of a host; see the module's text.

    Args:
        runners: The shards of the host.
    """

    def __init__(self, runners: Mapping[int, "ShardRunner"]) -> None:
        self._sweeps = {index: _Sweep(runner) for index, runner in runners.items()}

    async def run(self) -> None:
        """Works until it is cancelled."""
        while True:
            for sweep in self._sweeps.values():
                with contextlib.suppress(Overloaded, Unavailable):  # then it begins again, later
                    await sweep.look()
            await asyncio.sleep(limits.SWEEP_PAUSE_S)

    def stop(self) -> None:
        """Ends what is under way in a thread; the task is the owner's to cancel."""
        for sweep in self._sweeps.values():
            sweep.stopping = True

    def ask(self, shard: int) -> dict[str, Any]:
        """Asks for a shard to be swept now; gives how far it is."""
        return self._sweeps[shard].ask()


class _Sweep:
    """The sweeps of one shard."""

    def __init__(self, runner: "ShardRunner") -> None:
        self.stopping = False
        self._runner = runner
        self._asked = False
        self._not_before_s = 0.0
        self._rest_from_s = 0.0
        self._since_s: float | None = None  # since when something is on the list, as seen here

    def ask(self) -> dict[str, Any]:
        waiting = self._runner.store.erasures(limits.SWEEP_ERASURES)
        on_the_way = int(self._runner.has_erasures)
        self._asked = self._asked or bool(waiting) or bool(on_the_way)
        return {**self._runner.sweep, "waiting": len(waiting) + on_the_way}

    async def look(self) -> None:
        """Sweeps if there is something to sweep."""
        runner, loop = self._runner, asyncio.get_running_loop()
        rows = runner.store.erasures(limits.SWEEP_ERASURES)
        runner.sweep["waiting"] = len(rows)
        if not rows:
            runner.sweep = {"waiting": 0}
            self._since_s = None
            return
        self._since_s = loop.time() if self._since_s is None else self._since_s
        runner.sweep["since_ms"] = min((row.at_ms for row in rows if row.at_ms), default=0)
        if not self._asked and (loop.time() < self._not_before_s or not self._is_due(rows)):
            return
        if self._asked and runner.sweep.get("error") and loop.time() < self._not_before_s:
            return
        try:
            await self._sweep(rows)
            runner.sweep.pop("error", None)
        except StoreError as error:
            _log.error("shard %d is not swept of the erased: %s", runner.shard.index, error)
            runner.sweep["error"] = str(error)
        self._not_before_s = loop.time() + limits.SWEEP_REST_S

    def _is_due(self, rows: list[ErasureRow]) -> bool:
        """Whether the oldest has waited long enough, by either clock: a shard's may stand still."""
        assert self._since_s is not None
        if asyncio.get_running_loop().time() - self._since_s >= limits.SWEEP_WAIT_S:
            return True
        since_ms = self._runner.now_ms() - limits.SWEEP_WAIT_S * _MS
        return any(row.sweep or row.at_ms <= since_ms for row in rows)

    async def _sweep(self, rows: list[ErasureRow]) -> None:
        runner, store = self._runner, self._runner.store
        begun = [row for row in rows if row.sweep > 0]
        if not begun and _WIPE not in rows:
            number = max(runner.shard.seq, await self._beside(store.last_sweep) + 1)
            begun = [ready for row in rows if (ready := self._ready(row, number)) is not None]
            if not begun:
                return  # something of everybody is still under way
            await runner.keep_erasures(begun)
        if begun:
            gone = Gone(runner.shard.secret)
            for row in begun:
                if row.upto:
                    gone.add(row.key, row.mark, row.seq, row.upto, row.tombstone)
            await self._pass(gone.upto)
            await self._rewrite(begun[0].sweep, gone)
            await runner.keep_erasures([_WIPE], begun[0].sweep)
        everything = self._asked
        await runner.wipe(_ANY_SIZE if everything else limits.WIPE_BYTES)
        await runner.keep_erasures((), _WIPE.sweep)
        self._asked = False

    def _ready(self, row: ErasureRow, number: int) -> ErasureRow | None:
        """An erasure with all that a sweep needs to know; None if it has to wait."""
        if row.mark not in (WHOLE, BACK):
            return row._replace(sweep=number, upto=row.seq)
        shard = self._runner.shard
        entity = shard.peek(row.key)
        if entity is not None and is_gone(entity):
            tombstone = entity.pack()
            if not is_hidden(entity) or not shard.forget(row.key):
                return None
            return row._replace(sweep=number, upto=shard.seq, tombstone=tombstone)
        if row.mark == BACK:
            return row._replace(sweep=number, upto=0)  # they are back: all of it is theirs
        if entity is not None and _is_under_way(entity):
            return None
        return row._replace(sweep=number, upto=row.seq)

    async def _pass(self, upto: int) -> None:
        """Waits until recovery needs none of the entries, and has them archived."""
        runner, store = self._runner, self._runner.store
        while store.start_seq <= upto:
            if not runner.shard.dirty:  # nothing else comes, and the newest entry always is needed
                await runner.admit(commands.pack_chunk(()), 0, control=True)
            await asyncio.sleep(limits.SWEEP_STEP_S)
        while await runner.archive(all_of_it=True):
            pass

    async def _rewrite(self, number: int, gone: Gone) -> None:
        if not gone.upto:
            return
        rewriter = Rewriter(gone)
        step = partial(self._runner.store.rewrite_next, number, gone.upto, self._change(rewriter))
        while left := await self._beside(step):
            self._runner.sweep["files_left"] = left - 1
        self._runner.sweep.pop("files_left", None)

    def _change(self, rewriter: Rewriter) -> Callable[[Entry], bytes]:
        self._rest_from_s = time.perf_counter() + _WORK_S

        def change(entry: Entry) -> bytes:
            """In a thread: an entry's new payload; rests between."""
            if self.stopping:
                raise _Stopped
            if time.perf_counter() > self._rest_from_s:
                time.sleep(_REST_S)
                self._rest_from_s = time.perf_counter() + _WORK_S
            return rewriter.rewrite(entry.seq, entry.mode, entry.payload)

        return change

    async def _beside(self, work: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._runner.beside, work)


class _Stopped(Unavailable):
    """The host stops; the file that was being rewritten stays as it was."""

    def __init__(self) -> None:
        super().__init__("the host stops")


def _is_under_way(entity: "Entity") -> bool:
    """Whether something from before an erasure is, of somebody who is back."""
    told = (forward[1] for forward in entity.outbox.values() if forward is not None)
    return any(commands.unpack_command(command)[0] == commands.ERASE for command in told) or any(
        is_blank(message) for message in entity.kept.every()
    )
