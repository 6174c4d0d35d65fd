import datetime

from gateway.pb.denrei.v1 import messages_pb2 as _messages_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReceivedMessage(_message.Message):
    __slots__ = ("name", "channel", "lane", "sender", "to", "body", "media", "provider_id", "keyword", "time", "carrier_values")
    class CarrierValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    MEDIA_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    KEYWORD_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    CARRIER_VALUES_FIELD_NUMBER: _ClassVar[int]
    name: str
    channel: _messages_pb2.Channel
    lane: str
    sender: str
    to: str
    body: str
    media: _containers.RepeatedScalarFieldContainer[str]
    provider_id: str
    keyword: str
    time: _timestamp_pb2.Timestamp
    carrier_values: _containers.ScalarMap[str, str]
    def __init__(self, name: _Optional[str] = ..., channel: _Optional[_Union[_messages_pb2.Channel, str]] = ..., lane: _Optional[str] = ..., sender: _Optional[str] = ..., to: _Optional[str] = ..., body: _Optional[str] = ..., media: _Optional[_Iterable[str]] = ..., provider_id: _Optional[str] = ..., keyword: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., carrier_values: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ListReceivedMessagesRequest(_message.Message):
    __slots__ = ("parent",)
    PARENT_FIELD_NUMBER: _ClassVar[int]
    parent: str
    def __init__(self, parent: _Optional[str] = ...) -> None: ...

class ListReceivedMessagesResponse(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[ReceivedMessage]
    def __init__(self, messages: _Optional[_Iterable[_Union[ReceivedMessage, _Mapping]]] = ...) -> None: ...
