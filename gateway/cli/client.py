"""A client of a running instance, as commands use it.

It finds the address and the key by itself when the instance runs on this machine's store. A call
is tried again with the same request, and so with the same ids, when the gateway is away or asks to
wait: that is safe, because the engine takes an id once.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from engine import limits
from gateway.cli import owner
from gateway.cli.errors import DENIED, NO_ANSWER, USAGE, CliError, retry_delay_s
from gateway.cli.options import DEFAULT_STORE, DEFAULT_TIMEOUT_S
from gateway.pb.denrei.v1 import (
    definitions_pb2_grpc,
    events_pb2_grpc,
    instances_pb2_grpc,
    messages_pb2_grpc,
    profiles_pb2_grpc,
    segments_pb2_grpc,
    system_pb2_grpc,
    tables_pb2_grpc,
)

_PAUSE_S: Final = 0.2


class Client:
    """The services of one gateway.

    Args:
        address: `host:port`; empty for that of the instance that runs on the store.
        key: The API key; empty for the store's development key.
        store: The directory of the store; used for what is not given.
        ca: Certificates to trust; None for no TLS.
        timeout_s: How long a call is tried in all, seconds.

    Raises:
        CliError: Nothing answers there, or there is no key.
    """

    def __init__(
        self,
        address: str = "",
        key: str = "",
        store: Path = DEFAULT_STORE,
        ca: Path | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        self.address = address or _running_address(store, ca)
        self.timeout_s = timeout_s
        self.channel = _channel(self.address, ca)
        self.metadata = (("authorization", f"Bearer {key or _stored_key(store)}"),)
        try:
            grpc.channel_ready_future(self.channel).result(
                timeout=min(limits.CLIENT_CONNECT_S, timeout_s)
            )
        except grpc.FutureTimeoutError:
            self.channel.close()
            words = f"no gateway answers at {self.address}"
            raise CliError(
                words, "start one with `denrei up`, or give --address", NO_ANSWER
            ) from None
        # The stubs' types know the asynchronous channel only.
        channel: Any = self.channel
        self.events: Any = events_pb2_grpc.EventsServiceStub(channel)
        self.profiles: Any = profiles_pb2_grpc.ProfilesServiceStub(channel)
        self.definitions: Any = definitions_pb2_grpc.DefinitionsServiceStub(channel)
        self.messages: Any = messages_pb2_grpc.MessagesServiceStub(channel)
        self.instances: Any = instances_pb2_grpc.InstancesServiceStub(channel)
        self.segments: Any = segments_pb2_grpc.SegmentsServiceStub(channel)
        self.tables: Any = tables_pb2_grpc.TablesServiceStub(channel)
        self.system: Any = system_pb2_grpc.SystemServiceStub(channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.channel.close()

    def call(self, method: Callable[..., Any], request: Message) -> Any:
        """Calls a unary method, and again with the same request while that makes sense.

        Args:
            method: Of one of the stubs.
            request: With ids of its own if the method takes any.

        Raises:
            grpc.RpcError: It was refused, or the time is up.
        """
        deadline = time.monotonic() + self.timeout_s
        while True:
            left_s = deadline - time.monotonic()
            try:
                return method(request, metadata=self.metadata, timeout=max(0.1, left_s))
            except grpc.RpcError as error:
                pause_s = pause_before_retry_s(error)
                if pause_s is None or time.monotonic() + pause_s >= deadline:
                    raise
                time.sleep(pause_s)

    def pages(self, method: Callable[..., Any], request: Any, items: str) -> Iterator[Any]:
        """All items of a listing, page after page."""
        while True:
            page = self.call(method, request)
            yield from getattr(page, items)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    @contextmanager
    def watch(self, method: Callable[..., Any], request: Message) -> Iterator[Iterator[Any]]:
        """A stream of replies; it ends when the block is left."""
        call = method(request, metadata=self.metadata)
        try:
            yield call
        finally:
            call.cancel()


def pause_before_retry_s(error: Any) -> float | None:
    """How long to wait before a failed call is made again; None if it should not be."""
    code = error.code()
    if code is grpc.StatusCode.UNAVAILABLE:
        return retry_delay_s(error) or _PAUSE_S
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return retry_delay_s(error)
    return None


def plain(message: Message) -> dict[str, Any]:
    """A message as a map for JSON, with the contract's own field names."""
    made: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    return made


def millis(timestamp: Any) -> int:
    """A protobuf time as Unix milliseconds; 0 if it is not set."""
    return int(timestamp.seconds * 1_000 + timestamp.nanos // 1_000_000)


def _running_address(store: Path, ca: Path | None) -> str:
    running = owner.running(store)
    if running is not None:
        if running.tls and ca is None:
            words = f"the instance on {store} speaks TLS"
            raise CliError(words, "name what to trust with --ca, and its --address", USAGE)
        return running.address
    pid = owner.owner_pid(store)
    if pid:
        words = f"the instance on {store} (process {pid}) does not serve yet"
        raise CliError(words, "wait a moment and try again", NO_ANSWER)
    words = f"no instance runs on {store}"
    hint = "start one with `denrei up`, or name another one with --store or --address"
    raise CliError(words, hint, NO_ANSWER)


def _stored_key(store: Path) -> str:
    try:
        return (store / owner.KEY_FILE).read_text().strip()
    except FileNotFoundError:
        raise CliError(
            f"no API key: none is given, and there is no {store / owner.KEY_FILE}",
            "give one with --key or DENREI_API_KEY, or the store's directory with --store",
            DENIED,
        ) from None
    except PermissionError:
        raise CliError(
            f"{store / owner.KEY_FILE} may not be read by you",
            "give a key of your own with --key or DENREI_API_KEY",
            DENIED,
        ) from None


def _channel(address: str, ca: Path | None) -> grpc.Channel:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise CliError(f"address {address!r} is not of the form HOST:PORT", "", USAGE)
    options = (("grpc.max_receive_message_length", limits.CLIENT_RECEIVE_BYTES),)
    if ca is None:
        return grpc.insecure_channel(address, options)
    credentials = grpc.ssl_channel_credentials(ca.read_bytes())
    return grpc.secure_channel(address, credentials, options)
