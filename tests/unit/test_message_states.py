"""The table of a message's life: whole, without circles, and as a person would have it."""

import itertools

import pytest

from engine.messages.message import Message, SendRequest, hop_of, new_message
from engine.messages.states import ARRIVED, ENDED, MOVES, OUTCOMES, STOPPED, WAITING
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
