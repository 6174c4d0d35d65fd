"""Windows: what is kept of an event's times so that conditions can count them.

Whoever asks for the same times shares them: a window's name says what it holds. The plain one of
an event (its newest `limits.WINDOW_EVENTS` times) has the event's own name; one that holds less
(only what passes a filter, or lies in a range, or just the first time) has the event's name and a
hash of what makes it different. How far a window looks back is not part of its name: it is kept as
long as the one who looks furthest back needs it.

A time is an integer (ms); in a window with `same` it is `[ms, text]`, for only events of one text
belong together. Times ascend, and a late event is put where it belongs.
"""

from bisect import bisect_right, insort
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from json import dumps
from typing import Any, Final, Protocol

from xxhash import xxh3_64_hexdigest

from engine import limits
from engine.conditions.paths import resolver
from engine.conditions.registry import Compiled, ConditionModel, Facts, compile_all
from engine.journeys.context import text_of

NEWEST: Final = "newest"  # the newest limits.WINDOW_EVENTS
FIRST: Final = "first"  # the oldest one alone
LAST: Final = "last"  # the newest one alone
_APART: Final = "\x1f"  # stands in no event's name: the door refuses control characters


class Event(Protocol):
    """What a window reads of an event."""

    timestamp_ms: int

    @property
    def properties(self) -> dict[str, Any]:
        """Its properties."""


Take = Callable[[dict[str, list[Any]], Event, Facts, int], bool]
"""`(windows, event, entity, now_ms)`: takes an event in; gives whether the window changed."""


@dataclass(frozen=True, slots=True)
class Window:
    """Times of an event that some condition asks for; see the module's text.

    Attributes:
        name: Where `Entity.windows` has them.
        event: The event's name.
        horizon_ms: How far back they are asked for; 0 is for ever.
        where: The filter that an event passes, or None.
        from_ms: The first moment that is kept.
        to_ms: The first moment after it that is not, or None.
        keep: NEWEST, FIRST or LAST.
        text: Finds the text that is kept beside each time in an event's properties, or None.
    """

    name: str
    event: str
    horizon_ms: int = 0
    where: Compiled | None = field(default=None, compare=False)
    from_ms: int = 0
    to_ms: int | None = None
    keep: str = NEWEST
    text: Callable[[Mapping[str, Any]], Any] | None = field(default=None, compare=False)


def window_of(
    event: str,
    where: Sequence[ConditionModel] = (),
    horizon_ms: int = 0,
    from_ms: int = 0,
    to_ms: int | None = None,
    keep: str = NEWEST,
    same: str = "",
) -> Window:
    """The window of what is asked for; see `Window`."""
    special = {
        "where": [condition.written() for condition in where],
        "from": from_ms,
        "to": to_ms,
        "keep": "" if keep == NEWEST else keep,
        "same": same,
    }
    special = {key: value for key, value in special.items() if value}
    name = event
    if special:
        name += _APART + xxh3_64_hexdigest(dumps(special, sort_keys=True).encode())
    text = resolver(same) if same else None
    return Window(name, event, horizon_ms, compile_all(where), from_ms, to_ms, keep, text)


def taker(window: Window) -> Take:
    """How a window takes an event in and forgets what nobody can count any more.

    Cost: 0.2 µs for an event's own window; one more for each property that a filter reads.
    """
    if window.name == window.event:
        return _plain(window.name, window.horizon_ms)
    return lambda windows, event, entity, now_ms: take(window, windows, event, entity, now_ms)


def _plain(name: str, horizon_ms: int) -> Take:
    def take(windows: dict[str, list[Any]], event: Event, entity: Facts, now_ms: int) -> bool:
        at_ms = event.timestamp_ms
        times = windows.get(name)
        if times is None:
            if horizon_ms and at_ms <= now_ms - horizon_ms:
                return False
            windows[name] = [at_ms]
            return True
        if not times or times[-1] <= at_ms:
            times.append(at_ms)
        else:
            insort(times, at_ms)
        if horizon_ms and times[0] <= now_ms - horizon_ms:
            del times[: bisect_right(times, now_ms - horizon_ms)]
        if len(times) > limits.WINDOW_EVENTS:
            del times[0]
        return True

    return take


def take(
    window: Window, windows: dict[str, list[Any]], event: Event, entity: Facts, now_ms: int
) -> bool:
    """Takes an event into a window; gives whether the window changed. See `taker`."""
    at_ms = event.timestamp_ms
    where = window.where
    if where is not None and not where.check(entity, at_ms, event.properties)[0]:
        return False
    if at_ms < window.from_ms or (window.to_ms is not None and at_ms >= window.to_ms):
        return False
    if window.keep != NEWEST:
        return _keep_one(window, windows, at_ms)
    if window.horizon_ms and at_ms <= now_ms - window.horizon_ms:
        return False
    item: Any = at_ms
    if window.text is not None:
        text = text_of(window.text(event.properties))
        if not text:
            return False
        item = [at_ms, text]
    times = windows.setdefault(window.name, [])
    insort(times, item)
    if window.horizon_ms:
        _forget(times, now_ms - window.horizon_ms, window.text is not None)
    if len(times) > limits.WINDOW_EVENTS:
        del times[0]
    return True


def trim(window: Window, times: list[Any]) -> list[Any]:
    """What a window keeps of times that came together from two of it."""
    if window.keep == FIRST:
        return times[:1]
    return times[-1:] if window.keep == LAST else times[-limits.WINDOW_EVENTS :]


def _keep_one(window: Window, windows: dict[str, list[Any]], at_ms: int) -> bool:
    times = windows.get(window.name)
    if times and (times[0] <= at_ms if window.keep == FIRST else times[0] >= at_ms):
        return False
    windows[window.name] = [at_ms]
    return True


def _forget(times: list[Any], oldest_ms: int, keyed: bool) -> None:
    """Forgets what is not younger than a moment."""
    if keyed:
        if times[0][0] <= oldest_ms:
            del times[: bisect_right(times, oldest_ms, key=lambda item: item[0])]
    elif times[0] <= oldest_ms:
        del times[: bisect_right(times, oldest_ms)]
