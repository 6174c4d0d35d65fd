"""`denrei release`: lets a profile out of quarantine."""

from typing import Annotated

import typer

from gateway.cli import options
from gateway.cli.client import Client, plain
from gateway.cli.output import print_json, say
from gateway.cli.send import parent_of
from gateway.pb.denrei.v1 import profiles_pb2

app = typer.Typer()


@app.command()
def release(
    user: Annotated[str, typer.Argument(metavar="USER", help="A user id, or addresses/...")],
    address: options.Address = "",
    key: options.Key = "",
    store: options.Store = options.DEFAULT_STORE,
    ca: options.Ca = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT_S,
    json: options.Json = False,
) -> None:
    """Let a profile out of quarantine, once the defect that put it there is mended.

    Example: `denrei release 00042`

    `denrei profile 00042` shows why it is there. A profile that is not in quarantine stays as it
    is.

    Exit codes: 0 released; 1 it met the defect again; 3 no answer; 4 the key is not accepted; 5
    nothing was ever heard of them.
    """
    name = parent_of(user)
    with Client(address, key, store, ca, timeout) as client:
        request = profiles_pb2.ReleaseProfileRequest(name=name)
        found = client.call(client.profiles.ReleaseProfile, request)
    if json:
        print_json(plain(found))
    else:
        say(f"{name} is out of quarantine: its events are taken, its timers run")
