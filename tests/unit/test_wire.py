"""A wire between two processes: answers, errors, ends that die, and streams cut anywhere."""

import asyncio
import os
import socket
import stat
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from struct import pack
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.directory import RayDirectory
from actors.settings import Settings
from actors.wire import Wire, WireServer, _Frames, listen, socket_path
from engine import limits

ECHO, SLOW, BAD = range(3)


class Served:
    """A server with three methods, and a wire to it."""

    def __init__(self, path: Path) -> None:
        self.calls: list[bytes] = []
        self.go_on = asyncio.Event()
        self.path = path
        self.server = WireServer(path, (self.echo, self.slow, self.bad))
        self.wire = Wire(path)

    async def echo(self, body: bytes) -> bytes:
        self.calls.append(body)
        return body[::-1]

    async def slow(self, body: bytes) -> bytes:
        self.calls.append(body)
        await self.go_on.wait()
        return b"at last " + body

    async def bad(self, body: bytes) -> bytes:
        msg = f"no {body.decode()}"
        raise RuntimeError(msg)


@pytest.fixture
async def served(tmp_path: Path) -> "Served":
    served = Served(tmp_path / "run" / "one.sock")
    await served.server.start()
    assert await served.wire.open()
    return served


async def until(holds: Callable[[], bool]) -> None:
    """Lets the loop turn until something holds."""
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0)


async def test_calls_are_answered_each_with_its_own(served: Served) -> None:
    bodies = [bytes([n]) * (n * 1_000) + b"!" for n in range(20)]
    answers = await asyncio.gather(*(served.wire.call(ECHO, body, 10) for body in bodies))
    assert answers == [body[::-1] for body in bodies]
    await served.server.cut()


async def test_a_call_that_waits_keeps_no_other_one_waiting(served: Served) -> None:
    waiting = asyncio.ensure_future(served.wire.call(SLOW, b"one", 10))
    assert await served.wire.call(ECHO, b"ab", 10) == b"ba"
    assert not waiting.done()
    served.go_on.set()
    assert await waiting == b"at last one"
    await served.server.cut()


async def test_what_a_method_raises_is_told_and_the_wire_stays(served: Served) -> None:
    with pytest.raises(ConnectionError, match="RuntimeError: no way"):
        await served.wire.call(BAD, b"way", 10)
    assert await served.wire.call(ECHO, b"ab", 10) == b"ba"
    await served.server.cut()


async def test_the_outcome_is_unknown_once_the_other_end_is_gone(served: Served) -> None:
    waiting = asyncio.ensure_future(served.wire.call(SLOW, b"one", 10))
    await until(lambda: bool(served.calls))
    await served.server.cut()
    with pytest.raises(ConnectionError, match="broke"):
        await waiting
    assert not await served.wire.open()
    with pytest.raises(ConnectionError, match="no wire"):
        await served.wire.call(ECHO, b"ab", 10)


async def test_who_comes_after_it_is_found_at_the_same_place(served: Served) -> None:
    await served.server.cut()
    await until(lambda: served.wire._frames is None)
    after = Served(served.path)
    await after.server.start()
    assert await served.wire.open()
    assert await served.wire.call(ECHO, b"ab", 10) == b"ba"
    assert (served.calls, after.calls) == ([], [b"ab"])
    await after.server.cut()


async def test_a_server_takes_the_place_of_one_that_was_killed(tmp_path: Path) -> None:
    first, second = Served(tmp_path / "run" / "s"), Served(tmp_path / "run" / "s")
    await first.server.start()
    await second.server.start()  # the socket of the first still lies there
    assert await second.wire.open()
    await second.wire.call(ECHO, b"ab", 10)
    assert (first.calls, second.calls) == ([], [b"ab"])
    assert os.listdir(tmp_path / "run") == ["s"]
    await second.server.cut()
    await first.server.cut()


async def test_no_answer_in_time_ends_the_wire(served: Served) -> None:
    other = asyncio.ensure_future(served.wire.call(SLOW, b"other", 10))
    await until(lambda: bool(served.calls))
    with pytest.raises(TimeoutError):
        await served.wire.call(SLOW, b"one", 0.0)
    with pytest.raises(ConnectionError):
        await other
    assert await served.wire.open()  # a new one
    assert await served.wire.call(ECHO, b"ab", 10) == b"ba"
    await served.server.cut()


async def test_a_server_that_closes_lets_what_it_has_be_answered(served: Served) -> None:
    waiting = asyncio.ensure_future(served.wire.call(SLOW, b"one", 10))
    await until(lambda: bool(served.calls))
    served.server.close()
    assert not await Wire(served.path).open()
    served.go_on.set()
    assert await waiting == b"at last one"
    await served.server.cut()


async def test_only_the_owner_reaches_it(served: Served) -> None:
    assert stat.S_IMODE(served.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(served.path.parent.stat().st_mode) == 0o700
    await served.server.cut()


async def test_where_no_socket_can_be_there_is_no_wire(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * limits.SOCKET_PATH_BYTES)
    assert socket_path(str(deep), "shard-host-0") is None
    assert await listen(str(deep), "shard-host-0", ()) is None
    missing = tmp_path / "missing"
    assert await listen(str(missing), "a", ()) is None  # its directory is not made for it
    assert not await Wire(missing / "run" / "a.sock").open()


def frame(number: int, kind: int, body: bytes) -> bytes:
    return pack("<IQB", len(body), number, kind) + body


FRAMES = st.lists(
    st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 255), st.binary(max_size=50)), max_size=8
)


@given(FRAMES, st.lists(st.integers(0, 600), max_size=12))
def test_a_stream_may_be_cut_anywhere(
    frames: list[tuple[int, int, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(frame(*one) for one in frames)
    taken: list[tuple[int, int, bytes]] = []
    end = _Frames(lambda _, *one: taken.append(one), lambda _: None)
    places = sorted({0, *(cut for cut in cuts if cut < len(stream)), len(stream)})
    for start, stop in pairwise(places):
        end.data_received(stream[start:stop])
    assert taken == frames


async def test_a_frame_that_is_too_long_ends_the_wire(served: Served) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    transport, _ = await loop.create_unix_connection(
        lambda: _Frames(lambda *_: None, lambda _: ended.set()), str(served.path)
    )
    transport.write(pack("<IQB", limits.WIRE_FRAME_BYTES + 1, 0, 0))
    async with asyncio.timeout(10):
        await ended.wait()
    assert await served.wire.call(ECHO, b"ab", 10) == b"ba"  # others do not feel it
    await served.server.cut()


async def test_where_others_could_put_a_socket_nobody_listens_and_nobody_calls(
    served: Served,
) -> None:
    served.path.parent.chmod(0o770)
    assert not await Wire(served.path).open()
    await served.server.cut()
    with pytest.raises(PermissionError):
        await served.server.start()
    served.path.parent.rmdir()
    elsewhere = served.path.parent.with_name("elsewhere")
    elsewhere.mkdir(mode=0o700)
    served.path.parent.symlink_to(elsewhere)
    assert await listen(str(served.path.parent.parent), "one", ()) is None


async def test_what_a_killed_beginning_left_is_swept(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    for name in ("one.4711", "another.4711"):
        (tmp_path / "run" / name).touch()
    server = WireServer(tmp_path / "run" / "one.sock", ())
    await server.start()
    assert sorted(os.listdir(tmp_path / "run")) == ["another.4711", "one.sock"]
    await server.cut()


async def test_past_the_bound_of_calls_at_once_there_is_an_answer(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WIRE_CALLS", 2)
    waiting = [asyncio.ensure_future(served.wire.call(SLOW, b"one", 10)) for _ in range(2)]
    await until(lambda: len(served.calls) == 2)
    with pytest.raises(ConnectionError, match="too many calls"):
        await served.wire.call(ECHO, b"ab", 10)
    served.go_on.set()
    assert await asyncio.gather(*waiting) == [b"at last one"] * 2
    await served.server.cut()


async def test_an_end_that_reads_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WIRE_WAITING_BYTES", 1_000_000)
    (tmp_path / "run").mkdir(mode=0o700)
    path = tmp_path / "run" / "frozen.sock"
    taken: list[socket.socket] = []
    with socket.socket(socket.AF_UNIX) as frozen:
        frozen.bind(str(path))
        frozen.listen()
        wire = Wire(path)
        assert await wire.open()
        taken.append(frozen.accept()[0])
        calls = [asyncio.ensure_future(wire.call(ECHO, bytes(300_000), 60)) for _ in range(10)]
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(result, ConnectionError) for result in results)
    taken[0].close()


async def test_a_link_takes_the_wire_if_there_is_one_and_ray_if_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def by_ray(_: bytes) -> bytes:
        return b"by Ray"

    async def by_wire(_: bytes) -> bytes:
        return b"by wire"

    def actor(name: str) -> object:
        asked.append(name)
        method = SimpleNamespace(remote=by_ray)
        return SimpleNamespace(submit=method, query=method, offer=method)

    directory = RayDirectory(Settings(store=tmp_path).plain(4))
    monkeypatch.setattr(directory, "handle", actor)
    host, sender = directory.link("shard-host-0"), directory.link("sender-sms-1")

    async def call() -> list[bytes]:
        return [await host.submit(b"a"), await host.query(b"a"), await sender.offer(b"a")]

    assert await call() == [b"by Ray"] * 3
    servers = [
        await listen(str(tmp_path), "shard-host-0", (by_wire, by_wire)),
        await listen(str(tmp_path), "sender-sms-1", (by_wire,)),
    ]
    assert await call() == [b"by wire"] * 3
    with monkeypatch.context() as patch:
        patch.setattr(limits, "WIRE_FRAME_BYTES", 0)
        assert await call() == [b"by Ray"] * 3  # what is too long for a frame
    for server in servers:
        assert server is not None
        await server.cut()
    wires = [wire for wire in directory._wires.values() if wire is not None]
    await until(lambda: all(wire._frames is None for wire in wires))
    assert await call() == [b"by Ray"] * 3
    assert asked == ["shard-host-0", "shard-host-0", "sender-sms-1"] * 3
