"""A wire between two processes of one machine: calls and answers as frames on a Unix socket.

A Ray call costs some milliseconds of CPU over both ends, most of it threads that hand the call to
each other and wait for the interpreter. A frame is read and answered on the event loop itself. So
what passes many times a second goes over a wire where there is one, and by Ray where there is
none: from another machine, or while the other end starts. A wire promises no more than a Ray call
does: the outcome of a call whose wire broke is unknown, and callers know what to do about that
(`actors.router`, `actors.offer_pump`). Nobody waits longer because of it: a process that dies
closes its wires at once.

The socket is the store owner's alone (mode 0600 in a directory of mode 0700), as Ray calls need a
token. A frame is the body's length, the call's number and a kind, then the body. The kind of a call
is its method; that of an answer says whether it is one, or the words of an error.
"""

import asyncio
import contextlib
import logging
import os
import stat
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from struct import Struct
from typing import Final, cast

from engine import limits

logger = logging.getLogger(__name__)

Method = Callable[[bytes], Awaitable[bytes]]

_HEAD: Final = Struct("<IQB")  # length of the body, number, kind
_ANSWER: Final = 0
_ERROR: Final = 1


def _is_private(directory: Path) -> bool:
    """Whether a directory is this user's alone: who could write to it could put a socket there."""
    try:
        found = directory.lstat()
    except OSError:
        return False
    private = not stat.S_IMODE(found.st_mode) & 0o077
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and private


def socket_path(store: str, name: str) -> Path | None:
    """Where an actor listens; None if the path is too long for a socket's address."""
    path = Path(store).absolute() / "run" / f"{name}.sock"
    return path if len(os.fsencode(path)) <= limits.SOCKET_PATH_BYTES else None


async def listen(store: str, name: str, methods: Sequence[Method]) -> "WireServer | None":
    """Lets an actor be called by wire; None if it can't be, and is called by Ray alone.

    Args:
        store: The store's directory.
        name: The actor's name.
        methods: See `WireServer`.
    """
    path = socket_path(store, name)
    if path is None:
        return None
    server = WireServer(path, methods)
    try:
        await server.start()
    except OSError as error:
        logger.warning("%s has no wire, and is called by Ray: %s", name, error)
        return None
    return server


class _Frames(asyncio.Protocol):
    """One end of a wire.

    Args:
        take: Called with this, and number, kind and body of each frame.
        lost: Called with this when the wire is broken.
    """

    def __init__(
        self, take: Callable[["_Frames", int, int, bytes], None], lost: Callable[["_Frames"], None]
    ) -> None:
        self._take = take
        self._lost = lost
        self._read = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The wire is there."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The wire broke; its error says no more than that."""
        self._transport = None
        self._lost(self)

    def data_received(self, data: bytes) -> None:
        """Takes the frames that are whole."""
        read = self._read
        read += data
        at = 0
        while len(read) - at >= _HEAD.size:
            size, number, kind = _HEAD.unpack_from(read, at)
            if size > limits.WIRE_FRAME_BYTES:
                logger.error("a frame of %d bytes came over a wire; it is cut", size)
                self.cut()
                return
            end = at + _HEAD.size + size
            if len(read) < end:
                break
            self._take(self, number, kind, bytes(read[at + _HEAD.size : end]))
            at = end
        del read[:at]

    def send(self, number: int, kind: int, body: bytes) -> None:
        """Sends a frame; what goes to a wire that broke is lost, as its other end is.

        A wire whose other end reads nothing any more is cut.
        """
        if self._transport is not None:
            self._transport.writelines((_HEAD.pack(len(body), number, kind), body))
            if self._transport.get_write_buffer_size() > limits.WIRE_WAITING_BYTES:
                self.cut()

    def cut(self) -> None:
        """Ends the wire at once."""
        if self._transport is not None:
            self._transport.abort()


class WireServer:
    """Listens, and answers calls.

    Args:
        path: `socket_path`.
        methods: What may be called; a caller names a place in this sequence. Each call is a task of
            its own, so what a method awaits keeps no other call waiting.
    """

    def __init__(self, path: Path, methods: Sequence[Method]) -> None:
        self._path = path
        self._methods = methods
        self._wires: set[_Frames] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listens in the place of whoever listened there before.

        Raises:
            OSError: It can't listen there.
        """
        directory = self._path.parent
        directory.mkdir(mode=0o700, exist_ok=True)
        if not _is_private(directory):
            msg = f"{directory} is not a directory of this user alone (mode 0700)"
            raise PermissionError(msg)
        new = self._path.with_suffix(f".{os.getpid()}")
        for left in directory.glob(f"{self._path.stem}.[0-9]*"):  # by one killed while it began
            left.unlink(missing_ok=True)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._wire, str(new))
        new.chmod(0o600)
        new.replace(self._path)

    def close(self) -> None:
        """Takes no more wires; those that there are stay until `cut`."""
        if self._server is not None:
            self._path.unlink(missing_ok=True)
            self._server.close()
            self._server = None

    async def cut(self) -> None:
        """Ends all wires; callers that wait hear that the outcome is unknown."""
        self.close()
        for wire in list(self._wires):
            wire.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _wire(self) -> _Frames:
        wire = _Frames(self._take, self._wires.discard)
        self._wires.add(wire)
        return wire

    def _take(self, wire: _Frames, number: int, kind: int, body: bytes) -> None:
        if len(self._tasks) >= limits.WIRE_CALLS:
            wire.send(number, _ERROR, b"too many calls are under way")
            return
        task = asyncio.get_running_loop().create_task(self._answer(wire, number, kind, body))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, wire: _Frames, number: int, kind: int, body: bytes) -> None:
        try:
            answer = await self._methods[kind](body)
        except asyncio.CancelledError:
            wire.send(number, _ERROR, b"the call was cancelled")
            raise
        except Exception as error:
            wire.send(number, _ERROR, f"{type(error).__name__}: {error}".encode())
        else:
            wire.send(number, _ANSWER, answer)


class Wire:
    """Calls the process that listens at a path, all calls over one connection.

    Args:
        path: `socket_path`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._frames: _Frames | None = None
        self._opening = asyncio.Lock()
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._number = 0

    async def open(self) -> bool:
        """Whether the other end can be called now; connects if need be."""
        if self._frames is None:
            async with self._opening:
                if self._frames is None and _is_private(self._path.parent):
                    loop = asyncio.get_running_loop()
                    with contextlib.suppress(OSError):
                        _, frames = await loop.create_unix_connection(self._new, str(self._path))
                        self._frames = frames
        return self._frames is not None

    async def call(self, method: int, body: bytes, timeout_s: float) -> bytes:
        """Calls a method of the other end, which `open` has found.

        Args:
            method: Its place in the server's methods.
            body: What it is called with, at most `limits.WIRE_FRAME_BYTES`.
            timeout_s: How long to wait.

        Raises:
            ConnectionError: The wire broke, or the method raised; the outcome is unknown.
            TimeoutError: There was no answer in time; the wire is given up, with whatever else
                waits on it.

        Cost: 0.1 ms of CPU over both ends.
        """
        frames = self._frames
        if frames is None:
            msg = f"there is no wire to {self._path}"
            raise ConnectionError(msg)
        number = self._number = self._number + 1
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            frames.send(number, method, body)
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            frames.cut()
            raise
        finally:
            self._waiting.pop(number, None)

    def _new(self) -> _Frames:
        return _Frames(self._take, self._broke)

    def _take(self, _: _Frames, number: int, kind: int, body: bytes) -> None:
        future = self._waiting.get(number)
        if future is None or future.done():
            return  # whoever asked has gone
        if kind == _ANSWER:
            future.set_result(body)
        else:
            future.set_exception(ConnectionError(body.decode(errors="replace")))

    def _broke(self, _: _Frames) -> None:
        self._frames = None
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionError(f"the wire to {self._path} broke"))
