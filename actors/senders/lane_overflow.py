"""What becomes of messages that a lane does not let wait in front of it.

A limit may say that what finds no room takes another route, fails, or is held for a time of the
day. And a lane that is away (suspended, or its circuit open) keeps nothing that has another route.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Final

from actors.senders.lane_health import LaneHealth
from engine import zones
from engine.lanes.caps import release_ms
from engine.lanes.queue import LaneQueue, QueuedMessage
from engine.lanes.rates import FAIL, HOLD, REROUTE, Limit
from engine.lanes.waits import Aside
from engine.messages.message import PHONE_CHANNELS
from engine.reasons import Reason

# How many messages are sent elsewhere before other lanes have a go.
_AT_A_TIME: Final = 1_000


class Overflow:
    """See the module's text.

    Args:
        queue: The lane's queue.
        aside: What waits beside it.
        health: When its carrier is left alone.
        counts: What the lane's status tells.
        finish: Says the last word on a message: reason, code, detail.

    Attributes:
        away: Why messages with another route take it at once; None if they may stay.
    """

    __slots__ = (
        "_aside", "_counts", "_finish", "_full", "_full_until_ms", "_health", "_purged", "_queue",
        "away",
    )  # fmt: skip

    def __init__(
        self,
        queue: LaneQueue,
        aside: Aside,
        health: LaneHealth,
        counts: defaultdict[str, int],
        finish: Callable[[QueuedMessage, Reason, str, str], None],
    ) -> None:
        self._queue = queue
        self._aside = aside
        self._health = health
        self._counts = counts
        self._finish = finish
        self.away: tuple[Reason, str] | None = None
        self._purged = False  # whether those that came before have gone
        self._full = ""  # the limit that sends them elsewhere,
        self._full_until_ms = 0  # until when

    def reset(self) -> None:
        """The limits were changed: the one that was full may be none any more."""
        self._full_until_ms = 0

    def at_limit(self, message: QueuedMessage, limit: Limit, opens_ms: int) -> bool:
        """A limit has no room for a message before a time.

        Returns:
            Whether the message was taken care of; if not it waits in the lane for that time.
        """
        if limit.at == FAIL:
            self._finish(message, Reason.LIMIT_REACHED, "", f"the limit of {limit} is reached")
        elif limit.at == REROUTE and not message.last:
            self._finish(message, Reason.LANE_CAPPED, "", f"the limit of {limit} is reached")
        elif limit.until_minute >= 0:
            self._hold(message, limit, opens_ms)
        else:
            if limit.at != HOLD and not limit.per:
                self._full, self._full_until_ms = str(limit), opens_ms
            return False
        return True

    def send_elsewhere(self, now_ms: int) -> bool:
        """While the lane is away or full, sends what has another route there; True: there is more.

        What comes meanwhile is not taken in at all, see `SenderCore`.
        """
        why = self._health.away(now_ms)
        reason = Reason.CARRIER_UNAVAILABLE
        if not why and now_ms < self._full_until_ms:
            why, reason = f"the limit of {self._full} is reached", Reason.LANE_CAPPED
        if not why:
            self.away, self._purged = None, False
            return False
        self.away = reason, why
        if self._purged:
            return False
        going = self._queue.pull(_has_another_route, _AT_A_TIME)
        self._purged = len(going) < _AT_A_TIME
        if self._purged:
            going += self._aside.pull(_has_another_route)
        for message in going:
            self._finish(message, reason, message.code, why)
        return not self._purged

    def _hold(self, message: QueuedMessage, limit: Limit, opens_ms: int) -> None:
        number = message.to if message.channel in PHONE_CHANNELS else ""
        due_ms = release_ms(limit, opens_ms, number)
        if due_ms >= message.expires_ms:
            until = zones.shown(due_ms, zones.DEFAULT)
            why = f"the limit of {limit} holds it until {until}, after its validity"
            self._finish(message, Reason.EXPIRED, message.code, why)
        else:
            self._counts["held_for_a_day"] += 1
            self._aside.until(message, due_ms)


def _has_another_route(message: QueuedMessage) -> bool:
    return not message.last
