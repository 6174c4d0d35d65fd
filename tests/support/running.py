"""A real instance, run by the `denrei` command in processes of its own, for a test to mistreat."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Self

import grpc
import psutil

from gateway.pb.denrei.v1 import (
    definitions_pb2,
    definitions_pb2_grpc,
    profiles_pb2,
    profiles_pb2_grpc,
    system_pb2,
    system_pb2_grpc,
)

START_S = 120.0


class RunningInstance:
    """`denrei up` on a store, on a free port of the loopback address.

    Args:
        store: The store's directory.
        options: More options for `denrei up`.
    """

    def __init__(self, store: Path, *options: str) -> None:
        self.store = store
        self.address = ""
        self.key = ""
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: grpc.Channel | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.stop()

    def start(self) -> None:
        """Starts it and waits until it serves."""
        ready = self.store.parent / f"{self.store.name}.ready"
        ready.unlink(missing_ok=True)
        command = [
            str(Path(sys.executable).parent / "denrei"), "up", "--store", str(self.store),
            "--grpc-port", "0", "--no-dashboard", "--ready-file", str(ready), *self._options,
        ]  # fmt: skip
        log = (self.store.parent / f"{self.store.name}.log").open("ab")
        self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        log.close()
        tick = threading.Event()
        for _ in range(int(START_S / 0.05)):
            if ready.exists():
                break
            if self._process.poll() is not None:
                break
            tick.wait(0.05)
        assert ready.exists(), self.output()
        running = json.loads(ready.read_text())
        self.address = running["address"]
        self.key = Path(running["key_file"]).read_text().strip()
        self._channel = grpc.insecure_channel(self.address)

    def output(self) -> str:
        """What the command has said so far."""
        return (self.store.parent / f"{self.store.name}.log").read_text(errors="replace")

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self._process is not None
        self._close()
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(START_S)
        self._process = None
        return code

    def kill_everything(self) -> None:
        """kill -9 of the command and of every process that it started, all at once."""
        assert self._process is not None
        self._close()
        family = self.processes()
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.suspend()
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        self._process.wait(START_S)
        psutil.wait_procs(family, timeout=START_S)
        self._process = None

    def kill(self, actor: str) -> bool:
        """kill -9 of one actor's process; False if it is not up just now."""
        pid = self.pids().get(actor, 0)
        if not pid:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
        return False

    def pids(self) -> dict[str, int]:
        """The process of each actor, as Ray's workers call themselves; no service is asked."""
        names = {
            "ray::SupervisorProcess": "supervisor",
            "ray::ShardHostProcess": "shard-host",
            "ray::SenderProcess": "sender",
            "ray::CallerProcess": "caller",
            "ray::GatewayProcess": "gateway",
        }
        found: dict[str, int] = {}
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                title = " ".join(process.cmdline())
                for prefix, kind in names.items():
                    if title.startswith(prefix):
                        found[f"{kind}:{process.pid}"] = process.pid
        return found

    def processes(self) -> list[psutil.Process]:
        """The command and every process that it started."""
        assert self._process is not None
        parent = psutil.Process(self._process.pid)
        return [parent, *parent.children(recursive=True)]

    # --- the contract, over real gRPC -------------------------------------------------------

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.key}"),)

    def apply(self, text: str) -> int:
        stub = definitions_pb2_grpc.DefinitionsServiceStub(self._channel)
        source = definitions_pb2.DefinitionSource(filename="test", yaml=text)
        request = definitions_pb2.ApplyDefinitionsRequest(sources=[source])
        version: int = stub.ApplyDefinitions(request, metadata=self.metadata, timeout=30).version
        return version

    def profile(self, user: str) -> profiles_pb2.Profile:
        stub = profiles_pb2_grpc.ProfilesServiceStub(self._channel)
        request = profiles_pb2.GetProfileRequest(name=f"users/{user}")
        return stub.GetProfile(request, metadata=self.metadata, timeout=30)

    def status(self) -> system_pb2.Status:
        stub = system_pb2_grpc.SystemServiceStub(self._channel)
        return stub.GetStatus(system_pb2.GetStatusRequest(), metadata=self.metadata, timeout=30)

    def shards(self, field: str) -> list[Any]:
        return [shard.details[field] for shard in self.status().shards]

    def wait_settled(self, seconds: float = 120.0, timers: bool = False) -> None:
        """Waits until no effect is unsettled; with `timers`, also until no timer is waiting."""
        tick = threading.Event()
        for _ in range(int(seconds / 0.2)):
            with contextlib.suppress(grpc.RpcError, ValueError):
                if all(_settled(shard, timers) for shard in self.status().shards):
                    return
            tick.wait(0.2)
        msg = f"effects are still unsettled after {seconds} s: {self.status()}"
        raise AssertionError(msg)

    def _close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None


def _settled(shard: Any, timers: bool) -> bool:
    """Of one moment of one shard: a timer may make a message, so both must be gone at once."""
    details = shard.details
    return bool(shard.serving and details["outbox"] == 0 and not (timers and details["timers"]))
