"""What a ledger keeps of messages that wait for the fraud guard to look at them once more.

A row each, by the message's id: without it a restart would let the message wait anew. It is written
when the wait begins, and goes with the transaction that gives the message away.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgpack

from engine.packing import pack

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS fraud_look (id TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT;
"""
Many = Callable[[str, Iterable[tuple[Any, ...]]], object]


def read(rows: Callable[[str], Iterable[Any]]) -> dict[str, list[Any]]:
    """All of them, in the order of their ids."""
    found = rows("SELECT id, body FROM fraud_look ORDER BY id")
    return {id_: msgpack.unpackb(body) for id_, body in found}


def write(many: Many, looks: Mapping[str, list[Any] | None]) -> None:
    """Writes those that wait from now on, and forgets those that are None."""
    waiting = [(id_, pack(body)) for id_, body in looks.items() if body is not None]
    if waiting:
        many("INSERT OR REPLACE INTO fraud_look VALUES (?, ?)", waiting)
    if len(waiting) < len(looks):
        over = [(id_,) for id_, body in looks.items() if body is None]
        many("DELETE FROM fraud_look WHERE id = ?", over)
