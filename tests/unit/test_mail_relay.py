"""Mail beside a relay that knows extensions or not: what one mail meets is its own."""

import asyncio
from typing import Any, Self

import aiosmtplib
import pytest

from actors.carriers.base import Outcome, SubmitResult
from tests.unit.test_mail import Lane, message


class Relay:
    """A relay in a few lines, which keeps the commands that it hears."""

    def __init__(self, *extensions: str) -> None:
        self.heard: list[str] = []
        self.port = 0
        self._extensions = extensions

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        data = False
        while line := await reader.readline():
            said = line.decode().strip()
            verb = said.partition(" ")[0].upper()
            if data:
                data = said != "."
                writer.write(b"" if data else b"250 taken\r\n")
                continue
            self.heard.append(said)
            data = verb == "DATA"
            hello = "\r\n".join(["250-hello", *(f"250-{each}" for each in self._extensions)])
            replies = {"EHLO": f"{hello}\r\n250 HELP", "DATA": "354 go", "QUIT": "221 bye"}
            writer.write(f"{replies.get(verb, '250 ok')}\r\n".encode())
        writer.close()


async def told_by(relay: Relay, *to: str) -> list[SubmitResult]:
    lane = Lane(relay.port, connections=1)
    results = await lane.carrier.submit([message(to=each) for each in to])
    await lane.carrier.stop()
    return results


async def test_an_address_that_is_not_ascii_needs_a_relay_that_takes_it() -> None:
    async with Relay("8BITMIME", "SMTPUTF8") as relay:
        (result,) = await told_by(relay, "é@bücher.example")
        assert result.outcome is Outcome.ACCEPTED
        assert "RCPT TO:<é@xn--bcher-kva.example>" in relay.heard
        (mail_from,) = [each for each in relay.heard if each.startswith("MAIL")]
        assert mail_from.endswith(" SMTPUTF8 BODY=8BITMIME")
    async with Relay("8BITMIME") as relay:
        results = await told_by(relay, "a@e.org", "é@e.org", "b@bücher.example", "=?u?q?a?=@e.org")
        assert [(each.outcome.name, each.code) for each in results] == [
            ("ACCEPTED", ""), ("REJECTED", "smtputf8"), ("ACCEPTED", ""),
            ("REJECTED", "bad_address"),
        ]  # fmt: skip
        assert not any("é" in each for each in relay.heard)
        assert "RCPT TO:<b@xn--bcher-kva.example>" in relay.heard


async def test_what_one_mail_meets_is_not_said_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rcpt = aiosmtplib.SMTP.rcpt

    async def broken(self: aiosmtplib.SMTP, to: str, **options: Any) -> Any:
        if to.startswith("odd"):
            raise ValueError("an address that nobody has thought of")
        if to.startswith("defect"):
            raise KeyError("a defect of the client")
        return await rcpt(self, to, **options)

    monkeypatch.setattr(aiosmtplib.SMTP, "rcpt", broken)
    async with Relay() as relay:
        results = await told_by(relay, "a@e.org", "odd@e.org", "b@e.org", "defect@e.org", "c@e.org")
    assert [each.outcome for each in results] == [
        Outcome.ACCEPTED, Outcome.REJECTED, Outcome.ACCEPTED, Outcome.UNKNOWN, Outcome.ACCEPTED,
    ]  # fmt: skip


async def test_content_nested_without_end_is_refused_alone() -> None:
    async with Relay() as relay:
        lane = Lane(relay.port)
        deep = message(content="[" * 200_000)
        results = await lane.carrier.submit([message(), deep])
        await lane.carrier.stop()
    assert [each.outcome for each in results] == [Outcome.ACCEPTED, Outcome.REJECTED]
