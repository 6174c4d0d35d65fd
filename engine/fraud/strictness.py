"""How strict the guard is with one purpose: of a definition what each message is asked for.

Apart from `policy`, which reads definitions with pydantic and is not compiled: a field of a class
that is not costs as much as finding a node.
"""

from typing import Final

from engine.fraud.blocks import BLOCK, CHALLENGE, SHADOW

MOST_SCORE: Final = 99  # the guard is never surer

ALLOWED: Final = "allow"
MONITOR: Final = "monitor"
FILTER: Final = "filter"
BLOCKED: Final = "block"


class Strictness:
    """How strict the guard is with one purpose; see `engine.fraud.policy.PurposeModel`.

    Attributes:
        delay_ms: How long a message that would be challenged waits to be looked at again; 0: not.
        deaf: Whether no score comes to a challenge, with its weight.
        quick: Whether it filters everywhere, and every number.
        passes: Whether nothing can stop a message, or be learnt from it.
    """

    __slots__ = (
        "action", "block", "challenge", "deaf", "delay_ms", "modes", "passes", "quick", "usual",
        "weight",
    )  # fmt: skip

    def __init__(
        self, weight: float, challenge: int, block: int, action: str, modes: dict[str, str],
        usual: str, delay_ms: int, *, is_code: bool, exempts: bool,
    ) -> None:  # fmt: skip
        self.weight = weight
        self.delay_ms = delay_ms
        self.challenge = challenge
        self.block = block
        self.action = action
        self.modes = modes
        self.usual = usual
        self.deaf = int(MOST_SCORE * weight) < challenge
        everywhere = usual == FILTER and not modes
        self.quick = everywhere and not exempts
        self.passes = everywhere and self.deaf and not is_code

    def mode(self, region: str) -> str:
        """What is done about a country."""
        return self.modes.get(region, self.usual)

    def action_for(self, found: str) -> str:
        """What is done about a finding."""
        if found == CHALLENGE or self.action == CHALLENGE:
            return CHALLENGE
        return SHADOW if self.action == SHADOW else BLOCK
