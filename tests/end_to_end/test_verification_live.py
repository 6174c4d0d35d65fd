"""A one-time code in a running instance: it reaches the carrier, and nobody who reads the store."""

import json
import re
import sqlite3
import threading
from pathlib import Path

import grpc
import zstandard

from gateway.pb.denrei.v1 import messages_pb2 as m
from gateway.pb.denrei.v1 import messages_pb2_grpc as m_grpc
from gateway.pb.denrei.v1 import reason_pb2 as r
from gateway.pb.denrei.v1 import verification_pb2 as v
from gateway.pb.denrei.v1 import verification_pb2_grpc as v_grpc
from tests.support.running import RunningInstance

LOGIN = """
{{lane: codes, channel: sms, carrier: sandbox, options: {{log: carrier.log, bodies: true}}}}
---
verification: login
brand: Acme
code: {{length: 10}}
"""


def said(log: Path) -> str:
    """What the carrier was given, once it was."""
    tick = threading.Event()
    for _ in range(600):
        if log.exists() and log.read_text().endswith("\n"):
            break
        tick.wait(0.05)
    body: str = json.loads(log.read_text().splitlines()[0].split("\t")[6])
    return body


def test_a_code_reaches_the_phone_and_stands_nowhere_in_the_store(tmp_path: Path) -> None:
    log = tmp_path / "store" / "senders" / "sandbox" / "carrier.log"
    with RunningInstance(tmp_path / "store") as running:
        running.apply(LOGIN.format(log=log))
        metadata = running.metadata
        with grpc.insecure_channel(running.address) as channel:
            verifications = v_grpc.VerificationServiceStub(channel)
            started = verifications.StartVerification(
                v.StartVerificationRequest(
                    parent="addresses/+4915112345678", verification="verifications/login"
                ),
                metadata=metadata,
                timeout=20,
            )
            body = said(log)
            (code,) = re.findall(r"\d{10}", body)
            assert body == f"Your Acme code is {code}. It is good for 10 minutes. Do not share it."
            message = m_grpc.MessagesServiceStub(channel).GetMessage(
                m.GetMessageRequest(name=started.sendings[0].message), metadata=metadata, timeout=20
            )
            assert code not in str(message)
            checked = verifications.CheckVerification(
                v.CheckVerificationRequest(name=started.name, code=code),
                metadata=metadata,
                timeout=20,
            )
            assert checked.outcome == r.ACCEPTED
        assert running.stop() == 0
    log.unlink()  # which was asked for what it said
    found = list(everything(tmp_path / "store"))
    assert any(b"+4915112345678" in content for _, content in found)  # so that a look finds things
    assert [path for path, content in found if code.encode() in content] == []


def everything(store: Path) -> list[tuple[Path, bytes]]:
    """Every file of a store, and what is packed inside of them."""
    found = []
    for path in sorted(store.rglob("*")):
        if not path.is_file():
            continue
        content = path.read_bytes()
        found.append((path, content))
        for start in (at.start() for at in re.finditer(rb"\x28\xb5\x2f\xfd", content)):
            reader = zstandard.ZstdDecompressor().decompressobj()
            try:
                found.append((path, reader.decompress(content[start:])))
            except zstandard.ZstdError:
                continue
        if content.startswith(b"SQLite format 3"):
            found += [(path, row) for row in rows(path)]
    return found


def rows(path: Path) -> list[bytes]:
    """Every value of every table, since a long one is scattered over pages."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        named = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        tables = [name for (name,) in named]
        return [
            value if isinstance(value, bytes) else str(value).encode()
            for table in tables
            for row in connection.execute(f'SELECT * FROM "{table}"')
            for value in row
        ]
