"""The fraud guard: what it stops, for how long, what it leaves alone, and what it says of it."""

from random import Random

import msgpack
import pytest

from engine.fraud import FraudGuard, GuardPolicy, Verdict
from engine.fraud.figures import STAGES_MS
from engine.fraud.policy import guard_from
from engine.issues import DefinitionError

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def number(last: int) -> str:
    return f"+1202555{last:04d}"


def pumped(last: int) -> str:
    """A number of the block that an attacker earns from."""
    return f"+44739990{last:04d}"


class Street:
    """A workspace with honest people in two countries, of whom 8 in 10 type their code in."""

    def __init__(self, seed: int = 1, guard: FraudGuard | None = None) -> None:
        self.guard = guard or FraudGuard()
        self.rng = Random(seed)
        self.now = 0
        self.told: list[tuple[int, str]] = []
        self.denied = 0
        self.blocks = [f"+4477{block:05d}"[:9] for block in range(10_000, 90_000, 1_000)]
        self.blocks += [f"+33612{block:02d}" for block in range(10, 40)]

    def pass_time(self, until: int, per_hour: float = 60.0, share: float = 0.8) -> None:
        """Honest people until then."""
        while True:
            gap = int(self.rng.expovariate(per_hour / HOUR))
            if self.now + gap >= until:
                self.now = until
                self.listen()
                return
            self.now += gap
            self.listen()
            block = self.rng.choice(self.blocks)
            e164 = block + "".join(str(self.rng.randrange(10)) for _ in range(13 - len(block)))
            if block.startswith("+33"):
                e164 = e164[:12]
            self.ask(e164, share)

    def ask(self, e164: str, share: float = 0.0, facts: dict[str, str] | None = None) -> bool:
        """A code is asked for, and typed in with this probability; whether it was sent."""
        verdict = self.guard.check("w", "sms", "otp", e164, self.now, facts or {})
        if verdict is not None:
            self.denied += 1
            return False
        if self.rng.random() < share:
            self.told.append((self.now + int(self.rng.uniform(8, 60) * SECOND), e164))
        return True

    def listen(self) -> None:
        for at, e164 in sorted(each for each in self.told if each[0] <= self.now):
            self.guard.outcome("w", e164, "verified", at)
        self.told = [each for each in self.told if each[0] > self.now]

    def attack(self, numbers: list[str], every_ms: int) -> int:
        """Codes nobody types in, beside honest people; how many were sent."""
        sent = 0
        for e164 in numbers:
            self.pass_time(self.now + every_ms)
            sent += self.ask(e164)
        return sent


@pytest.fixture
def street() -> Street:
    found = Street()
    found.pass_time(2 * DAY)
    assert found.guard.blocks(found.now) == []
    return found


def test_honest_people_are_left_alone(street: Street) -> None:
    assert street.denied <= 3
    assert street.guard.counts["block"] == 0


# --- Fraud in one place ---------------------------------------------------------------------------


def test_a_burst_on_one_prefix_leaks_few(street: Street) -> None:
    numbers = [pumped(street.rng.randrange(10_000)) for _ in range(2_000)]
    assert street.attack(numbers, 2 * SECOND) <= 30
    (block,) = [b for b in street.guard.blocks(street.now) if "+447399" in b["what"]]
    assert block["denied"] > 100


def test_a_slow_stream_into_one_prefix_is_stopped(street: Street) -> None:
    numbers = [pumped(street.rng.randrange(10_000)) for _ in range(150)]
    assert street.attack(numbers, 10 * MINUTE) <= 20


def test_fraud_spread_over_prefixes_challenges_their_class(street: Street) -> None:
    rng = street.rng
    blocks = [f"+44749{rng.randrange(1_000):03d}" for _ in range(100)]
    numbers = [f"{rng.choice(blocks)}{rng.randrange(100_000):05d}"[:13] for _ in range(150)]
    before = street.denied
    assert street.attack(numbers, 10 * MINUTE) <= 60
    assert street.guard.counts["challenge"] > 50
    assert street.guard.counts["block"] == 0
    assert street.denied - before < 170  # hardly any of 1,500 honest people


def test_a_flood_is_stopped_before_a_code_could_be_typed_in(street: Street) -> None:
    sent = sum(street.ask(pumped(at)) for at in range(1_000))
    assert sent <= 20


def test_a_number_after_the_other_is_odd(street: Street) -> None:
    block = street.blocks[3]
    numbers = [f"{block}{at:04d}" for at in range(4_000, 4_300)]
    assert street.attack(numbers, 2 * MINUTE) <= 60


def test_one_address_that_asks_for_many_is_stopped(street: Street) -> None:
    facts = {"ip": "203.0.113.7"}
    sent = 0
    for at in range(60):
        street.pass_time(street.now + 2 * MINUTE)
        sent += street.ask(f"+4478{at:05d}{at:03d}", facts=facts)
    assert sent <= 15
    verdict = street.guard.check("w", "sms", "otp", "+447899999999", street.now, facts)
    assert verdict is not None
    assert "address 203.0.113.7" in verdict.why


def test_an_office_behind_one_address_is_not(street: Street) -> None:
    facts = {"ip": "203.0.113.8"}
    sent = 0
    for at in range(60):
        street.pass_time(street.now + 2 * MINUTE)
        sent += street.ask(f"+4478{at:05d}{at:03d}", 0.85, facts)
    assert sent >= 57


def test_fraud_that_verifies_a_third_itself_is_stopped(street: Street) -> None:
    sent = 0
    for _ in range(1_000):
        street.pass_time(street.now + 30 * SECOND)
        sent += street.ask(pumped(street.rng.randrange(10_000)), 0.33)
    assert sent <= 150


def test_a_form_of_fraud_that_no_test_has_had_before(street: Street) -> None:
    """Pairs of numbers in a new country each hour, a third repeated, addresses of three nets."""
    rng, sent, asked = street.rng, 0, 0
    for country in ("+9477", "+88017", "+23480", "+25570", "+99890", "+62812", "+84912", "+22997"):
        block = f"{country}{rng.randrange(1_000):03d}"
        for _ in range(40):
            street.pass_time(street.now + 90 * SECOND)
            facts = {"ip": f"198.51.{rng.randrange(3)}.{rng.randrange(40)}", "country": "GB"}
            e164 = f"{block}{rng.randrange(10_000):04d}"[:12]
            for _ in range(1 + (rng.random() < 0.33)):
                asked += 1
                sent += street.ask(e164, facts=facts)
    assert asked > 350
    assert sent <= 60
    assert street.guard.counts["block"] + street.guard.counts["challenge"] >= asked - sent


# --- What is no fraud -----------------------------------------------------------------------------


def test_an_outage_is_not_taken_for_fraud(street: Street) -> None:
    before = street.denied
    street.pass_time(street.now + 4 * HOUR, share=0.02)
    assert street.denied - before <= 8  # of about 240
    street.pass_time(street.now + 6 * HOUR)
    before = street.denied
    street.pass_time(street.now + 6 * HOUR)
    assert street.denied - before <= 4


def test_a_rush_of_honest_people_is_let_through(street: Street) -> None:
    before = street.denied
    street.pass_time(street.now + HOUR, per_hour=1_500)
    assert street.denied - before <= 15


def test_a_wrong_block_opens_by_probes(street: Street) -> None:
    numbers = [pumped(at * 37) for at in range(60)]
    street.attack(numbers, 5 * SECOND)
    assert street.guard.blocks(street.now)
    for _ in range(40):
        street.pass_time(street.now + 10 * MINUTE)
        street.ask(pumped(street.rng.randrange(10_000)), 1.0)
    names = [block["what"] for block in street.guard.blocks(street.now)]
    assert not [name for name in names if "+447399" in name]


def test_known_numbers_pass_where_their_class_is_challenged(street: Street) -> None:
    friend = "+447499123456"
    assert street.ask(friend, 1.0)
    street.pass_time(street.now + DAY)
    blocks = [f"+4474{street.rng.randrange(10_000):04d}" for _ in range(100)]
    numbers = [street.rng.choice(blocks) + f"{at:04d}0" for at in range(80)]
    street.attack(numbers, 4 * MINUTE)
    assert street.guard.check("w", "sms", "otp", friend, street.now) is None


def test_a_busy_workspace_is_left_alone() -> None:
    street = Street()
    street.pass_time(30 * MINUTE, per_hour=20_000)
    before = street.denied
    street.pass_time(90 * MINUTE, per_hour=20_000)
    assert street.denied - before <= 20  # of 20,000
    assert street.guard.counts["block"] == 0


# --- Without outcomes, and repeats ----------------------------------------------------------------


def blind_attack(guard: FraudGuard, now: int, count: int = 31) -> Verdict | None:
    """Codes to different numbers of one block, of which nothing is told; the last verdict."""
    verdict = None
    for last in range(count):
        verdict = guard.check("w", "sms", "otp", number((last + now // 1_000) % 10_000), now)
    return verdict


def test_without_outcomes_thirty_codes_into_one_block_are_believed() -> None:
    guard = FraudGuard()
    assert blind_attack(guard, 0, 30) is None
    verdict = guard.check("w", "sms", "otp", number(99), 0)
    assert verdict == Verdict(
        "block",
        "prefix_velocity",
        "more than 30 one-time codes to numbers +1202555xxxx within 10 minutes; "
        "blocked for 5 minutes",
        5 * MINUTE,
        95,
    )


def test_many_codes_to_one_number_block_that_number_only() -> None:
    guard = FraudGuard()
    verdicts = [guard.check("w", "sms", "otp", number(1), at * 1_000) for at in range(6)]
    assert verdicts[:5] == [None] * 5
    assert verdicts[5] is not None
    assert verdicts[5].code == "repeated_number"
    assert guard.check("w", "sms", "otp", number(2), 6_000) is None


def test_a_message_on_its_second_way_is_no_other_code() -> None:
    guard = FraudGuard()
    for _ in range(3):
        for follows in (False, True, True):
            assert guard.check("w", "sms", "otp", number(1), 0, follows=follows) is None
    (code,) = guard._books["w"].codes.values()
    assert code.again == 2
    assert guard.check("w", "sms", "otp", number(2), 0, follows=True) is None
    assert len(guard._books["w"].codes) == 2  # its first way was through another sender


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
    assert blind_attack(guard, 0) is not None
    assert guard.check("w", "voice", "otp", number(1), 1) is not None
    assert guard.check(workspace, channel, purpose, e164, 1) is None


def test_blocks_double_from_five_minutes_to_twelve_hours() -> None:
    guard, now, lengths = FraudGuard(), 0, []
    for _ in range(11):
        verdict = blind_attack(guard, now)
        assert verdict is not None
        lengths.append((verdict.until_ms - now) // MINUTE)
        now = verdict.until_ms
    assert lengths == [5, 10, 20, 40, 80, 160, 320, 640, 720, 720, 720]
    verdict = blind_attack(guard, now + 25 * HOUR)
    assert verdict is not None
    assert verdict.until_ms == now + 25 * HOUR + 5 * MINUTE


def test_denied_attempts_do_not_feed_the_alarm() -> None:
    guard = FraudGuard()
    verdict = blind_attack(guard, 0)
    assert verdict is not None
    for at in range(0, 5 * MINUTE, 100):
        assert guard.check("w", "sms", "otp", number(at % 9_000), at) == verdict
    assert guard.check("w", "sms", "otp", number(50), 5 * MINUTE) is None
    assert blind_attack(guard, 5 * MINUTE, 29) is None


def test_a_slow_stream_of_codes_is_honest() -> None:
    guard = FraudGuard()
    for at in range(0, 24 * HOUR, 21_000):
        assert guard.check("w", "sms", "otp", number(at // 21_000 % 9_000), at) is None


# --- What people say ------------------------------------------------------------------------------


def test_a_number_that_was_reported_is_blocked_for_the_longest_time(street: Street) -> None:
    street.guard.outcome("w", "+447399112233", "fraud", street.now)
    verdict = street.guard.check("w", "sms", "otp", "+447399112233", street.now)
    assert verdict is not None
    assert (verdict.code, verdict.until_ms) == ("reported", street.now + 12 * HOUR)
    assert street.guard.check("w", "sms", "otp", "+447399112244", street.now) is None


def test_somebody_who_is_vouched_for_passes(street: Street) -> None:
    numbers = [pumped(at * 37) for at in range(60)]
    street.attack(numbers, 5 * SECOND)
    honest = "+447399905555"
    assert street.guard.check("w", "sms", "otp", honest, street.now) is not None
    street.guard.outcome("w", honest, "legit", street.now)
    assert street.guard.check("w", "sms", "otp", honest, street.now) is None


def test_what_never_arrived_says_nothing(street: Street) -> None:
    for at in range(40):
        e164 = pumped(at * 37)
        assert street.ask(e164)
        street.pass_time(street.now + MINUTE)
        street.guard.outcome("w", e164, "undelivered", street.now)
    assert street.guard.blocks(street.now) == []


def test_what_expired_counts_at_once(street: Street) -> None:
    for at in range(7):
        street.ask(pumped(at * 37))
        street.guard.outcome("w", pumped(at * 37), "expired", street.now)
    assert not street.ask(pumped(999))


# --- Policy ---------------------------------------------------------------------------------------


def guarded(street: Street, **fields: object) -> FraudGuard:
    street.guard.configure("w", guard_from({"guard": "default", **fields}))
    return street.guard


def test_countries_may_be_blocked_allowed_and_watched(street: Street) -> None:
    modes = {"LK": "block", "PK": "allow", "GB": "monitor", "default": "filter"}
    guard = guarded(street, countries=modes)
    verdict = guard.check("w", "sms", "marketing", "+94711234567", street.now)
    assert verdict is not None
    assert verdict.code == "geo_blocked"
    assert "LK" in verdict.why
    for country in ("+92300123", "+44739912"):
        for at in range(100):
            e164 = f"{country}{at:04d}"
            assert guard.check("w", "sms", "otp", e164, street.now) is None
    assert guard.counts["monitored"] > 50
    assert any("+44739" in block["what"] for block in guard.blocks(street.now))


def test_a_country_may_be_blocked_for_one_purpose(street: Street) -> None:
    guard = guarded(street, purposes={"marketing": {"countries": {"FR": "block"}}})
    assert guard.check("w", "sms", "otp", "+33612345678", street.now) is None
    assert guard.check("w", "sms", "marketing", "+33612345678", street.now) is not None


def test_safe_numbers_and_messages_that_say_so_pass(street: Street) -> None:
    guard = guarded(street, safe=["+447399901110", "+4473998*"])
    street.attack([pumped(at * 37) for at in range(60)], 5 * SECOND)
    now = street.now
    assert guard.check("w", "sms", "otp", "+447399902222", now) is not None
    assert guard.check("w", "sms", "otp", "+447399901110", now) is None
    assert guard.check("w", "sms", "otp", "+447399902222", now, {"risk": "allow"}) is None


def test_monitoring_counts_and_stops_nothing(street: Street) -> None:
    guard = guarded(street, mode="monitor")
    assert street.attack([pumped(at * 37) for at in range(200)], SECOND) == 200
    assert guard.counts["monitored"] > 150


@pytest.mark.parametrize("action", ["challenge", "shadow"])
def test_a_workspace_chooses_what_a_block_does(street: Street, action: str) -> None:
    guard = guarded(street, purposes={"otp": {"action": action}})
    for at in range(8):
        street.ask(pumped(at * 37))
        guard.outcome("w", pumped(at * 37), "expired", street.now)
    guard.outcome("w", "+447399911111", "fraud", street.now)
    verdict = guard.check("w", "sms", "otp", "+447399911111", street.now)
    assert verdict is not None
    assert verdict.action == action


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"guard": "strict"}, "write 'guard: default'"),
        ({"countries": {"UK": "block"}}, "'UK' is not a country"),
        ({"countries": {"GB": "deny"}}, "allow"),
        ({"safe": ["0207946"]}, "neither a number nor the beginning"),
        ({"purposes": {"otp": {"challenge": 95}}}, "above block at 90"),
    ],
)
def test_a_guard_that_makes_no_sense_is_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(DefinitionError, match=words.replace("'", ".")):
        guard_from({"guard": "default", **fields})


# --- Words, restarts, bounds ----------------------------------------------------------------------


def test_a_verdict_explains_itself(street: Street) -> None:
    street.attack([pumped(at * 37) for at in range(40)], MINUTE)
    verdict = street.guard.check("w", "sms", "otp", "+447399905555", street.now)
    assert verdict is not None
    assert verdict.code == "unverified_prefix"
    assert verdict.score >= 50
    assert "codes to +44739990" in verdict.why
    assert "% are usual; evidence" in verdict.why


def test_a_restart_keeps_what_was_learnt_and_what_is_blocked(street: Street) -> None:
    street.attack([pumped(at * 37) for at in range(60)], 5 * SECOND)
    again = FraudGuard()
    again.restore(msgpack.unpackb(msgpack.packb(street.guard.snapshot())))
    assert [b["what"] for b in again.blocks(street.now)] == [
        b["what"] for b in street.guard.blocks(street.now)
    ]
    assert again.check("w", "sms", "otp", "+447399905555", street.now) is not None
    street.guard = again
    street.pass_time(street.now + DAY)
    assert street.attack([f"+44738811{at * 7:04d}0" for at in range(60)], MINUTE) <= 30


def test_new_blocks_are_told_once_and_can_be_restored_alone() -> None:
    guard = FraudGuard()
    verdict = blind_attack(guard, 0)
    news = guard.new_blocks()
    assert len(news) == 1
    assert guard.new_blocks() == []
    again = FraudGuard()
    again.restore(None, [body for _, body in news])
    assert again.check("w", "sms", "otp", number(1), 1) == verdict


def test_what_the_first_format_kept_is_read() -> None:
    row = ["w +1202555", 2, 10 * MINUTE, "prefix_velocity", "more than 30 codes"]
    guard = FraudGuard()
    guard.restore([1, [row], [["w +1202556", 20.0, 0]], []], [row])
    verdict = guard.check("w", "sms", "otp", number(1), 0)
    assert verdict is not None
    assert verdict.code == "prefix_velocity"
    assert guard.check("w", "sms", "otp", number(1), 11 * MINUTE) is None


def test_what_the_second_format_kept_is_read(street: Street) -> None:
    friend = "+447499123456"
    node = ["+44739990", 6.0, 3.0, 0.0, 0, 0, -1, 0.0, 0.0, 0.0, 0, b"", 0.0, 0.0]
    root = ["", 0.0, 9.0, 8.0, 0, 0, -1, 0.0, 0.0, 0.0, 0, b"", 0.0, 0.0]
    book = [root, [["GB", *root[1:]]], [node], [[friend, 0]], [0.0] * 6, {}]
    row = [f"w {pumped(1)}", 1, HOUR, False, True, "reported", "somebody said so", 99]
    guard = FraudGuard()
    guard.restore([2, {"w": book}, [row], [[f"w {pumped(2)}", 5.0, 0]]])
    guard.seal(b"a secret")
    assert guard.check("w", "sms", "otp", pumped(1), 1) is not None
    assert guard.check("w", "sms", "otp", pumped(3), 1) is not None  # the evidence of its block
    for number_ in (friend, pumped(1), pumped(2)):
        assert number_.encode() not in msgpack.packb(guard.snapshot())


def test_what_is_written_tells_no_number(street: Street) -> None:
    guard = street.guard
    guard.seal(b"a secret")
    friend, twice, bad = "+447499123456", "+447499123457", "+447499123458"
    guard.outcome("w", friend, "verified", street.now)
    for _ in range(4):
        street.ask(twice)
    guard.outcome("w", bad, "fraud", street.now)
    kept = msgpack.packb([guard.snapshot(), guard.new_blocks()])
    for e164 in (friend, twice, bad):
        assert e164[1:].encode() not in kept
    again = FraudGuard()
    again.restore(*msgpack.unpackb(msgpack.packb([guard.snapshot(), []])))
    assert again.secret == b"a secret"
    verdict = again.check("w", "sms", "otp", bad, street.now)
    assert verdict is not None
    assert verdict.code == "reported"
    for _ in range(3):
        again.check("w", "sms", "otp", twice, street.now)
    verdict = again.check("w", "sms", "otp", twice, street.now)
    assert verdict is not None
    assert verdict.code == "repeated_number"
    assert msgpack.packb(again.snapshot()[1]["w"][3]) == msgpack.packb(guard.snapshot()[1]["w"][3])


def test_a_snapshot_of_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="format 9"):
        FraudGuard().restore([9, {}, [], []])


def test_the_usual_policy_filters_everywhere() -> None:
    policy = GuardPolicy()
    assert policy.of("otp").mode("GB") == "filter"
    assert policy.of("otp").weight > policy.of("transactional").weight > 0
    assert tuple(sorted(STAGES_MS)) == STAGES_MS
