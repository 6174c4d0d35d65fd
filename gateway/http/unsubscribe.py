"""`/v1/unsubscribe/{token}`: the way out of marketing mail, by one click (RFC 8058).

The token in a mail's `List-Unsubscribe` is all that is needed: nobody logs in. A mail provider
sends a POST with the field `List-Unsubscribe=One-Click`, as a form of either kind, which
unsubscribes. A GET never does, for scanners follow every link of a mail: it shows a page with a
button, which sends a POST.
"""

import asyncio
import hashlib
import html
import re
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from actors.codes import Codes
from actors.mail.tokens import MAIL_KEY, MailTokens
from engine import commands, limits
from engine.governance.policy import ALL
from engine.governance.topics import UNSUBSCRIBED
from engine.reasons import Reason
from engine.slots import shard_of, slot_of
from gateway.http.routes import BUSY, NOT_FOUND, Inside, Reply, Request, route

ONE_CLICK: Final = ("List-Unsubscribe", "One-Click")
_BY_BUTTON: Final = ("by", "button")
# The first line of multipart/form-data (RFC 7578), and what names a field in it.
_BOUNDARY: Final = re.compile(rb"--[0-9A-Za-z'()+_,./:=? -]{1,70}(?=\r?\n)")
_FIELD: Final = re.compile(rb'(?im)^content-disposition:[^\n]*\bname="?([\w-]+)')
_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Unsubscribe</title>
<body style="font:16px/1.5 sans-serif;max-width:32em;margin:4em auto;padding:0 1em">
{text}
</body></html>
"""
_ASK: Final = """<p>Do you want no more of these messages?</p>
<form method="post"><input type="hidden" name="by" value="button">
<button style="font:inherit;padding:.5em 1em">Unsubscribe</button></form>"""
_DONE: Final = "<p>You are unsubscribed from {what}.</p>"
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@route("/v1/unsubscribe/{token}", "GET", "POST")
async def unsubscribe(request: Request, inside: Inside) -> Reply:
    """Unsubscribes whoever got the mail that the token is of, or asks whether to.

    Durability: They are unsubscribed, synced, when a POST is answered with 200.
    """
    tokens = await asyncio.to_thread(_tokens, inside.settings["store"])
    read = tokens.read(request.path["token"])
    if read is None:
        return NOT_FOUND
    if request.method == "GET":
        return _page(_ASK)
    if not {ONE_CLICK, _BY_BUTTON}.intersection(_fields(request.body)):
        return Reply(400, f"the body has to be a form with {'='.join(ONE_CLICK)}\n")
    key, channel, message_id = read
    topic = await _topic(key, message_id, inside)
    request_id = hashlib.sha256(request.path["token"].encode()).hexdigest()[:32]
    at_ms = inside.clock.now_ms()
    changes = [(channel, topic, UNSUBSCRIBED)]
    reason = await inside.submit(
        commands.consent(key, f"{request_id} {at_ms}", changes, "a link in a mail", at_ms)
    )
    if reason not in {Reason.ACCEPTED, Reason.DUPLICATE}:
        return BUSY
    what = "all messages by this channel" if topic == ALL else f"“{html.escape(topic)}”"
    return _page(_DONE.format(what=what))


async def _topic(key: str, message_id: str, inside: Inside) -> str:
    """The topic of the message, if it has one and is still known; else everything."""
    shard = shard_of(slot_of(key), inside.router.shards)
    args = {"key": key, "id": message_id.partition(".")[0]}
    found = await inside.router.query(shard, "message", args)
    return str((found or {}).get("topic") or ALL)


def _fields(body: bytes) -> list[tuple[str, str]]:
    """The fields of a form of either kind; which it is shows in its first bytes."""
    body = body.strip()
    first = _BOUNDARY.match(body)
    if first is None:
        try:
            return parse_qsl(body.decode(), max_num_fields=limits.CALLBACK_FIELDS)
        except ValueError:
            return []
    fields = []
    for part in body.split(first[0], limits.CALLBACK_FIELDS):
        head, _, value = part.replace(b"\r\n", b"\n").partition(b"\n\n")
        if name := _FIELD.search(head):
            fields.append((name[1].decode(), value.strip().decode(errors="replace")))
    return fields


def _page(text: str) -> Reply:
    return Reply(200, _PAGE.format(text=text), "text/html", _HEADERS)


@cache
def _tokens(store: str) -> MailTokens:
    return MailTokens(Codes(Path(store)).derive(MAIL_KEY))
