"""What a lane tells of what its carrier was given: the answers, and the receipts after them.

A carrier may tell of a delivery before the result of the submit is synced; a quick one nearly
always does. Nobody may hear of it by then, because the result comes first (see `lane_flight`). So
an early receipt waits for its message, and both are told in one command: it says what two would
have said, and costs half of it on the way and in the shard.

For the same reason the time at which the carrier was given a message comes with its answer. Only if
that is long in coming, the shard is told SENDING first. A message that the carrier refused for now
is told THROTTLED, since it waits again. Such news of attempts is let go while too much waits to be
told: of each message the last word is kept, and the next attempt tells anew.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from actors.carriers.base import CarrierReceipt
from actors.senders.book import OUTCOME_NAMES, MessageBook
from actors.senders.reports import Delivery, Item
from actors.store.ledger import ResultsRow
from engine import commands, limits
from engine.lanes.queue import QueuedMessage
from engine.messages.message import SMS
from engine.reasons import Reason

# A message that has left, or may have: its carrier may tell more of it.
LEFT: Final = (Reason.SENT, Reason.UNKNOWN_OUTCOME)
# After these nothing more is told of a message; nobody tells of a text that it was read.
_LAST: Final = frozenset({Reason.UNDELIVERED, Reason.READ})
_NEVER_CAME: Final = frozenset({Reason.UNDELIVERED, Reason.EXPIRED})
_LAST_OF_SMS: Final = _LAST | {Reason.DELIVERED}
_NO_WORDS: Final = ("", "")
# What shards are told, by shard; it goes to the reporter at once for all of a batch.
_News = defaultdict[int, list[Item]]


class _Early(Struct, gc=False):
    """A receipt that waits for its message's result.

    Attributes:
        newest: The newest batch when it came: it is of that one, or of one before it.
        receipt: What the carrier told.
        deliveries: The carrier's batch of receipts that it is of, alone.
    """

    newest: int
    receipt: CarrierReceipt
    deliveries: tuple[Delivery]


class LaneReceipts:
    """The receipts of one lane; see the module's text.

    Args:
        lane_key: `workspace/lane name`.
        channel: The lane's channel.
        book: What the sender knows of message ids.
        counts: What the lane's status tells; outcomes are counted in it.
        undelivered: Told the id of each message that never arrived.
    """

    def __init__(
        self,
        lane_key: str,
        channel: str,
        book: MessageBook,
        counts: defaultdict[str, int],
        undelivered: Callable[[str], None],
    ) -> None:
        self._lane_key = lane_key
        self._workspace = lane_key.partition("/")[0] + "/"  # its messages alone are the lane's
        self._book = book
        self._counts = counts
        self._undelivered = undelivered
        self._open: dict[int, None] = {}  # batches whose results are not told, oldest first
        self._newest = 0  # the newest that was opened
        self._early: dict[str, list[_Early]] = {}  # by the name of their message
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
        alone = (delivery,)
        news: _News = defaultdict(list)
        for receipt in receipts:
            if not self._tell(receipt, alone, news):
                self._wait(receipt, alone)
        self._book.reporter.add_all(news)
        await delivery.done

    def begin(self, batch: int) -> None:
        """A batch is about to be given away: its receipts may come from now on."""
        self._open[batch] = None
        self._newest = batch

    def sending(self, messages: Sequence[QueuedMessage], at_ms: int, carrier: str) -> bool:
        """Tells of messages that the carrier has had for a while; see `_tell_attempts`.

        Args:
            messages: The batch.
            at_ms: When the carrier was given it.
            carrier: The lane's carrier.
        """
        return self._tell_attempts(
            [
                (each.shard, commands.receipt(
                    each.key, each.id, Reason.SENDING, at_ms, False, carrier, each.lane
                ))
                for each in messages
            ]
        )  # fmt: skip

    def refused(
        self,
        messages: Sequence[QueuedMessage],
        row: ResultsRow,
        at_ms: int,
        carrier: str,
        took_ms: int,
    ) -> None:
        """Tells of the messages of a batch that wait again, since they were refused for now.

        Args: As for `told`.
        """
        words = row.words
        self._tell_attempts(
            [
                (each.shard, commands.receipt(
                    each.key, each.id, Reason.THROTTLED, at_ms, False, carrier, each.lane,
                    *words.get(at, _NO_WORDS), took_ms=took_ms,
                ))
                for at, each in enumerate(messages)
                if row.reasons[at] == Reason.QUEUED
            ]
        )  # fmt: skip

    def _tell_attempts(self, told: Sequence[tuple[int, commands.Command]]) -> bool:
        """Tells shards of attempts; False if there is no room, so that they are let go."""
        reporter = self._book.reporter
        if len(reporter) + len(told) > limits.ATTEMPT_RECEIPTS:
            self._counts["attempts_untold"] += len(told)
            return False
        news: _News = defaultdict(list)
        for shard, command in told:
            news[shard].append((command, ()))
        reporter.add_all(news)
        return True

    def told(
        self,
        messages: Sequence[QueuedMessage],
        row: ResultsRow,
        at_ms: int,
        carrier: str,
        took_ms: int,
    ) -> None:
        """Tells of the messages of a batch that have left, or may have.

        What the carrier told of one meanwhile is told with it.

        Args:
            messages: The batch.
            row: Its results, synced.
            at_ms: When the submit returned.
            carrier: The lane's carrier.
            took_ms: How long the submit took; UNKNOWN if SENDING was told.
        """
        book, early, words = self._book, self._early, row.words
        news: _News = defaultdict(list)
        results = zip(messages, row.reasons, row.provider_ids, strict=True)
        for at, (message, reason, provider_id) in enumerate(results):
            if reason not in LEFT:
                continue
            code, detail = words.get(at, _NO_WORDS) if words else _NO_WORDS
            reference = provider_id or message.id
            waited: Sequence[_Early] = early.pop(reference, ())
            more: Sequence[commands.Outcome] = ()
            deliveries: Sequence[Delivery] = ()
            final = False
            # Without the carrier's id each has to be told apart, since a receipt brings it.
            if waited and provider_id:
                more, deliveries, final = self._together(message.id, waited)
            command = commands.receipt(
                message.key, message.id, reason, at_ms, True, carrier, message.lane, code, detail,
                provider_id, more, took_ms,
            )  # fmt: skip
            news[message.shard].append((command, deliveries))
            if not final:
                ref = (message.shard, message.key, message.id, message.lane, carrier)
                book.remember(self._lane_key, reference, ref)
            if waited:
                self._waiting -= len(waited)
                for each in waited[len(more) :]:
                    if not self._tell(each.receipt, each.deliveries, news):
                        self._wait(each.receipt, each.deliveries)
        book.reporter.add_all(news)
        for left in LEFT:
            if count := row.reasons.count(left):
                book.outcomes[left] += count

    def end(self, batch: int) -> None:
        """The results of a batch are told: a receipt that waited for it at most waits no more."""
        del self._open[batch]
        oldest = next(iter(self._open), None)
        news: _News = defaultdict(list)
        while self._early:
            first = next(iter(self._early))
            if oldest is not None and self._early[first][0].newest >= oldest:
                break
            gone = self._early.pop(first)
            self._waiting -= len(gone)
            for each in gone:
                # One that names our id as well is found by it after an unknown outcome.
                if not self._tell(each.receipt, each.deliveries, news):
                    self._let_go(each.deliveries)
        self._book.reporter.add_all(news)

    def _together(
        self, message_id: str, waited: Sequence[_Early]
    ) -> tuple[Sequence[commands.Outcome], Sequence[Delivery], bool]:
        """What early receipts of a message tell, up to the last word, and as much as one may.

        Returns:
            What they tell, the batches of receipts that they are of, and whether the last word is
            among it.
        """
        more: list[commands.Outcome] = []
        deliveries: Sequence[Delivery] = ()
        for each in waited:
            receipt = each.receipt
            reason = receipt.reason
            if reason in _NEVER_CAME:
                self._undelivered(message_id)
            more.append((reason, receipt.at_ms, receipt.code, receipt.detail))
            deliveries = (*deliveries, *each.deliveries) if deliveries else each.deliveries
            self._counts[OUTCOME_NAMES[reason]] += 1
            if reason in self._last:
                return more, deliveries, True
            if len(more) == limits.MESSAGE_HISTORY:
                break
        return more, deliveries, False

    def _wait(self, receipt: CarrierReceipt, deliveries: tuple[Delivery]) -> None:
        """A receipt of no known message may be of a batch whose results are not told yet."""
        if not self._open or self._waiting >= limits.EARLY_RECEIPTS:
            self._let_go(deliveries)
            return
        early = _Early(self._newest, receipt, deliveries)
        self._waiting += 1
        name = receipt.provider_id or receipt.reference
        waited = self._early.get(name)
        if waited is None:
            self._early[name] = [early]
        else:
            waited.append(early)

    def _tell(self, receipt: CarrierReceipt, deliveries: tuple[Delivery], news: _News) -> bool:
        """Tells the shard of the message that a receipt is about; False if none is known."""
        provider_id, reason = receipt.provider_id, receipt.reason
        book, last = self._book, reason in self._last
        ref = book.find(self._lane_key, provider_id, last) if provider_id else None
        if ref is None and receipt.reference:
            ref = book.find(self._lane_key, receipt.reference, last)
        if ref is None and receipt.key and receipt.key.startswith(self._workspace):
            ref = book.ref_of(self._lane_key, receipt.key, receipt.reference)
        if ref is None:
            return False
        shard, key, message_id, lane, carrier = ref
        if reason in _NEVER_CAME:
            self._undelivered(message_id)
        self._counts[OUTCOME_NAMES[reason]] += 1
        command = commands.receipt(
            key, message_id, reason, receipt.at_ms, False, carrier, lane, receipt.code,
            receipt.detail, provider_id,
        )  # fmt: skip
        news[shard].append((command, deliveries))
        return True

    def _let_go(self, deliveries: tuple[Delivery]) -> None:
        """A receipt that is about none of our messages, or of one that was forgotten."""
        self._counts["receipts_unmatched"] += 1
        deliveries[0].told()
