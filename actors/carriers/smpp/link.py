"""Keeps one bind to a carrier alive: connects, binds, and begins again when the session ends."""

import asyncio
import logging
import ssl
from typing import Any, Final, Generic

from xxhash import xxh3_64_intdigest

from actors.carriers.smpp import pdu
from actors.carriers.smpp.options import SmppOptions
from actors.carriers.smpp.session import Owner, Session, Ticket

_log = logging.getLogger("denrei.smpp")
_NAMES: Final = {
    pdu.BIND_TRANSCEIVER: "transceiver",
    pdu.BIND_TRANSMITTER: "transmitter",
    pdu.BIND_RECEIVER: "receiver",
}


class Link(Generic[Ticket]):
    """See the module's text.

    Args:
        owner: Who is told by the sessions.
        options: The lane's.
        password: Ours at the carrier.
        command: What to bind as.
        name: The lane's key and a number; spreads the attempts of several.
    """

    def __init__(
        self, owner: Owner[Ticket], options: SmppOptions, password: str, command: int, name: str
    ) -> None:
        self._owner = owner
        self._options = options
        self._password = password
        self._command = command
        self._name = name
        self._task: asyncio.Task[None] | None = None
        self.session: Session[Ticket] | None = None
        self.sends = command != pdu.BIND_RECEIVER
        self.binds = 0
        self.failures = 0
        self.error = "not bound yet"

    def start(self) -> None:
        """Begins to connect."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"smpp {self._name}")

    async def stop(self) -> None:
        """Unbinds and ends."""
        if self._task is None:
            return
        session, self.session = self.session, None
        if session is not None:
            await session.unbind()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    def status(self) -> dict[str, Any]:
        """Plain values for a status page."""
        session = self.session
        return {
            "bind": _NAMES[self._command],
            "bound": session is not None and session.bound,
            "in_flight": session.in_flight if session is not None else 0,
            "binds": self.binds,
            "failures": self.failures,
            "error": self.error,
        }

    async def _run(self) -> None:
        while True:
            await self._once()
            self._owner.writable()
            await asyncio.sleep(self._pause_s())

    async def _once(self) -> None:
        """One session, from the connection to its end."""
        options = self._options
        loop = asyncio.get_running_loop()
        session: Session[Ticket] = Session(
            self._owner, options.window, options.response_ms / 1_000, options.enquire_ms / 1_000
        )
        try:
            async with asyncio.timeout(options.connect_ms / 1_000):
                await loop.create_connection(
                    lambda: session,
                    options.host,
                    options.port,
                    ssl=_context(options) if options.tls else None,
                    server_hostname=(options.tls_name or options.host) if options.tls else None,
                )
            body = pdu.bind_body(options.system_id, self._password, options.system_type)
            status, _ = await session.bind(self._command, body)
        except (OSError, TimeoutError, ValueError) as error:  # an odd host is a ValueError
            self._failed(session, str(error) or type(error).__name__)
            return
        except asyncio.CancelledError:
            session.close("stopped")
            raise
        if status != pdu.OK:
            self._failed(session, f"the bind was refused: {status} {pdu.words_of(status)}")
            return
        self.session, self.error = session, ""
        self.binds += 1
        self.failures = 0
        self._owner.writable()
        try:
            self.error = await asyncio.shield(session.ended)
        finally:
            self.session = None
            session.close("stopped")
        self.failures = 1

    def _failed(self, session: Session[Ticket], why: str) -> None:
        session.close(why)
        self.failures += 1
        if why != self.error:
            _log.warning("lane %s: %s", self._name, why)
        self.error = why

    def _pause_s(self) -> float:
        """Half to all of a time that doubles with each failure in a row."""
        first_ms, longest_ms = self._options.reconnect_ms
        ceiling_ms = min(longest_ms, first_ms << min(max(self.failures, 1) - 1, 16))
        drawn = xxh3_64_intdigest(f"{self._name} {self.binds} {self.failures}".encode())
        return (ceiling_ms + drawn % (ceiling_ms + 1)) / 2_000


def _context(options: SmppOptions) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.tls_ca or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
