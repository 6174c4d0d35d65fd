import grpc.aio
from gateway.pb.denrei.v1 import segments_pb2

class SegmentsServiceStub:
    def __init__(self, channel: grpc.aio.Channel) -> None: ...
    GetSegment: grpc.aio.UnaryUnaryMultiCallable[segments_pb2.GetSegmentRequest, segments_pb2.Segment]
    ListMembers: grpc.aio.UnaryUnaryMultiCallable[segments_pb2.ListMembersRequest, segments_pb2.ListMembersResponse]
    StreamMembers: grpc.aio.UnaryStreamMultiCallable[segments_pb2.StreamMembersRequest, segments_pb2.StreamMembersResponse]
