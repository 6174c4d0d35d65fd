"""What a lane's carrier tells after the submit: whom a receipt is about, and those that come early.

A carrier may tell of a delivery before the result of the submit is synced; a quick one nearly
always does. Nobody may hear of it by then, because the result comes first (see `sender_lane`). So
an early receipt waits for its message, and both are told in one command: it says what two would
have said, and costs half of it on the way and in the shard.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from actors.carriers.base import CarrierReceipt
from actors.sender_book import OUTCOME_NAMES, MessageBook
from actors.sender_reports import Delivery
from actors.store.ledger import Result
from engine import commands, limits
from engine.lane_queue import QueuedMessage
from engine.messages import SMS
from engine.reasons import Reason

# After these nothing more is told of a message; nobody tells of a text that it was read.
_LAST: Final = frozenset({Reason.UNDELIVERED, Reason.READ})
_LAST_OF_SMS: Final = _LAST | {Reason.DELIVERED}

# The newest batch when it came, the receipt, and the carrier's batch of receipts that it is of.
_Early = tuple[int, CarrierReceipt, Delivery]


class LaneReceipts:
    """The receipts of one lane; see the module's text.

    Args:
        lane_key: `workspace/lane name`.
        channel: The lane's channel.
        book: What the sender knows of message ids.
        counts: What the lane's status tells; outcomes are counted in it.
    """

    def __init__(
        self, lane_key: str, channel: str, book: MessageBook, counts: Counter[str]
    ) -> None:
        self._lane_key = lane_key
        self._book = book
        self._counts = counts
        self._open: dict[int, None] = {}  # batches whose results are not told, oldest first
        self._early: dict[str, list[_Early]] = {}
        self._waiting = 0  # receipts in it
        self.configure(channel)

    def configure(self, channel: str) -> None:
        """The lane may have another channel now."""
        self._last = _LAST_OF_SMS if channel == SMS else _LAST

    async def take(self, receipts: Sequence[CarrierReceipt]) -> None:
        """Takes receipts in. Durability: their shards have journaled them when it returns."""
        if not receipts:
            return
        delivery = Delivery(len(receipts))
        for receipt in receipts:
            self._take(receipt, delivery)
        await delivery.done

    def begin(self, batch: int) -> None:
        """A batch is about to be given away: its receipts may come from now on."""
        self._open[batch] = None

    def told(self, message: QueuedMessage, result: Result, at_ms: int, carrier: str) -> None:
        """A message has left, or may have: tells it, with what the carrier told meanwhile.

        Args:
            message: The message.
            result: SENT or UNKNOWN_OUTCOME, synced.
            at_ms: When the submit returned.
            carrier: The lane's carrier.
        """
        reason, code, detail, provider_id = result
        reference = provider_id or message.id
        early = iter(self._no_longer_early(reference))
        more: list[commands.Outcome] = []
        deliveries: list[Delivery] = []
        final = False
        if provider_id:  # without it each receipt has to be told apart, since it brings the id
            for _, receipt, delivery in early:
                more.append((receipt.reason, receipt.at_ms, receipt.code, receipt.detail))
                deliveries.append(delivery)
                self._counts[OUTCOME_NAMES[receipt.reason]] += 1
                final = receipt.reason in self._last
                if final or len(more) == limits.MESSAGE_HISTORY:
                    break
        self._book.finish(
            message, reason, at_ms, carrier, code, detail, provider_id, more, deliveries
        )
        if not final:
            ref = (message.shard, message.key, message.id, message.lane, carrier)
            self._book.remember(self._lane_key, reference, ref)
        for _, receipt, delivery in early:
            self._take(receipt, delivery)

    def end(self, batch: int) -> None:
        """The results of a batch are told: a receipt that waited for it at most waits no more."""
        del self._open[batch]
        oldest = next(iter(self._open), None)
        while self._early:
            first = next(iter(self._early))
            if oldest is not None and self._early[first][0][0] >= oldest:
                return
            for _, receipt, delivery in self._no_longer_early(first):
                # One that names our id as well is found by it after an unknown outcome.
                if not self._tell(receipt, delivery):
                    self._let_go(delivery)

    def _take(self, receipt: CarrierReceipt, delivery: Delivery) -> None:
        if self._tell(receipt, delivery):
            return
        if self._open and self._waiting < limits.EARLY_RECEIPTS:
            # It may be of a batch whose results are not told yet: it waits for those.
            waiting = self._early.setdefault(receipt.provider_id or receipt.reference, [])
            waiting.append((next(reversed(self._open)), receipt, delivery))
            self._waiting += 1
        else:
            self._let_go(delivery)

    def _no_longer_early(self, reference: str) -> list[_Early]:
        found = self._early.pop(reference, [])
        self._waiting -= len(found)
        return found

    def _tell(self, receipt: CarrierReceipt, delivery: Delivery) -> bool:
        """Tells the shard of the message that a receipt is about; False if none is known."""
        provider_id, reason, reference = receipt.provider_id, receipt.reason, receipt.reference
        book, last = self._book, reason in self._last
        ref = book.find(self._lane_key, provider_id, last) if provider_id else None
        if ref is None and reference:
            ref = book.find(self._lane_key, reference, last)
        if ref is None:
            return False
        shard, key, message_id, lane, carrier = ref
        self._counts[OUTCOME_NAMES[reason]] += 1
        book.reporter.add(
            shard,
            commands.receipt(
                key, message_id, reason, receipt.at_ms, False, carrier, lane, receipt.code,
                receipt.detail, provider_id,
            ),
            (delivery,),
        )  # fmt: skip
        return True

    def _let_go(self, delivery: Delivery) -> None:
        """A receipt that is about none of our messages, or of one that was forgotten."""
        self._counts["receipts_unmatched"] += 1
        delivery.told()
