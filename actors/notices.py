"""What one sender is told beside messages, each thing until it has done it.

A call costs the same however little it carries, so what comes waits a moment for more of its kind.
A sender that fails at one kind still gets the others, and its messages. What waits here is
unsettled in an outbox, so the outboxes' limits bound it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from itertools import islice
from math import inf
from typing import Any

from engine.packing import pack

logger = logging.getLogger(__name__)


class Notices:
    """Those of one kind, to one sender. All times are seconds of the running loop's clock.

    Args:
        what: The kind, for the log.
        at_most: How many a call may carry.
        gather_s: How long one waits for others to go with it.
        pause_s: The time until the next call after one that failed.
    """

    def __init__(self, what: str, at_most: int, gather_s: float, pause_s: float) -> None:
        self._what = what
        self._at_most = at_most
        self._gather_s = gather_s
        self._pause_s = pause_s
        self._waiting: dict[str, tuple[Any, Callable[[], None]]] = {}  # by the effect's id
        self._ready_at = 0.0

    def add(self, forward_id: str, row: Any, done: Callable[[], None]) -> None:
        """Lets one wait, each id once; `done` is called once the sender has done it."""
        if not self._waiting:
            self._ready_at = max(self._ready_at, _now() + self._gather_s)
        self._waiting[forward_id] = row, done

    def ready_at(self) -> float:
        """When a call is due; never if nothing waits."""
        return self._ready_at if self._waiting else inf

    async def tell(self, name: str, call: Callable[[bytes], Awaitable[None]]) -> None:
        """Makes a call if one is due. One that fails is logged, and made again later.

        Args:
            name: The sender's name, for the log.
            call: Tells the sender; its argument is msgpack, a list of rows.
        """
        if self.ready_at() > _now():
            return
        told = dict(islice(self._waiting.items(), self._at_most))
        try:
            await call(pack([row for row, _ in told.values()]))
        except Exception as error:
            logger.warning("%s did not take %d %s: %r", name, len(told), self._what, error)
            self._ready_at = _now() + self._pause_s
            return
        for forward_id, notice in told.items():
            if self._waiting[forward_id] is notice:  # not if it was handed over anew meanwhile
                del self._waiting[forward_id]
            notice[1]()


def _now() -> float:
    return asyncio.get_running_loop().time()
