"""The way to a shard: coalescing, order, and the same ids again when a host dies.

Commands for one host wait while its calls are in flight, and go together with the next: batches
grow by themselves under load, and an idle system adds no delay. Calls to a host carry a session
and a number, and the host takes them in that order, so that two calls in flight do not cost the
order of one user's events. When a call fails, nobody knows whether the host had it: the router
waits until no call is in flight, opens a new session and sends everything again, in the same
order and with the same ids. What had been applied answers as a duplicate, which is then reported
as accepted, because it was: by us.

The gateway, the senders and the hosts themselves (for forwards) all reach shards through this.
"""

import asyncio
import itertools
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgpack

from actors import host_protocol
from engine import limits
from engine.commands import Command, Compressor, pack_chunk
from engine.errors import Conflict, DenreiError, NotFound, Overloaded, Unavailable
from engine.reasons import Reason
from engine.slots import shard_of, slot_of

_ACCEPT_OURS = bytes.maketrans(bytes([Reason.DUPLICATE]), bytes([Reason.ACCEPTED]))


class HostLink(Protocol):
    """A way to call one host."""

    async def submit(self, call: bytes) -> bytes:
        """Passes a call of commands; raises anything if the outcome is unknown."""

    async def query(self, call: bytes) -> bytes:
        """Passes a question; raises anything if there was no answer."""


class Directory(Protocol):
    """Who owns which shard."""

    shards: int

    def host_of(self, shard: int) -> str:
        """The name of the host that owns a shard."""

    def link(self, host: str) -> HostLink:
        """A way to call a host by name; it may be a new one after the host died."""


@dataclass(slots=True)
class _Item:
    shard: int
    commands: Sequence[Command]
    size: int
    deadline: float
    future: "asyncio.Future[bytes]"
    retried: bool = False


class Router:
    """The way to all shards; see the module's text.

    Args:
        directory: Who owns which shard.
        control: True if what is sent helps shards to get rid of work (receipts, settlements):
            a host takes it even while its outbox is full.
    """

    def __init__(self, directory: Directory, control: bool = False) -> None:
        self.shards = directory.shards
        self._directory = directory
        self._control = control
        self._queue_bytes = limits.CONTROL_QUEUE_BYTES if control else limits.ROUTER_QUEUE_BYTES
        self._pipes: dict[str, _Pipe] = {}

    async def submit(
        self, shard: int, commands: Sequence[Command], size_bytes: int, deadline: float
    ) -> bytes:
        """Sends commands to a shard.

        Args:
            shard: Which.
            commands: Up to `limits.CALL_COMMANDS`; those of one user are applied in this order,
                after those of earlier calls.
            size_bytes: About how large they are, packed.
            deadline: On the running loop's clock, seconds.

        Returns:
            One `Reason` byte per command.

        Raises:
            Overloaded: A queue on the way is full; nothing was accepted.
            Unavailable: The deadline passed; whether the commands were applied is unknown.

        Durability: The commands are synced and applied when it returns.
        Cost: A share of one call, under 1 µs a command in batches of 300.
        """
        return await self.post(shard, commands, size_bytes, deadline)

    def post(
        self, shard: int, commands: Sequence[Command], size_bytes: int, deadline: float
    ) -> "asyncio.Future[bytes]":
        """As `submit`; the commands have their place in the order when it returns."""
        pipe = self._pipe(shard)
        if pipe.queued_bytes + size_bytes > self._queue_bytes:
            raise Overloaded(200, f"the queue to {pipe.host} is full")
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        pipe.add(_Item(shard, commands, size_bytes, deadline, future))
        return future

    async def query(
        self, shard: int, name: str, args: dict[str, Any], timeout_s: float = 5.0
    ) -> Any:
        """Asks a shard; see `actors.queries` for names and answers.

        Raises:
            Unavailable: No answer in time.
            NotFound: There is no such question.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        call = msgpack.packb([shard, name, args])
        host = self._directory.host_of(shard)
        pause_s = 0.05
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    code, answer = msgpack.unpackb(await self._directory.link(host).query(call))
                break
            except TimeoutError:
                msg = f"shard {shard} on {host} did not answer {name!r} in {timeout_s} s"
                raise Unavailable(msg) from None
            except Exception as error:
                if loop.time() + pause_s >= deadline:
                    msg = f"{host} is away ({type(error).__name__})"
                    raise Unavailable(msg) from error
                await asyncio.sleep(pause_s)
                pause_s = min(1.0, pause_s * 2)
        if code == host_protocol.OK:
            return answer
        raise _error(code, answer)

    async def broadcast(self, name: str, args: dict[str, Any], timeout_s: float = 5.0) -> list[Any]:
        """Asks all shards; answers in the order of the shards."""
        calls = [self.query(shard, name, args, timeout_s) for shard in range(self.shards)]
        return await asyncio.gather(*calls)

    async def watch(self, workspace: str, key: str = "") -> AsyncGenerator[list[Any], None]:
        """Feed lines `[ms, workspace, kind, entity id, subject, detail, key]`, as they happen.

        Args:
            workspace: Only this workspace's.
            key: Only what happens to this entity; empty means all.

        A reader that is too slow misses lines: the feed is a ring in each host's memory. The
        trail of an entity misses nothing.
        """
        shards = [shard_of(slot_of(key), self.shards)] if key else self._one_shard_per_host()
        lines: asyncio.Queue[list[Any]] = asyncio.Queue(limits.FEED_LINES)
        tasks = [asyncio.ensure_future(self._follow(shard, lines)) for shard in shards]
        try:
            while True:
                line = await lines.get()
                if line[1] == workspace and (not key or line[6] == key):
                    yield line
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, shard: int, lines: "asyncio.Queue[list[Any]]") -> None:
        cursor = -1
        while True:
            try:
                answer = await self.query(shard, "watch", {"cursor": cursor, "wait_s": 1.0})
            except DenreiError:
                cursor = -1
                continue
            cursor = answer["cursor"]
            for line in answer["lines"]:
                await lines.put(line)

    def _one_shard_per_host(self) -> list[int]:
        first: dict[str, int] = {}
        for shard in range(self.shards):
            first.setdefault(self._directory.host_of(shard), shard)
        return list(first.values())

    async def close(self) -> None:
        """Ends all calls in flight; what waits fails as unavailable."""
        for pipe in self._pipes.values():
            await pipe.close()

    def _pipe(self, shard: int) -> "_Pipe":
        host = self._directory.host_of(shard)
        pipe = self._pipes.get(host)
        if pipe is None:
            pipe = self._pipes[host] = _Pipe(host, self._directory, self._control)
        return pipe


class _Pipe:
    """All calls to one host."""

    def __init__(self, host: str, directory: Directory, control: bool) -> None:
        self.host = host
        self.queued_bytes = 0
        self._directory = directory
        self._control = control
        self._waiting: deque[_Item] = deque()
        self._waiting_commands = 0
        self._calls: dict[int, list[_Item]] = {}
        self._failed: dict[int, list[_Item]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._session = uuid.uuid4().hex
        self._numbers = itertools.count()
        self._starting = False
        self._broken = False
        self._pause_s = 0.0
        self._ratio = 1.0
        self._compressor = Compressor()

    def add(self, item: _Item) -> None:
        self._waiting.append(item)
        self._waiting_commands += len(item.commands)
        self.queued_bytes += item.size
        self._pump()

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        failed = itertools.chain.from_iterable(self._failed.values())
        for item in (*failed, *self._waiting):
            self._fail(item, Unavailable("the router was closed"))
        self._failed.clear()
        self._waiting.clear()
        self._waiting_commands = 0
        self._starting = self._broken = False

    def _pump(self) -> None:
        if self._waiting and not self._broken and not self._starting and self._may_call():
            self._starting = True
            self._spawn(self._start())

    async def _start(self) -> None:
        """A call with what waits by now: what was added in one turn of the loop leaves together."""
        self._starting = False
        if self._broken:
            return
        items = self._take()
        if items:
            number = next(self._numbers)
            self._calls[number] = items
            self._pump()
            await self._call(number, items)

    def _may_call(self) -> bool:
        """Whether a call may leave now: one always may, a second only if it is worth its price.

        A call costs the same however little it carries, so while one is in flight what waits is
        gathered; once enough waits, a second call keeps the host from idling between two.
        """
        calls = len(self._calls)
        return not calls or (
            calls < limits.CALLS_IN_FLIGHT and self._waiting_commands >= limits.CALL_WORTH_COMMANDS
        )

    def _take(self) -> list[_Item]:
        """The next call's items: as many as fit into one inline argument."""
        items: list[_Item] = []
        size = count = 0
        now = asyncio.get_running_loop().time()
        waiting = self._waiting
        while waiting:
            item = waiting[0]
            size += item.size
            count += len(item.commands)
            if items and (
                size * self._ratio > limits.CALL_BYTES
                or size > limits.CALL_UNPACKED_BYTES
                or count > limits.CALL_COMMANDS
            ):
                break
            waiting.popleft()
            self._waiting_commands -= len(item.commands)
            if item.deadline <= now or item.future.cancelled():
                self._fail(item, Unavailable(f"{self.host} was away until the deadline"))
            else:
                items.append(item)
        return items

    def _learn(self, groups: dict[int, list[_Item]], parts: list[host_protocol.Part]) -> None:
        """Follows how well calls compress, so that the next one fills its bytes."""
        size = sum(item.size for group in groups.values() for item in group)
        packed = sum(len(part[1]) for part in parts)
        self._ratio += (max(0.05, packed / max(size, 1)) - self._ratio) / 4

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _call(self, number: int, items: list[_Item]) -> None:
        groups: dict[int, list[_Item]] = {}
        for item in items:
            groups.setdefault(item.shard, []).append(item)
        try:
            answers = await self._ask(number, groups)
            if answers[0][0] == host_protocol.NEW_SESSION:
                self._failed[number] = items
                self._broken = True
            else:
                self._pause_s = 0.0
                for group, (code, body) in zip(groups.values(), answers, strict=True):
                    self._answer(group, code, body)
        except asyncio.CancelledError:
            for item in items:
                self._fail(item, Unavailable("the router was closed"))
            raise
        except Exception:
            for item in items:
                item.retried = True
            self._failed[number] = [item for item in items if not item.future.done()]
            self._broken = True
        finally:
            del self._calls[number]
        if self._broken and not self._calls:
            self._spawn(self._reopen())
        else:
            self._pump()

    async def _ask(self, number: int, groups: dict[int, list[_Item]]) -> list[tuple[int, Any]]:
        """One call to the host; an answer for each group."""
        parts = []
        for shard, group in groups.items():
            commands = list(itertools.chain.from_iterable([item.commands for item in group]))
            parts.append((shard, self._compressor.compress(pack_chunk(commands)), len(commands)))
        self._learn(groups, parts)
        call = host_protocol.pack_call(self._session, number, self._control, parts)
        async with asyncio.timeout(limits.CALL_TIMEOUT_S):
            reply = await self._directory.link(self.host).submit(call)
        return host_protocol.unpack_reply(reply)

    def _answer(self, group: list[_Item], code: int, body: Any) -> None:
        at = 0
        for item in group:
            self.queued_bytes -= item.size
            if item.future.done():
                pass
            elif code == host_protocol.OK:
                results = body[at : at + len(item.commands)]
                item.future.set_result(results.translate(_ACCEPT_OURS) if item.retried else results)
            else:
                item.future.set_exception(_error(code, body))
            at += len(item.commands)

    async def _reopen(self) -> None:
        """Sends everything that failed again, in its order, in a new session."""
        await asyncio.sleep(self._pause_s)
        self._pause_s = min(1.0, max(0.05, self._pause_s * 2))
        for number in sorted(self._failed, reverse=True):
            items = self._failed[number]
            self._waiting.extendleft(reversed(items))
            self._waiting_commands += sum(len(item.commands) for item in items)
        self._failed.clear()
        self._session = uuid.uuid4().hex
        self._numbers = itertools.count()
        self._broken = False
        self._pump()

    def _fail(self, item: _Item, error: DenreiError) -> None:
        self.queued_bytes -= item.size
        if not item.future.done():
            item.future.set_exception(error)


def _error(code: int, body: Any) -> DenreiError:
    if code == host_protocol.OVERLOADED:
        return Overloaded(body[0], body[1])
    if code == host_protocol.NOT_FOUND:
        return NotFound(str(body))
    if code == host_protocol.CONFLICT:
        return Conflict(str(body))
    return Unavailable(str(body))
