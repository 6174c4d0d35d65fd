"""`denrei erase`: erases all that is kept of a person."""

from typing import Annotated

import typer

from gateway.cli import options
from gateway.cli.client import Client, plain
from gateway.cli.output import print_json, say
from gateway.cli.send import parent_of
from gateway.pb.denrei.v1 import profiles_pb2

app = typer.Typer()

_SWEEP_S = 120.0


@app.command()
def erase(
    user: Annotated[
        str, typer.Argument(metavar="USER", help="A user id, addresses/... or anonymousUsers/...")
    ],
    suppress: Annotated[
        bool, typer.Option("--suppress", help="Also take nothing of them from now on.")
    ] = False,
    now: Annotated[
        bool, typer.Option("--now", help="Also clear the journal and the archive, and wait for it.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    address: options.Address = "",
    key: options.Key = "",
    store: options.Store = options.DEFAULT_STORE,
    ca: options.Ca = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT_S,
    json: options.Json = False,
) -> None:
    """Erase all that is kept of a person, whichever of their ids you name.

    Example: `denrei erase 00042 --suppress --yes`

    What has not left is called back. It cannot be undone; `denrei export` first gives out what
    there is. The journal and its archive are cleared within a day, or with --now at once;
    docs/privacy.md says what is gone when.

    Exit codes: 0 erased; 1 not confirmed; 3 no answer; 4 the key is not accepted.
    """
    name = parent_of(user)
    if not yes:
        typer.confirm(f"Erase all that is kept of {name}?", abort=True)
    with Client(address, key, store, ca, max(timeout, _SWEEP_S) if now else timeout) as client:
        request = profiles_pb2.EraseProfileRequest(name=name, suppress=suppress, now=now)
        done = client.call(client.profiles.EraseProfile, request)
    if json:
        print_json(plain(done))
    else:
        say(f"{name} is erased" + (", and nothing is taken of them any more" if suppress else ""))
    if not json and done.waiting:
        say("the journal and the archive are still being cleared: see `denrei status`")
