import grpc.aio
from gateway.pb.denrei.v1 import events_pb2

class EventsServiceStub:
    def __init__(self, channel: grpc.aio.Channel) -> None: ...
    Publish: grpc.aio.UnaryUnaryMultiCallable[events_pb2.PublishRequest, events_pb2.PublishResponse]
    PublishBatch: grpc.aio.UnaryUnaryMultiCallable[events_pb2.PublishBatchRequest, events_pb2.PublishBatchResponse]
    PublishStream: grpc.aio.StreamStreamMultiCallable[events_pb2.PublishStreamRequest, events_pb2.PublishStreamResponse]
