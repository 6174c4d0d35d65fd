"""Twilio, and whoever speaks its API: texts, media, WhatsApp, RCS and calls that speak.

`carrier: twilio` in a lane, with `TwilioOptions`. Every message names our id in the address that it
is to be reported to, so a report finds its message even if the answer to the request was lost.
Reports and messages of people come in through the HTTP door; each has to carry the signature that
Twilio makes of the address and the fields with the account's token. See docs/http-carriers.md.
"""

import hmac
import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit
from xml.sax.saxutils import escape, quoteattr

import aiohttp
from pydantic import Field, StringConstraints

from actors.carriers.base import (
    Callback,
    CallbackReply,
    CarrierMessage,
    CarrierReceipt,
    Deliver,
    Inbound,
    InboundOptions,
    Outcome,
    SecretName,
    SubmitResult,
    TakeInbound,
    accepted,
    rejected,
    throttled,
    unknown,
)
from actors.carriers.http.paths import read_json
from actors.carriers.http.pool import Answer, HttpPool
from actors.carriers.registry import CarrierSetup, register
from engine import limits
from engine.messages.message import RCS, VOICE, WHATSAPP
from engine.reasons import Reason

Sid = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,100}$")]

_SHORTEST_VALIDITY_S: Final = 1
_LONGEST_VALIDITY_S: Final = 36_000
_MEDIA: Final = 10
_DIGESTS: Final = {"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}
# Twilio's own codes for "later": the queue of a number is full, too many requests, no room.
_THROTTLED: Final = frozenset({"20429", "21611", "14107", "63018"})
# What is wrong with the account and not with the message, so another try may go well.
_OF_THE_ACCOUNT: Final = frozenset({401, 403, 404})
_PREFIXES: Final = {WHATSAPP: "whatsapp:", RCS: "rcs:"}
_MESSAGE: Final = {
    "sent": Reason.SENT,
    "delivered": Reason.DELIVERED,
    "undelivered": Reason.UNDELIVERED,
    "failed": Reason.UNDELIVERED,
    "canceled": Reason.UNDELIVERED,
    "partially_delivered": Reason.PARTIALLY_DELIVERED,
    "read": Reason.READ,
}
_CALL: Final = {
    "ringing": Reason.SENT,
    "completed": Reason.DELIVERED,
    "busy": Reason.UNDELIVERED,
    "no-answer": Reason.UNDELIVERED,
    "failed": Reason.UNDELIVERED,
    "canceled": Reason.UNDELIVERED,
}
_NOTHING_MORE: Final = frozenset(
    {"queued", "accepted", "scheduled", "sending", "initiated", "in-progress", "answered"}
)
# Fields of a person's message that stand elsewhere, or are of no use to anybody.
_KNOWN_FIELDS: Final = frozenset(
    {
        "AccountSid", "ApiVersion", "MessageSid", "SmsSid", "SmsMessageSid", "SmsStatus", "From",
        "To", "Body", "NumMedia", "MessagingServiceSid",
    }
)  # fmt: skip
_TWIML: Final = CallbackReply(200, '<?xml version="1.0" encoding="UTF-8"?><Response/>', "text/xml")


class TwilioOptions(InboundOptions):
    """How a lane reaches Twilio.

    Attributes:
        account_sid: The account.
        auth_token: The account's token: it checks the signatures of what Twilio sends, and proves
            who asks unless there is an API key.
        webhook_key: The secret of a shared key for webhooks, if the account signs with one.
        api_key: The id of an API key, and `api_key_secret`, to ask with instead.
        messaging_service: A messaging service that chooses the number; else the lane's `sender`
            is one of the account's numbers.
        url: Where the API is; others speak it too.
        window: How many requests are under way at once.
        timeout_s: How long one may take.
        reports: Whether Twilio is asked to report what becomes of each message.
        language: The language in which calls speak.
        voice: The voice in which they do; empty is Twilio's.
        repeat: How often a call says its text.
    """

    account_sid: Sid
    auth_token: SecretName
    webhook_key: SecretName | None = None
    api_key: Sid | None = None
    api_key_secret: SecretName | None = None
    messaging_service: Sid | None = None
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s?#]+$")] = (
        "https://api.twilio.com"
    )
    window: Annotated[int, Field(ge=1, le=limits.HTTP_WINDOW)] = 50
    timeout_s: Annotated[float, Field(gt=0, le=50)] = 15.0
    reports: bool = True
    language: Annotated[str, Field(max_length=20)] = "en-US"
    voice: Annotated[str, Field(max_length=100)] = ""
    repeat: Annotated[int, Field(ge=1, le=5)] = 1


@register("twilio", TwilioOptions)
class TwilioCarrier:
    """See the module's text."""

    def __init__(self, setup: CarrierSetup) -> None:
        options = TwilioOptions.model_validate(dict(setup.lane.options))
        self._options = options
        self._channel = setup.lane.channel
        self._clock = setup.clock
        self._callback_url = setup.callback_url
        self._token = setup.secret(options.auth_token)
        self._key = setup.secret(options.webhook_key) if options.webhook_key else self._token
        user, password = options.account_sid, self._token
        if options.api_key is not None and options.api_key_secret is not None:
            user, password = options.api_key, setup.secret(options.api_key_secret)
        self._headers = {
            "Authorization": aiohttp.encode_basic_auth(user, password),
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        base = f"{options.url.rstrip('/')}/2010-04-01/Accounts/{options.account_sid}"
        self._url = f"{base}/{'Calls' if self._channel == VOICE else 'Messages'}.json"
        self._pool = HttpPool(options.window, options.timeout_s, setup.guard())
        self._deliver: Deliver | None = None
        self._inbound: TakeInbound | None = None
        self._outcomes = dict.fromkeys(Outcome, 0)
        self._called = dict.fromkeys(("reports", "inbound", "forged", "not_read"), 0)

    async def start(self, deliver: Deliver, inbound: TakeInbound) -> None:
        """See `Carrier`."""
        self._deliver, self._inbound = deliver, inbound
        await self._pool.start()

    async def stop(self) -> None:
        """See `Carrier`."""
        self._deliver = self._inbound = None
        await self._pool.stop()

    def status(self) -> dict[str, Any]:
        """See `Carrier`."""
        outcomes = {outcome.name: count for outcome, count in self._outcomes.items()}
        return {"outcomes": outcomes, "callbacks": dict(self._called)}

    # Sending.

    async def submit(self, batch: Sequence[CarrierMessage]) -> list[SubmitResult]:
        """See `Carrier`. Cost: about 300 µs a message."""
        results = await self._pool.each(batch, self._send)
        for result in results:
            self._outcomes[result.outcome] += 1
        return results

    async def _send(self, message: CarrierMessage) -> SubmitResult:
        fields = list(self._fields(message))
        if not any(name in {"From", "MessagingServiceSid"} for name, _ in fields):
            why = "neither the lane nor the message has a sender, and there is no messaging_service"
            return rejected("21603", permanent=True, detail=why)
        answer = await self._pool.ask("POST", self._url, self._headers, urlencode(fields).encode())
        return answer if isinstance(answer, SubmitResult) else self._meaning(answer)

    def _fields(self, message: CarrierMessage) -> Iterator[tuple[str, str]]:
        """The form of a request."""
        options = self._options
        prefix = _PREFIXES.get(message.channel, "")
        yield "To", _prefixed(prefix, message.to)
        if message.sender:
            yield "From", _prefixed(prefix, message.sender)
        if options.reports and self._callback_url:
            yield "StatusCallback", f"{self._callback_url}status?m={quote(message.id)}"
        if message.channel == VOICE:
            yield from self._call(message)
            return
        if options.messaging_service:
            yield "MessagingServiceSid", options.messaging_service
        if message.expires_ms:
            left_s = (message.expires_ms - self._clock.now_ms()) // 1_000
            left_s = max(_SHORTEST_VALIDITY_S, min(left_s, _LONGEST_VALIDITY_S))
            yield "ValidityPeriod", str(left_s)
        body, content = _content(message)
        if body or not content:
            yield "Body", body
        yield from content

    def _call(self, message: CarrierMessage) -> Iterator[tuple[str, str]]:
        options = self._options
        voice = f" voice={quoteattr(options.voice)}" if options.voice else ""
        language = quoteattr(options.language)
        words = f"<Say language={language}{voice}>{escape(message.body)}</Say>"
        pause = '<Pause length="1"/>'
        yield "Twiml", f"<Response>{pause.join([words] * options.repeat)}</Response>"

    def _meaning(self, answer: Answer) -> SubmitResult:
        """What an answer says of the message."""
        found = answer.json()
        told: dict[str, Any] = found if isinstance(found, dict) else {}
        status = answer.status
        code = str(told.get("code") or told.get("error_code") or status)[:20]
        words = str(told.get("message") or told.get("error_message") or "")[:200]
        if 200 <= status < 300:
            sid = told.get("sid")
            if isinstance(sid, str) and 0 < len(sid) <= limits.ID_CHARS:
                return accepted(sid)
            return unknown(code, "the answer names no message")
        if status == 429 or code in _THROTTLED:
            return throttled(answer.retry_after_ms(self._clock.now_ms()), code, words)
        if status in _OF_THE_ACCOUNT or status == 503:
            return rejected(code, permanent=False, detail=words)
        if 400 <= status < 500 and status != 408:
            return rejected(code, permanent=True, detail=words)
        return unknown(code, words or f"HTTP {status}")

    # What Twilio sends.

    async def callback(self, request: Callback) -> CallbackReply:
        """See `Carrier`: kind `status` for reports, `inbound` for messages of people."""
        fields = _form(request)
        if fields is None or not self._is_signed(request, fields):
            self._called["forged"] += 1
            return CallbackReply(403, "the signature is not good for this address and token\n")
        if self._deliver is None or self._inbound is None:
            return CallbackReply(503, "the lane is not connected\n")
        values = dict(fields)
        if request.kind == "status":
            return await self._take_report(self._deliver, request, values)
        if request.kind == "inbound":
            return await self._take_inbound(self._inbound, values)
        return CallbackReply(404, "there are: status, inbound\n")

    def _is_signed(self, request: Callback, fields: list[tuple[str, str]]) -> bool:
        """Whether a request carries the signature that only our secret makes.

        Twilio signs the address with its port or without, whichever way it was written.
        """
        algorithm, secret = "HMAC_SHA1", self._token
        for part in request.headers.get("x-twilio-webhooks-signature-settings", "").split(","):
            name, _, value = part.partition("=")
            if name.strip() == "algorithm" and value.strip():
                algorithm, secret = value.strip(), self._key
        digest = _DIGESTS.get(algorithm)
        if digest is None:
            return False
        given = request.headers.get("x-twilio-signature", "").encode(errors="replace")
        signed = fields if request.method == "POST" else []
        good = False
        for url in _spellings(request.url):
            made = signature(url, signed, secret, digest).encode()
            good = hmac.compare_digest(made, given) or good
        return good

    async def _take_report(
        self, deliver: Deliver, request: Callback, values: dict[str, str]
    ) -> CallbackReply:
        status = values.get("MessageStatus") or values.get("SmsStatus") or values.get("CallStatus")
        sid = values.get("MessageSid") or values.get("SmsSid") or values.get("CallSid") or ""
        status = (status or "").lower()
        reason = (_CALL if "CallStatus" in values else _MESSAGE).get(status)
        reference = parse_qs(request.query).get("m", [""])[0]
        if reason is None or not (sid or reference):
            self._called["not_read" if status not in _NOTHING_MORE else "reports"] += 1
            return CallbackReply(200)
        self._called["reports"] += 1
        code = values.get("ErrorCode", "")
        if not code and reason is Reason.UNDELIVERED:
            code = status
        receipt = CarrierReceipt(
            sid[: limits.ID_CHARS], reason, self._clock.now_ms(), code[:100],
            values.get("ErrorMessage", "")[:200], reference[: limits.ID_CHARS],
        )  # fmt: skip
        await deliver([receipt])
        return CallbackReply(200)

    async def _take_inbound(self, inbound: TakeInbound, values: dict[str, str]) -> CallbackReply:
        sid = values.get("MessageSid") or values.get("SmsSid") or ""
        sender = _without_prefix(values.get("From", ""))
        if not sid or not sender:
            self._called["not_read"] += 1
            return CallbackReply(400, "a message has MessageSid and From\n")
        self._called["inbound"] += 1
        media = [f"MediaUrl{at}" for at in range(_MEDIA)]
        types = [f"MediaContentType{at}" for at in range(_MEDIA)]
        beside = _KNOWN_FIELDS | {*media, *types}
        message = Inbound(
            sid,
            sender,
            _without_prefix(values.get("To", "")),
            values.get("Body", ""),
            self._clock.now_ms(),
            tuple(values[name] for name in media if name in values),
            {name: value for name, value in values.items() if name not in beside and value},
        )
        await inbound([message])
        return _TWIML


def _content(message: CarrierMessage) -> tuple[str, list[tuple[str, str]]]:
    """The text, and what stands beside it: pictures, or a template of Twilio's.

    A template stands alone: Twilio takes no text and no picture beside it. What else the content is
    rendered down to (buttons, lists) Twilio takes in its own templates alone; the text says it all.
    """
    found = read_json(message.content) if message.content else None
    if not isinstance(found, dict):
        return message.body, []
    if found.get("content_sid"):
        fields = [("ContentSid", str(found["content_sid"]))]
        if variables := found.get("content_variables"):
            fields.append(("ContentVariables", json.dumps(variables)))
        return "", fields
    body, image = message.body, found.get("image")
    media = list(found.get("media") or ())
    if isinstance(image, dict):
        body, media = str(image.get("caption", "")), [image.get("link"), *media]
    return body, [("MediaUrl", str(url)) for url in media[:_MEDIA] if url]


def _prefixed(prefix: str, address: str) -> str:
    return address if not prefix or address.startswith(prefix) else prefix + address


def _without_prefix(address: str) -> str:
    for prefix in _PREFIXES.values():
        address = address.removeprefix(prefix)
    return address


def _form(request: Callback) -> list[tuple[str, str]] | None:
    """The fields of a form; of a GET, those of its query. None if they cannot be read."""
    try:
        text = request.body.decode() if request.method == "POST" else request.query
        return parse_qsl(
            text, keep_blank_values=True, max_num_fields=limits.CALLBACK_FIELDS, errors="strict"
        )
    except ValueError:
        return None


def signature(
    url: str, fields: Sequence[tuple[str, str]], secret: str, digest: str = "sha1"
) -> str:
    """Twilio's signature: the HMAC of the address and of all fields in order, in base64."""
    signed = url + "".join(name + value for name, value in sorted(set(fields)))
    return b64encode(hmac.digest(secret.encode(), signed.encode(), digest)).decode()


def _spellings(url: str) -> Iterator[str]:
    """An address as it came, with its port, and without."""
    yield url
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return
    host = parts.netloc
    if port is None:
        host = f"{host}:{443 if parts.scheme == 'https' else 80}"
    else:
        host = host.rpartition(":")[0]
    yield parts._replace(netloc=host).geturl()
