"""The described carrier beside the server that speaks Twilio's API: that API in YAML."""

from typing import Any, ClassVar

from actors.carriers.registry import CarrierSetup
from engine.lanes.definition import Lane
from tests.carriers.subject import subject
from tests.carriers.subject_twilio import TwilioSubject
from tests.support.fake_twilio import ACCOUNT, TOKEN


@subject
class HttpSubject(TwilioSubject):
    """Its calls are believed by a secret in the address that each message brings."""

    carrier: ClassVar[str] = "http"

    def options(self) -> dict[str, Any]:
        return {
            "url": f"{self._twilio.url}/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
            "auth": {"user": ACCOUNT, "password": {"secret": "token"}},
            "secrets": ["hook"],
            "form": {
                "To": "{{ to }}", "From": "{{ sender }}", "Body": "{{ body }}",
                "StatusCallback": "{{ callback_url }}status?token={{ secrets.hook }}",
            },
            "answer": {"id": "sid", "code": "code", "detail": "message"},
            "reports": {
                "id": "MessageSid", "status": "MessageStatus", "code": "ErrorCode",
                "statuses": {"delivered": "delivered", "undelivered": ["undelivered", "failed"]},
            },
            "signature": {"token": {"secret": "hook"}},
        }  # fmt: skip

    def setup(self, lane: Lane) -> CarrierSetup:
        return super().setup(lane)._replace(secrets={"token": TOKEN, "hook": "s3cret"})
