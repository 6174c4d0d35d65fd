"""A message of a lane as the bytes of an e-mail: text, perhaps HTML, and its headers."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any, Final

import idna

from actors.carriers.base import CarrierMessage
from actors.mail import headers as lines

_LOCAL_PART: Final = re.compile(r"[^\s@<>\"(),:;\\\[\]\x00-\x1f\x7f-\x9f]{1,64}")
_DOMAIN: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
    r"(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*|\[[0-9.]{1,15}\]",
    re.IGNORECASE | re.ASCII,
)
_LOCAL_PART_BYTES: Final = 64
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_SEVERAL: Final = re.compile(r"[<>@,;]")  # in a name without quotes: it belongs to more addresses
_POLICY: Final = SMTP.clone(max_line_length=78)


class BadAddress(ValueError):
    """What should be an e-mail address is none."""


def address_in(text: str) -> Address:
    """The address in `ann@example.org`, `Ann <ann@example.org>` or `ann@example.org (Ann)`.

    What it holds is text: an encoded word in a name stands for itself, and one in the local part
    is refused.

    Raises:
        BadAddress: There is none in it.
    """
    name, plain = _parts(text.strip())
    local, _, domain = plain.rpartition("@")
    try:
        domain = domain if domain.isascii() else idna.encode(domain, uts46=True).decode()
        fits = len(local.encode()) <= _LOCAL_PART_BYTES and "=?" not in local
        if fits and _LOCAL_PART.fullmatch(local) and _DOMAIN.fullmatch(domain):
            return Address(lines.without_controls(name), local, domain)
    except ValueError:
        pass
    msg = f"{text[:100]!r} is no e-mail address"
    raise BadAddress(msg)


def compose(
    message: CarrierMessage,
    sender: Address,
    to: Address,
    message_id: str,
    at_ms: int,
    headers: Mapping[str, str | Address],
) -> bytes:
    """The e-mail's bytes, with CRLF, not yet signed.

    Args:
        message: What it says. Its `content` may be a JSON object with `html`.
        sender: What stands in `From`.
        to: What stands in `To`.
        message_id: Without the angle brackets.
        at_ms: Its date, Unix milliseconds.
        headers: More headers, of our own making.

    Raises:
        ValueError: What it says can't be written as a mail.
    """
    at = datetime.fromtimestamp(at_ms / 1_000, UTC)
    written = {
        "From": lines.address_line("From", sender),
        "To": lines.address_line("To", to),
        "Subject": lines.text_line("Subject", message.subject),
        "Date": lines.plain_line("Date", format_datetime(at)),
        "Message-ID": lines.plain_line("Message-ID", f"<{message_id}>"),
    }
    for name, value in headers.items():
        written[name] = (
            lines.address_line(name, value)
            if isinstance(value, Address)
            else lines.plain_line(name, value)
        )
    # Python's own writer gets to see the body only.
    mail = EmailMessage(_POLICY)
    content = _content(message.content)
    text, html = str(content.get("text") or message.body), content.get("html")
    mail.set_content(text)
    if html:
        mail.add_alternative(str(html), subtype="html")
    head, _, body = mail.as_bytes().partition(b"\r\n\r\n")
    head = "".join(written.values()).encode() + head + b"\r\n"
    lines.check_block(head.decode(), [*written, *mail.keys()])
    return head + b"\r\n" + body


def _parts(text: str) -> tuple[str, str]:
    """The name and the address of what is written in one of three ways; empty if in none."""
    name, plain = "", text
    if text.endswith(">"):
        name, opened, plain = text[:-1].rpartition("<")
        plain = plain if opened else ""
    elif text.endswith(")"):
        plain, _, name = text[:-1].partition("(")
    name = name.strip()
    if quoted := _QUOTED.fullmatch(name):
        name = re.sub(r"\\(.)", r"\1", quoted[1], flags=re.DOTALL)
    elif _SEVERAL.search(name):
        return "", ""
    return name, plain.strip(" ")


def _content(text: str) -> dict[str, Any]:
    found = json.loads(text) if text else {}
    return found if isinstance(found, dict) else {}
