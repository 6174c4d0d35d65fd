"""Fraud guards hear which codes were typed in, whoever of them is away at that moment.

A real sender on a real store; what its guard is told is noted.
"""

import asyncio
from pathlib import Path

import msgpack
import pytest

from actors import placement
from engine import commands, limits
from tests.unit.test_erasure_at_senders import BOB, OTHER, Post, post

PHONE = "+4915199887766"
LOGIN = """
{lane: codes, channel: sms, carrier: sandbox}
---
verification: login
brand: Acme
"""
DIGEST = b"d" * 32


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FEEDBACK_GATHER_S", 0.0)
    monkeypatch.setattr("actors.offer_pump.LONGEST_PAUSE_S", 0.02)
    monkeypatch.setattr("actors.offer_pump.FIRST_PAUSE_S", 0.01)


def key(number: str) -> str:
    return f"default/address/{number}"


async def start(here: Post, *numbers: str) -> None:
    await here.engine.apply(LOGIN)
    for number in numbers:
        command = commands.start(key(number), "r1", "login", "", "sms", "", DIGEST, "s", {})
        await here.submit(command)
    await here.settled()


async def verify(here: Post, *numbers: str) -> None:
    for number in numbers:
        await here.submit(commands.check(key(number), "c1", "login", DIGEST))


def hear(here: Post, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """What the guard of the sender is told from now on."""
    heard: list[tuple[str, str, str]] = []

    def outcome(workspace: str, e164: str, what: str, at_ms: int) -> None:
        heard.append((workspace, e164, what))

    monkeypatch.setattr(here.pool.core._screen._guard, "outcome", outcome)
    return heard


@pytest.mark.parametrize("crash", [False, True])
async def test_a_sender_that_is_away_hears_of_it_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crash: bool
) -> None:
    async with post(tmp_path) as here:
        await start(here, PHONE)
        await here.pool.core.close()
        here.pool.away = True
        await verify(here, PHONE)
        await asyncio.sleep(0.05)
        address = here.entity(key(PHONE))
        assert address is not None
        assert len(address.outbox) == 1
        if crash:
            await here.engine.crash_host()
            await here.engine.start_host()
        await here.open_sender()
        heard = hear(here, monkeypatch)
        here.pool.away = False
        await here.settled()
        assert heard == [("default", PHONE, "verified")]


async def test_what_is_told_again_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with post(tmp_path) as here:
        await start(here, PHONE)
        heard = hear(here, monkeypatch)
        feedback, told = here.pool.core.feedback, 0

        async def hear_and_fail(batch: bytes) -> None:
            nonlocal told
            told += 1
            await feedback(batch)
            if told == 1:
                raise OSError  # the answer is lost

        monkeypatch.setattr(here.pool.core, "feedback", hear_and_fail)
        await verify(here, PHONE)
        await here.settled()
        assert told == 2
        assert heard == [("default", PHONE, "verified")]


async def test_the_same_said_of_a_number_once_more_counts_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with post(tmp_path) as here:
        heard = hear(here, monkeypatch)
        for _ in range(2):
            await here.pool.core.feedback(msgpack.packb([["default", PHONE, "expired"]]))
        assert heard == [("default", PHONE, "expired")] * 2


async def test_many_go_in_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = [f"+49151998877{at:02d}" for at in range(30)]
    async with post(tmp_path) as here:
        await start(here, *numbers)
        here.pool.away = True
        await verify(here, *numbers)
        calls: list[int] = []

        async def count(batch: bytes) -> None:
            calls.append(len(msgpack.unpackb(batch)))

        monkeypatch.setattr(here.pool.core, "feedback", count)
        here.pool.away = False
        await here.settled()
        assert calls == [30]


async def test_a_sender_whose_guard_fails_goes_on_sending_and_forgetting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with post(tmp_path) as here:
        await start(here, PHONE)
        broken, feedback = True, here.pool.core.feedback

        async def fail(batch: bytes) -> None:
            if broken:
                raise OSError
            await feedback(batch)

        monkeypatch.setattr(here.pool.core, "feedback", fail)
        await verify(here, PHONE)
        await here.send(BOB, OTHER)
        await here.submit(commands.erase(BOB, "r9", False))
        await here.until(lambda: (bob := here.entity(BOB)) is not None and not bob.outbox)
        address = here.entity(key(PHONE))
        assert address is not None
        assert address.outbox
        broken = False
        await here.settled()


def test_only_who_texts_phones_is_told() -> None:
    assert placement.is_in_pool(placement.sender_name("sms", 12), "voice")
    assert not placement.is_in_pool(placement.sender_name("email", 1), "sms")
    assert not placement.is_in_pool(placement.caller_name(1), "sms")
