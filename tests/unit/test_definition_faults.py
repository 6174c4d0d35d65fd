"""Definitions that this release can't compile: who is told of them, who is not, and until when."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgpack
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console

from engine import commands, limits
from engine.reasons import Reason
from engine.slots import catalog_key
from gateway.cli import status as status_page
from gateway.pb.denrei.v1 import system_pb2
from gateway.services.system import SystemService
from tests.support.local_engine import LocalEngine

GOOD = {"segment": "vip", "when": {"event": "Bought", "at_least": 1, "within": "7d"}}
FUTURE = {"segment": "vip", "when": {"a_later_release": "knows this"}}


async def install(engine: LocalEngine, expected: int, *bodies: dict[str, Any]) -> None:
    """Applies segments to the workspace `shop` past the door, as a newer release has once."""
    documents = msgpack.packb([["segment", body["segment"], body] for body in bodies])
    key = catalog_key("shop")
    (result,) = await engine.submit(
        [commands.apply_definitions(key, f"a{expected}", documents, expected)]
    )
    assert result == Reason.ACCEPTED
    runner = engine.hosts["shard-host-0"].runners[0]
    while runner.describe()["installed"].get("shop") != expected + 1:
        await runner.admit(commands.pack_chunk(()), 0, control=True)


async def shown(engine: LocalEngine, workspace: str) -> tuple[Any, str]:
    """What GetStatus and `denrei status` tell a key of a workspace of it."""
    unused: Any = None
    service = SystemService(engine.router, unused, unused, unused, unused)
    call: Any = SimpleNamespace(workspace=workspace, remaining_s=lambda: 10.0)
    shard = await service._shard(0, call)
    assert shard.serving
    console = Console(width=200)
    status = system_pb2.Status(time=Timestamp(seconds=1), shards=[shard])
    with console.capture() as page:
        console.print(status_page._page(status, None, "here"))
    return status_page._details(shard).get("faults"), page.get()


async def test_the_status_names_them_to_their_workspace_until_they_are_mended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with LocalEngine(tmp_path, shards=1) as engine:
        await install(engine, 0, GOOD)
        assert (await shown(engine, "shop"))[0] is None
        await install(engine, 1, FUTURE)
        told, page = await shown(engine, "shop")
        assert told == {"count": 1, "names": ["segment/vip"]}
        assert "This release can't compile segment/vip (shards 0)" in page
        told, page = await shown(engine, "elsewhere")
        assert told is None
        assert "vip" not in page

        await engine.crash_host()
        caplog.clear()
        await engine.start_host()
        assert (await shown(engine, "shop"))[0] == {"count": 1, "names": ["segment/vip"]}
        assert "definitions that do not compile" in caplog.text

        await install(engine, 2, GOOD)
        told, page = await shown(engine, "shop")
        assert told is None
        assert "can't compile" not in page


async def test_many_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    async with LocalEngine(tmp_path, shards=1) as engine:
        many = limits.FAULTS_SHOWN + 3
        await install(engine, 0, *({**FUTURE, "segment": f"s{n:02}"} for n in range(many)))
        told, page = await shown(engine, "shop")
        assert told["count"] == many
        assert told["names"] == [f"segment/s{n:02}" for n in range(limits.FAULTS_SHOWN)]
        assert "segment/s09 and 3 more (shards 0)" in page
