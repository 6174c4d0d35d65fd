"""Guards under test: ours, Authgear's published rule, and a cap a country."""

from collections import defaultdict, deque
from typing import Protocol

from bench.pumping.world import Facts
from engine.fraud import Figures, FraudGuard
from engine.fraud.blocks import BLOCK, CHALLENGE
from engine.fraud.figures import DAY_MS, HOUR_MS
from engine.fraud.places import Places

SENT = "sent"


class Rule(Protocol):
    """What the benchmark asks of a guard: `ask` before a message, `verified` after a code."""

    def ask(self, at_ms: int, number: str, facts: Facts) -> str:
        """`sent`, `challenge` or `block`."""

    def verified(self, at_ms: int, number: str, facts: Facts) -> None:
        """A code was typed in."""


class Denrei:
    """The guard of this repository."""

    def __init__(self, figures: Figures | None = None) -> None:
        self.guard = FraudGuard(figures)
        self.last = ""

    def ask(self, at_ms: int, number: str, facts: Facts) -> str:
        """See `Rule`."""
        verdict = self.guard.check("w", "sms", "otp", number, at_ms, facts)
        if verdict is None:
            return SENT
        self.last = verdict.why
        return verdict.action

    def verified(self, at_ms: int, number: str, facts: Facts) -> None:
        """See `Rule`."""
        self.guard.outcome("w", number, "verified", at_ms)


class _Leaky:
    """A level that drains at threshold per period; the threshold may change."""

    def __init__(self, period_ms: int) -> None:
        self.period_ms = period_ms
        self.level = 0.0
        self.at_ms = 0

    def now(self, at_ms: int, threshold: float) -> float:
        self.level = min(self.level, threshold)
        self.level = max(0.0, self.level - (at_ms - self.at_ms) * threshold / self.period_ms)
        self.at_ms = at_ms
        return self.level


class _Count:
    """Verified codes in a rolling span."""

    def __init__(self, span_ms: int) -> None:
        self.span_ms = span_ms
        self.times: deque[int] = deque()

    def add(self, at_ms: int) -> None:
        self.times.append(at_ms)

    def at(self, at_ms: int) -> int:
        while self.times and self.times[0] <= at_ms - self.span_ms:
            self.times.popleft()
        return len(self.times)


class Authgear:
    """Authgear's rule as its specification has it (docs/specs/fraud-protection.md).

    Unverified codes are counted when they are asked for, denied ones too, and taken back when they
    are verified. Buckets: country and address, day and hour, and countries of an address.
    """

    def __init__(self) -> None:
        self._places = Places()
        self._buckets: dict[tuple[str, str], _Leaky] = {}
        self._counts: dict[tuple[str, int], _Count] = {}
        self._days: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        self._abroad: dict[str, dict[str, int]] = defaultdict(dict)
        self._proven: set[tuple[str, str]] = set()

    def _bucket(self, name: str, period: str) -> _Leaky:
        key = (name, period)
        if key not in self._buckets:
            self._buckets[key] = _Leaky(DAY_MS if period == "day" else HOUR_MS)
        return self._buckets[key]

    def _verified(self, name: str, span_ms: int, at_ms: int) -> int:
        count = self._counts.get((name, span_ms))
        return count.at(at_ms) if count is not None else 0

    def _levels(self, region: str, ip: str, at_ms: int) -> list[tuple[_Leaky, float]]:
        days = self._days[region]
        today = at_ms // DAY_MS
        best = max((days.get(today - back, 0) for back in range(14)), default=0)
        a_day = self._verified(region, DAY_MS, at_ms)
        country_day = max(20.0, 0.2 * best, 0.2 * a_day)
        an_hour = self._verified(region, HOUR_MS, at_ms)
        country_hour = max(3.0, country_day / 6, 0.2 * an_hour)
        found = [
            (self._bucket(region, "day"), country_day),
            (self._bucket(region, "hour"), country_hour),
        ]
        if ip:
            ip_day = max(10.0, 0.2 * self._verified(ip, DAY_MS, at_ms))
            found.append((self._bucket(ip, "day"), ip_day))
            found.append((self._bucket(ip, "hour"), max(5.0, ip_day / 6)))
        return found

    def ask(self, at_ms: int, number: str, facts: Facts) -> str:
        """See `Rule`."""
        region, ip = self._places.of(number).region, facts.get("ip", "")
        denied = False
        for bucket, threshold in self._levels(region, ip, at_ms):
            denied |= bucket.now(at_ms, threshold) + 1 > threshold
            bucket.level += 1
        seen = self._abroad[ip]
        if (ip, region) not in self._proven:
            seen[region] = at_ms
        denied |= sum(at > at_ms - DAY_MS for at in seen.values()) > 3
        return BLOCK if denied else SENT

    def verified(self, at_ms: int, number: str, facts: Facts) -> None:
        """See `Rule`."""
        region, ip = self._places.of(number).region, facts.get("ip", "")
        for bucket, threshold in self._levels(region, ip, at_ms):
            bucket.level = max(0.0, bucket.now(at_ms, threshold) - 1)
        for name, spans in ((region, (DAY_MS, HOUR_MS)), (ip, (DAY_MS,))):
            for span_ms in spans:
                self._counts.setdefault((name, span_ms), _Count(span_ms)).add(at_ms)
        self._days[region][at_ms // DAY_MS] += 1
        self._proven.add((ip, region))
        self._abroad[ip].pop(region, None)


class CountryCap:
    """What many do by hand: no country may have more than twice its best day, and 100."""

    def __init__(self) -> None:
        self._places = Places()
        self._days: dict[tuple[str, int], int] = defaultdict(int)

    def ask(self, at_ms: int, number: str, facts: Facts) -> str:
        """See `Rule`."""
        region, today = self._places.of(number).region, at_ms // DAY_MS
        best = max(self._days.get((region, today - back), 0) for back in range(1, 8))
        if self._days[region, today] >= max(100, 2 * best):
            return BLOCK
        self._days[region, today] += 1
        return SENT

    def verified(self, at_ms: int, number: str, facts: Facts) -> None:
        """It does not care."""


RULES = {"denrei": Denrei, "authgear": Authgear, "country cap": CountryCap}
__all__ = ["BLOCK", "CHALLENGE", "RULES", "SENT", "Authgear", "CountryCap", "Denrei", "Rule"]
