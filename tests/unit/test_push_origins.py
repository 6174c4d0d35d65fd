"""Each push service by itself: one that fails, hangs or wants peace holds up only its own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from actors.carriers import push_origins
from actors.carriers.base import Outcome
from actors.carriers.push_origins import NotNow, Origin, Origins
from actors.clock import ManualClock
from actors.senders.lane_health import LaneHealth
from engine import limits
from engine.lanes.definition import lane_from
from tests.unit.test_web_push import carrier_of, message, subscribed

NOW = 1_700_000_000_000
Answer = Callable[[], web.Response]


@asynccontextmanager
async def service(answer: Answer, gate: asyncio.Event | None = None) -> AsyncIterator[str]:
    """A push service that answers all in one way; its subscriptions."""

    async def handle(request: web.BaseRequest) -> web.Response:
        await request.read()
        if gate is not None:
            await gate.wait()
        return answer()

    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield subscribed(f"http://127.0.0.1:{runner.addresses[0][1]}/x")
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "headers"), [(429, {"Retry-After": "3600"}), (503, {"Retry-After": "60"}), (500, {})]
)
async def test_what_one_origin_says_stops_neither_the_others_nor_the_lane(
    status: int, headers: dict[str, str]
) -> None:
    asked = 0

    def refuse() -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(status=status, headers=headers)

    async with service(refuse) as bad, service(lambda: web.Response(status=201)) as good:
        carrier = carrier_of()
        await carrier.start(None, None)  # type: ignore[arg-type]
        batch = [message(bad), *(message(good) for _ in range(20)), message(bad)]
        results = await carrier.submit(batch)
        again = await carrier.submit(batch)
        assert carrier.status()["paused"] == 1
        await carrier.stop()
    for told in (results, again):
        assert [each.outcome for each in told] == [
            Outcome.FAILED, *[Outcome.ACCEPTED] * 20, Outcome.FAILED,
        ]  # fmt: skip
    assert asked == 1
    assert again[0].code == "paused"
    lane = lane_from({"lane": "p", "channel": "push", "carrier": "web_push"})
    health = LaneHealth(lane, "p", lambda percent, now_ms: None)
    health.saw(results, NOW, probe=False)
    assert health.paused_until_ms == 0
    assert health.room(NOW) > 1


async def test_one_origin_that_hangs_does_not_fill_the_pool() -> None:
    gate = asyncio.Event()
    async with (
        service(lambda: web.Response(status=201), gate) as hangs,
        service(lambda: web.Response(status=201)) as good,
    ):
        carrier = carrier_of(requests=4)
        await carrier.start(None, None)  # type: ignore[arg-type]
        batch = [message(hangs) for _ in range(50)]
        slow = asyncio.get_running_loop().create_task(carrier.submit(batch))
        async with asyncio.timeout(30):
            results = await carrier.submit([message(good) for _ in range(10)])
        assert [each.outcome for each in results] == [Outcome.ACCEPTED] * 10
        assert not slow.done()
        gate.set()
        late = await slow
        assert [each.outcome for each in late] == [Outcome.ACCEPTED] * 50
        await carrier.stop()


async def test_what_waits_for_an_origin_that_is_shut_need_not_wait() -> None:
    async with service(lambda: web.Response(status=500)) as bad:
        carrier = carrier_of()
        await carrier.start(None, None)  # type: ignore[arg-type]
        results = await carrier.submit([message(bad) for _ in range(50)])
        assert [each.outcome for each in results] == [Outcome.FAILED] * 50
        assert sorted({each.code for each in results}) == ["500", "paused"]
        await carrier.stop()


async def test_what_has_no_place_in_time_has_not_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SUBMIT_TIMEOUT_S", 0.0)  # the time of a batch is over at once
    gate = asyncio.Event()
    async with service(lambda: web.Response(status=201), gate) as hangs:
        carrier = carrier_of()
        await carrier.start(None, None)  # type: ignore[arg-type]
        origins = carrier._origins
        name = hangs.split('"')[3].removesuffix("/x")
        async with origins.visit(name, asyncio.get_running_loop().time() + 60):
            (result,) = await carrier.submit([message(hangs)])
        assert (result.outcome, result.code) == (Outcome.FAILED, "busy")
        await carrier.stop()


def origin(most: int = 10) -> tuple[Origin, ManualClock]:
    clock = ManualClock(NOW)
    return Origin("https://push.example", most, clock), clock


async def test_room_grows_with_answers_and_ends_with_failures() -> None:
    one, clock = origin(most=7)
    for _ in range(20):
        one.answered()
    assert one.room == 7
    for _ in range(4):
        one.failed("500")
    assert (one.room, one.shut_ms) == (7, 0)
    one.failed("500")
    assert one.room == 1
    first_ms = one.shut_ms
    assert first_ms > 0
    one.failed("500")  # was under way, and says nothing new
    assert one.shut_ms == first_ms
    with pytest.raises(NotNow, match=r"push\.example is left alone for 1 s: 500"):
        await one.take()
    clock.advance(first_ms)
    await one.take()
    one.failed("500")
    one.leave()
    assert one.shut_ms >= first_ms
    clock.advance(one.shut_ms)
    one.answered()
    assert one.room == 2


async def test_a_wish_for_peace_is_kept_to_the_longest() -> None:
    one, clock = origin()
    one.failed("429", 60_000)
    one.failed("429", 90_000)
    one.failed("429", 10_000)
    assert one.shut_ms == 90_000
    clock.advance(90_000)
    assert one.shut_ms == 0


async def test_a_place_goes_to_who_has_waited_longest_and_none_is_lost() -> None:
    one, _ = origin()
    await one.take()
    waiting = [asyncio.create_task(one.take()) for _ in range(4)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    one.leave()
    waiting[1].cancel()  # after it was given the place
    await asyncio.wait(waiting[:3], return_when=asyncio.ALL_COMPLETED)
    assert [each.cancelled() for each in waiting[:3]] == [True, True, False]
    assert not waiting[3].done()
    one.leave()
    await waiting[3]
    one.leave()
    await one.take()


async def test_strangers_that_hang_leave_room_for_those_that_are_known() -> None:
    origins = Origins(8, ManualClock(NOW))
    soon = asyncio.get_running_loop().time() + 30
    async with origins.visit("known", soon) as known:
        known.answered()
    hanging = [origins.visit(f"stranger {n}", soon) for n in range(2)]
    for each in hanging:
        await each.__aenter__()
    with pytest.raises(NotNow, match="took too long"):
        async with origins.visit("another stranger", 0.0):
            pass
    async with origins.visit("known", soon), origins.visit("known", soon):
        pass
    for each in hanging:
        await each.__aexit__(None, None, None)
    async with origins.visit("another stranger", soon):
        pass


async def test_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push_origins, "ORIGINS", 3)
    origins = Origins(8, ManualClock(NOW))
    soon = asyncio.get_running_loop().time() + 30
    async with origins.visit("in use", soon):
        for n in range(10):
            async with origins.visit(str(n), soon):
                pass
        assert list(origins._known) == ["in use", "8", "9"]
