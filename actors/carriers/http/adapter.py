"""A carrier described in YAML: any API that takes a message with one HTTP request.

`carrier: http` in a lane, with `HttpOptions`: how a request is written, where the id stands in the
answer and what answers mean, and how the carrier reports and brings messages of people. What is
certain after a request that went wrong is `http_pool`'s to say; a call is believed only with the
signature that the options ask for. docs/http-carriers.md describes three carriers in this way.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, urlencode

import aiohttp
import msgspec

from actors.carriers.base import (
    Callback,
    CallbackReply,
    CarrierMessage,
    CarrierReceipt,
    Deliver,
    Inbound,
    Outcome,
    SubmitResult,
    TakeInbound,
    accepted,
    rejected,
    throttled,
    unknown,
)
from actors.carriers.http.options import BasicAuth, HttpOptions
from actors.carriers.http.paths import Renderer, Unrenderable, find, plain, read_json, text
from actors.carriers.http.pool import Answer, HttpPool
from actors.carriers.http.signatures import is_same
from actors.carriers.registry import CarrierSetup, register
from engine import limits
from engine.reasons import Reason

_REASONS: Final = {
    "sent": Reason.SENT,
    "delivered": Reason.DELIVERED,
    "read": Reason.READ,
    "undelivered": Reason.UNDELIVERED,
    "partially_delivered": Reason.PARTIALLY_DELIVERED,
}
_FORM: Final = "application/x-www-form-urlencoded"
_json: Final = msgspec.json.Encoder().encode


@register("http", HttpOptions)
class HttpCarrier:
    """See the module's text."""

    def __init__(self, setup: CarrierSetup) -> None:
        options = HttpOptions.model_validate(dict(setup.lane.options))
        self._options = options
        self._clock = setup.clock
        self._secret = setup.secret
        self._meanings = options.meanings()
        self._renderer = Renderer()
        self._given = {
            "lane": setup.lane.name,
            "callback_url": setup.callback_url,
            "secrets": {name: setup.secret_of(name) for name in options.secrets},
        }
        self._auth = {}
        if isinstance(options.auth, BasicAuth):
            password = setup.secret(options.auth.password)
            self._auth["authorization"] = aiohttp.encode_basic_auth(options.auth.user, password)
        elif options.auth is not None:
            value = options.auth.prefix + setup.secret(options.auth.value)
            self._auth[options.auth.header] = value
        self._pool = HttpPool(options.window, options.timeout_s, setup.guard())
        self._deliver: Deliver | None = None
        self._inbound: TakeInbound | None = None
        self._outcomes = dict.fromkeys(Outcome, 0)
        self._called = dict.fromkeys(("reports", "inbound", "forged", "not_read"), 0)
        if options.signature is not None:  # a key that is not what it should be is told now
            options.signature.is_good(Callback("GET", "", "", {}, b""), setup.secret, 0)

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
        """See `Carrier`. Cost: about 400 µs a message."""
        results = await self._pool.each(batch, self._send)
        for result in results:
            self._outcomes[result.outcome] += 1
        return results

    async def _send(self, message: CarrierMessage) -> SubmitResult:
        options = self._options
        context = self._context(message)
        try:
            url = self._renderer.text(options.url, context)
            headers = {
                name: " ".join(self._renderer.text(value, context).split())
                for name, value in options.headers.items()
            }
            kind, body = self._body(context)
        except Unrenderable as error:
            return rejected("template", permanent=True, detail=str(error))
        if kind:
            headers.setdefault("content-type", kind)
        answer = await self._pool.ask(options.method, url, {**headers, **self._auth}, body)
        return answer if isinstance(answer, SubmitResult) else self._meaning(answer)

    def _context(self, message: CarrierMessage) -> dict[str, Any]:
        """What templates may read."""
        left_s = max(1, (message.expires_ms - self._clock.now_ms()) // 1_000)
        return {
            **self._given,
            "id": message.id,
            "channel": message.channel,
            "sender": message.sender,
            "to": message.to,
            "to_digits": message.to.removeprefix("+"),
            "subject": message.subject,
            "body": message.body,
            "purpose": message.purpose,
            "units": message.units,
            "validity_s": left_s if message.expires_ms else "",
            "content": read_json(message.content) if message.content else {},
        }

    def _body(self, context: dict[str, Any]) -> tuple[str, bytes]:
        """What the body is, and the body."""
        options = self._options
        if options.json_ is not None:
            shape = self._renderer.shape(options.json_, context)
            return "application/json", _json({} if shape is None else shape)
        if options.form is not None:
            fields = self._renderer.shape(options.form, context) or {}
            return _FORM, urlencode(fields, doseq=True).encode()
        if options.body is not None:
            return options.content_type, self._renderer.text(options.body, context).encode()
        return "", b""

    def _meaning(self, answer: Answer) -> SubmitResult:
        """What an answer says of the message: by the rules, else as HTTP has it."""
        options = self._options
        found = answer.json()
        where = options.answer
        code = text(found, where.code or "")
        detail = text(found, where.detail or "")[:200]
        rule = next((r for r in options.outcomes if r.fits(answer.status, code)), None)
        outcome = rule.outcome if rule else _by_status(answer.status)
        code = (code or str(answer.status))[:100]
        if outcome == "accepted":
            provider_id = text(found, where.id or "")[: limits.ID_CHARS]
            if provider_id or where.id is None:
                return accepted(provider_id)
            return unknown(code, f"the answer has nothing at {where.id!r}")
        if outcome == "throttled":
            return throttled(answer.retry_after_ms(self._clock.now_ms()), code, detail)
        if outcome == "unknown":
            return unknown(code, detail or f"HTTP {answer.status}")
        return rejected(code, permanent=outcome == "rejected", detail=detail)

    # What the carrier sends.

    async def callback(self, request: Callback) -> CallbackReply:
        """See `Carrier`: kind `status` for reports, `inbound` for messages, `events` for both."""
        options = self._options
        if request.method == "GET" and options.challenge is not None:
            answer = self._challenged(request)
            if answer is not None:
                return answer
        scheme = options.signature
        if scheme is None or not scheme.is_good(request, self._secret, self._clock.now_ms()):
            self._called["forged"] += 1
            return CallbackReply(403, "the call is not signed as it should be\n")
        if self._deliver is None or self._inbound is None:
            return CallbackReply(503, "the lane is not connected\n")
        if request.kind not in {"status", "inbound", "events"}:
            return CallbackReply(404, "there are: status, inbound, events\n")
        data = _read(request)
        receipts = list(self._receipts(data)) if request.kind != "inbound" else []
        messages = list(self._messages(data)) if request.kind != "status" else []
        if not receipts and not messages:
            self._called["not_read"] += 1
        self._called["reports"] += len(receipts)
        self._called["inbound"] += len(messages)
        if messages:
            await self._inbound(messages)
        if receipts:
            await self._deliver(receipts)
        return CallbackReply(200, options.reply)

    def _challenged(self, request: Callback) -> CallbackReply | None:
        challenge = self._options.challenge
        assert challenge is not None
        fields = parse_qs(request.query)
        if challenge.echo not in fields:
            return None
        if not is_same(self._secret(challenge.secret), fields.get(challenge.token, [""])[0]):
            self._called["forged"] += 1
            return CallbackReply(403, "that is not the secret\n")
        return CallbackReply(200, fields[challenge.echo][0])

    def _receipts(self, data: Any) -> Iterator[CarrierReceipt]:
        where = self._options.reports
        if where is None:
            return
        for item in find(data, where.items or ""):
            ours = self._meanings.get(text(item, where.status).lower())
            provider_id = text(item, where.id or "")[: limits.ID_CHARS]
            reference = text(item, where.reference or "")[: limits.ID_CHARS]
            if ours and (provider_id or reference):
                yield CarrierReceipt(
                    provider_id, _REASONS[ours], self._clock.now_ms(),
                    text(item, where.code or "")[:100], text(item, where.detail or "")[:200],
                    reference,
                )  # fmt: skip

    def _messages(self, data: Any) -> Iterator[Inbound]:
        where = self._options.inbound
        if where is None:
            return
        for item in find(data, where.items or ""):
            provider_id, sender = text(item, where.id), text(item, where.sender)
            fits = all(text(item, path) in wanted for path, wanted in where.where.items())
            if not (provider_id and sender and fits):
                continue
            values = {name: text(item, path) for name, path in where.values.items()}
            yield Inbound(
                provider_id,
                sender if "@" in sender or sender.startswith("+") else _number(sender),
                text(item, where.to or ""),
                text(item, where.body or ""),
                self._clock.now_ms(),
                tuple(plain(url) for url in find(item, where.media) if isinstance(url, str))
                if where.media
                else (),
                {name: value for name, value in values.items() if value},
            )


def _by_status(status: int) -> str:
    """What an answer means if nobody has said otherwise."""
    if 200 <= status < 300:
        return "accepted"
    if status == 429:
        return "throttled"
    if status in {401, 403, 404, 503}:  # the account or the service, and not the message
        return "failed"
    return "rejected" if 400 <= status < 500 and status != 408 else "unknown"


def _number(sender: str) -> str:
    """A number as entities are named by it; many carriers leave the plus out."""
    plain = sender.strip()
    return f"+{plain}" if plain.isascii() and plain.isdigit() and len(plain) > 6 else sender


def _read(request: Callback) -> Any:
    """What a call says: its JSON or its form; of a GET, its query."""
    if request.method == "GET":
        return _fields(request.query)
    if request.headers.get("content-type", "").lower().startswith(_FORM):
        return _fields(request.body.decode(errors="replace"))
    return read_json(request.body)


def _fields(form: str) -> Mapping[str, str]:
    try:
        return dict(parse_qsl(form, keep_blank_values=True, max_num_fields=limits.CALLBACK_FIELDS))
    except ValueError:
        return {}
