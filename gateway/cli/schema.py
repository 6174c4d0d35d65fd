"""`denrei schema`: a JSON Schema of definitions, for editors."""

import json
import sys
from typing import Annotated

import typer

from engine.definition_kinds import KINDS
from engine.issues import did_you_mean, listed
from engine.json_schema import generate
from gateway.cli.errors import USAGE, CliError

app = typer.Typer()


@app.command()
def schema(
    kind: Annotated[
        str, typer.Option("--kind", help=f"One kind only: {', '.join(KINDS)}. Left out: any.")
    ] = "",
) -> None:
    """Write the JSON Schema of definitions, for editors that complete and check as one writes.

    Example: `denrei schema > denrei.schema.json`

    With the YAML extension of an editor, begin a file with the line
    `# yaml-language-server: $schema=denrei.schema.json`.

    Exit codes: 0 written; 2 there is no such kind.
    """
    if kind and kind not in KINDS:
        hint = did_you_mean(kind, KINDS) or f"choose one of {listed(KINDS)}"
        raise CliError(f"there is no kind {kind!r}", hint, USAGE)
    sys.stdout.write(json.dumps(generate(kind), ensure_ascii=False, indent=2) + "\n")
