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
from typing import Any

from engine import limits

Offer = tuple[Any, ...]
"""See `engine.messages.Message.offer`: id, key, workspace, lane, channel, …"""


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

    def add(self, shard: int, offer: Offer) -> None:
        """Lets an offer wait behind those of its lane and purpose, once. Cost: 0.3 µs."""
        lanes = self._shards.get(shard)
        if lanes is None:
            lanes = self._shards[shard] = {}
        lane = lanes.get((offer[2], offer[3], offer[6]))
        if lane is None:
            lane = lanes[offer[2], offer[3], offer[6]] = _Lane()
        lane.offers.setdefault(offer[0], offer)

    def remove(self, shard: int, offers: Iterable[Offer]) -> None:
        """Drops offers; those that do not wait are passed over. Cost: 0.3 µs an offer."""
        lanes = self._shards.get(shard, {})
        for offer in offers:
            lane = lanes.get((offer[2], offer[3], offer[6]))
            if lane is not None:
                lane.offers.pop(offer[0], None)
                if not lane.offers:
                    del lanes[offer[2], offer[3], offer[6]]
        if not lanes:
            self._shards.pop(shard, None)

    def rest(self, shard: int, offers: Iterable[Offer], until: float) -> None:
        """Shows nothing of the lanes of these offers before a time."""
        lanes = self._shards.get(shard, {})
        for name in {(offer[2], offer[3], offer[6]) for offer in offers}:
            lane = lanes.get(name)
            if lane is not None:
                lane.rests_until = until

    def ready(self, now: float) -> list[int]:
        """The shards with offers in lanes that do not rest; who was shown last comes last."""
        return [
            shard
            for shard, lanes in self._shards.items()
            if any(lane.rests_until <= now for lane in lanes.values())
        ]

    def ready_at(self) -> float:
        """When there is something to show; infinity if nothing waits. Cost: 0.1 µs a lane."""
        return min(
            (lane.rests_until for lanes in self._shards.values() for lane in lanes.values()),
            default=float("inf"),
        )

    def batch(self, shard: int, now: float, count: int = limits.OFFER_MESSAGES) -> list[Offer]:
        """The next offers of a shard, at most `count`: all lanes that do not rest share it.

        Within a lane and purpose the order holds. Who had no place left is first the next time.
        """
        lanes = self._shards.get(shard)
        if lanes is None:
            return []
        self._shards[shard] = self._shards.pop(shard)
        turns = deque(
            (name, iter(lane.offers.values()))
            for name, lane in lanes.items()
            if lane.rests_until <= now
        )
        picked: list[Offer] = []
        served: dict[tuple[str, str, str], None] = {}
        while turns and len(picked) < count:
            name, waiting = turns.popleft()
            served[name] = None
            share = max(1, (count - len(picked)) // (len(turns) + 1))
            part = list(islice(waiting, share))
            picked += part
            if len(part) == share:
                turns.append((name, waiting))
        for name in served:
            lanes[name] = lanes.pop(name)
        return picked
