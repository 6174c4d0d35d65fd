import grpc.aio
from gateway.pb.denrei.v1 import definitions_pb2

class DefinitionsServiceStub:
    def __init__(self, channel: grpc.aio.Channel) -> None: ...
    ApplyDefinitions: grpc.aio.UnaryUnaryMultiCallable[definitions_pb2.ApplyDefinitionsRequest, definitions_pb2.ApplyDefinitionsResponse]
    GetDefinition: grpc.aio.UnaryUnaryMultiCallable[definitions_pb2.GetDefinitionRequest, definitions_pb2.Definition]
    ListDefinitions: grpc.aio.UnaryUnaryMultiCallable[definitions_pb2.ListDefinitionsRequest, definitions_pb2.ListDefinitionsResponse]
    ListDefinitionVersions: grpc.aio.UnaryUnaryMultiCallable[definitions_pb2.ListDefinitionVersionsRequest, definitions_pb2.ListDefinitionVersionsResponse]
    DeleteDefinition: grpc.aio.UnaryUnaryMultiCallable[definitions_pb2.DeleteDefinitionRequest, definitions_pb2.DeleteDefinitionResponse]
