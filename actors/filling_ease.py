"""How much longer than usual a filling rests, because others feel it.

A pace that only knows its own cost can't know what the host has left: on one that is nearly busy, a
twentieth more may be too much. So a host compares how long its commands take now with how long they
took before. While they take noticeably longer, all rests of a filling are doubled, and doubled
again; when they do not, rests become shorter little by little (additive increase, multiplicative
decrease, as TCP finds its share of a line: RFC 5681). What is normal changes with the hour, so now
and then a long filling stops for a moment and looks.

It decides only when commands are given to a shard, and never what they are.
"""

import asyncio
from collections.abc import Collection
from typing import Final

from actors.runner_stats import RunnerStats

LOOK_S: Final = 0.5  # between two looks
_MUCH: Final = 1.5  # times as long as normal is noticeable,
_LEAST_S: Final = 0.002  # if it is as much as this
_LONGEST: Final = 4.0  # times as long as usual a filling rests, at most: so it ends some day
_SHORTER: Final = 0.9  # at each look
_WEIGHT: Final = 0.2  # of the newest look in what is normal,
_WEIGHT_NOW: Final = 0.3  # and in what is now: acknowledgements of half a second vary by themselves
_LOOKS: Final = 30  # of a filling, until it stops
_STOPPED: Final = 4  # looks for which it is stopped;
_DRAINED: Final = 2  # from this one on what was acknowledged has felt nothing of it


class Ease:
    """See the module's text.

    Args:
        stats: Of a host's shards.

    Attributes:
        factor: How many times as long as usual a filling rests.
        may_go_on: Not set while it should do nothing for a moment.
    """

    def __init__(self, stats: Collection[RunnerStats]) -> None:
        self.factor = 1.0
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self._held = False
        self._wants_on = True
        self._stats = stats
        self._normal_s = self._now_s = 0.0
        self._seen = 0, 0.0
        self._own = 0, 0.0
        self._looks = 0

    def own(self, took_s: float) -> None:
        """Notes a slice of the filling itself: how long it takes bothers nobody."""
        self._own = self._own[0] + 1, self._own[1] + took_s

    def hold(self, held: bool) -> None:
        """Keeps a filling from all but a look now and then, or lets it go on."""
        self._held = held
        self._let(self._wants_on)

    def look(self, filling: bool) -> None:
        """Compares; called every `LOOK_S`.

        Args:
            filling: Whether something was filled since the last look.
        """
        took_s = self._took_s()
        if not filling:
            self._looks, self.factor = 1, 1.0
            self._let(True)
            self._learn(took_s)
            return
        place = self._looks % (_LOOKS + _STOPPED) - _LOOKS  # below 0 while it may go on
        self._looks += 1
        self._let(place < 0)
        if place >= _DRAINED or place == -_LOOKS:  # a look is at what was before it
            self._learn(took_s)
        elif place < 0 and took_s and self._normal_s:
            self._now_s += _WEIGHT_NOW * (took_s - self._now_s)
            much_s = max(_MUCH * self._normal_s, self._normal_s + _LEAST_S)
            self.factor *= 2.0 if self._now_s > much_s else _SHORTER
            self.factor = min(max(self.factor, 1.0), _LONGEST)

    def _let(self, go_on: bool) -> None:
        self._wants_on = go_on
        if go_on and not self._held:
            self.may_go_on.set()
        else:
            self.may_go_on.clear()

    def _learn(self, took_s: float) -> None:
        if took_s:
            weight = _WEIGHT if self._normal_s else 1.0
            self._normal_s += weight * (took_s - self._normal_s)
            self._now_s = self._normal_s

    def _took_s(self) -> float:
        """How long what others were acknowledged since the last look had taken; 0 if nothing."""
        before = self._seen
        self._seen = (
            sum(one.chunks for one in self._stats) - self._own[0],
            sum(one.took_s for one in self._stats) - self._own[1],
        )
        chunks = self._seen[0] - before[0]
        return max(0.0, self._seen[1] - before[1]) / chunks if chunks > 0 else 0.0
