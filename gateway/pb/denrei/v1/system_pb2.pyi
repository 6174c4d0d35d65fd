import datetime

from gateway.pb.denrei.v1 import messages_pb2 as _messages_pb2
from gateway.pb.denrei.v1 import reason_pb2 as _reason_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Status(_message.Message):
    __slots__ = ("server_version", "time", "shards", "hosts", "senders", "gateways")
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    SENDERS_FIELD_NUMBER: _ClassVar[int]
    GATEWAYS_FIELD_NUMBER: _ClassVar[int]
    server_version: str
    time: _timestamp_pb2.Timestamp
    shards: _containers.RepeatedCompositeFieldContainer[Shard]
    hosts: _containers.RepeatedCompositeFieldContainer[Component]
    senders: _containers.RepeatedCompositeFieldContainer[Component]
    gateways: _containers.RepeatedCompositeFieldContainer[Component]
    def __init__(self, server_version: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., shards: _Optional[_Iterable[_Union[Shard, _Mapping]]] = ..., hosts: _Optional[_Iterable[_Union[Component, _Mapping]]] = ..., senders: _Optional[_Iterable[_Union[Component, _Mapping]]] = ..., gateways: _Optional[_Iterable[_Union[Component, _Mapping]]] = ...) -> None: ...

class Shard(_message.Message):
    __slots__ = ("index", "host", "serving", "definitions_version", "details", "error")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    SERVING_FIELD_NUMBER: _ClassVar[int]
    DEFINITIONS_VERSION_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    index: int
    host: str
    serving: bool
    definitions_version: int
    details: _struct_pb2.Struct
    error: str
    def __init__(self, index: _Optional[int] = ..., host: _Optional[str] = ..., serving: _Optional[bool] = ..., definitions_version: _Optional[int] = ..., details: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., error: _Optional[str] = ...) -> None: ...

class Component(_message.Message):
    __slots__ = ("name", "serving", "details")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SERVING_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    name: str
    serving: bool
    details: _struct_pb2.Struct
    def __init__(self, name: _Optional[str] = ..., serving: _Optional[bool] = ..., details: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class GetReportRequest(_message.Message):
    __slots__ = ("page_token",)
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_token: str
    def __init__(self, page_token: _Optional[str] = ...) -> None: ...

class Report(_message.Message):
    __slots__ = ("profiles", "segments", "instances", "messages", "next_page_token")
    class SegmentCount(_message.Message):
        __slots__ = ("segment", "members", "entered", "left")
        SEGMENT_FIELD_NUMBER: _ClassVar[int]
        MEMBERS_FIELD_NUMBER: _ClassVar[int]
        ENTERED_FIELD_NUMBER: _ClassVar[int]
        LEFT_FIELD_NUMBER: _ClassVar[int]
        segment: str
        members: int
        entered: int
        left: int
        def __init__(self, segment: _Optional[str] = ..., members: _Optional[int] = ..., entered: _Optional[int] = ..., left: _Optional[int] = ...) -> None: ...
    class InstanceCount(_message.Message):
        __slots__ = ("journey", "status", "step", "count")
        JOURNEY_FIELD_NUMBER: _ClassVar[int]
        STATUS_FIELD_NUMBER: _ClassVar[int]
        STEP_FIELD_NUMBER: _ClassVar[int]
        COUNT_FIELD_NUMBER: _ClassVar[int]
        journey: str
        status: str
        step: str
        count: int
        def __init__(self, journey: _Optional[str] = ..., status: _Optional[str] = ..., step: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...
    class MessageCount(_message.Message):
        __slots__ = ("channel", "carrier", "status", "count")
        CHANNEL_FIELD_NUMBER: _ClassVar[int]
        CARRIER_FIELD_NUMBER: _ClassVar[int]
        STATUS_FIELD_NUMBER: _ClassVar[int]
        COUNT_FIELD_NUMBER: _ClassVar[int]
        channel: _messages_pb2.Channel
        carrier: str
        status: _reason_pb2.Reason
        count: int
        def __init__(self, channel: _Optional[_Union[_messages_pb2.Channel, str]] = ..., carrier: _Optional[str] = ..., status: _Optional[_Union[_reason_pb2.Reason, str]] = ..., count: _Optional[int] = ...) -> None: ...
    PROFILES_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    profiles: int
    segments: _containers.RepeatedCompositeFieldContainer[Report.SegmentCount]
    instances: _containers.RepeatedCompositeFieldContainer[Report.InstanceCount]
    messages: _containers.RepeatedCompositeFieldContainer[Report.MessageCount]
    next_page_token: str
    def __init__(self, profiles: _Optional[int] = ..., segments: _Optional[_Iterable[_Union[Report.SegmentCount, _Mapping]]] = ..., instances: _Optional[_Iterable[_Union[Report.InstanceCount, _Mapping]]] = ..., messages: _Optional[_Iterable[_Union[Report.MessageCount, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("name", "kinds")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    kinds: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., kinds: _Optional[_Iterable[str]] = ...) -> None: ...

class FeedLine(_message.Message):
    __slots__ = ("time", "kind", "name", "subject", "detail")
    TIME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    kind: str
    name: str
    subject: str
    detail: str
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., kind: _Optional[str] = ..., name: _Optional[str] = ..., subject: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class AdvanceClockRequest(_message.Message):
    __slots__ = ("time",)
    TIME_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class AdvanceClockResponse(_message.Message):
    __slots__ = ("time",)
    TIME_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Key(_message.Message):
    __slots__ = ("name", "scopes", "development", "create_time", "revoke_time")
    class Scope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SCOPE_UNSPECIFIED: _ClassVar[Key.Scope]
        PUBLISH: _ClassVar[Key.Scope]
        READ: _ClassVar[Key.Scope]
        DEFINE: _ClassVar[Key.Scope]
        SEND: _ClassVar[Key.Scope]
        ADMIN: _ClassVar[Key.Scope]
    SCOPE_UNSPECIFIED: Key.Scope
    PUBLISH: Key.Scope
    READ: Key.Scope
    DEFINE: Key.Scope
    SEND: Key.Scope
    ADMIN: Key.Scope
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    DEVELOPMENT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    REVOKE_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    scopes: _containers.RepeatedScalarFieldContainer[Key.Scope]
    development: bool
    create_time: _timestamp_pb2.Timestamp
    revoke_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., scopes: _Optional[_Iterable[_Union[Key.Scope, str]]] = ..., development: _Optional[bool] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., revoke_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateKeyRequest(_message.Message):
    __slots__ = ("scopes",)
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    scopes: _containers.RepeatedScalarFieldContainer[Key.Scope]
    def __init__(self, scopes: _Optional[_Iterable[_Union[Key.Scope, str]]] = ...) -> None: ...

class CreateKeyResponse(_message.Message):
    __slots__ = ("key", "secret")
    KEY_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    key: Key
    secret: str
    def __init__(self, key: _Optional[_Union[Key, _Mapping]] = ..., secret: _Optional[str] = ...) -> None: ...

class ListKeysRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListKeysResponse(_message.Message):
    __slots__ = ("keys", "next_page_token")
    KEYS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[Key]
    next_page_token: str
    def __init__(self, keys: _Optional[_Iterable[_Union[Key, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RevokeKeyRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...
