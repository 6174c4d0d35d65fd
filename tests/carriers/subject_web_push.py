"""Web push against web-push-testing, a push service and a browser that decrypts what comes."""

import base64
import json
import urllib.parse
import urllib.request
from typing import Any, ClassVar

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from actors.carriers.registry import CarrierSetup
from engine.lanes.definition import Lane
from tests.carriers.subject import Fate, Subject, subject
from tests.support.peers import Peer, free_port, need, script

KEY = ec.generate_private_key(ec.SECP256R1())
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
OPTIONS = {
    "subject": "mailto:ops@example.org",
    "key": {"secret": "vapid"},
}


class Browsers:
    """Browsers that subscribe, end their subscription, and read what came."""

    def __init__(self, port: int) -> None:
        self._base = f"http://localhost:{port}"

    def subscribe(self, public_key: str) -> str:
        """A new subscription, as a browser gives it."""
        form = {"userVisibleOnly": "true", "applicationServerKey": public_key}
        given = self._call("/subscribe", form)["data"]
        return json.dumps({"endpoint": given["endpoint"], "keys": given["keys"]})

    def expire(self, subscription: str) -> None:
        """Ends a subscription."""
        self._call(f"/expire-subscription/{client_of(subscription)}", {})

    def read(self, subscription: str) -> list[Any]:
        """What has come, decrypted."""
        found = self._call("/get-notifications", {"clientHash": client_of(subscription)})
        return [json.loads(each) for each in found["data"]["messages"]]

    def _call(self, path: str, form: dict[str, str]) -> Any:
        body = urllib.parse.urlencode(form).encode()
        with urllib.request.urlopen(self._base + path, body, timeout=20) as answer:
            text = answer.read()
        return json.loads(text) if text.startswith(b"{") else {}


def client_of(subscription: str) -> str:
    return json.loads(subscription)["endpoint"].rpartition("/")[2]


def service() -> Peer:
    """A push service, not yet started."""
    need("web-push-testing")
    port = free_port()
    return Peer(script("node_modules/web-push-testing/src/bin/server.js", port), port)


@subject
class WebPushSubject(Subject):
    carrier: ClassVar[str] = "web_push"
    channel: ClassVar[str] = "push"
    fates: ClassVar[frozenset[Fate]] = frozenset({Fate.TAKEN, Fate.REJECTED})

    async def open(self) -> None:
        self._peer = service().__enter__()
        self._browsers = Browsers(self._peer.port)

    async def close(self) -> None:
        self._peer.__exit__()

    def options(self) -> dict[str, Any]:
        return OPTIONS

    def setup(self, lane: Lane) -> CarrierSetup:
        return super().setup(lane)._replace(secrets={"vapid": PEM})

    def odd_addresses(self) -> list[str]:
        """Among them subscriptions with good keys, whose endpoints are no addresses."""
        endpoints = (
            "", "https://", "https:///x", "https://[::1/x", "https://a..b/x", "https://x:abc/",
            "https://x:99999/", "https://ann:secret@x.example/", "https://127.1/x", "ftp://x.example",
            "https://" + "a" * 64 + ".example/x", "https://ex ample/", "https://x.example\\@y/",
            "http://127.0.0.1:1/\ud800", "http://127.0.0.1:1/\r\nHost: y",
        )  # fmt: skip
        keys = json.loads(self.address(0, Fate.TAKEN))["keys"]
        odd_keys: tuple[Any, ...] = (
            1, [1], None, {}, {"p256dh": 1, "auth": 2}, {**keys, "p256dh": "A" * 87},
            {**keys, "auth": "é"},
        )  # fmt: skip
        return [
            *super().odd_addresses(),
            *(json.dumps({"endpoint": each, "keys": keys}) for each in endpoints),
            *(json.dumps({"endpoint": "http://127.0.0.1:1/", "keys": each}) for each in odd_keys),
        ]

    def address(self, number: int, fate: Fate) -> str:
        point = serialization.PublicFormat.UncompressedPoint
        raw = KEY.public_key().public_bytes(serialization.Encoding.X962, point)
        found = self._browsers.subscribe(base64.urlsafe_b64encode(raw).rstrip(b"=").decode())
        if fate is Fate.REJECTED:
            self._browsers.expire(found)
        return found
