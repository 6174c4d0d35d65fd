"""The newest things of a kind, bounded, in two generations.

What is put goes into the young one. When that is half full it becomes the old one, and what was old
goes at once. A dict whose oldest key is deleted again and again would be simpler, but finding that
key walks over all those that were deleted before it: 50 µs each time in one of 100,000.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Newest(Generic[K, V]):
    """See the module's text.

    Args:
        capacity: The most that it keeps; it keeps the newest half of that for sure.

    Attributes:
        young: What was put lately, and `old`: before; for those in a hurry, who also `tidy`.
    """

    __slots__ = ("_half", "old", "young")

    def __init__(self, capacity: int) -> None:
        self._half = max(1, capacity // 2)
        self.young: dict[K, V] = {}
        self.old: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self.young) + len(self.old)

    def limit(self, capacity: int) -> None:
        """Keeps no more than this from now on; what is too much goes with its generation."""
        self._half = max(1, capacity // 2)

    def get(self, key: K) -> V | None:
        """What was put there, or None."""
        found = self.young.get(key)
        return self.old.get(key) if found is None else found

    def put(self, key: K, value: V) -> None:
        """Keeps something as the newest."""
        self.young[key] = value
        self.tidy()

    def tidy(self) -> None:
        """Makes room; for those who put into `young` themselves."""
        if len(self.young) >= self._half:
            self.old = self.young
            self.young = {}

    def pop(self, key: K) -> V | None:
        """Takes something out, if it is there."""
        old = self.old.pop(key, None)
        return self.young.pop(key, old)

    def newest(self) -> Iterator[tuple[K, V]]:
        """All of it, the newest first; one that was put twice is met twice."""
        yield from reversed(self.young.items())
        yield from reversed(self.old.items())
