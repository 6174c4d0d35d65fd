"""What is known of single phone numbers: by number in memory, by a keyed digest in what is written.

A digest costs a microsecond, so while a guard lives it looks numbers up as they are, and digests
them when it writes a snapshot. What was known before a restart is found by its digest, and moves to
the others when it is put again.

A digest is BLAKE2b with the guard's secret as its key. Without that nobody finds the number but by
trying all there are; whoever has the secret can do that within hours.
"""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Final, Generic, TypeVar

from engine.fraud.newest import Newest

V = TypeVar("V")

_BYTES: Final = 12


class Seal:
    """Makes digests of numbers.

    Attributes:
        secret: Their key, at most 64 bytes.
    """

    __slots__ = ("secret",)

    def __init__(self, secret: bytes = b"") -> None:
        self.secret = secret

    def of(self, number: str | bytes) -> bytes:
        """The digest of a number; what is one already stays as it is. Cost: 1 µs."""
        if isinstance(number, bytes):
            return number
        return blake2b(number.encode(), digest_size=_BYTES, key=self.secret).digest()


class Numbers(Generic[V]):
    """See the module's text.

    Args:
        capacity: How many numbers it keeps at most, and as many again of before a restart.
        seal: What digests are made with.

    Attributes:
        now: By number; for those in a hurry, if nothing is known of `before`.
        before: By digest: what was known before a restart.
    """

    __slots__ = ("_capacity", "_seal", "before", "now")

    def __init__(self, capacity: int, seal: Seal) -> None:
        self._capacity = capacity
        self._seal = seal
        self.now: Newest[str, V] = Newest(capacity)
        self.before: dict[bytes, V] = {}

    def __len__(self) -> int:
        return len(self.now) + len(self.before)

    def limit(self, capacity: int) -> None:
        """Keeps no more than this from now on."""
        self._capacity = capacity
        self.now.limit(capacity)
        while len(self.before) > capacity:
            del self.before[next(iter(self.before))]

    def get(self, number: str | bytes) -> V | None:
        """What is known of a number, or None."""
        found = None if isinstance(number, bytes) else self.now.get(number)
        if found is None and self.before:
            return self.before.get(self._seal.of(number))
        return found

    def put(self, number: str | bytes, value: V) -> None:
        """Knows something of a number."""
        if isinstance(number, bytes):
            self.restore(number, value)
            return
        if self.before:
            self.before.pop(self._seal.of(number), None)
        self.now.put(number, value)

    def pop(self, number: str) -> None:
        """Forgets a number."""
        self.now.pop(number)
        if self.before:
            self.before.pop(self._seal.of(number), None)

    def newest(self) -> Iterator[tuple[str | bytes, V]]:
        """All, the newest first, some as digests. Of one that is met twice the first holds."""
        yield from self.now.newest()
        yield from reversed(self.before.items())

    def restore(self, number: str | bytes, value: V) -> None:
        """Takes in one of before a restart."""
        if isinstance(number, str):
            self.now.put(number, value)  # of an older version, which kept it as it is
        elif len(self.before) < self._capacity:
            self.before[number] = value
