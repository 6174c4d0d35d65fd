"""`/v1/carriers/{workspace}/{lane}/{kind}`: what a carrier sends to a lane.

The door knows neither carriers nor secrets. It finds the sender in which the lane lives and brings
the request to the lane's adapter, which finds out whether it is genuine and takes it in; the
adapter's answer is the carrier's. So a receipt is confirmed only once it is journaled.

Only an adapter knows what is genuine, so what is not counts after its answer, and against whoever
had sent it alone: an address that calls a lane too often with what the adapter does not take is
answered 429 for a while, and a carrier is not. What is genuine is held back by nothing but what may
be in work at once.
"""

import asyncio
import logging
import re
from collections import Counter
from typing import Final
from weakref import WeakKeyDictionary

from msgspec import structs
from msgspec.msgpack import Decoder

from actors import placement
from actors.carriers.base import Callback, CallbackReply
from engine import limits
from engine.packing import pack
from gateway.facts import household
from gateway.http.lanes import Known, KnownLanes
from gateway.http.pace import Pace
from gateway.http.routes import (
    BUSY,
    NOT_FOUND,
    TOO_FAST,
    Inside,
    Reply,
    Request,
    beginning,
    route,
)

_NAME: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{limits.NAME_CHARS - 1}}}")
_log: Final = logging.getLogger("denrei.gateway")
_reply: Final = Decoder(CallbackReply).decode


class _Desk:
    """What is known of the lanes that are called, beside one engine."""

    def __init__(self, inside: Inside) -> None:
        self.lanes = KnownLanes(inside.router)
        self.forged = Pace(limits.FORGED_PER_S, limits.FORGED_BURST, limits.FORGERS)
        self.in_work: Counter[str] = Counter()


_desks: Final[WeakKeyDictionary[Inside, _Desk]] = WeakKeyDictionary()


@route("/v1/carriers/{workspace}/{lane}/bounce", "POST")
@beginning
async def take_bounce(request: Request, inside: Inside) -> Reply:
    """Brings a returned mail: it may be as long as mails are, and says in its beginning of which.

    Durability: As `take`.
    """
    request = structs.replace(request, path={**request.path, "kind": "bounce"})
    return await take(request, inside)


@route("/v1/carriers/{workspace}/{lane}/{kind}", "GET", "POST")
async def take(request: Request, inside: Inside) -> Reply:
    """Brings a request to its lane's adapter.

    Durability: What it told is journaled when the answer is a 2xx.
    """
    workspace, name, kind = request.path["workspace"], request.path["lane"], request.path["kind"]
    if not all(map(_NAME.fullmatch, (workspace, name, kind))):
        return NOT_FOUND
    desk = _desks.get(inside)
    if desk is None:
        desk = _desks[inside] = _Desk(inside)
    known = await desk.lanes.of(workspace)
    lane = known.bodies.get(name)
    if lane is None:
        return NOT_FOUND
    key = f"{workspace}/{name}"
    caller = f"{key} {_network(request.remote)}"
    clock = asyncio.get_running_loop().time
    if not desk.forged.has_room(caller, clock()):
        return TOO_FAST
    if desk.in_work[key] >= limits.CALLBACKS_AT_ONCE:
        return BUSY
    callback = Callback(request.method, request.url, kind, request.headers, request.body)
    space, home = placement.home_of(workspace, name, lane.get("account", ""))
    sender = inside.senders.sender_of(space, lane["channel"], home)
    desk.in_work[key] += 1
    try:
        answer = await _ask(inside, sender, workspace, key, known, pack(callback))
    except Exception as error:
        _log.warning("%s did not take a call-back of %s: %s", sender, key, type(error).__name__)
        return BUSY
    finally:
        desk.in_work[key] -= 1
        if not desk.in_work[key]:
            del desk.in_work[key]
    if not answer:
        return BUSY
    told = _reply(answer)
    if 400 <= told.status < 500:
        desk.forged.take(caller, clock())
    return Reply(told.status, told.body, told.content_type)


async def _ask(
    inside: Inside, sender: str, workspace: str, key: str, known: Known, packed: bytes
) -> bytes:
    """Asks a lane's sender; one that began anew hears of its lanes first."""
    link = inside.senders.link(sender)
    answer: bytes = await link.callback(key, packed)
    if not answer:
        await link.configure(workspace, known.version, known.packed)
        answer = await link.callback(key, packed)
    return answer


def _network(remote: str) -> str:
    """Where a caller is: the address, or of an IPv6 one the half that a single customer has."""
    try:
        return household(remote)
    except ValueError:
        return remote
