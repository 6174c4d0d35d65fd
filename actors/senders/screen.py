"""What every message to a phone passes right before it leaves: its number is read, and the fraud
guard looks at it. What does not pass has its recorded outcome; nothing is dropped in silence.

The guard stands here, after the queue and before the limits: a blocked message uses up none of a
lane's room, and each message is judged once, by what was known when it was about to leave.

Blocks are written to the ledger at once, what the guard has learnt every half minute and at a clean
end. A snapshot is built in slices, one after each batch, for it would hold up the event loop. A
crash forgets that half minute, and what waited to be verified: codes that were sent in the last
eight minutes say nothing after it.

What is written tells phone numbers by digests only. Their key is the sender's to set, which derives
it from secrets that are there before anything is written.
"""  # noqa: D205 - one sentence

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from actors.senders.ledger_writer import LedgerWriter
from actors.senders.screen_looks import SecondLooks, Wait
from engine import limits
from engine.fraud import PAID_PHONE_CHANNELS, FraudGuard, Verdict
from engine.fraud.blocks import BLOCK, CHALLENGE, DELAY, SHADOW, span
from engine.fraud.guard import NO_FACTS
from engine.fraud.policy import guard_from
from engine.issues import DefinitionError
from engine.lanes.definition import Lane
from engine.lanes.queue import QueuedMessage
from engine.messages.message import OTP
from engine.messages.phone import Phones
from engine.reasons import Reason

Finish = Callable[[QueuedMessage, Reason, str, str], object]

_log = logging.getLogger("denrei.sender")
_SNAPSHOT_MS: Final = 30_000
_CODE_MS: Final = 3_600_000  # for how long a receipt of a code says something to the guard
_REASONS: Final = {
    BLOCK: Reason.FRAUD_BLOCKED,
    CHALLENGE: Reason.FRAUD_CHALLENGED,
    SHADOW: Reason.FRAUD_SHADOWED,
}
OUTCOMES: Final = frozenset({"verified", "expired", "undelivered", "legit", "fraud"})


class Screen:
    """See the module's text.

    Args:
        guard: The fraud guard of this sender.
        writer: The ledger, which keeps what the guard knows.
        looks: What it knew of messages that wait to be looked at again.
        now_ms: The time.

    Attributes:
        looks: The messages that wait so.
    """

    def __init__(
        self,
        guard: FraudGuard,
        writer: LedgerWriter,
        looks: Mapping[str, list[Any]] | None = None,
        now_ms: int = 0,
    ) -> None:
        self.looks = SecondLooks(writer, looks, now_ms)
        self._guard = guard
        self._phones = Phones()
        self._writer = writer
        self._snapped_ms = 0
        self._heard: OrderedDict[str, None] = OrderedDict()  # ids of outcomes, the oldest first
        self._slices: Iterator[list[Any] | None] | None = None
        # By id: workspace, number, when; in order.
        self._codes: OrderedDict[str, tuple[str, str, int]] = OrderedDict()
        self._newest: dict[tuple[str, str], str] = {}  # by workspace and number

    def configure(self, workspace: str, body: dict[str, Any] | None) -> None:
        """Takes a workspace's guard; None if it has none."""
        try:
            self._guard.configure(workspace, None if body is None else guard_from(body))
        except DefinitionError:
            _log.exception("the guard of %s is not used", workspace)

    def pass_through(
        self,
        messages: list[QueuedMessage],
        lane: Lane,
        now_ms: int,
        finish: Finish,
        wait: Wait | None = None,
    ) -> list[QueuedMessage]:
        """Those that may leave; the others are finished with their reason, or wait.

        Cost: 0.2 µs a message to a known number that the guard lets pass in any case; see
            `Phones.read` and `FraudGuard.check`.
        """
        if lane.channel not in PAID_PHONE_CHANNELS:
            return messages
        stopped: set[str] = set()
        read, check, good = self._phones.read, self._guard.check, Reason.ACCEPTED
        looks = self.looks
        looking = len(looks) > 0
        workspace = channel = purpose = None
        passes = False
        passed = 0
        for message in messages:
            if message.attempt:
                continue
            phone = read(message.to)
            if phone.reason is not good:
                stopped.add(message.id)
                finish(message, phone.reason, "", phone.why)
                continue
            if message.to != phone.e164:
                message.to = phone.e164
            if (
                message.purpose != purpose
                or message.workspace != workspace
                or message.channel != channel
            ):
                workspace, channel, purpose = message.workspace, message.channel, message.purpose
                passes = self._guard.passes(workspace, channel, purpose)
            if passes and not looking:
                passed += 1
                continue
            look = looks.of(message)
            if look is not None and wait is not None and now_ms < look.until_ms:
                stopped.add(message.id)  # a restart found it waiting
                wait(message, look)
                continue
            verdict = check(
                message.workspace, message.channel, message.purpose, phone.e164, now_ms,
                message.facts or NO_FACTS, phone.kind, follows=message.hop > 0,
                leave_by_ms=looks.leave_by_ms(message) if wait is not None else 0,
            )  # fmt: skip
            if look is not None:
                looks.end(message.id)
            if verdict is not None:
                stopped.add(message.id)
                words = in_words(verdict)
                if verdict.action == DELAY and wait is not None:
                    wait(message, looks.begin(message, verdict, words, now_ms))
                    continue
                if look is not None:
                    words += f"; it had waited {span(look.until_ms - look.since_ms)}"
                finish(message, _REASONS[verdict.action], verdict.code, words)
            elif message.purpose == OTP:
                self._code(message.id, message.workspace, phone.e164, now_ms)
        self._guard.passed(passed)
        self._keep(now_ms)
        if not stopped:
            return messages
        return [message for message in messages if message.id not in stopped]

    def feedback(self, outcomes: Sequence[Sequence[Any]], now_ms: int) -> None:
        """What became of codes: `(workspace, number, what, id)` each; without an id it counts anew.

        What is no number is left out, and what was heard before.
        """
        for workspace, address, what, *ids in outcomes:
            if what in OUTCOMES and str(address).startswith("+") and not self._heard_before(ids):
                phone = self._phones.read(address)
                if phone.e164:
                    self._guard.outcome(workspace, phone.e164, what, now_ms)
        self._keep(now_ms)

    def undelivered(self, message_id: str, now_ms: int) -> None:
        """A message never arrived: if it was the newest code to its number, that tells nothing."""
        code = self._codes.pop(message_id, None)
        if code is None:
            return
        workspace, e164, _ = code
        if self._newest.get((workspace, e164)) == message_id:
            del self._newest[workspace, e164]
            self._guard.outcome(workspace, e164, "undelivered", now_ms)
            self._keep(now_ms)

    def _code(self, message_id: str, workspace: str, e164: str, now_ms: int) -> None:
        """A code leaves: a receipt may say that it never arrived."""
        codes, newest = self._codes, self._newest
        codes[message_id] = workspace, e164, now_ms
        newest[workspace, e164] = message_id
        while True:
            oldest_id = next(iter(codes))
            place, number, at_ms = codes[oldest_id]
            if len(codes) <= limits.FRAUD_PENDING and at_ms > now_ms - _CODE_MS:
                return
            del codes[oldest_id]
            if newest.get((place, number)) == oldest_id:
                del newest[place, number]

    def _heard_before(self, ids: Sequence[str]) -> bool:
        for id_ in ids:
            if id_ in self._heard:
                return True
            if len(self._heard) >= limits.FEEDBACK_IDS:
                self._heard.popitem(last=False)
            self._heard[id_] = None
        return False

    def snapshot(self) -> list[Any]:
        """The guard's state, for a clean shutdown."""
        self._slices = None  # what it would have written is older
        return self._guard.snapshot()

    def blocks(self, now_ms: int) -> list[dict[str, Any]]:
        """The blocks that stand, for a status page."""
        return self._guard.blocks(now_ms)

    def counts(self) -> dict[str, int]:
        """How many messages the guard saw, and what it did."""
        return dict(self._guard.counts)

    def _keep(self, now_ms: int) -> None:
        """Blocks are written at once, what was learnt now and then."""
        for name, body in self._guard.new_blocks():
            self._writer.block(name, body)
        if self._slices is not None:
            self._snap(self._slices)
        elif self._guard.changed and now_ms - self._snapped_ms >= _SNAPSHOT_MS:
            self._snapped_ms = now_ms
            self._guard.changed = False
            self._slices = self._guard.snapshot_slices()

    def _snap(self, slices: Iterator[list[Any] | None]) -> None:
        """Builds one slice of a snapshot, and writes it after the last one.

        One that takes all 5,000 nodes of a workspace would hold up the event loop for 20 ms.
        """
        snapshot = next(slices)
        if snapshot is not None:
            self._slices = None
            self._writer.fraud(snapshot)


def in_words(verdict: Verdict) -> str:
    """What a message's history says of a verdict."""
    return f"{verdict.why}; fraud score {verdict.score}"
