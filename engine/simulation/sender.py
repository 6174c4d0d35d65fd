"""A sender that obeys: what it is offered is sent at once, unless it is told otherwise.

It keeps to the contract of `actors.senders.sender` as a shard sees it: an offer that comes twice
is one, a message that is called back in time ends as CANCELLED, one that waits too long as EXPIRED,
and each ends with a receipt that settles it.
"""

from typing import Any, Final

from engine import commands
from engine.commands import Command
from engine.journeys.calling import CHANNEL as WEBHOOK
from engine.messages.states import WITH_SENDER
from engine.reasons import Reason

SEND: Final = "send"
HOLD: Final = "hold"
CARRIER: Final = "simulated"

Offer = tuple[Any, ...]

# Outcomes that a carrier tells only of a message that was sent.
_AFTER_SENT: Final = frozenset({Reason.DELIVERED, Reason.UNDELIVERED, Reason.READ})


def outcome_of(word: str) -> Reason | None:
    """The outcome of a message that a word like `delivered` names, or None."""
    reason = Reason.__members__.get(word.upper())
    return reason if reason is not None and reason >= Reason.QUEUED else None


class Sender:
    """See the module's text.

    Attributes:
        does: What it does with messages: `send`, `hold`, or the name of an outcome.
        does_with: The same for some templates, lanes or channels, which come first.
        held: Messages that it has and did not send, by id.
        calls: Webhooks that wait for their answer, by id.
        called: All webhooks that it was offered, in order.
    """

    def __init__(self) -> None:
        self.does = SEND
        self.does_with: dict[str, str] = {}
        self.held: dict[str, Offer] = {}
        self.calls: dict[str, Offer] = {}
        self.called: list[Offer] = []
        self._taken: set[str] = set()

    def offer(self, offer: Offer, template: str, now_ms: int) -> list[Command]:
        """Takes a message; gives the receipts that follow at once."""
        if offer[0] in self._taken:
            return []
        self._taken.add(offer[0])
        if offer[4] == WEBHOOK:
            self.calls[offer[0]] = offer
            self.called.append(offer)
            return []
        named = (self.does_with.get(name) for name in (template, offer[3], offer[4]))
        does = next(filter(None, named), self.does)
        if does == HOLD:
            self.held[offer[0]] = offer
            return []
        outcome = Reason.SENT if does == SEND else outcome_of(does)
        assert outcome is not None, does
        return self.ends(offer, outcome, now_ms)

    def cancel(self, offer: Offer, now_ms: int) -> list[Command]:
        """Calls a message back, which it may never have had; nothing follows if it has left."""
        if offer[4] == WEBHOOK:
            self.calls.pop(offer[0], None)
            return []
        if offer[0] in self._taken and offer[0] not in self.held:
            return []
        self._taken.add(offer[0])
        return self.ends(offer, Reason.CANCELLED, now_ms)

    def ends(self, offer: Offer, outcome: Reason, now_ms: int) -> list[Command]:
        """The receipts of a message that comes to an outcome."""
        self.held.pop(offer[0], None)
        told = [Reason.SENT, outcome] if outcome in _AFTER_SENT else [outcome]
        return [self._receipt(offer, reason, now_ms) for reason in told]

    def next_expiry_ms(self) -> int | None:
        """When the first of the held messages is worthless, or None."""
        return min((offer[9] for offer in self.held.values()), default=None)

    def expire(self, now_ms: int) -> list[Command]:
        """Ends what is held and worthless by now."""
        late = [offer for offer in self.held.values() if offer[9] <= now_ms]
        return [command for offer in late for command in self.ends(offer, Reason.EXPIRED, now_ms)]

    @staticmethod
    def _receipt(offer: Offer, outcome: Reason, now_ms: int) -> Command:
        settle = outcome not in WITH_SENDER
        return commands.receipt(
            offer[1], offer[0], outcome, now_ms, settle, carrier=CARRIER, lane=offer[3]
        )
