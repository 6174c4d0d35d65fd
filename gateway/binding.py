"""Binds a service to its description in the contract: what every call has in common.

Each call, before the service sees it: who calls and may they, can the request be read, when must
it be answered. After: an error becomes a status with details, a defect is logged and becomes
INTERNAL without telling its secrets. The service's methods get a decoded request and a `Call`, and
return or write responses; they know nothing else of gRPC.
"""

import asyncio
import logging
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, NoReturn

import grpc.aio
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from engine import limits
from gateway import errors
from gateway.auth import SCOPE_OF, Authenticator
from gateway.errors import Context

_log: Final = logging.getLogger("denrei.gateway")


class Call:
    """One call, as a service sees it.

    Attributes:
        workspace: The workspace that the caller's key stands for.
        key_id: The public id of the key.
        deadline: When a unary call has to be answered, on the running loop's clock, seconds.
    """

    __slots__ = ("_context", "_ends", "deadline", "key_id", "workspace")

    def __init__(self, workspace: str, key_id: str, context: Context) -> None:
        self.workspace = workspace
        self.key_id = key_id
        self._context = context
        now = asyncio.get_running_loop().time()
        remaining: float | None = context.time_remaining()
        if remaining is None:
            self._ends = math.inf
            self.deadline = now + limits.DEFAULT_DEADLINE_S
        else:
            # An answer that names what did not make it needs a moment to get back.
            self._ends = now + remaining - min(limits.ANSWER_S, remaining / 10)
            self.deadline = min(self._ends, now + limits.DEADLINE_S)

    def item_deadline(self) -> float:
        """When one item of a stream, begun now, has to be answered."""
        return min(self._ends, asyncio.get_running_loop().time() + limits.DEFAULT_DEADLINE_S)

    def extend(self, seconds: float) -> None:
        """Gives a call of a stream its own time: an upload takes longer than a question."""
        now = asyncio.get_running_loop().time()
        self.deadline = min(self._ends, now + seconds)

    def remaining_s(self) -> float:
        """How long a unary call may still take, seconds; never below 0."""
        return max(0.0, self.deadline - asyncio.get_running_loop().time())

    async def write(self, response: Message) -> None:
        """Writes a response of a stream; one at a time."""
        await self._context.write(response)


class _Malformed:
    """A request that is not what the contract says."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why


def bind(
    server: grpc.aio.Server, service: ServiceDescriptor, servicer: object, auth: Authenticator
) -> None:
    """Adds a service to a server.

    Args:
        server: Not yet started.
        service: Its description.
        servicer: Has a coroutine method for each of the service's, named in lower case with
            underscores: `(request, call)` and, for streamed responses, `call.write`.
        auth: Tells who calls.

    Raises:
        AttributeError: The servicer lacks a method.
        KeyError: `auth.SCOPE_OF` lacks a method.
    """
    handlers = {}
    for method in service.methods:
        name = re.sub(r"(?<!^)([A-Z])", r"_\1", method.name).lower()
        scope = SCOPE_OF[service.name][method.name]
        handlers[method.name] = _handler(method, getattr(servicer, name), auth, scope)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service.full_name, handlers),)
    )


def _handler(
    method: MethodDescriptor, work: Callable[..., Awaitable[Any]], auth: Authenticator, scope: str
) -> Any:
    """The handler of one method."""

    async def unary(request: Any, context: Context) -> Any:
        try:
            caller = await auth.caller(context.invocation_metadata() or (), scope)
            call = Call(*caller, context)
            async with asyncio.timeout_at(call.deadline):
                return await work(_checked(request), call)
        except Exception as error:
            await _end(context, error)

    async def stream(request: Any, context: Context) -> None:
        try:
            caller = await auth.caller(context.invocation_metadata() or (), scope)
            readable = _each(request) if method.client_streaming else _checked(request)
            await work(readable, Call(*caller, context))
        except Exception as error:
            await _end(context, error)

    kinds = {
        (False, False): (grpc.unary_unary_rpc_method_handler, unary),
        (False, True): (grpc.unary_stream_rpc_method_handler, stream),
        (True, True): (grpc.stream_stream_rpc_method_handler, stream),
    }
    make, behaviour = kinds[bool(method.client_streaming), bool(method.server_streaming)]
    return make(
        behaviour,
        request_deserializer=_reader(GetMessageClass(method.input_type)),
        response_serializer=GetMessageClass(method.output_type).SerializeToString,
    )


def _reader(message: type[Message]) -> Callable[[bytes], Message | _Malformed]:
    """Reads a request; one that cannot be read becomes a typed error, not a broken call."""

    def read(raw: bytes) -> Message | _Malformed:
        try:
            return message.FromString(raw)
        except DecodeError as error:
            return _Malformed(str(error))

    return read


def _checked(request: Any) -> Any:
    if isinstance(request, _Malformed):
        text = f"the request is not a message of this contract: {request.why}"
        raise errors.bad_request(errors.MALFORMED_REQUEST, [("", text)])
    return request


async def _each(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield _checked(request)


async def _end(context: Context, error: Exception) -> NoReturn:
    """Ends a call with the status of an error."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    status = errors.from_exception(error)
    if status is None:
        _log.error("a call met a defect", exc_info=error)
        status = errors.internal()
    await errors.abort(context, status)
