"""Verifications where something is done twice: answers, starts, and codes whose fate is unknown."""

import pytest

from engine import commands
from engine.messages.message import VOICE
from engine.reasons import Reason
from engine.verification import record
from engine.verification.sealed import SEALED
from tests.unit.test_verification import LANES, LOGIN, PHONE, Desk, digest

ONE_WAY = LANES + LOGIN.replace("[sms, voice, email]", "[sms]")


def seals(desk: Desk) -> list[tuple[str, str]]:
    """The channel and the code of each message that waits."""
    return [
        (one.channel, one.facts[SEALED]) for one in desk.sent() if one.facts and SEALED in one.facts
    ]


# The same id of a request, with another code.


def test_an_id_that_was_right_is_no_pass_for_another_code() -> None:
    desk = Desk()
    desk.ask("123456")
    assert desk.check("123456", request="b") is Reason.ACCEPTED
    assert desk.check("999999", request="b") is Reason.KEY_REUSED
    assert desk.check("123456", request="b") is Reason.ACCEPTED


def test_an_id_that_was_wrong_does_not_make_the_right_code_wrong() -> None:
    desk = Desk()
    desk.ask("123456")
    assert desk.check("000000", request="a") is Reason.VERIFICATION_WRONG
    assert desk.check("123456", request="a") is Reason.KEY_REUSED
    assert desk.state()["attempts_left"] == 2
    assert desk.check("123456", request="b") is Reason.ACCEPTED


def test_what_an_older_version_kept_of_an_answer_is_still_told() -> None:
    desk = Desk()
    desk.ask("123456")
    desk.check("000000", request="a")
    one = record.find(desk.desk(), "login")
    assert one is not None
    one.answers = [record.Answer("a", int(Reason.VERIFICATION_WRONG))]
    record.keep(desk.desk(), "login", one)
    assert desk.check("123456", request="a") is Reason.VERIFICATION_WRONG


# The time from one code to the next.


def close(desk: Desk) -> None:
    desk.result(commands.close(f"w/address/{PHONE}", "x", "login"))


def burn(desk: Desk) -> None:
    for _ in range(3):
        desk.check("a guess")


@pytest.mark.parametrize("end", [close, burn])
def test_who_ends_one_waits_for_the_next_all_the_same(end: object) -> None:
    assert callable(end)
    desk = Desk()
    desk.ask()
    end(desk)
    assert desk.ask() is Reason.VERIFICATION_TOO_SOON
    assert desk.state()["next_send_ms"] == desk.now + 30_000
    desk.at("30s")
    assert desk.ask() is Reason.ACCEPTED
    end(desk)
    desk.at("1m29s")
    assert desk.ask() is Reason.VERIFICATION_TOO_SOON  # the second pause is a minute
    desk.at("1m30s")
    assert desk.ask() is Reason.ACCEPTED


def test_who_gave_the_right_code_does_not_wait() -> None:
    desk = Desk()
    desk.ask("123456")
    desk.check("123456")
    assert desk.state()["next_send_ms"] == 0
    assert desk.ask() is Reason.ACCEPTED


def test_starts_are_counted_for_as_long_as_a_limit_says() -> None:
    desk = Desk(LANES + LOGIN.replace("at_most: 4, within: 1h", "at_most: 1, within: 3d"))
    desk.ask("123456")
    desk.check("123456")
    desk.at("2d")
    assert desk.ask() is Reason.VERIFICATION_LIMIT
    desk.at("3d")
    assert record.find(desk.desk(), "login") is None
    assert desk.ask() is Reason.ACCEPTED


# A message of which nobody knows what became.


def unknown(desk: Desk) -> None:
    desk.receipt(desk.sent()[-1], Reason.UNKNOWN_OUTCOME)


def test_after_an_unknown_outcome_another_code_goes_by_the_next_channel() -> None:
    desk = Desk()
    desk.ask("111111", spare="222222")
    desk.at("2s")
    unknown(desk)
    desk.at("29s")
    assert len(desk.sent()) == 1  # a receipt may still come
    desk.at("30s")
    assert seals(desk) == [(VOICE, "sealed 222222")]
    assert desk.check("111111") is Reason.ACCEPTED  # it may have arrived after all


def test_another_code_goes_by_the_same_channel_if_there_is_no_other_and_once_only() -> None:
    desk = Desk(ONE_WAY)
    desk.ask("111111", spare="222222")
    unknown(desk)
    desk.at("30s")
    assert seals(desk) == [("sms", "sealed 222222")]
    unknown(desk)
    desk.at("9m")
    assert len(desk.sent()) == 2
    assert desk.check("222222") is Reason.ACCEPTED


def test_another_code_is_good_for_its_own_time() -> None:
    desk = Desk(ONE_WAY)
    desk.ask("111111", spare="222222")
    unknown(desk)
    desk.at("30s")
    desk.at("10m29s")
    assert desk.check("111111") is Reason.VERIFICATION_WRONG
    assert desk.state()["status"] == record.PENDING
    desk.at("10m30s")
    assert desk.state()["status"] == record.EXPIRED


@pytest.mark.parametrize("late", [Reason.DELIVERED, Reason.SENT])
def test_a_late_receipt_keeps_the_other_code_back(late: Reason) -> None:
    desk = Desk()
    desk.ask("111111", spare="222222")
    unknown(desk)
    desk.at("20s")
    desk.receipt(desk.sent()[0], late)
    desk.at("9m")
    assert len(desk.sent()) == 1


def test_a_late_failure_is_followed_at_once_and_by_one_message_only() -> None:
    desk = Desk()
    desk.ask("111111", spare="222222")
    unknown(desk)
    desk.at("20s")
    desk.receipt(desk.sent()[0], Reason.UNDELIVERED)
    assert seals(desk) == [(VOICE, "sealed 111111")]
    desk.at("9m")
    assert len(desk.sent()) == 2


def test_who_asks_again_after_an_unknown_outcome_gets_a_new_code_at_once() -> None:
    desk = Desk(f"{ONE_WAY}\nfallback: false")
    desk.ask("111111", spare="222222")
    unknown(desk)
    desk.at("9s")
    desk.at("30s")
    assert len(desk.sent()) == 1  # nothing goes by itself
    assert desk.ask("333333", spare="444444") is Reason.ACCEPTED
    assert seals(desk) == [("sms", "sealed 333333")]
    assert desk.check("111111") is Reason.ACCEPTED


def test_the_end_wipes_the_spare_code_too() -> None:
    desk = Desk()
    desk.ask("111111", spare="222222")
    unknown(desk)
    desk.check("111111")
    packed = desk.desk().pack()
    assert b"sealed 222222" not in packed
    assert digest("222222") not in packed
    desk.at("1m")
    assert len(desk.sent()) == 1


def test_a_timer_that_a_quarantine_has_taken_still_brings_another_code() -> None:
    desk = Desk()
    desk.ask("111111", spare="222222")
    unknown(desk)
    desk.shard._quarantine(desk.desk(), ValueError("a bug"))
    desk.apply(commands.release(f"w/address/{PHONE}"))
    desk.at("31s")
    assert seals(desk) == [(VOICE, "sealed 222222")]


# What the fraud guards are told.


def test_the_right_code_is_an_effect_for_the_fraud_guards() -> None:
    desk = Desk()
    desk.ask("123456")
    desk.check("654321")
    assert desk.effects[-1].forwards == []
    desk.check("123456", request="r")
    key = f"w/address/{PHONE}"
    ((source, forward_id, _, command),) = desk.effects[-1].forwards
    assert (source, command) == (key, commands.feedback(key, forward_id, "verified"))
    assert forward_id in desk.desk().outbox
    desk.check("123456", request="r")
    assert desk.effects[-1].forwards == []
    desk.apply(commands.settle(key, forward_id))
    assert forward_id not in desk.desk().outbox


def test_a_mailbox_is_nothing_to_a_fraud_guard() -> None:
    desk = Desk()
    desk.ask("123456", address="ann@example.org")
    assert desk.check("123456", address="ann@example.org") is Reason.ACCEPTED
    assert desk.effects[-1].forwards == []
