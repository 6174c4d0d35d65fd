import grpc.aio
from gateway.pb.denrei.v1 import conversations_pb2

class ConversationsServiceStub:
    def __init__(self, channel: grpc.aio.Channel) -> None: ...
    ListReceivedMessages: grpc.aio.UnaryUnaryMultiCallable[conversations_pb2.ListReceivedMessagesRequest, conversations_pb2.ListReceivedMessagesResponse]
