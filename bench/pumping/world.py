"""Honest traffic: people in several countries who ask for a code, and mostly type it in.

Everything is drawn from one seeded generator. Numbers are of real number ranges; people of a
country live in its blocks of 10,000 numbers unevenly (Zipf), as subscribers do. The figures are
assumptions, written here so that they can be argued about; there is no public data set.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import cos, log, pi
from random import Random

from engine.fraud.figures import DAY_MS, HOUR_MS

Facts = dict[str, str]


@dataclass(slots=True)
class Send:
    """Somebody asks for a code.

    Attributes:
        at_ms: When.
        number: For which number.
        facts: What is known of who asks.
        delay_ms: After how long it is typed in; -1 for never.
        attack: Whether it is fraud.
    """

    at_ms: int
    number: str
    facts: Facts
    delay_ms: int
    attack: bool = False


@dataclass(frozen=True, slots=True)
class Country:
    """A country.

    Attributes:
        region: Its two letters.
        ranges: Beginnings of its mobile numbers, each up to its blocks' first digits.
        block_digits: Digits between a range and the last four.
        last: Digits in a block; 4 everywhere.
        blocks: How many blocks of 10,000 numbers have subscribers.
        per_day: Codes a day.
        conversion: The share of people who type theirs in.
        median_s: How long half of them take.
        peak_hour: When most people sign up, UTC.
        price: Of one text, in US dollars.
    """

    region: str
    ranges: tuple[str, ...]
    block_digits: int
    blocks: int
    per_day: int
    conversion: float
    median_s: float
    peak_hour: int
    price: float


US = Country("US", ("+1201", "+1213", "+1312", "+1415", "+1512", "+1617", "+1702", "+1917"), 3,
             4_000, 1_500, 0.83, 20, 22, 0.012)  # fmt: skip
GB = Country("GB", ("+44740", "+44770", "+44782", "+44791"), 3, 250, 1_000, 0.80, 25, 18, 0.05)
FR = Country("FR", ("+3361", "+3362", "+3366"), 3, 400, 600, 0.78, 28, 17, 0.07)
PK = Country("PK", ("+92300", "+92312", "+92333", "+92345"), 3, 200, 400, 0.62, 45, 15, 0.28)
ID = Country("ID", ("+62811", "+62812", "+62857"), 4, 600, 500, 0.70, 40, 12, 0.31)
COUNTRIES = (US, GB, FR, PK, ID)
LK = Country("LK", ("+9471", "+9476", "+9477"), 3, 150, 0, 0.6, 45, 13, 0.33)
BR = Country("BR", ("+551196", "+552198"), 3, 500, 0, 0.6, 40, 20, 0.05)


class Honest:
    """The people of a seed.

    Args:
        rng: What everything is drawn from.
        countries: Where they live.
    """

    def __init__(self, rng: Random, countries: tuple[Country, ...] = COUNTRIES) -> None:
        self.rng = rng
        self.countries = countries
        self.blocks = {each.region: self.live_in(each) for each in (*countries, LK, BR)}
        self._customers: list[tuple[Country, str]] = []
        self._nats = [self.ip() for _ in range(60)]

    def live_in(self, country: Country) -> tuple[list[str], list[float]]:
        """The blocks of a country, and cumulated weights."""
        rng = self.rng
        found: dict[str, None] = {}
        while len(found) < country.blocks:
            start = rng.choice(country.ranges)
            first = rng.randrange(2, 10)  # a block that begins with 0 or 1 may not be assigned
            rest = rng.randrange(10 ** (country.block_digits - 1))
            digits = (
                f"{first}{rest:0{country.block_digits - 1}d}" if country.block_digits > 1 else ""
            )
            found[start + digits] = None
        total, weights = 0.0, []
        for rank in range(len(found)):
            total += 1.0 / (rank + 10.0) ** 0.8
            weights.append(total)
        return list(found), weights

    def number(self, country: Country) -> str:
        """A subscriber's number."""
        blocks, weights = self.blocks[country.region]
        block = self.rng.choices(blocks, cum_weights=weights)[0]
        return f"{block}{self.rng.randrange(10_000):04d}"

    def ip(self) -> str:
        """Some address."""
        return ".".join(str(self.rng.randrange(1, 255)) for _ in range(4))

    def facts(self, country: Country) -> Facts:
        """What is known of an honest person: one in seven shares an address with many."""
        rng = self.rng
        ip = rng.choice(self._nats) if rng.random() < 0.15 else self.ip()
        travels = rng.random() < 0.03
        where = rng.choice(self.countries).region if travels else country.region
        return {"ip": ip, "device": f"{rng.getrandbits(48):x}", "country": where}

    def delay(self, median_s: float) -> int:
        """How long it takes to type a code in."""
        return int(1_000 * min(600.0, self.rng.lognormvariate(log(median_s), 0.8)))

    def asks(
        self, country: Country, at_ms: int, conversion: float = -1.0, resend: float = 0.3
    ) -> Iterator[Send]:
        """One person: a code, and maybe a second one if the first is not typed in."""
        rng = self.rng
        if conversion < 0:
            conversion = country.conversion
        if self._customers and rng.random() < 0.15:
            country, number = rng.choice(self._customers)
        else:
            number = self.number(country)
            if rng.random() < 0.3 and conversion > 0.2:
                self._customers.append((country, number))
        facts = self.facts(country)
        if rng.random() < conversion:
            yield Send(at_ms, number, facts, self.delay(country.median_s))
            return
        yield Send(at_ms, number, facts, -1)
        while rng.random() < resend:
            at_ms += int(1_000 * rng.uniform(25, 90))
            works = rng.random() < conversion * 0.5
            yield Send(at_ms, number, facts, self.delay(country.median_s) if works else -1)
            if works:
                return

    def traffic(
        self, country: Country, from_ms: int, to_ms: int, factor: float = 1.0,
        conversion: float = -1.0, resend: float = 0.3, per_day: float = -1.0,
    ) -> Iterator[Send]:  # fmt: skip
        """A country's traffic: a Poisson process that follows the hours of the day."""
        rng = self.rng
        per_day = country.per_day if per_day < 0 else per_day
        if per_day * factor <= 0:
            return
        top = per_day * factor * 1.8 / DAY_MS
        at = float(from_ms)
        while True:
            at += rng.expovariate(top)
            if at >= to_ms:
                return
            hour = (at % DAY_MS) / HOUR_MS
            season = 1.0 + 0.8 * cos(2 * pi * (hour - country.peak_hour) / 24)
            if rng.random() < season / 1.8:
                yield from self.asks(country, int(at), conversion, resend)
