"""`denrei keys`: makes, lists and revokes API keys, in the store itself.

Keys are made beside a running instance or before its first start: the first key for a gateway
that the network can reach cannot be asked for over the network.
"""

import time
from typing import Annotated

import typer

from actors.store.errors import ForeignStore
from actors.store.identity import read_identity
from actors.store.keys import SCOPES, KeyInfo, KeyStore
from gateway.cli import options
from gateway.cli.errors import REFUSED, USAGE, CliError
from gateway.cli.output import console, print_json, say, table, time_of

app = typer.Typer(
    no_args_is_help=True,
    help="Make, list and revoke API keys.\n\nExample: `denrei keys create --scope publish`",
)


@app.command()
def create(
    scope: Annotated[
        list[str], typer.Option("--scope", help=f"{', '.join(SCOPES)}; all of them: 'all'.")
    ],
    workspace: Annotated[
        str, typer.Option("--workspace", "-w", help="What it is for.")
    ] = "default",
    store: options.Store = options.DEFAULT_STORE,
    json: options.Json = False,
) -> None:
    """Make a key, and print it this once: the store keeps only a hash.

    Example: `denrei keys create --scope publish --scope read --workspace shop`

    Exit codes: 0 made; 1 the store could not be written; 2 wrong usage.
    """
    if "/" in workspace or not workspace or len(workspace) > 100:
        raise CliError(f"workspace {workspace!r} is not a name", "use no '/'", USAGE)
    store.mkdir(parents=True, exist_ok=True)
    keys = KeyStore(store)
    try:
        info, secret = keys.create(workspace, SCOPES if "all" in scope else scope, _now_ms())
    except ValueError as error:
        raise CliError(str(error), "", USAGE) from None
    finally:
        keys.close()
    if json:
        print_json({**_plain(info), "key": secret})
    else:
        say(secret)


@app.command("list")
def list_keys(
    workspace: Annotated[str, typer.Option("--workspace", "-w", help="Only this one's.")] = "",
    store: options.Store = options.DEFAULT_STORE,
    json: options.Json = False,
) -> None:
    """List keys, without their secrets.

    Example: `denrei keys list`

    Exit codes: 0 listed; 1 there is no store.
    """
    keys = _open(store)
    try:
        infos = keys.list(workspace or None)
    finally:
        keys.close()
    if json:
        print_json([_plain(info) for info in infos])
        return
    rows = [
        (
            info.id,
            info.workspace,
            " ".join(info.scopes),
            time_of(info.created_ms),
            _state(info),
        )
        for info in infos
    ]
    console.print(table("", ("id", "workspace", "scopes", "made", "state"), rows))


@app.command()
def revoke(
    id_: Annotated[str, typer.Argument(metavar="ID", help="As `denrei keys list` shows it.")],
    store: options.Store = options.DEFAULT_STORE,
    json: options.Json = False,
) -> None:
    """Revoke a key; gateways refuse it within seconds.

    Example: `denrei keys revoke 4fd2a9c01b77`

    Exit codes: 0 revoked; 1 there is no store; 5 there is no such key.
    """
    keys = _open(store)
    try:
        found = keys.revoke(id_.removeprefix("keys/"), _now_ms())
    finally:
        keys.close()
    if not found:
        raise CliError(f"there is no key {id_!r}", "see `denrei keys list`", REFUSED)
    if json:
        print_json({"revoked": id_})
    else:
        say(f"revoked {id_}")


def _open(store: options.Store) -> KeyStore:
    if read_identity(store) is None and not (store / "control.db").exists():
        raise ForeignStore(f"{store} holds no store", "Name it with --store")
    return KeyStore(store)


def _state(info: KeyInfo) -> str:
    if info.revoked_ms is not None:
        return f"revoked {time_of(info.revoked_ms)}"
    return "development" if info.dev else "good"


def _plain(info: KeyInfo) -> dict[str, object]:
    return {
        "id": info.id,
        "workspace": info.workspace,
        "scopes": list(info.scopes),
        "created_ms": info.created_ms,
        "revoked_ms": info.revoked_ms,
        "development": info.dev,
    }


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
