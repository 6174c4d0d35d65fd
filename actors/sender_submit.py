"""One call to a carrier: what it is given, and what its answers mean for the messages.

An adapter that fails, or never comes back, says nothing about what the carrier has taken. So the
whole batch then has an unknown outcome; nothing here ever guesses that a message has not left.
"""

import asyncio
import logging
from collections.abc import Sequence

from actors.carriers.base import Carrier, CarrierMessage, Outcome, SubmitResult, unknown
from actors.store.ledger import ResultsRow
from engine import limits
from engine.lane_definition import Lane
from engine.lane_queue import QueuedMessage
from engine.reasons import Reason

_log = logging.getLogger("denrei.sender")


async def submit(
    carrier: Carrier, lane: Lane, messages: Sequence[QueuedMessage]
) -> list[SubmitResult]:
    """Gives messages to a lane's carrier; it raises nothing of the adapter's.

    Returns:
        One result a message, in order.
    """
    sender = lane.sender
    batch = [
        CarrierMessage(
            each.id, each.channel, each.sender or sender, each.to, each.subject, each.body,
            each.units, each.attempt, each.purpose, each.expires_ms, each.content, each.facts,
            each.key,
        )
        for each in messages
    ]  # fmt: skip
    try:
        async with asyncio.timeout(limits.SUBMIT_TIMEOUT_S):
            results = await carrier.submit(batch)
    except TimeoutError:
        results = [unknown("timeout", f"no answer in {limits.SUBMIT_TIMEOUT_S:g} s")] * len(batch)
    except Exception as error:
        _log.exception("carrier %s of lane %s failed", lane.carrier, lane.name)
        results = [unknown("error", f"{type(error).__name__}: {error}"[:200])] * len(batch)
    if len(results) != len(batch):
        results = [unknown("error", "the adapter answered for another batch")] * len(batch)
    return results


def results_row(
    batch: int, messages: Sequence[QueuedMessage], results: Sequence[SubmitResult]
) -> ResultsRow:
    """What a carrier's answers mean for a batch, and one more attempt for each of its messages.

    Cost: 0.3 µs a message.
    """
    taken, sent = Outcome.ACCEPTED, Reason.SENT
    reasons = bytearray()
    provider_ids: list[str] = []
    words: dict[int, tuple[str, str]] = {}
    for message, result in zip(messages, results, strict=True):
        if result.code or result.detail:
            words[len(reasons)] = (result.code, result.detail)
        message.attempt += 1
        if result.outcome is taken:
            reasons.append(sent)
            provider_ids.append(result.provider_id)
        else:
            reasons.append(_meaning(message, result))
            provider_ids.append("")
    return ResultsRow(batch, bytes(reasons), provider_ids, words)


def _meaning(message: QueuedMessage, result: SubmitResult) -> Reason:
    """What it means for a message that a carrier has not taken it; QUEUED means another try."""
    outcome = result.outcome
    message.code = result.code
    if outcome is Outcome.REJECTED:
        return Reason.CARRIER_REJECTED
    if outcome is Outcome.THROTTLED:
        return Reason.QUEUED
    if outcome is Outcome.UNKNOWN and not message.resend_unknown:
        return Reason.UNKNOWN_OUTCOME
    message.failures += 1
    if message.failures < limits.SEND_ATTEMPTS:
        return Reason.QUEUED
    if outcome is Outcome.UNKNOWN:
        return Reason.UNKNOWN_OUTCOME
    return Reason.CARRIER_UNAVAILABLE
