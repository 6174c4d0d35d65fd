"""The table of a message's life: whole, without circles, and as a person would have it."""

import itertools

import pytest

from engine.messages.message import Message, SendRequest, hop_of, new_message
from engine.messages.states import (
    ARRIVED,
    ATTEMPTS,
    ENDED,
    MOVES,
    OUTCOMES,
    STOPPED,
    WAITING,
    WITH_SENDER,
)
from engine.reasons import Reason

NOW = 1_700_000_000_000


def message(status: Reason = Reason.QUEUED) -> Message:
    request = SendRequest("sms", "", "otp", "hi")
    return new_message("0" * 32, request, "+12025550123", "main", NOW, status, "")


def test_every_outcome_has_its_row_and_no_row_leads_elsewhere() -> None:
    assert set(MOVES) == OUTCOMES
    assert {reason for reason in Reason if reason >= Reason.QUEUED} <= OUTCOMES
    assert set().union(*MOVES.values()) <= OUTCOMES


def test_no_way_leads_back() -> None:
    def ways(status: int, before: tuple[int, ...]) -> None:
        for following in MOVES[status]:
            assert following not in before, (before, following)
            ways(following, (*before, following))

    for status in OUTCOMES:
        ways(status, (status,))


def test_nothing_follows_what_never_went_to_a_sender() -> None:
    assert all(not MOVES[status] for status in STOPPED)
    assert all(not MOVES[status] & ARRIVED for status in WAITING)


def test_a_delivery_is_believed_over_any_end() -> None:
    for end in ENDED:
        one = message(end)
        assert one.record(Reason.DELIVERED, NOW)
        assert one.status == Reason.DELIVERED


@pytest.mark.parametrize("end", [Reason.UNDELIVERED, Reason.EXPIRED, Reason.CARRIER_REJECTED])
def test_the_order_of_receipts_does_not_matter(end: Reason) -> None:
    told = (Reason.SENT, Reason.PARTIALLY_DELIVERED, Reason.DELIVERED, Reason.READ, end)
    for count in range(1, len(told) + 1):
        for chosen in itertools.combinations(told, count):
            found = set()
            for order in itertools.permutations(chosen):
                one = message()
                for reason in order:
                    one.record(reason, NOW)
                found.add(one.status)
            assert len(found) == 1, chosen


def test_whatever_follows_a_hand_over_may_follow_each_attempt() -> None:
    after = MOVES[Reason.QUEUED] - ATTEMPTS - {Reason.FRAUD_DELAYED}
    assert MOVES[Reason.FRAUD_DELAYED] == after | ATTEMPTS
    assert {MOVES[attempt] for attempt in ATTEMPTS} == {after}
    assert MOVES[Reason.SENT] < after
    assert not after & (WAITING | WITH_SENDER)


ATTEMPT = [
    (Reason.SENDING, 1), (Reason.THROTTLED, 3), (Reason.SENDING, 5), (Reason.THROTTLED, 5),
    (Reason.SENDING, 8),
]  # fmt: skip


@pytest.mark.parametrize("count", range(1, len(ATTEMPT) + 1))
def test_the_later_word_of_attempts_counts_in_whatever_order_they_come(count: int) -> None:
    told = ATTEMPT[:count]
    for order in itertools.permutations(told):
        one = message()
        for reason, at_ms in (*order, *order[:2], *told):
            one.record(reason, NOW + at_ms)
        assert one.status == told[-1][0], order
        assert len(one.history) <= 1 + 2 * count


def test_each_attempt_has_its_lines_and_a_repeat_none() -> None:
    one = message()
    for reason, at_ms in (*ATTEMPT, *ATTEMPT, (Reason.SENT, 9), *ATTEMPT):
        one.record(reason, NOW + at_ms)
    assert [(line[1], line[0] - NOW) for line in one.history] == [
        (Reason.QUEUED, 0), *ATTEMPT, (Reason.SENT, 9),
    ]  # fmt: skip


def test_a_message_that_is_refused_for_ever_keeps_its_newest_attempts_and_all_else() -> None:
    one = message(Reason.SCHEDULED)
    one.record(Reason.HELD, NOW)
    one.record(Reason.QUEUED, NOW)
    for number in range(100):
        one.record(Reason.SENDING, NOW + 10 * number)
        one.record(Reason.THROTTLED, NOW + 10 * number + 5, str(number))
    one.record(Reason.EXPIRED, NOW + 1_000)
    found = [line[1] for line in one.history]
    assert found[:3] == [Reason.SCHEDULED, Reason.HELD, Reason.QUEUED]
    assert found[3:] == [Reason.SENDING, Reason.THROTTLED] * 6 + [Reason.EXPIRED]
    assert one.history[-2] == (NOW + 995, Reason.THROTTLED, "99", "")


def test_a_repeat_adds_no_line_and_what_is_late_adds_one() -> None:
    one = message()
    for reason in (Reason.DELIVERED, Reason.DELIVERED, Reason.SENT, Reason.SENT):
        one.record(reason, NOW)
    assert [line[1] for line in one.history] == [Reason.QUEUED, Reason.DELIVERED, Reason.SENT]


def test_a_full_history_keeps_the_first_line_and_those_that_moved_the_status() -> None:
    one = message()
    for number in range(30):
        one.remark(Reason.THROTTLED, NOW + number, str(number))
    for reason in (Reason.SENT, Reason.DELIVERED, Reason.READ):
        one.record(reason, NOW)
    found = [line[1] for line in one.history]
    assert (len(found), found[0], found[-3:]) == (
        16,
        Reason.QUEUED,
        [Reason.SENT, Reason.DELIVERED, Reason.READ],
    )


def test_the_names_of_attempts() -> None:
    id_ = "ab" * 16
    assert hop_of(id_) == (id_, 0)
    assert hop_of(f"{id_}.3") == (id_, 3)
    assert hop_of("what is this") == ("what is this", 0)
    one = message()
    one.others = (("second", "+1"), ("third", ""))
    assert one.offer("k", "w")[0] == one.id
    assert one.offer("k", "w")[15:] == (0, False)
    one.go_on(NOW, "")
    assert one.offer("k", "w")[0] == f"{one.id}.1"
    one.go_on(NOW, "")
    assert one.offer("k", "w")[15:] == (2, True)
    assert (one.lane, one.sender, one.status) == ("third", "", Reason.QUEUED)


def test_the_attempts_of_another_lane_begin_anew() -> None:
    one = message()
    one.others = (("second", ""),)
    one.record(Reason.SENDING, NOW + 9)
    one.go_on(NOW + 9, "")
    assert one.record(Reason.SENDING, NOW + 1), "by a clock that is behind"
    assert one.record(Reason.THROTTLED, NOW + 2)
    assert not one.record(Reason.SENDING, NOW + 2)
    assert one.status == Reason.THROTTLED
