"""Messages in parts: the receipts of the parts make one receipt of the message.

The carrier knows each part as a message with an id of its own. The message has arrived when all
parts have, it has not when none has, and it is partially delivered else; that is told once it is
known of all parts. What was told of the parts is in memory only: after a restart a message hears
of itself if none of its parts was told of before.
"""

from collections.abc import Iterable, Sequence

from actors.carriers.base import PART_SEPARATOR, CarrierReceipt
from actors.carriers.smpp.receipts import Told
from engine import limits
from engine.reasons import Reason


class Group:
    """A message whose carrier ids are not, or not only, the one that the sender knows it by.

    Args:
        provider_id: What the sender knows it by, or empty.
        reference: Our message id.
        parts: How many there are.
        missing: How many of them the carrier has certainly not taken: they do not arrive.
    """

    __slots__ = ("code", "detail", "missing", "parts", "provider_id", "reference", "told")

    def __init__(self, provider_id: str, reference: str, parts: int, missing: int = 0) -> None:
        self.provider_id = provider_id
        self.reference = reference
        self.parts = parts
        self.missing = missing
        self.told: dict[str, Reason] = {}
        self.code = ""
        self.detail = ""

    def take(self, part: str, told: Told) -> Reason | None:
        """Takes in what is told of a part.

        Returns:
            What is now known of the message; None if that is nothing new.
        """
        if part in self.told or told.reason is Reason.SENT:
            return None
        self.told[part] = told.reason
        if told.reason is Reason.UNDELIVERED and not self.code:
            self.code, self.detail = told.code, told.detail
        arrived = sum(each is Reason.DELIVERED for each in self.told.values())
        if len(self.told) + self.missing < self.parts:
            return None
        if arrived == self.parts:
            return Reason.DELIVERED
        if self.parts > 1:
            self.detail = f"{arrived} of {self.parts} parts arrived; {self.detail}".rstrip("; ")
        return Reason.PARTIALLY_DELIVERED if arrived else Reason.UNDELIVERED


class Groups:
    """The groups that wait for receipts, by the carrier's ids of their parts, in plain form."""

    def __init__(self) -> None:
        self._groups: dict[str, Group] = {}

    def __len__(self) -> int:
        return len(self._groups)

    def __contains__(self, part: str) -> bool:
        return part in self._groups

    def add(self, group: Group, parts: Sequence[str]) -> None:
        """Expects receipts of parts."""
        for part in parts:
            if len(self._groups) >= limits.SMPP_PART_IDS:
                del self._groups[next(iter(self._groups))]
            self._groups[part] = group

    def restore(self, provider_ids: Iterable[str]) -> None:
        """Expects receipts of messages in parts that had left before a restart."""
        for provider_id in provider_ids:
            parts = provider_id.split(PART_SEPARATOR)
            self.add(Group(provider_id, "", len(parts)), parts)

    def take(self, part: str, told: Told, now_ms: int) -> CarrierReceipt | None:
        """Takes in what is told of a part; the receipt of its message, if that is known now."""
        group = self._groups[part]
        reason = group.take(part, told)
        if reason is None:
            return None
        for each in group.told:
            self._groups.pop(each, None)
        return CarrierReceipt(
            group.provider_id, reason, now_ms, group.code, group.detail, group.reference
        )
