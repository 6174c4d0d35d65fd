"""Asking a carrier by query_sm what became of messages without a receipt.

Some carriers lose receipts, or send none. A message is asked about once it has had no last word for
a while, and again after each such while, as long as the carrier says that it is on its way, a few
times. It is asked about by the id as the carrier wrote it.
"""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from actors.carriers.smpp import pdu
from actors.carriers.smpp.receipts import Told, of_state
from engine import limits

_TIMES: Final = 5


class Query(NamedTuple):
    """A message that is asked about.

    Attributes:
        id: The carrier's id of it, as it was written.
        plain: The same in plain form.
        source: What it came from.
        asked: How often it was asked about.
    """

    id: str
    plain: str
    source: pdu.Address
    asked: int = 0

    def body(self) -> bytes:
        """The body of the request."""
        return pdu.query_body(self.id, self.source)


class Queries:
    """See the module's text.

    Args:
        after_s: How long a message has to be without a last word; 0: nothing is ever asked.
        ask: Asks the carrier; False if that cannot be done now.
    """

    def __init__(self, after_s: float, ask: Callable[[Query], bool]) -> None:
        self._after_s = after_s
        self._ask = ask
        self._due: dict[str, tuple[float, Query]] = {}  # by plain id, the earliest first
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._due)

    def sent(self, query: Query) -> None:
        """A message was taken, or is still on its way."""
        if not self._after_s or query.asked >= _TIMES or len(self._due) >= limits.SMPP_QUERIES:
            return
        loop = asyncio.get_running_loop()
        self._due[query.plain] = (loop.time() + self._after_s, query)
        if self._timer is None:
            self._timer = loop.call_later(self._after_s, self._look)

    def over(self, plain_id: str) -> None:
        """There is a last word on a message."""
        self._due.pop(plain_id, None)

    def close(self) -> None:
        """Asks nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._due.clear()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._due:
            first = next(iter(self._due))
            due_at, query = self._due[first]
            if due_at > loop.time():
                self._timer = loop.call_at(due_at, self._look)
                return
            if not self._ask(query):
                self._timer = loop.call_later(self._after_s, self._look)
                return
            del self._due[first]


def told_by(query: Query, body: bytes) -> Told | None:
    """What an answer says: 4.8.2. None if it cannot be read."""
    _, _, rest = body.partition(b"\0")
    _, zero, rest = rest.partition(b"\0")
    if not zero or len(rest) < 2:
        return None
    return of_state(query.plain, rest[0], rest[1])
