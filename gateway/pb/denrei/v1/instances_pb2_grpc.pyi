import grpc.aio
from gateway.pb.denrei.v1 import instances_pb2

class InstancesServiceStub:
    def __init__(self, channel: grpc.aio.Channel) -> None: ...
    GetInstance: grpc.aio.UnaryUnaryMultiCallable[instances_pb2.GetInstanceRequest, instances_pb2.Instance]
    ListInstances: grpc.aio.UnaryUnaryMultiCallable[instances_pb2.ListInstancesRequest, instances_pb2.ListInstancesResponse]
    ListBroadcasts: grpc.aio.UnaryUnaryMultiCallable[instances_pb2.ListBroadcastsRequest, instances_pb2.ListBroadcastsResponse]
    EnterJourney: grpc.aio.UnaryUnaryMultiCallable[instances_pb2.EnterJourneyRequest, instances_pb2.EnterJourneyResponse]
    StopInstance: grpc.aio.UnaryUnaryMultiCallable[instances_pb2.StopInstanceRequest, instances_pb2.Instance]
