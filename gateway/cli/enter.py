"""`denrei enter`: begins a run of a journey for a person."""

from typing import Annotated

import typer

from gateway.cli import options
from gateway.cli.client import Client, plain
from gateway.cli.output import print_json, say
from gateway.cli.send import parent_of
from gateway.pb.denrei.v1 import instances_pb2, reason_pb2

app = typer.Typer()


@app.command()
def enter(
    user: Annotated[str, typer.Argument(metavar="USER", help="A user id.")],
    journey: Annotated[str, typer.Argument(metavar="JOURNEY", help="A journey with `api: true`.")],
    context: Annotated[
        str, typer.Option("--context", metavar="JSON", help="What its templates and key read.")
    ] = "{}",
    request_id: Annotated[
        str, typer.Option("--request-id", help="The same again within a day does nothing.")
    ] = "",
    address: options.Address = "",
    key: options.Key = "",
    store: options.Store = options.DEFAULT_STORE,
    ca: options.Ca = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT_S,
    json: options.Json = False,
) -> None:
    """Begin a run of a journey for one person.

    Example: `denrei enter ann trial --context '{"plan": "pro"}'`

    The journey's entry has to be `{api: true}`; its filters, its key and its caps hold here too.

    Exit codes: 0 begun, or begun before by the same request; 3 no answer; 4 the key is not
    accepted; 5 the journey does not let the person in (the person's trail says why).
    """
    request = instances_pb2.EnterJourneyRequest(
        parent=parent_of(user, user=True),
        journey=f"journeys/{journey}",
        context_json=context.encode(),
        request_id=request_id,
    )
    with Client(address, key, store, ca, timeout) as client:
        found = client.call(client.instances.EnterJourney, request)
    if json:
        print_json(plain(found))
    elif found.outcome == reason_pb2.DUPLICATE:
        say(f"{request.parent} had entered {journey} by this request before")
    else:
        say(f"{request.parent} entered {journey}; `denrei profile {user}` shows where they stand")
