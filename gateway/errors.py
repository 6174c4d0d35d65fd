"""Errors as a client sees them: one google.rpc status each, with details that a program can read.

Every status carries an ErrorInfo whose `reason` is a name of `engine.reasons.Reason` (or one of
those below) and whose `domain` is "denrei". What is wrong with a request names its field in a
BadRequest; what may be tried again says when in a RetryInfo; a limit that was met is named in a
QuotaFailure.
"""

from collections.abc import Iterable
from typing import Any, Final, NoReturn

import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from engine import limits
from engine.errors import Conflict, DenreiError, NotFound, Overloaded, Unavailable
from engine.issues import DefinitionError
from engine.reasons import Reason
from gateway.properties import Refused

Context = grpc.aio.ServicerContext[Any, Any]

DOMAIN: Final = "denrei"

# Reasons of a status that are not outcomes of a command.
UNAUTHENTICATED: Final = "UNAUTHENTICATED"
SCOPE_MISSING: Final = "SCOPE_MISSING"
DEVELOPMENT_KEY: Final = "DEVELOPMENT_KEY"
MALFORMED_REQUEST: Final = "MALFORMED_REQUEST"

RETRY_MS: Final = 1_000
_CODE_OF_REASON: Final = {
    Reason.USER_RATE: code_pb2.RESOURCE_EXHAUSTED,
    Reason.TRAITS_FULL: code_pb2.FAILED_PRECONDITION,
    Reason.QUARANTINED: code_pb2.FAILED_PRECONDITION,
    Reason.NOT_FOUND: code_pb2.NOT_FOUND,
    Reason.INVALID_DEFINITION: code_pb2.INVALID_ARGUMENT,
    Reason.VERSION_CONFLICT: code_pb2.ABORTED,
    Reason.IN_USE: code_pb2.FAILED_PRECONDITION,
    Reason.OUTBOX_FULL: code_pb2.RESOURCE_EXHAUSTED,
    Reason.UNKNOWN_COMMAND: code_pb2.UNIMPLEMENTED,
    Reason.TEMPLATE_MISSING: code_pb2.FAILED_PRECONDITION,
    Reason.NO_ADDRESS: code_pb2.FAILED_PRECONDITION,
    Reason.INSTANCES_FULL: code_pb2.RESOURCE_EXHAUSTED,
    Reason.INTERNAL: code_pb2.INTERNAL,
    Reason.KEY_REUSED: code_pb2.FAILED_PRECONDITION,
    Reason.OUT_OF_TURN: code_pb2.ABORTED,
    Reason.PERSON_SUPPRESSED: code_pb2.FAILED_PRECONDITION,
    Reason.JOURNEY_NOT_LIVE: code_pb2.FAILED_PRECONDITION,
    Reason.ENTRY_REFUSED: code_pb2.FAILED_PRECONDITION,
    Reason.ALREADY_RUNNING: code_pb2.FAILED_PRECONDITION,
    Reason.VERIFICATION_WRONG: code_pb2.FAILED_PRECONDITION,
    Reason.VERIFICATION_FAILED: code_pb2.FAILED_PRECONDITION,
    Reason.VERIFICATION_TOO_SOON: code_pb2.RESOURCE_EXHAUSTED,
    Reason.VERIFICATION_LIMIT: code_pb2.RESOURCE_EXHAUSTED,
    Reason.VERIFICATION_CHANNEL: code_pb2.FAILED_PRECONDITION,
    Reason.OVERLOADED: code_pb2.RESOURCE_EXHAUSTED,
    Reason.UNAVAILABLE: code_pb2.UNAVAILABLE,
    Reason.DEADLINE: code_pb2.DEADLINE_EXCEEDED,
}
RETRYABLE: Final = frozenset(
    {
        Reason.USER_RATE, Reason.OUTBOX_FULL, Reason.OVERLOADED, Reason.UNAVAILABLE,
        Reason.DEADLINE,
    }
)  # fmt: skip


_SENTENCES: Final = {
    Reason.USER_RATE: "too many events for this user in a short time",
    Reason.TRAITS_FULL: f"the profile has no room for more than {limits.TRAITS} traits",
    Reason.QUARANTINED: "an earlier command on this user met a defect; the user has to be released",
    Reason.NOT_FOUND: "what was named does not exist",
    Reason.INVALID_DEFINITION: "the definition does not hold together",
    Reason.VERSION_CONFLICT: "the definitions have changed since they were read; read them again",
    Reason.IN_USE: "another definition still refers to this one",
    Reason.OUTBOX_FULL: "too many effects of this user are under way; try again later",
    Reason.UNKNOWN_COMMAND: "the server is older than this command",
    Reason.TEMPLATE_MISSING: "there is no such template for this channel",
    Reason.NO_ADDRESS: "the profile has no address for this channel",
    Reason.INSTANCES_FULL: f"the user runs through {limits.INSTANCES} journeys already",
    Reason.INTERNAL: "a defect of the server; the user's trail holds it",
    Reason.KEY_REUSED: "this request_id was used for another request within 24 hours",
    Reason.OUT_OF_TURN: "a merged profile passed this on before what it follows; it comes again",
    Reason.PERSON_SUPPRESSED: "the person is suppressed: nothing about them is taken",
    Reason.JOURNEY_NOT_LIVE: "the journey is not live: a draft, paused or archived",
    Reason.ENTRY_REFUSED: "the journey did not let the user in; the user's trail says why",
    Reason.ALREADY_RUNNING: "a run of this journey with this key is under way",
    Reason.VERIFICATION_WRONG: "that is not the code",
    Reason.VERIFICATION_FAILED: "too many wrong answers; start again",
    Reason.VERIFICATION_TOO_SOON: "a code was sent a moment ago; see next_send_time",
    Reason.VERIFICATION_LIMIT: "too many codes were asked for",
    Reason.VERIFICATION_CHANNEL: "the verification has no such channel to this address",
    Reason.OVERLOADED: "a queue is full; send the same again later",
    Reason.UNAVAILABLE: "the shard did not answer; send the same ids again",
    Reason.DEADLINE: "the deadline passed; the outcome is unknown: send the same ids again",
}


def sentence(reason: Reason) -> str:
    """What a reason of a shard means, for a person."""
    return _SENTENCES.get(reason, reason.name)


class StatusError(Exception):
    """A call ends with this status.

    Attributes:
        status: The google.rpc status.
    """

    def __init__(self, status: status_pb2.Status) -> None:
        super().__init__(status.message)
        self.status = status


def _status(code: int, reason: str, message: str, *details: Message) -> StatusError:
    status = status_pb2.Status(code=code, message=message)
    for detail in (error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN), *details):
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return StatusError(status)


def _retry(after_ms: int) -> error_details_pb2.RetryInfo:
    info = error_details_pb2.RetryInfo()
    info.retry_delay.FromMilliseconds(max(1, after_ms))
    return info


def bad_request(
    reason: Reason | str, violations: Iterable[tuple[str, str]], message: str = ""
) -> StatusError:
    """INVALID_ARGUMENT: something is wrong with the request, whatever the system's state.

    Args:
        reason: The reason of the ErrorInfo.
        violations: Field and description, one for each thing that is wrong.
        message: The status's message; if it is empty, the first description.
    """
    detail = error_details_pb2.BadRequest()
    for field, description in violations:
        detail.field_violations.add(field=field, description=description)
    if not message:
        message = detail.field_violations[0].description
    name = reason.name if isinstance(reason, Reason) else reason
    return _status(code_pb2.INVALID_ARGUMENT, name, message, detail)


def invalid(field: str, description: str) -> StatusError:
    """INVALID_ARGUMENT about one field, with the reason INVALID_ARGUMENT."""
    return bad_request(Reason.INVALID_ARGUMENT, [(field, description)])


def not_found(what: str) -> StatusError:
    """NOT_FOUND."""
    return _status(code_pb2.NOT_FOUND, Reason.NOT_FOUND.name, f"{what} does not exist")


def unauthenticated(message: str) -> StatusError:
    """UNAUTHENTICATED: no key, or one that is not good."""
    return _status(code_pb2.UNAUTHENTICATED, UNAUTHENTICATED, message)


def denied(reason: str, message: str) -> StatusError:
    """PERMISSION_DENIED: a good key that may not do this."""
    return _status(code_pb2.PERMISSION_DENIED, reason, message)


def refused(reason: Reason, field: str = "", message: str = "") -> StatusError:
    """A command that was refused with a reason, as the status of a call.

    Args:
        reason: Why.
        field: The request's field at fault, if it is known.
        message: A sentence; if it is empty, the reason's own.
    """
    message = message or sentence(reason)
    code = _CODE_OF_REASON.get(reason)
    if code is None:
        return bad_request(reason, [(field, message)])
    details: list[Message] = []
    if field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=message)
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if code == code_pb2.RESOURCE_EXHAUSTED:
        quota = error_details_pb2.QuotaFailure.Violation(subject=reason.name, description=message)
        details.append(error_details_pb2.QuotaFailure(violations=[quota]))
    if reason in RETRYABLE:
        details.append(_retry(RETRY_MS))
    return _status(code, reason.name, message, *details)


def overloaded(what: str, retry_after_ms: int) -> StatusError:
    """RESOURCE_EXHAUSTED with a QuotaFailure and a RetryInfo."""
    violation = error_details_pb2.QuotaFailure.Violation(subject=what, description=what)
    return _status(
        code_pb2.RESOURCE_EXHAUSTED,
        Reason.OVERLOADED.name,
        f"{what}; try again in {retry_after_ms} ms",
        error_details_pb2.QuotaFailure(violations=[violation]),
        _retry(retry_after_ms),
    )


def from_exception(error: Exception) -> StatusError | None:
    """The status of an error of the floors below, or None if it is a defect."""
    if isinstance(error, StatusError):
        return error
    if isinstance(error, Refused):
        return bad_request(error.reason, [(error.field, error.message)])
    if isinstance(error, DefinitionError):
        return _bad_definitions(error)
    if isinstance(error, Overloaded):
        return overloaded(error.what, error.retry_after_ms)
    if isinstance(error, Unavailable):
        name = Reason.UNAVAILABLE.name
        return _status(code_pb2.UNAVAILABLE, name, error.what, _retry(error.retry_after_ms))
    if isinstance(error, NotFound):
        return not_found(str(error))
    if isinstance(error, Conflict):
        return _status(code_pb2.FAILED_PRECONDITION, "CONFLICT", str(error))
    if isinstance(error, TimeoutError):
        return refused(Reason.DEADLINE)
    if isinstance(error, DenreiError):
        return _status(code_pb2.INTERNAL, Reason.INTERNAL.name, str(error))
    return None


def _bad_definitions(error: DefinitionError) -> StatusError:
    """One field violation for each issue; the field is the path in the document."""
    violations = [
        (f"{issue.source or issue.where}: {issue.field}".rstrip(": "), str(issue))
        for issue in error.issues
    ]
    return bad_request(Reason.INVALID_DEFINITION, violations, str(error))


def internal() -> StatusError:
    """INTERNAL: a defect; what it was stands in the server's log, not in the answer."""
    text = "a defect of the server; its log holds the details"
    return _status(code_pb2.INTERNAL, Reason.INTERNAL.name, text)


async def abort(context: Context, error: StatusError) -> NoReturn:
    """Ends a call with a status and its details; it raises, as `context.abort` does."""
    status = rpc_status.to_status(error.status)
    await context.abort(status.code, status.details, status.trailing_metadata)
    raise AssertionError  # abort has raised


def summary(error: Exception) -> tuple[Reason, str, str, int]:
    """An error as a rejection of a batch tells it: reason, field, message, and retry delay (ms)."""
    known = from_exception(error) or internal()
    reason, field, retry_ms = Reason.INVALID_ARGUMENT, "", 0
    for detail in known.status.details:
        info = error_details_pb2.ErrorInfo()
        bad = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            reason = Reason.__members__.get(info.reason, Reason.INVALID_ARGUMENT)
        elif detail.Unpack(bad):
            field = bad.field_violations[0].field
        elif detail.Unpack(retry):
            retry_ms = retry.retry_delay.ToMilliseconds()
    return reason, field, known.status.message, retry_ms
