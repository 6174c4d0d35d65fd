"""How long people take to type in a code, learnt from those who did.

A code that is not verified after ten seconds says little, after five minutes nearly all. How much
it says is the share of people who would have been done by now: the distribution of the time from
send to verification. It is kept at the ages at which the guard looks (`figures.STAGES_MS`), begins
with a guess that is worth 20 people, and forgets slowly. Each country has its own: in some, texts
take their time.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from engine.fraud.figures import FIRST_GUESS, STAGES_MS

_WORTH: Final = 20.0
_FULL: Final = 4_000.0
_TOP: Final = 0.98


def stage_of(delay_ms: int) -> int:
    """The stage by which somebody was done who took so long."""
    return bisect_left(STAGES_MS, delay_ms)


class Delays:
    """See the module's text.

    Args:
        counts: What `row` gave, or None.
        guess: What is believed at first: of a country, what is known of the workspace.

    Attributes:
        done: By stage, the share of people who are done by its age.
    """

    __slots__ = ("_counts", "_guess", "_since", "_total", "done")

    def __init__(
        self, counts: list[float] | None = None, guess: Sequence[float] = FIRST_GUESS
    ) -> None:
        stages = len(STAGES_MS)
        self._counts = list(counts) if counts else [0.0] * (stages + 1)
        self._since = 0
        self._total = 0.0
        self._guess = guess
        self.done = list(guess)
        self._work_out()

    def add(self, stage: int) -> None:
        """Somebody was done between the stage before and this one."""
        self._counts[stage] += 1.0
        self._total += 1.0
        self._since += 1
        if self._since >= 50 or self._total < 50:
            self._work_out()

    def row(self) -> list[float]:
        """What a restart keeps of it."""
        return self._counts

    def _work_out(self) -> None:
        self._since = 0
        total = sum(self._counts)
        if total > _FULL:
            self._counts = [count / 2 for count in self._counts]
            total /= 2
        self._total = total
        done = 0.0
        for stage, guess in enumerate(self._guess):
            done += self._counts[stage]
            self.done[stage] = min(_TOP, (done + _WORTH * guess) / (total + _WORTH))
