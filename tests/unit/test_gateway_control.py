"""What a gateway tells senders beside messages: nobody's answer waits for a sender that is away."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from actors.directory import RayDirectory
from engine import limits
from gateway.gateway_actor import RayControl


class TwoSenders:
    """One hears everything, of the other nothing comes back."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.forgotten: list[str] = []

    def pool(self, channel: str) -> list[str]:
        return ["sender-sms-1", "sender-sms-2"]

    def handle(self, name: str) -> Any:
        hear = self._hear if name == "sender-sms-1" else self._hang
        return SimpleNamespace(feedback=SimpleNamespace(remote=hear))

    def forget(self, name: str) -> None:
        self.forgotten.append(name)

    async def _hear(self, packed: bytes) -> None:
        self.heard.append(packed)

    async def _hang(self, packed: bytes) -> None:
        await asyncio.Event().wait()


async def test_an_outcome_reaches_the_senders_that_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "STATUS_S", 0.01)
    senders = TwoSenders()
    control = RayControl(cast("RayDirectory", senders))
    assert await control.feedback("w", "+12025550123", "verified") == 1
    assert len(senders.heard) == 1
    assert senders.forgotten == ["sender-sms-2"]
