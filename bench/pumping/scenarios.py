"""Scenarios: days of honest traffic, and what happens on the last of them."""

from collections.abc import Callable, Iterator
from random import Random

from bench.pumping.attacks import ATTACKS
from bench.pumping.world import COUNTRIES, GB, LK, Honest, Send
from engine.fraud.figures import DAY_MS, HOUR_MS

WARM_DAYS = 3
START_MS = WARM_DAYS * DAY_MS
END_MS = START_MS + DAY_MS
ORIGIN_MS = 1_767_225_600_000  # 2026-01-01; every time is given to guards with this added


def _usual(honest: Honest, from_ms: int, to_ms: int) -> Iterator[Send]:
    for country in honest.countries:
        yield from honest.traffic(country, from_ms, to_ms)


def _launch(honest: Honest) -> Iterator[Send]:
    """For three hours there are 15 times as many people everywhere."""
    begin = START_MS + 9 * HOUR_MS
    yield from _usual(honest, START_MS, END_MS)
    for country in COUNTRIES:
        yield from honest.traffic(country, begin, begin + 3 * HOUR_MS, 14.0)


def _outage(honest: Honest) -> Iterator[Send]:
    """For six hours one network of Britain delivers almost nothing; people ask again."""
    begin, end = START_MS + 10 * HOUR_MS, START_MS + 16 * HOUR_MS
    rng = honest.rng
    for send in _usual(honest, START_MS, END_MS):
        hit = begin <= send.at_ms < end and send.number.startswith(("+44740", "+44770"))
        if hit and rng.random() < 0.97:
            yield Send(send.at_ms, send.number, send.facts, -1)
            at_ms = send.at_ms
            while rng.random() < 0.5:
                at_ms += int(1_000 * rng.uniform(25, 90))
                yield Send(at_ms, send.number, send.facts, -1)
            continue
        yield send


def _new_country(honest: Honest) -> Iterator[Send]:
    """Marketing opens a country: 600 people a day come, of whom 6 in 10 type their code in."""
    yield from _usual(honest, START_MS, END_MS)
    yield from honest.traffic(LK, START_MS, END_MS, per_day=600)


def _silent(honest: Honest) -> Iterator[Send]:
    """For four hours nobody tells the guard what was verified: that part of the app is broken."""
    begin, end = START_MS + 10 * HOUR_MS, START_MS + 14 * HOUR_MS
    for send in _usual(honest, START_MS, END_MS):
        if begin <= send.at_ms < end:
            send.delay_ms = -1
        yield send


def _company(honest: Honest) -> Iterator[Send]:
    """A company: 120 numbers in a row, asked for from one address within 40 minutes."""
    yield from _usual(honest, START_MS, END_MS)
    rng = honest.rng
    block = honest.live_in(GB)[0][7]
    first, ip = rng.randrange(9_000), honest.ip()
    begin = START_MS + 9 * HOUR_MS
    for member in range(120):
        at_ms = begin + int(rng.uniform(0, 2_400_000))
        works = rng.random() < 0.9
        facts = {"ip": ip, "device": f"{rng.getrandbits(48):x}", "country": "GB"}
        delay = honest.delay(30) if works else -1
        yield Send(at_ms, f"{block}{first + member:04d}", facts, delay)


def _worse_day(honest: Honest) -> Iterator[Send]:
    """A day on which a fifth fewer people type their code in, everywhere."""
    for country in COUNTRIES:
        yield from honest.traffic(country, START_MS, END_MS, conversion=country.conversion * 0.8)


HONEST: dict[str, tuple[str, Callable[[Honest], Iterator[Send]]]] = {
    "quiet": ("a usual day", lambda honest: _usual(honest, START_MS, END_MS)),
    "launch": ("15 times the people for 3 hours", _launch),
    "outage": ("a network delivers nothing for 6 hours", _outage),
    "opening": ("marketing opens a country", _new_country),
    "silent": ("outcomes are not told for 4 hours", _silent),
    "company": ("120 numbers in a row, one address", _company),
    "worse-day": ("a fifth fewer codes are typed in", _worse_day),
}


def words(name: str) -> str:
    """A scenario in words."""
    return (ATTACKS.get(name) or HONEST[name])[0]


def sends(name: str, seed: int) -> list[Send]:
    """All messages of a scenario, by their time."""
    honest = Honest(Random(f"{seed} {name}"))
    start_ms = START_MS
    if name == "cold-burst":
        found = list(_usual(honest, START_MS, END_MS))
    else:
        found = list(_usual(honest, 0, START_MS))
    if name in ATTACKS:
        if name != "cold-burst":
            found += _usual(honest, START_MS, END_MS)
        found += ATTACKS[name][1](honest, start_ms + 6 * HOUR_MS)
    else:
        found += HONEST[name][1](honest)
    found.sort(key=lambda send: send.at_ms)
    return found
