"""Attacks: each makes the messages of one scenario. None knows how a guard works."""

from collections.abc import Callable, Iterator

from bench.pumping.world import BR, COUNTRIES, GB, LK, PK, US, Country, Facts, Honest, Send
from engine.fraud.figures import DAY_MS, HOUR_MS

Attack = Callable[[Honest, int], Iterator[Send]]


class Farm:
    """What an attacker has: prefixes to earn from, and addresses to ask from."""

    def __init__(self, honest: Honest, addresses: int = 200) -> None:
        self.honest = honest
        self.rng = honest.rng
        self.addresses = [honest.ip() for _ in range(addresses)]

    def fresh(self, country: Country, count: int) -> list[str]:
        """Blocks of 10,000 in which nobody honest was seen, most likely."""
        taken = set(self.honest.blocks[country.region][0])
        found: list[str] = []
        while len(found) < count:
            start = self.rng.choice(country.ranges)
            first = self.rng.randrange(2, 10)
            rest = self.rng.randrange(10 ** (country.block_digits - 1))
            block = f"{start}{first}{rest:0{country.block_digits - 1}d}"
            if country.block_digits == 1:
                block = f"{start}{first}"
            if block not in taken or len(found) > 50:
                found.append(block)
        return found

    def any_number(self, prefix: str) -> str:
        """A number of a prefix."""
        return f"{prefix}{self.rng.randrange(10_000):04d}"

    def facts(self, region: str) -> Facts:
        """An address of the farm, and a device made up for the occasion."""
        ip = self.rng.choice(self.addresses) if self.addresses else self.honest.ip()
        return {"ip": ip, "device": f"{self.rng.getrandbits(48):x}", "country": region}

    def stream(
        self, country: Country, prefixes: list[str], per_s: float, from_ms: int, to_ms: int,
        verified: float = 0.0,
    ) -> Iterator[Send]:  # fmt: skip
        """A steady stream over prefixes."""
        at = float(from_ms)
        while True:
            at += self.rng.expovariate(per_s / 1_000)
            if at >= to_ms:
                return
            number = self.any_number(self.rng.choice(prefixes))
            works = self.rng.random() < verified
            delay = self.honest.delay(30) if works else -1
            yield Send(int(at), number, self.facts(country.region), delay, attack=True)


def _steady(
    country: Country, prefixes: int, per_s: float, verified: float = 0.0, addresses: int = 200,
    hours: float = 24,
) -> Attack:  # fmt: skip
    def attack(honest: Honest, start_ms: int) -> Iterator[Send]:
        farm = Farm(honest, addresses)
        blocks = farm.fresh(country, prefixes)
        end_ms = start_ms + int(hours * HOUR_MS)
        yield from farm.stream(country, blocks, per_s, start_ms, end_ms, verified)

    return attack


def _honest_numbers(honest: Honest, start_ms: int) -> Iterator[Send]:
    """500 a day to numbers drawn as honest people's are."""
    farm = Farm(honest)
    for send in farm.stream(GB, ["+447"], 500 / 86_400, start_ms, start_ms + DAY_MS):
        send.number = honest.number(GB)
        yield send


def _sequence(honest: Honest, start_ms: int) -> Iterator[Send]:
    """One number after the other, every two minutes, in a block where honest people live."""
    farm = Farm(honest)
    block = honest.blocks["GB"][0][3]
    last = honest.rng.randrange(8_000)
    for send in farm.stream(GB, [block], 1 / 120, start_ms, start_ms + DAY_MS):
        last += 1
        send.number = f"{block}{last:04d}"
        yield send


def _ramp(honest: Honest, start_ms: int) -> Iterator[Send]:
    """20 prefixes, from 1 an hour to 200 an hour in a day, a tenth more every time."""
    farm = Farm(honest)
    blocks = farm.fresh(PK, 20)
    for hour in range(24):
        begin = start_ms + hour * HOUR_MS
        rate = min(200.0, 1.26**hour) / 3_600
        yield from farm.stream(PK, blocks, rate, begin, begin + HOUR_MS)


def _sleeper(honest: Honest, start_ms: int) -> Iterator[Send]:
    """Ten prefixes in which the attacker verifies 10 codes each the day before."""
    farm = Farm(honest)
    blocks = farm.fresh(GB, 10)
    day_before = farm.stream(GB, blocks, 100 / 86_400, start_ms - DAY_MS, start_ms, 1.0)
    yield from day_before
    yield from farm.stream(GB, blocks, 2_000 / 86_400, start_ms, start_ms + DAY_MS)


def _one_address(honest: Honest, start_ms: int) -> Iterator[Send]:
    """One address, numbers of five countries, 40 an hour."""
    farm = Farm(honest, 1)
    at_ms = start_ms
    while at_ms < start_ms + DAY_MS:
        at_ms += int(honest.rng.expovariate(40 / HOUR_MS))
        country = honest.rng.choice(COUNTRIES)
        yield Send(at_ms, honest.number(country), farm.facts("US"), -1, attack=True)


def _pulses(honest: Honest, start_ms: int) -> Iterator[Send]:
    """30 in a minute on another prefix every half hour."""
    farm = Farm(honest)
    for pulse in range(48):
        begin = start_ms + pulse * HOUR_MS // 2
        yield from farm.stream(PK, farm.fresh(PK, 1), 0.5, begin, begin + 60_000)


def _repeats(honest: Honest, start_ms: int) -> Iterator[Send]:
    """40 numbers of 40 prefixes, each asked for again and again."""
    farm = Farm(honest)
    numbers = [farm.any_number(block) for block in farm.fresh(PK, 40)]
    for send in farm.stream(PK, ["+923"], 1_500 / 86_400, start_ms, start_ms + DAY_MS):
        send.number = honest.rng.choice(numbers)
        yield send


ATTACKS: dict[str, tuple[str, Attack]] = {
    "burst-1": ("0.5/s on one prefix, a day", _steady(GB, 1, 0.5)),
    "burst-50": ("0.5/s on 50 prefixes, a day", _steady(GB, 50, 0.5)),
    "flood": ("50/s on one prefix, 5 minutes", _steady(PK, 1, 50, hours=1 / 12)),
    "flood-30": ("50/s on 30 prefixes, 5 minutes", _steady(PK, 30, 50, hours=1 / 12)),
    "slow-1": ("150 a day on one prefix", _steady(GB, 1, 150 / 86_400)),
    "slow-5": ("150 a day on 5 prefixes", _steady(GB, 5, 150 / 86_400)),
    "slow-100": ("150 a day on 100 prefixes", _steady(GB, 100, 150 / 86_400)),
    "slow-100-us": ("the same in a country of 4,000 blocks", _steady(US, 100, 150 / 86_400)),
    "mixed": ("500 a day to numbers like honest ones", _honest_numbers),
    "sequence": ("number after number among honest ones", _sequence),
    "rotating": ("0.1/s, 20 prefixes, a new address each", _steady(PK, 20, 0.1, addresses=0)),
    "faked-30": ("0.05/s, 5 prefixes, 30 % verified", _steady(GB, 5, 0.05, 0.3)),
    "faked-50": ("0.05/s, 5 prefixes, 50 % verified", _steady(GB, 5, 0.05, 0.5)),
    "ramp": ("1 to 200 an hour on 20 prefixes", _ramp),
    "sleeper": ("10 prefixes, 100 verified first", _sleeper),
    "one-address": ("one address, five countries", _one_address),
    "new-country": ("1,000 a day in a country never seen", _steady(LK, 30, 1_000 / 86_400)),
    "pulses": ("30 a minute, a prefix each half hour", _pulses),
    "repeats": ("40 numbers, again and again", _repeats),
    "cold-burst": ("0.5/s on one prefix, on the first day", _steady(GB, 1, 0.5)),
    "spread": ("600 a day on 300 prefixes of a new land", _steady(BR, 300, 600 / 86_400)),
}
