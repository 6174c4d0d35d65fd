"""Requests to a carrier over HTTP: how many at a time, how long each, and what is certain after.

The line that matters runs between a request that has surely not left and one that may have: a
connection that was refused took no message, a connection that broke after the first byte may have.
So requests are never repeated here, not even where HTTP would allow it, and no redirect is
followed. A batch has until shortly before the sender gives it up: what has not begun by then was
not taken, and says so, instead of becoming an unknown outcome.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp
from msgspec import Struct
from yarl import URL

from actors.address_guard import AddressGuard, Forbidden, GuardedResolver
from actors.carriers.base import CarrierMessage, SubmitResult, rejected, unknown
from engine import limits

_log = logging.getLogger("denrei.sender")
_SPARE_S: Final = 5.0  # before the sender gives a batch up
_IDLE_S: Final = 10.0  # less than servers keep a connection, so that none is gone when it is used


class Answer(Struct, frozen=True, gc=False):
    """What a carrier has answered.

    Attributes:
        status: The HTTP status.
        headers: Their names in lower case.
        text: The body, as much as is read of it.
    """

    status: int
    headers: dict[str, str]
    text: str

    def json(self) -> Any:
        """The body as JSON; None if it is none."""
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError):
            return None

    def retry_after_ms(self, now_ms: int) -> int:
        """How long the carrier wants peace, by its header; 0 if it does not say."""
        told = self.headers.get("retry-after", "").strip()
        if told.isascii() and told.isdigit():
            seconds = int(told[:9])
        else:
            try:
                seconds = -(
                    -(round(parsedate_to_datetime(told).timestamp() * 1_000) - now_ms) // 1_000
                )
            except (ValueError, TypeError, OverflowError):
                return 0
        return max(0, min(seconds * 1_000, limits.HTTP_LONGEST_PAUSE_MS))


class HttpPool:
    """The connections to one carrier; see the module's text.

    Args:
        window: How many requests may be under way at once.
        timeout_s: How long one may take.
        guard: Where they may go: who writes a lane chooses that.
    """

    def __init__(self, window: int, timeout_s: float, guard: AddressGuard) -> None:
        self._guard = guard
        self._window = asyncio.Semaphore(window)
        self._timeout_s = timeout_s
        self._connections = window
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Makes the pool; connections are opened when they are needed."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=GuardedResolver(self._guard),
                limit=self._connections,
                keepalive_timeout=_IDLE_S,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=limits.HTTP_LINE_BYTES,
            max_field_size=limits.HTTP_LINE_BYTES,
        )
        # aiohttp would send a PUT or GET again whose connection broke: that may be a second text.
        self._session._retry_connection = False

    async def stop(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def each(
        self,
        batch: Sequence[CarrierMessage],
        send: Callable[[CarrierMessage], Awaitable[SubmitResult]],
    ) -> list[SubmitResult]:
        """Sends the messages of a batch, as many at once as the window allows.

        Args:
            batch: The messages.
            send: Sends one, by `ask`.

        Returns:
            One result a message, in order.
        """
        until = asyncio.get_running_loop().time() + limits.SUBMIT_TIMEOUT_S - _SPARE_S
        return await asyncio.gather(*(self._one(message, send, until) for message in batch))

    async def _one(
        self,
        message: CarrierMessage,
        send: Callable[[CarrierMessage], Awaitable[SubmitResult]],
        until: float,
    ) -> SubmitResult:
        try:
            async with asyncio.timeout_at(until):
                await self._window.acquire()
        except TimeoutError:
            return rejected("busy", permanent=False, detail="the requests before it took too long")
        try:
            async with asyncio.timeout_at(until):
                return await send(message)
        except TimeoutError:
            return unknown("timeout", "no answer while the batch had time")
        except UnicodeEncodeError as error:  # which is met before anything leaves
            return rejected("text", permanent=True, detail=f"it can't be written: {error}"[:200])
        except Exception as error:
            _log.exception("an adapter could not send a message, or not read what came of it")
            return unknown("error", f"{type(error).__name__}: {error}"[:200])
        finally:
            self._window.release()

    async def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> Answer | SubmitResult:
        """Makes one request.

        Returns:
            What the carrier answered; or, if it did not, what that means for the message.
        """
        assert self._session is not None
        try:
            host = URL(url).host or ""
        except ValueError:  # whose words may hold a secret
            return rejected("url", permanent=True, detail="the address is none")
        try:
            self._guard.check_literal(host)
            async with self._session.request(
                method, url, headers=headers, data=body, allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._timeout_s, sock_connect=self._timeout_s),
            ) as response:  # fmt: skip
                text = await _text(response)
                told = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, told, text)
        except Forbidden as error:
            return rejected("forbidden", permanent=True, detail=str(error)[:200])
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            cause = getattr(error, "os_error", None)
            if isinstance(cause, Forbidden):
                return rejected("forbidden", permanent=True, detail=str(cause)[:200])
            return rejected("no-connection", permanent=False, detail=str(error)[:200])
        except aiohttp.InvalidURL:  # which may hold a secret
            return rejected("url", permanent=True, detail="the address is none")
        except TimeoutError:
            return unknown("timeout", f"no answer in {self._timeout_s:g} s")
        except (aiohttp.ClientError, ConnectionError, ValueError) as error:
            return unknown("broken", f"{type(error).__name__}: {error}"[:200])


async def _text(response: aiohttp.ClientResponse) -> str:
    parts = bytearray()
    async for part in response.content.iter_any():
        parts += part
        if len(parts) > limits.HTTP_ANSWER_BYTES:
            del parts[limits.HTTP_ANSWER_BYTES :]
            break
    return parts.decode(errors="replace")
