"""`denrei export`: everything that is kept of a person, as JSON."""

import sys
from typing import Annotated

import typer

from gateway.cli import options
from gateway.cli.client import Client
from gateway.cli.send import parent_of
from gateway.pb.denrei.v1 import profiles_pb2

app = typer.Typer()


@app.command()
def export(
    user: Annotated[
        str, typer.Argument(metavar="USER", help="A user id, addresses/... or anonymousUsers/...")
    ],
    address: options.Address = "",
    key: options.Key = "",
    store: options.Store = options.DEFAULT_STORE,
    ca: options.Ca = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT_S,
) -> None:
    """Print everything that is kept of a person, as one JSON document.

    Example: `denrei export 00042 > 00042.json`

    Exit codes: 0 printed; 3 no answer; 4 the key is not accepted; 5 nothing was ever heard of them.
    """
    with Client(address, key, store, ca, timeout) as client:
        request = profiles_pb2.ExportProfileRequest(name=parent_of(user))
        with client.watch(client.profiles.ExportProfile, request) as pieces:
            document = b"".join(piece.json for piece in pieces)
    sys.stdout.write(document.decode() + "\n")
