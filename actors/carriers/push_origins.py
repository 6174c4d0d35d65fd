"""Each push service by itself: one that fails, hangs or wants peace holds up only its own messages.

People bring their own endpoints, so what an origin answers says nothing of the lane. Each has a
room, the number of requests that may be under way: one at first, one more with every answer, three
quarters of all at most. A failure shuts it while its room is one, and several in a row do so later,
for twice as long each time; then it starts with one again. Those whose room is one share a quarter
of all, so that however many of them hang, the others go on.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from actors.clock import Clock
from engine import backoff, limits

_FAILURES: Final = 5  # in a row, of an origin that had answered
_SHOWN: Final = 10
ORIGINS: Final = limits.LANES  # that are remembered; of those that are in use, all are


class NotNow(Exception):
    """A request that has not left.

    Attributes:
        code: Why, in a word.
        after_ms: When another may leave, from now; 0 if that is not known.
    """

    def __init__(self, code: str, text: str, after_ms: int = 0) -> None:
        super().__init__(text)
        self.code = code
        self.after_ms = after_ms


class Origin:
    """How one push service behaves; see the module's text.

    Args:
        name: Such as `https://push.example`.
        most: Its largest room.
        clock: The node's clock.
    """

    def __init__(self, name: str, most: int, clock: Clock) -> None:
        self.name = name
        self.room = 1
        self.visitors = 0
        self._most = most
        self._clock = clock
        self._busy = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._failures = 0  # in a row
        self._times_shut = 0  # without an answer between
        self._until_ms = 0
        self._why = ""

    @property
    def shut_ms(self) -> int:
        """For how long nothing goes to it."""
        return max(0, self._until_ms - self._clock.now_ms())

    def refuse_if_shut(self) -> None:
        """Lets nothing through while it is shut.

        Raises:
            NotNow: It is.
        """
        if self.shut_ms:
            raise self._refusal()

    async def take(self) -> None:
        """Waits for a place in its room.

        Raises:
            NotNow: It is shut, or was shut in the meantime.
        """
        self.refuse_if_shut()
        if self._busy < self.room and not self._waiting:
            self._busy += 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self.leave()
            raise

    def leave(self) -> None:
        """Gives a place back."""
        self._busy -= 1
        self._serve()

    def answered(self) -> None:
        """It has said yes or no to a message."""
        self._failures = self._times_shut = 0
        self.room = min(self.room + 1, self._most)
        self._serve()

    def failed(self, why: str, asked_ms: int = 0) -> None:
        """It did not answer, or not for the message.

        Args:
            why: In words.
            asked_ms: How long it wants peace; 0 if it has not said so.
        """
        self._failures += 1
        if self.shut_ms:  # what was under way says nothing new
            self._until_ms = max(self._until_ms, self._clock.now_ms() + asked_ms)
        elif asked_ms or self.room == 1 or self._failures >= _FAILURES:
            self._times_shut += 1
            shut_ms = asked_ms or backoff.delay_ms(self._times_shut, self.name)
            self._until_ms, self._why = self._clock.now_ms() + shut_ms, why
            self.room = 1
            self._send_away()

    def _serve(self) -> None:
        """Gives free places to those that have waited longest."""
        while self._waiting and self._busy < self.room:
            place = self._waiting.popleft()
            if not place.done():
                self._busy += 1
                place.set_result(None)

    def _send_away(self) -> None:
        """Nobody waits for a place while it is shut."""
        for place in self._waiting:
            if not place.done():
                place.set_exception(self._refusal())
        self._waiting.clear()

    def _refusal(self) -> NotNow:
        left_ms = self.shut_ms
        text = f"{self.name} is left alone for {-(-left_ms // 1_000)} s: {self._why}"
        return NotNow("paused", text[:200], left_ms)


class Origins:
    """All push services of a lane.

    Args:
        requests: How many requests may be under way to all of them.
        clock: The node's clock.
    """

    def __init__(self, requests: int, clock: Clock) -> None:
        self._all = asyncio.Semaphore(requests)
        self._strangers = asyncio.Semaphore(max(1, requests // 4))
        self._most = max(1, requests - requests // 4)
        self._clock = clock
        self._known: dict[str, Origin] = {}

    @asynccontextmanager
    async def visit(self, name: str, until_s: float) -> AsyncIterator[Origin]:
        """A place for one request to an origin; what became of it is then told to the origin.

        Args:
            name: The origin.
            until_s: How long to wait at most, on the loop's clock.

        Raises:
            NotNow: There is no place, so that nothing has left.
        """
        origin = self._origin(name)
        origin.visitors += 1
        try:
            async with AsyncExitStack() as places:
                try:
                    async with asyncio.timeout_at(until_s):
                        await origin.take()
                        places.callback(origin.leave)
                        if origin.room == 1:
                            await places.enter_async_context(self._strangers)
                        await places.enter_async_context(self._all)
                except TimeoutError:
                    raise NotNow("busy", "the requests before it took too long") from None
                origin.refuse_if_shut()
                yield origin
        finally:
            origin.visitors -= 1

    def status(self) -> dict[str, Any]:
        """Plain values for a status page."""
        shut = {each.name: each.shut_ms for each in self._known.values() if each.shut_ms}
        return {
            "origins": len(self._known),
            "paused": len(shut),
            "paused_ms": dict(list(shut.items())[:_SHOWN]),
        }

    def _origin(self, name: str) -> Origin:
        """What is known of an origin; the one that was used longest ago makes room for another."""
        found = self._known.pop(name, None)
        if found is None:
            found = Origin(name, self._most, self._clock)
            if len(self._known) >= ORIGINS:
                idle = next((each for each in self._known.values() if not each.visitors), None)
                if idle is not None:
                    del self._known[idle.name]
        self._known[name] = found
        return found
