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

class EventType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_TYPE_UNSPECIFIED: _ClassVar[EventType]
    IDENTIFY: _ClassVar[EventType]
    TRACK: _ClassVar[EventType]
    PAGE: _ClassVar[EventType]
    SCREEN: _ClassVar[EventType]
    GROUP: _ClassVar[EventType]
    ALIAS: _ClassVar[EventType]
EVENT_TYPE_UNSPECIFIED: EventType
IDENTIFY: EventType
TRACK: EventType
PAGE: EventType
SCREEN: EventType
GROUP: EventType
ALIAS: EventType

class Event(_message.Message):
    __slots__ = ("type", "user_id", "anonymous_id", "event", "name", "group_id", "previous_id", "message_id", "timestamp", "original_timestamp", "sent_at", "properties_msgpack", "properties_json", "traits_msgpack", "traits_json", "context_msgpack", "context_json")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ANONYMOUS_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_MSGPACK_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_JSON_FIELD_NUMBER: _ClassVar[int]
    TRAITS_MSGPACK_FIELD_NUMBER: _ClassVar[int]
    TRAITS_JSON_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_MSGPACK_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_JSON_FIELD_NUMBER: _ClassVar[int]
    type: EventType
    user_id: str
    anonymous_id: str
    event: str
    name: str
    group_id: str
    previous_id: str
    message_id: str
    timestamp: _timestamp_pb2.Timestamp
    original_timestamp: _timestamp_pb2.Timestamp
    sent_at: _timestamp_pb2.Timestamp
    properties_msgpack: bytes
    properties_json: bytes
    traits_msgpack: bytes
    traits_json: bytes
    context_msgpack: bytes
    context_json: bytes
    def __init__(self, type: _Optional[_Union[EventType, str]] = ..., user_id: _Optional[str] = ..., anonymous_id: _Optional[str] = ..., event: _Optional[str] = ..., name: _Optional[str] = ..., group_id: _Optional[str] = ..., previous_id: _Optional[str] = ..., message_id: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., original_timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., sent_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., properties_msgpack: _Optional[bytes] = ..., properties_json: _Optional[bytes] = ..., traits_msgpack: _Optional[bytes] = ..., traits_json: _Optional[bytes] = ..., context_msgpack: _Optional[bytes] = ..., context_json: _Optional[bytes] = ...) -> None: ...

class PublishRequest(_message.Message):
    __slots__ = ("event",)
    EVENT_FIELD_NUMBER: _ClassVar[int]
    event: Event
    def __init__(self, event: _Optional[_Union[Event, _Mapping]] = ...) -> None: ...

class PublishResponse(_message.Message):
    __slots__ = ("message_id", "outcome")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    outcome: _reason_pb2.Reason
    def __init__(self, message_id: _Optional[str] = ..., outcome: _Optional[_Union[_reason_pb2.Reason, str]] = ...) -> None: ...

class PublishBatchRequest(_message.Message):
    __slots__ = ("events", "sent_at")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    sent_at: _timestamp_pb2.Timestamp
    def __init__(self, events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., sent_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PublishBatchResponse(_message.Message):
    __slots__ = ("outcomes", "rejections", "retry_delay")
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    RETRY_DELAY_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedScalarFieldContainer[_reason_pb2.Reason]
    rejections: _containers.RepeatedCompositeFieldContainer[_reason_pb2.Rejection]
    retry_delay: _duration_pb2.Duration
    def __init__(self, outcomes: _Optional[_Iterable[_Union[_reason_pb2.Reason, str]]] = ..., rejections: _Optional[_Iterable[_Union[_reason_pb2.Rejection, _Mapping]]] = ..., retry_delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class PublishStreamRequest(_message.Message):
    __slots__ = ("sequence", "events", "sent_at")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    events: _containers.RepeatedCompositeFieldContainer[Event]
    sent_at: _timestamp_pb2.Timestamp
    def __init__(self, sequence: _Optional[int] = ..., events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., sent_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PublishStreamResponse(_message.Message):
    __slots__ = ("sequence", "outcomes", "rejections", "retry_delay")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    RETRY_DELAY_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    outcomes: _containers.RepeatedScalarFieldContainer[_reason_pb2.Reason]
    rejections: _containers.RepeatedCompositeFieldContainer[_reason_pb2.Rejection]
    retry_delay: _duration_pb2.Duration
    def __init__(self, sequence: _Optional[int] = ..., outcomes: _Optional[_Iterable[_Union[_reason_pb2.Reason, str]]] = ..., rejections: _Optional[_Iterable[_Union[_reason_pb2.Rejection, _Mapping]]] = ..., retry_delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
