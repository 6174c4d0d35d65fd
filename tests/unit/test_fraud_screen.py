"""What a message to a phone passes before it leaves, and what its history says if it does not."""

from typing import Any, cast

import pytest

from actors.senders.ledger_writer import LedgerWriter
from actors.senders.screen import Screen
from engine import limits
from engine.fraud import FraudGuard
from engine.lanes.definition import Lane, lane_from
from engine.lanes.queue import QueuedMessage
from engine.reasons import Reason


class Paper:
    """A ledger that only notes what it is given."""

    def __init__(self) -> None:
        self.blocks: list[str] = []
        self.snapshots: list[list[Any]] = []

    def block(self, name: str, body: list[Any]) -> None:
        self.blocks.append(name)

    def fraud(self, snapshot: list[Any]) -> None:
        self.snapshots.append(snapshot)


class Door:
    """A screen with a lane before it."""

    def __init__(self) -> None:
        self.paper = Paper()
        self.guard = FraudGuard()
        self.screen = Screen(self.guard, cast("LedgerWriter", self.paper))
        self.lane: Lane = lane_from({"lane": "main", "channel": "sms", "carrier": "sandbox"})
        self.ended: list[tuple[str, Reason, str, str]] = []
        self.count = 0

    def send(self, to: str, now_ms: int, purpose: str = "otp", **facts: str) -> bool:
        self.count += 1
        message = QueuedMessage(
            f"{self.count:032x}", "w/user/u", "w", "main", "sms", to, purpose, "", "", 10**12,
            False, now_ms,
        )  # fmt: skip
        message.facts = facts or None
        return bool(self.screen.pass_through([message], self.lane, now_ms, self._finish))

    def _finish(self, message: QueuedMessage, reason: Reason, code: str, why: str) -> None:
        self.ended.append((message.to, reason, code, why))


@pytest.fixture
def door() -> Door:
    """One that has seen forty honest people."""
    found = Door()
    for at in range(40):
        to = f"+447701{at:02d}{at * 7:04d}"
        assert found.send(to, at * 60_000)
        found.screen.feedback([["w", to, "verified"]], at * 60_000 + 20_000)
    return found


def pump(door: Door, start_ms: int, count: int = 60) -> int:
    sent = 0
    for at in range(count):
        sent += door.send(f"+4478299{at * 37 % 10_000:05d}", start_ms + at * 60_000)
    return sent


def test_fraud_ends_with_evidence_and_a_score(door: Door) -> None:
    assert pump(door, 3_000_000) < 20
    reasons = {reason for _, reason, _, _ in door.ended}
    assert reasons <= {Reason.FRAUD_BLOCKED, Reason.FRAUD_CHALLENGED}
    assert all("fraud score" in why for _, _, _, why in door.ended)
    assert door.paper.blocks
    assert door.paper.snapshots
    assert door.screen.counts()["challenge"] > 10


def test_the_guard_of_a_workspace_is_obeyed(door: Door) -> None:
    door.screen.configure(
        "w", {"guard": "default", "countries": {"FR": "block"}, "safe": ["+44782*"]}
    )
    assert not door.send("+33612345678", 3_000_000, "marketing")
    assert door.ended[-1][1:3] == (Reason.FRAUD_BLOCKED, "geo_blocked")
    assert pump(door, 3_000_000) == 60
    door.screen.configure("w", None)
    assert door.send("+33612345678", 9_000_000, "marketing")


def test_a_guard_that_cannot_be_read_changes_nothing(door: Door) -> None:
    door.screen.configure("w", {"guard": "default", "countries": {"FR": "block"}})
    door.screen.configure("w", {"guard": "default", "mode": "off"})
    assert not door.send("+33612345678", 3_000_000)


def test_a_shadowed_message_has_an_outcome_of_its_own(door: Door) -> None:
    door.screen.configure("w", {"guard": "default", "purposes": {"otp": {"action": "shadow"}}})
    door.screen.feedback([["w", "+447829912345", "fraud"]], 3_000_000)
    assert not door.send("+447829912345", 3_000_001)
    assert door.ended[-1][1:3] == (Reason.FRAUD_SHADOWED, "reported")
    assert door.send("+447829912345", 3_000_002, risk="allow")


def test_a_snapshot_is_built_in_slices_between_messages() -> None:
    door = Door()
    for at in range(1_000):
        door.send(f"+4477{at * 7919 % 10**8:08d}", at)
    door.paper.snapshots.clear()
    slices = 0
    for at in range(100):
        door.send(f"+336{at * 7919 % 10**8:08d}", 30_000 + at)
        slices += door.screen._slices is not None
        if door.paper.snapshots:
            break
    assert slices > 2
    again = FraudGuard()
    again.restore(door.paper.snapshots[0])
    assert again.snapshot()[1]["w"][1] == door.paper.snapshots[0][1]["w"][1]


def test_feedback_on_what_is_no_number_is_left_out(door: Door) -> None:
    rows = [["w", "a@example.com", "verified"], ["w", "+1", "fraud"], ["w", "+4477", "dance"]]
    door.screen.feedback(rows, 3_000_000)
    assert door.screen.blocks(3_000_000) == []


def told(door: Door, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """What the guard is told of codes from now on."""
    heard: list[tuple[str, str, str]] = []

    def outcome(workspace: str, e164: str, what: str, at_ms: int) -> None:
        heard.append((workspace, e164, what))

    monkeypatch.setattr(door.guard, "outcome", outcome)
    return heard


def test_a_code_that_never_came_is_told_to_the_guard_once(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = told(door, monkeypatch)
    assert door.send("+447701991234", 3_000_000)
    code = f"{door.count:032x}"
    assert door.send("+447701991235", 3_000_000, "marketing")
    door.screen.undelivered(f"{door.count:032x}", 3_001_000)  # it was no code
    door.screen.undelivered("unknown", 3_001_000)
    assert not heard
    for _ in range(2):
        door.screen.undelivered(code, 3_001_000)
    assert heard == [("w", "+447701991234", "undelivered")]


def test_of_several_codes_to_a_number_the_newest_counts(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert door.send("+447701991234", 3_000_000)
    before = f"{door.count:032x}"
    assert door.send("+447701991234", 3_030_000)
    heard = told(door, monkeypatch)
    door.screen.undelivered(before, 3_040_000)
    assert not heard
    door.screen.undelivered(f"{door.count:032x}", 3_040_000)
    assert len(heard) == 1


def test_codes_are_forgotten_by_number_and_by_age(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = told(door, monkeypatch)
    monkeypatch.setattr(limits, "FRAUD_PENDING", 2)
    for at in range(3):
        assert door.send(f"+4477019912{at:02d}", 3_000_000)
    first = door.count - 2
    door.screen.undelivered(f"{first:032x}", 3_001_000)
    assert not heard
    assert door.send("+447701991299", 3_000_000 + 3_600_000, risk="allow")
    for each in (first + 1, first + 2):
        door.screen.undelivered(f"{each:032x}", 7_000_000)
    assert not heard
    assert len(door.screen._codes) == len(door.screen._newest) == 1
