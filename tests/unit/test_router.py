"""The way to a shard: coalescing, order, back-pressure, and the same ids again after a failure."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from actors import host_protocol
from actors.router import Router
from engine import commands, limits
from engine.errors import Overloaded, Unavailable
from engine.reasons import Reason

ACCEPTED = bytes([Reason.ACCEPTED])
DUPLICATE = bytes([Reason.DUPLICATE])


class FakeHost:
    """A host's end of the wire: decides per call what happens, and notes what it saw."""

    def __init__(self) -> None:
        self.shards = 2
        self.calls: list[tuple[str, int, list[str]]] = []
        self.answer: Callable[[int, list[str]], Awaitable[bytes]] = self.accept
        self.most_in_flight = 0
        self.largest_call = 0
        self._in_flight = 0

    def host_of(self, shard: int) -> str:
        return "shard-host-0"

    def link(self, host: str) -> "FakeHost":
        return self

    async def submit(self, call: bytes) -> bytes:
        session, number, _, parts = host_protocol.unpack_call(call)
        self.largest_call = max(self.largest_call, len(call))
        chunks = commands.unpack_payload(commands.pack_payload(part[1] for part in parts))
        ids = [command[2] for chunk in chunks for command in chunk]
        self.calls.append((session, number, ids))
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            results = await self.answer(len(self.calls), ids)
        finally:
            self._in_flight -= 1
        answers, at = [], 0
        for _, _, count in parts:
            answers.append((host_protocol.OK, results[at : at + count]))
            at += count
        return host_protocol.pack_reply(answers)

    async def query(self, call: bytes) -> bytes:
        raise ConnectionError

    async def accept(self, call: int, ids: list[str]) -> bytes:
        await asyncio.sleep(0)
        return ACCEPTED * len(ids)


def track(id_: str, size: int = 0) -> commands.Command:
    noise = random.Random(id_).randbytes(size)  # it does not compress
    return commands.event("w/user/u", id_, commands.TRACK, "E", 1, noise)


def soon() -> float:
    return asyncio.get_running_loop().time() + 10.0


async def test_what_waits_goes_together_with_the_next_call() -> None:
    host = FakeHost()
    router = Router(host)
    futures = [router.post(0, [track(str(n))], 100, soon()) for n in range(50)]
    assert await asyncio.gather(*futures) == [ACCEPTED] * 50
    assert len(host.calls) <= limits.CALLS_IN_FLIGHT + 1
    assert [id_ for _, _, ids in host.calls for id_ in ids] == [str(n) for n in range(50)]
    assert host.most_in_flight <= limits.CALLS_IN_FLIGHT


async def test_what_is_posted_together_leaves_together() -> None:
    host = FakeHost()
    router = Router(host)
    ours = [router.post(shard, [track(f"{shard}")], 100, soon()) for shard in (0, 1)]
    theirs = router.post(0, [track("2")], 100, soon())
    await asyncio.gather(*ours, theirs)
    assert [ids for _, _, ids in host.calls] == [["0", "2", "1"]]  # by shard


async def test_a_call_stays_under_the_inline_limit() -> None:
    host = FakeHost()
    router = Router(host)
    big = 20_000
    futures = [router.post(0, [track(str(n), big)], big, soon()) for n in range(20)]
    await asyncio.gather(*futures)
    assert host.largest_call <= limits.CALL_BYTES


async def test_calls_that_compress_carry_more() -> None:
    host = FakeHost()
    router = Router(host)
    futures = [
        router.post(0, [track(f"{call}-{n}") for n in range(50)], 50_000, soon())
        for call in range(60)
    ]
    await asyncio.gather(*futures)
    assert max(len(ids) for _, _, ids in host.calls) > 4 * 50
    assert host.largest_call <= limits.CALL_BYTES


async def test_a_second_call_leaves_only_when_enough_waits() -> None:
    host = FakeHost()
    router = Router(host)
    hold = asyncio.Event()

    async def stuck(call: int, ids: list[str]) -> bytes:
        await hold.wait()
        return ACCEPTED * len(ids)

    host.answer = stuck
    futures = [router.post(0, [track("first")], 100, soon())]
    futures += [router.post(0, [track(str(n))], 100, soon()) for n in range(10)]
    await asyncio.sleep(0)
    assert len(host.calls) == 1
    many = [track(f"m{n}") for n in range(limits.CALL_WORTH_COMMANDS)]
    futures.append(router.post(0, many, 100, soon()))
    await asyncio.sleep(0)
    assert len(host.calls) == limits.CALLS_IN_FLIGHT
    hold.set()
    await asyncio.gather(*futures)


async def test_after_a_failure_everything_is_sent_again_in_order_in_a_new_session() -> None:
    host = FakeHost()
    router = Router(host)

    async def fail_first(call: int, ids: list[str]) -> bytes:
        await asyncio.sleep(0)
        if call == 1:
            raise ConnectionError
        return DUPLICATE * len(ids)

    host.answer = fail_first
    first = [router.post(0, [track("0")], 100, soon())]
    await asyncio.sleep(0)
    first.append(router.post(0, [track("1")], 100, soon()))
    second = [router.post(1, [track(str(n))], 100, soon()) for n in range(2, 6)]
    # What we sent before answers as a duplicate: to the client it was accepted. What had not
    # left yet was sent by nobody else.
    assert await asyncio.gather(*first) == [ACCEPTED, DUPLICATE]
    await asyncio.gather(*second)
    sessions = list(dict.fromkeys(session for session, _, _ in host.calls))
    assert len(sessions) == 2
    again = [id_ for session, _, ids in host.calls if session == sessions[1] for id_ in ids]
    assert again == [str(n) for n in range(6)]
    assert next(n for session, n, _ in host.calls if session == sessions[1]) == 0


async def test_a_true_duplicate_is_told_as_one() -> None:
    host = FakeHost()

    async def known(call: int, ids: list[str]) -> bytes:
        return DUPLICATE * len(ids)

    host.answer = known
    assert await Router(host).submit(0, [track("1")], 100, soon()) == DUPLICATE


async def test_a_full_queue_refuses_with_a_delay() -> None:
    host = FakeHost()
    hold = asyncio.Event()

    async def stuck(call: int, ids: list[str]) -> bytes:
        await hold.wait()
        return ACCEPTED * len(ids)

    host.answer = stuck
    router = Router(host)
    size = limits.ROUTER_QUEUE_BYTES // 4
    futures = [router.post(0, [track(str(n))], size, soon()) for n in range(4)]
    with pytest.raises(Overloaded) as refused:
        router.post(0, [track("5")], 100, soon())
    assert refused.value.retry_after_ms > 0
    hold.set()
    assert await asyncio.gather(*futures) == [ACCEPTED] * 4
    assert await router.submit(0, [track("5")], 100, soon()) == ACCEPTED


async def test_past_its_deadline_an_item_fails_and_is_not_sent() -> None:
    host = FakeHost()

    async def dead(call: int, ids: list[str]) -> bytes:
        raise ConnectionError

    host.answer = dead
    router = Router(host)
    with pytest.raises(Unavailable):
        await router.submit(0, [track("1")], 100, asyncio.get_running_loop().time() - 1)
    assert host.calls == []


async def test_closing_fails_what_waits() -> None:
    host = FakeHost()
    never = asyncio.Event()

    async def stuck(call: int, ids: list[str]) -> bytes:
        await never.wait()
        return b""

    host.answer = stuck
    router = Router(host)
    futures = [router.post(0, [track(str(n))], 100, soon()) for n in range(3)]
    await asyncio.sleep(0)
    await router.close()
    results: list[Any] = await asyncio.gather(*futures, return_exceptions=True)
    assert all(isinstance(result, Unavailable) for result in results)


async def test_closing_between_a_failure_and_the_next_session_fails_what_had_failed() -> None:
    host = FakeHost()
    failing = True

    async def away(call: int, ids: list[str]) -> bytes:
        if failing:
            raise ConnectionError
        return ACCEPTED * len(ids)

    host.answer = away
    router = Router(host)
    future = router.post(0, [track("1")], 100, soon())
    while len(host.calls) < 2:  # from the second failure on it waits before a session
        await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    await router.close()
    with pytest.raises(Unavailable):
        await future
    failing = False
    assert await router.submit(0, [track("2")], 100, soon()) == ACCEPTED
