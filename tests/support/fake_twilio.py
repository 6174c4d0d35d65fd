"""A server that speaks Twilio's API and does as it is told, signing with Twilio's own code.

What it takes is checked for what Twilio asks of a request; that it is what Twilio's OpenAPI files
say is another test's matter (tests/carriers/test_twilio_prism.py). What it reports it signs with
`RequestValidator` of Twilio's Python library.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode

import aiohttp
from aiohttp import web
from twilio.request_validator import RequestValidator

ACCOUNT = "AC" + "a" * 32
TOKEN = "12345678901234567890123456789012"

Fields = dict[str, str]
Decide = Callable[[Fields], tuple[int, Any] | None]
"""The status and the body of an answer; None hangs up."""
Post = Callable[[str, bytes, dict[str, str]], Awaitable[int]]


class FakeTwilio:
    """See the module's text.

    Attributes:
        requests: What it was asked, as forms.
        fates: What it reports of each message after it has answered, decided by its form.
        post: How it calls back; by default over HTTP.
        answers: The statuses that its calls were answered with.
    """

    def __init__(self) -> None:
        self.requests: list[Fields] = []
        self.headers: list[dict[str, str]] = []
        self.decide: Decide = lambda form: (201, None)
        self.fates: Callable[[Fields], list[str]] = lambda form: []
        self.post: Post = self._post
        self.answers: list[int] = []
        self.url = ""
        self.gate: asyncio.Event | None = None
        self._sids = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._validator = RequestValidator(TOKEN)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        base = f"/2010-04-01/Accounts/{ACCOUNT}"
        app.router.add_post(f"{base}/Messages.json", self._messages)
        app.router.add_post(f"{base}/Calls.json", self._messages)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        assert self._session is not None
        await self._session.close()
        await self._runner.cleanup()

    async def call(self, url: str, fields: Fields, token: str = TOKEN) -> int:
        """Calls back, signed; the status of the answer."""
        validator = self._validator if token == TOKEN else RequestValidator(token)
        headers = {
            "X-Twilio-Signature": validator.compute_signature(url, fields),
            "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
        }
        status = await self.post(url, urlencode(fields).encode(), headers)
        self.answers.append(status)
        return status

    async def settled(self) -> None:
        """Waits until all reports are told."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        assert self._session is not None
        async with self._session.post(url, data=body, headers=headers) as answer:
            await answer.read()
            return answer.status

    async def _messages(self, request: web.Request) -> web.Response:
        expected = aiohttp.encode_basic_auth(ACCOUNT, TOKEN)
        if request.headers.get("Authorization") != expected:
            return web.json_response({"code": 20003, "message": "Authenticate"}, status=401)
        form = dict(parse_qsl((await request.read()).decode(), keep_blank_values=True))
        self.requests.append(form)
        self.headers.append(dict(request.headers))
        if self.gate is not None:
            await self.gate.wait()
        decided = self.decide(form)
        if decided is None:
            assert request.transport is not None
            request.transport.abort()
            raise asyncio.CancelledError
        status, body = decided
        if body is None:
            sid = f"{'CA' if 'Twiml' in form else 'SM'}{next(self._sids):032x}"
            body = {"sid": sid, "status": "queued", "error_code": None, "to": form["To"]}
            if "StatusCallback" in form:
                task = asyncio.get_running_loop().create_task(self._report(sid, form))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        headers = {"Retry-After": "3"} if status == 429 else {}
        return web.json_response(body, status=status, headers=headers)

    async def _report(self, sid: str, form: Fields) -> None:
        for told in self.fates(form):
            status, _, code = told.partition(":")
            name = "Call" if "Twiml" in form else "Message"
            fields = {f"{name}Sid": sid, f"{name}Status": status, "To": form["To"]}
            if code:
                fields["ErrorCode"] = code
            await self.call(form["StatusCallback"], fields)
