import datetime

from gateway.pb.denrei.v1 import messages_pb2 as _messages_pb2
from gateway.pb.denrei.v1 import reason_pb2 as _reason_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Verification(_message.Message):
    __slots__ = ("name", "state", "user", "create_time", "expire_time", "end_time", "next_send_time", "attempts_left", "sendings")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Verification.State]
        PENDING: _ClassVar[Verification.State]
        APPROVED: _ClassVar[Verification.State]
        CANCELLED: _ClassVar[Verification.State]
        EXPIRED: _ClassVar[Verification.State]
        TOO_MANY_ATTEMPTS: _ClassVar[Verification.State]
    STATE_UNSPECIFIED: Verification.State
    PENDING: Verification.State
    APPROVED: Verification.State
    CANCELLED: Verification.State
    EXPIRED: Verification.State
    TOO_MANY_ATTEMPTS: Verification.State
    class Sending(_message.Message):
        __slots__ = ("message", "channel", "time", "status")
        MESSAGE_FIELD_NUMBER: _ClassVar[int]
        CHANNEL_FIELD_NUMBER: _ClassVar[int]
        TIME_FIELD_NUMBER: _ClassVar[int]
        STATUS_FIELD_NUMBER: _ClassVar[int]
        message: str
        channel: _messages_pb2.Channel
        time: _timestamp_pb2.Timestamp
        status: _reason_pb2.Reason
        def __init__(self, message: _Optional[str] = ..., channel: _Optional[_Union[_messages_pb2.Channel, str]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., status: _Optional[_Union[_reason_pb2.Reason, str]] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    NEXT_SEND_TIME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_LEFT_FIELD_NUMBER: _ClassVar[int]
    SENDINGS_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: Verification.State
    user: str
    create_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    next_send_time: _timestamp_pb2.Timestamp
    attempts_left: int
    sendings: _containers.RepeatedCompositeFieldContainer[Verification.Sending]
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[Verification.State, str]] = ..., user: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., next_send_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attempts_left: _Optional[int] = ..., sendings: _Optional[_Iterable[_Union[Verification.Sending, _Mapping]]] = ...) -> None: ...

class StartVerificationRequest(_message.Message):
    __slots__ = ("parent", "verification", "request_id", "channel", "user", "locale", "ip", "device", "trusted")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    VERIFICATION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    LOCALE_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    TRUSTED_FIELD_NUMBER: _ClassVar[int]
    parent: str
    verification: str
    request_id: str
    channel: _messages_pb2.Channel
    user: str
    locale: str
    ip: str
    device: str
    trusted: bool
    def __init__(self, parent: _Optional[str] = ..., verification: _Optional[str] = ..., request_id: _Optional[str] = ..., channel: _Optional[_Union[_messages_pb2.Channel, str]] = ..., user: _Optional[str] = ..., locale: _Optional[str] = ..., ip: _Optional[str] = ..., device: _Optional[str] = ..., trusted: _Optional[bool] = ...) -> None: ...

class CheckVerificationRequest(_message.Message):
    __slots__ = ("name", "request_id", "code")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    code: str
    def __init__(self, name: _Optional[str] = ..., request_id: _Optional[str] = ..., code: _Optional[str] = ...) -> None: ...

class CheckVerificationResponse(_message.Message):
    __slots__ = ("outcome", "verification")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    VERIFICATION_FIELD_NUMBER: _ClassVar[int]
    outcome: _reason_pb2.Reason
    verification: Verification
    def __init__(self, outcome: _Optional[_Union[_reason_pb2.Reason, str]] = ..., verification: _Optional[_Union[Verification, _Mapping]] = ...) -> None: ...

class CancelVerificationRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetVerificationRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ReportAddressRequest(_message.Message):
    __slots__ = ("parent", "kind")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[ReportAddressRequest.Kind]
        LEGITIMATE: _ClassVar[ReportAddressRequest.Kind]
        FRAUD: _ClassVar[ReportAddressRequest.Kind]
        VERIFIED: _ClassVar[ReportAddressRequest.Kind]
        NOT_VERIFIED: _ClassVar[ReportAddressRequest.Kind]
        UNDELIVERED: _ClassVar[ReportAddressRequest.Kind]
    KIND_UNSPECIFIED: ReportAddressRequest.Kind
    LEGITIMATE: ReportAddressRequest.Kind
    FRAUD: ReportAddressRequest.Kind
    VERIFIED: ReportAddressRequest.Kind
    NOT_VERIFIED: ReportAddressRequest.Kind
    UNDELIVERED: ReportAddressRequest.Kind
    PARENT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    parent: str
    kind: ReportAddressRequest.Kind
    def __init__(self, parent: _Optional[str] = ..., kind: _Optional[_Union[ReportAddressRequest.Kind, str]] = ...) -> None: ...

class ReportAddressResponse(_message.Message):
    __slots__ = ("senders",)
    SENDERS_FIELD_NUMBER: _ClassVar[int]
    senders: int
    def __init__(self, senders: _Optional[int] = ...) -> None: ...
