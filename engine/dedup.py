"""Deduplication: an event id is applied once, for at least 24 hours.

Each entity remembers the hashes of its ids in two generations. A new id goes into the young one;
once the young one is 24 hours old it becomes the old one and the old one is forgotten. So an id is
known for 24 to 48 hours without a time kept beside each id. It is right because a lookup asks both
generations, and because the generations are part of the entity's state: they are journaled,
checkpointed and replayed with it. The bound is a limit on ids, past which an entity's events are
refused with a typed reason rather than forgotten early.
"""

import sys
from array import array
from typing import Any, Final

from xxhash import xxh3_64_intdigest

from engine import limits

FRESH: Final = 0
SEEN: Final = 1
FULL: Final = 2


class SeenIds:
    """The ids that one entity has applied."""

    __slots__ = ("old", "since_ms", "young")

    def __init__(self) -> None:
        self.since_ms = 0
        self.young: dict[int, None] = {}
        self.old: dict[int, None] = {}

    def add(self, id_: str, now_ms: int) -> int:
        """Remembers an id.

        Args:
            id_: The client's id.
            now_ms: The shard's time.

        Returns:
            FRESH if it was new and is now remembered, SEEN if it was known, FULL if the entity
            holds `limits.SEEN_IDS` ids of the last 24 hours already and the id was refused.

        Cost: about 0.5 µs.
        """
        young = self.young
        if now_ms - self.since_ms >= limits.SEEN_MS:
            if now_ms - self.since_ms >= 2 * limits.SEEN_MS:
                self.old = {}
            else:
                self.old = young
            young = self.young = {}
            self.since_ms = now_ms
        hash_ = xxh3_64_intdigest(id_.encode())
        if hash_ in young or hash_ in self.old:
            return SEEN
        if len(young) >= limits.SEEN_IDS:
            return FULL
        young[hash_] = None
        return FRESH

    def __contains__(self, id_: str) -> bool:
        hash_ = xxh3_64_intdigest(id_.encode())
        return hash_ in self.young or hash_ in self.old

    def pack(self) -> list[Any]:
        """The state as msgpack-able values; ids as little-endian 64-bit words."""
        return [self.since_ms, _to_bytes(self.young), _to_bytes(self.old)]

    @classmethod
    def unpack(cls, packed: list[Any]) -> "SeenIds":
        """The inverse of `pack`."""
        seen = cls()
        seen.since_ms = packed[0]
        seen.young = _from_bytes(packed[1])
        seen.old = _from_bytes(packed[2])
        return seen


def _to_bytes(ids: dict[int, None]) -> bytes:
    words = array("Q", ids)
    if sys.byteorder == "big":
        words.byteswap()
    return words.tobytes()


def _from_bytes(data: bytes) -> dict[int, None]:
    words = array("Q")
    words.frombytes(data)
    if sys.byteorder == "big":
        words.byteswap()
    return dict.fromkeys(words)
