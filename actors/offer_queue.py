"""The offers that wait for one sender, by shard, lane and purpose, each id once.

Nothing leaves before the sender has answered for it: `batch` shows what is next, `remove` drops
what the sender took. So a call that failed leaves everything in its place and order, and what is
added while a call is under way is neither lost nor doubled. A purpose that a lane is full for
rests alone, so that newsletters never stand before a code, and in one shard only, so that no shard
is always the one that comes too late.

What waits here is unsettled in an outbox, so the outboxes' limits bound it.
"""

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

from engine import limits

Offer = tuple[Any, ...]
"""See `engine.messages.message.Message.offer`: id, key, workspace, lane, channel, …"""

_BODY, _SUBJECT = 7, 8
_OFFER_BYTES: Final = 200


class _Lane:
    __slots__ = ("offers", "rests_until")

    def __init__(self) -> None:
        self.offers: dict[str, Offer] = {}
        self.rests_until = 0.0


class OfferQueue:
    """See the module's text. All times are seconds of the running loop's clock."""

    __slots__ = ("_shards",)

    def __init__(self) -> None:
        self._shards: dict[int, dict[tuple[str, str, str], _Lane]] = {}

    def add(self, shard: int, offers: Iterable[Offer]) -> None:
        """Lets offers wait behind those of their lane and purpose, each once. Cost: 0.2 µs each."""
        lanes = self._shards.get(shard, {})
        for offer in offers:
            name = offer[2], offer[3], offer[6]
            lane = lanes.get(name)
            if lane is None:
                lane = lanes[name] = _Lane()
            lane.offers.setdefault(offer[0], offer)
        if lanes:
            self._shards[shard] = lanes

    def remove(self, shard: int, offers: Iterable[Offer]) -> None:
        """Drops offers; those that do not wait are passed over. Cost: 0.2 µs an offer."""
        lanes = self._shards.get(shard, {})
        for offer in offers:
            name = offer[2], offer[3], offer[6]
            lane = lanes.get(name)
            if lane is not None:
                lane.offers.pop(offer[0], None)
                if not lane.offers:
                    del lanes[name]
        if not lanes:
            self._shards.pop(shard, None)

    def rest(self, shard: int, offers: Iterable[Offer], until: float) -> None:
        """Shows nothing of the lanes of these offers before a time."""
        lanes = self._shards.get(shard, {})
        for name in {(offer[2], offer[3], offer[6]) for offer in offers}:
            lane = lanes.get(name)
            if lane is not None:
                lane.rests_until = until

    def ready_at(self) -> float:
        """When there is something to show; infinity if nothing waits. Cost: 0.1 µs a lane."""
        return min(
            (lane.rests_until for lanes in self._shards.values() for lane in lanes.values()),
            default=float("inf"),
        )

    def batch(
        self,
        now: float,
        count: int = limits.OFFER_MESSAGES,
        size_bytes: int = limits.CALL_UNPACKED_BYTES,
    ) -> dict[int, list[Offer]]:
        """The next offers by shard, of all shards and lanes that do not rest: they share the call.

        Within a shard, lane and purpose the order holds. Who had no place left is first the next
        time.

        Args:
            now: The time.
            count: The most offers, at least 1.
            size_bytes: About the most bytes: the offer that passes them is the last.
        """
        turns = deque(
            (shard, name, iter(lane.offers.values()))
            for shard, lanes in self._shards.items()
            for name, lane in lanes.items()
            if lane.rests_until <= now
        )
        picked: dict[int, list[Offer]] = {}
        served: dict[tuple[int, tuple[str, str, str]], None] = {}
        while turns and count > 0 and size_bytes > 0:
            shard, name, waiting = turns.popleft()
            share = max(1, count // (len(turns) + 1))
            served[shard, name] = None
            part = picked.setdefault(shard, [])
            before = len(part)
            for offer in islice(waiting, share):
                part.append(offer)
                size_bytes -= _OFFER_BYTES + len(offer[_BODY]) + len(offer[_SUBJECT])
                if size_bytes <= 0:
                    break
            count -= len(part) - before
            if len(part) - before == share:
                turns.append((shard, name, waiting))
        for shard, name in served:
            lanes = self._shards[shard]
            lanes[name] = lanes.pop(name)
        for shard in picked:
            self._shards[shard] = self._shards.pop(shard)
        return picked
