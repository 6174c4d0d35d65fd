"""Many codes to one number: a leaky bucket a number, whatever was verified."""

from collections.abc import Iterable

from engine import limits


class Repeats:
    """Leaky buckets by number, bounded: the ones least recently touched go first.

    Args:
        codes: How many codes are still believed.
        span_ms: The time in which a full bucket drains.
    """

    __slots__ = ("_drain_per_ms", "_levels", "codes")

    def __init__(self, codes: int, span_ms: int) -> None:
        self.codes = codes
        self._drain_per_ms = codes / span_ms
        self._levels: dict[str, tuple[float, int]] = {}

    def level(self, name: str, now_ms: int) -> float:
        """The level, without another code."""
        level, at_ms = self._levels.get(name, (0.0, now_ms))
        return max(0.0, level - max(0, now_ms - at_ms) * self._drain_per_ms)

    def add(self, name: str, first_ms: int, now_ms: int) -> None:
        """Adds one. The first one, at `first_ms`, was not added: most numbers have no second."""
        if name not in self._levels:
            self._levels[name] = (1.0, first_ms)
        level = self.level(name, now_ms) + 1.0
        del self._levels[name]
        if len(self._levels) >= limits.FRAUD_NUMBERS:
            del self._levels[next(iter(self._levels))]
        self._levels[name] = (level, now_ms)

    def drop(self, name: str) -> None:
        """Forgets one."""
        self._levels.pop(name, None)

    def rows(self) -> list[tuple[str, float, int]]:
        """What a restart keeps: the buckets that are at least half full."""
        least = self.codes / 2
        found = [(name, *level) for name, level in self._levels.items() if level[0] >= least]
        return found[-limits.FRAUD_SNAPSHOT_NODES :]

    def restore(self, rows: Iterable[tuple[str, float, int]]) -> None:
        """Takes in what `rows` gave."""
        for name, level, at_ms in rows:
            if len(self._levels) < limits.FRAUD_NUMBERS:
                self._levels[name] = (level, at_ms)
