"""SMTP against Postfix's smtp-sink, which does one thing with all that it gets."""

import os
from typing import Any, ClassVar

from actors.carriers.base import CarrierMessage
from tests.carriers.subject import Fate, Subject, subject
from tests.support.peers import Peer, debian, free_port

_FLAGS: dict[Fate, list[str]] = {
    Fate.TAKEN: [],
    Fate.REJECTED: ["-f", "rcpt"],
    Fate.FAILED: ["-r", "rcpt"],
    Fate.THROTTLED: ["-Q", "rcpt"],
    Fate.LOST: ["-q", "."],
}


def sink(*arguments: str) -> list[str]:
    """The command that runs smtp-sink."""
    user = ("-u", "root") if os.getuid() == 0 else ()  # it wants to be told
    return debian("usr/sbin/smtp-sink", *user, *arguments)


@subject
class SmtpSubject(Subject):
    """The sink is started with the fate of the first message that is asked for."""

    carrier: ClassVar[str] = "smtp"
    channel: ClassVar[str] = "email"
    sender: ClassVar[str] = "news@mail.example.org"
    fates: ClassVar[frozenset[Fate]] = frozenset(_FLAGS)
    mixes: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self._fate = Fate.TAKEN
        self._peer: Peer | None = None

    async def close(self) -> None:
        if self._peer is not None:
            self._peer.__exit__()

    def message(self, number: int, fate: Fate) -> CarrierMessage:
        self._fate = fate
        return super().message(number, fate)

    def address(self, number: int, fate: Fate) -> str:
        return f"u{number}@example.org"

    def odd_addresses(self) -> list[str]:
        local = ("é", "a b", "a..b", ".a", '"a b"', "x" * 65, "é" * 33, "<a>", "a\n", "=?x?q?a?=")
        domains = (
            "a..b",
            "-a.b",
            "a" * 64 + ".b",
            "a." * 130 + "b",
            "é" * 60 + ".b",
            "xn--0",
            "\ud800",
        )
        return [
            *super().odd_addresses(),
            *(f"{each}@example.org" for each in local),
            *(f"ann@{each}" for each in domains),
            "a@b.org, c@d.org",
            "Ann <a@b.org> <c@d.org>",
        ]

    def options(self) -> dict[str, Any]:
        if self._peer is None:
            port = free_port()
            command = sink(*_FLAGS[self._fate], f"127.0.0.1:{port}", "64")
            self._peer = Peer(command, port).__enter__()
        return {"host": "127.0.0.1", "port": self._peer.port, "tls": "none"}

    def unreachable(self) -> dict[str, Any]:
        return {"host": "127.0.0.1", "port": free_port(), "tls": "none"}
