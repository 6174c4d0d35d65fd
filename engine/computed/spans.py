"""Over which of a person's events a trait is computed: all, those of a window, those of a session.

What a span keeps is None while there is nothing. All time and sessions keep one small thing that
events are folded into; a window keeps entries, because each of them leaves it at a moment of its
own: exactly `within` after its event.

A session is made of the events that the trait counts. It is over when none came for the time that
is its gap, and what is over stays over: an event that comes in later joins the current session if
it lies less than the gap before its first one, and else belongs to none.
"""

from bisect import bisect_right
from typing import Any, Final

from engine.computed.functions import Function, Items

EXACT: Final = 0
FOR_EVER: Final = -1


Taken = tuple[Any, int]
"""What is kept now, or None; and until when it lacks what found no room, EXACT or FOR_EVER."""


class Span:
    """All time.

    Args:
        function: What is computed.
    """

    def __init__(self, function: Function) -> None:
        self.function = function

    def take(self, kept: Any, at_ms: int, found: Items, now_ms: int, room: int) -> Taken:
        """Takes in what an event gives.

        Args:
            kept: What is kept so far; it may be changed in place.
            at_ms: When the event happened.
            found: See `Items`.
            now_ms: The time.
            room: How many values or entries may be kept.
        """
        function = self.function
        items, lacks = found
        for item in items:
            if function.refuses(kept, item, room):
                lacks = True
            else:
                kept = function.add(kept, at_ms, item)
        return kept, FOR_EVER if lacks else EXACT

    def pass_time(self, kept: Any, now_ms: int) -> tuple[Any, int | None]:
        """What is left of it by now, and when time alone changes it next."""
        return kept, None

    def join(self, one: Any, other: Any, now_ms: int, room: int) -> Taken:
        """What is kept of two profiles that become one."""
        joined = self.function.join(one, other)
        excess = self.function.size(joined) - room
        if excess <= 0:
            return joined, EXACT
        return dict(list(joined.items())[:-excess]), FOR_EVER

    def value(self, kept: Any) -> Any:
        """The value of the trait, or None."""
        return self.function.value(kept)

    def size(self, kept: Any) -> int:
        """How many values or entries are kept."""
        return self.function.size(kept)


class Session(Span):
    """The current session: `[first ms, last ms, what its events are folded into]`.

    Args:
        function: What is computed.
        gap_ms: After how long without an event it is over.
    """

    def __init__(self, function: Function, gap_ms: int) -> None:
        super().__init__(function)
        self.gap_ms = gap_ms

    def take(self, kept: Any, at_ms: int, found: Items, now_ms: int, room: int) -> Taken:
        """See `Span`."""
        if kept is not None and kept[1] + self.gap_ms <= now_ms:
            kept = None
        if at_ms <= (now_ms if kept is None else kept[0]) - self.gap_ms:
            return kept, EXACT
        if not found[0]:
            return kept, EXACT if not found[1] else FOR_EVER if kept else at_ms + self.gap_ms
        first_ms, last_ms, folded = kept or (at_ms, at_ms, None)
        folded, capped_ms = super().take(folded, at_ms, found, now_ms, room)
        return [min(first_ms, at_ms), max(last_ms, at_ms), folded], capped_ms

    def pass_time(self, kept: Any, now_ms: int) -> tuple[Any, int | None]:
        """See `Span`."""
        over_ms = kept[1] + self.gap_ms
        return (None, None) if over_ms <= now_ms else (kept, over_ms)

    def join(self, one: Any, other: Any, now_ms: int, room: int) -> Taken:
        """One session, if they lie less than the gap apart; else the later one."""
        earlier, later = sorted((one, other), key=lambda session: (session[1], session[0]))
        if later[0] - earlier[1] >= self.gap_ms:
            return later, EXACT
        folded, capped_ms = super().join(one[2], other[2], now_ms, room)
        return [min(one[0], other[0]), later[1], folded], capped_ms

    def value(self, kept: Any) -> Any:
        """See `Span`."""
        return self.function.value(kept[2])

    def size(self, kept: Any) -> int:
        """See `Span`."""
        return self.function.size(kept[2]) if kept is not None else 0


class Window(Span):
    """The newest stretch of time: entries, as `engine.computed.functions` says.

    Args:
        function: What is computed.
        within_ms: How long it is.
    """

    def __init__(self, function: Function, within_ms: int) -> None:
        super().__init__(function)
        self.within_ms = within_ms

    def take(self, kept: Any, at_ms: int, found: Items, now_ms: int, room: int) -> Taken:
        """See `Span`."""
        if at_ms <= now_ms - self.within_ms:
            return kept, EXACT
        items, lacks = found
        capped_ms = at_ms + self.within_ms if lacks else EXACT
        if not items:
            return kept, capped_ms
        if kept is None:
            kept = self.function.begin()
        for item in items:
            self._put(kept, at_ms, item)
        return kept, max(capped_ms, self._shorten(kept, room))

    def pass_time(self, kept: Any, now_ms: int) -> tuple[Any, int | None]:
        """See `Span`."""
        times = kept[0]
        if times[0] <= now_ms - self.within_ms:
            self._forget(kept, bisect_right(times, now_ms - self.within_ms))
            if not times:
                return None, None
        return kept, times[0] + self.within_ms

    def join(self, one: Any, other: Any, now_ms: int, room: int) -> Taken:
        """See `Span`."""
        items = other[1] if len(other) > 1 else [None] * len(other[0])
        for at_ms, item in zip(other[0], items, strict=True):
            self._put(one, at_ms, item)
        kept, _ = self.pass_time(one, now_ms)
        return kept, EXACT if kept is None else self._shorten(kept, room)

    def value(self, kept: Any) -> Any:
        """See `Span`."""
        return self.function.value_within(kept)

    def size(self, kept: Any) -> int:
        """See `Span`."""
        return len(kept[0]) if kept is not None else 0

    def _put(self, kept: Any, at_ms: int, item: Any) -> None:
        times = kept[0]
        at = len(times)
        if times and times[-1] > at_ms:
            at = bisect_right(times, at_ms)
        times.insert(at, at_ms)
        if len(kept) > 1:
            kept[1].insert(at, item)
        self.function.entered(kept, at)

    def _shorten(self, kept: Any, room: int) -> int:
        """Forgets the oldest entries that there is no room for; gives until when that matters."""
        times = kept[0]
        excess = len(times) - room
        if excess <= 0:
            return EXACT
        until_ms: int = times[excess - 1] + self.within_ms
        self._forget(kept, excess)
        return until_ms

    def _forget(self, kept: Any, count: int) -> None:
        self.function.left(kept, count)
        del kept[0][:count]
        if len(kept) > 1:
            del kept[1][:count]
