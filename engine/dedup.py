"""Deduplication: an event id is applied once, for at least 24 hours.

Each entity remembers the hashes of its ids in two generations. A new id goes into the young one;
once the young one is 24 hours old it becomes the old one and the old one is forgotten. So an id is
known for 24 to 48 hours without a time kept beside each id. It is right because a lookup asks both
generations, and because the generations are part of the entity's state: they are journaled,
checkpointed and replayed with it. The bound is a limit on ids, past which an entity's events are
refused with a typed reason rather than forgotten early.
"""

from typing import Any, Final

from xxhash import xxh3_64_digest

from engine import limits

FRESH: Final = 0
SEEN: Final = 1
FULL: Final = 2


class SeenIds:
    """The ids that one entity has applied."""

    __slots__ = ("old", "since_ms", "young")

    def __init__(self) -> None:
        self.since_ms = 0
        self.young: dict[bytes, None] = {}
        self.old: dict[bytes, None] = {}

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
        hash_ = xxh3_64_digest(id_.encode())
        if hash_ in young or hash_ in self.old:
            return SEEN
        if len(young) >= limits.SEEN_IDS:
            return FULL
        young[hash_] = None
        return FRESH

    def forget(self, id_: str) -> None:
        """Forgets an id that was just added: what it stood for was refused, and may come again."""
        self.young.pop(xxh3_64_digest(id_.encode()), None)

    def __contains__(self, id_: str) -> bool:
        hash_ = xxh3_64_digest(id_.encode())
        return hash_ in self.young or hash_ in self.old

    def pack(self) -> list[Any]:
        """The state as msgpack-able values; the hashes of 8 bytes one after the other."""
        return [self.since_ms, b"".join(self.young), b"".join(self.old)]

    @classmethod
    def unpack(cls, packed: list[Any]) -> "SeenIds":
        """The inverse of `pack`."""
        seen = cls()
        seen.since_ms = packed[0]
        seen.young = _from_bytes(packed[1])
        seen.old = _from_bytes(packed[2])
        return seen


def _from_bytes(data: bytes) -> dict[bytes, None]:
    return dict.fromkeys([data[at : at + 8] for at in range(0, len(data), 8)])
