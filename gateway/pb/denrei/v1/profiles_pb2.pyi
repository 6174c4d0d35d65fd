import datetime

from gateway.pb.denrei.v1 import instances_pb2 as _instances_pb2
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

class GetProfileRequest(_message.Message):
    __slots__ = ("name", "omit_trail")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OMIT_TRAIL_FIELD_NUMBER: _ClassVar[int]
    name: str
    omit_trail: bool
    def __init__(self, name: _Optional[str] = ..., omit_trail: _Optional[bool] = ...) -> None: ...

class ReleaseProfileRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class EraseProfileRequest(_message.Message):
    __slots__ = ("name", "request_id", "suppress", "now")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUPPRESS_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    suppress: bool
    now: bool
    def __init__(self, name: _Optional[str] = ..., request_id: _Optional[str] = ..., suppress: _Optional[bool] = ..., now: _Optional[bool] = ...) -> None: ...

class EraseProfileResponse(_message.Message):
    __slots__ = ("outcome", "waiting")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    outcome: _reason_pb2.Reason
    waiting: int
    def __init__(self, outcome: _Optional[_Union[_reason_pb2.Reason, str]] = ..., waiting: _Optional[int] = ...) -> None: ...

class SuppressProfileRequest(_message.Message):
    __slots__ = ("name", "lift")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LIFT_FIELD_NUMBER: _ClassVar[int]
    name: str
    lift: bool
    def __init__(self, name: _Optional[str] = ..., lift: _Optional[bool] = ...) -> None: ...

class SuppressProfileResponse(_message.Message):
    __slots__ = ("outcome",)
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    outcome: _reason_pb2.Reason
    def __init__(self, outcome: _Optional[_Union[_reason_pb2.Reason, str]] = ...) -> None: ...

class ExportProfileRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ExportProfileResponse(_message.Message):
    __slots__ = ("json",)
    JSON_FIELD_NUMBER: _ClassVar[int]
    json: bytes
    def __init__(self, json: _Optional[bytes] = ...) -> None: ...

class SetConsentsRequest(_message.Message):
    __slots__ = ("name", "request_id", "consents", "by", "time")
    class Consent(_message.Message):
        __slots__ = ("channel", "topic", "status")
        CHANNEL_FIELD_NUMBER: _ClassVar[int]
        TOPIC_FIELD_NUMBER: _ClassVar[int]
        STATUS_FIELD_NUMBER: _ClassVar[int]
        channel: str
        topic: str
        status: str
        def __init__(self, channel: _Optional[str] = ..., topic: _Optional[str] = ..., status: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CONSENTS_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    consents: _containers.RepeatedCompositeFieldContainer[SetConsentsRequest.Consent]
    by: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., request_id: _Optional[str] = ..., consents: _Optional[_Iterable[_Union[SetConsentsRequest.Consent, _Mapping]]] = ..., by: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SetConsentsResponse(_message.Message):
    __slots__ = ("outcome",)
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    outcome: _reason_pb2.Reason
    def __init__(self, outcome: _Optional[_Union[_reason_pb2.Reason, str]] = ...) -> None: ...

class Profile(_message.Message):
    __slots__ = ("name", "traits", "traits_msgpack", "segments", "instances", "ended_instances", "messages", "trail", "create_time", "update_time", "quarantine", "identifiers", "merges")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TRAITS_FIELD_NUMBER: _ClassVar[int]
    TRAITS_MSGPACK_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    ENDED_INSTANCES_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    TRAIL_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    QUARANTINE_FIELD_NUMBER: _ClassVar[int]
    IDENTIFIERS_FIELD_NUMBER: _ClassVar[int]
    MERGES_FIELD_NUMBER: _ClassVar[int]
    name: str
    traits: _struct_pb2.Struct
    traits_msgpack: bytes
    segments: _containers.RepeatedCompositeFieldContainer[SegmentMembership]
    instances: _containers.RepeatedCompositeFieldContainer[_instances_pb2.Instance]
    ended_instances: _containers.RepeatedCompositeFieldContainer[_instances_pb2.Instance]
    messages: _containers.RepeatedCompositeFieldContainer[_messages_pb2.Message]
    trail: _containers.RepeatedCompositeFieldContainer[TrailLine]
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    quarantine: str
    identifiers: _containers.RepeatedCompositeFieldContainer[Identifier]
    merges: _containers.RepeatedCompositeFieldContainer[Merge]
    def __init__(self, name: _Optional[str] = ..., traits: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., traits_msgpack: _Optional[bytes] = ..., segments: _Optional[_Iterable[_Union[SegmentMembership, _Mapping]]] = ..., instances: _Optional[_Iterable[_Union[_instances_pb2.Instance, _Mapping]]] = ..., ended_instances: _Optional[_Iterable[_Union[_instances_pb2.Instance, _Mapping]]] = ..., messages: _Optional[_Iterable[_Union[_messages_pb2.Message, _Mapping]]] = ..., trail: _Optional[_Iterable[_Union[TrailLine, _Mapping]]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., quarantine: _Optional[str] = ..., identifiers: _Optional[_Iterable[_Union[Identifier, _Mapping]]] = ..., merges: _Optional[_Iterable[_Union[Merge, _Mapping]]] = ...) -> None: ...

class Identifier(_message.Message):
    __slots__ = ("kind", "id", "state")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Identifier.State]
        ASKED: _ClassVar[Identifier.State]
        MERGED: _ClassVar[Identifier.State]
        FOREIGN: _ClassVar[Identifier.State]
        BLOCKED: _ClassVar[Identifier.State]
    STATE_UNSPECIFIED: Identifier.State
    ASKED: Identifier.State
    MERGED: Identifier.State
    FOREIGN: Identifier.State
    BLOCKED: Identifier.State
    KIND_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    id: str
    state: Identifier.State
    def __init__(self, kind: _Optional[str] = ..., id: _Optional[str] = ..., state: _Optional[_Union[Identifier.State, str]] = ...) -> None: ...

class Merge(_message.Message):
    __slots__ = ("time", "source", "via", "message_id", "moved", "kept_traits", "stopped_journeys", "dropped")
    class MovedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    TIME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    VIA_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    MOVED_FIELD_NUMBER: _ClassVar[int]
    KEPT_TRAITS_FIELD_NUMBER: _ClassVar[int]
    STOPPED_JOURNEYS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    source: str
    via: str
    message_id: str
    moved: _containers.ScalarMap[str, int]
    kept_traits: _containers.RepeatedScalarFieldContainer[str]
    stopped_journeys: _containers.RepeatedScalarFieldContainer[str]
    dropped: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., source: _Optional[str] = ..., via: _Optional[str] = ..., message_id: _Optional[str] = ..., moved: _Optional[_Mapping[str, int]] = ..., kept_traits: _Optional[_Iterable[str]] = ..., stopped_journeys: _Optional[_Iterable[str]] = ..., dropped: _Optional[_Iterable[str]] = ...) -> None: ...

class SegmentMembership(_message.Message):
    __slots__ = ("segment", "enter_time")
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    ENTER_TIME_FIELD_NUMBER: _ClassVar[int]
    segment: str
    enter_time: _timestamp_pb2.Timestamp
    def __init__(self, segment: _Optional[str] = ..., enter_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class TrailLine(_message.Message):
    __slots__ = ("time", "kind", "subject", "detail")
    TIME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    kind: str
    subject: str
    detail: str
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., kind: _Optional[str] = ..., subject: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...
