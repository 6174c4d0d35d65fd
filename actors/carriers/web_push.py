"""Push notifications to browsers: Web Push (RFC 8030), encrypted (RFC 8291), with VAPID (RFC 8292).

    {lane: browsers, channel: push, carrier: web_push,
     options: {subject: "mailto:ops@example.org", key: {secret: vapid}}}

The address is the browser's subscription as it gives it, a JSON object with `endpoint` and `keys`;
it is the profile's trait `push_token`. The payload is a JSON object with `title`, `body`, `id` and
whatever `content` has (`icon`, `url`, `actions` …), for the page's service worker to show.

People bring their own endpoints, so where one may lead is looked at like the URL of a webhook:
https, and no address that is not public, unless the setting `carrier_allow` names its network. What
a push service answers is said of its own messages, never of the lane (`push_origins`).
"""

import asyncio
import base64
import binascii
import contextlib
import json
import logging
import re
import secrets
import time
from collections.abc import Sequence
from typing import Annotated, Any, Final

import aiohttp
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import BaseModel, ConfigDict, Field
from yarl import URL

from actors.address_guard import Forbidden, GuardedResolver
from actors.carriers.base import (
    Callback,
    CallbackReply,
    CarrierMessage,
    Deliver,
    Outcome,
    SecretName,
    SubmitResult,
    TakeInbound,
    accepted,
    rejected,
    unknown,
)
from actors.carriers.push_origins import NotNow, Origins
from actors.carriers.registry import CarrierSetup, register
from engine import limits
from engine.issues import DefinitionError, Issue
from engine.messages.message import MARKETING, OTP

PAYLOAD_BYTES: Final = 3_993  # that a push service has to take, RFC 8291, section 4
_TOKEN_S: Final = 12 * 3_600  # RFC 8292 allows 24 h
_MOST_TTL_S: Final = 28 * 86_400
_RETRY_MS: Final = 5_000
_GONE: Final = frozenset({404, 410})  # RFC 8030, 7.3
_URGENCY: Final = {OTP: "high", MARKETING: "low"}  # RFC 8030, 5.3
_POINT_BYTES: Final = 65
_AUTH_BYTES: Final = 16
_RECORD_BYTES: Final = 4_096  # RFC 8188: more than one record is never needed
_LAST_RECORD: Final = b"\2"
_SPARE_S: Final = 5.0  # before the sender gives a batch up
_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?", re.IGNORECASE
)
_log: Final = logging.getLogger("denrei.sender")


class WebPushOptions(BaseModel):
    """What a lane may tell this adapter.

    Attributes:
        subject: Whom a push service may ask, `mailto:` or `https:`.
        key: The private key, PEM, on the curve P-256; browsers subscribe with its public half.
        requests: How many at a time.
        timeout_s: How long one may take.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    subject: Annotated[str, Field(pattern=r"^(mailto:.+@.+|https://.+)$", max_length=200)]
    key: SecretName
    requests: Annotated[int, Field(ge=1, le=1_000)] = 100
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 20.0


class _BadSubscription(ValueError):
    """An address that is no subscription of a browser."""


@register("web_push", WebPushOptions)
class WebPushCarrier:
    """See the module's text."""

    def __init__(self, setup: CarrierSetup) -> None:
        options = WebPushOptions.model_validate(dict(setup.lane.options))
        self._options = options
        self._clock = setup.clock
        self._vapid = Vapid(setup.secret(options.key).encode(), options.subject, setup.lane.name)
        self._guard = setup.guard()
        self._schemes = {"https", "http"} if setup.allow else {"https"}
        self._origins = Origins(options.requests, setup.clock)
        self._session: aiohttp.ClientSession | None = None
        self._counts = {"taken": 0, "gone": 0}

    async def start(self, deliver: Deliver, inbound: TakeInbound) -> None:
        """See `Carrier`. A push service tells nothing later, so nothing is ever delivered."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=GuardedResolver(self._guard), limit=self._options.requests
            ),
            timeout=aiohttp.ClientTimeout(total=self._options.timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def stop(self) -> None:
        """See `Carrier`."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def submit(self, batch: Sequence[CarrierMessage]) -> list[SubmitResult]:
        """See `Carrier`."""
        ends_s = asyncio.get_running_loop().time() + limits.SUBMIT_TIMEOUT_S - _SPARE_S
        return await asyncio.gather(*(self._one(message, ends_s) for message in batch))

    async def callback(self, request: Callback) -> CallbackReply:
        """See `Carrier`."""
        return CallbackReply(404, "web push takes no call-backs\n")

    def status(self) -> dict[str, Any]:
        """See `Carrier`."""
        return {**self._counts, **self._origins.status(), "public_key": self._vapid.public_key}

    async def _one(self, message: CarrierMessage, ends_s: float) -> SubmitResult:
        """One message of a batch: whatever it meets is its own, never that of the others."""
        try:
            return await self._submit(message, ends_s)
        except NotNow as error:
            return SubmitResult(Outcome.FAILED, "", error.code, str(error), error.after_ms)
        except Exception as error:
            _log.exception("a notification could not be sent, or what came of it not be read")
            return unknown("error", f"{type(error).__name__}: {error}"[:200])

    async def _submit(self, message: CarrierMessage, ends_s: float) -> SubmitResult:
        """Sends one message.

        Raises:
            NotNow: It has not left.
        """
        try:
            endpoint, point, auth = self._subscription(message.to)
            body = _encrypted(_payload(message), point, auth)
        except _BadSubscription as error:
            return rejected("bad_subscription", True, str(error))
        except (ValueError, TypeError, RecursionError) as error:
            return rejected("bad_content", True, str(error)[:200])
        begins_s = ends_s - min(self._options.timeout_s, limits.SUBMIT_TIMEOUT_S / 2)
        async with self._origins.visit(str(endpoint.origin()), begins_s) as origin:
            try:
                result = await self._post(endpoint, message, body, ends_s)
            except (Forbidden, aiohttp.InvalidURL, UnicodeError) as error:  # nothing has left
                return rejected("bad_subscription", True, f"its endpoint: {error}"[:200])
            if result.outcome in {Outcome.ACCEPTED, Outcome.REJECTED}:
                origin.answered()
            else:
                why = f"{result.code} {result.detail}".strip()
                origin.failed(why, result.retry_after_ms)
            return result

    def _headers(self, endpoint: URL, message: CarrierMessage) -> dict[str, str]:
        left_s = (message.expires_ms - self._clock.now_ms()) // 1_000
        return {
            "Authorization": self._vapid.authorization(str(endpoint.origin())),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(max(0, min(left_s, _MOST_TTL_S))),
            "Urgency": _URGENCY.get(message.purpose, "normal"),
        }

    async def _post(
        self, endpoint: URL, message: CarrierMessage, body: bytes, ends_s: float
    ) -> SubmitResult:
        """Makes the request.

        Raises:
            Forbidden, aiohttp.InvalidURL, UnicodeError: It can't be made, to this endpoint.
        """
        session = self._session
        if session is None:
            return rejected("stopped", False, "the adapter was stopped")
        left_s = max(1.0, ends_s - asyncio.get_running_loop().time())
        try:
            async with session.post(
                endpoint,
                headers=self._headers(endpoint, message),
                data=body,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=min(self._options.timeout_s, left_s)),
            ) as answer:
                location = answer.headers.get("Location", "")
                return self._meaning(answer.status, answer.headers, location or message.id)
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, Forbidden):
                raise error.os_error from None
            return rejected("connection", False, str(error)[:200])
        except aiohttp.InvalidURL:
            raise
        except aiohttp.ServerTimeoutError as error:
            return unknown("timeout", type(error).__name__)
        except (TimeoutError, aiohttp.ClientError) as error:
            return unknown("lost", f"{type(error).__name__}: {error}"[:200])

    def _meaning(self, status: int, headers: Any, provider_id: str) -> SubmitResult:
        if 200 <= status < 300:
            self._counts["taken"] += 1
            return accepted(provider_id[: limits.ID_CHARS])
        code = str(status)
        if status in _GONE:
            self._counts["gone"] += 1
            return rejected(code, True, "the browser has ended its subscription")
        if status == 429:
            pause_ms = _pause_ms(headers.get("Retry-After", "")) or _RETRY_MS
            return SubmitResult(Outcome.FAILED, "", code, "too many requests", pause_ms)
        if status >= 500:
            pause_ms = _pause_ms(headers.get("Retry-After", ""))
            return SubmitResult(Outcome.FAILED, "", code, "", pause_ms)
        return rejected(code, True)

    def _subscription(self, text: str) -> tuple[URL, bytes, bytes]:
        """Endpoint, public key and secret of a subscription."""
        try:
            given = json.loads(text)
            endpoint, keys = str(given["endpoint"]), given["keys"]
            point, auth = _base64(keys["p256dh"]), _base64(keys["auth"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            msg = "the address is no subscription: a JSON object with endpoint, and keys"
            raise _BadSubscription(msg) from None
        if len(point) != _POINT_BYTES or len(auth) != _AUTH_BYTES:
            msg = "the subscription's keys have not the right length"
            raise _BadSubscription(msg)
        return self._endpoint(endpoint), point, auth

    def _endpoint(self, text: str) -> URL:
        """The address of an endpoint, read by whom it is then called by."""
        url = None
        with contextlib.suppress(ValueError):
            url = URL(text)
        if url is None or url.scheme not in self._schemes or not url.raw_host:
            msg = f"{text[:100]!r} is no https address"
            raise _BadSubscription(msg)
        if url.raw_user is not None or url.raw_password is not None:
            msg = "an endpoint has no user and no password"
            raise _BadSubscription(msg)
        self._look_at(url.raw_host)
        return url

    def _look_at(self, host: str) -> None:
        """Refuses an address that is written in numbers, which no resolver sees, and no name."""
        try:
            self._guard.check(host, [host])
        except Forbidden as error:
            raise _BadSubscription(str(error)) from None
        except ValueError:
            if not _NAME.fullmatch(host):
                msg = f"{host[:100]!r} is no name of a host"
                raise _BadSubscription(msg) from None


def _pause_ms(after: str) -> int:
    """The pause that a push service asks for, in whole seconds; 0 if it does not say."""
    if not (after.isascii() and after.isdigit()):
        return 0
    return min(int(after[:9]) * 1_000, limits.HTTP_LONGEST_PAUSE_MS)


class Vapid:
    """Who sends: a signed token for each push service (RFC 8292).

    Args:
        pem: The private key.
        subject: Whom to ask.
        lane: The lane's name, for errors.

    Raises:
        DefinitionError: The key is not on the curve P-256.
    """

    def __init__(self, pem: bytes, subject: str, lane: str) -> None:
        key: object = None
        with contextlib.suppress(ValueError):
            key = serialization.load_pem_private_key(pem, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
            what = "its key is no private key on the curve P-256, in PEM"
            hint = "make one: openssl ecparam -name prime256v1 -genkey -noout"
            raise DefinitionError([Issue(f"lane {lane!r}", what, hint, "options.key")])
        self._key = key
        self._subject = subject
        self._tokens: dict[str, tuple[float, str]] = {}
        self.public_key = _text(_point(key))

    def authorization(self, origin: str) -> str:
        """The header for a push service, such as `https://push.example`.

        Its token is made anew twice a day.
        """
        now_s = time.time()  # tokens are checked against the world's clock, not against the node's
        until_s, token = self._tokens.get(origin, (0.0, ""))
        if until_s < now_s + _TOKEN_S / 2:
            if len(self._tokens) >= limits.LANES:
                self._tokens.clear()
            until_s = now_s + _TOKEN_S
            token = self._token(origin, int(until_s))
            self._tokens[origin] = until_s, token
        return f"vapid t={token}, k={self.public_key}"

    def _token(self, origin: str, until_s: int) -> str:
        """A JSON Web Token, ES256 (RFC 7518, 3.4)."""
        head = _text(b'{"typ":"JWT","alg":"ES256"}')
        claims = {"aud": origin, "exp": until_s, "sub": self._subject}
        data = f"{head}.{_text(json.dumps(claims, separators=(',', ':')).encode())}"
        r, s = utils.decode_dss_signature(self._key.sign(data.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{data}.{_text(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _payload(message: CarrierMessage) -> bytes:
    content = json.loads(message.content) if message.content else {}
    said = {"title": message.subject, "body": message.body, "id": message.id}
    raw = json.dumps({**content, **said}, ensure_ascii=False, separators=(",", ":")).encode()
    if len(raw) > PAYLOAD_BYTES:
        msg = f"the payload has {len(raw)} bytes, and {PAYLOAD_BYTES} at most reach a browser"
        raise ValueError(msg)
    return raw


def _encrypted(payload: bytes, point: bytes, auth: bytes) -> bytes:
    """The payload as only one browser can read it: RFC 8291, in one record of RFC 8188."""
    try:
        browser = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError as error:
        msg = f"the subscription's key is none: {error}"
        raise _BadSubscription(msg[:200]) from None
    ours = ec.generate_private_key(ec.SECP256R1())
    our_point = _point(ours)
    shared = ours.exchange(ec.ECDH(), browser)
    salt = secrets.token_bytes(16)
    secret = _derive(auth, shared, b"WebPush: info\0" + point + our_point, 32)
    key = _derive(salt, secret, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derive(salt, secret, b"Content-Encoding: nonce\0", 12)
    sealed = AESGCM(key).encrypt(nonce, payload + _LAST_RECORD, None)
    size = _RECORD_BYTES.to_bytes(4, "big")
    return salt + size + len(our_point).to_bytes(1, "big") + our_point + sealed


def _derive(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)


def _point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4))
    except binascii.Error:
        msg = "not base64"
        raise ValueError(msg) from None


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
