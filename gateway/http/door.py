"""The HTTP door itself: an aiohttp server that bounds whatever a stranger may do to it.

Carriers have no API key, so everything up to a handler's own check is open to the world, and has
to cost little: connections, requests in work, the size of a body and of headers, and the time that
each may take have limits. What is past them is answered at once, by 413, 429 or 503, which carriers
send again.
"""

import asyncio
import contextlib
import logging
import ssl
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from engine import limits
from engine.commands import Command
from engine.errors import DenreiError, Overloaded
from engine.reasons import Reason
from engine.slots import shard_of, slot_of
from gateway.http import routes
from gateway.http.routes import BUSY, Inside, Reply, Request, Senders
from gateway.seams import Clock, Router

if TYPE_CHECKING:
    from gateway.server import Tls

_log: Final = logging.getLogger("denrei.gateway")
_TOO_LARGE: Final = Reply(413, f"more than {limits.CALLBACK_BYTES} bytes\n")
_REST_BYTES: Final = 64 * 1024 * 1024  # of a body of which the beginning is taken
_REST_S: Final = 60.0
_TOO_SLOW: Final = Reply(408, "the body did not come\n")


class Within(Inside):
    """What handlers use of the engine; see `routes.Inside`.

    Args:
        router: The way to the shards.
        senders: The way to the senders.
        clock: The time.
        settings: `Settings.plain()`.
    """

    def __init__(
        self, router: Router, senders: Senders, clock: Clock, settings: dict[str, Any]
    ) -> None:
        self.router = router
        self.senders = senders
        self.clock = clock
        self.settings = settings

    async def submit(self, command: Command) -> Reason:
        """See `Inside`."""
        shard = shard_of(slot_of(command[1]), self.router.shards)
        deadline = asyncio.get_running_loop().time() + limits.CALLBACK_S
        size = limits.CALLBACK_BYTES
        return Reason((await self.router.post(shard, [command], size, deadline))[0])


class _Bounded(web.Server):
    """A server that hangs up on connections past its limit."""

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self.connections) > limits.HTTP_CONNECTIONS:
            transport.abort()


class HttpDoor:
    """Serves the routes of this package; see the module's text.

    Args:
        inside: What handlers use.
        public_url: Under which address the world knows the door, such as `https://example.com`;
            empty takes what each request says of itself.
    """

    def __init__(self, inside: Inside, public_url: str = "") -> None:
        self._inside = inside
        self._public_url = public_url.rstrip("/")
        self._runner: web.ServerRunner | None = None
        self._in_work = 0
        self.counts: dict[int, int] = {}  # answers by status

    async def start(self, host: str, port: int, tls: "Tls | None" = None) -> int:
        """Opens the door.

        Args:
            host: The address to listen on.
            port: The port; 0 takes a free one.
            tls: Where the certificate lies. Nobody has to show one here: carriers have none.

        Returns:
            The port.

        Raises:
            OSError: The address can't be listened on, or a file of `tls` can't be read.
        """
        routes.load()
        server = _Bounded(
            self._handle,
            keepalive_timeout=limits.HTTP_IDLE_S,
            lingering_time=0,
            max_line_size=limits.HTTP_LINE_BYTES,
            max_field_size=limits.HTTP_LINE_BYTES,
            max_headers=limits.HTTP_HEADERS,
            access_log=None,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=limits.DRAIN_S)
        await self._runner.setup()
        # As with gRPC: several gateways on one machine may share a port.
        site = web.TCPSite(
            self._runner, host, port, ssl_context=_context(tls), reuse_port=True, backlog=1_024
        )
        await site.start()
        opened: int = self._runner.addresses[0][1]
        return opened

    async def stop(self) -> None:
        """Takes no new requests, lets those in work end for `limits.DRAIN_S`, and closes."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        reply = await self._reply(request)
        self.counts[reply.status] = self.counts.get(reply.status, 0) + 1
        response = web.Response(
            status=reply.status,
            text=reply.body,
            content_type=reply.content_type,
            headers=reply.headers,
        )
        if reply.status in {408, 413, 503}:
            response.force_close()  # what is left of the body is not read
        return response

    async def _reply(self, request: web.BaseRequest) -> Reply:
        found = routes.find(request.method, request.rel_url.raw_path)
        if isinstance(found, Reply):
            return found
        if self._in_work >= limits.HTTP_REQUESTS:
            return BUSY
        handler, values = found
        self._in_work += 1
        try:
            beginning = routes.takes_beginning(handler)
            body = await _body(request, beginning)
            if isinstance(body, Reply):
                return body
            async with asyncio.timeout(limits.CALLBACK_S + limits.ANSWER_S):
                reply = await handler(self._read(request, values, body), self._inside)
            if beginning and reply.status < 300:
                await _throw_away(request)
            return reply
        except Overloaded as error:
            return Reply(503, headers={"Retry-After": str(-(-error.retry_after_ms // 1_000))})
        except (DenreiError, TimeoutError):
            return BUSY
        except Exception:
            _log.exception("a request to %s met a defect", request.rel_url.raw_path[:200])
            return Reply(500, "a defect of the server; its log holds the details\n")
        finally:
            self._in_work -= 1

    def _read(self, request: web.BaseRequest, values: dict[str, str], body: bytes) -> Request:
        headers: dict[str, str] = {}
        for name, value in request.headers.items():
            name, value = name.lower(), _readable(value)
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        base = self._public_url or f"{request.scheme}://{request.host}"
        url = _readable(f"{base}{request.rel_url.raw_path_qs}")
        query = _readable(request.rel_url.raw_query_string)
        return Request(request.method, url, values, query, headers, body, request.remote or "")


def _readable(text: str) -> str:
    """A text of the request without what is no UTF-8, which can't be passed on."""
    if text.isascii():
        return text
    return text.encode(errors="surrogateescape").decode(errors="replace")


async def _body(request: web.BaseRequest, beginning: bool) -> bytes | Reply:
    """The whole body or its beginning, or the answer if it is too large or comes too slowly."""
    if not request.can_read_body:
        return b""
    if (request.content_length or 0) > limits.CALLBACK_BYTES and not beginning:
        return _TOO_LARGE
    parts = bytearray()
    try:
        async with asyncio.timeout(limits.HTTP_BODY_S):
            async for part in request.content.iter_any():
                parts += part
                if len(parts) > limits.CALLBACK_BYTES:
                    if not beginning:
                        return _TOO_LARGE
                    break
    except TimeoutError:
        return _TOO_SLOW
    except (web.HTTPException, web.RequestPayloadError, ConnectionError):
        return Reply(400, "the body can't be read\n")
    return bytes(parts[: limits.CALLBACK_BYTES])


async def _throw_away(request: web.BaseRequest) -> None:
    """Reads what is left of a body: many clients hear no answer before they have sent it all."""
    size = 0
    with contextlib.suppress(TimeoutError, web.RequestPayloadError, ConnectionError):
        async with asyncio.timeout(_REST_S):
            async for part in request.content.iter_any():
                size += len(part)
                if size > _REST_BYTES:
                    return


def _context(tls: "Tls | None") -> ssl.SSLContext | None:
    if tls is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tls.certificate, tls.private_key)
    return context
