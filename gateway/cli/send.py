"""`denrei send`: sends one message, and waits to see what becomes of it."""

import json as json_module
import time
from typing import Annotated, Any
from uuid import uuid4

import typer

from engine.messages.states import WITH_SENDER
from engine.reasons import Reason
from gateway.cli import options
from gateway.cli.client import Client, millis, plain
from gateway.cli.errors import FAILED, USAGE, CliError
from gateway.cli.output import print_json, say, time_of
from gateway.pb.denrei.v1 import messages_pb2

app = typer.Typer()

_POLL_S = 0.1
# Outcomes after which nothing better comes by itself.
_WAITING = WITH_SENDER | {Reason.SENT}
_GOOD = _WAITING | {Reason.HELD, Reason.DELIVERED, Reason.READ}


@app.command()
def send(
    to: Annotated[
        str, typer.Argument(metavar="USER_OR_ADDRESS", help="A user id, +15551234567, a@b.example.")
    ],
    channel: Annotated[str, typer.Option("--channel", "-c", help="sms, email or push.")],
    body: Annotated[str, typer.Option("--body", help="The text.")] = "",
    subject: Annotated[str, typer.Option("--subject", help="Subject or title.")] = "",
    template: Annotated[str, typer.Option("--template", "-t", help="Instead of --body.")] = "",
    data: Annotated[
        str, typer.Option("--data", metavar="JSON", help="What the template sees as `event`.")
    ] = "",
    purpose: Annotated[
        str, typer.Option("--purpose", "-p", help="otp, transactional or marketing.")
    ] = "transactional",
    user: Annotated[
        bool, typer.Option("--user", help="It is a user id, whatever it looks like.")
    ] = False,
    lane: Annotated[str, typer.Option("--lane", help="A lane; left out: the route.")] = "",
    request_id: Annotated[
        str, typer.Option("--id", help="Your id: the same id is the same message.")
    ] = "",
    wait: Annotated[
        float, typer.Option("--wait", min=0, metavar="SECONDS", help="Wait for the outcome.")
    ] = 5.0,
    address: options.Address = "",
    key: options.Key = "",
    store: options.Store = options.DEFAULT_STORE,
    ca: options.Ca = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT_S,
    json: options.Json = False,
) -> None:
    """Send a message to a user or an address.

    Example: `denrei send +15551234567 --channel sms --body "Your code is 4711" --purpose otp`

    Exit codes: 0 it is on its way; 1 it was not sent (the outcome says why); 3 no answer; 4 the
    key is not accepted; 5 the request is refused.
    """
    if bool(body) == bool(template):
        raise CliError("give either --body or --template", "", USAGE)
    request = messages_pb2.SendMessageRequest(
        parent=parent_of(to, user),
        request_id=request_id or uuid4().hex,
        channel=_choice(messages_pb2.Channel, channel, "--channel"),
        purpose=_choice(messages_pb2.Purpose, purpose, "--purpose"),
        subject=subject,
        lane=f"lanes/{lane}" if lane else "",
    )
    if template:
        request.template = f"templates/{template}"
    else:
        request.body = body
    if data:
        request.data_json = _checked(data)
    with Client(address, key, store, ca, timeout) as client:
        message = client.call(client.messages.SendMessage, request)
        message = _await_outcome(client, message, wait)
    if json:
        print_json(plain(message))
    else:
        _show(message)
    if message.status not in _GOOD:
        raise typer.Exit(FAILED)


def parent_of(to: str, user: bool = False) -> str:
    """The resource that a text of a person means: an address if it looks like one, else a user."""
    if to.startswith(("users/", "addresses/", "anonymousUsers/")):
        return to
    looks_like_address = "@" in to or (to.startswith("+") and to[1:].isdigit())
    return f"addresses/{to}" if looks_like_address and not user else f"users/{to}"


def _choice(enum: Any, text: str, option: str) -> Any:
    names = [name for name in enum.keys() if not name.endswith("_UNSPECIFIED")]  # noqa: SIM118
    if text.upper() not in names:
        choices = ", ".join(name.lower() for name in names)
        raise CliError(f"{option} {text!r}: choose one of {choices}", "", USAGE)
    return enum.Value(text.upper())


def _checked(data: str) -> bytes:
    try:
        value = json_module.loads(data)
    except ValueError as error:
        raise CliError(f"--data is not JSON: {error}", """write it like '{"item": "shoe"}'""",
                       USAGE) from None  # fmt: skip
    if not isinstance(value, dict):
        raise CliError("--data is not an object", """write it like '{"item": "shoe"}'""", USAGE)
    return data.encode()


def _await_outcome(client: Client, message: Any, wait_s: float) -> Any:
    deadline = time.monotonic() + wait_s
    while message.status in _WAITING and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        request = messages_pb2.GetMessageRequest(name=message.name)
        message = client.call(client.messages.GetMessage, request)
    return message


def _show(message: Any) -> None:
    say(f"{message.name}  {Reason(message.status).name}")
    for warning in message.warnings:
        say(f"  warning: {warning}")
    for outcome in message.history:
        words = ", ".join(part for part in (outcome.code, outcome.detail) if part)
        name = Reason(outcome.status).name
        say(f"  {time_of(millis(outcome.time))}  {name:<12} {words}".rstrip())
