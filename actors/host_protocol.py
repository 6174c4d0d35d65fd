"""The bytes between a router and a host: one call, one reply.

A call is `[session, number, control, [[shard, chunk, count], …]]`; a reply is `[[code, body], …]`,
one per part: the body is one `Reason` byte per command, or what the error needs. A host that does
not know a session (it is new, the session is old) answers NEW_SESSION and has taken nothing.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgpack

OK: Final = 0
OVERLOADED: Final = 1
UNAVAILABLE: Final = 2
NOT_FOUND: Final = 3
CONFLICT: Final = 4
NEW_SESSION: Final = 5

Part = tuple[int, bytes, int]


def pack_call(session: str, number: int, control: bool, parts: Sequence[Part]) -> bytes:
    """A call of commands."""
    packed: bytes = msgpack.packb((session, number, control, parts))
    return packed


def unpack_call(call: bytes) -> tuple[str, int, bool, tuple[Part, ...]]:
    """The inverse of `pack_call`."""
    session, number, control, parts = msgpack.unpackb(call, use_list=False)
    return session, number, control, parts


def pack_reply(answers: Sequence[tuple[int, Any]]) -> bytes:
    """A reply: code and body of each part."""
    packed: bytes = msgpack.packb(answers)
    return packed


def unpack_reply(reply: bytes) -> list[tuple[int, Any]]:
    """The inverse of `pack_reply`."""
    answers: list[tuple[int, Any]] = msgpack.unpackb(reply)
    return answers
