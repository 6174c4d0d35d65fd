"""A gateway on a loopback port over a router that only records: real gRPC, no Ray, no shards."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from actors.clock import Clock, ManualClock
from actors.codes import Codes
from actors.store.keys import KeyStore
from engine.commands import Command
from engine.errors import NotFound
from engine.reasons import Reason
from gateway.server import GatewayServer

WORKSPACE = "acme"
NOW_MS = 1_700_000_000_000
ALL_SCOPES = ("publish", "read", "define", "send", "admin")


class RecordingRouter:
    """Takes everything, remembers it, and answers as it is told."""

    def __init__(self, shards: int = 4) -> None:
        self.shards = shards
        self.posted: list[tuple[int, list[Command]]] = []
        self.answer: Callable[[Command], Reason] = lambda command: Reason.ACCEPTED
        self.failure: Exception | None = None
        self.silent = False
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[int, str, dict[str, Any]]] = []
        self.feed: asyncio.Queue[list[Any]] = asyncio.Queue()
        self.watched: list[tuple[str, str]] = []

    @property
    def commands(self) -> list[Command]:
        return [command for _, commands in self.posted for command in commands]

    def post(
        self, shard: int, commands: Sequence[Command], size_bytes: int, deadline: float
    ) -> "asyncio.Future[bytes]":
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        if self.failure is not None:
            future.set_exception(self.failure)
            return future
        self.posted.append((shard, list(commands)))
        if not self.silent:
            future.set_result(bytes(map(self.answer, commands)))
        return future

    async def query(
        self, shard: int, name: str, args: dict[str, Any], timeout_s: float = 5.0
    ) -> Any:
        self.asked.append((shard, name, args))
        if name not in self.answers:
            raise NotFound(f"no query {name!r}")
        answer = self.answers[name]
        return answer(shard, args) if callable(answer) else answer

    async def watch(self, workspace: str, key: str = "") -> AsyncGenerator[list[Any], None]:
        self.watched.append((workspace, key))
        while True:
            yield await self.feed.get()


class NoControl:
    """A supervisor that knows of nothing."""

    async def status(self) -> dict[str, Any]:
        return {"actors": [], "shards": {}}

    async def feedback(self, workspace: str, address: str, what: str) -> int:
        return 0


@dataclass
class Door:
    """A gateway that listens, and what a client needs."""

    port: int
    router: Any
    keys: KeyStore
    secret: str
    channel: grpc.aio.Channel

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.secret}"),)


@asynccontextmanager
async def open_door(
    directory: Path,
    router: Any = None,
    clock: Clock | None = None,
    scopes: Sequence[str] = ALL_SCOPES,
    control: Any = None,
) -> AsyncIterator[Door]:
    """Opens a gateway on a free loopback port, with one key of the given scopes.

    Args:
        directory: For the key file.
        router: The way to the shards; by default a recording one.
        clock: The time of receipt; by default it stands still.
        scopes: What the key may do.
        control: What the supervisor knows; by default nothing.
    """
    keys = KeyStore(directory)
    _, secret = keys.create(WORKSPACE, scopes, NOW_MS)
    router = router or RecordingRouter()
    server = GatewayServer(
        router, control or NoControl(), keys, clock or ManualClock(NOW_MS), Codes(directory)
    )
    port = await server.start("127.0.0.1:0")
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Door(port, router, keys, secret, channel)
    finally:
        await server.stop(0)
        keys.close()


@dataclass
class Refusal:
    """An error as a client reads it."""

    code: grpc.StatusCode
    reason: str
    domain: str
    fields: list[str]
    retry_ms: int
    message: str


def refusal_of(error: grpc.aio.AioRpcError) -> Refusal:
    """The details of an error; every one that we make has an ErrorInfo."""
    status = rpc_status.from_call(error)
    assert status is not None, f"no details: {error}"
    info = error_details_pb2.ErrorInfo()
    bad = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    for detail in status.details:
        for kind in (info, bad, retry):
            detail.Unpack(kind)
    return Refusal(
        error.code(),
        info.reason,
        info.domain,
        [violation.field for violation in bad.field_violations],
        retry.retry_delay.ToMilliseconds(),
        status.message,
    )


async def refused(call: Awaitable[object]) -> Refusal:
    """The error that a call ends with; it is a failure if it does not."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return refusal_of(error)
    raise AssertionError(f"the call was answered: {answer}")
