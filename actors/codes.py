"""The secret that one-time codes are kept under, and the two things done with it.

The gateway makes a code, and hands on a keyed digest, for checking, and the code sealed by AES-GCM,
for sending; both bound to the address, so that neither is good elsewhere. The sender opens the seal
in the very call to the carrier. So no journal, row, archive or ledger holds a code that can be read
without this store's key, and a digest can't be searched through without it either.

The key is a file of the store, readable by its owner only, made by whoever needs it first. Whoever
restores a store without it loses the pending codes and nothing else.
"""

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec.structs import replace

from actors.carriers.base import CarrierMessage, SubmitResult, rejected
from engine.errors import DenreiError
from engine.verification.sealed import SEALED, reveal

FILE_NAME: Final = "codes.key"
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12  # NIST SP 800-38D, 8.2


class BrokenSeal(DenreiError):
    """A sealed code that this store's key does not open."""


class Codes:
    """Digests and seals of one store; see the module's text.

    Args:
        store: The store's directory.

    Raises:
        OSError: The key can neither be read nor made.
    """

    def __init__(self, store: Path) -> None:
        key = _key_of(store / FILE_NAME)
        self._key = key
        self._digest_key = hmac.digest(key, b"denrei code digest", "sha256")
        self._seal = AESGCM(hmac.digest(key, b"denrei code seal", "sha256"))

    def derive(self, label: str) -> bytes:
        """Another secret of the store, for another use."""
        return hmac.digest(self._key, label.encode(), "sha256")

    def digest(self, address_key: str, definition: str, code: str) -> bytes:
        """What an answer is held against: HMAC-SHA-256, 32 bytes."""
        text = f"{address_key}\0{definition}\0{code}"
        return hmac.digest(self._digest_key, text.encode(), "sha256")

    def limiter(self, kind: str, who: str) -> str:
        """The id of the limiter entity of a user, an IP address or a device: 24 bits of a hash."""
        digest = hmac.digest(self._digest_key, f"{kind}\0{who}".encode(), "sha256")
        return f"{kind}:{digest[:3].hex()}"

    def seal(self, address_key: str, code: str) -> str:
        """A code as only `unseal` can read it."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._seal.encrypt(nonce, code.encode(), address_key.encode())
        return base64.b64encode(nonce + sealed).decode()

    def unseal(self, address_key: str, sealed: str) -> str:
        """The code.

        Raises:
            BrokenSeal: It was sealed for another address or with another key, or is no seal.
        """
        try:
            raw = base64.b64decode(sealed, validate=True)
            nonce, text = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
            return self._seal.decrypt(nonce, text, address_key.encode()).decode()
        except (ValueError, InvalidTag):
            msg = "the code was sealed with another key than this store's"
            raise BrokenSeal(msg) from None


def reveal_codes(
    batch: Sequence[CarrierMessage], codes: Codes | None
) -> tuple[list[CarrierMessage], dict[int, SubmitResult]]:
    """Puts codes into the messages that carry one, right before they leave.

    Returns:
        The messages that can leave; and results for the others, by their position in the batch.
    """
    ready: list[CarrierMessage] = []
    refused: dict[int, SubmitResult] = {}
    for at, message in enumerate(batch):
        facts = message.facts or {}
        sealed = facts.get(SEALED)
        if sealed is None:
            ready.append(message)
            continue
        try:
            code = _unseal(codes, message.key, sealed)
        except BrokenSeal as error:
            refused[at] = rejected("sealed", True, str(error))
            continue
        channel = message.channel
        ready.append(
            replace(
                message,
                body=reveal(message.body, code, channel),
                subject=reveal(message.subject, code, channel),
                content=reveal(message.content, code, channel),
                facts={name: value for name, value in facts.items() if name != SEALED},
            )
        )
    return ready, refused


def _unseal(codes: Codes | None, address_key: str, sealed: str) -> str:
    if codes is None:
        msg = "this sender has no key for codes"
        raise BrokenSeal(msg)
    return codes.unseal(address_key, sealed)


def _key_of(path: Path) -> bytes:
    """The key in a file; made in one step, so that two who make it have the same."""
    with contextlib.suppress(FileNotFoundError):
        return _read(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # of mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()
    return _read(path)


def _read(path: Path) -> bytes:
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        msg = f"{path} does not hold a key of {_KEY_BYTES} bytes"
        raise OSError(msg)
    return hashlib.sha256(key).digest()
