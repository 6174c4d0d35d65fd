"""The life of a message: which outcome may follow which, in one table.

A status says what is true of the message, not what was told last. Receipts come twice, late, and in
any order, so an outcome moves the status only where the table has it; all others are kept in the
history and change nothing. It is right because the table has no circle: whatever comes in whatever
order, a message moves a few times and stays.

A carrier may be asked several times: SENDING while it has the message, THROTTLED while the message
waits for the next attempt. How these two follow each other is no move of the table, which would be
a circle. The later one by its own time counts (see `Message.record`), and of two at one moment the
answer. So each attempt turns it once, and a repeat or a late word turns nothing.

What a carrier tells of a delivery is believed over any end that a sender gave: only the carrier
knows. Nothing is believed of a message that never went to a sender.

A message that goes on by another route begins again as QUEUED; that is no move of the table but a
new attempt, see `engine.routes.fail_over`.
"""

from collections.abc import Mapping
from typing import Final

from engine.reasons import Reason

WAITING: Final = frozenset({Reason.SCHEDULED, Reason.HELD})
# Nothing left the shard.
STOPPED: Final = frozenset(
    {
        Reason.NO_CONSENT, Reason.SUPPRESSED, Reason.QUIET_HOURS, Reason.FREQUENCY_CAP,
        Reason.LOWER_PRIORITY, Reason.NO_ADDRESS, Reason.RENDER_FAILED,
    }
)  # fmt: skip
ARRIVED: Final = frozenset({Reason.PARTIALLY_DELIVERED, Reason.DELIVERED, Reason.READ})
ATTEMPTS: Final = frozenset({Reason.SENDING, Reason.THROTTLED})
WITH_SENDER: Final = frozenset({Reason.QUEUED, Reason.FRAUD_DELAYED}) | ATTEMPTS
_LEFT: Final = frozenset({Reason.UNKNOWN_OUTCOME, Reason.SENT})
_BY_PERSON: Final = frozenset({Reason.COMPLAINED})  # who has it, so it has arrived
_GONE_ON: Final = ARRIVED | _LEFT | _BY_PERSON
# Whatever else becomes of a message is its end, told by a sender or a carrier.
ENDED: Final = frozenset(
    reason
    for reason in Reason
    if reason >= Reason.QUEUED and reason not in WAITING | STOPPED | WITH_SENDER | _GONE_ON
)
OUTCOMES: Final = WAITING | STOPPED | WITH_SENDER | _GONE_ON | ENDED
# How a message may end that a carrier has taken.
_BY_CARRIER: Final = frozenset(
    {
        Reason.UNDELIVERED, Reason.EXPIRED, Reason.CANCELLED, Reason.REVOKED,
        Reason.CARRIER_REJECTED, Reason.INVALID_NUMBER, Reason.UNROUTABLE_NUMBER,
    }
)  # fmt: skip
_NO_ROUTE: Final = frozenset({Reason.NO_ROUTE, Reason.CANCELLED, Reason.EXPIRED})


def _table() -> dict[int, frozenset[int]]:
    table: dict[int, frozenset[int]] = {
        Reason.SCHEDULED: frozenset({Reason.HELD, Reason.QUEUED}) | STOPPED | _NO_ROUTE,
        Reason.HELD: frozenset({Reason.QUEUED}) | STOPPED | _NO_ROUTE,
        Reason.QUEUED: ATTEMPTS | _GONE_ON | ENDED | {Reason.FRAUD_DELAYED},
        Reason.FRAUD_DELAYED: ATTEMPTS | _GONE_ON | ENDED,
        Reason.SENDING: _GONE_ON | ENDED,
        Reason.THROTTLED: _GONE_ON | ENDED,
        Reason.UNKNOWN_OUTCOME: frozenset({Reason.SENT}) | ARRIVED | _BY_PERSON | ENDED,
        Reason.SENT: ARRIVED | _BY_PERSON | _BY_CARRIER,
        Reason.PARTIALLY_DELIVERED: frozenset({Reason.DELIVERED, Reason.READ}) | _BY_PERSON,
        Reason.DELIVERED: frozenset({Reason.READ}) | _BY_PERSON,
        Reason.READ: _BY_PERSON,
        Reason.COMPLAINED: frozenset(),
    }
    table.update(dict.fromkeys(STOPPED, frozenset[int]()))
    table.update(dict.fromkeys(ENDED, ARRIVED | _BY_PERSON))
    return table


# By a status, the outcomes that move it.
MOVES: Final[Mapping[int, frozenset[int]]] = _table()
