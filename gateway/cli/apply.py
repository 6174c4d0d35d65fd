"""`denrei apply`: sends definitions (journeys, segments, templates and others) to an instance."""

from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer

from gateway.cli import options
from gateway.cli.client import Client, plain
from gateway.cli.errors import REFUSED, CliError
from gateway.cli.output import console, print_json, say, table
from gateway.pb.denrei.v1 import definitions_pb2

app = typer.Typer()

SUFFIXES = (".yaml", ".yml", ".json")
# Files that tell `denrei replay` how to read a data set, and `denrei test` what must be so.
MAPPING_SUFFIX = ".mapping.yaml"
SCENARIO_SUFFIX = ".scenario.yaml"
NO_DEFINITIONS = (MAPPING_SUFFIX, SCENARIO_SUFFIX)


@app.command()
def apply(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Files, or directories of them.")
    ],
    check: Annotated[bool, typer.Option("--check", help="Only check; change nothing.")] = False,
    expect: Annotated[
        int, typer.Option("--expect", min=0, help="Refuse unless this is the version now.")
    ] = 0,
    address: options.Address = "",
    key: options.Key = "",
    store: options.Store = options.DEFAULT_STORE,
    ca: options.Ca = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT_S,
    json: options.Json = False,
) -> None:
    """Apply definitions from YAML or JSON files, all of them or none.

    Example: `denrei apply examples/cdnow`

    Exit codes: 0 applied; 3 no answer; 4 the key is not accepted; 5 a definition is wrong (nothing
    was changed).
    """
    sources = read_sources(files)
    with Client(address, key, store, ca, timeout) as client:
        answer = apply_sources(client, sources, check, expect)
    if json:
        print_json(plain(answer))
        return
    rows = [(*one.name.split("/", 1), one.version) for one in answer.definitions]
    console.print(table("", ("kind", "name", "#version"), rows))
    steps = [
        (one.journey.removeprefix("journeys/"), step.step, step.outcome)
        for one in answer.handovers
        for step in one.steps
    ]
    if steps:
        title = "Who waits at a step of the version before"
        console.print(table(title, ("journey", "step", "outcome"), steps))
    words = "they hold together; nothing was changed" if check else f"version {answer.version}"
    if answer.pending_shards:
        words += f"; {answer.pending_shards} shards are still to install it"
    say(words)


def read_sources(paths: list[Path]) -> list[Any]:
    """The definition files among paths, each as a source; directories are searched, not deeply.

    Raises:
        CliError: A path does not exist, or holds no definitions.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = sorted(
                file
                for file in path.iterdir()
                if file.suffix in SUFFIXES and not file.name.endswith(NO_DEFINITIONS)
            )
            if not found:
                words = f"{path} holds no {', '.join(SUFFIXES)} file"
                raise CliError(words, "name the files, or another directory", REFUSED)
            files.extend(found)
        elif path.exists():
            files.append(path)
        else:
            raise CliError(f"there is no {path}", "name files or directories", REFUSED)
    return [_source(path) for path in files]


def _source(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CliError(f"{path} is not a text in UTF-8", "", REFUSED) from None
    name = str(path)[-200:]
    if path.suffix == ".json":
        return definitions_pb2.DefinitionSource(filename=name, json=text)
    return definitions_pb2.DefinitionSource(filename=name, yaml=text)


def apply_sources(client: Client, sources: list[Any], check: bool = False, expect: int = 0) -> Any:
    """Applies sources as one change.

    Returns:
        The ApplyDefinitionsResponse.
    """
    request = definitions_pb2.ApplyDefinitionsRequest(
        sources=sources, validate_only=check, expected_version=expect, request_id=uuid4().hex
    )
    return client.call(client.definitions.ApplyDefinitions, request)
