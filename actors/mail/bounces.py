"""Mails about our mails: delivery status notifications (RFC 3464) and complaints (RFC 5965)."""

import re
from email import message_from_bytes
from email.message import Message
from email.policy import compat32
from typing import Final

from actors.carriers.base import CarrierReceipt
from actors.mail.tokens import TOKEN_HEADER, MailTokens
from engine.reasons import Reason

_OF_ACTION: Final = {
    "failed": Reason.UNDELIVERED,
    "delivered": Reason.DELIVERED,
    "relayed": None,
    "expanded": None,
    "delayed": None,
}
_PARTS: Final = 50
_TOKEN: Final = re.compile(rf"^{TOKEN_HEADER}:\s*(\S+)", re.IGNORECASE | re.MULTILINE)
# Where a reference may stand, besides the body: an MTA keeps the envelope's recipient in one.
_HEADERS: Final = (
    "to",
    "delivered-to",
    "x-original-to",
    "envelope-to",
    "in-reply-to",
    "references",
)


def receipts_in(raw: bytes, tokens: MailTokens, at_ms: int) -> list[CarrierReceipt]:
    """What a mail to the bounce address tells of messages of ours.

    Args:
        raw: The whole mail, as it came.
        tokens: Tells our references from others.
        at_ms: When it came.

    Returns:
        At most one receipt; none if the mail is about no message of ours, or says nothing final.
    """
    mail = message_from_bytes(raw, policy=compat32)
    parts = [part for part, _ in zip(mail.walk(), range(_PARTS), strict=False)]
    key, reference = _about(mail, parts, tokens)
    if not reference:
        return []
    for part in parts:
        kind = part.get_content_type()
        if kind == "message/feedback-report":
            kind = _field(part, "Feedback-Type")
            return [_receipt(reference, key, Reason.COMPLAINED, at_ms, kind, "")]
        if kind == "message/delivery-status":
            return _of_status(part, reference, key, at_ms)
    return []


def _of_status(part: Message, reference: str, key: str, at_ms: int) -> list[CarrierReceipt]:
    blocks = part.get_payload()
    for block in blocks if isinstance(blocks, list) else []:
        if not isinstance(block, Message):
            continue
        action = str(block.get("Action", "")).strip().lower()
        reason = _OF_ACTION.get(action)
        if reason is not None:
            words = str(block.get("Diagnostic-Code", "")).replace("\r\n", " ")
            code = str(block.get("Status", "")).split(" ")[0].strip()
            return [_receipt(reference, key, reason, at_ms, code, words)]
    return []


def _receipt(
    reference: str, key: str, reason: Reason, at_ms: int, code: str, detail: str
) -> CarrierReceipt:
    return CarrierReceipt(reference, reason, at_ms, code[:50], detail[:300], reference, key)


def _about(mail: Message, parts: list[Message], tokens: MailTokens) -> tuple[str, str]:
    """The entity's key and the message: by the token in what was returned, else by a reference.

    A token says all, however long ago it was; a reference is known to the sender for a while.
    """
    for part in parts:
        payload = part.get_payload()
        text = payload if isinstance(payload, str) else ""
        for found in (str(part.get(TOKEN_HEADER, "")), *_TOKEN.findall(text)):
            if found and (read := tokens.read(found.strip())) is not None:
                return read[0], read[2]
    return "", _reference(mail, parts, tokens)


def _reference(mail: Message, parts: list[Message], tokens: MailTokens) -> str:
    for name in _HEADERS:
        for value in mail.get_all(name, ()):
            if found := tokens.find_reference(str(value)):
                return found
    for part in parts:
        for name in ("message-id", "original-envelope-id", "x-denrei-id", "original-mail-from"):
            if found := tokens.find_reference(str(part.get(name, ""))):
                return found
        payload = part.get_payload()
        if isinstance(payload, str) and (found := tokens.find_reference(payload)):
            return found
    return ""


def _field(part: Message, name: str) -> str:
    """A field of a report, whose payload is a block of headers."""
    payload = part.get_payload()
    block = payload[0] if isinstance(payload, list) and payload else part
    if isinstance(block, Message):
        text = block.get(name) or block.get_payload()
        for line in str(text).splitlines():
            if line.lower().startswith(f"{name.lower()}:"):
                return line.partition(":")[2].strip()
        if block.get(name):
            return str(block[name]).strip()
    return "complaint"
