"""One call to a carrier: what it is given, and what its answers mean for the messages.

An adapter that fails, or never comes back, says nothing about what the carrier has taken. So the
whole batch then has an unknown outcome; nothing here ever guesses that a message has not left. An
adapter whose carrier can be asked (`Queryable`) is asked once, before anything else is told.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, Protocol, runtime_checkable

from actors.carriers.base import Carrier, CarrierMessage, Outcome, SubmitResult, unknown
from actors.codes import Codes, reveal_codes
from actors.store.ledger import ResultsRow
from engine import limits
from engine.lanes.definition import Lane
from engine.lanes.queue import QueuedMessage
from engine.reasons import Reason
from engine.verification.sealed import SEALED

_UNKNOWN: Final = Outcome.UNKNOWN  # a member is found slowly, and this is asked of each message
_log = logging.getLogger("denrei.sender")


@runtime_checkable
class Queryable(Protocol):
    """An adapter whose carrier can be asked what became of a message."""

    async def query(self, batch: Sequence[CarrierMessage]) -> list[SubmitResult]:
        """What is known of messages whose submit had an unknown outcome.

        Returns:
            One result a message, in order: ACCEPTED with the carrier's id, FAILED if it is certain
            that the carrier does not have it, or UNKNOWN again.
        """


async def submit(
    carrier: Carrier, lane: Lane, messages: Sequence[QueuedMessage], codes: Codes | None = None
) -> list[SubmitResult]:
    """Gives messages to a lane's carrier; it raises nothing of the adapter's.

    Args:
        carrier: The adapter.
        lane: The lane.
        messages: The batch.
        codes: Opens the seals of one-time codes; without it a message that has one is refused.

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
    facts = [each.facts for each in messages if each.facts is not None]
    if facts and any(SEALED in each for each in facts):
        batch, refused = reveal_codes(batch, codes)
        results = iter(await _submit(carrier, lane, batch) if batch else ())
        return [refused.get(at) or next(results) for at in range(len(messages))]
    return await _submit(carrier, lane, batch)


async def _submit(
    carrier: Carrier, lane: Lane, batch: Sequence[CarrierMessage]
) -> list[SubmitResult]:
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
    doubtful = [at for at, each in enumerate(results) if each.outcome is _UNKNOWN]
    if doubtful and isinstance(carrier, Queryable):  # that alone takes 20 µs to find out
        await _resolve(carrier, lane, batch, results, doubtful)
    return results


async def _resolve(
    carrier: Queryable,
    lane: Lane,
    batch: Sequence[CarrierMessage],
    results: list[SubmitResult],
    doubtful: Sequence[int],
) -> None:
    """Asks a carrier that can be asked about messages of which it is not known what became."""
    try:
        async with asyncio.timeout(limits.QUERY_TIMEOUT_S):
            found = await carrier.query([batch[at] for at in doubtful])
    except Exception as error:
        _log.warning("carrier %s of lane %s can't be asked: %s", lane.carrier, lane.name, error)
        return
    if len(found) == len(doubtful):
        for at, result in zip(doubtful, found, strict=True):
            results[at] = result


def results_row(
    batch: int, messages: Sequence[QueuedMessage], results: Sequence[SubmitResult]
) -> ResultsRow:
    """What a carrier's answers mean for a batch, and one more attempt for each of its messages.

    Cost: 0.3 µs a message.
    """
    taken, sent = Outcome.ACCEPTED, Reason.SENT
    for message in messages:
        message.attempt += 1
    told = [each for each in results if each.outcome is not taken or each.code or each.detail]
    if not told:  # as nearly always
        ids = [result.provider_id for result in results]
        return ResultsRow(batch, bytes((sent,)) * len(results), ids, {})
    reasons = bytearray()
    provider_ids: list[str] = []
    words: dict[int, tuple[str, str]] = {}
    for message, result in zip(messages, results, strict=True):
        if result.code or result.detail:
            words[len(reasons)] = (result.code, result.detail)
        if result.outcome is taken:
            reasons.append(sent)
            provider_ids.append(result.provider_id)
        else:
            reasons.append(_meaning(message, result))
            provider_ids.append("")
    return ResultsRow(batch, bytes(reasons), provider_ids, words)


def waits_ms(result: SubmitResult) -> int:
    """How long a message has to wait that failed for now by no fault of its lane; else 0."""
    return result.retry_after_ms if result.outcome is Outcome.FAILED else 0


def _meaning(message: QueuedMessage, result: SubmitResult) -> Reason:
    """What it means for a message that a carrier has not taken it; QUEUED means another try."""
    outcome = result.outcome
    message.code = result.code
    if outcome is Outcome.REJECTED:
        return Reason.CARRIER_REJECTED
    if outcome is Outcome.THROTTLED or waits_ms(result):
        return Reason.QUEUED
    if outcome is Outcome.UNKNOWN and not message.resend_unknown:
        return Reason.UNKNOWN_OUTCOME
    message.failures += 1
    if message.failures < limits.SEND_ATTEMPTS:
        return Reason.QUEUED
    if outcome is Outcome.UNKNOWN:
        return Reason.UNKNOWN_OUTCOME
    return Reason.CARRIER_UNAVAILABLE
