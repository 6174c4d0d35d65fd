"""The sandbox carrier is its own peer: what it does is the same for all messages of a lane."""

from typing import Any, ClassVar

from actors.carriers.base import CarrierMessage
from tests.carriers.subject import Fate, Subject, subject

_OPTIONS: dict[Fate, dict[str, Any]] = {
    Fate.TAKEN: {"lost": 1.0},
    Fate.DELIVERED: {},
    Fate.UNDELIVERED: {"undelivered": 1.0},
    Fate.TWICE: {"duplicated": 1.0},
    Fate.REJECTED: {"reject": 1.0},
    Fate.FAILED: {"fail": 1.0},
    Fate.THROTTLED: {"throttle": 1.0},
    Fate.LOST: {"unknown": 1.0},
}


@subject
class SandboxSubject(Subject):
    """Its options are those of the first message that is asked for."""

    carrier: ClassVar[str] = "sandbox"
    mixes: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self._fate = Fate.DELIVERED

    def message(self, number: int, fate: Fate) -> CarrierMessage:
        self._fate = fate
        return super().message(number, fate)

    def options(self) -> dict[str, Any]:
        return _OPTIONS[self._fate]
