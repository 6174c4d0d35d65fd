from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACCEPTED: _ClassVar[Reason]
    DUPLICATE: _ClassVar[Reason]
    INVALID_ARGUMENT: _ClassVar[Reason]
    MISSING_USER: _ClassVar[Reason]
    MISSING_NAME: _ClassVar[Reason]
    TOO_LARGE: _ClassVar[Reason]
    TOO_LONG: _ClassVar[Reason]
    BAD_PROPERTIES: _ClassVar[Reason]
    BAD_TIMESTAMP: _ClassVar[Reason]
    TOO_MANY_KEYS: _ClassVar[Reason]
    BAD_KEY: _ClassVar[Reason]
    USER_RATE: _ClassVar[Reason]
    TRAITS_FULL: _ClassVar[Reason]
    QUARANTINED: _ClassVar[Reason]
    NOT_FOUND: _ClassVar[Reason]
    INVALID_DEFINITION: _ClassVar[Reason]
    VERSION_CONFLICT: _ClassVar[Reason]
    IN_USE: _ClassVar[Reason]
    OUTBOX_FULL: _ClassVar[Reason]
    UNKNOWN_COMMAND: _ClassVar[Reason]
    TEMPLATE_MISSING: _ClassVar[Reason]
    NO_ADDRESS: _ClassVar[Reason]
    INSTANCES_FULL: _ClassVar[Reason]
    INTERNAL: _ClassVar[Reason]
    OVERLOADED: _ClassVar[Reason]
    UNAVAILABLE: _ClassVar[Reason]
    DEADLINE: _ClassVar[Reason]
    QUEUED: _ClassVar[Reason]
    SENT: _ClassVar[Reason]
    DELIVERED: _ClassVar[Reason]
    CANCELLED: _ClassVar[Reason]
    EXPIRED: _ClassVar[Reason]
    NO_ROUTE: _ClassVar[Reason]
    INVALID_NUMBER: _ClassVar[Reason]
    UNROUTABLE_NUMBER: _ClassVar[Reason]
    FRAUD_BLOCKED: _ClassVar[Reason]
    CARRIER_REJECTED: _ClassVar[Reason]
    CARRIER_UNAVAILABLE: _ClassVar[Reason]
    UNKNOWN_OUTCOME: _ClassVar[Reason]
    QUEUE_FULL: _ClassVar[Reason]
    UNDELIVERED: _ClassVar[Reason]
    RENDER_FAILED: _ClassVar[Reason]
    READ: _ClassVar[Reason]
    THROTTLED: _ClassVar[Reason]
ACCEPTED: Reason
DUPLICATE: Reason
INVALID_ARGUMENT: Reason
MISSING_USER: Reason
MISSING_NAME: Reason
TOO_LARGE: Reason
TOO_LONG: Reason
BAD_PROPERTIES: Reason
BAD_TIMESTAMP: Reason
TOO_MANY_KEYS: Reason
BAD_KEY: Reason
USER_RATE: Reason
TRAITS_FULL: Reason
QUARANTINED: Reason
NOT_FOUND: Reason
INVALID_DEFINITION: Reason
VERSION_CONFLICT: Reason
IN_USE: Reason
OUTBOX_FULL: Reason
UNKNOWN_COMMAND: Reason
TEMPLATE_MISSING: Reason
NO_ADDRESS: Reason
INSTANCES_FULL: Reason
INTERNAL: Reason
OVERLOADED: Reason
UNAVAILABLE: Reason
DEADLINE: Reason
QUEUED: Reason
SENT: Reason
DELIVERED: Reason
CANCELLED: Reason
EXPIRED: Reason
NO_ROUTE: Reason
INVALID_NUMBER: Reason
UNROUTABLE_NUMBER: Reason
FRAUD_BLOCKED: Reason
CARRIER_REJECTED: Reason
CARRIER_UNAVAILABLE: Reason
UNKNOWN_OUTCOME: Reason
QUEUE_FULL: Reason
UNDELIVERED: Reason
RENDER_FAILED: Reason
READ: Reason
THROTTLED: Reason

class Rejection(_message.Message):
    __slots__ = ("index", "reason", "field", "message", "retry")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    index: int
    reason: Reason
    field: str
    message: str
    retry: bool
    def __init__(self, index: _Optional[int] = ..., reason: _Optional[_Union[Reason, str]] = ..., field: _Optional[str] = ..., message: _Optional[str] = ..., retry: _Optional[bool] = ...) -> None: ...
