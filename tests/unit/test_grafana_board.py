"""The Grafana board asks for metrics that exist, by labels that they have."""

import asyncio
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgpack
import pytest

from actors.clock import ManualClock
from actors.metrics import GatewayMetrics, HostMetrics, SenderMetrics
from actors.senders.sender import SenderCore
from engine import commands
from engine.commands import Command
from gateway.services.events import EventsService
from tests.support.docs import ROOT, table
from tests.support.local_engine import LocalEngine

# What Prometheus adds to every series, and to those of a histogram.
OF_PROMETHEUS = {"le"}
SEGMENT = "{segment: buyers, when: {event: Order Completed, within: 1d}}"
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def board() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ROOT / "deploy/grafana/denrei.json").read_text())
    return loaded


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Each metric's labels, by name, as working parts record them."""
    place = tmp_path_factory.mktemp("store")
    return {**asyncio.run(_of_a_host(place)), **asyncio.run(_of_a_sender(place))}


async def _of_a_sender(directory: Path) -> dict[str, set[str]]:
    async def report(shard: int, batch: Sequence[Command], size_bytes: int) -> bytes:
        return bytes(len(batch))

    clock = ManualClock()
    core = await SenderCore.open("sender-sms-1", directory / "senders", clock, report, 2)
    lane = {"lane": "a", "channel": "sms", "carrier": "sandbox", "limits": [{"rate": "10/s"}]}
    await core.configure("default", 1, msgpack.packb({"a": lane}))
    message = [
        "0" * 32, "default/user/ann", "default", "a", "sms", "+12025550123", "otp", "Hi", "",
        clock.now_ms() + 60_000, False, clock.now_ms(),
    ]  # fmt: skip
    offer = msgpack.packb([[0, 1, clock.now_ms(), [message], {"default": 1}]])
    assert msgpack.unpackb(await core.offer(offer))[1][0][0] == "ok"
    async with asyncio.timeout(10):
        while not core.status()["outcomes"]:
            clock.advance(100)
            await asyncio.sleep(0.001)
    recorded = SenderMetrics("sender-sms-1")
    recorded.record(core.status())
    assert await core.drain(10.0)
    await core.close()
    return _labels(vars(recorded))


async def _of_a_host(directory: Path) -> dict[str, set[str]]:
    """And of the gateway before it, which counts what it answers."""
    clock = ManualClock()
    async with LocalEngine(directory, clock=clock) as engine:
        await engine.apply(SEGMENT)
        event = commands.event(
            "default/user/ann", "m1", commands.TRACK, "Order Completed", clock.now_ms(),
            msgpack.packb({}),
        )  # fmt: skip
        assert await engine.submit([event]) == b"\0"
        clock.advance(DAY_MS)  # the segment is left again
        async with asyncio.timeout(10):
            while await _members(engine):
                await asyncio.sleep(0.001)
        recorded = HostMetrics("shard-host-0")
        (host,) = engine.hosts.values()
        recorded.record(host)
        answered = GatewayMetrics("gateway-0")
        answered.record(EventsService(engine.router, clock).traffic)
    return {**_labels(vars(recorded)), **_labels(vars(answered))}


async def _members(engine: LocalEngine) -> int:
    sizes = await engine.router.broadcast("sizes", {"workspace": "default"})
    return sum(size.get("buyers", 0) for size in sizes)


def _labels(value: Any) -> dict[str, set[str]]:
    """Ray's metrics among some values and what they hold."""
    if hasattr(value, "info"):
        return {value.info["name"]: set(value.info["tag_keys"])}
    if hasattr(value, "__dict__"):
        value = vars(value)
    found: dict[str, set[str]] = {}
    for item in value.values() if isinstance(value, dict) else ():
        found.update(_labels(item))
    return found


def _panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def _queries(board: dict[str, Any]) -> list[tuple[str, str]]:
    return [(t["expr"], t["legendFormat"]) for panel in _panels(board) for t in panel["targets"]]


def _metric_of(name: str, known: dict[str, set[str]]) -> str:
    """The metric of a series: a histogram's have suffixes."""
    assert name.startswith("ray_"), f"{name}: Ray puts ray_ before every name"
    bare = name.removeprefix("ray_")
    return bare if bare in known else re.sub(r"_(bucket|sum|count)$", "", bare)


def test_it_is_a_dashboard_that_grafana_takes(board: dict[str, Any]) -> None:
    assert {"uid", "title", "schemaVersion", "panels", "templating", "time"} <= board.keys()
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    (variable,) = board["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == (
        "datasource", "datasource", "prometheus",
    )  # fmt: skip
    for panel in _panels(board):
        assert panel["title"]
        assert panel["description"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_its_panels_do_not_lie_on_one_another(board: dict[str, Any]) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in board["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]


def test_every_metric_of_the_board_exists(
    board: dict[str, Any], metrics: dict[str, set[str]]
) -> None:
    for query, _ in _queries(board):
        names = re.findall(r"\b\w*denrei_\w+", query)
        assert names
        for name in names:
            assert _metric_of(name, metrics) in metrics, f"{name} is recorded nowhere"


def test_every_label_of_the_board_exists(
    board: dict[str, Any], metrics: dict[str, set[str]]
) -> None:
    for query, legend in _queries(board):
        labels = {_metric_of(n, metrics) for n in re.findall(r"\b\w*denrei_\w+", query)}
        common = set.intersection(*(metrics[name] for name in labels))
        asked = {
            label.strip()
            for group in re.findall(r"by \(([^)]*)\)", query)
            for label in group.split(",")
        }
        assert asked - OF_PROMETHEUS <= common, query
        assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= asked, legend


def test_every_metric_is_on_the_board(board: dict[str, Any], metrics: dict[str, set[str]]) -> None:
    shown = {
        _metric_of(name, metrics)
        for query, _ in _queries(board)
        for name in re.findall(r"\b\w*denrei_\w+", query)
    }
    # Seconds and batches are shown by their totals, which lose nothing between two scrapes.
    assert metrics.keys() - shown == {"denrei_apply_seconds", "denrei_entry_commands"}


def test_no_label_names_a_person(metrics: dict[str, set[str]]) -> None:
    assert {label for labels in metrics.values() for label in labels} <= {
        "answer", "gateway", "host", "lane", "limit", "outcome", "purpose", "segment", "sender",
        "shard",
    }  # fmt: skip


def test_the_metrics_that_operations_speaks_of_exist(metrics: dict[str, set[str]]) -> None:
    for name, _ in table(ROOT / "docs/operations.md", "## Metrics"):
        assert name in metrics
