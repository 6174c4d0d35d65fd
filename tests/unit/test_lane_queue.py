"""Shares, order, validity and bounds of a lane's queue."""

from collections import Counter
from copy import copy
from random import Random

import pytest

from engine.lanes.queue import LaneQueue, QueuedMessage, rooms
from engine.lanes.rates import UNLIMITED, Room
from engine.reasons import Reason

OPEN = Room(UNLIMITED, UNLIMITED)


def message(
    name: str, purpose: str = "marketing", units: int = 1, expires: int = 10**9
) -> QueuedMessage:
    return QueuedMessage(
        name, "w/user/u", "w", "main", "sms", "+12025550123", purpose, "hi", "", expires, False,
        0, units=units,
    )  # fmt: skip


def filled(queue: LaneQueue, purpose: str, count: int, units: int = 1) -> None:
    for number in range(count):
        assert queue.put(message(f"{purpose}{number}", purpose, units)) is Reason.QUEUED


def test_busy_classes_share_the_lane_50_30_20_over_any_stretch() -> None:
    queue = LaneQueue()
    for purpose in ("marketing", "transactional", "otp"):
        filled(queue, purpose, 1_000)
    for _ in range(10):
        taken, _ = queue.take(100, OPEN, 0)
        shares = Counter(each.purpose for each in taken)
        assert abs(shares["otp"] - 50) <= 1
        assert abs(shares["transactional"] - 30) <= 1
        assert abs(shares["marketing"] - 20) <= 1


def test_shares_are_of_units_not_of_messages() -> None:
    queue = LaneQueue()
    filled(queue, "otp", 1_000)
    filled(queue, "marketing", 1_000, units=5)
    spent: Counter[str] = Counter()
    for each in queue.take(300, OPEN, 0)[0]:
        spent[each.purpose] += each.units
    assert spent["otp"] / spent["marketing"] == pytest.approx(2.5, rel=0.1)


def test_an_idle_class_leaves_its_share_to_the_others() -> None:
    queue = LaneQueue()
    filled(queue, "marketing", 500)
    assert len(queue.take(400, OPEN, 0)[0]) == 400
    filled(queue, "transactional", 500)
    shares = Counter(each.purpose for each in queue.take(100, OPEN, 0)[0])
    assert abs(shares["transactional"] - 60) <= 1


def test_a_code_behind_a_thousand_newsletters_waits_for_one_message() -> None:
    queue = LaneQueue()
    filled(queue, "marketing", 1_000)
    queue.take(500, OPEN, 0)
    filled(queue, "otp", 3)
    taken, _ = queue.take(4, OPEN, 0)
    assert [each.purpose for each in taken[:3]].count("otp") >= 2
    assert "otp" in [each.purpose for each in taken[:2]]


def test_messages_of_a_class_keep_their_order() -> None:
    queue = LaneQueue()
    filled(queue, "otp", 50)
    names = [each.id for each in queue.take(20, OPEN, 0)[0] + queue.take(100, OPEN, 0)[0]]
    assert names == [f"otp{number}" for number in range(50)]


def test_it_takes_what_there_is_room_for_and_skips_nobody() -> None:
    queue = LaneQueue()
    for number, units in enumerate((2, 3, 1)):
        queue.put(message(str(number), units=units))
    assert [each.id for each in queue.take(9, Room(UNLIMITED, 4), 0)[0]] == ["0"]
    first, expired = queue.first(0)
    assert first is not None
    assert (first.id, expired) == ("1", [])
    assert [each.id for each in queue.take(9, Room(1, 9), 0)[0]] == ["1"]
    assert queue.take(9, Room(0, 9), 0) == ([], [])


def test_validity_is_checked_when_a_message_leaves() -> None:
    queue = LaneQueue()
    queue.put(message("old", expires=100))
    queue.put(message("young", expires=101))
    taken, expired = queue.take(9, OPEN, 100)
    assert [each.id for each in taken] == ["young"]
    assert [each.id for each in expired] == ["old"]
    assert len(queue) == 0


def test_expired_messages_are_found_wherever_they_stand() -> None:
    queue = LaneQueue()
    queue.put(message("young"))
    queue.put(message("old", expires=5))
    assert [each.id for each in queue.expire(5)] == ["old"]
    assert [each.id for each in queue.take(9, OPEN, 5)[0]] == ["young"]


def test_a_full_queue_refuses_and_a_cancelled_message_gives_its_place_back() -> None:
    queue = LaneQueue(capacity=3)  # room for three, of which marketing may be the first two
    first = message("a")
    assert queue.put(first) is Reason.QUEUED
    assert queue.put(message("b", "otp")) is Reason.QUEUED
    assert queue.put(message("c")) is Reason.QUEUE_FULL
    assert queue.cancel(first)
    assert not queue.cancel(first)
    assert queue.put(message("c")) is Reason.QUEUED
    assert queue.depths() == {"otp": 1, "transactional": 0, "marketing": 1}
    assert {each.id for each in queue.take(9, OPEN, 0)[0]} == {"b", "c"}


def test_a_queue_that_a_class_has_filled_has_room_for_those_above_it_only() -> None:
    queue = LaneQueue(capacity=10)
    for purpose, more in (("marketing", 8), ("transactional", 1), ("otp", 1)):
        filled(queue, purpose, more)
        assert queue.put(message("late", purpose)) is Reason.QUEUE_FULL
    assert len(queue) == 10
    assert queue.put(message("late", "a purpose that nobody knows")) is Reason.QUEUE_FULL
    queue.take(2, OPEN, 0)
    assert queue.put(message("late", "marketing")) is Reason.QUEUE_FULL
    assert queue.put(message("soon", "transactional")) is Reason.QUEUED


def test_a_class_has_room_for_what_those_above_it_have_left_of_its_part() -> None:
    queue = LaneQueue(capacity=10)
    filled(queue, "otp", 7)
    filled(queue, "marketing", 1)
    assert queue.put(message("late", "marketing")) is Reason.QUEUE_FULL


def test_every_class_has_room_in_the_smallest_queue_and_none_less_than_the_one_below() -> None:
    assert rooms(100_000) == (100_000, 90_000, 80_000)
    assert rooms(1) == (1, 1, 1)
    for capacity in range(1, 200):
        otp, transactional, marketing = rooms(capacity)
        assert capacity == otp >= transactional >= marketing >= 1


def test_a_smaller_capacity_holds_at_once_for_what_comes() -> None:
    queue = LaneQueue(capacity=10)
    filled(queue, "marketing", 8)
    queue.resize(5)
    assert queue.put(message("late", "otp")) is Reason.QUEUE_FULL
    assert len(queue.take(9, OPEN, 0)[0]) == 8


def test_cancelled_messages_do_not_pile_up() -> None:
    queue = LaneQueue()
    for number in range(20_000):
        each = message(str(number))
        queue.put(each)
        queue.cancel(each)
    assert sum(map(len, queue._queues)) <= 1_100


def test_what_is_put_back_goes_first_even_into_a_full_queue() -> None:
    queue = LaneQueue(capacity=1)
    again = message("again")
    queue.put(message("waiting"))
    queue.put_back(again)
    assert [each.id for each in queue.take(9, OPEN, 0)[0]] == ["again", "waiting"]


def test_a_batch_is_what_single_steps_would_have_taken() -> None:
    for seed in range(200):
        random = Random(seed)
        batch, steps = LaneQueue(), LaneQueue()
        for number in range(random.randrange(60)):
            purpose = random.choice(("otp", "transactional", "marketing"))
            each = message(str(number), purpose, random.randint(1, 4), random.choice((5, 99)))
            gone = random.random() < 0.1
            for queue in (batch, steps):
                mine = copy(each)
                queue.put(mine)
                if gone:
                    queue.cancel(mine)
        while len(batch):
            now_ms = random.choice((0, 9))
            count, pace, units = (random.randint(1, 40) for _ in range(3))
            taken, expired = batch.take(count, Room(pace, units), now_ms)
            alone: list[QueuedMessage] = []
            late: list[QueuedMessage] = []
            while len(alone) < count and pace > 0:
                one, old = steps.take(1, Room(1, units), now_ms)
                alone += one
                late += old
                if not one:
                    break
                pace -= one[0].units
                units -= one[0].units
            assert [each.id for each in taken] == [each.id for each in alone], f"seed {seed}"
            assert [each.id for each in expired] == [each.id for each in late], f"seed {seed}"
            assert len(batch) == len(steps), f"seed {seed}"
            if not taken and not expired:
                break


def test_messages_that_are_put_together_leave_as_if_each_had_been_put_alone() -> None:
    random = Random(7)
    alone, together = LaneQueue(capacity=20), LaneQueue(capacity=20)
    refused = 0
    for turn in range(300):
        purpose = random.choice(["otp", "transactional", "transactional"])
        group = [
            message(f"{turn}.{at}", purpose, random.choice([1, 1, 2]), 5_000 * turn + later)
            for at, later in enumerate(random.choices([20_000, 20_000, 40_000], k=9))
        ]
        copies = [copy(each) for each in group]
        if together.put_all(copies):
            assert {alone.put(each) for each in group} == {Reason.QUEUED}
        else:
            refused += 1
            assert Reason.QUEUE_FULL in [alone.put(each) for each in group]
            assert Reason.QUEUE_FULL in [together.put(each) for each in copies]
        room = random.choice([OPEN, Room(random.randrange(9), random.randrange(12))])
        for taken, taken_too in zip(
            alone.take(20, room, 5_000 * turn), together.take(20, room, 5_000 * turn), strict=True
        ):
            assert [each.id for each in taken] == [each.id for each in taken_too]
        assert alone.depths() == together.depths()
    assert refused > 10
