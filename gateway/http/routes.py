"""The addresses of the HTTP door, and what a handler of one gets and gives.

A handler is one coroutine in a file of this package, under `@route`; nothing else names it. It
knows nothing of sockets: the door has bounded and read the request before it comes here, and turns
whatever the handler raises into an answer. Anybody on the network may call, so a handler finds out
by itself whether it was who it seems to be, and does so before it costs anything.
"""

import importlib
import pkgutil
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol
from urllib.parse import unquote

from msgspec import Struct

from engine.commands import Command
from engine.reasons import Reason
from gateway import http
from gateway.seams import Clock, Router


class Request(Struct, frozen=True, gc=False):
    """A request, read and bounded.

    Attributes:
        method: `GET`, `POST` …
        url: The whole address as the caller knows it: the public one, not what a proxy made of it.
        path: The values of the route's names in braces.
        query: What stands after the question mark, as it came.
        headers: Their names in lower case; of one that came twice, all values, with commas.
        body: At most `limits.CALLBACK_BYTES`; see `beginning`.
        remote: The address of whoever opened the connection; behind a proxy, the proxy's.
    """

    method: str
    url: str
    path: dict[str, str]
    query: str
    headers: dict[str, str]
    body: bytes
    remote: str


class Reply(Struct, frozen=True, gc=False):
    """An answer."""

    status: int
    body: str = ""
    content_type: str = "text/plain"
    headers: dict[str, str] | None = None


class SenderLink(Protocol):
    """A way to call one sender; see `actors.senders.sender.SenderCore`."""

    async def callback(self, lane_key: str, request: bytes) -> bytes:
        """Brings what a carrier sent to one of its lanes; empty if it does not know the lane."""

    async def configure(self, workspace: str, version: int, lanes: bytes) -> None:
        """Tells it a workspace's lanes."""


class Senders(Protocol):
    """Who sends what; `actors.directory.RayDirectory` is the one that runs."""

    def sender_of(self, workspace: str, channel: str, lane: str) -> str:
        """The sender that a lane lives in."""

    def link(self, name: str) -> Any:
        """A `SenderLink` to it."""


class Inside(Protocol):
    """What a handler may use of the engine.

    Attributes:
        router: The way to the shards.
        senders: The way to the senders.
        clock: The time.
        settings: `actors.settings.Settings.plain()`.
    """

    router: Router
    senders: Senders
    clock: Clock
    settings: dict[str, Any]

    async def submit(self, command: Command) -> Reason:
        """Gives a command to its shard.

        Raises:
            Overloaded: A queue on the way is full.
            Unavailable: It was not answered in time.

        Durability: It is synced and applied when it returns.
        """


Handler = Callable[[Request, Inside], Awaitable[Reply]]

NOT_FOUND: Final = Reply(404, "nothing is here\n")
BUSY: Final = Reply(503, "try again\n", headers={"Retry-After": "1"})
TOO_FAST: Final = Reply(429, "too many requests\n", headers={"Retry-After": "1"})


class _Route(Struct, frozen=True):
    parts: tuple[str, ...]
    methods: tuple[str, ...]
    handler: Handler


_ROUTES: Final[dict[int, list[_Route]]] = {}  # by the number of parts
_BEGINNINGS: Final[set[Handler]] = set()


def beginning(handler: Handler) -> Handler:
    """Marks a handler that needs only the first `limits.CALLBACK_BYTES` of a longer body.

    Who is answered by 2xx may send the rest, which is thrown away.
    """
    _BEGINNINGS.add(handler)
    return handler


def takes_beginning(handler: Handler) -> bool:
    """Whether a handler is marked by `beginning`."""
    return handler in _BEGINNINGS


def route(template: str, *methods: str) -> Callable[[Handler], Handler]:
    """Registers the decorated coroutine for an address.

    Args:
        template: Such as `/v1/unsubscribe/{token}`; a name in braces stands for one part, which
            comes to the handler decoded.
        methods: The methods that it takes; the others are answered by 405.
    """

    def decorate(handler: Handler) -> Handler:
        parts = tuple(template.strip("/").split("/"))
        _ROUTES.setdefault(len(parts), []).append(_Route(parts, methods, handler))
        return handler

    return decorate


def find(method: str, path: str) -> tuple[Handler, dict[str, str]] | Reply:
    """The handler of a path and the values of its names; or the answer if there is none.

    Args:
        method: The request's.
        path: As it came, not decoded.
    """
    parts = path.removeprefix("/").split("/")
    allowed: tuple[str, ...] = ()
    for each in _ROUTES.get(len(parts), ()):
        values: dict[str, str] = {}
        for wanted, part in zip(each.parts, parts, strict=True):
            if wanted[0] == "{":
                values[wanted[1:-1]] = unquote(part)
            elif wanted != part:
                break
        else:
            if method in each.methods:
                return each.handler, values
            allowed = each.methods
    if allowed:
        return Reply(405, headers={"Allow": ", ".join(allowed)})
    return NOT_FOUND


def load() -> None:
    """Imports the files of this package, whose handlers register themselves."""
    for module in pkgutil.iter_modules(http.__path__):
        importlib.import_module(f"{http.__name__}.{module.name}")
