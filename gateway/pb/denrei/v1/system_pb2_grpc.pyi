import grpc.aio
from gateway.pb.denrei.v1 import system_pb2

class SystemServiceStub:
    def __init__(self, channel: grpc.aio.Channel) -> None: ...
    GetStatus: grpc.aio.UnaryUnaryMultiCallable[system_pb2.GetStatusRequest, system_pb2.Status]
    GetReport: grpc.aio.UnaryUnaryMultiCallable[system_pb2.GetReportRequest, system_pb2.Report]
    Watch: grpc.aio.UnaryStreamMultiCallable[system_pb2.WatchRequest, system_pb2.FeedLine]
    AdvanceClock: grpc.aio.UnaryUnaryMultiCallable[system_pb2.AdvanceClockRequest, system_pb2.AdvanceClockResponse]
    CreateKey: grpc.aio.UnaryUnaryMultiCallable[system_pb2.CreateKeyRequest, system_pb2.CreateKeyResponse]
    ListKeys: grpc.aio.UnaryUnaryMultiCallable[system_pb2.ListKeysRequest, system_pb2.ListKeysResponse]
    RevokeKey: grpc.aio.UnaryUnaryMultiCallable[system_pb2.RevokeKeyRequest, system_pb2.Key]
