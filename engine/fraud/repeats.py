"""Many codes to one number: a leaky bucket a number, whatever was verified."""

from collections.abc import Iterator

from engine.fraud.numbers import Numbers

Level = tuple[float, int]


class Repeats:
    """Leaky buckets by number, bounded: the ones least recently touched go first.

    Args:
        codes: How many codes are still believed.
        span_ms: The time in which a full bucket drains.
        levels: Where they are kept: how full one was, and when.
    """

    __slots__ = ("_drain_per_ms", "codes", "levels")

    def __init__(self, codes: int, span_ms: int, levels: Numbers[Level]) -> None:
        self.codes = codes
        self._drain_per_ms = codes / span_ms
        self.levels = levels

    def is_full(self, number: str, now_ms: int) -> bool:
        """Whether another code would be one too many."""
        return self._level(number, now_ms) > self.codes - 1 + 1e-9

    def add(self, number: str, first_ms: int, now_ms: int) -> None:
        """Adds one. The first one, at `first_ms`, was not added: most numbers have no second."""
        if self.levels.get(number) is None:
            self.levels.put(number, (1.0, first_ms))
        self.levels.put(number, (self._level(number, now_ms) + 1.0, now_ms))

    def newest(self) -> Iterator[tuple[str | bytes, float, int]]:
        """What a restart keeps, the newest first: the buckets that are at least half full."""
        for number, (level, at_ms) in self.levels.newest():
            if level >= self.codes / 2:
                yield number, level, at_ms

    def _level(self, number: str, now_ms: int) -> float:
        level, at_ms = self.levels.get(number) or (0.0, now_ms)
        return max(0.0, level - max(0, now_ms - at_ms) * self._drain_per_ms)
