"""Whose turn it is among the lanes that share a limit.

The lanes of an account draw on the same meters, and none of them knows what the others have
waiting. While one of them waits for room, all that want some say so here, and the room goes to the
one whose turn it is: first the class (otp, transactional and marketing share it 50 to 30 to 20),
then the workspace within the class (each the same), then the lanes of the workspace one after
another. It is the same stride scheduling as in a lane's own queue, so whoever has nothing to send
leaves its share to the others, and whoever comes back cannot have saved up.

A lane that could not send now anyhow (it is paused, or at a limit that it does not share with the
one that asks) is passed over. One that waits a moment for what both draw on keeps its turn, or else
a long message would never find room among short ones.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from engine.lanes.queue import CLASSES, STRIDES
from engine.lanes.rates import UNLIMITED


class Contender(NamedTuple):
    """A lane that wants to send.

    Attributes:
        workspace: Whose lane it is.
        busy: The classes of which it has something waiting.
        hindered: What it draws on that has no room for it now; nothing: it could send; None: it
            could not for some other reason, or for long.
        wake: Tells it that it may be.
    """

    workspace: str
    busy: Callable[[], list[int]]
    hindered: Callable[[], frozenset[object] | None]
    wake: Callable[[], None]


class Turn(NamedTuple):
    """What a lane may send now.

    Attributes:
        level: Of which class; -1: of none, another lane goes first.
        units: How many units, until it is another's turn.
    """

    level: int
    units: int


NOT_YET = Turn(-1, 0)


class Turns:
    """The lanes of one account in one sender; see the module's text."""

    __slots__ = ("_classes", "_present", "_served", "_spaces", "_spaces_present", "_wanting")

    def __init__(self) -> None:
        self._wanting: dict[str, Contender] = {}
        self._served: list[dict[str, None]] = [{} for _ in CLASSES]  # by class, the last one last
        self._classes = [0] * len(CLASSES)
        self._present = 0
        self._spaces: list[dict[str, int]] = [{} for _ in CLASSES]
        self._spaces_present = [0] * len(CLASSES)

    def __len__(self) -> int:
        return len(self._wanting)

    def want(self, lane_key: str, contender: Contender) -> None:
        """A lane waits for room, or for its turn."""
        self._wanting.setdefault(lane_key, contender)

    def leave(self, lane_key: str) -> None:
        """A lane wants nothing, or could not send: the next may go."""
        if self._wanting.pop(lane_key, None) is not None:
            for served in self._served:
                served.pop(lane_key, None)
            self.wake_next()

    def alone(self, lane_key: str) -> bool:
        """Whether no other lane waits. Cost: 0.1 µs."""
        return not self._wanting or (len(self._wanting) == 1 and lane_key in self._wanting)

    def turn(self, lane_key: str, meters: frozenset[object]) -> Turn:
        """What a lane may send now; if it is another's turn, that one is woken.

        Args:
            lane_key: The lane; it has room now.
            meters: What it draws on.

        Cost: 2 µs for each lane that waits.
        """
        found = self._next(meters)
        if found is None:
            return NOT_YET
        key, turn = found
        if key != lane_key:
            self._wanting[key].wake()
            return NOT_YET
        return turn

    def spent(self, lane_key: str, level: int, units: int) -> None:
        """A lane has sent so many units of a class in its turn."""
        contender = self._wanting[lane_key]
        served = self._served[level]
        served.pop(lane_key, None)
        served[lane_key] = None  # behind the others of its workspace
        self._present = self._classes[level]
        self._classes[level] += units * STRIDES[level]
        spaces = self._spaces[level]
        self._spaces_present[level] = spaces[contender.workspace]
        spaces[contender.workspace] += units

    def wake_next(self) -> None:
        """Wakes the lane whose turn it is."""
        found = self._next(frozenset())
        if found is not None:
            self._wanting[found[0]].wake()

    def _next(self, meters: frozenset[object]) -> tuple[str, Turn] | None:
        """The lane whose turn it is, and its turn; None if none could send."""
        wanting: list[dict[str, list[str]]] = [{} for _ in CLASSES]
        for key, contender in self._wanting.items():
            hindered = contender.hindered()
            if hindered is not None and hindered <= meters:
                for level in contender.busy():
                    wanting[level].setdefault(contender.workspace, []).append(key)
        busy = [level for level, spaces in enumerate(wanting) if spaces]
        if not busy:
            return None
        classes = self._classes
        for level in busy:
            classes[level] = max(classes[level], self._present)
        level = min(busy, key=classes.__getitem__)
        ends = [classes[other] + (other > level) for other in busy if other != level]
        quota = -(-(min(ends, default=UNLIMITED) - classes[level]) // STRIDES[level])
        passes = self._passes_of(level, wanting[level])
        space = min(wanting[level], key=passes.__getitem__)
        if len(wanting[level]) > 1:
            ahead = min(passes[other] for other in wanting[level] if other != space)
            quota = min(quota, ahead - passes[space] + 1)
        lanes = wanting[level][space]
        served = self._served[level]
        new = next((key for key in lanes if key not in served), None)
        first = new or next(key for key in served if key in lanes)
        return first, Turn(level, max(1, quota) if len(lanes) == 1 else 1)

    def _passes_of(self, level: int, wanting: Iterable[str]) -> dict[str, int]:
        """How far each workspace has come in a class; who is not ahead is where the present is."""
        present, known = self._spaces_present[level], self._spaces[level]
        passes = {space: at for space, at in known.items() if at > present}
        for space in wanting:
            passes.setdefault(space, present)
        self._spaces[level] = passes
        return passes
