"""The first fraud check: what it blocks, for how long, and what it leaves alone."""

import msgpack
import pytest

from engine.fraud import FraudGuard, FraudPolicy

MINUTE = 60_000
HOUR = 60 * MINUTE


def number(last: int, block: str = "+1202555") -> str:
    return f"{block}{last:04d}"


def attack(guard: FraudGuard, now: int, count: int = 31, block: str = "+1202555"):
    """Codes to different numbers of one block; the last verdict."""
    verdict = None
    for last in range(count):
        verdict = guard.check("w", "sms", "otp", number(last, block), now)
    return verdict


def test_many_codes_into_one_block_are_blocked_with_figures() -> None:
    guard = FraudGuard()
    assert attack(guard, 0, 30) is None
    verdict = guard.check("w", "sms", "otp", number(99), 0)
    assert verdict is not None
    assert verdict.code == "prefix_velocity"
    assert verdict.why == (
        "more than 30 one-time codes to numbers +1202555xxxx within 10 minutes; "
        "blocked for 5 minutes"
    )
    assert verdict.until_ms == 5 * MINUTE


def test_many_codes_to_one_number_block_that_number_only() -> None:
    guard = FraudGuard()
    verdicts = [guard.check("w", "sms", "otp", number(1), at * 1_000) for at in range(6)]
    assert verdicts[:5] == [None] * 5
    assert verdicts[5] is not None
    assert verdicts[5].code == "repeated_number"
    assert guard.check("w", "sms", "otp", number(2), 6_000) is None


@pytest.mark.parametrize(
    ("workspace", "channel", "purpose", "e164"),
    [
        ("w", "sms", "transactional", number(1)),
        ("w", "sms", "marketing", number(1)),
        ("w", "email", "otp", number(1)),
        ("other", "sms", "otp", number(1)),
        ("w", "sms", "otp", "+12025560001"),
    ],
)
def test_a_block_is_for_codes_of_one_workspace_into_one_block(
    workspace: str, channel: str, purpose: str, e164: str
) -> None:
    guard = FraudGuard()
    assert attack(guard, 0) is not None
    assert guard.check("w", "voice", "otp", number(1), 1) is not None
    assert guard.check(workspace, channel, purpose, e164, 1) is None


def test_blocks_double_from_five_minutes_to_twelve_hours() -> None:
    guard, now, lengths = FraudGuard(), 0, []
    for _ in range(11):
        verdict = attack(guard, now)
        assert verdict is not None
        lengths.append((verdict.until_ms - now) // MINUTE)
        now = verdict.until_ms
    assert lengths == [5, 10, 20, 40, 80, 160, 320, 640, 720, 720, 720]
    verdict = attack(guard, now + 24 * HOUR)
    assert verdict is not None
    assert verdict.until_ms == now + 24 * HOUR + 5 * MINUTE


def test_denied_attempts_do_not_feed_the_alarm() -> None:
    guard = FraudGuard()
    verdict = attack(guard, 0)
    assert verdict is not None
    for at in range(0, 5 * MINUTE, 100):
        assert guard.check("w", "sms", "otp", number(at % 9_000), at) == verdict
    assert guard.check("w", "sms", "otp", number(50), 5 * MINUTE) is None
    assert attack(guard, 5 * MINUTE, 29) is None


def test_a_slow_stream_of_codes_is_honest() -> None:
    guard = FraudGuard()
    for at in range(0, 24 * HOUR, 21_000):
        assert guard.check("w", "sms", "otp", number(at // 21_000 % 9_000), at) is None


def test_a_snapshot_keeps_blocks_and_what_is_on_its_way_to_one() -> None:
    guard = FraudGuard()
    verdict = attack(guard, 0)
    attack(guard, 0, 25, "+4420793")
    kept = msgpack.unpackb(msgpack.packb(guard.snapshot()))
    again = FraudGuard()
    again.restore(kept)
    assert again.blocks(0) == guard.blocks(0)
    assert again.check("w", "sms", "otp", number(1), 1) == verdict
    assert attack(again, 1, 7, "+4420793") is not None


def test_new_blocks_are_told_once_and_can_be_restored_alone() -> None:
    guard = FraudGuard()
    verdict = attack(guard, 0)
    news = guard.new_blocks()
    assert len(news) == 1
    assert guard.new_blocks() == []
    again = FraudGuard()
    again.restore(None, [body for _, body in news])
    assert again.check("w", "sms", "otp", number(1), 1) == verdict


def test_a_snapshot_of_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="format 2"):
        FraudGuard().restore([2, [], [], []])


def test_it_is_bounded_and_forgets_counters_before_blocks() -> None:
    guard = FraudGuard(FraudPolicy(), prefixes=50, numbers=100)
    verdict = attack(guard, 0)
    for block in range(5_000):
        guard.check("w", "sms", "otp", f"+44{block:06d}0001", 1)
    assert len(guard._prefixes._levels) <= 50
    assert len(guard._numbers._levels) <= 100
    assert guard.check("w", "sms", "otp", number(1), 2) == verdict
    for block in range(200):
        attack(guard, 3 + block, 31, f"+4479{block:04d}")
    assert len(guard._blocks) <= 50
