"""A receipt that a code never arrived comes to the fraud guard, early or late."""

from pathlib import Path

import pytest

from actors.carriers.base import CarrierReceipt
from engine.reasons import Reason
from tests.unit.test_sender import Bench, run

EARLY, LATE = 0, 90_000


def hear(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """What the sender's guard is told from now on."""
    heard: list[tuple[str, str, str]] = []

    def outcome(workspace: str, e164: str, what: str, at_ms: int) -> None:
        heard.append((workspace, e164, what))

    monkeypatch.setattr(bench.core._screen._guard, "outcome", outcome)
    return heard


@pytest.mark.parametrize("after_ms", [EARLY, LATE])
@pytest.mark.parametrize("purpose", ["otp", "marketing"])
def test_the_guard_hears_of_codes_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after_ms: int, purpose: str
) -> None:
    async def scenario(bench: Bench) -> None:
        options = {"undelivered": 1.0, "receipt_ms": [after_ms, after_ms]}
        await bench.lanes(main={"options": options})
        heard = hear(bench, monkeypatch)
        await bench.offer(bench.message(1, purpose=purpose, to="+12025550123"))
        await bench.until(lambda: bool(bench.outcomes(Reason.UNDELIVERED)), step_ms=1_000)
        assert heard == ([("w", "+12025550123", "undelivered")] if purpose == "otp" else [])

    run(tmp_path, scenario)


@pytest.mark.parametrize("reason", [Reason.EXPIRED, Reason.DELIVERED])
def test_what_expires_at_its_carrier_never_arrived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: Reason
) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={"options": {"receipts": False}})
        heard = hear(bench, monkeypatch)
        await bench.offer(bench.message(1, purpose="otp", to="+12025550123"))
        await bench.until(lambda: bool(bench.outcomes(Reason.SENT)))
        receipt = CarrierReceipt(f"sb-{1:032x}", reason, bench.clock.now_ms())
        await bench.core._lanes.running["w/main"]._receipts.take([receipt])
        told = [("w", "+12025550123", "undelivered")]
        assert heard == (told if reason is Reason.EXPIRED else [])

    run(tmp_path, scenario)
