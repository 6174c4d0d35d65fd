"""Ids that come back from outside, signed with the store's key: nobody can make one up.

A bounce names the message by an address or a Message-ID that we made; an unsubscription by the
link in the mail. Each holds a short keyed hash, so that only what we sent is believed.
"""

import base64
import binascii
import hmac
import re
from typing import Final

from engine.packing import pack, unpack

MAIL_KEY: Final = "denrei mail tokens"
TOKEN_HEADER: Final = "X-Denrei-Token"
_MAC_CHARS: Final = 12  # 48 bits
_TOKEN_MAC_BYTES: Final = 12  # 96 bits: a link stands in mailboxes for years
_REFERENCE: Final = re.compile(r"([0-9a-f]{32}(?:\.\d{1,3})?)-([0-9a-f]{12})")


class MailTokens:
    """Makes and reads them.

    Args:
        key: A secret of the store.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def reference(self, message_id: str) -> str:
        """A message's id and its hash, fit for the local part of an address."""
        return f"{message_id}-{self._mac(message_id)}"

    def find_reference(self, text: str) -> str:
        """The first message id in a text whose hash is right; empty if there is none."""
        for found in _REFERENCE.finditer(text):
            if hmac.compare_digest(found[2], self._mac(found[1])):
                return found[1]
        return ""

    def token(self, key: str, channel: str, message_id: str) -> str:
        """What a link to unsubscribe and a header hold: opaque, and all that is needed."""
        packed: bytes = pack([key, channel, message_id])
        mac = hmac.digest(self._key, b"token" + packed, "sha256")[:_TOKEN_MAC_BYTES]
        return base64.urlsafe_b64encode(mac + packed).decode().rstrip("=")

    def read(self, token: str) -> tuple[str, str, str] | None:
        """The entity's key, the channel and the message id; None if the token is not ours."""
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (ValueError, binascii.Error):
            return None
        mac, packed = raw[:_TOKEN_MAC_BYTES], raw[_TOKEN_MAC_BYTES:]
        expected = hmac.digest(self._key, b"token" + packed, "sha256")[:_TOKEN_MAC_BYTES]
        if not hmac.compare_digest(mac, expected):
            return None
        key, channel, message_id = unpack(packed)
        return key, channel, message_id

    def _mac(self, message_id: str) -> str:
        return hmac.digest(self._key, message_id.encode(), "sha256").hex()[:_MAC_CHARS]
