"""A host with real shards and stores: durability, order, recovery, effects, and shutdown."""

import asyncio
from pathlib import Path

import msgpack
import pytest

from actors import host_protocol
from actors.clock import EventClock, ManualClock
from actors.store.memory import MemoryStore
from engine import commands, limits
from engine import profile as profiles
from engine.errors import Unavailable
from engine.reasons import Reason
from tests.support import shop
from tests.support.local_engine import LocalEngine

ANN = "default/user/ann"
PHONE = "+4915112345678"


async def until(condition: object) -> None:
    """Lets the loop turn until something holds."""
    for _ in range(10_000):
        if condition():  # type: ignore[operator]
            return
        await asyncio.sleep(0)
    raise AssertionError


async def ann_leaves_a_cart(engine: LocalEngine, clock: ManualClock) -> None:
    """And 21 minutes pass: the journey of the shop writes to her."""
    await engine.submit(
        [
            shop.identify("ann", "i", clock.now_ms(), phone=PHONE, first_name="Ann"),
            shop.track("ann", "a", "Product Added", clock.now_ms(), cart_id="c", sku="s"),
        ]
    )
    clock.advance(21 * shop.MINUTE_MS)


async def test_an_event_is_acknowledged_only_after_its_entry_is_on_disk(tmp_path: Path) -> None:
    async with LocalEngine(tmp_path, shards=1) as engine:
        store = engine.hosts["shard-host-0"].runners[0].store
        seen: list[int] = []
        sync = store.sync

        def watched() -> None:
            sync()
            seen.append(store.last_seq)

        store.sync = watched  # type: ignore[method-assign]
        (result,) = await engine.submit([shop.track("ann", "1", "Product Viewed", 1)])
        assert result == Reason.ACCEPTED
        assert seen
        assert seen[-1] == store.last_seq == 1


async def test_a_commit_that_fails_acknowledges_nothing_and_ends_the_host(tmp_path: Path) -> None:
    async with LocalEngine(tmp_path, shards=1) as engine:
        store = engine.hosts["shard-host-0"].runners[0].store

        def broken() -> None:
            raise OSError(28, "No space left on device")

        store.sync = broken  # type: ignore[method-assign]
        with pytest.raises((Unavailable, asyncio.CancelledError, TimeoutError)):
            async with asyncio.timeout(1.0):
                await engine.submit([shop.track("ann", "1", "Product Viewed", 1)], 0.5)
        assert [type(failure) for failure in engine.failures] == [OSError]
        await engine.crash_host()


async def test_a_crash_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    async with LocalEngine(tmp_path, shards=2) as engine:
        await engine.apply(shop.DEFINITIONS)
        now = engine.clock.now_ms()
        events = [
            shop.identify("ann", "i", now, phone=PHONE, plan="pro", first_name="Ann"),
            *(
                shop.track(f"u{n}", "1", "Product Added", now, cart_id="c", sku="s")
                for n in range(20)
            ),
            shop.track("ann", "a", "Product Added", now, cart_id="c", sku="s"),
        ]
        assert set(await engine.submit(events)) == {Reason.ACCEPTED}
        before = await engine.query("profile", ANN)
        await engine.crash_host()
        await engine.start_host()
        assert await engine.query("profile", ANN) == before
        assert set(await engine.submit(events)) == {Reason.DUPLICATE}
        assert await engine.query("profile", ANN) == before


async def test_timers_fire_at_their_moment_and_survive_a_crash(tmp_path: Path) -> None:
    clock = ManualClock(shop.START_MS)
    async with LocalEngine(tmp_path, shards=1, clock=clock) as engine:
        await engine.apply(shop.DEFINITIONS)
        await engine.submit(
            [
                shop.identify("ann", "i", clock.now_ms(), phone=PHONE, first_name="Ann"),
                shop.track("ann", "a", "Product Added", clock.now_ms(), cart_id="c", sku="s"),
            ]
        )
        clock.advance(20 * shop.MINUTE_MS - 1)
        await asyncio.sleep(0)
        assert engine.pool.offers == []
        await engine.crash_host()
        clock.advance(shop.HOUR_MS)
        await engine.start_host()
        await until(lambda: engine.pool.offers)
        ((_, key, _, lane, _, to, _, body, *_),) = engine.pool.offers
        assert (key, lane, to, body) == (ANN, "main", PHONE, "Hi Ann, s waits")
        profile = await engine.query("profile", ANN)
        moves = [(line[0] - shop.START_MS, line[1]) for line in profile["ended"][0]["trail"]]
        minute = shop.MINUTE_MS
        assert (20 * minute, "nudge") in moves
        assert moves[-1][0] == 30 * minute


async def test_unsettled_messages_are_offered_again_with_the_same_id(tmp_path: Path) -> None:
    clock = ManualClock(shop.START_MS)
    async with LocalEngine(tmp_path, shards=1, clock=clock) as engine:
        await engine.apply(shop.DEFINITIONS)
        await ann_leaves_a_cart(engine, clock)
        await until(lambda: len(engine.pool.offers) == 1)
        await engine.crash_host()
        await engine.start_host()
        await until(lambda: len(engine.pool.offers) == 2)
        message_id = engine.pool.offers[0][0]
        assert engine.pool.offers[1][0] == message_id
        sent = commands.receipt(ANN, message_id, Reason.SENT, clock.now_ms(), True, "sandbox")
        assert await engine.submit([sent]) == bytes([Reason.ACCEPTED])
        await engine.crash_host()
        await engine.start_host()
        await engine.query("profile", ANN)
        assert len(engine.pool.offers) == 2
        message = await engine.query("message", ANN, id=message_id)
        assert [line[1] for line in message["history"]] == ["QUEUED", "SENT"]


async def test_calls_of_a_router_are_taken_in_their_order(tmp_path: Path) -> None:
    async with LocalEngine(tmp_path, shards=1) as engine:
        host = engine.hosts["shard-host-0"]

        def call(number: int) -> bytes:
            event = shop.identify("ann", str(number), 1, n=number)
            chunk = commands.pack_chunk([event])
            return host_protocol.pack_call("session", number, False, [(0, chunk, 1)])

        late = asyncio.ensure_future(host.submit(call(1)))
        await asyncio.sleep(0)
        assert not late.done()
        await host.submit(call(0))
        await late
        profile = await engine.query("profile", ANN)
        assert profile["traits"] == {"n": 1}


async def test_a_full_outbox_refuses_events_but_takes_receipts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "OUTBOX_PER_SHARD", 0)
    async with LocalEngine(tmp_path, shards=1) as engine:
        host = engine.hosts["shard-host-0"]
        chunk = commands.pack_chunk([shop.track("ann", "1", "Product Viewed", 1)])
        refused = await host.submit(host_protocol.pack_call("a", 0, False, [(0, chunk, 1)]))
        ((code, (retry_ms, what)),) = host_protocol.unpack_reply(refused)
        assert (code, retry_ms > 0) == (host_protocol.OVERLOADED, True)
        assert "outbox" in what
        taken = await host.submit(host_protocol.pack_call("b", 0, True, [(0, chunk, 1)]))
        assert host_protocol.unpack_reply(taken) == [[host_protocol.OK, bytes([Reason.ACCEPTED])]]


async def test_on_an_event_clock_timers_fire_between_the_events_of_one_batch(
    tmp_path: Path,
) -> None:
    async with LocalEngine(tmp_path, shards=1, clock=EventClock()) as engine:
        await engine.apply(shop.DEFINITIONS)
        start, minute = shop.START_MS, shop.MINUTE_MS
        batch = [
            shop.identify("ann", "i", start, phone=PHONE, first_name="Ann"),
            shop.track("ann", "1", "Product Added", start, cart_id="c", sku="s"),
            shop.track("ann", "2", "Product Added", start + 15 * minute, cart_id="c", sku="t"),
            shop.track("ann", "3", "Order Completed", start + 36 * minute, cart_id="c"),
        ]
        await engine.submit(batch)
        profile = await engine.query("profile", ANN)
        (run,) = profile["ended"]
        assert (run["status"], run["ended_ms"] - start) == ("exited", 36 * minute)
        assert [message["body"] for message in profile["messages"]] == ["Hi Ann, t waits"]
        (status,) = await engine.router.broadcast("status", {})
        assert status["now_ms"] == start + 36 * minute
        later = start + shop.DAY_MS
        assert await engine.query("advance", ANN, to_ms=later) == later


async def test_a_clean_stop_leaves_nothing_to_replay(tmp_path: Path) -> None:
    async with LocalEngine(tmp_path, shards=1) as engine:
        await engine.apply(shop.DEFINITIONS)
        await engine.submit([shop.track(f"u{n}", "1", "Product Viewed", 1) for n in range(50)])
    store = engine.store.open_shard(0, 1.0)
    assert store.entity_count() == 51
    assert len(list(store.journal(store.start_seq))) == 1
    store.close()


async def test_a_bug_quarantines_one_entity_and_the_shard_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_event = profiles.take_event

    def buggy(act: object, event: object) -> Reason:
        if act.entity.id == "bob":  # type: ignore[attr-defined]
            msg = "a bug"
            raise ZeroDivisionError(msg)
        return take_event(act, event)  # type: ignore[arg-type]

    monkeypatch.setattr(profiles, "take_event", buggy)
    async with LocalEngine(tmp_path, shards=1) as engine:
        bob = [shop.track("bob", str(n), "Product Viewed", 1) for n in range(2)]
        assert list(await engine.submit(bob)) == [Reason.INTERNAL, Reason.QUARANTINED]
        ann = [shop.track("ann", "1", "Product Viewed", 1)]
        assert list(await engine.submit(ann)) == [Reason.ACCEPTED]
        profile = await engine.query("profile", "default/user/bob")
        assert profile["error"] == "ZeroDivisionError: a bug"
        monkeypatch.setattr(profiles, "take_event", take_event)
        release = [commands.release("default/user/bob")]
        assert list(await engine.submit(release)) == [Reason.ACCEPTED]
        after = [shop.track("bob", "3", "Product Viewed", 1)]
        assert list(await engine.submit(after)) == [Reason.ACCEPTED]


async def test_a_receipt_is_taken_even_in_quarantine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_event = profiles.take_event

    def buggy(act: object, event: object) -> Reason:
        if event.name == "Bug":  # type: ignore[attr-defined]
            raise ZeroDivisionError
        return take_event(act, event)  # type: ignore[arg-type]

    monkeypatch.setattr(profiles, "take_event", buggy)
    clock = ManualClock(shop.START_MS)
    async with LocalEngine(tmp_path, shards=1, clock=clock) as engine:
        await engine.apply(shop.DEFINITIONS)
        await ann_leaves_a_cart(engine, clock)
        await until(lambda: engine.pool.offers)
        bug = await engine.submit([shop.track("ann", "b", "Bug", clock.now_ms())])
        assert list(bug) == [Reason.INTERNAL]
        message_id = engine.pool.offers[0][0]
        sent = commands.receipt(ANN, message_id, Reason.SENT, clock.now_ms(), True, "sandbox")
        assert list(await engine.submit([sent])) == [Reason.ACCEPTED]
        assert engine.hosts["shard-host-0"].runners[0].shard.outbox == 0
        message = await engine.query("message", ANN, id=message_id)
        assert message["status"] == "SENT"


async def test_new_definitions_reach_people_whom_nobody_touches(tmp_path: Path) -> None:
    async with LocalEngine(tmp_path, shards=2) as engine:
        await engine.submit([shop.identify(f"u{n}", "1", 1, plan="pro") for n in range(30)])
        await engine.apply("segment: pro\nwhen: {trait: plan, is: pro}")
        for _ in range(200):
            sizes = await engine.router.broadcast("sizes", {"workspace": "default"})
            if sum(size.get("pro", 0) for size in sizes) == 30:
                break
            await asyncio.sleep(0.02)
        assert sum(size.get("pro", 0) for size in sizes) == 30


def test_a_memory_store_runs_a_shard_too() -> None:
    store = MemoryStore(1).open_shard(0)
    assert (store.last_seq, store.entity_count()) == (0, 0)
    assert msgpack.unpackb(msgpack.packb(limits.SLOTS)) == 1024
