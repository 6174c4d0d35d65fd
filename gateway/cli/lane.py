"""`denrei lane`: the limits of a lane as they hold, and the presets that there are."""

from typing import Annotated, Any

import typer
import yaml

from engine.issues import did_you_mean
from engine.lanes.definition import lane_from
from engine.lanes.presets import PRESETS
from gateway.cli import options
from gateway.cli.client import Client
from gateway.cli.errors import REFUSED, CliError
from gateway.cli.output import console, print_json, say, table
from gateway.pb.denrei.v1 import definitions_pb2

app = typer.Typer()


@app.command()
def lane(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="A lane.")] = "",
    presets: Annotated[bool, typer.Option("--presets", help="List the presets.")] = False,
    address: options.Address = "",
    key: options.Key = "",
    store: options.Store = options.DEFAULT_STORE,
    ca: options.Ca = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT_S,
    json: options.Json = False,
) -> None:
    """Show every limit of a lane, those of its preset too, or all presets with their sources.

    Example: `denrei lane --presets`

    How much of each limit is used now, and what keeps a lane back, is in `denrei status`.

    Exit codes: 0 done; 3 no answer; 4 the key is not accepted; 5 there is no such lane or preset.
    """
    if presets:
        _presets(name, json)
        return
    if not name:
        raise CliError("which lane?", "write `denrei lane NAME`, or --presets", REFUSED)
    with Client(address, key, store, ca, timeout) as client:
        request = definitions_pb2.GetDefinitionRequest(name=f"lanes/{name}")
        found = client.call(client.definitions.GetDefinition, request)
    # The YAML, since numbers of a Struct are doubles.
    _limits(name, yaml.safe_load(found.yaml), json)


def _presets(name: str, json: bool) -> None:
    """All presets, or those whose name begins so."""
    found = {each: preset for each, preset in PRESETS.items() if each.startswith(name)}
    if not found:
        hint = did_you_mean(name, sorted(PRESETS)) or "leave the name out to see all"
        raise CliError(f"there is no preset {name!r}", hint, REFUSED)
    if json:
        for each, preset in found.items():
            print_json({
                "preset": each, "channels": list(preset.channels), "limits": list(preset.limits),
                "words": preset.words, "source": preset.source,
            })  # fmt: skip
        return
    rows = [(each, preset.words, preset.source) for each, preset in found.items()]
    console.print(table("presets", ("preset", "limits", "source"), rows))


def _limits(name: str, body: dict[str, Any], json: bool) -> None:
    compiled = lane_from(body)
    if json:
        print_json({
            "lane": name,
            "account": compiled.account,
            "limits": [limit._asdict() for limit in compiled.limits],
        })  # fmt: skip
        return
    say(f"lane {name} ({compiled.channel} by {compiled.carrier})")
    if compiled.account:
        say(f"  it shares limits with the other lanes of account {compiled.account!r}")
    for limit in compiled.limits:
        at = "" if limit.at == "hold" else f", then {limit.at}"
        say(f"  {limit} {limit.unit}{at}")
    if not compiled.limits:
        say("  it has no limits")
