"""An SMSC made of npm's `smpp`, which does with messages what a test says; see peers/smsc.js."""

import json
from typing import Any

from tests.support import peers


class Smsc(peers.Peer):
    """Starts on entering, ends on leaving.

    Args:
        settings: Those of peers/smsc.js; `plan` maps a destination, or its first 8 digits, to what
            is done with a message to it: nothing but take it, or `status`, `drop`, `close`,
            `nack`, `park`, `receipt`; a list has one for each try.
    """

    def __init__(self, **settings: Any) -> None:
        peers.need("smpp")
        super().__init__(peers.script("smsc.js", json.dumps(settings)))

    def options(self, **more: Any) -> dict[str, Any]:
        """The options of a lane that reaches it."""
        reached = {"host": "127.0.0.1", "port": self.port, "system_id": "denrei"}
        return {**reached, "reconnect_ms": [20, 200], **more}

    def submits(self) -> list[dict[str, Any]]:
        """The submits it has seen."""
        return self.seen("submit")
