"""`denrei tail`: shows what happens in an instance, as it happens."""

import time
from typing import Annotated, Any

import grpc
import typer
from rich.text import Text

from gateway.cli import options
from gateway.cli.client import Client, millis, pause_before_retry_s
from gateway.cli.output import console, note, print_json, time_of
from gateway.cli.send import parent_of
from gateway.pb.denrei.v1 import system_pb2

app = typer.Typer()

_STYLES = {"event": "cyan", "segment": "magenta", "journey": "green", "message": "yellow"}


@app.command()
def tail(
    user: Annotated[
        str, typer.Option("--user", "-u", help="Only this user (or addresses/...).")
    ] = "",
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", help="Only lines of this kind: event, trail, message, segment ..."),
    ] = None,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, help="End after so many lines; 0: never.")
    ] = 0,
    address: options.Address = "",
    key: options.Key = "",
    store: options.Store = options.DEFAULT_STORE,
    ca: options.Ca = None,
    json: options.Json = False,
) -> None:
    """Follow events, messages and trail lines live, until you press Ctrl-C.

    Example: `denrei tail --user 4711 --kind message`

    What happened before is in a person's profile, not here; and a feed that is too quick for its
    reader skips lines.

    Exit codes: 0 ended by you or by --lines; 3 no answer; 4 the key is not accepted.
    """
    request = system_pb2.WatchRequest(name=parent_of(user) if user else "", kinds=kind or ())
    shown = 0
    with Client(address, key, store, ca) as client:
        note(f"following {client.address}; Ctrl-C ends it")
        try:
            for line in _lines(client, request):
                _show(line, json)
                shown += 1
                if shown == lines:
                    return
        except KeyboardInterrupt:
            return


def _lines(client: Client, request: Any) -> Any:
    """Lines without end; a gateway that dies is asked again when it is back."""
    while True:
        try:
            with client.watch(client.system.Watch, request) as stream:
                yield from stream
        except grpc.RpcError as error:
            pause_s = pause_before_retry_s(error)
            if pause_s is None:
                raise
            note("the gateway is away; lines may be missing")
            time.sleep(max(1.0, pause_s))


def _show(line: Any, json: bool) -> None:
    at_ms = millis(line.time)
    if json:
        print_json({
            "time_ms": at_ms, "kind": line.kind, "name": line.name,
            "subject": line.subject, "detail": line.detail,
        })  # fmt: skip
        return
    console.print(
        Text.assemble(
            (time_of(at_ms), "dim"), "  ",
            (f"{line.kind:<8}", _STYLES.get(line.kind, "")), " ",
            (line.name, "bold"), f"  {line.subject}  ", (line.detail, ""),
        ),
        soft_wrap=True,
    )  # fmt: skip
