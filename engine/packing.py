"""MessagePack on the hot path.

The format is that of msgpack everywhere; here it is msgspec that reads and writes it, because it
is three times as quick on what passes by the million: commands, entities and messages. What one
library writes the other reads.
"""

from collections.abc import Iterator
from typing import Any, Final

from msgspec import Raw
from msgspec.msgpack import Decoder, Encoder

# Texts, numbers, bytes, lists, tuples and maps as bytes.
pack: Final = Encoder().encode
# Any packed value; arrays become lists.
unpack: Final = Decoder().decode
# A packed array of arrays, these as tuples.
unpack_tuples: Final = Decoder(list[tuple[Any, ...]]).decode
# A packed array, as a tuple.
unpack_tuple: Final = Decoder(tuple[Any, ...]).decode
# A packed array of texts of bytes.
unpack_chunks: Final = Decoder(list[bytes]).decode


# What a packed array begins with: up to 15 values, their number added; more, then two bytes of it.
_FIX_ARRAY: Final = 0x90
ARRAY_16: Final = 0xDC
# What a byte string begins with, if its length takes one, two or four bytes.
BYTES_8: Final = 0xC4
BYTES_16: Final = 0xC5
BYTES_32: Final = 0xC6


class PackedRun(bytearray):
    """Packed values one after the other in one run of bytes, oldest first.

    What is kept of a person is written with every row and read by a person once in a while. As
    objects of its own it would lie all over the memory, and a row would fetch piece by piece what
    it here takes in one stride. Each value stands as a byte string of MessagePack, so the run is
    the inside of a packed array.

    Attributes:
        number: How many values there are.
    """

    __slots__ = ("number",)

    def __init__(self, array: Raw | None = None) -> None:
        """A run from its `array()`; an empty one if none is given."""
        if array is None:
            self.number = 0
            return
        view = memoryview(array)
        if len(view) == 1:
            self.number = 0
        elif view[0] == ARRAY_16:
            super().__init__(view[3:])
            self.number = int.from_bytes(view[1:3], "big")
        else:
            super().__init__(view[1:])
            self.number = view[0] - _FIX_ARRAY

    def drop(self, at: int) -> None:
        """Drops the value that begins at a place of the run."""
        del self[at : self.span(at)[1]]
        self.number -= 1

    def span(self, at: int) -> tuple[int, int]:
        """Where the value that begins at a place begins and ends without its head."""
        head = self[at]
        if head == BYTES_8:
            return at + 2, at + 2 + self[at + 1]
        start = at + (3 if head == BYTES_16 else 5)
        return start, start + int.from_bytes(self[at + 1 : start], "big")

    def starts(self) -> Iterator[int]:
        """Where each value begins; the run must not change meanwhile."""
        at, end = 0, len(self)
        while at < end:
            yield at
            at = self.span(at)[1]

    def values(self) -> list[bytes]:
        """The values, oldest first."""
        return unpack_chunks(self.array())

    def array(self) -> Raw:
        """The run as a packed array, to be put into what is packed."""
        number = self.number
        if number < len(_HEADS):
            return Raw(_HEADS[number] + self) if number else NO_VALUES
        return Raw(bytes((ARRAY_16,)) + number.to_bytes(2, "big") + self)


class PackedLog(PackedRun):
    """A run of which only the newest values are kept.

    What is added waits beside the run until the bytes are asked for: most of what is kept of a
    person was not touched for a while, and to make it longer by a line would fetch it from memory
    and move it, for each line. Which values wait is no part of the state: the bytes are the same.

    Ask it for its `array` or `values`, and whether it is empty. All else is of the run alone.
    """

    __slots__ = ("_fresh", "_most")

    def __init__(self, most: int, array: Raw | None = None) -> None:
        """A log from its `array()`; an empty one if none is given.

        Args:
            most: How many values are kept.
            array: Its packed values.
        """
        super().__init__(array)
        self._most = most
        self._fresh: list[bytes] | None = None

    def __bool__(self) -> bool:
        return self.number > 0 or self._fresh is not None

    def add(self, packed: bytes) -> None:
        """Adds a value at the end; past the limit the oldest makes room. Cost: 0.1 µs."""
        fresh = self._fresh
        if fresh is None:
            self._fresh = [packed]
        else:
            fresh.append(packed)
            if len(fresh) == _FRESH_VALUES:
                self._settle()

    def _settle(self) -> None:
        """Puts what waits into the run."""
        fresh, self._fresh = self._fresh, None
        if fresh is None:
            return
        self += inside(fresh)
        number = self.number = self.number + len(fresh)
        if number > self._most:
            end = 0
            for _ in range(number - self._most):
                end = self.span(end)[1]
            del self[:end]
            self.number = self._most

    def array(self) -> Raw:
        """See `PackedRun`."""
        if self._fresh is not None:
            self._settle()
        return PackedRun.array(self)


def inside(values: list[bytes]) -> bytes:
    """What a `PackedRun` of these values holds: a packed array of them without its head."""
    return pack(values)[1 if len(values) < len(_HEADS) else 3 :]


_FRESH_VALUES: Final = 15  # so many settle by themselves, lest a busy person's wait for long
_HEADS: Final = [bytes((_FIX_ARRAY + number,)) for number in range(16)]
NO_VALUES: Final = Raw(_HEADS[0])  # the packed array of an empty run
