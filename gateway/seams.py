"""What the gateway needs of the floor below, as it sees it.

The services are written against these, not against actors: so they hold no Ray, and a test runs
them over real gRPC against a router that it watches.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol

from engine.commands import Command


class Router(Protocol):
    """The way to all shards; `actors.router.Router` is the one that runs.

    Attributes:
        shards: How many shards there are.
    """

    shards: int

    def post(
        self, shard: int, commands: Sequence[Command], size_bytes: int, deadline: float
    ) -> "asyncio.Future[bytes]":
        """Sends commands; they have their place in the order when it returns.

        Returns:
            A future of one `Reason` byte per command; durable and applied by then. It fails with
            `Overloaded` or `Unavailable`.

        Raises:
            Overloaded: A queue on the way is full; nothing was accepted.
        """

    async def query(
        self, shard: int, name: str, args: dict[str, Any], timeout_s: float = 5.0
    ) -> Any:
        """Asks a shard; plain values.

        Raises:
            Unavailable: No answer in time.
        """

    def watch(self, workspace: str, key: str = "") -> AsyncGenerator[list[Any], None]:
        """Feed lines `[ms, workspace, kind, entity id, subject, detail, key]`, as they happen.

        Args:
            workspace: Only this workspace's.
            key: Only what happens to this entity; empty means all.
        """


class Control(Protocol):
    """What the supervisor and the senders know."""

    async def status(self) -> dict[str, Any]:
        """Every actor and the owner of every shard; see `actors.supervisor.Supervisor.status`.

        Returns:
            `actors`: maps with `name`, `state` ("serving" if it does) and whatever else is known
            of it; `shards`: the host's name by the shard's number as a text.
        """

    async def feedback(self, workspace: str, address: str, what: str) -> int:
        """Tells the fraud guards of all senders what turned out about a number.

        Args:
            workspace: Whose traffic it was.
            address: The number, in international form.
            what: See `FraudGuard.outcome`.

        Returns:
            How many senders have heard it.
        """


class Codes(Protocol):
    """Digests and seals of one-time codes; `actors.codes.Codes` is the one that runs."""

    def digest(self, address_key: str, definition: str, code: str) -> bytes:
        """What an answer is held against."""

    def limiter(self, kind: str, who: str) -> str:
        """The id of the limiter entity of a user, an IP address or a device."""

    def seal(self, address_key: str, code: str) -> str:
        """A code as only a sender can read it."""


class Clock(Protocol):
    """The time; see `actors.clock`."""

    mode: int

    def now_ms(self) -> int:
        """Unix milliseconds."""
