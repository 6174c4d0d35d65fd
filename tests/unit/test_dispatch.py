"""The way from outboxes to a sender: nothing lost, nothing doubled, nobody waits for another lane.

The shards are real, on stores in memory; the loop's clock jumps to the next timer, so that pauses
and heartbeats pass at once and at exact times.
"""

import asyncio
import functools
import logging
import selectors
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, Self

import msgpack
import pytest

from actors.dispatch import Dispatcher
from actors.offer_queue import OfferQueue
from actors.router import Router
from actors.store.errors import Fenced
from actors.store.memory import MemoryStore
from engine import commands, limits
from engine.reasons import Reason
from engine.shard import Shard
from tests.support import shop
from tests.support.local_engine import SenderRecorder

LANES = """
lane: codes
channel: sms
carrier: sandbox
sender: "+15005550006"
prefixes: ["+1"]
limits: [{rate: 100/s}]
---
lane: bulk
channel: sms
carrier: sandbox
sender: "+15005550006"
prefixes: ["+4"]
limits: [{rate: 100/s}]
"""
CODES, BULK = "+15005550001", "+4915112345678"


class _Jumping(selectors.DefaultSelector):
    """Never waits for a timer: time jumps to it."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.now += max(0.0, timeout or 0.0)
        return super().select(0 if timeout is not None else None)


def on_jumping_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs a test on a loop whose clock jumps."""

    def make_loop() -> asyncio.AbstractEventLoop:
        selector = _Jumping()
        loop = asyncio.SelectorEventLoop(selector)
        loop.time = lambda: selector.now  # type: ignore[method-assign]
        return loop

    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        with asyncio.Runner(loop_factory=make_loop) as runner:
            runner.run(test(**fixtures))

    return run


class Sender(SenderRecorder):
    """A sender that can be full, slow, broken or born again."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[float, list[str]]] = []
        self.full: set[str] = set()
        self.incarnation = "one"
        self.codes: dict[int, str] = {}
        self.takes_s = 0.0
        self.errors: list[Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.versions: list[int] = []
        self._busy = False

    @property
    def offered(self) -> list[str]:
        return [id_ for _, ids in self.calls for id_ in ids]

    async def offer(self, batch: bytes) -> bytes:
        parts = msgpack.unpackb(batch)
        ids = [offer[0] for _, _, _, offers, _ in parts for offer in offers]
        self.calls.append((asyncio.get_running_loop().time(), ids))
        await asyncio.sleep(self.takes_s)
        await self._pass()
        answers = [self._answer(shard, offers, versions) for shard, _, _, offers, versions in parts]
        return msgpack.packb([self.incarnation, answers])

    def _answer(self, shard: int, offers: list[Any], versions: dict[str, int]) -> list[Any]:
        if shard in self.codes:
            return [self.codes[shard], b"", 0]
        if offers and versions["default"] > max(self.versions, default=0):
            return ["need_lanes", b"", 0]
        admissions = bytearray()
        for offer in offers:
            full = offer[3] in self.full
            admissions.append(Reason.QUEUE_FULL if full else Reason.QUEUED)
            if not full:
                self.offers.append(offer)
        return ["ok", bytes(admissions), 200 if self.full else 0]

    async def cancel(self, batch: bytes) -> None:
        await self._pass()
        await super().cancel(batch)

    async def configure(self, workspace: str, version: int, lanes: bytes) -> None:
        await self._pass()
        await super().configure(workspace, version, lanes)
        self.versions.append(version)

    async def _pass(self) -> None:
        assert not self._busy, "one call is in flight at a time"
        self._busy = True
        try:
            await asyncio.sleep(0)
            await self.gate.wait()
            if self.errors:
                raise self.errors.pop(0)
        finally:
            self._busy = False

    def taken(self) -> list[str]:
        """The ids that it took, in their order."""
        return [offer[0] for offer in self.offers]


class Bench:
    """Shards whose entries a test applies by hand, and their dispatcher."""

    def __init__(self, shards: int = 1, **options: Any) -> None:
        self.sender = Sender()
        self.dispatcher = Dispatcher(Router(SimpleNamespace(shards=shards)), self.sender, **options)
        store = MemoryStore(shards)
        stores = [store.open_shard(shard) for shard in range(shards)]
        self.runners: list[Any] = [
            SimpleNamespace(store=each, shard=Shard(each.shard, shards, each.load, each.scan))
            for each in stores
        ]
        self._version = 0
        self._sent = 0

    async def __aenter__(self) -> Self:
        self.install()
        await asyncio.sleep(0.01)
        self.sender.calls.clear()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.dispatcher.stop()

    def install(self) -> None:
        self._version += 1
        lanes = shop.documents(LANES)
        install = commands.install("f", "source", "default", self._version, lanes)
        for shard in range(len(self.runners)):
            self.apply(shard, install)

    def apply(self, shard: int, *batch: Any) -> bytes:
        runner = self.runners[shard]
        payload = commands.pack_payload([commands.pack_chunk(batch)])
        effects = runner.shard.apply(runner.shard.seq + 1, shop.START_MS, 0, payload)
        assert not set(effects.results) - {Reason.ACCEPTED, Reason.QUEUED}, effects.results
        self.dispatcher.take(runner, effects)
        return bytes(effects.results)

    def send(self, to: str, count: int = 1, shard: int = 0) -> list[str]:
        """Makes messages, each of a user of its own; returns their ids."""
        users = [f"default/user/u{self._sent + n}" for n in range(count)]
        self._sent += count
        spec = {"channel": "sms", "to": to, "purpose": "marketing", "body": "x", "lane": ""}
        self.apply(shard, *(commands.send(user, "r", msgpack.packb(spec)) for user in users))
        return [id_ for user in users for id_ in self.runners[shard].shard.peek(user).messages]

    def cancel(self, message_id: str, shard: int = 0) -> None:
        """Asks for a waiting message not to be sent, as a journey's exit does."""
        runner = self.runners[shard]
        effects = runner.shard.unsettled(())
        effects.cancels = [offer for offer in effects.sends if offer[0] == message_id]
        effects.sends, effects.forwards = [], []
        self.dispatcher.take(runner, effects)

    def settle(self, message_id: str, shard: int = 0) -> None:
        shard_ = self.runners[shard].shard
        sends = shard_.unsettled(()).sends
        key = next(offer[1] for offer in sends if offer[0] == message_id)
        receipt = commands.receipt(key, message_id, Reason.SENT, shop.START_MS, True)
        self.apply(shard, receipt)


@on_jumping_time
async def test_a_full_lane_keeps_each_offer_once_and_in_order() -> None:
    async with Bench() as bench:
        bench.sender.full = {"bulk"}
        ids = bench.send(BULK, 5)
        await asyncio.sleep(2.1)
        tries = [call for _, call in bench.sender.calls if call]
        assert len(tries) == 11
        assert all(call == ids for call in tries)
        bench.sender.full = set()
        await asyncio.sleep(0.3)
        assert bench.sender.taken() == ids


@on_jumping_time
async def test_a_full_lane_stops_no_other_lane() -> None:
    async with Bench() as bench:
        bench.sender.full = {"bulk"}
        start = asyncio.get_running_loop().time()
        bulk = bench.send(BULK, 2 * limits.OFFER_MESSAGES)
        await asyncio.sleep(0.05)
        codes = bench.send(CODES, 2)
        await asyncio.sleep(0.05)
        assert bench.sender.taken() == codes
        assert bench.sender.calls[1:] == [(pytest.approx(start + 0.05), codes)]
        await asyncio.sleep(0.15)
        assert bench.sender.calls[2] == (
            pytest.approx(start + 0.2), bulk[: limits.OFFER_MESSAGES]
        )  # fmt: skip


@on_jumping_time
async def test_a_full_lane_of_one_shard_gives_way_to_the_other_shard() -> None:
    async with Bench(shards=2) as bench:
        bench.sender.full = {"bulk"}
        offered = {bench.send(BULK, 1, shard)[0] for shard in (0, 1)}
        await asyncio.sleep(0.1)
        assert set(bench.sender.offered) == offered


@on_jumping_time
async def test_offers_go_in_bounded_calls_one_at_a_time_and_in_order() -> None:
    async with Bench() as bench:
        ids = bench.send(CODES, 3 * limits.OFFER_MESSAGES + 1)
        await asyncio.sleep(0.1)
        assert bench.sender.taken() == ids
        sizes = [len(call) for _, call in bench.sender.calls]
        assert sizes == [*[limits.OFFER_MESSAGES] * 3, 1]


@on_jumping_time
async def test_a_cancel_that_comes_while_cancels_are_told_is_told_too() -> None:
    async with Bench() as bench:
        first, second = bench.send(CODES, 2)
        await asyncio.sleep(0.1)
        bench.sender.gate.clear()
        bench.cancel(first)
        await asyncio.sleep(0.1)
        bench.cancel(second)
        bench.sender.gate.set()
        await asyncio.sleep(0.1)
        assert [offer[0] for offer in bench.sender.cancels] == [first, second]


@on_jumping_time
async def test_cancels_whose_call_failed_are_told_again() -> None:
    async with Bench() as bench:
        (first,) = bench.send(CODES)
        await asyncio.sleep(0.1)
        bench.sender.errors = [ConnectionError("away")]
        bench.cancel(first)
        await asyncio.sleep(0.2)
        assert [offer[0] for offer in bench.sender.cancels] == [first]
        assert bench.sender.offered == [first]


@on_jumping_time
async def test_a_cancel_takes_the_place_of_an_offer_that_still_waits() -> None:
    async with Bench() as bench:
        bench.sender.full = {"bulk"}
        first, second = bench.send(BULK, 2)
        await asyncio.sleep(0.1)
        bench.cancel(first)
        await asyncio.sleep(0.01)
        bench.sender.full = set()
        await asyncio.sleep(0.5)
        assert [offer[0] for offer in bench.sender.cancels] == [first]
        assert bench.sender.taken() == [second]


@on_jumping_time
async def test_a_lane_change_that_comes_while_another_is_told_is_told_too() -> None:
    async with Bench() as bench:
        bench.sender.gate.clear()
        bench.install()
        await asyncio.sleep(0.1)
        program = bench.runners[0].shard.programs["default"]
        assert program.version == 2
        bench.install()
        bench.sender.gate.set()
        await asyncio.sleep(0.1)
        assert bench.sender.versions == [1, 2, 3]


@on_jumping_time
async def test_a_call_that_failed_is_repeated_and_nothing_else() -> None:
    async with Bench() as bench:
        before = bench.send(CODES, 5)
        await asyncio.sleep(0.1)
        bench.sender.errors = [TimeoutError(), ConnectionError("away")]
        after = bench.send(CODES, 2)
        await asyncio.sleep(2.0)
        assert bench.sender.offered == [*before, *after, *after, *after]
        assert bench.sender.taken() == [*before, *after]


@on_jumping_time
async def test_a_heartbeat_goes_each_second_while_an_outbox_is_not_empty() -> None:
    async with Bench() as bench:
        await asyncio.sleep(3.0)
        assert bench.sender.calls == []
        (message_id,) = bench.send(CODES)
        await asyncio.sleep(3.5)
        assert [call for _, call in bench.sender.calls] == [[message_id], [], [], []]
        bench.settle(message_id)
        await asyncio.sleep(3.0)
        assert len(bench.sender.calls) == 4


@on_jumping_time
async def test_a_sender_that_began_anew_is_found_out_and_gets_all_that_is_unsettled() -> None:
    async with Bench(shards=2) as bench:
        first, settled = bench.send(CODES, 2)
        (other,) = bench.send(BULK, 1, shard=1)
        await asyncio.sleep(0.1)
        bench.settle(settled)
        bench.sender.offers.clear()
        bench.sender.incarnation = "two"
        await asyncio.sleep(1.0)
        assert sorted(bench.sender.taken()) == sorted([first, other])
        await asyncio.sleep(5.0)
        assert len(bench.sender.taken()) == 2


@on_jumping_time
async def test_a_new_sender_finds_what_waits_only_once() -> None:
    async with Bench() as bench:
        bench.sender.full = {"bulk"}
        bulk = bench.send(BULK, 3)
        codes = bench.send(CODES, 3)
        await asyncio.sleep(0.1)
        bench.sender.incarnation = "two"
        await asyncio.sleep(0.2)
        bench.sender.offers.clear()
        bench.sender.calls.clear()
        bench.sender.full = set()
        await asyncio.sleep(0.5)
        assert bench.sender.taken() == bulk
        bench.sender.incarnation = "three"
        bench.sender.offers.clear()
        await asyncio.sleep(1.0)
        assert sorted(bench.sender.taken()) == sorted(bulk + codes)


@on_jumping_time
async def test_others_have_their_turn_between_the_shards_that_are_looked_through() -> None:
    async with Bench(shards=3) as bench:
        known = [bench.send(CODES, 1, shard)[0] for shard in range(3)]
        await asyncio.sleep(0.1)
        bench.sender.offers.clear()
        happened: list[str] = []
        added: list[str] = []
        loop = asyncio.get_running_loop()

        def add() -> None:
            happened.append("add")
            for shard in range(3):
                added.extend(bench.send(CODES, 1, shard))

        def watch(shard: Any, unsettled: Any, pending: Any) -> Any:
            if not happened:
                loop.call_soon(add)
            happened.append(f"scan {shard.index}")
            return unsettled(pending)

        for runner in bench.runners:
            looked = runner.shard.unsettled
            runner.shard.unsettled = functools.partial(  # type: ignore[method-assign]
                watch, runner.shard, looked
            )
        bench.sender.incarnation = "two"
        await asyncio.sleep(1.2)
        assert happened == ["scan 0", "add", "scan 1", "scan 2"]
        assert sorted(bench.sender.taken()) == sorted(known + added)


@on_jumping_time
async def test_a_sender_that_needs_lanes_gets_them_before_the_offers_come_again() -> None:
    async with Bench() as bench:
        bench.sender.versions.clear()
        bench.sender.lanes.clear()
        ids = bench.send(CODES, 3)
        await asyncio.sleep(0.1)
        assert sorted(bench.sender.lanes["default"]) == ["bulk", "codes"]
        assert bench.sender.taken() == ids


@on_jumping_time
async def test_one_call_carries_the_offers_of_all_shards() -> None:
    async with Bench(shards=3) as bench:
        ids = [id_ for shard in range(3) for id_ in bench.send(CODES, 2, shard)]
        await asyncio.sleep(0.1)
        assert [call for _, call in bench.sender.calls] == [ids]
        assert bench.sender.taken() == ids


@on_jumping_time
async def test_all_shards_share_the_places_of_a_call() -> None:
    async with Bench(shards=2) as bench:
        many = bench.send(CODES, limits.OFFER_MESSAGES)
        few = bench.send(CODES, 3, shard=1)
        await asyncio.sleep(0.1)
        first, second = (call for _, call in bench.sender.calls)
        assert len(first) == limits.OFFER_MESSAGES
        assert set(few) < set(first)
        assert sorted(first + second) == sorted(many + few)


@on_jumping_time
async def test_one_call_carries_the_cancels_of_all_shards() -> None:
    async with Bench(shards=2) as bench:
        bench.sender.full = {"bulk"}
        ids = [bench.send(BULK, 1, shard)[0] for shard in (0, 1)]
        await asyncio.sleep(0.1)
        bench.sender.errors = [ConnectionError("away")]
        for shard, id_ in enumerate(ids):
            bench.cancel(id_, shard)
        await asyncio.sleep(0.1)
        assert bench.sender.errors == []
        assert [offer[0] for offer in bench.sender.cancels] == ids


@on_jumping_time
async def test_what_a_shard_is_refused_keeps_nothing_of_the_others_back() -> None:
    async with Bench(shards=3) as bench:
        bench.sender.codes = {0: "need_lanes", 1: "out of order"}
        refused = [bench.send(CODES, 1, shard)[0] for shard in (0, 1)]
        taken = bench.send(CODES, 1, 2)
        await asyncio.sleep(0.01)
        assert bench.sender.taken() == taken
        bench.sender.codes.clear()
        await asyncio.sleep(0.2)
        assert bench.sender.taken() == taken + refused


@on_jumping_time
async def test_a_small_call_is_followed_by_a_rest_as_long_as_it_took() -> None:
    async with Bench() as bench:
        start = asyncio.get_running_loop().time()
        bench.sender.takes_s = 0.03
        first = bench.send(CODES, 1)
        await asyncio.sleep(0.01)
        second = bench.send(CODES, 1)
        await asyncio.sleep(0.03)
        third = bench.send(CODES, 1)
        await asyncio.sleep(0.3)
        assert bench.sender.calls == [
            (pytest.approx(start), first), (pytest.approx(start + 0.06), second + third)
        ]  # fmt: skip
        bench.sender.calls.clear()
        fourth = bench.send(CODES, 1)
        await asyncio.sleep(0.01)
        assert bench.sender.calls == [(pytest.approx(start + 0.34), fourth)]


@on_jumping_time
async def test_a_call_that_was_worth_it_is_followed_by_the_next_at_once() -> None:
    async with Bench() as bench:
        start = asyncio.get_running_loop().time()
        bench.sender.takes_s = 0.03
        first = bench.send(CODES, limits.OFFER_WORTH_MESSAGES)
        await asyncio.sleep(0.01)
        second = bench.send(CODES, 1)
        await asyncio.sleep(0.2)
        assert bench.sender.calls == [
            (pytest.approx(start), first), (pytest.approx(start + 0.03), second)
        ]  # fmt: skip


@on_jumping_time
async def test_a_fenced_owner_is_told_once_and_hands_nothing_over_any_more() -> None:
    failures: list[BaseException] = []
    async with Bench(shards=2, fail=failures.append) as bench:
        bench.sender.codes = {0: "out of order", 1: "stale_epoch"}
        bench.send(CODES, 3)
        bench.send(CODES, 3, shard=1)
        await asyncio.sleep(10.0)
        bench.send(CODES, 3)
        await asyncio.sleep(10.0)
        assert len(bench.sender.calls) == 1
    assert [type(failure) for failure in failures] == [Fenced]
    assert "shard 1" in str(failures[0])


@on_jumping_time
async def test_without_anybody_to_tell_a_fenced_owner_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Bench() as bench:
        bench.sender.codes[0] = "stale_epoch"
        bench.send(CODES)
        await asyncio.sleep(10.0)
        assert len(bench.sender.calls) == 1
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert "newer owner of shard 0" in record.getMessage()


def _offer(lane: str, number: int, purpose: str = "otp", body: str = "") -> tuple[str, ...]:
    return f"{lane}{number}", "w/user/u", "w", lane, "sms", "+12025550123", purpose, body, ""


def test_newsletters_that_a_lane_refuses_keep_no_code_waiting() -> None:
    queue = OfferQueue()
    news = [_offer("a", number, "marketing") for number in range(20)]
    queue.add(0, news)
    queue.rest(0, news[:5], 5.0)
    queue.add(0, [_offer("a", 99)])
    assert queue.batch(1.0, 5) == {0: [_offer("a", 99)]}


def test_lanes_of_all_shards_share_a_call_and_leave_no_place_empty() -> None:
    queue = OfferQueue()
    for shard, lane, count in ((0, "a", 10), (0, "b", 1), (1, "c", 10)):
        for _ in range(2):
            queue.add(shard, [_offer(lane, number) for number in range(count)])
    batch = queue.batch(0.0, 9)
    picked = [offer[0] for offers in batch.values() for offer in offers]
    by_lane = {lane: [id_ for id_ in picked if id_[0] == lane] for lane in "abc"}
    assert by_lane["b"] == ["b0"]
    for lane in "ac":
        assert 3 <= len(by_lane[lane]) <= 5
        assert by_lane[lane] == [f"{lane}{number}" for number in range(len(by_lane[lane]))]
    assert len(picked) == 9
    assert {offer[3] for offer in batch[0]} == {"a", "b"}
    assert {offer[3] for offer in batch[1]} == {"c"}
    assert sum(map(len, queue.batch(0.0, 100).values())) == 21


def test_a_lane_without_a_place_in_a_call_is_first_in_the_next() -> None:
    queue = OfferQueue()
    for lane in "abcde":
        queue.add(0, [_offer(lane, number) for number in range(5)])
    rounds = []
    for _ in range(5):
        batch = queue.batch(0.0, 2)[0]
        queue.remove(0, batch)
        rounds.append("".join(offer[3] for offer in batch))
    assert rounds == ["ab", "cd", "ea", "bc", "de"]


def test_a_shard_without_a_place_in_a_call_is_first_in_the_next() -> None:
    queue = OfferQueue()
    for shard in range(5):
        queue.add(shard, [_offer("a", number) for number in range(5)])
    rounds = []
    for _ in range(5):
        batch = queue.batch(0.0, 2)
        for shard, offers in batch.items():
            queue.remove(shard, offers)
        rounds.append(list(batch))
    assert rounds == [[0, 1], [2, 3], [4, 0], [1, 2], [3, 4]]


def test_large_offers_fill_a_call_before_its_places_are_taken() -> None:
    queue = OfferQueue()
    queue.add(0, [_offer("a", number, body="x" * 800) for number in range(5)])
    queue.add(1, [_offer("b", 0)])
    sizes = []
    while batch := queue.batch(0.0, 100, 2_500):
        for shard, offers in batch.items():
            queue.remove(shard, offers)
        sizes.append([len(batch.get(shard, ())) for shard in (0, 1)])
    assert sizes == [[3, 0], [2, 1]]
    queue.add(0, [_offer("a", 0, body="x" * 5_000)])
    assert len(queue.batch(0.0, 100, 2_500)[0]) == 1


def test_a_queue_that_was_emptied_has_nothing_to_show() -> None:
    queue = OfferQueue()
    queue.add(3, [_offer("a", 1)])
    queue.rest(3, [_offer("a", 1), _offer("b", 1)], 5.0)
    assert (queue.batch(4.0), queue.batch(5.0)) == ({}, {3: [_offer("a", 1)]})
    assert queue.ready_at() == 5.0
    queue.remove(3, [_offer("a", 1), _offer("b", 1)])
    assert (queue.batch(5.0), queue.ready_at()) == ({}, float("inf"))
