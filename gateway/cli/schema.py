"""`denrei schema`: a JSON Schema of definitions, for editors."""

import json
import sys
from typing import Annotated

import typer

from engine.definition_kinds import KINDS
from engine.issues import did_you_mean, listed
from engine.json_schema import generate
from engine.simulation.json_schema import scenario_schema
from gateway.cli.errors import USAGE, CliError

app = typer.Typer()

SCENARIO = "scenario"


@app.command()
def schema(
    kind: Annotated[
        str,
        typer.Option(
            "--kind", help=f"One of {', '.join(KINDS)}; or scenario. Left out: any definition."
        ),
    ] = "",
) -> None:
    """Write the JSON Schema of definitions, for editors that complete and check as one writes.

    Example: `denrei schema > denrei.schema.json`

    With the YAML extension of an editor, begin a file with the line
    `# yaml-language-server: $schema=denrei.schema.json`.

    Exit codes: 0 written; 2 there is no such kind.
    """
    kinds = (*KINDS, SCENARIO)
    if kind and kind not in kinds:
        hint = did_you_mean(kind, kinds) or f"choose one of {listed(kinds)}"
        raise CliError(f"there is no kind {kind!r}", hint, USAGE)
    made = scenario_schema() if kind == SCENARIO else generate(kind)
    sys.stdout.write(json.dumps(made, ensure_ascii=False, indent=2) + "\n")
