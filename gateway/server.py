"""The door itself: grpc.aio with all services, health, reflection, TLS and its limits.

A plain class, so that a test opens a real port without Ray. gRPC's own bounds stand behind the
typed ones: they only speak when a client ignores what the contract says.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from actors.store.keys import KeyStore
from actors.store.tables import TableFiles
from engine import limits
from gateway.auth import Authenticator, check_bind, is_loopback
from gateway.binding import bind as bind_service
from gateway.pb.denrei.v1 import (
    conversations_pb2,
    definitions_pb2,
    events_pb2,
    instances_pb2,
    messages_pb2,
    profiles_pb2,
    segments_pb2,
    system_pb2,
    tables_pb2,
    verification_pb2,
)
from gateway.seams import Clock, Codes, Control, Router
from gateway.services.conversations import ConversationsService
from gateway.services.definitions import DefinitionsService
from gateway.services.events import EventsService
from gateway.services.instances import InstancesService
from gateway.services.messages import MessagesService
from gateway.services.profiles import ProfilesService
from gateway.services.segments import SegmentsService
from gateway.services.system import SystemService
from gateway.services.tables import TablesService
from gateway.services.verification import VerificationService

SERVICES: Final = tuple(
    module.DESCRIPTOR.services_by_name[name]
    for module, name in (
        (events_pb2, "EventsService"),
        (profiles_pb2, "ProfilesService"),
        (definitions_pb2, "DefinitionsService"),
        (messages_pb2, "MessagesService"),
        (instances_pb2, "InstancesService"),
        (segments_pb2, "SegmentsService"),
        (tables_pb2, "TablesService"),
        (conversations_pb2, "ConversationsService"),
        (system_pb2, "SystemService"),
        (verification_pb2, "VerificationService"),
    )
)
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", limits.GRPC_RECEIVE_BYTES),
    ("grpc.max_send_message_length", limits.GRPC_SEND_BYTES),
    ("grpc.max_concurrent_streams", limits.CONNECTION_STREAMS),
    # Several gateways on one machine may share a port; the kernel then spreads connections.
    ("grpc.so_reuseport", 1),
    # A peer that vanished is noticed within a minute; clients may ping every 10 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
)


@dataclass(frozen=True, slots=True)
class Tls:
    """Where the certificate lies.

    Attributes:
        certificate: A PEM file with the server's chain.
        private_key: A PEM file.
        client_ca: A PEM file; if it is given, clients must show a certificate that it has signed.
    """

    certificate: Path
    private_key: Path
    client_ca: Path | None = None


class GatewayServer:
    """Serves the contract; see the module's text.

    Args:
        router: The way to the shards.
        control: What the supervisor knows.
        keys: The API keys.
        clock: The time of receipt.
        codes: Seals one-time codes.
    """

    def __init__(
        self, router: Router, control: Control, keys: KeyStore, clock: Clock, codes: Codes
    ) -> None:
        self._router = router
        self._control = control
        self._keys = keys
        self._clock = clock
        self.archive_days = limits.ARCHIVE_DAYS
        self._codes = codes
        self._server: grpc.aio.Server | None = None
        self._events = EventsService(router, clock)
        # The stubs know the synchronous part only.
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]

    async def start(self, bind: str, tls: Tls | None = None) -> int:
        """Opens the door.

        Args:
            bind: `host:port`; port 0 takes a free one.
            tls: Where the certificate lies; None serves in the clear.

        Returns:
            The port.

        Raises:
            PermissionError: Only development keys exist, and `bind` is not a loopback address.
            RuntimeError: The address can't be listened on.
            OSError: A file of `tls` can't be read.
        """
        check_bind(bind, self._keys.list())
        server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=limits.CONCURRENT_CALLS)
        for service, servicer in zip(SERVICES, self._servicers(bind), strict=True):
            bind_service(server, service, *servicer)
        names = [service.full_name for service in SERVICES]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection(
            [*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server
        )
        if tls is None:
            port = server.add_insecure_port(bind)
        else:
            port = server.add_secure_port(bind, _credentials(tls))
        await server.start()
        for name in ("", *names):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        self._server = server
        return port

    async def stop(self, grace_s: float) -> None:
        """Takes no new calls, lets those in work end, and closes.

        Args:
            grace_s: How long calls in work may take; after that they are cancelled.
        """
        if self._server is None:
            return
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_s)
        self._server = None

    @property
    def traffic(self) -> dict[str, int]:
        """Events since the start, by their outcome."""
        return self._events.traffic

    def _servicers(self, bind: str) -> list[tuple[Any, Authenticator]]:
        """The servicers in the order of `SERVICES`, each with what tells who calls."""
        auth = Authenticator(self._keys, is_loopback(bind), time.monotonic)
        router, clock = self._router, self._clock
        definitions = DefinitionsService(router)
        servicers = (
            self._events,
            ProfilesService(router),
            definitions,
            MessagesService(router),
            InstancesService(router),
            SegmentsService(router),
            TablesService(definitions, TableFiles(self._keys.directory), self.archive_days),
            ConversationsService(router),
            SystemService(router, self._control, self._keys, clock, auth),
            VerificationService(router, self._control, self._codes),
        )
        return [(servicer, auth) for servicer in servicers]


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    client_ca = tls.client_ca.read_bytes() if tls.client_ca else None
    return grpc.ssl_server_credentials(
        [(tls.private_key.read_bytes(), tls.certificate.read_bytes())],
        root_certificates=client_ca,
        require_client_auth=client_ca is not None,
    )
