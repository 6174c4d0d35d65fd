"""Lines of a mail's header, made from text: what somebody has typed is shown as it was typed.

Python's own header classes read encoded words (RFC 2047) in the text that they are given and write
what was in them as it is, with its line ends. A name that says `=?utf-8?b?…?=` would so write
headers and a body of its own, which are then signed. Here nothing of a text is read: what is plain
ASCII stands as it is, anything else, and whatever looks like an encoded word, is encoded.
"""

import re
from collections.abc import Sequence
from email.header import Header
from email.headerregistry import Address
from typing import Final

# Among them all that Python takes for the end of a line, which no header may hold.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_ENCODED: Final = "=?"
_NEXT: Final = "\r\n "
_LINE_CHARS: Final = 76  # RFC 2047, section 2, of a line that holds encoded words
_ATOMS: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")
_FIELD: Final = re.compile(r"([!-9;-~]+): ?[^\r\n\0]*(?:\r\n[ \t]+[^ \t\r\n\0][^\r\n\0]*)*\r\n")


class BadHeader(ValueError):
    """A header that can't be written, or a block of them that holds what we have not written."""


def without_controls(text: str) -> str:
    """The text in one line: each run of control characters is a space."""
    return _CONTROL.sub(" ", text).strip()


def text_line(name: str, text: str) -> str:
    """A line of free text, such as `Subject`."""
    text = without_controls(text)
    if text.isascii() and _ENCODED not in text and (folded := _fold(name, text)):
        return folded
    return f"{name}: {_words(name, text)}\r\n"


def address_line(name: str, address: Address) -> str:
    """A line of one address, such as `From`; a local part that is not ASCII stands in UTF-8."""
    shown, plain = without_controls(address.display_name), address.addr_spec
    if not shown:
        return f"{name}: {plain}\r\n"
    if not shown.isascii() or _ENCODED in shown or len(shown) > _LINE_CHARS // 2:
        phrase = _words(name, shown)
    elif _ATOMS.fullmatch(shown):
        phrase = shown
    else:
        escaped = re.sub(r'(["\\])', r"\\\1", shown)
        phrase = f'"{escaped}"'
    last = phrase.rpartition("\r\n")[2]
    room = _LINE_CHARS - len(name) - len(last)
    return f"{name}: {phrase}{' ' if len(plain) + 5 < room else _NEXT}<{plain}>\r\n"


def plain_line(name: str, value: str) -> str:
    """A line that only our own words stand in, such as an address of the web.

    Raises:
        BadHeader: It is not printable ASCII.
    """
    if not (value.isascii() and value.isprintable()):
        msg = f"{name} can't hold {value[:100]!r}"
        raise BadHeader(msg)
    between = " " if len(name) + len(value) + 2 <= _LINE_CHARS else _NEXT
    return f"{name}:{between}{value}\r\n"


def check_block(head: str, names: Sequence[str]) -> None:
    """Looks at a whole header block: it holds these headers, in this order, and nothing else.

    Args:
        head: The block with its last line end, without the empty line that ends it.
        names: What it has to hold.

    Raises:
        BadHeader: It holds something else.
    """
    found, at = [], 0
    while field := _FIELD.match(head, at):
        found.append(field[1])
        at = field.end()
    if at != len(head) or found != list(names):
        msg = "the header would hold what nobody has put there"
        raise BadHeader(msg)


def _fold(name: str, text: str) -> str:
    """The line with breaks at single spaces; empty if it has none where it needs one."""
    lines, line = [], f"{name}:"
    for word in re.split(r"(?<! ) (?! )", text):
        if len(line) + 1 + len(word) > _LINE_CHARS and line != f"{name}:":
            lines.append(line)
            line = ""
        line = f"{line} {word}"
        if len(line) > _LINE_CHARS:
            return ""
    return "\r\n".join((*lines, line)) + "\r\n"


def _words(name: str, text: str) -> str:
    """The text as encoded words, folded; a lone surrogate raises UnicodeEncodeError."""
    return Header(text, "utf-8", _LINE_CHARS, name).encode(linesep="\r\n")
