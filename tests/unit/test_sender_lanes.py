"""What lanes do with limits of every kind, with what carriers say, and with those that fail."""

from collections import Counter
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgpack
import pytest

from actors.carriers.base import CarrierMessage, Outcome, SubmitResult, unknown
from actors.clock import ManualClock
from engine import limits, slots
from engine.reasons import Reason
from tests.unit.test_sender import CODE, DETAIL, REASON, SHARDS, Bench, run


class Watched:
    """What a lane's carrier was given, and when; its answers can be chosen."""

    def __init__(self, bench: Bench, lane: str = "main") -> None:
        self.seen: list[tuple[int, CarrierMessage]] = []
        self.answer: SubmitResult | None = None
        self._bench, self._carrier = bench, bench.carrier(f"w/{lane}")
        self._submit = self._carrier.submit
        self._carrier.submit = self.submit  # type: ignore[method-assign]

    async def submit(self, batch: Any) -> list[SubmitResult]:
        self.seen += [(self._bench.clock.now_ms(), message) for message in batch]
        if self.answer is not None:
            return [self.answer] * len(batch)
        return await self._submit(batch)


async def watched(bench: Bench, lane: str = "main") -> Watched:
    """The carrier of a lane, which the first message makes."""
    bench.core._lanes.find(f"w/{lane}")
    await bench.until(lambda: bench.core._lanes.running[f"w/{lane}"].carrier is not None)
    return Watched(bench, lane)


def at(text: str, zone: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1_000)


def test_a_recipient_that_had_enough_keeps_nobody_else_back(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={"limits": [{"rate": "1/6s", "per": "recipient"}]})
        seen = (await watched(bench)).seen
        same = [bench.message(n, to="+12025550100", key="w/user/u") for n in range(20)]
        others = [bench.message(200 + n) for n in range(20)]
        await bench.offer(*same, *others)
        await bench.until(lambda: len(bench.told()) >= 21)
        status = bench.core.status()["lanes"][0]
        assert status["waiting_for_value"] == 19
        assert status["values"] == {"1 in 6s per recipient": 21}
        start = bench.clock.now_ms()
        await bench.until(lambda: len(bench.told()) == 40, step_ms=10)
        times = [at_ms for at_ms, message in seen if message.to == "+12025550100"]
        assert all(later - first > 6_000 for first, later in pairwise(times))
        assert bench.clock.now_ms() - start <= 19 * 6_000 * 1.01
        order = [message.id for _, message in seen if message.to == "+12025550100"]
        assert order == [message[0] for message in same]

    run(tmp_path, scenario)


def test_who_waits_for_a_recipient_can_be_cancelled_expires_and_goes_by_purpose(
    tmp_path: Path,
) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={"limits": [{"rate": "1/min", "per": "recipient"}]})
        to = "+12025550100"
        soon = bench.clock.now_ms() + 30_000
        await bench.offer(
            bench.message(1, to=to), bench.message(2, to=to), bench.message(3, to=to, expires=soon),
            bench.message(4, to=to),
        )  # fmt: skip
        await bench.until(lambda: len(bench.told()) == 1)
        bench.core._offers.cancel_one(f"{2:032x}", 0)
        await bench.offer(bench.message(5, to=to, purpose="otp"))
        await bench.until(lambda: len(bench.told()) == 5, step_ms=100)
        told = {int(name, 16): Reason(each[REASON]).name for name, each in bench.told().items()}
        assert told == {1: "SENT", 2: "CANCELLED", 3: "EXPIRED", 4: "SENT", 5: "SENT"}
        order = [int(name, 16) for name, reason in bench.outcomes(Reason.SENT)]
        assert order == [1, 5, 4]

    run(tmp_path, scenario)


def test_messages_that_wait_for_a_recipient_have_their_place_in_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LANE_QUEUE_MESSAGES", 20)
    monkeypatch.setattr(limits, "OFFER_MESSAGES", 20)

    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={"limits": [{"rate": "1/h", "per": "recipient"}]})
        to = "+12025550100"
        await bench.offer(*(bench.message(n, to=to, key="w/user/u") for n in range(15)))
        await bench.until(lambda: len(bench.told()) == 1)
        _, admissions = await bench.offer(
            *(bench.message(100 + n, to=to, key="w/user/u") for n in range(15))
        )
        assert Counter(admissions) == {Reason.QUEUED: 2, Reason.QUEUE_FULL: 13}

    run(tmp_path, scenario)


def test_lanes_of_an_account_share_what_they_name_also_over_a_restart(tmp_path: Path) -> None:
    lane = {"account": "acme", "limits": [{"rate": "20/min", "of": "brand"}]}

    async def scenario(bench: Bench) -> None:
        await bench.lanes(a=lane, b=lane)
        watches = [(await watched(bench, name)).seen for name in "ab"]
        batch = [bench.message(n, lane="ab"[n % 2]) for n in range(60)]
        await bench.offer(*batch)
        await bench.until(lambda: len(bench.told()) >= 10, step_ms=50)
        await bench.core._writer.flush()
        await bench.core.close()
        await bench.open()
        await bench.lanes(a=lane, b=lane)
        watches += [(await watched(bench, name)).seen for name in "ab"]
        await bench.offer(*batch)
        end = bench.clock.now_ms() + 120_000
        await bench.until(lambda: bench.clock.now_ms() >= end, step_ms=50)
        seen = sorted(at_ms for watch in watches for at_ms, _ in watch)
        assert all(seen[n + 20] - seen[n] >= 60_000 for n in range(len(seen) - 20))
        assert len(seen) >= 45

    run(tmp_path, scenario)


def test_workspaces_that_share_a_limit_have_the_same_of_it(tmp_path: Path) -> None:
    lane = {"account": "acme", "limits": [{"rate": "600/min", "of": "campaign"}]}

    async def scenario(bench: Bench) -> None:
        body = {"lane": "main", "channel": "sms", "carrier": "sandbox", **lane}
        for workspace in ("w", "x", "y"):
            await bench.core.configure(workspace, 1, _packed({"main": body}))
        waiting = {"w": 900, "x": 100, "y": 300}
        for workspace, count in waiting.items():
            for number in range(count):
                message = bench.message(number, key=f"{workspace}/user/u", workspace=workspace)
                message[0] = f"{workspace}{number:031d}"
                await bench.core.offer(_packed([[_shard(message[1]), 1, bench.clock.now_ms(),
                                                 [message], {workspace: 1}]]))  # fmt: skip
        await bench.until(lambda: len(bench.told()) >= 270, step_ms=10)
        sent = Counter(name[0] for name in bench.told())
        assert 85 <= sent["x"] <= 95
        assert 85 <= sent["y"] <= 95
        start, before = bench.clock.now_ms(), len(bench.told())
        await bench.until(lambda: len(bench.told()) >= 900, step_ms=10)
        # Those who have nothing left leave their share to the others.
        assert bench.clock.now_ms() - start <= (900 - before) * 100 * 1.02
        sent = Counter(name[0] for name in bench.told())
        assert sent["x"] == 100
        assert sent["y"] == 300

    run(tmp_path, scenario)


def test_a_code_of_one_lane_goes_before_the_newsletters_of_another(tmp_path: Path) -> None:
    lane = {"account": "acme", "limits": [{"rate": "60/min", "of": "campaign"}]}

    async def scenario(bench: Bench) -> None:
        await bench.lanes(a=lane, b=lane)
        await bench.offer(*(bench.message(n, lane="a") for n in range(100)))
        await bench.until(lambda: len(bench.told()) >= 5, step_ms=10)
        await bench.offer(bench.message(1_000, lane="b", purpose="otp"))
        await bench.until(lambda: f"{1_000:032x}" in bench.told(), step_ms=10)
        assert len(bench.told()) <= 8

    run(tmp_path, scenario)


def test_a_lane_at_its_own_limit_leaves_the_shared_one_to_others(tmp_path: Path) -> None:
    def lane(own: str) -> dict[str, Any]:
        return {
            "account": "acme",
            "limits": [{"rate": own}, {"rate": "600/min", "of": "account"}],
        }

    async def scenario(bench: Bench) -> None:
        await bench.lanes(a=lane("6/min"), b=lane("6000/min"))
        await bench.offer(*(bench.message(n, lane="a") for n in range(100)))
        await bench.offer(*(bench.message(1_000 + n, lane="b") for n in range(900)))
        end = bench.clock.now_ms() + 60_000
        await bench.until(lambda: bench.clock.now_ms() >= end, step_ms=10)
        sent = Counter(each[7] for each in bench.told().values())
        assert sent["a"] <= 7
        assert 585 <= sent["a"] + sent["b"] <= 601

    run(tmp_path, scenario)


def test_a_daily_cap_holds_until_the_hour_of_the_destination(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        cap = {"rate": "2/day", "zone": "America/Los_Angeles", "until": "08:00",
               "until_zone": "destination"}  # fmt: skip
        await bench.lanes(main={"limits": [cap]})
        seen = (await watched(bench)).seen
        expires = bench.clock.now_ms() + 40 * 3_600_000
        key = "w/user/u"  # of one shard, so that they come in this order
        numbers = ["+12025550100", "+12025550101", "+12025550102", "+14155550103"]
        await bench.offer(
            *(bench.message(n, to=to, expires=expires, key=key) for n, to in enumerate(numbers)),
        )
        soon = bench.clock.now_ms() + 3_600_000
        await bench.until(lambda: len(bench.told()) == 2)
        await bench.offer(bench.message(9, to="+12025550109", expires=soon, key=key))
        await bench.until(lambda: len(bench.told()) == 3)
        late = bench.told()[f"{9:032x}"]
        assert late[REASON] == Reason.EXPIRED
        assert "holds it until 2025-06-03 12:00 UTC, after its validity" in late[DETAIL]
        await bench.until(lambda: len(bench.told()) == 5, step_ms=20_000, most_ms=10**9)
        times = {message.to: at_ms for at_ms, message in seen}
        east = at("2025-06-03T08:00", "America/New_York")
        west = at("2025-06-03T08:00", "America/Los_Angeles")
        assert east <= times["+12025550102"] < east + 60_000
        assert west <= times["+14155550103"] < west + 60_000

    run_at(tmp_path, scenario, at("2025-06-02T10:00", "America/Los_Angeles"))


def run_at(tmp_path: Path, scenario: Any, start_ms: int) -> None:
    """Runs a scenario that begins at a time."""

    async def begin(bench: Bench) -> None:
        await bench.core.close()
        bench.clock = ManualClock(start_ms)
        await bench.open()
        await scenario(bench)

    run(tmp_path, begin)


def test_what_finds_no_room_is_rerouted_if_it_can_be_and_fails_if_it_shall(
    tmp_path: Path,
) -> None:
    async def scenario(bench: Bench) -> None:
        day = {"rate": "3/day", "zone": "UTC"}
        await bench.lanes(
            over={"limits": [{**day, "at": "reroute"}]}, hard={"limits": [{**day, "at": "fail"}]}
        )
        elsewhere = {"sender": "", "content": "", "facts": None, "hop": 0, "last": False}
        await bench.offer(
            *(bench.message(n, lane="over", key="w/user/u", **elsewhere) for n in range(5)),
            *(bench.message(10 + n, lane="over", key="w/user/u") for n in range(2)),
            *(bench.message(20 + n, lane="hard", **elsewhere) for n in range(5)),
        )
        await bench.until(lambda: len(bench.told()) >= 10)
        told = Counter((each[7], Reason(each[REASON]).name) for each in bench.told().values())
        assert told["over", "SENT"] == told["hard", "SENT"] == 3
        assert told["hard", "LIMIT_REACHED"] == 2
        rerouted = told["over", "LANE_CAPPED"]
        await bench.offer(bench.message(30, lane="over", **elsewhere))
        await bench.until(lambda: f"{30:032x}" in bench.told())
        late = bench.told()[f"{30:032x}"]
        assert late[REASON] == Reason.LANE_CAPPED
        assert late[DETAIL] == "the limit of 3 a day (UTC) is reached"
        # Those that have no other route wait for the next day.
        waiting = sum(bench.core._lanes.running["w/over"].queue.depths().values())
        assert (rerouted, waiting) == (2, 2)

    run_at(tmp_path, scenario, at("2025-06-02T22:00", "UTC"))


def test_a_flood_to_one_number_fails(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={"limits": [{"rate": "20/h", "per": "recipient", "at": "fail"}]})
        await bench.offer(*(bench.message(n, to="+12025550100") for n in range(25)))
        await bench.until(lambda: len(bench.told()) == 25)
        told = Counter(Reason(each[REASON]).name for each in bench.told().values())
        assert told == {"SENT": 20, "LIMIT_REACHED": 5}

    run(tmp_path, scenario)


@pytest.mark.parametrize("then", ["suspend", "slow"])
def test_a_rule_suspends_or_slows_a_lane_for_a_time_and_says_why(tmp_path: Path, then: str) -> None:
    async def scenario(bench: Bench) -> None:
        rule = {"when": {"code": "0x58"}, "then": then, "for": "30s", "after": "2 in 10s"}
        if then == "slow":
            rule["to"] = "10%"
        await bench.lanes(main={"limits": [{"rate": "10/s"}], "reactions": [rule]})
        carrier = await watched(bench)
        carrier.answer = SubmitResult(Outcome.REJECTED, "", "88", "too fast")
        await bench.offer(bench.message(1), bench.message(2))
        await bench.until(lambda: len(bench.told()) == 2, step_ms=10)
        carrier.answer = None
        start = bench.clock.now_ms()
        (reaction,) = bench.core.status()["lanes"][0]["reactions"]
        assert reaction["then"] == then
        assert "for 30s: the carrier said 2 times 'rejected, 88, too fast'" in reaction["why"]
        assert start + 29_900 <= reaction["until_ms"] <= start + 30_000
        await bench.offer(*(bench.message(10 + n) for n in range(100)))
        await bench.until(lambda: bench.clock.now_ms() >= start + 29_000, step_ms=10)
        sent = len(bench.told()) - 2
        assert sent == 0 if then == "suspend" else 25 <= sent <= 31
        await bench.until(lambda: len(bench.told()) == 102, step_ms=10)
        assert bench.clock.now_ms() <= start + 41_000
        assert bench.core.status()["lanes"][0]["reactions"] == []

    run(tmp_path, scenario)


def test_a_carrier_that_fails_is_left_alone_and_asked_by_one_message_at_a_time(
    tmp_path: Path,
) -> None:
    async def scenario(bench: Bench) -> None:
        circuit = {"failures": 10, "in": "1m", "for": "30s"}
        await bench.lanes(main={"circuit": circuit, "limits": [{"rate": "100/s"}]})
        carrier = await watched(bench)
        carrier.answer = unknown("timeout", "nobody answers")
        await bench.offer(*(bench.message(n) for n in range(10)))
        await bench.until(lambda: len(bench.told()) == 10, step_ms=1)
        lane = bench.core.status()["lanes"][0]
        assert lane["circuit"] == "open"
        assert lane["circuit_why"] == "10 of the last 10 failed: timeout, nobody answers"
        elsewhere = {"sender": "", "content": "", "facts": None, "hop": 0, "last": False}
        await bench.offer(
            bench.message(50, **elsewhere), *(bench.message(60 + n) for n in range(5))
        )
        await bench.until(lambda: len(bench.told()) == 11)
        rerouted = bench.told()[f"{50:032x}"]
        assert rerouted[REASON] == Reason.CARRIER_UNAVAILABLE
        assert "circuit is open" in rerouted[DETAIL]
        # A probe after 30 s, which fails; another after 60 s more.
        given = len(carrier.seen)
        first = bench.clock.now_ms()
        await bench.until(lambda: len(carrier.seen) == given + 1, step_ms=50)
        assert 29_900 <= bench.clock.now_ms() - first <= 30_200
        carrier.answer = None
        second = bench.clock.now_ms()
        await bench.until(lambda: len(carrier.seen) > given + 1, step_ms=50)
        assert bench.clock.now_ms() - second >= 59_900
        await bench.until(lambda: len(bench.told()) == 16, step_ms=50)
        assert bench.core.status()["lanes"][0]["circuit"] == "closed"
        assert bench.core.status()["lanes"][0]["away"] == ""

    run(tmp_path, scenario)


def test_a_failure_that_is_of_one_message_alone_says_nothing_of_its_lane(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        circuit = {"failures": 3, "in": "1m", "for": "30s"}
        rule = {"when": {"code": "paused"}, "then": "suspend", "for": "1h"}
        await bench.lanes(main={"circuit": circuit, "reactions": [rule]})
        carrier = await watched(bench)
        carrier.answer = SubmitResult(Outcome.FAILED, "", "paused", "one origin", 60_000)
        most = limits.SEND_ATTEMPTS + 2
        lasts_ms = bench.clock.now_ms() + most * 60_000 + 30_000
        await bench.offer(*(bench.message(n, expires=lasts_ms) for n in range(4)))
        await bench.until(lambda: len(carrier.seen) == 4 * most, step_ms=1_000)
        for n in range(4):
            times = [seen_ms for seen_ms, message in carrier.seen if message.id == f"{n:032x}"]
            waits = [after - before for before, after in pairwise(times)]
            assert len(waits) == most - 1
            assert 60_000 <= min(waits) <= max(waits) < 70_000
        lane = bench.core.status()["lanes"][0]
        assert (lane["circuit"], lane["circuit_opened"], lane["paused_ms"]) == ("closed", 0, 0)
        assert not bench.told()
        carrier.answer = None
        await bench.offer(bench.message(9))
        await bench.until(lambda: len(bench.told()) == 1)  # nobody else waits
        assert bench.told()[f"{9:032x}"][REASON] == Reason.SENT
        carrier.answer = SubmitResult(Outcome.FAILED, "", "paused", "one origin", 60_000)
        await bench.until(lambda: len(bench.told()) == 5, step_ms=1_000)
        ended = [bench.told()[f"{n:032x}"] for n in range(4)]
        assert {each[REASON] for each in ended} == {Reason.EXPIRED}
        assert {each[CODE] for each in ended} == {"paused"}

    run(tmp_path, scenario)


def test_what_waited_with_another_route_takes_it_when_the_circuit_opens(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        circuit = {"failures": 5, "in": "1m", "for": "30s"}
        await bench.lanes(main={"circuit": circuit, "limits": [{"rate": "10/s"}]})
        (await watched(bench)).answer = SubmitResult(Outcome.FAILED, "", "8", "system error")
        elsewhere = {"sender": "", "content": "", "facts": None, "hop": 0, "last": False}
        await bench.offer(*(bench.message(n, **elsewhere) for n in range(2_500)))
        await bench.until(lambda: len(bench.told()) == 2_500, step_ms=10)
        reasons = {each[REASON] for each in bench.told().values()}
        assert reasons == {Reason.CARRIER_UNAVAILABLE}
        assert len(bench.core._lanes.running["w/main"]._aside) == 0
        codes = Counter(each[CODE] for each in bench.told().values())
        assert codes["8"] <= 10, "few were asked of the carrier"

    run(tmp_path, scenario)


def test_an_unknown_outcome_is_asked_for_where_the_carrier_can_be_asked(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={})
        carrier = await watched(bench)
        carrier.answer = unknown("timeout")

        async def query(batch: list[CarrierMessage]) -> list[SubmitResult]:
            return [SubmitResult(Outcome.ACCEPTED, f"found-{each.id}") for each in batch]

        bench.carrier().query = query  # type: ignore[attr-defined]
        await bench.offer(bench.message(1))
        await bench.until(lambda: len(bench.told()) == 1)
        assert bench.told()[f"{1:032x}"][REASON] == Reason.SENT

    run(tmp_path, scenario)


@pytest.mark.parametrize("purpose", ["otp", "marketing", "transactional"])
def test_an_unknown_outcome_is_sent_again_only_where_that_harms_nobody(
    tmp_path: Path, purpose: str
) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={"circuit": False})
        carrier = await watched(bench)
        carrier.answer = unknown("timeout")
        await bench.offer(bench.message(1, purpose=purpose, resend=True))
        await bench.until(lambda: len(bench.told()) == 1, step_ms=100)
        assert bench.told()[f"{1:032x}"][REASON] == Reason.UNKNOWN_OUTCOME
        assert len(carrier.seen) == (5 if purpose == "transactional" else 1)

    run(tmp_path, scenario)


def test_the_earliest_deadline_goes_first(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.lanes(main={"limits": [{"rate": "10/s"}]})
        seen = (await watched(bench)).seen
        now = bench.clock.now_ms()
        minutes = [9, 3, 7, 1, 8, 2]
        await bench.offer(
            *(bench.message(n, expires=now + at_ * 60_000, key="w/user/u")
              for n, at_ in enumerate(minutes))
        )  # fmt: skip
        await bench.until(lambda: len(bench.told()) == 6, step_ms=10)
        order = [minutes[int(message.id, 16)] for _, message in seen]
        assert order == sorted(minutes)

    run(tmp_path, scenario)


def _packed(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value)
    return packed


def _shard(key: str) -> int:
    return slots.shard_of(slots.slot_of(key), SHARDS)
