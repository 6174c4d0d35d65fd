"""What every message to a phone passes right before it leaves: its number is read, and the fraud
guard looks at it. What does not pass has its recorded outcome; nothing is dropped in silence.

The guard stands here, after the queue and before the limits: a blocked message uses up none of a
lane's room, and each message is judged once, by what was known when it was about to leave.
"""  # noqa: D205 - one sentence

from collections.abc import Callable
from typing import Any

from actors.ledger_writer import LedgerWriter
from engine.fraud import PAID_PHONE_CHANNELS, FraudGuard
from engine.lane_definition import Lane
from engine.lane_queue import QueuedMessage
from engine.phone import Phones
from engine.reasons import Reason

Finish = Callable[[QueuedMessage, Reason, str, str], object]


_SNAPSHOT_MS = 10_000


class Screen:
    """See the module's text.

    Args:
        guard: The fraud guard of this sender.
        writer: The ledger, which keeps the guard's blocks and counters.
    """

    def __init__(self, guard: FraudGuard, writer: LedgerWriter) -> None:
        self._guard = guard
        self._phones = Phones()
        self._writer = writer
        self._snapped_ms = 0

    def pass_through(
        self, messages: list[QueuedMessage], lane: Lane, now_ms: int, finish: Finish
    ) -> list[QueuedMessage]:
        """Those that may leave; the others are finished with their reason.

        Cost: 0.3 µs a message to a known number; see `Phones.read` and `FraudGuard.check`.
        """
        if lane.channel not in PAID_PHONE_CHANNELS:
            return messages
        stopped: set[str] = set()
        judged = False
        read, good = self._phones.read, Reason.ACCEPTED
        for message in messages:
            if message.attempt:
                continue
            phone = read(message.to)
            if phone.reason is not good:
                stopped.add(message.id)
                finish(message, phone.reason, "", phone.why)
                continue
            message.to = phone.e164
            if message.purpose == "otp":
                judged = True
                verdict = self._guard.check(
                    message.workspace, message.channel, message.purpose, phone.e164, now_ms
                )
                if verdict is not None:
                    stopped.add(message.id)
                    finish(message, Reason.FRAUD_BLOCKED, verdict.code, verdict.why)
        if judged:
            self._keep(now_ms)
        if not stopped:
            return messages
        return [message for message in messages if message.id not in stopped]

    def snapshot(self) -> list[Any]:
        """The guard's state, for a clean shutdown."""
        return self._guard.snapshot()

    def blocks(self, now_ms: int) -> list[dict[str, Any]]:
        """The blocks that stand, for a status page."""
        return self._guard.blocks(now_ms)

    def _keep(self, now_ms: int) -> None:
        """Blocks are written at once, counters now and then."""
        for name, body in self._guard.new_blocks():
            self._writer.block(name, body)
        if now_ms - self._snapped_ms >= _SNAPSHOT_MS:
            self._snapped_ms = now_ms
            self._writer.fraud(self._guard.snapshot())
