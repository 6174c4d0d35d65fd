import grpc.aio
from gateway.pb.denrei.v1 import messages_pb2

class MessagesServiceStub:
    def __init__(self, channel: grpc.aio.Channel) -> None: ...
    SendMessage: grpc.aio.UnaryUnaryMultiCallable[messages_pb2.SendMessageRequest, messages_pb2.Message]
    SendMessages: grpc.aio.UnaryUnaryMultiCallable[messages_pb2.SendMessagesRequest, messages_pb2.SendMessagesResponse]
    GetMessage: grpc.aio.UnaryUnaryMultiCallable[messages_pb2.GetMessageRequest, messages_pb2.Message]
    CancelMessage: grpc.aio.UnaryUnaryMultiCallable[messages_pb2.CancelMessageRequest, messages_pb2.Message]
    ListMessages: grpc.aio.UnaryUnaryMultiCallable[messages_pb2.ListMessagesRequest, messages_pb2.ListMessagesResponse]
    StreamMessages: grpc.aio.UnaryStreamMultiCallable[messages_pb2.ListMessagesRequest, messages_pb2.Message]
    WatchMessages: grpc.aio.UnaryStreamMultiCallable[messages_pb2.WatchMessagesRequest, messages_pb2.MessageChange]
