"""What can be computed of a person's events: one small class for each, and the list of them.

Every function is one of the events and of nothing else: neither the order in which they came in
nor how they were divided among profiles that became one makes a difference. Where two events of one
millisecond could both be the first or the last, the order of their packed values decides.

A function is asked in two ways. For all time, and for a session, it folds items into something
small: `add`, `join`, `value`. In a window, which forgets, it looks at the entries that are in it:
`[times, items]`, ascending in time, or with what it keeps beside them: `entered`, `left`,
`value_within`.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from engine.computed import numbers, values
from engine.packing import pack

Entries = list[Any]
Items = tuple[Sequence[Any], bool]
"""What an event gives a function, and whether something of it had to be left out."""
_NOTHING: Final[Items] = (), False


class Function:
    """The base of all functions; see the module's text.

    Attributes:
        key: Its name in a definition.
        least: Of the most frequent value: how often it must have come at least.
    """

    key: ClassVar[str]
    least: int = 1

    def items(self, value: Any) -> Items:
        """What an event whose property has a value gives."""
        raise NotImplementedError

    def add(self, kept: Any, at_ms: int, item: Any) -> Any:
        """What is kept, None if it is nothing so far, with one item more."""
        raise NotImplementedError

    def join(self, one: Any, other: Any) -> Any:
        """What is kept of two profiles that become one."""
        raise NotImplementedError

    def value(self, kept: Any) -> Any:
        """The value of the trait, or None."""
        raise NotImplementedError

    def size(self, kept: Any) -> int:
        """How many values are kept, of those functions that keep several."""
        return 0

    def refuses(self, kept: Any, item: Any, room: int) -> bool:
        """Whether an item would be one value more than there is room for."""
        return False

    def begin(self) -> Entries:
        """The entries of an empty window."""
        return [[], []]

    def entered(self, entries: Entries, at: int) -> None:
        """Notes that an entry was put at a place; may take out what can't count any more."""

    def left(self, entries: Entries, count: int) -> None:
        """Notes that the oldest entries are about to go."""

    def value_within(self, entries: Entries) -> Any:
        """The value of the trait for a window, which is not empty; or None."""
        raise NotImplementedError


class Count(Function):
    """How many events there were."""

    key = "count"

    def items(self, value: Any) -> Items:
        """One for each event, whatever it says."""
        return (None,), False

    def add(self, kept: Any, at_ms: int, item: Any) -> Any:
        """See `Function`."""
        return (kept or 0) + 1

    def join(self, one: Any, other: Any) -> Any:
        """See `Function`."""
        return one + other

    def value(self, kept: Any) -> Any:
        """See `Function`."""
        return kept

    def begin(self) -> Entries:
        """Times alone."""
        return [[]]

    def value_within(self, entries: Entries) -> Any:
        """See `Function`."""
        return len(entries[0])


class _OfNumbers(Function):
    """What is made of numbers; anything else is no value."""

    def items(self, value: Any) -> Items:
        """See `Function`."""
        found = numbers.number(value)
        return _NOTHING if found is None else ((found,), False)


class Sum(_OfNumbers):
    """The exact sum. A window keeps its total beside the entries."""

    key = "sum"

    def add(self, kept: Any, at_ms: int, item: Any) -> Any:
        """See `Function`."""
        return numbers.plus(kept or 0, item)

    def join(self, one: Any, other: Any) -> Any:
        """See `Function`."""
        return numbers.plus(one, other)

    def value(self, kept: Any) -> Any:
        """See `Function`."""
        return numbers.value_of(kept)

    def begin(self) -> Entries:
        """See `Function`."""
        return [[], [], 0]

    def entered(self, entries: Entries, at: int) -> None:
        """See `Function`."""
        entries[2] = numbers.plus(entries[2], entries[1][at])

    def left(self, entries: Entries, count: int) -> None:
        """See `Function`."""
        for item in entries[1][:count]:
            entries[2] = numbers.minus(entries[2], item)

    def value_within(self, entries: Entries) -> Any:
        """See `Function`."""
        return numbers.value_of(entries[2])


class Average(Sum):
    """The mean: the exact sum, divided once."""

    key = "average"

    def add(self, kept: Any, at_ms: int, item: Any) -> Any:
        """See `Function`."""
        total, count = kept or (0, 0)
        return [numbers.plus(total, item), count + 1]

    def join(self, one: Any, other: Any) -> Any:
        """See `Function`."""
        return [numbers.plus(one[0], other[0]), one[1] + other[1]]

    def value(self, kept: Any) -> Any:
        """See `Function`."""
        return numbers.mean_of(*kept)

    def value_within(self, entries: Entries) -> Any:
        """See `Function`."""
        return numbers.mean_of(entries[2], len(entries[0]))


class _Extreme(_OfNumbers):
    """The smallest or largest number.

    A window keeps only what can still become it: an entry goes when a newer one is as good.
    """

    def beats(self, one: Any, other: Any) -> bool:
        """Whether a number is nearer to the extreme than another."""
        raise NotImplementedError

    def add(self, kept: Any, at_ms: int, item: Any) -> Any:
        """See `Function`."""
        return item if kept is None or self.beats(item, kept) else kept

    def join(self, one: Any, other: Any) -> Any:
        """See `Function`."""
        return self.add(one, 0, other)

    def value(self, kept: Any) -> Any:
        """See `Function`."""
        return kept

    def entered(self, entries: Entries, at: int) -> None:
        """See `Function`."""
        times, items = entries
        item, at_ms = items[at], times[at]
        newer = at + 1 < len(items) and not self.beats(item, items[at + 1])
        equal = at > 0 and times[at - 1] == at_ms and not self.beats(item, items[at - 1])
        if newer or equal:
            del times[at], items[at]
            return
        first = at
        while first and not self.beats(items[first - 1], item):
            first -= 1
        del times[first:at], items[first:at]

    def value_within(self, entries: Entries) -> Any:
        """See `Function`."""
        return entries[1][0]


class Min(_Extreme):
    """The smallest number."""

    key = "min"

    def beats(self, one: Any, other: Any) -> bool:
        """See `_Extreme`."""
        return bool(one < other)


class Max(_Extreme):
    """The largest number."""

    key = "max"

    def beats(self, one: Any, other: Any) -> bool:
        """See `_Extreme`."""
        return bool(one > other)


class _OfOneEvent(Function):
    """What one event said, whatever it is."""

    def items(self, value: Any) -> Items:
        """See `Function`."""
        if values.is_none(value):
            return _NOTHING
        return ((value,), False) if values.fits(value) else ((), True)

    def join(self, one: Any, other: Any) -> Any:
        """See `Function`."""
        return self.add(one, *other)

    def value(self, kept: Any) -> Any:
        """See `Function`."""
        return kept[1]


class First(_OfOneEvent):
    """What the oldest event said."""

    key = "first"

    def add(self, kept: Any, at_ms: int, item: Any) -> Any:
        """See `Function`."""
        return [at_ms, item] if kept is None or _rank(at_ms, item) < _rank(*kept) else kept

    def value_within(self, entries: Entries) -> Any:
        """See `Function`."""
        times, items = entries
        return min(items[: bisect_right(times, times[0])], key=pack)


class Last(_OfOneEvent):
    """What the newest event said. A window keeps that one alone: no older one can outlive it."""

    key = "last"

    def add(self, kept: Any, at_ms: int, item: Any) -> Any:
        """See `Function`."""
        return [at_ms, item] if kept is None or _rank(at_ms, item) > _rank(*kept) else kept

    def entered(self, entries: Entries, at: int) -> None:
        """See `Function`."""
        times, items = entries
        newest = max(range(len(times)), key=lambda place: _rank(times[place], items[place]))
        entries[:] = [[times[newest]], [items[newest]]]

    def value_within(self, entries: Entries) -> Any:
        """See `Function`."""
        return entries[1][-1]


class _OfValues(Function):
    """What is made of how often each value came; of a list, each of its items came once.

    A window keeps the counts beside the entries.
    """

    def items(self, value: Any) -> Items:
        """See `Function`."""
        return values.keys_of(value)

    def add(self, kept: Any, at_ms: int, item: Any) -> Any:
        """See `Function`."""
        counts = {} if kept is None else kept
        counts[item] = counts.get(item, 0) + 1
        return counts

    def join(self, one: Any, other: Any) -> Any:
        """See `Function`."""
        return dict(Counter(one) + Counter(other))

    def value(self, kept: Any) -> Any:
        """See `Function`."""
        return self._of(kept)

    def size(self, kept: Any) -> int:
        """See `Function`."""
        return len(kept) if kept is not None else 0

    def refuses(self, kept: Any, item: Any, room: int) -> bool:
        """See `Function`."""
        return kept is not None and item not in kept and len(kept) >= room

    def begin(self) -> Entries:
        """See `Function`."""
        return [[], [], {}]

    def entered(self, entries: Entries, at: int) -> None:
        """See `Function`."""
        item, counts = entries[1][at], entries[2]
        counts[item] = counts.get(item, 0) + 1

    def left(self, entries: Entries, count: int) -> None:
        """See `Function`."""
        counts = entries[2]
        for item in entries[1][:count]:
            if counts[item] > 1:
                counts[item] -= 1
            else:
                del counts[item]

    def value_within(self, entries: Entries) -> Any:
        """See `Function`."""
        return self._of(entries[2])

    def _of(self, counts: Mapping[str, int]) -> Any:
        raise NotImplementedError


class MostFrequent(_OfValues):
    """The value that came most often, of several the first in order.

    Args:
        least: How often it must have come.
    """

    key = "most_frequent"

    def __init__(self, least: int = 1) -> None:
        self.least = least

    def _of(self, counts: Mapping[str, int]) -> Any:
        most = max(counts.values())
        if most < self.least:
            return None
        found = [key for key, count in counts.items() if count == most]
        return values.of_key(found[0] if len(found) == 1 else values.in_order(found)[0])


class UniqueList(_OfValues):
    """Every value that came, each once, in order."""

    key = "unique_list"

    def _of(self, counts: Mapping[str, int]) -> Any:
        return [values.of_key(key) for key in values.in_order(counts)]


class UniqueCount(_OfValues):
    """How many different values came."""

    key = "unique_count"

    def _of(self, counts: Mapping[str, int]) -> Any:
        return len(counts)


def _rank(at_ms: int, item: Any) -> tuple[int, bytes]:
    return at_ms, pack(item)


FUNCTIONS: Final[dict[str, type[Function]]] = {
    function.key: function
    for function in (
        Count, Sum, Average, Min, Max, First, Last, MostFrequent, UniqueList, UniqueCount,
    )
}  # fmt: skip
