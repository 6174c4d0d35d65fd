import datetime

from gateway.pb.denrei.v1 import reason_pb2 as _reason_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Channel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANNEL_UNSPECIFIED: _ClassVar[Channel]
    SMS: _ClassVar[Channel]
    EMAIL: _ClassVar[Channel]
    PUSH: _ClassVar[Channel]
    WHATSAPP: _ClassVar[Channel]
    VOICE: _ClassVar[Channel]
    RCS: _ClassVar[Channel]

class Purpose(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PURPOSE_UNSPECIFIED: _ClassVar[Purpose]
    OTP: _ClassVar[Purpose]
    TRANSACTIONAL: _ClassVar[Purpose]
    MARKETING: _ClassVar[Purpose]
CHANNEL_UNSPECIFIED: Channel
SMS: Channel
EMAIL: Channel
PUSH: Channel
WHATSAPP: Channel
VOICE: Channel
RCS: Channel
PURPOSE_UNSPECIFIED: Purpose
OTP: Purpose
TRANSACTIONAL: Purpose
MARKETING: Purpose

class Message(_message.Message):
    __slots__ = ("name", "channel", "to", "purpose", "status", "body", "subject", "template", "lane", "carrier", "provider_id", "instance", "create_time", "expire_time", "warnings", "history", "sender", "hops", "replaced_by", "journey", "due_time")
    class Outcome(_message.Message):
        __slots__ = ("time", "status", "code", "detail")
        TIME_FIELD_NUMBER: _ClassVar[int]
        STATUS_FIELD_NUMBER: _ClassVar[int]
        CODE_FIELD_NUMBER: _ClassVar[int]
        DETAIL_FIELD_NUMBER: _ClassVar[int]
        time: _timestamp_pb2.Timestamp
        status: _reason_pb2.Reason
        code: str
        detail: str
        def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., status: _Optional[_Union[_reason_pb2.Reason, str]] = ..., code: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    CARRIER_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    HOPS_FIELD_NUMBER: _ClassVar[int]
    REPLACED_BY_FIELD_NUMBER: _ClassVar[int]
    JOURNEY_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    channel: Channel
    to: str
    purpose: Purpose
    status: _reason_pb2.Reason
    body: str
    subject: str
    template: str
    lane: str
    carrier: str
    provider_id: str
    instance: str
    create_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    warnings: _containers.RepeatedScalarFieldContainer[str]
    history: _containers.RepeatedCompositeFieldContainer[Message.Outcome]
    sender: str
    hops: int
    replaced_by: str
    journey: str
    due_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., channel: _Optional[_Union[Channel, str]] = ..., to: _Optional[str] = ..., purpose: _Optional[_Union[Purpose, str]] = ..., status: _Optional[_Union[_reason_pb2.Reason, str]] = ..., body: _Optional[str] = ..., subject: _Optional[str] = ..., template: _Optional[str] = ..., lane: _Optional[str] = ..., carrier: _Optional[str] = ..., provider_id: _Optional[str] = ..., instance: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ..., history: _Optional[_Iterable[_Union[Message.Outcome, _Mapping]]] = ..., sender: _Optional[str] = ..., hops: _Optional[int] = ..., replaced_by: _Optional[str] = ..., journey: _Optional[str] = ..., due_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SendMessageRequest(_message.Message):
    __slots__ = ("parent", "request_id", "channel", "purpose", "to", "template", "body", "subject", "data_msgpack", "data_json", "validity", "lane", "resend_unknown", "topic", "tags", "priority", "send_time", "success", "within", "fallbacks", "facts", "sender")
    class FactsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class Fallback(_message.Message):
        __slots__ = ("channel", "template", "body", "subject", "to", "lane", "success", "within")
        CHANNEL_FIELD_NUMBER: _ClassVar[int]
        TEMPLATE_FIELD_NUMBER: _ClassVar[int]
        BODY_FIELD_NUMBER: _ClassVar[int]
        SUBJECT_FIELD_NUMBER: _ClassVar[int]
        TO_FIELD_NUMBER: _ClassVar[int]
        LANE_FIELD_NUMBER: _ClassVar[int]
        SUCCESS_FIELD_NUMBER: _ClassVar[int]
        WITHIN_FIELD_NUMBER: _ClassVar[int]
        channel: Channel
        template: str
        body: str
        subject: str
        to: str
        lane: str
        success: _reason_pb2.Reason
        within: _duration_pb2.Duration
        def __init__(self, channel: _Optional[_Union[Channel, str]] = ..., template: _Optional[str] = ..., body: _Optional[str] = ..., subject: _Optional[str] = ..., to: _Optional[str] = ..., lane: _Optional[str] = ..., success: _Optional[_Union[_reason_pb2.Reason, str]] = ..., within: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
    PARENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    DATA_MSGPACK_FIELD_NUMBER: _ClassVar[int]
    DATA_JSON_FIELD_NUMBER: _ClassVar[int]
    VALIDITY_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    RESEND_UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    SEND_TIME_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    WITHIN_FIELD_NUMBER: _ClassVar[int]
    FALLBACKS_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    parent: str
    request_id: str
    channel: Channel
    purpose: Purpose
    to: str
    template: str
    body: str
    subject: str
    data_msgpack: bytes
    data_json: bytes
    validity: _duration_pb2.Duration
    lane: str
    resend_unknown: bool
    topic: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    priority: int
    send_time: _timestamp_pb2.Timestamp
    success: _reason_pb2.Reason
    within: _duration_pb2.Duration
    fallbacks: _containers.RepeatedCompositeFieldContainer[SendMessageRequest.Fallback]
    facts: _containers.ScalarMap[str, str]
    sender: str
    def __init__(self, parent: _Optional[str] = ..., request_id: _Optional[str] = ..., channel: _Optional[_Union[Channel, str]] = ..., purpose: _Optional[_Union[Purpose, str]] = ..., to: _Optional[str] = ..., template: _Optional[str] = ..., body: _Optional[str] = ..., subject: _Optional[str] = ..., data_msgpack: _Optional[bytes] = ..., data_json: _Optional[bytes] = ..., validity: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., lane: _Optional[str] = ..., resend_unknown: _Optional[bool] = ..., topic: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., priority: _Optional[int] = ..., send_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., success: _Optional[_Union[_reason_pb2.Reason, str]] = ..., within: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., fallbacks: _Optional[_Iterable[_Union[SendMessageRequest.Fallback, _Mapping]]] = ..., facts: _Optional[_Mapping[str, str]] = ..., sender: _Optional[str] = ...) -> None: ...

class SendMessagesRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[SendMessageRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[SendMessageRequest, _Mapping]]] = ...) -> None: ...

class SendMessagesResponse(_message.Message):
    __slots__ = ("results", "rejections", "retry_delay")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    RETRY_DELAY_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[SendMessageResult]
    rejections: _containers.RepeatedCompositeFieldContainer[_reason_pb2.Rejection]
    retry_delay: _duration_pb2.Duration
    def __init__(self, results: _Optional[_Iterable[_Union[SendMessageResult, _Mapping]]] = ..., rejections: _Optional[_Iterable[_Union[_reason_pb2.Rejection, _Mapping]]] = ..., retry_delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class SendMessageResult(_message.Message):
    __slots__ = ("name", "outcome")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    name: str
    outcome: _reason_pb2.Reason
    def __init__(self, name: _Optional[str] = ..., outcome: _Optional[_Union[_reason_pb2.Reason, str]] = ...) -> None: ...

class GetMessageRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class CancelMessageRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListMessagesRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token", "filter")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    filter: MessageFilter
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., filter: _Optional[_Union[MessageFilter, _Mapping]] = ...) -> None: ...

class MessageFilter(_message.Message):
    __slots__ = ("journey", "carrier", "channel", "lane", "statuses")
    JOURNEY_FIELD_NUMBER: _ClassVar[int]
    CARRIER_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    journey: str
    carrier: str
    channel: Channel
    lane: str
    statuses: _containers.RepeatedScalarFieldContainer[_reason_pb2.Reason]
    def __init__(self, journey: _Optional[str] = ..., carrier: _Optional[str] = ..., channel: _Optional[_Union[Channel, str]] = ..., lane: _Optional[str] = ..., statuses: _Optional[_Iterable[_Union[_reason_pb2.Reason, str]]] = ...) -> None: ...

class ListMessagesResponse(_message.Message):
    __slots__ = ("messages", "next_page_token")
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[Message]
    next_page_token: str
    def __init__(self, messages: _Optional[_Iterable[_Union[Message, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchMessagesRequest(_message.Message):
    __slots__ = ("parent", "filter")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    parent: str
    filter: MessageFilter
    def __init__(self, parent: _Optional[str] = ..., filter: _Optional[_Union[MessageFilter, _Mapping]] = ...) -> None: ...

class MessageChange(_message.Message):
    __slots__ = ("name", "status", "time", "detail")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    name: str
    status: _reason_pb2.Reason
    time: _timestamp_pb2.Timestamp
    detail: str
    def __init__(self, name: _Optional[str] = ..., status: _Optional[_Union[_reason_pb2.Reason, str]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., detail: _Optional[str] = ...) -> None: ...
