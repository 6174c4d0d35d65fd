import datetime

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

class ListBroadcastsRequest(_message.Message):
    __slots__ = ("parent",)
    PARENT_FIELD_NUMBER: _ClassVar[int]
    parent: str
    def __init__(self, parent: _Optional[str] = ...) -> None: ...

class ListBroadcastsResponse(_message.Message):
    __slots__ = ("broadcasts",)
    BROADCASTS_FIELD_NUMBER: _ClassVar[int]
    broadcasts: _containers.RepeatedCompositeFieldContainer[Broadcast]
    def __init__(self, broadcasts: _Optional[_Iterable[_Union[Broadcast, _Mapping]]] = ...) -> None: ...

class Broadcast(_message.Message):
    __slots__ = ("number", "state", "visited", "offered", "start_time", "end_time", "due_time")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Broadcast.State]
        WALKING: _ClassVar[Broadcast.State]
        DONE: _ClassVar[Broadcast.State]
        CANCELLED: _ClassVar[Broadcast.State]
    STATE_UNSPECIFIED: Broadcast.State
    WALKING: Broadcast.State
    DONE: Broadcast.State
    CANCELLED: Broadcast.State
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    VISITED_FIELD_NUMBER: _ClassVar[int]
    OFFERED_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    number: int
    state: Broadcast.State
    visited: int
    offered: int
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    due_time: _timestamp_pb2.Timestamp
    def __init__(self, number: _Optional[int] = ..., state: _Optional[_Union[Broadcast.State, str]] = ..., visited: _Optional[int] = ..., offered: _Optional[int] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., due_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class EnterJourneyRequest(_message.Message):
    __slots__ = ("parent", "journey", "context_msgpack", "context_json", "request_id")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    JOURNEY_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_MSGPACK_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_JSON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    parent: str
    journey: str
    context_msgpack: bytes
    context_json: bytes
    request_id: str
    def __init__(self, parent: _Optional[str] = ..., journey: _Optional[str] = ..., context_msgpack: _Optional[bytes] = ..., context_json: _Optional[bytes] = ..., request_id: _Optional[str] = ...) -> None: ...

class EnterJourneyResponse(_message.Message):
    __slots__ = ("outcome",)
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    outcome: _reason_pb2.Reason
    def __init__(self, outcome: _Optional[_Union[_reason_pb2.Reason, str]] = ...) -> None: ...

class StopInstanceRequest(_message.Message):
    __slots__ = ("name", "why")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    name: str
    why: str
    def __init__(self, name: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...

class GetInstanceRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListInstancesRequest(_message.Message):
    __slots__ = ("parent", "journey", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    JOURNEY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    journey: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., journey: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListInstancesResponse(_message.Message):
    __slots__ = ("instances", "next_page_token")
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    instances: _containers.RepeatedCompositeFieldContainer[Instance]
    next_page_token: str
    def __init__(self, instances: _Optional[_Iterable[_Union[Instance, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Instance(_message.Message):
    __slots__ = ("name", "journey", "version", "key", "step", "state", "status", "enter_time", "end_time", "due_time", "trail")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Instance.State]
        RUNNING: _ClassVar[Instance.State]
        COMPLETED: _ClassVar[Instance.State]
        EXITED: _ClassVar[Instance.State]
        FAILED: _ClassVar[Instance.State]
        STOPPED: _ClassVar[Instance.State]
    STATE_UNSPECIFIED: Instance.State
    RUNNING: Instance.State
    COMPLETED: Instance.State
    EXITED: Instance.State
    FAILED: Instance.State
    STOPPED: Instance.State
    class Move(_message.Message):
        __slots__ = ("time", "step", "what", "why")
        TIME_FIELD_NUMBER: _ClassVar[int]
        STEP_FIELD_NUMBER: _ClassVar[int]
        WHAT_FIELD_NUMBER: _ClassVar[int]
        WHY_FIELD_NUMBER: _ClassVar[int]
        time: _timestamp_pb2.Timestamp
        step: str
        what: str
        why: str
        def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., step: _Optional[str] = ..., what: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    JOURNEY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ENTER_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    TRAIL_FIELD_NUMBER: _ClassVar[int]
    name: str
    journey: str
    version: int
    key: str
    step: str
    state: Instance.State
    status: str
    enter_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    due_time: _timestamp_pb2.Timestamp
    trail: _containers.RepeatedCompositeFieldContainer[Instance.Move]
    def __init__(self, name: _Optional[str] = ..., journey: _Optional[str] = ..., version: _Optional[int] = ..., key: _Optional[str] = ..., step: _Optional[str] = ..., state: _Optional[_Union[Instance.State, str]] = ..., status: _Optional[str] = ..., enter_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., due_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., trail: _Optional[_Iterable[_Union[Instance.Move, _Mapping]]] = ...) -> None: ...
