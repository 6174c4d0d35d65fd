"""`denrei up`: runs an instance on this machine, in the foreground, until it is told to stop."""

import json as json_module
import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from actors.settings import Settings
from actors.store.connection import write_atomically
from actors.store.keys import SCOPES, KeyStore
from gateway.cli import options, owner
from gateway.cli.errors import FAILED, REFUSED, CliError
from gateway.cli.output import note, print_json, say

app = typer.Typer()

_WORKSPACE = "default"
_CHECK_S = 1.0


@app.command()
def up(
    store: Annotated[
        Path | None, typer.Option("--store", "-s", metavar="DIR", help="The store's directory.")
    ] = None,
    hosts: Annotated[int | None, typer.Option("--hosts", help="Shard hosts; one a core.")] = None,
    shards: Annotated[
        int | None, typer.Option("--shards", help="Shards; fixed when the store is created.")
    ] = None,
    gateways: Annotated[int | None, typer.Option("--gateways", help="Gateways.")] = None,
    bind: Annotated[str | None, typer.Option("--bind", help="The address to listen on.")] = None,
    grpc_port: Annotated[
        int | None, typer.Option("--grpc-port", help="0: a free one. Default 50051.")
    ] = None,
    http_port: Annotated[
        int | None, typer.Option("--http-port", help="For carriers. 0: a free one. Default 50052.")
    ] = None,
    public_url: Annotated[
        str | None, typer.Option("--public-url", help="How carriers reach the HTTP port.")
    ] = None,
    clock: Annotated[
        str | None, typer.Option("--clock", help="system, event (for replays), or 60x.")
    ] = None,
    dashboard: Annotated[
        bool | None, typer.Option("--dashboard/--no-dashboard", help="Ray's dashboard.")
    ] = None,
    dashboard_port: Annotated[int | None, typer.Option("--dashboard-port")] = None,
    ray_address: Annotated[
        str | None, typer.Option("--ray-address", help="A Ray cluster to run on.")
    ] = None,
    ready_file: Annotated[
        Path | None, typer.Option("--ready-file", help="Written (JSON) when it serves.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Start an instance: Ray, hosts, senders and a gateway. Ctrl-C or SIGTERM stops it.

    Example: `denrei up --store /var/lib/denrei --grpc-port 50051`

    Settings come from these options, then the environment (`DENREI_HOSTS=4`), then denrei.yaml.
    At the first start it makes a development API key, prints it, and keeps it in the store.

    Exit codes: 0 stopped and drained; 1 it could not start or stop; 2 wrong settings; 5 it would be
    reachable from the network with only a development key.
    """
    given: dict[str, Any] = {
        "store": store, "hosts": hosts, "shards": shards, "gateways": gateways, "bind": bind,
        "grpc_port": grpc_port, "clock": clock, "dashboard": dashboard,
        "dashboard_port": dashboard_port, "ray_address": ray_address, "http_port": http_port,
        "public_url": public_url,
    }  # fmt: skip
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    stop = threading.Event()
    stop_on_signals(stop)
    claim = owner.Owner(settings.store)
    try:
        _run(settings, claim, stop, ready_file, json)
    finally:
        claim.release()


def _run(
    settings: Settings,
    claim: owner.Owner,
    stop: threading.Event,
    ready_file: Path | None,
    json: bool,
) -> None:
    key = prepare_keys(settings)
    if not json:
        note(f"starting on {settings.store} ...")
    from actors.instance import Instance, InstanceFailed  # noqa: PLC0415 - they import Ray
    from gateway.gateway_actor import GatewayActor  # noqa: PLC0415

    instance = Instance(settings, GatewayActor)
    try:
        instance.start(on_ray=lambda: stop_on_signals(stop))
        running = describe(settings, instance.address)
        claim.serves(running)
        _tell(running, key, ready_file, json)
        while not stop.wait(_CHECK_S):
            pass  # the supervisor mends what dies meanwhile
        if not json:
            note("stopping: draining and writing a checkpoint ...")
    except InstanceFailed as error:
        hint = "Ray's logs tell more: /tmp/ray/session_latest/logs"
        raise CliError(f"the instance does not start: {error}", hint, FAILED) from None
    finally:
        instance.stop()
    if json:
        print_json({"stopped": True})
    else:
        say("stopped")


def prepare_keys(settings: Settings) -> str:
    """Makes the development key at the first start on a loopback address.

    Returns:
        The key, if it was made now; else an empty text.

    Raises:
        CliError: The network could reach the gateway, and there is no key for that.
    """
    settings.store.mkdir(parents=True, exist_ok=True)
    path = settings.store / owner.KEY_FILE
    keys = KeyStore(settings.store)
    try:
        good = [info for info in keys.list() if info.revoked_ms is None]
        if not settings.loopback:
            if not any(not info.dev for info in good):
                raise CliError(
                    f"will not listen on {settings.bind}: a development key is refused there, and "
                    "there is no other",
                    f"make one with `denrei keys create --scope all --store {settings.store}`, or "
                    "listen on 127.0.0.1",
                    REFUSED,
                )
            return ""
        if path.exists() and keys.verify(path.read_text().strip()):
            return ""
        if not path.exists() and good:
            return ""
        _, secret = keys.create(_WORKSPACE, SCOPES, time.time_ns() // 1_000_000, dev=True)
    finally:
        keys.close()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secret + "\n")
    return secret


def describe(settings: Settings, address: str) -> owner.Running:
    """Where an instance with these settings serves, for clients on this machine."""
    for everywhere in ("0.0.0.0:", "[::]:"):
        address = address.replace(everywhere, "127.0.0.1:")
    key_file = settings.store / owner.KEY_FILE
    return owner.Running(
        pid=os.getpid(),
        address=address,
        dashboard=f"http://127.0.0.1:{settings.dashboard_port}" if settings.dashboard else "",
        store=str(settings.store.resolve()),
        key_file=str(key_file.resolve()) if key_file.exists() else "",
        clock=settings.clock,
        tls=settings.tls is not None,
        http=settings.http_url,
    )


def _tell(running: owner.Running, key: str, ready_file: Path | None, json: bool) -> None:
    told = {
        "address": running.address, "dashboard": running.dashboard, "pid": running.pid,
        "store": running.store, "key_file": running.key_file, "clock": running.clock,
        "http": running.http,
    }  # fmt: skip
    if ready_file is not None:
        write_atomically(ready_file, (json_module.dumps(told) + "\n").encode())
    if json:
        print_json(told)
        return
    say(f"Denrei serves at {running.address} (process {running.pid}, store {running.store})")
    say(f"  Carriers call    {running.http}")
    if running.dashboard:
        say(f"  Ray's dashboard  {running.dashboard}")
        if (Path(running.store) / owner.RAY_TOKEN_FILE).exists():
            say(f"                   asks for what is in {running.store}/{owner.RAY_TOKEN_FILE}")
    if key:
        say(f"  API key          {key}")
        say("                   a development key, good on this machine only; it is kept in")
        say(f"                   {running.key_file}")
    elif running.key_file:
        say(f"  API key          in {running.key_file}")
    where = "" if Path(running.store) == options.DEFAULT_STORE.resolve() else (
        f" --store {running.store}"
    )  # fmt: skip
    say("  Next             " + f"denrei apply examples/cart-abandonment{where}")
    say("                   " + f"denrei status{where}   denrei tail{where}   denrei down{where}")


def stop_on_signals(stop: threading.Event) -> None:
    """Lets SIGTERM and SIGINT set an event; a second one ends the process at once."""

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
