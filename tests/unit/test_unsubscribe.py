"""The way out of marketing mail: one click unsubscribes, and a look does not."""

from pathlib import Path
from typing import Any

import pytest

from actors.clock import ManualClock
from actors.codes import Codes
from actors.mail.tokens import MAIL_KEY, MailTokens
from engine import commands
from engine.commands import Command
from engine.reasons import Reason
from gateway.http import routes
from gateway.http.routes import Inside, Reply, Request
from tests.support.gateway_support import NOW_MS, RecordingRouter


class House(Inside):
    """What a handler uses, with one message that is known."""

    def __init__(self, store: Path, topic: str = "") -> None:
        self.router = RecordingRouter()
        self.router.answers["message"] = {"topic": topic} if topic else None
        self.senders: Any = None
        self.clock = ManualClock(NOW_MS)
        self.settings = {"store": str(store)}
        self.done: list[Command] = []
        self.answer = Reason.ACCEPTED

    async def submit(self, command: Command) -> Reason:
        self.done.append(command)
        return self.answer


async def call(house: House, token: str, method: str = "POST", body: bytes = b"") -> Reply:
    routes.load()
    found = routes.find(method, f"/v1/unsubscribe/{token}")
    assert not isinstance(found, Reply)
    handler, path = found
    return await handler(Request(method, "", path, "", {}, body, "127.0.0.1"), house)


def token_of(store: Path) -> str:
    tokens = MailTokens(Codes(store).derive(MAIL_KEY))
    return tokens.token("acme/user/ann", "email", "0" * 32)


def multipart(*fields: tuple[str, str], end: str = "\r\n") -> bytes:
    """A form as mail providers write it that RFC 8058 asks to."""
    lines = []
    for name, value in fields:
        lines += ["--FormBoundaryjWm", f"Content-Disposition: form-data; name={name}", "", value]
    return end.join([*lines, "--FormBoundaryjWm--", ""]).encode()


CLICK = ("List-Unsubscribe", "One-Click")


@pytest.mark.parametrize(
    "body",
    [
        b"List-Unsubscribe=One-Click",
        b"List-Unsubscribe=One%2DClick\r\n",
        b"a=b&List-Unsubscribe=One-Click",
        b"by=button",
        multipart(CLICK),
        multipart(CLICK, end="\n"),
        multipart(('"List-Unsubscribe"', "One-Click")),
        multipart(("a", "b"), CLICK),
    ],
)
async def test_a_click_unsubscribes_from_everything(tmp_path: Path, body: bytes) -> None:
    house = House(tmp_path)
    reply = await call(house, token_of(tmp_path), body=body)
    assert reply.status == 200
    ((operation, key, _, changes, by, at_ms),) = house.done
    assert (operation, key) == (commands.CONSENT, "acme/user/ann")
    assert list(changes) == [("email", "all", "unsubscribed")]
    assert (by, at_ms) == ("a link in a mail", NOW_MS)


async def test_a_message_of_a_topic_unsubscribes_from_that_topic(tmp_path: Path) -> None:
    house = House(tmp_path, topic="news & <offers>")
    reply = await call(house, token_of(tmp_path), body=b"List-Unsubscribe=One-Click")
    assert list(house.done[0][3]) == [("email", "news & <offers>", "unsubscribed")]
    assert "news &amp; &lt;offers&gt;" in reply.body


async def test_a_look_changes_nothing_and_shows_a_button(tmp_path: Path) -> None:
    house = House(tmp_path)
    reply = await call(house, token_of(tmp_path), "GET")
    assert (reply.status, reply.content_type, house.done) == (200, "text/html", [])
    assert '<form method="post">' in reply.body
    assert reply.headers is not None
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]


async def test_nobody_unsubscribes_others(tmp_path: Path) -> None:
    house = House(tmp_path)
    good = token_of(tmp_path)
    foreign = MailTokens(b"another").token("acme/user/ann", "email", "0" * 32)
    for token in (foreign, good[:-2], good + "AA", "x", "%00", "é"):
        assert (await call(house, token, body=b"List-Unsubscribe=One-Click")).status == 404
    for body in (
        b"", b"List-Unsubscribe=Two-Clicks", b"x" * 1_000, b"\xff=1", b"&a=1" * 1_000,
        multipart((CLICK[0], "Two-Clicks")), multipart(("Other", CLICK[1])), b"--x",
        b"--x\r\n" * 5_000, b"--x\r\nList-Unsubscribe=One-Click", b"a=List-Unsubscribe=One-Click",
    ):  # fmt: skip
        assert (await call(house, good, body=body)).status == 400
    assert house.done == []


async def test_what_was_not_taken_is_asked_for_again(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.answer = Reason.USER_RATE
    reply = await call(house, token_of(tmp_path), body=b"List-Unsubscribe=One-Click")
    assert reply.status == 503
