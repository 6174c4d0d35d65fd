"""Erasures on their way into the store: they go with the next commit, whatever else is in it.

What an entry says should be forgotten is in the list before recovery needs that entry no more, for
both are in one transaction; see `actors.sweeping` for what becomes of it.
"""

import asyncio
from collections.abc import Iterable, Sequence

from actors.store.base import ErasureRow
from engine.privacy.hidden import Erasure


class Erasures:
    """What goes with the next commit to the store's list of erasures."""

    def __init__(self) -> None:
        self._rows: list[ErasureRow] = []
        self._swept = 0
        self._futures: list[asyncio.Future[None]] = []
        self._staged: list[asyncio.Future[None]] = []
        self._in_commit = False

    @property
    def on_the_way(self) -> bool:
        """Whether the store lacks something: it waits, or is in a commit that is not done."""
        return self.waiting or self._in_commit

    @property
    def waiting(self) -> bool:
        """Whether there is something for the next commit."""
        return bool(self._rows or self._swept or self._futures)

    def keep_all(self, erased: Iterable[Erasure], seq: int, now_ms: int) -> None:
        """Keeps what an entry has said."""
        self._rows += [
            ErasureRow(key, mark, seq, now_ms, tombstone) for key, mark, tombstone in erased
        ]

    def keep(self, rows: Sequence[ErasureRow], swept: int) -> "asyncio.Future[None]":
        """See `ShardRunner.keep_erasures`."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rows += rows
        self._swept = swept or self._swept
        self._futures.append(future)
        return future

    def take(self) -> tuple[list[ErasureRow], int]:
        """What the commit that is about to be staged has of it."""
        rows, self._rows = self._rows, []
        swept, self._swept = self._swept, 0
        self._staged, self._futures = self._futures, []
        self._in_commit = bool(rows or swept)
        return rows, swept

    def stored(self) -> None:
        """The commit has returned."""
        self._in_commit = False
        for future in self._staged:
            if not future.done():
                future.set_result(None)
        self._staged = []

    def fail(self, error: Exception) -> None:
        """There will be no other commit."""
        for future in (*self._staged, *self._futures):
            if not future.done():
                future.set_exception(error)
                future.exception()
