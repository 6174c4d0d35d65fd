"""API keys: who may call, for which workspace, and what for.

A key is `dk_<id>_<secret>` with a secret of 256 random bits, shown once. Only its SHA-256 is kept:
a secret with that much randomness needs no slow hash. It is found by its id, which is no secret,
and compared in constant time, so a wrong guess tells nothing by how long it took. The file is
read by every gateway and written by whoever makes or revokes a key; SQLite lets them share it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from actors.store.connection import open_connection, store_errors, transaction

FILE_NAME: Final = "control.db"
SCOPES: Final = ("publish", "read", "define", "send", "admin")
PREFIX: Final = "dk"
SECRET_BYTES: Final = 32
_ID_BYTES: Final = 6
_KEY_CHARS: Final = len(PREFIX) + 2 + 2 * (_ID_BYTES + SECRET_BYTES)

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS api_key (
    id TEXT PRIMARY KEY,
    hash BLOB NOT NULL,
    workspace TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    revoked_ms INTEGER,
    dev INTEGER NOT NULL
) STRICT, WITHOUT ROWID
"""
_COLUMNS: Final = "id, workspace, scopes, created_ms, revoked_ms, dev"
_NO_HASH: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What is known of an API key. The secret is not.

    Attributes:
        id: What a list shows, and `revoke` takes.
        workspace: The workspace of everything that is done with it.
        scopes: What may be done with it, a part of `SCOPES`.
        created_ms: When it was made.
        revoked_ms: When it was revoked; None if it was not.
        dev: It is the development key, refused on a bind that is not loopback.
    """

    id: str
    workspace: str
    scopes: tuple[str, ...]
    created_ms: int
    revoked_ms: int | None
    dev: bool


class KeyStore:
    """The API keys of a store directory. May be used from any thread.

    Args:
        directory: The store's directory; `control.db` is made in it if it is missing.

    Raises:
        StoreError: The file cannot be opened.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._path = directory / FILE_NAME
        self._lock = threading.Lock()
        with store_errors(self._path, "open"):
            self._path.touch(mode=0o600)  # SQLite gives its log the mode of the file.
            self._connection = open_connection(self._path)
            self._connection.execute(_TABLE)

    def create(
        self,
        workspace: str,
        scopes: Sequence[str],
        now_ms: int,
        *,
        dev: bool = False,
        secret: bytes | None = None,
    ) -> tuple[KeyInfo, str]:
        """Makes a key.

        Args:
            workspace: The workspace it is for.
            scopes: What may be done with it; at least one of `SCOPES`.
            now_ms: The time.
            dev: Marks the development key.
            secret: 32 random bytes; made here if left out.

        Returns:
            What is known of it, and the key itself, which cannot be had again.

        Durability: synced when this returns.

        Raises:
            ValueError: A scope is unknown or there is none, or the secret is too short.
        """
        unknown = sorted(set(scopes) - set(SCOPES))
        if unknown or not scopes:
            raise ValueError(
                f"scopes {', '.join(unknown) or 'are missing'}; choose from {', '.join(SCOPES)}"
            )
        secret = secrets.token_bytes(SECRET_BYTES) if secret is None else secret
        if len(secret) != SECRET_BYTES:
            raise ValueError(f"a secret has {SECRET_BYTES} bytes, this one {len(secret)}")
        kept = tuple(scope for scope in SCOPES if scope in scopes)
        info = KeyInfo(secrets.token_hex(_ID_BYTES), workspace, kept, now_ms, None, dev)
        plaintext = f"{PREFIX}_{info.id}_{secret.hex()}"
        with self._lock, store_errors(self._path, "write to"), transaction(self._connection):
            self._connection.execute(
                "INSERT INTO api_key VALUES (?, ?, ?, ?, ?, ?, ?)",
                (info.id, _hash(plaintext), workspace, " ".join(kept), now_ms, None, int(dev)),
            )
        return info, plaintext

    def verify(self, plaintext: str) -> KeyInfo | None:
        """Whose key this is; None if it is unknown, malformed or revoked.

        Cost: about 15 µs; the time does not depend on how much of a wrong secret is right.
        """
        if len(plaintext) != _KEY_CHARS or not plaintext.isascii():
            return None
        id_ = plaintext[len(PREFIX) + 1 : len(PREFIX) + 1 + 2 * _ID_BYTES]
        rows = self._rows(f"SELECT {_COLUMNS}, hash FROM api_key WHERE id = ?", (id_,))
        known = rows[0][-1] if rows else _NO_HASH
        if not hmac.compare_digest(_hash(plaintext), known) or not rows:
            return None
        info = _info(rows[0][:-1])
        return info if info.revoked_ms is None else None

    def list(self, workspace: str | None = None) -> Sequence[KeyInfo]:
        """All keys, revoked ones too, oldest first; or those of one workspace."""
        rows = self._rows(
            f"SELECT {_COLUMNS} FROM api_key WHERE ?1 IS NULL OR workspace = ?1"
            " ORDER BY created_ms, id",
            (workspace,),
        )
        return [_info(row) for row in rows]

    def revoke(self, id_: str, now_ms: int) -> bool:
        """Revokes a key; False if there is none with this id. The first time counts.

        Durability: synced when this returns.
        """
        with self._lock, store_errors(self._path, "write to"), transaction(self._connection):
            self._connection.execute(
                "UPDATE api_key SET revoked_ms = ifnull(revoked_ms, ?) WHERE id = ?", (now_ms, id_)
            )
            return self._connection.changes() == 1

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._connection.close()

    def _rows(self, sql: str, values: tuple[Any, ...]) -> Sequence[Any]:
        with self._lock, store_errors(self._path, "read"):
            return self._connection.execute(sql, values).fetchall()


def _hash(plaintext: str) -> bytes:
    return hashlib.sha256(plaintext.encode()).digest()


def _info(row: tuple[Any, ...]) -> KeyInfo:
    id_, workspace, scopes, created_ms, revoked_ms, dev = row
    return KeyInfo(id_, workspace, tuple(scopes.split()), created_ms, revoked_ms, bool(dev))
