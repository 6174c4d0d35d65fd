"""What a sender knows of message ids, so that none is given to a carrier twice.

An id is *held* from its admission until its shard has journaled the last word on it, then *settled*
and remembered for a while, because an offer may still be on its way. Held ids are never forgotten,
so admissions stop when too many are held; settled ids are bounded by age and by number. A message
whose fate a crash has left open, and which may be sent again, is *open*: the next offer of it is a
new attempt.
"""

from collections import Counter, defaultdict, deque
from itertools import islice
from typing import Final

from actors.carriers.base import PART_SEPARATOR
from actors.senders.ledger_writer import LedgerWriter
from actors.senders.reports import Reporter
from actors.store.ledger import LedgerState, Recovered, references
from engine import commands, limits, slots
from engine.lanes.queue import QueuedMessage
from engine.reasons import Reason

Ref = tuple[int, str, str, str, str]
"""The message that a carrier's receipt is about: its shard, key, id, lane and carrier."""
OUTCOME_NAMES: Final = {reason: reason.name.lower() for reason in Reason}
"""What outcomes are counted under."""


class MessageBook:
    """See the module's text.

    Args:
        writer: The ledger.
        shards: How many shards there are.
    """

    def __init__(self, writer: LedgerWriter, shards: int) -> None:
        self._writer = writer
        self._shards = shards
        self._settled: set[str] = set()
        self._settlements: deque[tuple[int, list[str]]] = deque()  # when which ids were, in order
        self._refs: dict[tuple[str, str], Ref] = {}  # by lane and reference
        self._in_parts: dict[str, list[str]] = {}  # of each lane, till its carrier is made
        self._owed: dict[int, int] = {}  # batch: messages whose last word is not journaled
        self.reporter: Reporter
        self.held: dict[str, QueuedMessage | None] = {}
        self.open: dict[str, int] = {}  # id: the batch of the attempt that is in doubt
        self._recovered: dict[str, int] = {}  # id: its batch, until its shard has the last word
        self.outcomes: defaultdict[int, int] = defaultdict(int)

    def recover(self, state: LedgerState, now_ms: int) -> list[Recovered]:
        """Takes in what the ledger knew.

        Returns:
            The messages whose last word has to be told (again), by `tell`.
        """
        for each, reference in references(state.messages):
            sent = each.message
            lane = each.lane.partition("/")[2]
            ref = (self._shard_of(sent.key), sent.key, sent.id, lane, each.carrier)
            self.remember(each.lane, reference, ref)
            if PART_SEPARATOR in reference:
                self._in_parts.setdefault(each.lane, []).append(reference)
        untold: list[Recovered] = []
        closed = [each.message.id for each in state.messages if each.closed]
        for at in range(0, len(closed), limits.CALL_COMMANDS):
            self._settle(closed[at : at + limits.CALL_COMMANDS], now_ms)
        for each in state.messages:
            if each.closed:
                continue
            self._owed[each.batch] = self._owed.get(each.batch, 0) + 1
            if each.result is None and each.message.resend_unknown:
                self.open[each.message.id] = each.batch
            else:
                self.held[each.message.id] = None
                self._recovered[each.message.id] = each.batch
                untold.append(each)
        for batch in state.unclosed:
            if batch not in self._owed:
                self._writer.close_batch(batch)
        return untold

    def known(self, message_id: str) -> bool:
        """Whether an id was taken before. Cost: 0.1 µs."""
        return message_id in self.held or message_id in self._settled

    def knows_none(self, messages: dict[str, QueuedMessage]) -> bool:
        """Whether none of these was taken before. Cost: 0.05 µs each."""
        return self.held.keys().isdisjoint(messages) and self._settled.isdisjoint(messages)

    def hold(self, message: QueuedMessage) -> None:
        """A message was admitted."""
        self.held[message.id] = message
        if self.open:
            message.batch = self.open.pop(message.id, 0)

    def hold_all(self, messages: dict[str, QueuedMessage]) -> None:
        """Messages were admitted, none of which is held yet."""
        self.held.update(messages)
        if self.open:
            for id_, message in messages.items():
                message.batch = self.open.pop(id_, 0)

    def owe(self, batch: int, messages: list[QueuedMessage]) -> None:
        """Messages are given away in a batch: it stays open until all of them are settled.

        The batch of an earlier attempt owes nothing any more. Call it before the batch is
        written, so that both are in one transaction.
        """
        self._owed[batch] = len(messages)
        for message in messages:
            if message.batch:
                self._paid(message.batch, 1)
            message.batch = batch

    def finish(
        self,
        message: QueuedMessage,
        reason: int,
        at_ms: int,
        carrier: str = "",
        code: str = "",
        detail: str = "",
        took_ms: int = commands.UNKNOWN,
    ) -> None:
        """The last word on a held message: its shard is told, then it is settled.

        Args:
            message: The message.
            reason: Its outcome.
            at_ms: When.
            carrier: The carrier that was asked.
            code: The carrier's own code.
            detail: Words for a person.
            took_ms: See `commands.receipt`.
        """
        self.outcomes[reason] += 1
        self.reporter.add(
            message.shard,
            commands.receipt(
                message.key, message.id, reason, at_ms, True, carrier, message.lane, code, detail,
                took_ms=took_ms,
            ),
        )  # fmt: skip

    def tell(self, each: Recovered, at_ms: int) -> None:
        """The last word on a message that a restart has found."""
        result = each.result
        if result is None:
            result = (Reason.UNKNOWN_OUTCOME, "", "the sender ended during the submit", "")
        reason, code, detail, provider_id = result
        self.outcomes[reason] += 1
        self.reporter.add(
            self._shard_of(each.message.key),
            commands.receipt(
                each.message.key, each.message.id, reason, at_ms, True, each.carrier,
                each.lane.partition("/")[2], code, detail, provider_id,
            ),
        )  # fmt: skip

    def settled(self, message_ids: list[str], now_ms: int) -> None:
        """Shards have journaled the last word on messages."""
        held, recovered = self.held, self._recovered
        paid: list[int] = []
        for message_id in message_ids:
            message = held.pop(message_id, None)
            if message is not None:
                paid.append(message.batch)
            elif recovered:
                paid.append(recovered.pop(message_id, 0))
        for batch, messages in Counter(paid).items():
            if batch:
                self._paid(batch, messages)
        self._settle(message_ids, now_ms)

    def _settle(self, message_ids: list[str], now_ms: int) -> None:
        """Remembers ids for a while; those settled together are forgotten together."""
        settled, settlements = self._settled, self._settlements
        settled.update(message_ids)
        settlements.append((now_ms, message_ids))
        past_ms = now_ms - limits.SENT_IDS_MS
        while settlements and (len(settled) > limits.SENT_IDS or settlements[0][0] < past_ms):
            settled.difference_update(settlements.popleft()[1])

    def remember(self, lane_key: str, reference: str, ref: Ref) -> None:
        """A carrier may tell of a message under this reference. Cost: 0.3 µs."""
        if len(self._refs) >= limits.SENT_IDS:
            # Many at a time: finding the oldest of a dict walks over all that were deleted there.
            for oldest in list(islice(self._refs, 1 + limits.SENT_IDS // 64)):
                del self._refs[oldest]
        self._refs[lane_key, reference] = ref

    def find(self, lane_key: str, reference: str, last: bool) -> Ref | None:
        """The message that a receipt is about; after its last receipt it is forgotten."""
        name = lane_key, reference
        return self._refs.pop(name, None) if last else self._refs.get(name)

    def take_in_parts(self, lane_key: str) -> list[str]:
        """The carrier's ids of messages in parts that the ledger knew, oldest first; only once."""
        return self._in_parts.pop(lane_key, [])

    def ref_of(self, lane_key: str, key: str, message_id: str) -> Ref:
        """The message that a receipt is about which says itself whose it is."""
        return (self._shard_of(key), key, message_id, lane_key.partition("/")[2], "")

    def _shard_of(self, key: str) -> int:
        return slots.shard_of(slots.slot_of(key), self._shards)

    def _paid(self, batch: int, messages: int) -> None:
        left = self._owed[batch] - messages
        if left:
            self._owed[batch] = left
        else:
            del self._owed[batch]
            self._writer.close_batch(batch)
