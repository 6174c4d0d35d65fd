"""`denrei bench`: runs the benchmark of this repository."""

import importlib.util
import subprocess
import sys

import typer

from gateway.cli.errors import CliError

app = typer.Typer()


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(context: typer.Context) -> None:
    """Measure the engine against its bare transport on this machine.

    Example: `denrei bench --help`

    Everything after `bench` goes to the benchmark. It writes bench/out.json.

    Exit codes: those of the benchmark; 1 if it is not installed here.
    """
    if importlib.util.find_spec("bench") is None:
        raise CliError(
            "the benchmark is part of the repository, and is not installed here",
            "run `make bench` in a clone of the repository",
        )
    done = subprocess.run([sys.executable, "-m", "bench", *context.args], check=False)
    raise typer.Exit(done.returncode)
