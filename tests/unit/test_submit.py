"""What a carrier's answers mean: whether or not one of them stands out, the row is the same."""

from hypothesis import given
from hypothesis import strategies as st

from actors.carriers.base import Outcome, SubmitResult, accepted, rejected, throttled
from actors.senders.submit import results_row
from engine.lanes.queue import QueuedMessage
from engine.reasons import Reason


def message(number: int) -> QueuedMessage:
    return QueuedMessage(
        f"{number:032}", "default/user/ann", "default", "main", "sms", "+4915112345678",
        "transactional", "hi", "", 60_000, False, 0,
    )  # fmt: skip


ODD = (
    rejected("11", permanent=True, detail="no such number"),
    throttled(1_000, "88", "too fast"),
    SubmitResult(Outcome.ACCEPTED, "sb-x", code="0", detail="queued"),
)


@given(st.integers(1, 20), st.integers(0, 20), st.sampled_from(ODD))
def test_one_answer_that_stands_out_changes_nothing_for_the_others(
    count: int, at: int, odd: SubmitResult
) -> None:
    plain = [accepted(f"sb-{number}") for number in range(count)]
    messages = [message(number) for number in range(count)]
    row = results_row(7, messages, plain)
    assert row.reasons == bytes((Reason.SENT,)) * count
    assert row.provider_ids == [f"sb-{number}" for number in range(count)]
    assert not row.words
    at = min(at, count)
    more = [message(number) for number in range(count + 1)]
    mixed = results_row(7, more, [*plain[:at], odd, *plain[at:]])
    assert mixed.reasons[:at] + mixed.reasons[at + 1 :] == row.reasons
    assert mixed.provider_ids[:at] + mixed.provider_ids[at + 1 :] == row.provider_ids
    assert mixed.words == {at: (odd.code, odd.detail)}
    assert (mixed.reasons[at] == Reason.SENT) == (odd.outcome is Outcome.ACCEPTED)
    assert {each.attempt for each in (*messages, *more)} == {1}
