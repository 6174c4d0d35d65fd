"""The Twilio adapter beside a server that signs with Twilio's own code."""

from typing import Any, ClassVar

from actors.carriers.base import Callback, Carrier
from actors.carriers.registry import CarrierSetup
from engine.lanes.definition import Lane
from tests.carriers.subject import Fate, Subject, subject
from tests.support.fake_twilio import ACCOUNT, TOKEN, FakeTwilio, Fields
from tests.support.peers import LOOPBACK

_REPORTS = {
    Fate.DELIVERED: ["delivered"],
    Fate.UNDELIVERED: ["undelivered:30003"],
    Fate.TWICE: ["delivered", "delivered"],
}
_ANSWERS: dict[Fate, tuple[int, Any]] = {
    Fate.REJECTED: (400, {"code": 21211, "message": "invalid 'To' number", "status": 400}),
    Fate.FAILED: (503, {"code": 20503, "message": "unavailable", "status": 503}),
    Fate.THROTTLED: (429, {"code": 20429, "message": "too many requests", "status": 429}),
}


@subject
class TwilioSubject(Subject):
    """A message's number stands for its fate."""

    carrier: ClassVar[str] = "twilio"
    confirms: ClassVar[bool] = True

    async def open(self) -> None:
        self._twilio = FakeTwilio()
        self._twilio.decide = self._decide
        self._twilio.fates = lambda form: _REPORTS.get(_fate(form), [])
        self._twilio.post = self._post
        await self._twilio.__aenter__()

    async def close(self) -> None:
        await self._twilio.__aexit__()

    def options(self) -> dict[str, Any]:
        return {
            "account_sid": ACCOUNT, "auth_token": {"secret": "token"}, "url": self._twilio.url
        }  # fmt: skip

    def unreachable(self) -> dict[str, Any]:
        return {**self.options(), "url": "http://127.0.0.1:1"}

    def setup(self, lane: Lane) -> CarrierSetup:
        url = "https://example.com/v1/carriers/w/main/"
        return CarrierSetup(lane, "w/main", self.clock, 7, url, {"token": TOKEN}, allow=LOOPBACK)

    def made(self, carrier: Carrier) -> None:
        self._carrier = carrier

    def confirmed(self) -> int:
        return self._twilio.answers.count(200)

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        lower = {name.lower(): value for name, value in headers.items()}
        reply = await self._carrier.callback(Callback("POST", url, "status", lower, body))
        return reply.status

    def _decide(self, form: Fields) -> tuple[int, Any] | None:
        fate = _fate(form)
        return None if fate is Fate.LOST else _ANSWERS.get(fate, (201, None))


def _fate(form: Fields) -> Fate:
    to = form.get("To", "")
    digit = to.removeprefix("+1202555")[:1]
    known = to.startswith("+1202555") and digit in set("01234567")
    return list(Fate)[int(digit)] if known else Fate.REJECTED
