"""`denrei segment`: who is in a segment, now."""

from typing import Annotated

import typer

from gateway.cli import options
from gateway.cli.client import Client, millis, plain
from gateway.cli.output import print_json, say, time_of
from gateway.pb.denrei.v1 import segments_pb2

app = typer.Typer()


@app.command()
def segment(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A segment.")],
    members: Annotated[bool, typer.Option("--members", help="List everyone who is in it.")] = False,
    address: options.Address = "",
    key: options.Key = "",
    store: options.Store = options.DEFAULT_STORE,
    ca: options.Ca = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT_S,
    json: options.Json = False,
) -> None:
    """Show how many people are in a segment, or who they are.

    Example: `denrei segment vip --members --json > vip.jsonl`

    The number is true at this moment. While a new or changed segment is being filled, it says how
    far that is.

    Exit codes: 0 done; 3 no answer; 4 the key is not accepted; 5 there is no such segment.
    """
    full_name = f"segments/{name}"
    with Client(address, key, store, ca, timeout) as client:
        if members:
            request = segments_pb2.StreamMembersRequest(parent=full_name)
            with client.watch(client.segments.StreamMembers, request) as stream:
                for member in (member for chunk in stream for member in chunk.members):
                    if json:
                        print_json(plain(member))
                    else:
                        say(f"{member.profile}  since {time_of(millis(member.enter_time))}")
            return
        found = client.call(
            client.segments.GetSegment, segments_pb2.GetSegmentRequest(name=full_name)
        )
    if json:
        print_json(plain(found))
        return
    say(f"{found.members:,} people are in {full_name}")
    if not found.filled:
        part = 100 * found.evaluated / max(1, found.entities)
        say(f"it is being filled: {part:.0f} % of {found.entities:,} have been looked at")
        if found.past_read < 1:
            say(f"before that the past is read: {100 * found.past_read:.0f} % of it by now")
    if found.error:
        say(f"the past could not be read, and is tried again: {found.error}")
