"""A message of a lane as the bytes of an e-mail: text, perhaps HTML, and its headers."""

import json
import re
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import Any, Final

from actors.carriers.base import CarrierMessage

# Among them all that Python takes for the end of a line, which no header may hold.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_ADDRESS: Final = re.compile(
    r"[^\s@<>\"(),:;\\\[\]\x00-\x1f\x7f]{1,64}@[^\s@<>\"(),:;\\\x00-\x1f\x7f]{1,255}"
)
_POLICY: Final = SMTP.clone(max_line_length=78)


class BadAddress(ValueError):
    """What should be an e-mail address is none."""


def address_in(text: str) -> Address:
    """The address in `ann@example.org` or `Ann <ann@example.org>`.

    Raises:
        BadAddress: There is none in it.
    """
    name, plain = parseaddr(text)
    if not _ADDRESS.fullmatch(plain) or not (name or plain == text.strip(" <>")):
        msg = f"{text[:100]!r} is no e-mail address"
        raise BadAddress(msg)
    local, _, domain = plain.rpartition("@")
    try:
        return Address(_CONTROL.sub(" ", name), local, domain.encode("idna").decode())
    except ValueError:
        msg = f"{text[:100]!r} is no e-mail address"
        raise BadAddress(msg) from None


def compose(
    message: CarrierMessage,
    sender: Address,
    to: Address,
    message_id: str,
    at_ms: int,
    headers: dict[str, str],
) -> bytes:
    """The e-mail's bytes, with CRLF, not yet signed.

    Args:
        message: What it says. Its `content` may be a JSON object with `html`.
        sender: What stands in `From`.
        to: What stands in `To`.
        message_id: Without the angle brackets.
        at_ms: Its date, Unix milliseconds.
        headers: More headers.
    """
    mail = EmailMessage(_POLICY)
    mail["From"] = sender
    mail["To"] = to
    mail["Subject"] = _CONTROL.sub(" ", message.subject)
    mail["Date"] = format_datetime(datetime.fromtimestamp(at_ms / 1_000, UTC))
    mail["Message-ID"] = f"<{message_id}>"
    for name, value in headers.items():
        mail[name] = _CONTROL.sub(" ", value)
    content = _content(message.content)
    text, html = str(content.get("text") or message.body), content.get("html")
    mail.set_content(text)
    if html:
        mail.add_alternative(str(html), subtype="html")
    return mail.as_bytes()


def _content(text: str) -> dict[str, Any]:
    found = json.loads(text) if text else {}
    return found if isinstance(found, dict) else {}
