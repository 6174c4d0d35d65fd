"""How a message carries a code that nobody on the way can read.

Its text holds a mark of as many characters as the code has, so that the number of segments is known
without it. Beside it, in the message's facts, is the code as the gateway sealed it. The sender
opens the seal right before it calls the carrier, and puts the code where the mark stands.
"""

from typing import Final

from engine.messages.message import VOICE

SEALED: Final = "sealed"  # the fact that holds the sealed code
CODE_LENGTH: Final = "code_length"
MARK: Final = "*"


def mark_of(length: int) -> str:
    """What stands for a code of so many characters."""
    return MARK * length


def reveal(text: str, code: str, channel: str) -> str:
    """A text with the code in it; in a call its characters are said one by one."""
    said = ", ".join(code) if channel == VOICE else code
    return text.replace(mark_of(len(code)), said)
