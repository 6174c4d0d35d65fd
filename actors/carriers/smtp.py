"""E-mail by SMTP (RFC 5321), through a relay of yours or of a provider's.

    {lane: mail, channel: email, carrier: smtp, sender: "Acme <news@mail.example.org>",
     options: {host: relay.example.org, port: 587, username: acme, password: {secret: relay},
               dkim: [{domain: mail.example.org, selector: s1, key: {secret: dkim}}],
               bounces: bounces@mail.example.org}}

Connections are pooled and kept; one at a time carries a message. What the server says to MAIL, RCPT
and to the end of DATA decides: 5xx is for good, 4xx for now, 421 for the whole lane. If a
connection is lost after the message was handed over and before the answer, nobody knows whether it
was taken. An address that is not ASCII before the @ needs a server with SMTPUTF8 (RFC 6531), and
one that can't be written at all is refused alone: each message of a batch has its own result.

Every mail has a return path of its own (VERP) that names the message with a keyed hash. What comes
back there is given to the gateway's door by the mail server, as it came, with the bearer token of
`callback_secret`: `POST /v1/carriers/<workspace>/<lane>/bounce`. Delivery status notifications
become receipts, and complaints unsubscribe.
"""

import asyncio
import contextlib
import hmac
import logging
import ssl
from collections.abc import Sequence
from email.headerregistry import Address
from typing import Annotated, Any, Final, Literal

import aiosmtplib
from pydantic import BaseModel, ConfigDict, Field

from actors.carriers.base import (
    Callback,
    CallbackReply,
    CarrierMessage,
    Deliver,
    SecretName,
    SubmitResult,
    TakeInbound,
    accepted,
    rejected,
    throttled,
    unknown,
)
from actors.carriers.registry import CarrierSetup, register
from actors.mail.bounces import receipts_in
from actors.mail.compose import BadAddress, address_in, compose
from actors.mail.dkim import Signer
from actors.mail.tokens import TOKEN_HEADER, MailTokens
from engine.messages.message import EMAIL, MARKETING

_SHUTTING_DOWN: Final = 421
_BUSY_MS: Final = 10_000
_BUSY_CODES: Final = ("4.7.", "4.3.2")  # RFC 3463: policy, and a system that takes nothing now
_UNSUBSCRIBE_PATH: Final = "/v1/unsubscribe/"
_UTF8: Final = "SMTPUTF8"
_8BIT: Final = "8BITMIME"
_NO_UTF8: Final = "the relay takes ASCII only before the @ (it does not offer SMTPUTF8, RFC 6531)"
_log: Final = logging.getLogger("denrei.sender")


class DkimOptions(BaseModel):
    """A key to sign with; several mean several signatures.

    Attributes:
        domain: `d=`.
        selector: `s=`.
        key: The private key, PEM.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    domain: Annotated[str, Field(min_length=1, max_length=253)]
    selector: Annotated[str, Field(min_length=1, max_length=63)]
    key: SecretName


class SmtpOptions(BaseModel):
    """What a lane may tell this adapter.

    Attributes:
        host: The relay.
        port: Its port.
        tls: `starttls` (refused without it), `implicit` (as on port 465), or `none`.
        ca: A PEM file of who may sign the relay's certificate; empty means the system's.
        username: With `password`, logs in.
        password: See `username`.
        hello: The name to say in EHLO; empty means this machine's.
        connections: How many at a time.
        messages_per_connection: Then it is made anew.
        timeout_s: How long a step of the conversation may take.
        dkim: Signatures.
        bounces: The address that bounces come to; each mail has `local+reference@domain`. Empty
            means the sender's own address, without a reference.
        unsubscribe: Whether marketing mail has List-Unsubscribe headers with one click (RFC 8058).
        reply_to: Where answers go, if not to the sender.
        callback_secret: The bearer token of what the mail server brings to the door.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65_535)] = 587
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    ca: str = ""
    username: str = ""
    password: SecretName | None = None
    hello: str = ""
    connections: Annotated[int, Field(ge=1, le=100)] = 10
    messages_per_connection: Annotated[int, Field(ge=1)] = 100
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 30.0
    dkim: Annotated[list[DkimOptions], Field(max_length=4)] = []
    bounces: str = ""
    unsubscribe: bool = True
    reply_to: str = ""
    callback_secret: SecretName | None = None


@register("smtp", SmtpOptions)
class SmtpCarrier:
    """See the module's text."""

    def __init__(self, setup: CarrierSetup) -> None:
        self._options = options = SmtpOptions.model_validate(dict(setup.lane.options))
        self._clock = setup.clock
        self._tokens = MailTokens(setup.key)
        self._lane_sender = setup.lane.sender
        self._password = setup.secret(options.password) if options.password else None
        secret = options.callback_secret
        self._bearer = f"Bearer {setup.secret(secret)}" if secret else ""
        self._signers = [
            Signer(one.domain, one.selector, setup.secret(one.key).encode()) for one in options.dkim
        ]
        self._bounces = address_in(options.bounces) if options.bounces else None
        self._reply_to = address_in(options.reply_to) if options.reply_to else None
        self._public_url = setup.callback_url.partition("/v1/carriers/")[0]
        self._deliver: Deliver | None = None
        self._room = asyncio.Semaphore(options.connections)
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._counts = {"connections": 0, "mails": 0}

    async def start(self, deliver: Deliver, inbound: TakeInbound) -> None:
        """See `Carrier`. It connects with the first message."""
        self._deliver = deliver

    async def stop(self) -> None:
        """See `Carrier`."""
        connections, self._idle = list(self._open), []
        self._open.clear()
        await asyncio.gather(*(each.close() for each in connections))

    async def submit(self, batch: Sequence[CarrierMessage]) -> list[SubmitResult]:
        """See `Carrier`."""
        return await asyncio.gather(*map(self._one, batch))

    async def callback(self, request: Callback) -> CallbackReply:
        """Takes in a mail that came to the bounce address; see the module's text."""
        given = request.headers.get("authorization", "")
        if not self._bearer or not hmac.compare_digest(given.encode(), self._bearer.encode()):
            return CallbackReply(403, "the bearer token is missing or wrong\n")
        receipts = receipts_in(request.body, self._tokens, self._clock.now_ms())
        if receipts and self._deliver is not None:
            await self._deliver(receipts)
        return CallbackReply(200, f"{len(receipts)}\n")

    def status(self) -> dict[str, Any]:
        """See `Carrier`."""
        return {**self._counts, "open": len(self._open), "idle": len(self._idle)}

    async def _one(self, message: CarrierMessage) -> SubmitResult:
        """One message of a batch: whatever it meets is its own, never that of the others."""
        try:
            return await self._submit(message)
        except Exception as error:
            _log.exception("a mail could not be sent, or what came of it not be read")
            return unknown("error", f"{type(error).__name__}: {error}"[:200])

    async def _submit(self, message: CarrierMessage) -> SubmitResult:
        try:
            sender, to = address_in(message.sender or self._lane_sender), address_in(message.to)
            raw = self._mail(message, sender, to)
        except BadAddress as error:
            return rejected("bad_address", True, str(error))
        except (ValueError, RecursionError) as error:
            return rejected("bad_content", True, f"{type(error).__name__}: {error}"[:200])
        async with self._room:
            return await self._send(message, self._return_path(message, sender), to.addr_spec, raw)

    async def _send(
        self, message: CarrierMessage, return_path: str, to: str, raw: bytes
    ) -> SubmitResult:
        try:
            connection = await self._connection()
        except (aiosmtplib.SMTPException, OSError, ssl.SSLError, ValueError) as error:
            return _refusal(error)
        try:
            result = await connection.send(return_path, to, raw, message.id)
        except BaseException:
            await self._drop(connection)
            raise
        if connection.usable(self._options.messages_per_connection):
            self._idle.append(connection)
        else:
            await self._drop(connection)
        self._counts["mails"] += 1
        return result

    async def _connection(self) -> "_Connection":
        while self._idle:
            connection = self._idle.pop()
            if connection.alive:
                return connection
            await self._drop(connection)
        options = self._options
        context = None
        if options.tls != "none":
            context = await asyncio.to_thread(_tls_context, options.ca)
        client = aiosmtplib.SMTP(
            hostname=options.host,
            port=options.port,
            username=options.username or None,
            password=self._password,
            local_hostname=options.hello or None,
            timeout=options.timeout_s,
            use_tls=options.tls == "implicit",
            start_tls=options.tls == "starttls",
            tls_context=context,
        )
        await client.connect()
        connection = _Connection(client)
        self._open.add(connection)
        self._counts["connections"] += 1
        return connection

    async def _drop(self, connection: "_Connection") -> None:
        self._open.discard(connection)
        await connection.close()

    def _mail(self, message: CarrierMessage, sender: Address, to: Address) -> bytes:
        token = self._tokens.token(message.key, EMAIL, message.id)
        headers: dict[str, str | Address] = {
            TOKEN_HEADER: token,
            **self._unsubscribing(message, token),
        }
        if self._reply_to is not None:
            headers["Reply-To"] = self._reply_to
        message_id = f"{self._tokens.reference(message.id)}@{sender.domain}"
        now_ms = self._clock.now_ms()
        raw = compose(message, sender, to, message_id, now_ms, headers)
        signatures = [signer.sign(raw, now_ms // 1_000) for signer in self._signers]
        return b"".join([*signatures, raw])

    def _unsubscribing(self, message: CarrierMessage, token: str) -> dict[str, str]:
        """The headers of RFC 8058; a mail that nobody can sign out of does not need them."""
        if not self._options.unsubscribe or message.purpose != MARKETING or not self._public_url:
            return {}
        return {
            "List-Unsubscribe": f"<{self._public_url}{_UNSUBSCRIBE_PATH}{token}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        }

    def _return_path(self, message: CarrierMessage, sender: Address) -> str:
        if self._bounces is None:
            return sender.addr_spec
        reference = self._tokens.reference(message.id)
        return f"{self._bounces.username}+{reference}@{self._bounces.domain}"


class _Connection:
    """A connection and what it has carried."""

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        self._client = client
        self._carried = 0
        self._broken = False

    @property
    def alive(self) -> bool:
        return not self._broken and self._client.is_connected

    def usable(self, at_most: int) -> bool:
        return self.alive and self._carried < at_most

    async def send(self, return_path: str, to: str, raw: bytes, message_id: str) -> SubmitResult:
        """One transaction. It raises nothing of SMTP's."""
        self._carried += 1
        client = self._client
        try:
            options: list[str] = []
            if not (return_path.isascii() and to.isascii()):
                if client.is_ehlo_or_helo_needed:
                    await client.ehlo()
                if not client.supports_extension(_UTF8):
                    return rejected("smtputf8", True, _NO_UTF8)
                body = [f"BODY={_8BIT}"] if client.supports_extension(_8BIT) else []
                options = [_UTF8, *body]
            await client.mail(return_path, options=options, encoding="utf-8")
            await client.rcpt(to, encoding="utf-8")
        except (aiosmtplib.SMTPException, OSError) as error:
            return await self._reset(_refusal(error))
        except ValueError as error:  # of an address, before the message has left
            return await self._reset(rejected("bad_address", True, str(error)[:200]))
        try:
            await client.data(raw)
        except aiosmtplib.SMTPResponseException as error:
            return await self._reset(_refusal(error))
        except (aiosmtplib.SMTPException, OSError) as error:
            self._broken = True
            return unknown("lost", f"no answer to the message: {type(error).__name__}")
        except asyncio.CancelledError:
            self._broken = True
            raise
        return accepted(message_id)

    async def close(self) -> None:
        self._broken = True
        with contextlib.suppress(Exception):
            async with asyncio.timeout(1):
                await self._client.quit()
        self._client.close()

    async def _reset(self, result: SubmitResult) -> SubmitResult:
        """Makes the connection fit for the next message, or gives it up."""
        try:
            await self._client.rset()
        except (aiosmtplib.SMTPException, OSError):
            self._broken = True
        return result


def _refusal(error: Exception) -> SubmitResult:
    """What a server's refusal, or its silence before the message was handed over, means."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused) and error.recipients:
        error = error.recipients[0]
    if not isinstance(error, aiosmtplib.SMTPResponseException):
        return rejected("connection", False, f"{type(error).__name__}: {error}"[:200])
    enhanced = error.message.partition(" ")[0]
    code = enhanced if enhanced[:2] in {"4.", "5."} else str(error.code)
    if error.code == _SHUTTING_DOWN or enhanced.startswith(_BUSY_CODES):
        return throttled(_BUSY_MS, code, error.message[:200])
    return rejected(code, error.code >= 500, error.message[:200])


def _tls_context(ca: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca or None)
