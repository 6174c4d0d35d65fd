"""The door: TLS, development keys, the actor that opens it, and how it closes."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc

from actors.clock import ManualClock
from actors.codes import Codes
from actors.settings import Settings
from actors.store.keys import KeyStore
from gateway.gateway_actor import GatewayProcess
from gateway.pb.denrei.v1 import events_pb2 as e
from gateway.pb.denrei.v1 import events_pb2_grpc as e_grpc
from gateway.server import GatewayServer, Tls
from tests.support.gateway_client import SomeControl, added
from tests.support.gateway_support import NOW_MS, RecordingRouter, open_door, refused


def test_a_stopped_gateway_lets_calls_in_work_end(tmp_path: Path) -> None:
    async def run() -> None:
        async with open_door(tmp_path) as door:
            stub = e_grpc.EventsServiceStub(door.channel)
            await stub.Publish(e.PublishRequest(event=added("c1")), metadata=door.metadata)
        with pytest.raises((grpc.aio.AioRpcError, grpc.aio.UsageError)):
            await stub.Publish(e.PublishRequest(event=added("c1")), metadata=door.metadata)

    asyncio.run(run())


def test_a_door_with_tls_lets_in_who_trusts_its_certificate(tmp_path: Path) -> None:
    certificate, private_key = self_signed(tmp_path)

    async def run() -> None:
        keys = KeyStore(tmp_path)
        _, secret = keys.create("acme", ["publish"], NOW_MS)
        router = RecordingRouter()
        server = GatewayServer(router, SomeControl(), keys, ManualClock(NOW_MS), Codes(tmp_path))
        port = await server.start("127.0.0.1:0", Tls(certificate, private_key))
        request = e.PublishRequest(event=added("c1"))
        bearer = (("x-api-key", secret),)
        trust = grpc.ssl_channel_credentials(certificate.read_bytes())
        async with grpc.aio.secure_channel(f"localhost:{port}", trust) as channel:
            await e_grpc.EventsServiceStub(channel).Publish(request, metadata=bearer)
        async with grpc.aio.insecure_channel(f"localhost:{port}") as channel:
            with pytest.raises(grpc.aio.AioRpcError):
                await e_grpc.EventsServiceStub(channel).Publish(request, metadata=bearer)
        assert len(router.commands) == 1
        await server.stop(0)
        keys.close()

    asyncio.run(run())


def test_a_door_to_the_network_does_not_open_for_a_development_key(tmp_path: Path) -> None:
    async def run() -> None:
        keys = KeyStore(tmp_path)
        _, secret = keys.create("acme", ["publish"], NOW_MS, dev=True)
        server = GatewayServer(
            RecordingRouter(), SomeControl(), keys, ManualClock(NOW_MS), Codes(tmp_path)
        )
        with pytest.raises(PermissionError):
            await server.start("0.0.0.0:0")
        keys.create("acme", ["publish"], NOW_MS)
        port = await server.start("0.0.0.0:0")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            publish = e_grpc.EventsServiceStub(channel).Publish
            request = e.PublishRequest(event=added("c1"))
            told = await refused(publish(request, metadata=(("x-api-key", secret),)))
            assert (told.code, told.reason) == (StatusCode.PERMISSION_DENIED, "DEVELOPMENT_KEY")
        await server.stop(0)
        keys.close()

    asyncio.run(run())


def self_signed(directory: Path) -> tuple[Path, Path]:
    """A certificate for localhost that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = directory / "server.crt", directory / "server.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


def test_the_actor_opens_the_door_that_its_settings_name(tmp_path: Path) -> None:
    settings = Settings(store=tmp_path, hosts=1, shards=2, grpc_port=0).plain(2)

    async def run() -> None:
        KeyStore(tmp_path).close()
        process = GatewayProcess(0, settings)
        assert await process.start() == ("", os.getpid())
        assert await process.start() == ("", os.getpid())  # the supervisor asks again and again
        port = await process.port()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            check = health_pb2_grpc.HealthStub(channel).Check
            answer = await check(health_pb2.HealthCheckRequest())
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        await process.stop()
        taken = GatewayProcess(0, {**settings, "bind": "256.0.0.1"})
        assert "256.0.0.1" in (await taken.start())[0]

    asyncio.run(run())
