"""SMPP beside Kannel's own test of its SMPP driver, an SMSC in C (Debian's kannel-extras).

It speaks SMPP 3.3: senders and receivers are binds of their own, it gives no ids, and it brings its
messages as soon as it is bound. It also wants a bearerbox, Kannel's middle part, on a port that
cannot be chosen; the one here only listens.
"""

import asyncio
import contextlib
from pathlib import Path

from actors.carriers.base import Outcome
from tests.carriers.subject import Running
from tests.carriers.test_smpp import LONG, Plain, text
from tests.support import peers

SENT = 200
BOX_PORT = 13_001  # it knows no other
SMSC = "usr/lib/kannel/test/drive_smpp"


async def test_kannels_smsc_takes_and_brings(tmp_path: Path) -> None:
    async def bearerbox(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read(-1)
        writer.close()

    box: asyncio.Server | None = None
    with contextlib.suppress(OSError):  # somebody listens there already: it may connect to them
        box = await asyncio.start_server(bearerbox, "127.0.0.1", BOX_PORT)
    port = peers.free_port()
    command = peers.debian(SMSC, "-v", "0", "-p", port, "-m", SENT)
    options = {"host": "127.0.0.1", "port": port, "system_id": "foo", "bind": "separate"}
    with peers.Peer(command, port, tmp_path, probe=False) as smsc:
        async with Running(Plain(), {**options, "reconnect_ms": [20, 100]}) as running:
            bodies = ["hi", LONG * 3, "я" * 100, "Grüße {€}"] + ["short"] * SENT
            results = await running.submit([text(body, at) for at, body in enumerate(bodies)])
            assert {each.outcome for each in results} == {Outcome.ACCEPTED}
            await running.until(lambda: len(running.inbound) >= SENT)
            said = "All messages sent to ESME"
            await asyncio.to_thread(
                smsc.wait_until, lambda: any(said in line for line in smsc.lines), said
            )
            texts = [line for line in smsc.lines if "short_message = <" in line]
            assert len(texts) == SENT + 1 + 4 + 2 + 1
            assert not any("generic_nack" in line for line in smsc.lines)
    if box is not None:
        box.close()
        await box.wait_closed()
