"""An instance on this machine, or on a Ray cluster: start it, ask it, stop it.

Without a cluster address Ray itself is started here, with the settings that were measured:
workers at normal priority, quick failure detection, and a small object store (nothing goes through
it). Ray runs any code that reaches it, so here it listens on the loopback address alone, and every
call needs a token that this process draws and its children inherit. Ray ends with the process that
started it.
"""

import os
import random
import secrets
import socket
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants
from ray._raylet import Config  # type: ignore[attr-defined]

from actors import placement
from actors.settings import Settings
from actors.shard_host import ShardHost
from actors.store.archive import ArchivePolicy
from actors.store.directory import SqliteStore
from actors.store.identity import read_identity
from actors.store.pinned import pin
from actors.supervisor import Supervisor
from engine import limits

_RAY_ENVIRONMENT = {
    "RAY_worker_niceness": "0",
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_event_stats": "0",
    "RAY_memory_monitor_refresh_ms": "1000",
    "RAY_LOG_MONITOR_MANY_FILES_THRESHOLD": "0",
    "LOG_NAME_UPDATE_INTERVAL_S": "60",
    "REPORTER_UPDATE_INTERVAL_MS": "10000",
    "METRICS_RECORD_INTERVAL_S": "10",
}


_OWN_PORTS = range(20_000, 32_768)  # Linux gives out those above by itself
_PORTS_TRIED = 100


class InstanceFailed(Exception):
    """An instance did not start; the text says which part, why, and what to do."""


class Instance:
    """A running instance.

    Args:
        settings: What was chosen.
        gateway_class: The gateway's actor class; see `Supervisor`.
        host_class: The hosts' actor class; see `Supervisor`.
    """

    def __init__(self, settings: Settings, gateway_class: Any, host_class: Any = ShardHost) -> None:
        self.settings = settings
        self._host_class = host_class
        self._gateway_class = gateway_class
        self._supervisor: Any = None

    def start(self, on_ray: Callable[[], object] = lambda: None) -> None:
        """Starts Ray (unless there is a cluster) and everything on it, and waits until it serves.

        Args:
            on_ray: Called as soon as Ray runs, which has then put its own handlers of signals in
                the place of the caller's.

        Raises:
            InstanceFailed: A part does not serve.
            StoreError: The store is foreign, torn, or in use, or was first started with another
                number of senders.
        """
        settings = self.settings
        shards = open_store(settings).shards
        if shards < settings.hosts:
            msg = (
                f"{settings.hosts} hosts for the {shards} shards of {settings.store}: "
                f"choose at most {shards} hosts"
            )
            raise InstanceFailed(msg)
        pinned = pin(settings.store, settings.senders, settings.clock, time.time_ns() // 1_000_000)
        if settings.grpc_port == 0:
            settings.grpc_port = free_port(settings.bind)
        while settings.http_port in (0, settings.grpc_port):
            settings.http_port = free_port(settings.bind)
        start_ray(settings)
        on_ray()
        self._supervisor = Supervisor.options(
            name=placement.SUPERVISOR,
            namespace=placement.NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
        ).remote(
            settings.plain(shards, pinned.clock_origin_ms), self._gateway_class, self._host_class
        )
        failed = ray.get(self._supervisor.start.remote(), timeout=limits.INSTANCE_START_S)
        if failed:
            words = "; ".join(f"{name}: {error}" for name, error in sorted(failed.items()))
            raise InstanceFailed(words)

    @property
    def address(self) -> str:
        """Where the gateways listen."""
        host = f"[{self.settings.bind}]" if ":" in self.settings.bind else self.settings.bind
        return f"{host}:{self.settings.grpc_port}"

    def status(self) -> dict[str, Any]:
        """See `Supervisor.status`."""
        status: dict[str, Any] = ray.get(self._supervisor.status.remote(), timeout=10.0)
        return status

    def stop(self) -> None:
        """Drains, checkpoints, and stops everything; also Ray, if it was started here."""
        if self._supervisor is not None:
            ray.get(self._supervisor.stop.remote(), timeout=limits.INSTANCE_STOP_S)
            ray.kill(self._supervisor, no_restart=True)
            self._supervisor = None
        ray.shutdown()


def free_port(bind: str) -> int:
    """A port that nobody listens on. Gateways keep it over restarts, so it is chosen once.

    Between the choice and the gateway's start Ray opens some hundred ports, of those that the
    system gives to whoever asks for any. So it is none of these.

    Raises:
        InstanceFailed: There is no such address here, or all ports that were tried are taken.
    """
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    why: OSError | None = None
    for port in random.sample(_OWN_PORTS, _PORTS_TRIED):
        with socket.socket(family) as probe:
            try:
                probe.bind((bind, port))
            except OSError as error:
                why = error
                continue
            return port
    msg = f"no port of {_OWN_PORTS[0]} to {_OWN_PORTS[-1]} at {bind} could be opened: {why}"
    raise InstanceFailed(msg)


def open_store(settings: Settings) -> SqliteStore:
    """The store of the settings; made if it is not there.

    Raises:
        StoreError: It is foreign or torn, or has another number of shards than was asked for.
    """
    found = read_identity(settings.store)
    shards = settings.shards or (found.shards if found else limits.SHARDS_PER_CORE * settings.hosts)
    return SqliteStore.create(
        settings.store,
        shards=shards,
        store_id=uuid.uuid4().hex,
        created_ms=time.time_ns() // 1_000_000,
        policy=ArchivePolicy(settings.archive_days, settings.archive_bytes),
        secret=secrets.token_hex(32),
    )


def start_ray(settings: Settings) -> None:
    """Starts Ray here, or connects to the cluster of the settings."""
    token_file(settings.store).unlink(missing_ok=True)  # of the last time
    if settings.ray_address:
        ray.init(
            address=settings.ray_address, namespace=placement.NAMESPACE, log_to_driver=False,
            configure_logging=False,
        )  # fmt: skip
        return
    for name, value in _RAY_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    _require_token(settings.store)
    _listen_on_loopback()
    Config.initialize("")  # Ray has read its environment when it was imported
    ray.init(
        address="local",
        namespace=placement.NAMESPACE,
        include_dashboard=settings.dashboard,
        dashboard_host="127.0.0.1",
        dashboard_port=settings.dashboard_port or None,
        object_store_memory=limits.OBJECT_STORE_BYTES,
        num_cpus=max(4, os.cpu_count() or 1),
        log_to_driver=False,
        configure_logging=False,
        _system_config={"enable_metrics_collection": settings.dashboard},  # it shows them
    )


def _require_token(store: Path) -> None:
    """Makes every call into Ray need a token, unless the operator has chosen `RAY_AUTH_MODE`.

    Children find it in their environment. `token_file` has it for the operator's browser.
    """
    if "RAY_AUTH_MODE" in os.environ:
        return
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    descriptor = os.open(token_file(store), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(os.environ["RAY_AUTH_TOKEN"])


def _listen_on_loopback() -> None:
    """Makes Ray take 127.0.0.1 for this node's address.

    `ray.init(_node_ip_address="127.0.0.1")` puts the machine's address in its place. Ray has this
    switch for systems whose firewall would ask at every start.
    """
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    ray_constants.ENABLE_RAY_CLUSTER = False


def token_file(store: Path) -> Path:
    """Where the token of a Ray that was started here lies: Ray's dashboard asks for it."""
    return store / "ray.token"


def owner_file(store: Path) -> Path:
    """Where the process that runs an instance on a store writes its id, for `denrei down`."""
    return store / "denrei.pid"
