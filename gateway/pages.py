"""Pages: how much of a list to give, and the token that asks for the rest.

A token is opaque to clients. It holds where to go on, and a hash of the request that it belongs
to, so that a token used with another filter is an error and not a list with holes.
"""

import base64
import binascii
from typing import Any

import msgpack
from xxhash import xxh3_64_digest

from engine import limits
from gateway.errors import StatusError, invalid


def size(requested: int) -> int:
    """How many items a page holds.

    Raises:
        StatusError: The request asks for less than none.
    """
    if requested < 0:
        raise invalid("page_size", f"page_size is {requested}; it can't be below 0")
    return min(requested or limits.DEFAULT_PAGE_ITEMS, limits.PAGE_ITEMS)


def token(cursor: list[Any], *scope: str) -> str:
    """A token.

    Args:
        cursor: Where to go on; plain values.
        scope: What the request filters by.
    """
    return base64.urlsafe_b64encode(msgpack.packb([_hash(scope), cursor])).decode()


def cursor(text: str, start: list[Any], *scope: str) -> list[Any]:
    """Where to go on.

    Args:
        text: The request's token; empty for the first page.
        start: Where the first page begins; a token's cursor must look like it.
        scope: What the request filters by.

    Raises:
        StatusError: The token is not one of ours, or belongs to another request.
    """
    if not text:
        return start
    try:
        if len(text) > limits.PAGE_TOKEN_CHARS:
            raise ValueError
        hash_, found = msgpack.unpackb(base64.b64decode(text, altchars=b"-_", validate=True))
        alike = isinstance(found, list) and [*map(type, found)] == [*map(type, start)]
    except (ValueError, TypeError, binascii.Error):
        alike, hash_, found = False, b"", start
    if not alike or hash_ != _hash(scope):
        raise foreign_token()
    return list(found)


def foreign_token() -> StatusError:
    """The error for a token that does not belong to the request."""
    return invalid("page_token", "page_token does not belong to this request; begin without one")


def _hash(scope: tuple[str, ...]) -> bytes:
    return xxh3_64_digest("\0".join(scope).encode())
