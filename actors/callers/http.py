"""One attempt at a webhook: a request, signed, to a checked address, and a bounded answer.

The signature is that of Standard Webhooks: `webhook-id`, `webhook-timestamp` and the body, joined
by dots, as HMAC-SHA256. Redirects are not followed: where they lead nobody has looked at, and a
webhook's URL is the author's to correct.
"""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple

import aiohttp
import msgspec
from yarl import URL

from actors.address_guard import AddressGuard, Forbidden, GuardedResolver
from engine import limits
from engine.packing import pack

_PREFIX: Final = "whsec_"


class Answer(NamedTuple):
    """What became of an attempt.

    Attributes:
        status: The HTTP status, or 0.
        body: What is kept of the body, as plain values; None if there is nothing.
        size_bytes: How long the body was, up to the limit and one more.
        error: Why it is no good answer, or empty.
        again: Whether another attempt may do better.
        after_ms: How long the receiver asks to wait before that, or 0.
    """

    status: int
    body: Any
    size_bytes: int
    error: str
    again: bool
    after_ms: int = 0


class WebhookClient:
    """Makes attempts; see the module's text.

    Args:
        guard: Where they may go.
        wall_s: Unix time: receivers check it, so it is the world's and not a simulated one.
    """

    def __init__(self, guard: AddressGuard, wall_s: Callable[[], float] = time.time) -> None:
        self._guard = guard
        self._wall_s = wall_s
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=GuardedResolver(guard), limit=limits.WEBHOOK_CONNECTIONS, ttl_dns_cache=10
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=limits.WEBHOOK_ATTEMPT_S),
            auto_decompress=False,
        )

    async def close(self) -> None:
        """Closes all connections."""
        await self._session.close()

    async def attempt(
        self,
        id_: str,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: str,
        secret: str,
    ) -> Answer:
        """Makes one attempt. It raises nothing but a cancellation.

        Args:
            id_: The webhook's id, the same at each attempt.
            method: The method.
            url: The whole URL.
            headers: Its headers; those of the signature come to them.
            body: The body, or empty.
            secret: What signs it, or empty.
        """
        data = body.encode()
        timestamp = str(int(self._wall_s()))
        sent = {
            "User-Agent": "denrei",
            "Accept": "application/json",
            **dict(headers),
            "Accept-Encoding": "identity",
            "Idempotency-Key": id_,
            "webhook-id": id_,
            "webhook-timestamp": timestamp,
        }
        try:
            if secret:
                sent["webhook-signature"] = sign(secret, id_, timestamp, data)
            target = URL(url, encoded=True)
            self._guard.check_literal(target.host or "")
            async with self._session.request(
                method, target, headers=sent, data=data or None, allow_redirects=False
            ) as response:
                return await self._read(response)
        except (TimeoutError, aiohttp.ServerTimeoutError):
            return _no_answer(f"no answer within {limits.WEBHOOK_ATTEMPT_S:g} s", again=True)
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, Forbidden):
                return _no_answer(f"it may not go there: {error.os_error}", again=False)
            return _no_answer(str(error.os_error or error), again=True)
        except Forbidden as error:
            return _no_answer(f"it may not go there: {error}", again=False)
        except aiohttp.InvalidURL as error:
            return _no_answer(f"the URL can't be called: {error}", again=False)
        except aiohttp.ClientError as error:
            return _no_answer(f"{type(error).__name__}: {error}", again=True)
        except (ValueError, OSError) as error:  # a header or URL that the client does not take
            return _no_answer(f"{type(error).__name__}: {error}", again=isinstance(error, OSError))

    async def _read(self, response: aiohttp.ClientResponse) -> Answer:
        most = limits.WEBHOOK_ANSWER_BYTES
        read = bytearray()
        while len(read) <= most:
            part = await response.content.read(most + 1 - len(read))
            if not part:
                break
            read += part
        status = response.status
        body = _value(bytes(read), response.content_type) if len(read) <= most else None
        if 200 <= status < 300:
            return Answer(status, body, len(read), "", again=False)
        words = f"it answered {status}"
        if 300 <= status < 400:
            words += ", a redirect, which is not followed"
        again = status == 429 or status >= 500
        after_ms = self._after_ms(response.headers.get("Retry-After", "")) if again else 0
        return Answer(status, body, len(read), words, again, after_ms)

    def _after_ms(self, text: str) -> int:
        """`Retry-After` (RFC 9110): seconds, or a date."""
        text = text.strip()
        if text.isascii() and text.isdigit():
            return int(text[:9]) * 1_000
        try:
            at_s = parsedate_to_datetime(text).timestamp()
        except (ValueError, OverflowError):
            return 0
        return max(0, int((at_s - self._wall_s()) * 1_000))


def sign(secret: str, id_: str, timestamp: str, body: bytes) -> str:
    """The value of `webhook-signature`: one signature for each secret.

    Args:
        secret: One secret, or several with spaces between, while a new one takes over from an old
            one. One that begins with `whsec_` is base64 after that; another is taken as it is.
        id_: The value of `webhook-id`.
        timestamp: The value of `webhook-timestamp`.
        body: The body.

    Raises:
        ValueError: A secret is no base64.
    """
    content = f"{id_}.{timestamp}.".encode() + body
    signatures = []
    for one in secret.split():
        digest = hmac.digest(_key(one), content, hashlib.sha256)
        signatures.append(f"v1,{base64.b64encode(digest).decode()}")
    return " ".join(signatures)


def _key(secret: str) -> bytes:
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        msg = "the signing secret begins with whsec_ and is no base64 after that"
        raise ValueError(msg) from None


def _no_answer(why: str, again: bool) -> Answer:
    return Answer(0, None, 0, why, again)


def _value(read: bytes, type_: str) -> Any:
    """What is kept of a body: JSON as values, other text as text, nothing else."""
    if not read:
        return None
    if type_ == "application/json" or type_.endswith("+json"):
        try:
            value = msgspec.json.decode(read)
            pack(value)
        except (msgspec.DecodeError, ValueError, OverflowError, RecursionError):
            return None
        return value
    try:
        return read.decode()
    except UnicodeDecodeError:
        return None
