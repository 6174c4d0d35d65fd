"""SMPP beside an SMSC made of npm's `smpp`, whose authors have never seen our code."""

from typing import Any, ClassVar

from tests.carriers.subject import Fate, Subject, subject
from tests.support import peers
from tests.support.smsc import Smsc

_PLANS: dict[Fate, dict[str, Any]] = {
    Fate.TAKEN: {},
    Fate.DELIVERED: {"receipt": {}},
    Fate.UNDELIVERED: {"receipt": {"stat": "UNDELIV", "err": "027"}},
    Fate.TWICE: {"receipt": {"times": 2}},
    Fate.REJECTED: {"status": 0x0B},
    Fate.FAILED: {"status": 0x08},
    Fate.THROTTLED: {"status": 0x58},
    Fate.LOST: {"drop": True},
}


@subject
class SmppSubject(Subject):
    """Its peer knows what to do with a message from the first digits of its number."""

    carrier: ClassVar[str] = "smpp"
    confirms: ClassVar[bool] = True

    async def open(self) -> None:
        plan = {self.address(0, fate)[1:9]: _PLANS[fate] for fate in Fate}
        self._smsc = Smsc(plan=plan)
        self._smsc.__enter__()

    async def close(self) -> None:
        self._smsc.__exit__()

    def options(self) -> dict[str, Any]:
        return {**self._smsc.options(), "response_ms": 2_000}

    def unreachable(self) -> dict[str, Any]:
        return {"host": "127.0.0.1", "port": peers.free_port(), "wait_ms": 50}

    def confirmed(self) -> int:
        return len(self._smsc.seen("confirmed"))
