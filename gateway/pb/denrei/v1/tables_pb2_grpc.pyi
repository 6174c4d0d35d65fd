import grpc.aio
from gateway.pb.denrei.v1 import tables_pb2

class TablesServiceStub:
    def __init__(self, channel: grpc.aio.Channel) -> None: ...
    LoadTable: grpc.aio.StreamStreamMultiCallable[tables_pb2.LoadTableRequest, tables_pb2.LoadTableResponse]
    GetTable: grpc.aio.UnaryUnaryMultiCallable[tables_pb2.GetTableRequest, tables_pb2.Table]
    ListTables: grpc.aio.UnaryUnaryMultiCallable[tables_pb2.ListTablesRequest, tables_pb2.ListTablesResponse]
    DeleteTable: grpc.aio.UnaryUnaryMultiCallable[tables_pb2.DeleteTableRequest, tables_pb2.DeleteTableResponse]
    GetRow: grpc.aio.UnaryUnaryMultiCallable[tables_pb2.GetRowRequest, tables_pb2.Row]
    ListRows: grpc.aio.UnaryUnaryMultiCallable[tables_pb2.ListRowsRequest, tables_pb2.ListRowsResponse]
