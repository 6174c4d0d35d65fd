"""A host: several shards on one event loop.

It takes calls in the order their router numbered them, gives each part to its shard, and answers
when all parts are durable and applied. It is a plain class: `actors.shard_host` puts it into a Ray
actor, and a test drives it without.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import msgpack

from actors import host_protocol, queries
from actors.clock import Clock
from actors.dispatch import Dispatcher
from actors.filling import Filling
from actors.past_reading import PastReader
from actors.shard_runner import ShardRunner
from actors.store.base import ShardStore
from actors.sweeping import Sweeping
from engine import limits
from engine.errors import Conflict, NotFound, Overloaded, Unavailable
from engine.shard import Shard
from engine.slots import shard_of, slot_of


class Host:
    """Several shards on one event loop; see the module's text.

    Args:
        name: The host's name, for people.
        stores: The stores of the shards it owns, opened.
        shards: How many shards there are in all.
        clock: The time.
        dispatcher: Hands effects to their receivers.
        fail: Told once if a shard can't go on; the process should end.
        hot_entities: See `Shard`.
        make_shard: See `ShardRunner`.
        making_state: See `ShardRunner`.
        past: See `Filling`'s `elsewhere`.
    """

    def __init__(
        self,
        name: str,
        stores: Mapping[int, ShardStore],
        shards: int,
        clock: Clock,
        dispatcher: Dispatcher,
        fail: Callable[[BaseException], None],
        hot_entities: int = limits.HOT_ENTITIES,
        make_shard: type[Shard] = Shard,
        making_state: AbstractContextManager[object] | None = None,
        past: Callable[[int], PastReader] | None = None,
    ) -> None:
        self.name = name
        self.clock = clock
        self.dispatcher = dispatcher
        self._shards = shards
        self._fail = fail
        self._executor = ThreadPoolExecutor(max(1, len(stores)), thread_name_prefix="commit")
        self._archiver = ThreadPoolExecutor(1, thread_name_prefix="archive")
        self.runners = {
            index: ShardRunner(
                store,
                shards,
                clock,
                self._executor,
                self._archiver,
                dispatcher.take,
                fail,
                hot_entities,
                make_shard,
                making_state,
            )
            for index, store in sorted(stores.items())
        }
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._feed: deque[list[Any]] = deque(maxlen=limits.FEED_LINES)
        self._feed_start = 0
        self._feed_lines: list[list[Any]] = []
        self._watched_until = 0.0
        self._feed_news = asyncio.Event()
        self._filling = Filling(self.runners, shards, self.collect_feed, past)
        self._sweeping = Sweeping(self.runners)
        self._refreshing: asyncio.Task[None] | None = None
        self._forgetting: asyncio.Task[None] | None = None

    @property
    def entries(self) -> int:
        """How many entries were applied since the start; what timers do is in entries, too."""
        return sum(runner.stats.entries for runner in self.runners.values())

    async def start(self) -> None:
        """Recovers every shard, then serves, then hands unsettled effects over again.

        Raises:
            StoreError: A shard's journal is torn or foreign.
        """
        for runner in self.runners.values():
            unsettled = runner.recover()
            runner.start()
            self.dispatcher.take(runner, unsettled)
        self._refreshing = asyncio.get_running_loop().create_task(self._filling.run())
        self._refreshing.add_done_callback(self._beside_ended)
        self._forgetting = asyncio.get_running_loop().create_task(self._sweeping.run())
        self._forgetting.add_done_callback(self._beside_ended)

    async def stop(self) -> None:
        """Drains, checkpoints and closes every shard."""
        await self._stop_beside()
        await self.dispatcher.stop()
        await asyncio.gather(*(runner.stop() for runner in self.runners.values()))
        self._executor.shutdown(wait=True)
        self._archiver.shutdown(wait=True)

    def hold_filling(self, held: bool) -> None:
        """Lets the filling of segments stand still, or go on from there; see `Filling.hold`."""
        self._filling.hold(held)

    async def _stop_beside(self) -> None:
        """Ends what works beside the shards, where it stands."""
        self._filling.stop()
        self._sweeping.stop()
        tasks = [task for task in (self._refreshing, self._forgetting) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def crash(self) -> None:
        """Ends at once, as the death of the process would: nothing is drained or written."""
        await self._stop_beside()
        await self.dispatcher.stop()
        for runner in self.runners.values():
            await runner.crash()
        self._executor.shutdown(wait=True)
        self._archiver.shutdown(wait=True)

    # --- commands ---------------------------------------------------------------------------

    async def submit(self, call: bytes) -> bytes:
        """Takes a call of commands; see `actors.host_protocol`.

        Durability: Every command that the reply calls accepted is synced and applied.
        """
        session_id, number, control, parts = host_protocol.unpack_call(call)
        session = self._session(session_id, number)
        if session is None:
            answer = host_protocol.NEW_SESSION, f"{self.name} does not know the session"
            return host_protocol.pack_reply([answer] * len(parts))
        await session.turn(number)
        try:
            answers = [self._admit(part, control) for part in parts]
        finally:
            session.next()
        return host_protocol.pack_reply([await _settled(answer) for answer in answers])

    def _admit(
        self, part: host_protocol.Part, control: bool
    ) -> "asyncio.Future[bytes] | tuple[int, Any]":
        shard, chunk, count = part
        runner = self.runners.get(shard)
        if runner is None:
            return host_protocol.UNAVAILABLE, f"{self.name} does not own shard {shard}"
        try:
            return runner.admit(chunk, count, control)
        except Overloaded as error:
            return host_protocol.OVERLOADED, [error.retry_after_ms, error.what]
        except Unavailable as error:
            return host_protocol.UNAVAILABLE, str(error)

    def _session(self, session_id: str, number: int) -> "_Session | None":
        """A router's session; None if its beginning must have gone to a host before this one."""
        session = self._sessions.get(session_id)
        if session is not None:
            self._sessions.move_to_end(session_id)
        elif number < limits.CALLS_IN_FLIGHT:
            session = self._sessions[session_id] = _Session()
            if len(self._sessions) > limits.SESSIONS:
                self._sessions.popitem(last=False)
        return session

    # --- questions --------------------------------------------------------------------------

    async def query(self, call: bytes) -> bytes:
        """Answers a question to a shard, or to the host itself; see `actors.queries`."""
        shard, name, args = msgpack.unpackb(call)
        runner = self.runners.get(shard)
        try:
            if runner is None:
                answer: tuple[int, Any] = (
                    host_protocol.UNAVAILABLE,
                    f"{self.name} does not own shard {shard}",
                )
            elif name == "status":
                answer = host_protocol.OK, runner.describe()
            elif name == "moves":
                answer = host_protocol.OK, runner.stats.moves(args["workspace"])
            elif name == "watch":
                answer = host_protocol.OK, await self._watch(args)
            elif name == "segment":
                answer = (
                    host_protocol.OK,
                    self._segment(runner, args["workspace"], args["segment"]),
                )
            elif name == "advance":
                answer = host_protocol.OK, await self._advance(runner, int(args["to_ms"]))
            elif name == "forget":
                answer = host_protocol.OK, self._sweeping.ask(runner.shard.index)
            elif name == "archive":
                answer = host_protocol.OK, await runner.archive()
            else:
                answer = host_protocol.OK, queries.ask(runner.shard, name, args)
        except NotFound as error:
            answer = host_protocol.NOT_FOUND, str(error)
        except Conflict as error:
            answer = host_protocol.CONFLICT, str(error)
        except Unavailable as error:
            answer = host_protocol.UNAVAILABLE, str(error)
        packed: bytes = msgpack.packb(answer)
        return packed

    async def _advance(self, runner: ShardRunner, to_ms: int) -> int:
        if self.clock.mode != 1:
            msg = "the clock is not driven by events, so it can't be advanced by hand"
            raise Conflict(msg)
        await runner.tick(to_ms)
        return runner.shard.now

    async def _watch(self, args: dict[str, Any]) -> dict[str, Any]:
        """Feed lines after a cursor, waiting a moment for the first; see `Router.watch`.

        Nobody pays for the feed while nobody watches: a watch is a lease of ten seconds.
        """
        loop = asyncio.get_running_loop()
        self._watched_until = loop.time() + limits.WATCH_LEASE_S
        for runner in self.runners.values():
            runner.shard.watch(self._feed_lines)
        cursor = int(args.get("cursor", -1))
        self.collect_feed()
        if cursor < 0:
            cursor = self._feed_start + len(self._feed)
        if cursor >= self._feed_start + len(self._feed):
            self._feed_news.clear()
            try:
                async with asyncio.timeout(float(args.get("wait_s", 1.0))):
                    await self._feed_news.wait()
            except TimeoutError:
                pass
            self.collect_feed()
        skip = max(0, cursor - self._feed_start)
        lines = list(self._feed)[skip : skip + limits.PAGE_ITEMS]
        lost = max(0, self._feed_start - cursor)
        return {"cursor": self._feed_start + skip + len(lines), "lines": lines, "lost": lost}

    def collect_feed(self) -> None:
        """Takes what the shards wrote into the feed; ends the feed when nobody watches."""
        lines = self._feed_lines
        if lines:
            for line in lines:
                if len(self._feed) == limits.FEED_LINES:
                    self._feed_start += 1
                self._feed.append(line)
            lines.clear()
            self._feed_news.set()
        if self._watched_until and asyncio.get_running_loop().time() > self._watched_until:
            self._watched_until = 0.0
            for runner in self.runners.values():
                runner.shard.watch(None)

    # --- definitions ------------------------------------------------------------------------

    def _segment(self, runner: ShardRunner, workspace: str, name: str) -> dict[str, Any]:
        """A segment on one shard: is it defined, how many are in it, how far is it filled."""
        program = runner.shard.programs.get(workspace)
        return {
            "defined": program is not None and name in program.segments,
            "members": runner.shard.sizes.get(f"{workspace}/{name}", 0),
            **self._filling.progress(runner.shard.index, workspace),
        }

    def _beside_ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def owns(self, key: str) -> ShardRunner | None:
        """The runner of the shard that a key lives in, if this host has it."""
        return self.runners.get(shard_of(slot_of(key), self._shards))


async def _settled(answer: "asyncio.Future[bytes] | tuple[int, Any]") -> tuple[int, Any]:
    if isinstance(answer, tuple):
        return answer
    return host_protocol.OK, await answer


class _Session:
    """The order of one router's calls."""

    __slots__ = ("_expected", "_turns")

    def __init__(self) -> None:
        self._expected = 0
        self._turns: dict[int, asyncio.Future[None]] = {}

    async def turn(self, number: int) -> None:
        """Waits until all calls before this one were admitted."""
        if number != self._expected:
            turn = asyncio.get_running_loop().create_future()
            self._turns[number] = turn
            try:
                async with asyncio.timeout(limits.SESSION_GAP_S):
                    await turn
            except TimeoutError:
                msg = f"call {number} came without the calls before it"
                raise Unavailable(msg) from None
            finally:
                self._turns.pop(number, None)

    def next(self) -> None:
        """Lets the next call in."""
        self._expected += 1
        turn = self._turns.get(self._expected)
        if turn is not None and not turn.done():
            turn.set_result(None)
