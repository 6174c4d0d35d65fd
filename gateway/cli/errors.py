"""Errors of a command: what is wrong, what to do, and the exit code that a script reads."""

from collections.abc import Iterator
from typing import Any, Final

FAILED: Final = 1
USAGE: Final = 2
NO_ANSWER: Final = 3
DENIED: Final = 4
REFUSED: Final = 5


class CliError(Exception):
    """A command ends with these words.

    Attributes:
        what: What is wrong, with its place.
        hint: What to do about it; may be empty.
        code: The process's exit code.
    """

    def __init__(self, what: str, hint: str = "", code: int = FAILED) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.code = code


def from_exception(error: Exception) -> CliError | None:
    """An error in words for a person; None for one that is a defect and keeps its traceback.

    Modules that a command did not need are not imported for this: an error of theirs cannot have
    been raised.
    """
    if isinstance(error, CliError):
        return error
    kinds = {f"{kind.__module__}.{kind.__name__}" for kind in type(error).__mro__}
    if "grpc.RpcError" in kinds:
        return from_status(error)
    if "actors.store.errors.StoreError" in kinds:
        return CliError(error.what, error.remedy)  # type: ignore[attr-defined]
    if "pydantic_core._pydantic_core.ValidationError" in kinds:
        return CliError("\n".join(_settings_issues(error)), "", USAGE)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return CliError(f"{where}{error.strerror or error}")
    return None


def _settings_issues(error: Any) -> Iterator[str]:
    """What is wrong with settings or a mapping, a line for each thing."""
    for details in error.errors(include_url=False):
        place = ".".join(str(part) for part in details["loc"])
        message = details["msg"].removeprefix("Value error, ")
        yield f"{place}: {message}" if place else message


_CODES: Final = {
    "UNAVAILABLE": NO_ANSWER,
    "DEADLINE_EXCEEDED": NO_ANSWER,
    "UNAUTHENTICATED": DENIED,
    "PERMISSION_DENIED": DENIED,
    "INVALID_ARGUMENT": REFUSED,
    "FAILED_PRECONDITION": REFUSED,
    "NOT_FOUND": REFUSED,
    "ALREADY_EXISTS": REFUSED,
    "ABORTED": REFUSED,
    "OUT_OF_RANGE": REFUSED,
    "RESOURCE_EXHAUSTED": FAILED,
}
_HINTS: Final = {
    "UNAVAILABLE": "see `denrei status`; start an instance with `denrei up`",
    "DEADLINE_EXCEEDED": "see `denrei status`, and give it longer with --timeout",
    "UNAUTHENTICATED": "give a key with --key or DENREI_API_KEY, or name the store with --store",
    "PERMISSION_DENIED": "make a key with the scope: `denrei keys create --scope ...`",
    "UNIMPLEMENTED": "this instance is older than the command: update it",
}


def from_status(error: Any) -> CliError:
    """A gRPC status in words, with the fields at fault."""
    name = error.code().name
    what = error.details() or name.lower().replace("_", " ")
    lines = [what, *(line for line in _violations(error) if line not in what)]
    return CliError("\n".join(lines), _HINTS.get(name, ""), _CODES.get(name, FAILED))


def _violations(error: Any) -> Iterator[str]:
    for violation in details_of(error, "BadRequest", "field_violations"):
        field = violation.field
        words = violation.description
        yield f"{field}: {words}" if field and not words.startswith(field) else words


def retry_delay_s(error: Any) -> float | None:
    """How long a status asks to wait before the same request is sent again; None if it does not."""
    for detail in _details(error, "RetryInfo"):
        return float(detail.retry_delay.ToMilliseconds()) / 1_000
    return None


def details_of(error: Any, kind: str, field: str) -> Iterator[Any]:
    """The items of a repeated field of the details of one kind."""
    for detail in _details(error, kind):
        yield from getattr(detail, field)


def _details(error: Any, kind: str) -> Iterator[Any]:
    from google.rpc import error_details_pb2  # noqa: PLC0415 - who has gRPC gets here
    from grpc_status import rpc_status  # noqa: PLC0415

    status = rpc_status.from_call(error) if hasattr(error, "trailing_metadata") else None
    for packed in status.details if status else ():
        if packed.type_url.endswith(f".{kind}"):
            detail = getattr(error_details_pb2, kind)()
            if packed.Unpack(detail):
                yield detail
