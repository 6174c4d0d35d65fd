"""Which message a receipt is about, by what is known of the ids that the carrier has given.

A receipt may come before the answer that it belongs to. Most of those are told at once, since the
lane keeps them until its results are synced. But as long as it is open whether an id is that of a
part of a message, or in which way receipts write ids, a receipt waits here for the answers to the
batches that were on their way when it came; only then is it certain that they do not name it.
"""

from typing import Any, Final, NamedTuple

from msgspec import Struct

from actors.carriers.base import PART_SEPARATOR, CarrierReceipt
from actors.carriers.smpp.parts import Group, Groups
from actors.carriers.smpp.receipts import Ids, Told, plain
from actors.carriers.smpp.submits import Job
from actors.clock import Clock

Arrival = tuple[Any, int]
"""What has to be confirmed: the session that brought it, and its sequence number there."""

NO_ARRIVAL: Final[Arrival] = (None, 0)  # of what the carrier did not bring
_HEX: Final = frozenset("0123456789abcdef")


class Known(Struct, frozen=True, gc=False):
    """What is to be told of a receipt: nothing, if it says nothing new, and is to be confirmed."""

    receipt: CarrierReceipt | None
    arrival: Arrival


class _Held(NamedTuple):
    newest: int  # the newest batch that was on its way
    told: Told
    arrival: Arrival


class Tracking:
    """See the module's text.

    Args:
        ids: How receipts write ids.
        groups: The messages whose receipts are to be joined.
        clock: The node's clock.
    """

    def __init__(self, ids: Ids, groups: Groups, clock: Clock) -> None:
        self._ids = ids
        self._clock = clock
        self._groups = groups
        self._open: dict[int, bool] = {}  # batches on their way, and whether they hold parts
        self._held: list[_Held] = []

    def __len__(self) -> int:
        return len(self._groups)

    @property
    def dialect(self) -> str:
        """How receipts write ids, as far as it is known."""
        return self._ids.dialect

    def begin(self, batch: int, parts: bool) -> None:
        """A batch is on its way.

        Args:
            batch: Its number; numbers go up.
            parts: Whether messages in parts are in it.
        """
        self._open[batch] = parts

    def end(self, batch: int) -> list[Known]:
        """The answers to a batch are there; what can now be told of the receipts that waited."""
        self._open.pop(batch, None)
        held, self._held = self._held, []
        oldest = next(iter(self._open), None)
        known: list[Known] = []
        for each in held:
            over = oldest is None or each.newest < oldest
            found = self._know(each.told, each.arrival, over)
            if found is None:
                self._held.append(each)
            else:
                known.append(found)
        return known

    def sent(self, message_id: str, to: str) -> None:
        """The carrier has given a message, or a part of one, this id, in plain form."""
        self._ids.sent(message_id, to)

    def late(self, message_id: str, reference: str) -> None:
        """And it has done so after nobody waited for it any more."""
        self._groups.add(Group(message_id, reference, 1), [message_id])

    def parts(self, job: Job) -> None:
        """A message in parts has its answers: the receipts of its parts are to be joined."""
        ids = job.ids()
        missing = len(job.parts) - len(ids)
        if ids:
            name = "" if missing else PART_SEPARATOR.join(ids)
            self._groups.add(Group(name, job.message.id, len(job.parts), missing), ids)

    def take(self, told: Told, arrival: Arrival) -> Known | None:
        """Takes in a receipt; None while it has to wait."""
        known = self._know(told, arrival, not self._open)
        if known is None:
            self._held.append(_Held(next(reversed(self._open)), told, arrival))
        return known

    def asked(self, message_id: str, told: Told) -> Known:
        """Takes in what the carrier has answered about a message; its id is in plain form."""
        now_ms = self._clock.now_ms()
        if message_id in self._groups:
            return Known(self._groups.take(message_id, told, now_ms), NO_ARRIVAL)
        receipt = CarrierReceipt(message_id, told.reason, now_ms, told.code, told.detail)
        return Known(receipt, NO_ARRIVAL)

    def forget(self) -> None:
        """What waits is not confirmed, and comes again."""
        self._held.clear()

    def _know(self, told: Told, arrival: Arrival, over: bool) -> Known | None:
        """What a receipt tells; `over` if no answer can make it clearer."""
        now_ms = self._clock.now_ms()
        message_id = self._ids.find(told)
        if message_id is None:
            if not over:
                return None
            message_id = plain(told.id)
            if _HEX.issuperset(message_id):
                message_id = ""  # it may be another message's in another way of writing
        if message_id in self._groups:
            return Known(self._groups.take(message_id, told, now_ms), arrival)
        if not over and True in self._open.values():
            return None
        if not message_id:
            return Known(None, arrival)
        receipt = CarrierReceipt(message_id, told.reason, now_ms, told.code, told.detail)
        return Known(receipt, arrival)
