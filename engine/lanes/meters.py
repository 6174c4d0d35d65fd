"""Meters: who draws on which limit, and what was drawn.

A *meter* counts what goes through one thing that a carrier limits: a lane, or what the lanes of an
account share by a name (`of: brand`). A *keyed* meter has one such count for every value of
something (`per: recipient`). Each counts either segments or messages. Limits are conditions on
meters, and any number of them may stand on one; so two lanes that name the same thing hold it
together, whichever of them sends, and a limit that is changed finds what was counted before it.

It is right for several lanes because all of an account's lanes live in one sender, in one thread:
what one has decided counts for the next before anything is awaited.

Meters are bounded: a keyed meter forgets a value once nothing of it counts any more, so that
forgetting lets nothing through, and where too many values count at a time a new one has to wait.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from engine import limits
from engine.lanes.rates import (
    DAY_MS,
    KEPT_MS,
    MESSAGES,
    DailyCap,
    Limit,
    Pacer,
    SlidingWindow,
    Use,
)

Draws = dict[str, tuple[int, dict[str, int]]]
"""What a batch draws: by a meter's name, how long that counts (ms), and units by value."""

Counter = SlidingWindow | DailyCap
_FORGOTTEN_AT_A_TIME: Final = 4


class Meter:
    """What goes through one thing, in every window that some limit asks for.

    Args:
        name: Its name in the ledger.
        now_ms: The time.
    """

    __slots__ = ("_counters", "_left_ms", "_limits", "name", "open_units", "pacer")

    def __init__(self, name: str, now_ms: int) -> None:
        self.name = name
        self.open_units = 0  # reserved and not stamped yet
        self.pacer: Pacer | None = None
        self._limits: dict[str, tuple[Limit, ...]] = {}
        self._left_ms: dict[str, int] = {}  # lanes that have drawn on it before
        self._counters: dict[int | str, Counter] = {}
        self.configure("", (), now_ms)

    def configure(self, lane_key: str, wanted: tuple[Limit, ...], now_ms: int) -> None:
        """A lane holds these limits on it, in place of those that it held before.

        What was sent before counts under the new ones as well.
        """
        if self._counters and self._limits.get(lane_key, ()) == wanted:
            return
        if self._limits.pop(lane_key, ()) and not wanted:
            self._left_ms[lane_key] = now_ms
        if wanted:
            self._limits[lane_key] = wanted
        every = [limit for each in self._limits.values() for limit in each]
        lengths = sorted({each.window_ms for each in every if each.zone is None} | set(KEPT_MS))
        zones = dict.fromkeys(each.zone for each in every if each.zone is not None)
        counters: dict[int | str, Counter] = {}
        for length in lengths:
            counters[length] = self._counters.get(length) or self._window(length)
        for zone in zones:
            counters[zone] = self._counters.get(zone) or self._cap(zone, now_ms)
        self._counters = counters
        self.pacer = self._paced(now_ms)

    @property
    def in_use(self) -> bool:
        """Whether any lane holds a limit on it."""
        return bool(self._limits)

    def restore(self, uses: Iterable[Use], now_ms: int) -> None:
        """Takes in what was sent before a restart.

        Args:
            uses: What has no stamp comes with `latest_ms` now. A stamp from the future (the wall
                clock was put back) counts as of now.
            now_ms: The time.
        """
        _restore(self._counters.values(), uses, now_ms)

    def learn(self, lane_key: str, own: "Meter", now_ms: int) -> list[Use]:
        """Counts what a lane sent that did not draw on it before, by the lane's own meter.

        Returns:
            What it has learnt, coarsely.
        """
        since_ms = self._left_ms.pop(lane_key, -1)
        for each, counter in self._counters.items():
            for use in own.history(each if isinstance(each, int) else DAY_MS):
                if use.latest_ms >= since_ms:
                    counter.add(*_moments(use))
        return [use for use in own.history(DAY_MS) if use.latest_ms >= since_ms]

    def history(self, window_ms: int) -> Iterable[Use]:
        """What it counted in so long, from the finest window that reaches as far back."""
        known = sorted(at for at in self._counters if isinstance(at, int))
        if not known:
            return ()
        source = self._counters[next((at for at in known if at >= window_ms), known[-1])]
        assert isinstance(source, SlidingWindow)
        return source.uses()

    def counted(self, limit: Limit, now_ms: int) -> int:
        """The units that count in a limit now."""
        return self._counter(limit).used(now_ms) + self.open_units

    def free_ms(self, limit: Limit, units: int, now_ms: int) -> int:
        """The first time at which a limit may have room for units; now if it has."""
        counter = self._counter(limit)
        over = counter.used(now_ms) + self.open_units + units - limit.units
        return counter.free_ms(over, now_ms) if over > 0 else now_ms

    def reserve(self, units: int, now_ms: int) -> None:
        """Counts units from their decision on."""
        self.open_units += units
        if self.pacer is not None:
            self.pacer.take(units, now_ms)

    def stamp(self, units: int, decided_ms: int, returned_ms: int) -> None:
        """The submit of reserved units has returned. Cost: 0.4 µs a window."""
        self.open_units -= units
        for counter in self._counters.values():
            counter.add(units, decided_ms, returned_ms)

    def release(self, units: int) -> None:
        """Reserved units were not given to the carrier."""
        self.open_units -= units

    def counts(self, now_ms: int) -> bool:
        """Whether anything counts in it that a new limit would have to know."""
        return self.open_units > 0 or self._counters[DAY_MS].used(now_ms) > 0

    def rate_ms(self, now_ms: int) -> float:
        """Units a millisecond in the last minute."""
        return self._counters[KEPT_MS[0]].used(now_ms) / KEPT_MS[0]

    def _counter(self, limit: Limit) -> Counter:
        return self._counters[limit.window_ms if limit.zone is None else limit.zone]

    def _paced(self, now_ms: int) -> Pacer | None:
        """A pacer by the shortest window of each lane; of several lanes' the quickest.

        It is for smoothness alone, so a lane with a stricter limit is kept by its window.
        """
        best: Limit | None = None
        for held in self._limits.values():
            sliding = [limit for limit in held if limit.zone is None]
            if sliding:
                one = min(sliding, key=lambda limit: (limit.window_ms, limit.units))
                if best is None or one.units * best.window_ms > best.units * one.window_ms:
                    best = one
        return None if best is None else Pacer(best.units, best.window_ms, now_ms)

    def _window(self, window_ms: int) -> SlidingWindow:
        """A window that was not kept, from the finest one that reaches as far back."""
        window = SlidingWindow(window_ms)
        for use in self.history(window_ms):
            window.add(*_moments(use))
        return window

    def _cap(self, zone: str, now_ms: int) -> DailyCap:
        cap = DailyCap(zone)
        cap.used(now_ms)
        for use in self.history(DAY_MS):
            cap.add(*_moments(use))
        return cap


class KeyedMeter:
    """One count for every value: for every recipient, sender or country.

    Limits on it count from when they are defined: of whom the messages before were is not known.

    Args:
        name: Its name in the ledger.
        held: How many values all keyed meters of a sender hold.
    """

    __slots__ = ("_asked", "_held", "_limits", "_values", "horizon_ms", "name")

    def __init__(self, name: str, held: "_Held") -> None:
        self.name = name
        self.horizon_ms = 0  # how long a draw counts
        self._held = held
        self._limits: dict[str, tuple[Limit, ...]] = {}
        self._asked: tuple[int | str, ...] = ()  # what each value counts: windows and zones
        self._values: dict[str, _Value] = {}  # those that were stamped last stand last

    def __len__(self) -> int:
        return len(self._values)

    def configure(self, lane_key: str, wanted: tuple[Limit, ...], now_ms: int) -> None:
        """A lane holds these limits on it, in place of those that it held before."""
        if self._limits.get(lane_key, ()) == wanted:
            return
        self._limits.pop(lane_key, None)
        if wanted:
            self._limits[lane_key] = wanted
        every = [limit for each in self._limits.values() for limit in each]
        asked = dict.fromkeys(
            limit.window_ms if limit.zone is None else limit.zone for limit in every
        )
        lengths = sorted(each for each in asked if isinstance(each, int))
        zones = [each for each in asked if isinstance(each, str)]
        self.horizon_ms = DAY_MS if zones else max(lengths, default=0)
        self._asked = (*lengths, *zones)
        for value in self._values.values():
            value.ask(self._asked, now_ms)

    @property
    def idle(self) -> bool:
        """Whether no lane holds a limit on it, and none of its units is in flight."""
        return not self._limits and not any(each.open_units for each in self._values.values())

    def clear(self) -> None:
        """Forgets everything: nobody holds a limit on it."""
        self._held.values -= len(self._values)
        self._values.clear()

    def restore(self, draws: Mapping[str, Iterable[Use]], now_ms: int) -> None:
        """Takes in what was sent before a restart; those last that were stamped last."""
        last = {key: sorted(uses, key=_latest) for key, uses in draws.items()}
        for key in sorted(last, key=lambda key: last[key][-1].latest_ms):
            value = self._values.get(key) or self._new(key, now_ms)
            _restore(value.counters.values(), last[key], now_ms)
            if not value.counts(now_ms):
                self._forget(key)

    def blocked(self, key: str, units: int, limit: Limit, now_ms: int) -> int:
        """The first time at which units of a value may find room in a limit; 0 if they do now.

        A lower bound that is never too late: what is in flight may return later.
        """
        value = self._values.get(key)
        if value is None:
            if units > limit.units:
                return now_ms + limit.window_ms  # never; the lane tells of such messages before
            return self._room_ms(now_ms)
        counter = value.counters[limit.window_ms if limit.zone is None else limit.zone]
        over = counter.used(now_ms) + value.open_units + units - limit.units
        return max(now_ms + 1, counter.free_ms(over, now_ms)) if over > 0 else 0

    def counted(self, key: str, limit: Limit, now_ms: int) -> int:
        """The units of a value that count in a limit now."""
        value = self._values.get(key)
        if value is None:
            return 0
        counter = value.counters[limit.window_ms if limit.zone is None else limit.zone]
        return counter.used(now_ms) + value.open_units

    def reserve(self, key: str, units: int, now_ms: int) -> None:
        """Counts units of a value from their decision on."""
        (self._values.get(key) or self._new(key, now_ms)).open_units += units

    def stamp(self, key: str, units: int, decided_ms: int, returned_ms: int) -> None:
        """The submit of reserved units of a value has returned. Cost: 1 µs."""
        value = self._values.pop(key)
        self._values[key] = value
        value.open_units -= units
        for counter in value.counters.values():
            counter.add(units, decided_ms, returned_ms)

    def release(self, key: str, units: int, now_ms: int) -> None:
        """Reserved units of a value were not given to the carrier."""
        value = self._values[key]
        value.open_units -= units
        if not value.counts(now_ms):
            self._forget(key)

    def _new(self, key: str, now_ms: int) -> "_Value":
        self._sweep(now_ms)
        value = self._values[key] = _Value()
        value.ask(self._asked, now_ms)
        self._held.values += 1
        return value

    def _forget(self, key: str) -> None:
        del self._values[key]
        self._held.values -= 1

    def _sweep(self, now_ms: int) -> None:
        """Forgets the oldest values of which nothing counts any more."""
        for _ in range(_FORGOTTEN_AT_A_TIME):
            oldest = next(iter(self._values), None)
            if oldest is None or self._values[oldest].counts(now_ms):
                return
            self._forget(oldest)

    def _room_ms(self, now_ms: int) -> int:
        """0 if one more value may be counted, else when to look again."""
        if self._held.values >= limits.LIMIT_VALUES:
            self._sweep(now_ms)
        return 0 if self._held.values < limits.LIMIT_VALUES else now_ms + 1_000


class _Value:
    """What counts of one value."""

    __slots__ = ("counters", "open_units")

    def __init__(self) -> None:
        self.open_units = 0
        self.counters: dict[int | str, Counter] = {}

    def ask(self, asked: tuple[int | str, ...], now_ms: int) -> None:
        """Counts in these windows and zones; new ones begin with what the longest one knows."""
        known = [each for each in self.counters.values() if isinstance(each, SlidingWindow)]
        longest = max(known, key=lambda window: window.window_ms, default=None)
        counters: dict[int | str, Counter] = {}
        for each in asked:
            counter = self.counters.get(each)
            if counter is None:
                counter = SlidingWindow(each) if isinstance(each, int) else DailyCap(each)
                counter.used(now_ms)
                for use in longest.uses() if longest is not None else ():
                    counter.add(*_moments(use))
            counters[each] = counter
        self.counters = counters

    def counts(self, now_ms: int) -> bool:
        """Whether anything of it counts."""
        return self.open_units > 0 or any(
            counter.used(now_ms) for counter in self.counters.values()
        )


class _Held:
    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values = 0


class Meters:
    """The meters that the lanes of a sender share, and those with a count for every value.

    Args:
        draws: What was drawn before a restart, by the meter's name and the value.
    """

    __slots__ = ("_draws", "_held", "_keyed", "_plain")

    def __init__(self, draws: Mapping[str, Mapping[str, list[Use]]] | None = None) -> None:
        self._draws = dict(draws or {})
        self._held = _Held()
        self._plain: dict[str, Meter] = {}
        self._keyed: dict[str, KeyedMeter] = {}

    @property
    def values(self) -> int:
        """How many values all keyed meters hold."""
        return self._held.values

    def plain(self, name: str, now_ms: int) -> Meter:
        """The meter of this name, with what the ledger knew of it."""
        meter = self._plain.get(name)
        if meter is None:
            meter = self._plain[name] = Meter(name, now_ms)
        return meter

    def keyed(self, name: str) -> KeyedMeter:
        """The keyed meter of this name."""
        meter = self._keyed.get(name)
        if meter is None:
            meter = self._keyed[name] = KeyedMeter(name, self._held)
        return meter

    def restored(self, meter: Meter | KeyedMeter, now_ms: int) -> None:
        """Gives a meter what the ledger knew of it, once it knows what is asked of it."""
        draws = self._draws.pop(meter.name, None)
        if draws is None:
            return
        if isinstance(meter, KeyedMeter):
            meter.restore(draws, now_ms)
        else:
            meter.restore(draws.get("", ()), now_ms)

    def forget_unused(self, now_ms: int) -> None:
        """Lets go of meters on which nobody holds a limit any more.

        What a meter without values counted is kept as long as it counts, for a limit that comes
        back.
        """
        for name, keyed in list(self._keyed.items()):
            if keyed.idle:
                keyed.clear()
                del self._keyed[name]
        for name, meter in list(self._plain.items()):
            if not meter.in_use and not meter.counts(now_ms):
                del self._plain[name]


def meter_name(limit: Limit, lane_key: str, account: str) -> str:
    """The name of the meter that a limit of a lane stands on."""
    scope = f"account {account} {limit.of}" if limit.of else f"lane {lane_key}"
    return f"{scope}|{limit.per}|{limit.unit}"


def amount(limit: Limit, units: int, messages: int) -> int:
    """What so many messages of so many units draw on a limit."""
    return messages if limit.unit == MESSAGES else units


def _restore(counters: Iterable[Counter], uses: Iterable[Use], now_ms: int) -> None:
    counters = list(counters)
    for counter in counters:
        counter.used(now_ms)
    for use in sorted(uses, key=_latest):
        latest_ms = min(use.latest_ms, now_ms)
        for counter in counters:
            counter.add(use.units, min(use.earliest_ms, latest_ms), latest_ms)


def _moments(use: Use) -> tuple[int, int, int]:
    return use.units, use.earliest_ms, use.latest_ms


def _latest(use: Use) -> int:
    return use.latest_ms
