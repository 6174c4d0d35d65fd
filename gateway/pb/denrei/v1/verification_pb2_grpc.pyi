import grpc.aio
from gateway.pb.denrei.v1 import verification_pb2

class VerificationServiceStub:
    def __init__(self, channel: grpc.aio.Channel) -> None: ...
    StartVerification: grpc.aio.UnaryUnaryMultiCallable[verification_pb2.StartVerificationRequest, verification_pb2.Verification]
    CheckVerification: grpc.aio.UnaryUnaryMultiCallable[verification_pb2.CheckVerificationRequest, verification_pb2.CheckVerificationResponse]
    CancelVerification: grpc.aio.UnaryUnaryMultiCallable[verification_pb2.CancelVerificationRequest, verification_pb2.Verification]
    GetVerification: grpc.aio.UnaryUnaryMultiCallable[verification_pb2.GetVerificationRequest, verification_pb2.Verification]
    ReportAddress: grpc.aio.UnaryUnaryMultiCallable[verification_pb2.ReportAddressRequest, verification_pb2.ReportAddressResponse]
