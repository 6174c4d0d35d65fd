"""Errors: each of the floors below becomes one google.rpc status that a program can act on."""

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2

from engine.errors import Conflict, NotFound, Overloaded, Unavailable
from engine.issues import DefinitionError, Issue
from engine.reasons import Reason
from gateway import errors
from gateway.properties import Refused


def detail(status: status_pb2.Status, kind: type) -> object | None:
    found = [one for one in status.details if one.Is(kind.DESCRIPTOR)]
    if not found:
        return None
    message = kind()
    found[0].Unpack(message)
    return message


def status_of(error: Exception) -> status_pb2.Status:
    known = errors.from_exception(error)
    assert known is not None
    info = detail(known.status, error_details_pb2.ErrorInfo)
    assert info.domain == "denrei"
    return known.status


def reason_of(status: status_pb2.Status) -> str:
    return detail(status, error_details_pb2.ErrorInfo).reason


def retry_ms(status: status_pb2.Status) -> int | None:
    info = detail(status, error_details_pb2.RetryInfo)
    return None if info is None else info.retry_delay.ToMilliseconds()


def test_a_full_queue_says_which_and_when_to_try_again() -> None:
    status = status_of(Overloaded(250, "the queue to shard-host-0 is full"))
    assert status.code == code_pb2.RESOURCE_EXHAUSTED
    assert reason_of(status) == "OVERLOADED"
    assert retry_ms(status) == 250
    quota = detail(status, error_details_pb2.QuotaFailure)
    assert quota.violations[0].subject == "the queue to shard-host-0 is full"


def test_an_absent_shard_may_be_asked_again() -> None:
    status = status_of(Unavailable("shard 3 did not answer", 400))
    assert (status.code, reason_of(status)) == (code_pb2.UNAVAILABLE, "UNAVAILABLE")
    assert retry_ms(status) == 400
    assert retry_ms(status_of(Unavailable("x", 0))) == 1  # never a busy loop


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (NotFound("users/ann"), code_pb2.NOT_FOUND, "NOT_FOUND"),
        (Conflict("the clock is real"), code_pb2.FAILED_PRECONDITION, "CONFLICT"),
        (TimeoutError(), code_pb2.DEADLINE_EXCEEDED, "DEADLINE"),
    ],
)
def test_the_other_errors_of_the_floors_below(error: Exception, code: int, reason: str) -> None:
    status = status_of(error)
    assert (status.code, reason_of(status)) == (code, reason)


def test_every_issue_of_a_definition_is_a_field_violation() -> None:
    status = status_of(
        DefinitionError(
            [
                Issue(
                    "journey 'cart'", "step 'a' goes to 'b'", "did you mean 'c'?", "steps.a.then"
                ),
                Issue("lane 'x'", "no carrier", source="lanes.yaml:3"),
            ]
        )
    )
    assert (status.code, reason_of(status)) == (code_pb2.INVALID_ARGUMENT, "INVALID_DEFINITION")
    bad = detail(status, error_details_pb2.BadRequest)
    assert [violation.field for violation in bad.field_violations] == [
        "journey 'cart': steps.a.then",
        "lanes.yaml:3",
    ]
    assert "did you mean 'c'?" in bad.field_violations[0].description


def test_a_refused_item_names_its_field() -> None:
    status = status_of(Refused(Reason.TOO_LONG, "user_id", "too long"))
    assert (status.code, reason_of(status)) == (code_pb2.INVALID_ARGUMENT, "TOO_LONG")
    bad = detail(status, error_details_pb2.BadRequest)
    assert bad.field_violations[0].field == "user_id"
    assert errors.summary(Refused(Reason.TOO_LONG, "user_id", "too long")) == (
        Reason.TOO_LONG, "user_id", "too long", 0,
    )  # fmt: skip


def test_a_defect_is_not_told() -> None:
    assert errors.from_exception(KeyError("secret")) is None
    status = errors.internal().status
    assert (status.code, reason_of(status)) == (code_pb2.INTERNAL, "INTERNAL")
    assert errors.summary(KeyError("secret"))[0] is Reason.INTERNAL


def test_every_refusal_of_a_shard_has_a_code_and_a_sentence() -> None:
    for reason in Reason:
        if Reason.BAD_KEY < reason < Reason.QUEUED:
            status = errors.refused(reason).status
            assert status.code not in (code_pb2.OK, code_pb2.UNKNOWN)
            assert reason_of(status) == reason.name
            assert status.message != reason.name, f"{reason.name} has no sentence"
            assert (retry_ms(status) is not None) == (reason in errors.RETRYABLE)


def test_codes_are_those_of_grpc() -> None:
    codes = {code.value[0] for code in grpc.StatusCode}
    for reason in Reason:
        if reason > Reason.DUPLICATE:
            assert errors.refused(reason, "field", "words").status.code in codes
