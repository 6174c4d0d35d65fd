"""`denrei down`: stops the instance that runs on a store, and waits until it has ended."""

import os
import signal
import time
from typing import Annotated

import typer

from gateway.cli import options, owner
from gateway.cli.errors import FAILED, CliError
from gateway.cli.output import print_json, say

app = typer.Typer()

_POLL_S = 0.1


@app.command()
def down(
    store: options.Store = options.DEFAULT_STORE,
    wait: Annotated[
        float, typer.Option("--wait", min=0, metavar="SECONDS", help="How long to wait for it.")
    ] = 120.0,
    json: options.Json = False,
) -> None:
    """Stop an instance: it drains, writes a checkpoint, and ends.

    Example: `denrei down --store /var/lib/denrei`

    Exit codes: 0 it has ended, or none ran; 1 it had not ended when the time was up.
    """
    pid = owner.owner_pid(store)
    if pid:
        _stop(pid, wait, store)
    if json:
        print_json({"stopped": bool(pid), "pid": pid})
    else:
        say(f"stopped (process {pid})" if pid else f"no instance runs on {store}")


def _stop(pid: int, wait_s: float, store: options.Store) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError:
        words = f"process {pid} belongs to another user"
        raise CliError(words, "run `denrei down` as that user") from None
    deadline = time.monotonic() + wait_s
    while owner.owner_pid(store) == pid:
        if time.monotonic() >= deadline:
            raise CliError(
                f"process {pid} has not ended after {wait_s:g} s",
                "it may still drain: wait longer with --wait; `kill -9` is safe for what was "
                "acknowledged, and makes the next start replay more",
                FAILED,
            )
        time.sleep(_POLL_S)
