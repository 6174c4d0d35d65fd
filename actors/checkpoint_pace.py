"""When to write rows, and how many at a time: a checkpoint that is never a pause.

Rows ride along in commits. Waiting a little before an entity is written saves work, because one
row then stands for all that happened to it meanwhile; waiting long makes a recovery long. So an
entity is written some seconds after its first change, in sweeps, and the rows of a sweep are
spread evenly over its time, so that each commit carries few. If the journal's tail grows past what
a recovery should replay, rows go as fast as commits take them.

Time here is the loop's, in seconds; it decides nothing that is part of a shard's state.
"""

from collections import deque
from typing import Final

from engine import limits

AGE_S: Final = 10.0
SWEEP_S: Final = 10.0
_LEAST_ROWS: Final = 16
_WAKE_S: Final = 0.02


class CheckpointPace:
    """Follows the tail of one shard's journal; see the module's text."""

    __slots__ = ("_commands", "_rate", "_tail", "_taken_at")

    def __init__(self) -> None:
        self._tail: deque[tuple[int, float, int]] = deque()  # (seq, when, commands)
        self._commands = 0
        self._rate = 0.0
        self._taken_at = 0.0

    def applied(self, seq: int, commands: int, now: float) -> None:
        """Notes an entry that was applied."""
        self._tail.append((seq, now, commands))
        self._commands += commands

    def passed(self, oldest_needed: int) -> None:
        """Forgets entries that a recovery does not need any more."""
        tail = self._tail
        while tail and tail[0][0] < oldest_needed:
            self._commands -= tail.popleft()[2]

    def rows_now(self, dirty: int, sweeping: int, now: float) -> tuple[int, int]:
        """How many rows the next commit should carry.

        Args:
            dirty: How many entities are dirty.
            sweeping: How many of them the sweep under way has still to write; 0 if there is none.
            now: The time.

        Returns:
            The number of rows, 0 for none now; and the newest entry whose entities a new sweep
            takes.
        """
        if not dirty:
            return 0, 0
        up_to_seq = self._due(now)
        if self._commands > limits.CHECKPOINT_TAIL_COMMANDS:
            return limits.CHECKPOINT_ROWS, up_to_seq
        if not sweeping:
            if not up_to_seq:
                return 0, 0
            self._rate = dirty / SWEEP_S
            self._taken_at = now - _WAKE_S
        rows = max(_LEAST_ROWS, int((now - self._taken_at) * self._rate))
        if now - self._taken_at < _WAKE_S:
            return 0, 0
        self._taken_at = now
        return min(rows, limits.CHECKPOINT_ROWS), up_to_seq

    def wake_at(self, dirty: int, now: float) -> float | None:
        """When to look again if nothing else happens; None if there is nothing to write."""
        if not dirty or not self._tail:
            return None
        return max(self._tail[0][1] + AGE_S, now + _WAKE_S)

    def _due(self, now: float) -> int:
        """The newest entry that is old enough, or beyond what the tail may hold; 0 for none."""
        up_to_seq, surplus = 0, self._commands - limits.CHECKPOINT_TAIL_COMMANDS // 2
        old = now - AGE_S
        overflowing = self._commands > limits.CHECKPOINT_TAIL_COMMANDS
        for seq, at, commands in self._tail:
            if at > old and not (overflowing and surplus > 0):
                break
            up_to_seq = seq
            surplus -= commands
        return up_to_seq
