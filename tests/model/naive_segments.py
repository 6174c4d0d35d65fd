"""What conditions mean, read off a whole history: slow, plain, and without windows or timers.

Times are seconds from `START_MS`. It shares nothing with the engine but the hash behind buckets.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

from engine.conditions.who import part_of

START_MS = 1_767_225_600_000  # 2026-01-01
SPAN_OPERATORS = ("within_last", "within_next", "more_than_ago", "more_than_ahead")


def iso(second: float) -> str:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Happening:
    """Something that comes in at a second; an event may be older than that."""

    second: int
    what: str  # "A", "B" or "identify"
    values: dict[str, Any] = field(default_factory=dict)
    age: int = 0
    context: dict[str, Any] = field(default_factory=dict)

    @property
    def happened(self) -> int:
        return self.second - self.age


class Naive:
    """The meaning of conditions at one moment, from all that had come in by then."""

    def __init__(self, history: list[Happening], now: float, segments: dict[str, Any]) -> None:
        self.past = [h for h in history if h.second <= now]
        self.now = now
        self.segments = segments

    def truth(self, c: Any) -> bool:
        if "all" in c:
            return all(self.truth(part) for part in c["all"])
        if "any" in c:
            return any(self.truth(part) for part in c["any"])
        if "not" in c:
            return not self.truth(c["not"])
        if "segment" in c:
            return self.truth(self.segments[c["segment"]])
        if "trait" in c:
            return self._trait(c)
        if "sequence" in c:
            return self._sequence(c)
        if "context" in c:
            return self._context(c["context"]) == c["is"]
        if "event" in c:
            return self._event(c)
        if "bucket" in c:
            bucket = c["bucket"]
            part = part_of("ann", bucket.get("salt", "")) / 100
            low, high = bucket.get("from", 0), bucket.get("to", bucket.get("percent"))
            return bool(low <= part < high)
        return "everyone" in c or "ann" in c["list"]

    def _traits(self, now: float) -> dict[str, Any]:
        traits: dict[str, Any] = {}
        for happening in self.past:
            if happening.what == "identify" and happening.second <= now:
                traits.update(happening.values)
        return {name: value for name, value in traits.items() if value is not None}

    def _trait(self, c: Any) -> bool:
        if "for" not in c:
            return holds(c, self._traits(self.now), "trait", self.now)
        plain = {key: value for key, value in c.items() if key != "for"}
        since: float | None = 0 if holds(plain, {}, "trait", 0) else None
        for second in sorted({h.second for h in self.past}):
            # Of changes within one second each one counts: a break is a break.
            for happening in [h for h in self.past if h.second == second]:
                traits = self._upto(happening)
                if not holds(plain, traits, "trait", self.now):
                    since = None
                elif since is None:
                    since = second
        return since is not None and self.now - since >= int(c["for"][:-1])

    def _upto(self, last: Happening) -> dict[str, Any]:
        traits: dict[str, Any] = {}
        for happening in self.past:
            if happening.what == "identify":
                traits.update(happening.values)
            if happening is last:
                break
        return {name: value for name, value in traits.items() if value is not None}

    def _times(self, event: str, where: list[Any], key: str | None = None) -> list[Happening]:
        return [
            h
            for h in self.past
            if h.what == event
            and all(passes(one, h) for one in where)
            and (key is None or text(h.values.get("k")) == key)
        ]

    def _event(self, c: Any) -> bool:
        found = self._times(c["event"], c.get("where", []))
        for which, pick in (("first", min), ("last", max)):
            if which in c:
                if not found:
                    return False
                at = pick(h.happened for h in found)
                asked = c[which]
                where = asked.get("where", [])
                operators = {key: value for key, value in asked.items() if key != "where"}
                here = [h for h in found if h.happened == at]
                return compare(iso(at), operators, self.now) and (
                    not where or any(all(passes(one, h) for one in where) for h in here)
                )
        if "within" in c:
            found = [h for h in found if h.happened > self.now - int(c["within"][:-1])]
        if "from" in c:
            found = [h for h in found if iso(h.happened) >= c["from"]]
        if "to" in c:
            found = [h for h in found if iso(h.happened) < c["to"]]
        low = c.get("exactly", c.get("at_least", 0 if "at_most" in c else 1))
        return bool(low <= len(found) <= c.get("exactly", c.get("at_most", 10**9)))

    def _sequence(self, c: Any) -> bool:
        steps = c["sequence"]
        keys: list[str | None] = [None]
        if "same" in c:
            keys = sorted({text(h.values.get("k")) for h in self.past} - {""})  # type: ignore[assignment]
        for key in keys:
            times = [
                [h.happened for h in self._times(
                    s.get("event", s.get("no_event")), s.get("where", []), key)]
                for s in steps
            ]  # fmt: skip
            events = [number for number, step in enumerate(steps) if "event" in step]
            for chosen in product(*(times[number] for number in events)):
                if self._is_chain(c, times, dict(zip(events, chosen, strict=True))):
                    return True
        return False

    def _is_chain(self, c: Any, times: list[list[int]], chosen: dict[int, int]) -> bool:
        if "within" in c and chosen[0] <= self.now - int(c["within"][:-1]):
            return False
        stands: float = chosen[0]
        forbidden: list[int] = []
        for number, step in list(enumerate(c["sequence"]))[1:]:
            within = int(step["within"][:-1]) if "within" in step else None
            if "event" in step:
                at = chosen[number]
                if at <= stands or (within is not None and at >= stands + within):
                    return False
                if any(stands < other < at for other in forbidden):
                    return False
                stands, forbidden = at, []
            elif within is not None:
                if stands + within > self.now:
                    return False
                if any(stands < other < stands + within for other in times[number]):
                    return False
                stands += within
            else:
                forbidden = times[number]
        return not any(other > stands for other in forbidden)

    def _context(self, path: str) -> str | None:
        part, _, inner = path.partition(".")
        wanted = "locale" if part == "language" else part
        said: list[tuple[int, int, Any]] = []
        for order, h in enumerate(self.past):
            value = h.context.get(wanted)
            if isinstance(value, str if not inner else dict):
                said.append((h.happened, order, value))
        if not said:
            return None
        value = max(said)[2]
        if inner:
            return str(value.get(inner))
        return str(value).partition("-")[0] if part == "language" else str(value)


def text(value: Any) -> str:
    return "" if value is None else str(value)


def passes(condition: Any, happening: Happening) -> bool:
    if "any" in condition:
        return any(passes(part, happening) for part in condition["any"])
    return holds(condition, happening.values, "property", happening.happened)


def holds(condition: Any, values: dict[str, Any], kind: str, now: float) -> bool:
    operators = {}
    for name, operand in condition.items():
        if name != kind:
            if isinstance(operand, dict):
                operand = values.get(operand.get(kind, ""))
                if operand is None or (name == "after" and seconds(operand) is None):
                    if name == "is_not":
                        continue
                    return False
            operators[name] = operand
    return compare(values.get(condition[kind]), operators, now)


def seconds(value: Any) -> float | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value - START_MS / 1000
    if not isinstance(value, str) or not value.endswith("Z"):
        return None
    return datetime.fromisoformat(value).timestamp() - START_MS / 1000


def _moment(operand: Any) -> float:
    at = seconds(operand)
    assert at is not None
    return at


def same(value: Any, operand: Any) -> bool:
    return value == operand and isinstance(value, bool) == isinstance(operand, bool)


def has(value: Any, operand: Any) -> bool:
    if isinstance(value, str):
        return isinstance(operand, str) and operand in value
    return isinstance(value, list) and any(same(item, operand) for item in value)


def ordered(value: Any, operand: Any) -> bool:
    kinds = {int: int, str: str}
    return type(value) in kinds and type(value) is type(operand)


def compare(value: Any, operators: dict[str, Any], now: float) -> bool:
    return all(_compare(value, name, operand, now) for name, operand in operators.items())


def _compare(value: Any, name: str, operand: Any, now: float) -> bool:
    at = seconds(value)
    span = int(operand[:-1]) if name in SPAN_OPERATORS else 0
    meanings = {
        "is": lambda: same(value, operand),
        "is_not": lambda: not same(value, operand),
        "in": lambda: any(same(value, one) for one in operand),
        "not_in": lambda: not any(same(value, one) for one in operand),
        "above": lambda: ordered(value, operand) and value > operand,
        "at_least": lambda: ordered(value, operand) and value >= operand,
        "below": lambda: ordered(value, operand) and value < operand,
        "at_most": lambda: ordered(value, operand) and value <= operand,
        "contains": lambda: has(value, operand),
        "contains_any": lambda: any(has(value, one) for one in operand),
        "not_contains": lambda: not has(value, operand),
        "starts_with": lambda: (
            isinstance(value, str) and isinstance(operand, str) and value.startswith(operand)
        ),
        "ends_with": lambda: isinstance(value, str) and value.endswith(operand),
        "exists": lambda: (value is not None) is operand,
        "before": lambda: at is not None and at < _moment(operand),
        "after": lambda: at is not None and at > _moment(operand),
        "within_last": lambda: at is not None and at <= now < at + span,
        "within_next": lambda: at is not None and at - span <= now < at,
        "more_than_ago": lambda: at is not None and now >= at + span,
        "more_than_ahead": lambda: at is not None and now < at - span,
    }
    return bool(meanings[name]())
