"""Receipts on their way to the shards: how many a call holds."""

import asyncio
from collections.abc import Sequence

import pytest

from actors.senders.reports import Reporter
from engine import commands, limits
from engine.reasons import Reason

Call = tuple[Sequence[commands.Command], int]


def receipt(number: int, detail: str = "") -> commands.Command:
    more = ((Reason.UNDELIVERED, number, "30", detail),)
    return commands.receipt(
        f"default/user/u{number}", f"{number:032}", Reason.SENT, number, True, "sandbox", "main",
        provider_id=f"sb-{number}", more=more,
    )  # fmt: skip


async def calls_of(receipts: Sequence[commands.Command]) -> list[Call]:
    """The calls that a reporter makes for receipts of one shard that wait together."""
    calls: list[Call] = []

    async def report(shard: int, told: Sequence[commands.Command], size: int) -> bytes:
        await asyncio.sleep(0)
        calls.append((told, size))
        return bytes([Reason.ACCEPTED]) * len(told)

    reporter = Reporter(report, settled=lambda ids: None)
    reporter.add_all({0: [(each, ()) for each in receipts]})
    await reporter.idle()
    assert [each for told, _ in calls for each in told] == receipts
    assert len(reporter) == 0
    return calls


async def test_a_call_holds_a_thousand_receipts() -> None:
    most = limits.CALL_COMMANDS
    calls = await calls_of([receipt(number) for number in range(2 * most + most // 2)])
    assert [len(told) for told, _ in calls] == [most, most, most // 2]


@pytest.mark.parametrize("chars", [3_000, limits.REPORT_BYTES])
async def test_a_call_is_no_larger_than_its_bytes_unless_for_one_receipt(chars: int) -> None:
    calls = await calls_of([receipt(number, "x" * chars) for number in range(300)])
    assert len(calls) > 1
    for told, size in calls:
        assert size <= limits.REPORT_BYTES or len(told) == 1
        assert size >= len(told) * chars
