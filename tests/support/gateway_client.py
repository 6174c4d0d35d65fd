"""Clients of a gateway for tests: over the whole engine, or over a router that records."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack

from gateway.pb.denrei.v1 import conversations_pb2_grpc as c_grpc
from gateway.pb.denrei.v1 import definitions_pb2 as d
from gateway.pb.denrei.v1 import definitions_pb2_grpc as d_grpc
from gateway.pb.denrei.v1 import events_pb2 as e
from gateway.pb.denrei.v1 import events_pb2_grpc as e_grpc
from gateway.pb.denrei.v1 import instances_pb2_grpc as i_grpc
from gateway.pb.denrei.v1 import messages_pb2_grpc as m_grpc
from gateway.pb.denrei.v1 import profiles_pb2_grpc as p_grpc
from gateway.pb.denrei.v1 import segments_pb2_grpc as seg_grpc
from gateway.pb.denrei.v1 import system_pb2_grpc as s_grpc
from gateway.pb.denrei.v1 import verification_pb2_grpc as v_grpc
from tests.support.gateway_support import Door, RecordingRouter, open_door
from tests.support.local_engine import LocalEngine
from tests.support.shop import DEFINITIONS


@dataclass
class Client:
    """Stubs whose calls bring the key."""

    door: Door

    def __post_init__(self) -> None:
        channel = self.door.channel
        self.metadata = self.door.metadata
        self.events: Any = Keyed(e_grpc.EventsServiceStub(channel), self.metadata)
        self.profiles: Any = Keyed(p_grpc.ProfilesServiceStub(channel), self.metadata)
        self.definitions: Any = Keyed(d_grpc.DefinitionsServiceStub(channel), self.metadata)
        self.messages: Any = Keyed(m_grpc.MessagesServiceStub(channel), self.metadata)
        self.instances: Any = Keyed(i_grpc.InstancesServiceStub(channel), self.metadata)
        self.segments: Any = Keyed(seg_grpc.SegmentsServiceStub(channel), self.metadata)
        self.verification: Any = Keyed(v_grpc.VerificationServiceStub(channel), self.metadata)
        self.conversations: Any = Keyed(c_grpc.ConversationsServiceStub(channel), self.metadata)
        self.system: Any = Keyed(s_grpc.SystemServiceStub(channel), self.metadata)

    async def apply(self, text: str = DEFINITIONS, **fields: Any) -> d.ApplyDefinitionsResponse:
        source = d.DefinitionSource(filename="shop.yaml", yaml=text)
        return await self.definitions.ApplyDefinitions(
            d.ApplyDefinitionsRequest(sources=[source], **fields)
        )

    async def publish(self, *events: e.Event) -> e.PublishBatchResponse:
        return await self.events.PublishBatch(e.PublishBatchRequest(events=events))


class Keyed:
    def __init__(self, stub: object, metadata: tuple[tuple[str, str], ...]) -> None:
        self._stub = stub
        self._metadata = metadata

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(request: Any, **options: Any) -> Any:
            return getattr(self._stub, name)(request, **{"metadata": self._metadata, **options})

        return call


class SomeControl:
    """What a supervisor of one host and one sender knows."""

    async def status(self) -> dict[str, Any]:
        return {
            "actors": [
                {"name": "shard-host-0", "state": "serving", "pid": 7},
                {
                    "name": "sender-sms-1",
                    "state": "away",
                    "lanes": [{"lane": "acme/main", "in_flight": 3}],
                },
                {"name": "gateway-0", "state": "serving"},
            ],
            "shards": {"0": "shard-host-0", "1": "shard-host-0"},
        }

    async def feedback(self, workspace: str, address: str, what: str) -> int:
        return 1


@asynccontextmanager
async def shop(directory: Path) -> AsyncIterator[tuple[Client, LocalEngine]]:
    async with (
        LocalEngine(directory / "store") as engine,
        open_door(directory, engine.router, engine.clock, control=SomeControl()) as door,
    ):
        yield Client(door), engine


def over_engine(tmp_path: Path, scenario: Callable[[Client, LocalEngine], Awaitable[None]]) -> None:
    async def run() -> None:
        (tmp_path / "store").mkdir()
        async with shop(tmp_path) as (client, engine):
            await scenario(client, engine)

    asyncio.run(run())


def over_recorder(
    tmp_path: Path, scenario: Callable[[Client, RecordingRouter], Awaitable[None]]
) -> None:
    async def run() -> None:
        router = RecordingRouter()
        async with open_door(tmp_path, router) as door:
            await scenario(Client(door), router)

    asyncio.run(run())


def added(cart: str, message_id: str = "", user: str = "ann") -> e.Event:
    properties = msgpack.packb({"cart_id": cart, "sku": "shoe"})
    return e.Event(
        type=e.TRACK,
        user_id=user,
        event="Product Added",
        message_id=message_id,
        properties_msgpack=properties,
    )
