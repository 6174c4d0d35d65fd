"""The contract: stubs that are up to date, reasons that agree, and reflection that is enough."""

import asyncio
import importlib
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import (
    EnumDescriptor,
    FileDescriptor,
    MethodDescriptor,
    ServiceDescriptor,
)
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from engine import commands
from engine.reasons import Reason
from gateway import generate
from gateway.pb.denrei.v1 import events_pb2, reason_pb2, system_pb2
from gateway.server import SERVICES
from tests.support.gateway_support import open_door


def test_the_stubs_are_what_the_compiler_makes_of_the_contract() -> None:
    assert generate.differences(generate.generate()) == []


def test_a_stale_stub_is_found_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"denrei/v1/a_pb2.py": "one", "denrei/v1/b_pb2.py": "two"}
    monkeypatch.setattr(generate, "OUTPUT", tmp_path)
    generate.write(texts)
    assert generate.differences(texts) == []
    (tmp_path / "denrei/v1/a_pb2.py").write_text("changed")
    (tmp_path / "denrei/v1/old_pb2.py").write_text("no longer in the contract")
    assert generate.differences(texts) == ["denrei/v1/a_pb2.py", "denrei/v1/old_pb2.py"]
    generate.write(texts)
    assert generate.differences(texts) == []


def test_a_server_made_of_the_stubs_answers_a_client_made_of_them() -> None:
    async def answer(self: object, request: Message, context: grpc.aio.ServicerContext) -> Message:
        return replies[type(request)]()

    def unary_of(service: ServiceDescriptor) -> list[MethodDescriptor]:
        return [m for m in service.methods if not (m.client_streaming or m.server_streaming)]

    methods = [method for service in SERVICES for method in unary_of(service)]
    replies = {
        GetMessageClass(each.input_type): GetMessageClass(each.output_type) for each in methods
    }

    async def scenario() -> None:
        server = grpc.aio.server()
        for service in SERVICES:
            stubs = stubs_of(service)
            base = getattr(stubs, f"{service.name}Servicer")
            made = type(service.name, (base,), {m.name: answer for m in unary_of(service)})
            getattr(stubs, f"add_{service.name}Servicer_to_server")(made(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                for method in methods:
                    service = method.containing_service
                    stub = getattr(stubs_of(service), f"{service.name}Stub")(channel)
                    request = GetMessageClass(method.input_type)()
                    reply = await getattr(stub, method.name)(request, timeout=10)
                    assert type(reply) is replies[type(request)], method.full_name
        finally:
            await server.stop(0)

    assert len(methods) > 15
    asyncio.run(scenario())


def stubs_of(service: ServiceDescriptor) -> Any:
    """The module of a service's generated stubs."""
    name = Path(service.file.name).stem
    return importlib.import_module(f"gateway.pb.denrei.v1.{name}_pb2_grpc")


def test_the_messages_know_their_module() -> None:
    assert events_pb2.Event.__module__ == events_pb2.__name__


def test_proto_is_not_a_package() -> None:
    assert not list(generate.PROTO.rglob("__init__.py"))
    assert not list(generate.PROTO.rglob("*.py"))


def test_reasons_mirror_those_of_the_engine() -> None:
    assert dict(reason_pb2.Reason.items()) == {reason.name: reason.value for reason in Reason}


def test_event_types_are_in_the_order_of_the_commands() -> None:
    names = [name for name, number in events_pb2.EventType.items() if number]
    assert [name.lower() for name in names] == list(commands.EVENT_TYPES)
    assert [events_pb2.EventType.Value(name) - 1 for name in names] == list(range(len(names)))


def test_every_enum_but_the_reasons_begins_with_unspecified() -> None:
    enums: list[EnumDescriptor] = []
    for service in SERVICES:
        file: FileDescriptor = service.file
        enums += file.enum_types_by_name.values()
        for message in file.message_types_by_name.values():
            enums += message.enum_types_by_name.values()
    assert system_pb2.Key.DESCRIPTOR.enum_types_by_name["Scope"] in enums
    for enum in enums:
        assert enum.values_by_number[0].name.endswith("_UNSPECIFIED"), enum.full_name


_DECLARATION = re.compile(r"\s*(rpc|message|enum|service|oneof)\s|.* = \d+( \[.*\])?;$")


def test_everything_in_the_contract_has_a_comment() -> None:
    for path in sorted(generate.PROTO.rglob("*.proto")):
        lines = path.read_text().splitlines()
        assert lines[0].startswith("// "), path.name
        for before, line in pairwise(lines):
            if _DECLARATION.match(line):
                assert before.strip().startswith("//"), f"{path.name}: {line.strip()}"


def test_a_client_with_nothing_but_reflection_can_publish(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_door(tmp_path) as door:
            pool = await reflected(door.channel, "denrei.v1.EventsService")
            method = pool.FindServiceByName("denrei.v1.EventsService").methods_by_name["Publish"]
            request = GetMessageClass(method.input_type)()
            request.event.type = (
                pool.FindEnumTypeByName("denrei.v1.EventType").values_by_name["TRACK"].number
            )
            request.event.user_id = "ann"
            request.event.event = "Bought"
            publish = door.channel.unary_unary(
                f"/{method.containing_service.full_name}/{method.name}",
                request_serializer=GetMessageClass(method.input_type).SerializeToString,
                response_deserializer=GetMessageClass(method.output_type).FromString,
            )
            reply = await publish(request, metadata=door.metadata)
            assert reply.message_id
            assert [command[1] for command in door.router.commands] == ["acme/user/ann"]

    asyncio.run(scenario())


def test_reflection_and_health_know_every_service(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_door(tmp_path) as door:
            reply = await ask(
                door.channel, reflection_pb2.ServerReflectionRequest(list_services="")
            )
            listed = {service.name for service in reply.list_services_response.service}
            names = {service.full_name for service in SERVICES}
            assert names | {"grpc.health.v1.Health"} <= listed
            health = health_pb2_grpc.HealthStub(door.channel)
            for name in ("", *sorted(names)):
                answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
                assert answer.status == health_pb2.HealthCheckResponse.SERVING

    asyncio.run(scenario())


async def ask(
    channel: grpc.aio.Channel, request: reflection_pb2.ServerReflectionRequest
) -> reflection_pb2.ServerReflectionResponse:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    return await anext(aiter(stub.ServerReflectionInfo(iter([request]))))


async def reflected(channel: grpc.aio.Channel, symbol: str) -> descriptor_pool.DescriptorPool:
    """A pool of our own with all that reflection tells about a symbol."""
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
    reply = await ask(channel, request)
    files = {}
    for raw in reply.file_descriptor_response.file_descriptor_proto:
        file = descriptor_pb2.FileDescriptorProto.FromString(raw)
        files[file.name] = file
    pool = descriptor_pool.DescriptorPool()

    def add(name: str) -> None:
        file = files.pop(name, None)
        if file is not None:
            for needed in file.dependency:
                add(needed)
            pool.Add(file)

    for name in list(files):
        add(name)
    return pool
