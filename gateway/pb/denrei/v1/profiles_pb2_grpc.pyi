import grpc.aio
from gateway.pb.denrei.v1 import profiles_pb2

class ProfilesServiceStub:
    def __init__(self, channel: grpc.aio.Channel) -> None: ...
    GetProfile: grpc.aio.UnaryUnaryMultiCallable[profiles_pb2.GetProfileRequest, profiles_pb2.Profile]
    ReleaseProfile: grpc.aio.UnaryUnaryMultiCallable[profiles_pb2.ReleaseProfileRequest, profiles_pb2.Profile]
    EraseProfile: grpc.aio.UnaryUnaryMultiCallable[profiles_pb2.EraseProfileRequest, profiles_pb2.EraseProfileResponse]
    SuppressProfile: grpc.aio.UnaryUnaryMultiCallable[profiles_pb2.SuppressProfileRequest, profiles_pb2.SuppressProfileResponse]
    ExportProfile: grpc.aio.UnaryStreamMultiCallable[profiles_pb2.ExportProfileRequest, profiles_pb2.ExportProfileResponse]
    SetConsents: grpc.aio.UnaryUnaryMultiCallable[profiles_pb2.SetConsentsRequest, profiles_pb2.SetConsentsResponse]
