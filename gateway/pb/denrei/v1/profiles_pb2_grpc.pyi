import grpc.aio
from gateway.pb.denrei.v1 import profiles_pb2

class ProfilesServiceStub:
    def __init__(self, channel: grpc.aio.Channel) -> None: ...
    GetProfile: grpc.aio.UnaryUnaryMultiCallable[profiles_pb2.GetProfileRequest, profiles_pb2.Profile]
    ReleaseProfile: grpc.aio.UnaryUnaryMultiCallable[profiles_pb2.ReleaseProfileRequest, profiles_pb2.Profile]
