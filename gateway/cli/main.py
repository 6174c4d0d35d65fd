"""The entry point of `denrei`: the list of commands, and what happens to errors.

A command's module is imported when the command is run, so that `denrei down` does not wait for
gRPC, and nothing but `up` for Ray. Whatever goes wrong reaches a person as one sentence
on what is wrong and one on what to do, and a script as an exit code.
"""

import importlib
import sys
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from gateway.cli.errors import CliError, from_exception
from gateway.cli.output import say_error

VERSION: Final = "0.1.0"

# In the order in which one needs them.
COMMANDS: Final = (
    "up", "down", "status", "lint", "test", "apply", "send", "tail", "replay", "profile", "explain",
    "segment", "table", "lane", "enter", "release", "erase", "export", "report", "backtest",
    "journal", "keys", "schema", "demo", "bench",
)  # fmt: skip


class _Commands(TyperGroup):
    """Imports a command when it is asked for, and tells of errors without a traceback."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"gateway.cli.{cmd_name}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, KeyboardInterrupt):
            raise
        except Exception as error:
            told = from_exception(error)
            if told is None:
                raise
            say_error(told)
            raise typer.Exit(told.code) from None


app = typer.Typer(
    cls=_Commands,
    name="denrei",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"denrei {VERSION}\n")
        raise typer.Exit


@app.callback()
def denrei(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Denrei, a real-time customer-engagement engine: events in, the right message out.

    Begin with `denrei demo`, or with `denrei up` and `denrei apply examples/cdnow`.

    Exit codes: 0 done; 1 failed; 2 wrong usage; 3 no answer from the instance; 4 the API key is
    not accepted; 5 refused (a definition, a file or a request that does not hold together).
    """


__all__ = ["COMMANDS", "CliError", "app"]
