import datetime

from gateway.pb.denrei.v1 import instances_pb2 as _instances_pb2
from gateway.pb.denrei.v1 import messages_pb2 as _messages_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
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

class Profile(_message.Message):
    __slots__ = ("name", "traits", "traits_msgpack", "segments", "instances", "ended_instances", "messages", "trail", "create_time", "update_time", "quarantine")
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
    def __init__(self, name: _Optional[str] = ..., traits: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., traits_msgpack: _Optional[bytes] = ..., segments: _Optional[_Iterable[_Union[SegmentMembership, _Mapping]]] = ..., instances: _Optional[_Iterable[_Union[_instances_pb2.Instance, _Mapping]]] = ..., ended_instances: _Optional[_Iterable[_Union[_instances_pb2.Instance, _Mapping]]] = ..., messages: _Optional[_Iterable[_Union[_messages_pb2.Message, _Mapping]]] = ..., trail: _Optional[_Iterable[_Union[TrailLine, _Mapping]]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., quarantine: _Optional[str] = ...) -> None: ...

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
