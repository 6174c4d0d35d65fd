"""A block: what is held against a node, for how long, and how it opens again.

A block lasts 5 minutes at first, and twice as long each time it is renewed (four times where nobody
was ever verified). When its time is over it is half open: one message at a time passes as a
probe. A probe that is verified counts for the node, and enough of them in a row open it; one that
is not verified renews it. So a wrong block heals by itself after a few honest people, and a right
one costs one message a term.

Where nobody tells what was verified, a probe could never succeed: such a block simply ends.
"""

from typing import Any, Final, NamedTuple

BLOCK: Final = "block"
CHALLENGE: Final = "challenge"
SHADOW: Final = "shadow"
DELAY: Final = "delay"
ALLOW: Final = "allow"


class Verdict(NamedTuple):
    """Why a message is not sent as it was asked for.

    Attributes:
        action: `block`, `challenge`, `shadow`; or `delay`: a challenge, looked at again first.
        code: What was found, such as `unverified_prefix`.
        why: In words and numbers, for the message's history.
        until_ms: When it may be otherwise; of a delay: when to look again.
        score: 0 to 100: how sure the guard is that this is fraud.
    """

    action: str
    code: str
    why: str
    until_ms: int
    score: int


class Block:
    """See the module's text.

    Attributes:
        times: How often in a row the node was blocked.
        until_ms: When it is half open.
        wide: Whether it is a gate of many people: it challenges, and is shorter.
        barren: Whether nobody was ever verified there: its term grows twice as fast.
        blind: Whether it ends without probes, because nothing is known of what was verified.
        probe_ms: When the last probe left; 0 if none is under way.
        good: Probes in a row that were verified.
        denied: Messages that it stopped.
        code: What was found; `told`: in words and numbers; `score`: how sure it is, 0 to 100.
    """

    __slots__ = (
        "barren",
        "blind",
        "code",
        "denied",
        "good",
        "probe_ms",
        "score",
        "times",
        "told",
        "until_ms",
        "wide",
    )  # fmt: skip

    def __init__(self, wide: bool, blind: bool, code: str, told: str, score: int) -> None:
        self.times = 0
        self.until_ms = 0
        self.wide = wide
        self.barren = False
        self.blind = blind
        self.code = code
        self.told = told
        self.score = score
        self.probe_ms = 0
        self.good = 0
        self.denied = 0

    def row(self, name: str) -> list[Any]:
        """What a restart keeps of it."""
        return [
            name, self.times, self.until_ms, self.wide, self.blind, self.code, self.told,
            self.score, self.barren,
        ]  # fmt: skip

    def needed(self) -> int:
        """Probes in a row that open it."""
        return 2 if self.times < 3 else 3


def span(ms: int) -> str:
    """A time in words."""
    minutes = ms // 60_000
    hours, rest = divmod(minutes, 60)
    if not hours:
        return f"{minutes} minutes"
    return f"{hours} h {rest} min" if rest else f"{hours} hours"
