"""`denrei profile`: one person, with all that happened to them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from actors.store.errors import StoreError
from actors.store.identity import read_identity
from engine.slots import USER, shard_of, slot_of
from gateway.cli import options, person
from gateway.cli.client import Client, millis, plain
from gateway.cli.journal import read_commands
from gateway.cli.output import console, print_json, say, time_of
from gateway.cli.send import parent_of
from gateway.pb.denrei.v1 import profiles_pb2

app = typer.Typer()


@app.command()
def profile(
    user: Annotated[str, typer.Argument(metavar="USER", help="A user id, or addresses/...")],
    events: Annotated[
        bool, typer.Option("--events/--no-events", help="Also what came in, from the journal.")
    ] = True,
    address: options.Address = "",
    key: options.Key = "",
    store: options.Store = options.DEFAULT_STORE,
    ca: options.Ca = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT_S,
    json: options.Json = False,
) -> None:
    """Show a profile: traits, segments, and what happened, in the order of time.

    Example: `denrei profile 00042`

    Events come from the store's journal, if it lies on this machine and the user is in the
    workspace `default`.

    Exit codes: 0 shown; 3 no answer; 4 the key is not accepted; 5 nothing was ever heard of them.
    """
    name = parent_of(user)
    with Client(address, key, store, ca, timeout) as client:
        request = profiles_pb2.GetProfileRequest(name=name)
        found = client.call(client.profiles.GetProfile, request)
    if json:
        print_json(plain(found))
        return
    told = events_of(store, name) if events else []
    say(f"{name}, known since {time_of(millis(found.create_time))}")
    for trait, value in sorted(plain(found.traits).items()):
        say(f"  {trait}: {value}")
    for one in found.segments:
        since = time_of(millis(one.enter_time))
        say(f"  in segment {one.segment.removeprefix('segments/')} since {since}")
    if found.quarantine:
        say(f"  in quarantine: {found.quarantine}")
    console.print(person.show("", person.story(found, told)))


def events_of(store: Path, name: str, workspace: str = "default") -> list[dict[str, Any]]:
    """What came in for a user, from a store's journal; nothing if there is none here."""
    collection, _, id_ = name.partition("/")
    try:
        identity = read_identity(store)
        if identity is None or collection != "users":
            return []
        key = f"{workspace}/{USER}/{id_}"
        shard = shard_of(slot_of(key), identity.shards)
        return list(read_commands(store, shard, key, None, None))
    except (StoreError, OSError):
        return []
