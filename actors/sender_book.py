"""What a sender knows of message ids, so that none is given to a carrier twice.

An id is *held* from its admission until its shard has journaled the last word on it, then *settled*
and remembered for a while, because an offer may still be on its way. Held ids are never forgotten,
so admissions stop when too many are held; settled ids are bounded by age and by number. A message
whose fate a crash has left open, and which may be sent again, is *open*: the next offer of it is a
new attempt.
"""

from typing import NamedTuple

from actors.ledger_writer import LedgerWriter
from actors.sender_reports import Reporter
from actors.store.ledger import Recovered, refs
from engine import commands, limits
from engine.lane_queue import QueuedMessage
from engine.reasons import Reason


class Ref(NamedTuple):
    """The message that a carrier's receipt is about."""

    key: str
    id: str
    lane: str
    carrier: str


class MessageBook:
    """See the module's text.

    Args:
        writer: The ledger.
    """

    def __init__(self, writer: LedgerWriter) -> None:
        self._writer = writer
        self._settled: dict[str, int] = {}
        self._refs: dict[str, Ref] = {}
        self._owed: dict[int, int] = {}  # batch: messages whose last word is not journaled
        self.reporter: Reporter
        self.held: dict[str, QueuedMessage | None] = {}
        self.open: dict[str, str] = {}
        self.outcomes: dict[int, int] = {}

    def recover(self, messages: list[Recovered], now_ms: int) -> list[Recovered]:
        """Takes in what the ledger knew.

        Returns:
            The messages whose last word has to be told (again).
        """
        for lane, reference, sent in refs(messages):
            name = lane.partition("/")[2]
            self._refs[f"{lane} {reference}"] = Ref(sent.key, sent.id, name, "")
        tell: list[Recovered] = []
        for each in messages:
            if each.closed:
                self._settled[each.message.id] = now_ms
                continue
            if each.result is None and each.message.resend_unknown:
                self.open[each.message.id] = each.message.key
                continue
            self.held[each.message.id] = None
            self._owed[each.batch] = self._owed.get(each.batch, 0) + 1
            tell.append(each)
        return tell

    def known(self, message_id: str) -> bool:
        """Whether an id was taken before. Cost: 0.1 µs."""
        return message_id in self.held or message_id in self._settled

    def hold(self, message: QueuedMessage) -> None:
        """A message was admitted."""
        self.held[message.id] = message
        if self.open:
            self.open.pop(message.id, None)

    def owe(self, batch: int, messages: list[QueuedMessage]) -> None:
        """Messages are given away in a batch: it stays open until all of them are settled."""
        self._owed[batch] = len(messages)
        for message in messages:
            message.batch = batch

    def waits_again(self, message: QueuedMessage) -> None:
        """A message of a batch was not taken and goes into a later batch."""
        self._paid(message.batch)
        message.batch = 0

    def finish(
        self,
        message: QueuedMessage,
        reason: Reason,
        at_ms: int,
        carrier: str = "",
        code: str = "",
        detail: str = "",
        provider_id: str = "",
    ) -> None:
        """The last word on a held message: its shard is told, then it is settled."""
        self.outcomes[reason] = self.outcomes.get(reason, 0) + 1
        self.reporter.add(
            commands.receipt(
                message.key, message.id, reason, at_ms, True, carrier, message.lane, code, detail,
                provider_id,
            )
        )  # fmt: skip

    def tell_recovered(self, each: Recovered, at_ms: int) -> None:
        """The last word on a message that a restart has found."""
        result = each.result
        reason = Reason.UNKNOWN_OUTCOME if result is None else Reason(result.reason)
        code, detail = ("", "the sender restarted") if result is None else result[1:3]
        self.outcomes[reason] = self.outcomes.get(reason, 0) + 1
        self.reporter.add(
            commands.receipt(
                each.message.key, each.message.id, reason, at_ms, True, each.carrier,
                each.lane.partition("/")[2], code, detail,
                "" if result is None else result.provider_id,
            )
        )  # fmt: skip
        # Its batch is settled through the ids that `settled` gets.
        self._recovered_batches[each.message.id] = each.batch

    def settled(self, message_ids: list[str], now_ms: int) -> None:
        """Shards have journaled the last word on messages."""
        known = self._settled
        for message_id in message_ids:
            message = self.held.pop(message_id, None)
            batch = message.batch if message is not None else 0
            if message is None and self._recovered_batches:
                batch = self._recovered_batches.pop(message_id, 0)
            if batch:
                self._paid(batch)
            known[message_id] = now_ms
        past_ms = now_ms - limits.SENT_IDS_MS
        while known:
            oldest = next(iter(known))
            if len(known) <= limits.SENT_IDS and known[oldest] >= past_ms:
                break
            del known[oldest]

    def settle_unseen(self, message_id: str, now_ms: int) -> None:
        """An id that was never taken must not be taken any more."""
        self._settled[message_id] = now_ms

    def remember(self, lane_key: str, reference: str, ref: Ref) -> None:
        """A carrier may tell of a message under this reference. Cost: 0.3 µs."""
        if len(self._refs) >= limits.SENT_IDS:
            del self._refs[next(iter(self._refs))]
        self._refs[f"{lane_key} {reference}"] = ref

    def find(self, lane_key: str, reference: str, last: bool) -> Ref | None:
        """The message that a receipt is about; after its last receipt it is forgotten."""
        name = f"{lane_key} {reference}"
        return self._refs.pop(name, None) if last else self._refs.get(name)

    def _paid(self, batch: int) -> None:
        left = self._owed[batch] - 1
        if left:
            self._owed[batch] = left
        else:
            del self._owed[batch]
            self._writer.close_batch(batch)
