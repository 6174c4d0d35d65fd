"""HyperLogLog: how many different things were seen, in 64 bytes.

Flajolet, Fusy, Gandouet, Meunier 2007, with linear counting below 2.5 registers a thing. With 64
registers the error is about 13 %: enough to tell one prefix from eight. Two sketches of the same
things merge into the sketch of both (the larger register wins), whatever was seen by whom, twice
or in which order; so senders that see parts of the traffic can be put together.

datasketches has the same in C++; its sketches are 4 KB at the least that its merge keeps exact,
and here there is one for every prefix and every address.
"""

from math import log
from typing import Final

from xxhash import xxh3_64_intdigest

REGISTERS: Final = 64
_BITS: Final = 6
_REST: Final = 64 - _BITS
_MASK: Final = (1 << _REST) - 1
_LAST: Final = REGISTERS - 1
_ALPHA: Final = 0.709 * REGISTERS * REGISTERS
_SOME: Final = 19  # more than _ALPHA / (2.5 * REGISTERS)
_POWERS: Final = tuple(2.0**-rank for rank in range(_REST + 2))


def mark_of(thing: str) -> int:
    """What a sketch keeps of a thing: its register and its rank, in one number."""
    digest = xxh3_64_intdigest(thing.encode())
    rank = _REST + 1 - (digest & _MASK).bit_length()
    return rank << _BITS | digest >> _REST


class Sketch:
    """See the module's text.

    Args:
        registers: What `bytes(sketch)` gave, or nothing.
    """

    __slots__ = ("_count", "_registers")

    def __init__(self, registers: bytes = b"") -> None:
        if registers and (len(registers) != REGISTERS or max(registers) > _REST + 1):
            msg = f"a sketch has {REGISTERS} registers of at most {_REST + 1}"
            raise ValueError(msg)
        self._registers = bytearray(registers or REGISTERS)
        self._count = -1.0

    def __bytes__(self) -> bytes:
        return bytes(self._registers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sketch) and self._registers == other._registers

    __hash__ = None  # type: ignore[assignment]  # it changes

    def add(self, thing: str) -> None:
        """Sees a thing. Cost: 0.4 µs."""
        self.add_mark(mark_of(thing))

    def add_mark(self, mark: int) -> None:
        """Sees the thing of a mark. Cost: 0.1 µs."""
        rank = mark >> _BITS
        at = mark & _LAST
        if rank > self._registers[at]:
            self._registers[at] = rank
            self._count = -1.0

    def count(self) -> float:
        """About how many different things it has seen. Cost: 3 µs after a change, else 0.05 µs."""
        if self._count < 0:
            registers = self._registers
            empty = registers.count(0)
            if empty < _SOME:  # else the sum would come to less than 2.5 registers a thing
                self._count = _ALPHA / sum([_POWERS[rank] for rank in list(registers)])
            if empty >= _SOME or (empty and self._count <= 2.5 * REGISTERS):
                self._count = REGISTERS * log(REGISTERS / empty)
        return self._count

    def merge(self, other: "Sketch") -> None:
        """Takes in what another one has seen."""
        self._registers = bytearray(map(max, self._registers, other._registers))
        self._count = -1.0
