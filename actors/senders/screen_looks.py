"""Messages that the fraud guard looks at twice: they wait in their lane until it looks again.

A challenge may be wrong, and an hour later more is known. So a purpose may have it that what would
be challenged waits for a while first, once. What waits is in the ledger with its time: a restart
lets it wait for the rest only. The shard offers the message again, as any that waited, and finds
its row here.
"""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from actors.senders.ledger_writer import LedgerWriter
from engine import limits
from engine.fraud import Verdict
from engine.fraud.blocks import span
from engine.lanes.queue import QueuedMessage


class SecondLook(Struct, array_like=True):
    """When a message is looked at again, and why it waits.

    Attributes:
        since_ms: When it was looked at first; `until_ms`: when it is again.
        expires_ms: When it becomes worthless, and this with it.
        code: What was found; `why`: in words and numbers, for its history.
    """

    since_ms: int
    until_ms: int
    expires_ms: int
    code: str
    why: str


Wait = Callable[[QueuedMessage, SecondLook], None]
"""Lets a message wait in its lane."""


class SecondLooks:
    """See the module's text.

    Args:
        writer: The ledger.
        kept: What it knew, by message.
        now_ms: The time.
    """

    def __init__(
        self, writer: LedgerWriter, kept: Mapping[str, list[Any]] | None = None, now_ms: int = 0
    ) -> None:
        self._writer = writer
        self._looks = {id_: SecondLook(*row) for id_, row in (kept or {}).items()}
        self.tidy(now_ms)

    def __len__(self) -> int:
        return len(self._looks)

    def of(self, message: QueuedMessage) -> SecondLook | None:
        """The second look at a message that has been told to wait."""
        return self._looks.get(message.id)

    def leave_by_ms(self, message: QueuedMessage) -> int:
        """Until when a message has to leave that may be told to wait; 0 if it may not.

        It may once, and not if it has come here from another lane, where it may have waited. And
        only so many may at once.
        """
        if message.hop or message.id in self._looks:
            return 0
        return message.expires_ms if len(self._looks) < limits.FRAUD_DELAYED else 0

    def begin(
        self, message: QueuedMessage, verdict: Verdict, words: str, now_ms: int
    ) -> SecondLook:
        """A message waits from now on.

        Durability: Written at once, and not waited for: a crash before that lets it wait anew.
        """
        until_ms = verdict.until_ms
        why = f"{words}; it waits {span(until_ms - now_ms)} to be looked at once more"
        look = SecondLook(now_ms, until_ms, message.expires_ms, verdict.code, why)
        self._looks[message.id] = look
        row = [look.since_ms, look.until_ms, look.expires_ms, look.code, look.why]
        self._writer.look(message.id, row)
        return look

    def end(self, message_id: str) -> None:
        """A message was looked at again, or its shard has journaled the last word on it."""
        if self._looks.pop(message_id, None) is not None:
            self._writer.look(message_id, None)

    def tidy(self, now_ms: int) -> None:
        """Forgets messages that nobody has offered again; to be called once in a while."""
        for id_ in [id_ for id_, look in self._looks.items() if look.expires_ms <= now_ms]:
            self.end(id_)
