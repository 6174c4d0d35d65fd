"""`denrei profile`: one person, with all that happened to them."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from actors import queries
from actors.store.errors import StoreError
from actors.store.identity import read_identity
from engine.slots import USER, shard_of, slot_of
from gateway import names, views
from gateway.cli import options, person
from gateway.cli.archived import past_of
from gateway.cli.client import Client, millis, plain
from gateway.cli.errors import REFUSED, USAGE, CliError
from gateway.cli.history.times import read_any
from gateway.cli.journal import read_commands
from gateway.cli.output import console, note, print_json, say, time_of
from gateway.cli.send import parent_of
from gateway.pb.denrei.v1 import profiles_pb2

app = typer.Typer()


@app.command()
def profile(
    user: Annotated[str, typer.Argument(metavar="USER", help="A user id, or addresses/...")],
    events: Annotated[
        bool, typer.Option("--events/--no-events", help="Also what came in, from the journal.")
    ] = True,
    at: Annotated[
        str,
        typer.Option(
            "--at", metavar="TIME", help="As they stood then, from the store's journal alone."
        ),
    ] = "",
    workspace: Annotated[
        str, typer.Option("--workspace", "-w", help="The user's, for --at.")
    ] = "default",
    address: options.Address = "",
    key: options.Key = "",
    store: options.Store = options.DEFAULT_STORE,
    ca: options.Ca = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT_S,
    json: options.Json = False,
) -> None:
    """Show a profile: traits, segments, and what happened, in the order of time.

    Example: `denrei profile 00042 --at 2026-03-01T12:00:00Z`

    Events come from the store's journal, if it lies on this machine and the user is in the
    workspace `default`. With --at the profile is played again from that journal and its archive,
    up to that second; no instance is needed.

    Exit codes: 0 shown; 1 there is no store, or it does not reach back so far; 2 wrong usage; 3 no
    answer; 4 the key is not accepted; 5 nothing was ever heard of them (with --at: by then).
    """
    name = parent_of(user)
    at_ms = _time(at)
    if at_ms is not None:
        if at_ms > time.time() * 1000:
            note(f"{time_of(at_ms)} is still to come: so they will stand if nothing happens before")
        found = _at(store, workspace, name, at_ms)
    else:
        with Client(address, key, store, ca, timeout) as client:
            request = profiles_pb2.GetProfileRequest(name=name)
            found = client.call(client.profiles.GetProfile, request)
    if json:
        print_json(plain(found))
        return
    told = events_of(store, name, workspace, at_ms) if events else []
    as_of = f", as of {time_of(at_ms)}" if at_ms is not None else ""
    say(f"{name}, known since {time_of(millis(found.create_time))}{as_of}")
    for trait, value in sorted(plain(found.traits).items()):
        say(f"  {trait}: {value}")
    for one in found.segments:
        since = time_of(millis(one.enter_time))
        say(f"  in segment {one.segment.removeprefix('segments/')} since {since}")
    if found.quarantine:
        say(f"  in quarantine: {found.quarantine}")
    console.print(person.show("", person.story(found, told)))


def events_of(
    store: Path, name: str, workspace: str = "default", until_ms: int | None = None
) -> list[dict[str, Any]]:
    """What came in for a user, from a store's journal; nothing if there is none here."""
    collection, _, id_ = name.partition("/")
    try:
        identity = read_identity(store)
        if identity is None or collection != "users":
            return []
        key = f"{workspace}/{USER}/{id_}"
        shard = shard_of(slot_of(key), identity.shards)
        told = read_commands(store, shard, key, None, None if until_ms is None else until_ms + 1)
        return [one for one in told if until_ms is None or one.get("timestamp_ms", 0) <= until_ms]
    except (StoreError, OSError):
        return []


def _time(text: str) -> int | None:
    try:
        return read_any(text) if text else None
    except ValueError:
        hint = "write it like 2026-03-01 or 2026-03-01T12:00:00Z"
        raise CliError(f"--at {text!r} is not a time", hint, USAGE) from None


def _at(store: Path, workspace: str, name: str, at_ms: int) -> profiles_pb2.Profile:
    """A profile as it stood at a moment."""
    key = names.entity_key(workspace, name, "USER")
    past, history = past_of(store, key, at_ms)
    found = queries.profile(past.shard, {"key": key})
    if found is None:
        raise CliError(f"nothing was heard of {name} by {time_of(at_ms)}", "", REFUSED)
    if not history.complete:
        note(
            f"the archive begins at {time_of(history.first_ms or 0)}: what happened before is not "
            "in it"
        )
    return views.profile(found)
