"""When to write rows, and how many at a time: a checkpoint that is never a pause.

Rows ride along in commits, in the order of a sweep (`engine.sweep`) that goes round and round
through the keys. One round takes as long as the journal's tail may be: as many commands as a
recovery should replay at most, or some seconds if they are few. A shorter round would write busy
entities more often. Within a round the rows are spread evenly, so that each commit carries few.

A commit for rows only is made when none were written for a moment: between two entries it would
double the number of commits.

Time here is the loop's, in seconds; it decides nothing that is part of a shard's state.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from engine import limits

ROUND_S: Final = 15.0
_ROUND_COMMANDS: Final = limits.CHECKPOINT_TAIL_COMMANDS * 9 // 10
_LEAST_ROWS: Final = 16
_WAKE_S: Final = 0.1


class CheckpointPace:
    """Follows the tail of one shard's journal; see the module's text."""

    __slots__ = ("_began_at", "_commands", "_most", "_passed", "_tail", "_taken_at")

    def __init__(self) -> None:
        self._tail: deque[tuple[int, int]] = deque()  # (seq, commands)
        self._commands = 0  # in the tail
        self._began_at = 0.0  # the round
        self._passed = 0  # commands since then
        self._taken_at = 0.0
        self._most = limits.CHECKPOINT_ROWS

    def applied(self, seq: int, commands: int, changed: int) -> None:
        """Notes an entry that was applied.

        Args:
            seq: Its number.
            commands: How many commands it held.
            changed: How many entities it made dirty. Its timers may have changed more of them
                than it has commands, and commits must write them faster than entries make them.
        """
        work = max(commands, changed)
        self._tail.append((seq, work))
        self._commands += work
        self._passed += work
        self._most = max(limits.CHECKPOINT_ROWS, changed * 5 // 4)

    def passed(self, oldest_needed: int) -> None:
        """Forgets entries that a recovery does not need any more."""
        tail = self._tail
        while tail and tail[0][0] < oldest_needed:
            self._commands -= tail.popleft()[1]

    def rows_now(
        self, dirty: int, rows_until: Callable[[float], int], now: float, alone: bool = False
    ) -> int:
        """How many rows the next commit should carry.

        Args:
            dirty: How many entities are dirty.
            rows_until: `Shard.rows_until`.
            now: The time.
            alone: Whether the commit would be made for them only. A commit costs as much as some
                dozen rows, and what was applied before it waits for it: so while entries come,
                rows go with them.
        """
        if not dirty or not self._began_at:
            self._begin(now)
        if not dirty:
            return rows_until(0.0)
        if alone and now - self._taken_at < _WAKE_S:
            return 0
        if self._commands > limits.CHECKPOINT_TAIL_COMMANDS:
            return self._most
        part = max(self._passed / _ROUND_COMMANDS, (now - self._began_at) / ROUND_S)
        rows = rows_until(min(part, 1.0))
        if part >= 1 and not rows:
            self._begin(now)
        if rows < _LEAST_ROWS and now - self._taken_at < _WAKE_S:
            return 0
        if rows:
            self._taken_at = now
        return min(rows, self._most)

    def wake_at(self, dirty: int, now: float) -> float | None:
        """When to look again if nothing else happens; None if there is nothing to write."""
        return now + _WAKE_S if dirty else None

    def _begin(self, now: float) -> None:
        self._began_at = now
        self._passed = 0
