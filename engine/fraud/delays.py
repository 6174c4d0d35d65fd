"""How long people take to type in a code, learnt from those who did.

A code that is not verified after ten seconds says little, after five minutes nearly all. How much
it says is the share of people who would have been done by now: the distribution of the time from
send to verification. It is kept at the ages at which the guard looks (`figures.STAGES_MS`), begins
with a guess that is worth 20 people, and forgets slowly. Each country has its own: in some, texts
take their time.
"""

from typing import Final, Optional

from engine.fraud.figures import FIRST_GUESS, STAGES_MS, stage_of

_WORTH: Final = 20.0
_FULL: Final = 4_000.0
_TOP: Final = 0.98
_BATCH: Final = 50


class Delays:
    """See the module's text.

    Args:
        counts: What `row` gave, or None.
        wider: What is known of the workspace: a country begins with its guess, and tells it.

    Attributes:
        done: By stage, the share of people who are done by its age.
    """

    __slots__ = ("_counts", "_guess", "_new", "_since", "_total", "_wider", "done")

    def __init__(self, counts: list[float] | None = None, wider: Optional["Delays"] = None) -> None:
        stages = len(STAGES_MS)
        self._counts = list(counts) if counts else [0.0] * (stages + 1)
        self._new = [0] * (stages + 1)
        self._since = 0
        self._total = 0.0
        self._wider = wider
        self.done: list[float] = list(FIRST_GUESS if wider is None else wider.done)
        self._guess = tuple(self.done)
        self._work_out()

    def add(self, delay_ms: int) -> None:
        """Somebody took so long."""
        self._new[stage_of(delay_ms - 1)] += 1
        self._since += 1
        if self._since >= _BATCH or self._total < _BATCH:
            self._take(self._new)
            self._new = [0] * len(self._new)

    def row(self) -> list[float]:
        """What a restart keeps of it."""
        return [old + new for old, new in zip(self._counts, self._new, strict=True)]

    def _take(self, counts: list[int]) -> None:
        self._counts = [old + new for old, new in zip(self._counts, counts, strict=True)]
        if self._wider is not None:
            self._wider._take(counts)  # its own kind
        self._work_out()

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
