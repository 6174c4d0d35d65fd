"""A supervisor that was killed -9 watches again by itself: nobody has to start it."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.support.running import RunningInstance

HOST = "shard-host-0"
NAMES = {
    HOST, "shard-host-1", "sender-sms-1", "sender-email-1", "sender-push-1", "caller-1", "gateway-0"
}  # fmt: skip


@pytest.mark.timeout(280)
def test_it_comes_back_watching_and_lists_everything(tmp_path: Path) -> None:
    with RunningInstance(tmp_path / "store", "--hosts", "2") as instance:
        before = actors(instance)
        assert set(before) == NAMES
        (supervisor,) = [name for name in instance.pids() if name.startswith("supervisor:")]
        assert instance.kill(supervisor)
        after = wait_for(instance, lambda found: set(found) == NAMES and all_serve(found))
        assert pids(after) == pids(before), "it has found those that ran, and made none anew"

        assert instance.kill(f"shard-host:{before[HOST]['pid']:.0f}")
        again = wait_for(instance, lambda found: all_serve(found) and pids(found) != pids(before))
        assert again[HOST]["restarts"] == 1, "it was watching when the host came back"
        assert {**pids(again), HOST: 0} == {**pids(before), HOST: 0}
        assert all(shard.serving for shard in instance.status().shards)


def actors(instance: RunningInstance) -> dict[str, Any]:
    """What the supervisor tells of each actor."""
    status = instance.status()
    parts = [*status.hosts, *status.senders, *status.gateways]
    return {part.name: part.details for part in parts}


def all_serve(found: dict[str, Any]) -> bool:
    return bool(found) and all(each["state"] == "serving" for each in found.values())


def pids(found: dict[str, Any]) -> dict[str, float]:
    return {name: each["pid"] for name, each in found.items()}


def wait_for(
    instance: RunningInstance, done: Callable[[dict[str, Any]], bool], seconds: float = 90.0
) -> dict[str, Any]:
    """Asks until the supervisor tells what is expected."""
    tick = threading.Event()
    found: dict[str, Any] = {}
    for _ in range(int(seconds / 0.3)):
        try:
            found = actors(instance)
        except grpc.RpcError:
            found = {}
        if done(found):
            return found
        tick.wait(0.3)
    msg = f"after {seconds} s: {found}\n{instance.output()}"
    raise AssertionError(msg)
