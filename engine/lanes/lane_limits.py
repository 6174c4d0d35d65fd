"""What one lane may send now: all limits that stand on it, held together.

A limit stands on a meter of the lane's own or on one that it shares (`engine.lanes.meters`). Those
that have one count for all are asked once a batch (`room`), those with one for every value once a
message (`admit`). A batch is reserved in all of them at once and stamped when its submit returned;
what it drew goes into the ledger, so that a restart finds every window as it was.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from engine.lanes.meters import Draws, KeyedMeter, Meter, Meters, amount, meter_name
from engine.lanes.queue import QueuedMessage
from engine.lanes.rates import DAY_MS, MESSAGES, UNLIMITED, Limit, Pacer, Room, Use
from engine.limits import IN_FLIGHT_MS, TURN_WAIT_MS

KeyOf = Callable[[QueuedMessage, str], str]
"""The value of a message that a limit counts by: its recipient, country …"""


class Reservation(Struct, eq=False, gc=False):
    """What a batch has taken of a lane's limits.

    Attributes:
        units: Its units.
        messages: Its messages.
        decided_ms: When it was decided.
        taken: The meters that count it, and how much each.
        drawn: By keyed meter and value, what its messages drew.
    """

    units: int
    messages: int
    decided_ms: int
    taken: list[tuple[Meter, int]]
    drawn: dict[tuple[KeyedMeter, str], int]


class Blocked(NamedTuple):
    """Why a message may not leave: a limit per value has no room for it.

    Attributes:
        limit: The limit.
        meter: Its meter.
        value: The value.
        ready_ms: When there may be room.
    """

    limit: Limit
    meter: KeyedMeter
    value: str
    ready_ms: int


class LaneLimits:
    """Any number of limits of one lane, held together.

    Args:
        wanted: The lane's limits; none means unlimited.
        now_ms: The time.
        lane_key: The lane.
        account: Whose meters it shares.
        meters: The meters of its sender.
        key_of: Tells the values of messages.
    """

    __slots__ = (
        "_account", "_by_messages", "_key", "_key_of", "_keyed", "_limits", "_meters", "_open",
        "_own", "_plain", "_slow",
    )  # fmt: skip

    def __init__(
        self,
        wanted: Sequence[tuple[Any, ...]],
        now_ms: int,
        lane_key: str = "",
        account: str = "",
        meters: Meters | None = None,
        key_of: KeyOf = lambda message, per: message.to,
    ) -> None:
        self._key = lane_key
        self._account = account
        self._meters = meters if meters is not None else Meters()
        self._key_of = key_of
        self._own = Meter("", now_ms)
        self._limits: tuple[Limit, ...] | None = None
        self._plain: list[tuple[Limit, Meter]] = []
        self._keyed: list[tuple[Limit, KeyedMeter]] = []
        self._by_messages: list[tuple[Meter, bool]] = []  # the meters, and what they count
        self._open: dict[int, Reservation] = {}
        self._slow: tuple[Pacer, float] | None = None
        self.configure(wanted, now_ms)

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The limits as they stand."""
        return self._limits or ()

    @property
    def largest(self) -> int:
        """The most units that one message may have; a longer one could never leave."""
        return min(
            (limit.units for limit in self.limits if limit.unit != MESSAGES), default=UNLIMITED
        )

    @property
    def keyed(self) -> bool:
        """Whether messages have to be asked for one by one."""
        return bool(self._keyed)

    @property
    def shares(self) -> bool:
        """Whether other lanes draw on the same."""
        return any(limit.of for limit in self.limits)

    @property
    def in_flight(self) -> int:
        """Units that are reserved and not stamped yet."""
        return self._own.open_units

    def configure(
        self, wanted: Sequence[tuple[Any, ...]], now_ms: int, account: str = ""
    ) -> dict[str, list[Use]]:
        """Changes the limits at once. What the lane sent before counts under the new ones as well.

        Returns:
            What meters have learnt of the past, by their name, for the ledger.
        """
        first = self._limits is None
        limits = tuple(Limit(*limit) for limit in wanted)
        account = account or self._account
        if (limits, account) == (self._limits, self._account):
            return {}
        held: dict[Meter | KeyedMeter, list[Limit]] = {self._own: []}
        for limit in limits:
            held.setdefault(self._meter(limit, account, now_ms), []).append(limit)
        before = {meter for meter, _ in self._by_messages}
        gone = before.union(meter for _, meter in self._keyed).difference(held)
        for meter in gone:
            meter.configure(self._key, (), now_ms)
        for meter, those in held.items():
            meter.configure(self._key, tuple(those), now_ms)
            if meter is not self._own:
                self._meters.restored(meter, now_ms)
        self._limits, self._account = limits, account
        pairs = [(limit, meter) for meter, those in held.items() for limit in those]
        self._plain = [(limit, meter) for limit, meter in pairs if isinstance(meter, Meter)]
        self._keyed = [(limit, meter) for limit, meter in pairs if isinstance(meter, KeyedMeter)]
        self._by_messages = [
            (meter, any(limit.unit == MESSAGES for limit in those))
            for meter, those in held.items()
            if isinstance(meter, Meter)
        ]
        self._meters.forget_unused(now_ms)
        if first:
            return {}
        return {
            meter.name: self._learn(meter, now_ms)
            for meter, _ in self._by_messages
            if meter not in before
        }

    def restore(self, uses: Iterable[Use], now_ms: int) -> None:
        """Takes in what the lane itself had sent before a restart; see `Meter.restore`."""
        self._own.restore(uses, now_ms)

    def slow(self, percent: int, now_ms: int) -> None:
        """Lowers the rate to a part of what it may be, or was; 100 ends that."""
        if percent >= 100:
            self._slow = None
            return
        sliding = [limit for limit, _ in self._plain if limit.zone is None]
        shortest = min(sliding, key=lambda limit: (limit.window_ms, limit.units), default=None)
        rate = self._own.rate_ms(now_ms)
        if shortest is not None:
            rate = shortest.units / shortest.window_ms
        rate = max(rate * percent / 100, 1 / 60_000)
        if self._slow is None or self._slow[1] != rate:
            self._slow = Pacer(rate * 1_000, 1_000, now_ms), rate

    def room(self, now_ms: int) -> Room:
        """What may leave now. Cost: about 1 µs, once a batch."""
        units = messages = pace = UNLIMITED
        for limit, meter in self._plain:
            left = limit.units - meter.counted(limit, now_ms)
            paced = meter.pacer.room(now_ms) if meter.pacer is not None else UNLIMITED
            if limit.unit == MESSAGES:
                messages = min(messages, left, paced)
            else:
                units = min(units, left)
                pace = min(pace, paced)
        if self._slow is not None:
            pace = min(pace, self._slow[0].room(now_ms))
        return Room(pace, max(0, units), max(0, messages))

    def earliest(self, units: int, now_ms: int) -> int:
        """The first time at which so many units may leave, if nothing is stamped meanwhile.

        A lower bound that is never too late: whoever waits for it looks again at every stamp.
        """
        earliest_ms = now_ms
        if self._slow is not None:
            earliest_ms = max(earliest_ms, self._slow[0].ready_ms())
        for limit, meter in self._plain:
            if meter.pacer is not None:
                earliest_ms = max(earliest_ms, meter.pacer.ready_ms())
            free_ms = meter.free_ms(limit, amount(limit, units, 1), now_ms)
            earliest_ms = max(earliest_ms, free_ms)
        return earliest_ms

    @property
    def meters(self) -> frozenset[object]:
        """What the lane draws on."""
        return frozenset([meter for meter, _ in self._by_messages])

    def hindered(self, units: int, now_ms: int) -> frozenset[object] | None:
        """What has no room now for a message that the lane's turn has come for.

        Returns:
            Nothing if it may leave; meters that have room soon, which are worth waiting for; or
            None, if the wait is long.
        """
        found: set[object] = set()
        if self._slow is not None and self._slow[0].ready_ms() > now_ms:
            return None
        for limit, meter in self._plain:
            free_ms = meter.free_ms(limit, amount(limit, units, 1), now_ms)
            if meter.pacer is not None:
                free_ms = max(free_ms, meter.pacer.ready_ms())
            if free_ms > now_ms + TURN_WAIT_MS:
                return None
            if free_ms > now_ms:
                found.add(meter)
        return frozenset(found)

    def capped(self, units: int, now_ms: int) -> Limit | None:
        """A limit without room for a message of so many units that does not let it wait here."""
        for limit, meter in self._plain:
            if not limit.waits and meter.free_ms(limit, amount(limit, units, 1), now_ms) > now_ms:
                return limit
        return None

    def ends_ms(self, limit: Limit, units: int, now_ms: int) -> int:
        """When a limit of the lane may have room for units again."""
        for each, meter in self._plain:
            if each == limit:
                return meter.free_ms(limit, amount(limit, units, 1), now_ms)
        return now_ms

    def admit(self, message: QueuedMessage, now_ms: int) -> Blocked | None:
        """Counts a message under its values, or tells what stands in its way.

        What it counted goes into the reservation of its batch, or back with `dismiss`.

        Cost: 2 µs a limit.
        """
        drawn = self._values(message)
        values = {meter: (value, units) for meter, value, units in drawn}
        for limit, meter in self._keyed:
            value, units = values[meter]
            ready_ms = meter.blocked(value, units, limit, now_ms)
            if ready_ms:
                return Blocked(limit, meter, value, ready_ms)
        for meter, value, units in drawn:
            meter.reserve(value, units, now_ms)
        return None

    def dismiss(self, message: QueuedMessage, now_ms: int) -> None:
        """Takes back what `admit` counted."""
        for meter, value, units in self._values(message):
            meter.release(value, units, now_ms)

    def reserve(
        self, units: int, now_ms: int, messages: int = 1, admitted: Sequence[QueuedMessage] = ()
    ) -> Reservation:
        """Counts a batch in every window until it is stamped.

        Args:
            units: At most what `room` said.
            now_ms: The time of the decision.
            messages: How many messages it has.
            admitted: These, where limits count by value.

        Returns:
            The reservation, for `stamp` or `release`.
        """
        taken = [(meter, messages if by else units) for meter, by in self._by_messages]
        for meter, drawn in taken:
            meter.reserve(drawn, now_ms)
        if self._slow is not None:
            self._slow[0].take(units, now_ms)
        reservation = Reservation(units, messages, now_ms, taken, {})
        if self._keyed:
            by_value = reservation.drawn
            for message in admitted:
                for keyed, value, drawn in self._values(message):
                    by_value[keyed, value] = by_value.get((keyed, value), 0) + drawn
        self._open[id(reservation)] = reservation
        return reservation

    def stamp(self, reservation: Reservation, returned_ms: int) -> None:
        """The submit of a reservation has returned. Cost: about 2 µs, once a batch."""
        del self._open[id(reservation)]
        decided_ms = reservation.decided_ms
        for meter, drawn in reservation.taken:
            meter.stamp(drawn, decided_ms, returned_ms)
        for (keyed, value), drawn in reservation.drawn.items():
            keyed.stamp(value, drawn, decided_ms, returned_ms)

    def release(self, reservation: Reservation, now_ms: int = 0) -> None:
        """Takes back a reservation of which nothing was given to the carrier."""
        del self._open[id(reservation)]
        for meter, drawn in reservation.taken:
            meter.release(drawn)
        for (keyed, value), drawn in reservation.drawn.items():
            keyed.release(value, drawn, now_ms)

    def draws(self, reservation: Reservation) -> Draws:
        """What a reservation took of other meters than the lane's own, for the ledger."""
        found: Draws = {
            meter.name: (DAY_MS, {"": drawn})
            for meter, drawn in reservation.taken
            if meter is not self._own
        }
        for (keyed, value), drawn in reservation.drawn.items():
            found.setdefault(keyed.name, (keyed.horizon_ms, {}))[1][value] = drawn
        return found

    def used(self, now_ms: int) -> list[tuple[str, int, int]]:
        """For a status page: each limit in words, the units that count now, and its units."""
        return [
            (str(limit), meter.counted(limit, now_ms), limit.units) for limit, meter in self._plain
        ]

    def values(self) -> dict[str, int]:
        """For a status page: each limit per value in words, and how many values count."""
        return {str(limit): len(meter) for limit, meter in self._keyed}

    def _meter(self, limit: Limit, account: str, now_ms: int) -> Meter | KeyedMeter:
        name = meter_name(limit, self._key, account)
        if limit.per:
            return self._meters.keyed(name)
        if limit.of or limit.unit == MESSAGES:
            return self._meters.plain(name, now_ms)
        return self._own

    def _learn(self, meter: Meter, now_ms: int) -> list[Use]:
        """Tells a meter that is new to this lane what the lane has sent, and what is in flight."""
        uses = meter.learn(self._key, self._own, now_ms)
        by_messages = dict(self._by_messages)[meter]
        for reservation in self._open.values():
            drawn = reservation.messages if by_messages else reservation.units
            meter.open_units += drawn
            reservation.taken.append((meter, drawn))
            # Its batch is in the ledger without this draw, and nobody knows yet when it returns.
            uses.append(Use(reservation.decided_ms, now_ms + IN_FLIGHT_MS, drawn))
        return uses

    def _values(self, message: QueuedMessage) -> list[tuple[KeyedMeter, str, int]]:
        """What a message draws on each keyed meter."""
        drawn: dict[KeyedMeter, tuple[KeyedMeter, str, int]] = {}
        for limit, meter in self._keyed:
            if meter not in drawn:
                value = self._key_of(message, limit.per)
                drawn[meter] = meter, value, amount(limit, message.units, 1)
        return list(drawn.values())
