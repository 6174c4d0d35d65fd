"""An instance under measurement: real processes on a store of its own, and what they cost."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import grpc
import psutil

from actors.instance import Instance
from actors.settings import Settings
from actors.shard_host import ShardHost
from actors.store.keys import SCOPES, KeyStore
from gateway.gateway_actor import GatewayActor
from gateway.pb.denrei.v1 import (
    definitions_pb2,
    definitions_pb2_grpc,
    segments_pb2,
    segments_pb2_grpc,
    system_pb2,
    system_pb2_grpc,
)

DEFINITIONS = Path(__file__).parent / "definitions.yaml"
_DELIVER_S = 120.0
_ASK_S = 1.0
_SETTLE_S = 60.0  # at most; checkpoints go round in 15 s when nothing else is to be done


class MeasuredInstance:
    """Starts on entering, stops and removes its store on leaving.

    Args:
        directory: A directory of its own.
        host_class: The hosts' actor class, or None for the real ones.
        definitions: Texts to apply, one after the other.
    """

    def __init__(
        self, directory: Path, host_class: Any, definitions: Iterable[str] | None = None
    ) -> None:
        self._directory = directory
        self._definitions = [DEFINITIONS.read_text()] if definitions is None else definitions
        settings = Settings(store=directory, dashboard=False, grpc_port=0)
        self._instance = Instance(settings, GatewayActor, host_class or ShardHost)
        self._key = ""
        self._target = ""

    def __enter__(self) -> Self:
        self._instance.start()
        keys = KeyStore(self._directory)
        _, self._key = keys.create("default", SCOPES, int(time.time() * 1000))
        self._target = self._instance.address
        self._channel = grpc.insecure_channel(self._target)
        self._metadata = (("authorization", f"Bearer {self._key}"),)
        for text in self._definitions:
            self.apply(text)
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()
        self._instance.stop()
        shutil.rmtree(self._directory)

    def apply(self, text: str) -> None:
        """Applies definitions."""
        definitions = definitions_pb2_grpc.DefinitionsServiceStub(self._channel)
        source = definitions_pb2.DefinitionSource(filename="bench", yaml=text)
        definitions.ApplyDefinitions(
            definitions_pb2.ApplyDefinitionsRequest(sources=[source]),
            metadata=self._metadata,
            timeout=30,
        )

    def start_load(self, kind: str, run: str, **options: object) -> "subprocess.Popen[str]":
        """Starts the load generator beside; it says `begin` when it begins, if asked to."""
        command = [
            sys.executable, "-m", "bench.load", "--target", self._target, "--key", self._key,
            "--kind", kind, "--run", run,
        ]  # fmt: skip
        for name, value in options.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        return subprocess.Popen([*command, "--announce"], stdout=subprocess.PIPE, text=True)

    def load(
        self,
        kind: str,
        run: str,
        events: int,
        users: int,
        rate: float = 0.0,
        batch: int = 500,
        in_flight: int = 24,
        due_from: float = 0.0,
        due_per_s: float = 0.0,
    ) -> dict[str, float]:
        """Runs the load generator as a process of its own; returns what it measured."""
        command = [
            sys.executable, "-m", "bench.load", "--target", self._target, "--key", self._key,
            "--kind", kind, "--run", run, "--events", str(events), "--users", str(users),
            "--rate", str(rate), "--batch", str(batch), "--in-flight", str(in_flight),
            "--due-from", str(due_from), "--due-per-s", str(due_per_s),
        ]  # fmt: skip
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        if figures["refused"]:
            msg = f"{figures['refused']:.0f} events were refused"
            raise RuntimeError(msg)
        return figures

    def messages_per_s(self, run: str, messages: int) -> float:
        """Events that each send one message, until the last delivery receipt is journaled.

        Everybody has had one message before, which does not count, and what was done before left
        nothing to be written: what is measured is what messages cost.
        """
        users = 20_000
        self.load("profiles", f"{run}p", events=users, users=users)
        self._deliver(f"{run}w", users, users)
        until = time.perf_counter() + _SETTLE_S
        while self.shard_total("dirty") and time.perf_counter() < until:
            time.sleep(0.25)
        return messages / self._deliver(run, messages, users)

    def _deliver(self, run: str, messages: int, users: int) -> float:
        """Publishes so many shipments; gives the seconds until all their messages are delivered."""
        before = self.shard_total("messages_delivered")
        process = self.start_load("shipments", run, events=messages, users=users)
        assert process.stdout is not None
        process.stdout.readline()  # it begins now
        started = time.perf_counter()
        while (delivered := self.shard_total("messages_delivered") - before) < messages:
            elapsed = time.perf_counter() - started
            if elapsed > _DELIVER_S:
                msg = f"not all messages were delivered within {_DELIVER_S:.0f} s"
                raise RuntimeError(msg)
            # To ask all parts of the instance takes 20 ms of CPU: now and then, and at the end.
            left_s = elapsed * (messages / delivered - 1) if delivered else _ASK_S
            time.sleep(min(_ASK_S, max(0.02, 0.7 * left_s)))
        elapsed = time.perf_counter() - started
        process.wait()
        return elapsed

    def recovery_s(self) -> float:
        """Kills all hosts (-9), until every shard answers again."""
        started = time.perf_counter()
        for pid in self._pids("shard-host"):
            os.kill(pid, signal.SIGKILL)
        system = system_pb2_grpc.SystemServiceStub(self._channel)
        while True:
            try:
                status = system.GetStatus(
                    system_pb2.GetStatusRequest(), metadata=self._metadata, timeout=10
                )
            except grpc.RpcError:
                continue
            if status.shards and all(shard.serving for shard in status.shards):
                return time.perf_counter() - started

    def members(self, segment: str) -> int:
        """How many are in a segment now."""
        return self.segment(segment).members

    def segment(self, name: str) -> segments_pb2.Segment:
        """A segment: who is in it, and how far it is filled."""
        segments = segments_pb2_grpc.SegmentsServiceStub(self._channel)
        request = segments_pb2.GetSegmentRequest(name=f"segments/{name}")
        return segments.GetSegment(request, metadata=self._metadata, timeout=10)

    def hosts_rss_mb(self) -> float:
        """Resident memory of the shard hosts."""
        return sum(psutil.Process(p).memory_info().rss for p in self._pids("shard-host")) / 1e6

    def cpu_s(self) -> float:
        """CPU time of gateways, hosts and senders so far."""
        total = 0.0
        for pid in self._pids(""):
            times = psutil.Process(pid).cpu_times()
            total += times.user + times.system
        return total

    def pids(self) -> dict[str, int]:
        """The process of each actor."""
        return {actor["name"]: actor["pid"] for actor in self._instance.status()["actors"]}

    def _pids(self, prefix: str) -> list[int]:
        return [pid for name, pid in self.pids().items() if name.startswith(prefix)]

    def shard_total(self, field: str) -> float:
        """A figure of the shards' status, summed over all of them."""
        system = system_pb2_grpc.SystemServiceStub(self._channel)
        status = system.GetStatus(
            system_pb2.GetStatusRequest(), metadata=self._metadata, timeout=10
        )
        return sum(shard.details[field] for shard in status.shards if field in shard.details)
