"""The order in which changed entities are written: round and round through their keys.

A sweep goes through all keys in their order, piece by piece, and takes what is dirty in a piece
when it comes to it, however young. So an entity waits for one round at most, and a journal's tail
is never longer than a round; and an entity that changes often is written once a round. In the
order of the keys neighbours share the store's pages: rows in the order of their age would write a
page each. Keys above all that were known when a round began, such as ids that ascend with time,
come with its last piece.
"""

from collections.abc import Mapping
from itertools import chain, islice
from math import ceil
from typing import Final

_PIECES: Final = 16
_SAMPLE: Final = 1_000  # so many keys tell where the pieces begin


class Sweep:
    """Where a shard's sweep is; see the module's text."""

    __slots__ = ("_begun", "_bounds", "_keys", "_size", "_taken")

    def __init__(self) -> None:
        self._bounds: list[str] = []  # where the pieces but the first begin
        self._begun = 0  # pieces of this round that were begun
        self._keys: list[str] = []  # what is left of the piece, the next key last
        self._size = 0  # how many there were
        self._taken: list[str] = []  # what this round has given

    def rows_until(self, dirty: Mapping[str, int], part: float) -> int:
        """How many keys bring this round to a part of its way.

        Args:
            dirty: The keys of all changed entities.
            part: From 0 to 1. A round that has ended begins anew when less than 1 is asked for.

        Returns:
            At most what is left of one piece; 0 if the sweep is there. With nothing dirty it
            begins anew.

        Cost: 30 ns a dirty key when a piece begins.
        """
        if not dirty:
            self._begun = 0
            return 0
        if self._begun == _PIECES and not self._keys and part < 1:
            self._begun = 0
        wanted = part * _PIECES
        while not self._keys:
            if self._begun >= min(wanted, _PIECES):
                return 0
            self._begin_piece(dirty)
        taken = self._size - len(self._keys)
        return max(0, min(len(self._keys), ceil((wanted - self._begun + 1) * self._size) - taken))

    def next_keys(self, dirty: Mapping[str, int], limit: int) -> list[str]:
        """The next keys of a piece, ascending; none only if nothing is dirty.

        The caller writes them: they must not be dirty any more when it asks again.
        """
        while not self._keys:
            if not dirty:
                return []
            self._begun %= _PIECES
            self._begin_piece(dirty)
        at = max(0, len(self._keys) - limit)
        keys = self._keys[at:]
        del self._keys[at:]
        keys.reverse()
        self._taken += keys
        return keys

    def _begin_piece(self, dirty: Mapping[str, int]) -> None:
        if not self._begun:
            # What is dirty now says little of where a round's keys lie: the first piece was swept
            # a round ago, the last one just now. The round before knows better.
            every = (len(self._taken) + len(dirty)) // _SAMPLE + 1
            keys = sorted(islice(chain(self._taken, dirty), 0, None, every))
            self._bounds = [keys[len(keys) * n // _PIECES] for n in range(1, _PIECES)]
            self._taken = []
        first = self._bounds[self._begun - 1] if self._begun else ""
        past = self._bounds[self._begun] if self._begun < _PIECES - 1 else None
        self._begun += 1
        if past is None:
            keys = [key for key in dirty if key >= first]
        else:
            keys = [key for key in dirty if key < past and key >= first]
        self._keys = sorted(keys, reverse=True)
        self._size = len(self._keys)
