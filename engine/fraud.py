"""The first fraud check: text pumping, where it hurts first.

Pumping asks a login form for codes to numbers of a block that the attacker earns from. Two things
give the first wave away: many codes into one block of 10,000 numbers, and many codes to one number.
Each has a leaky bucket that drains in ten minutes; the one that runs over is blocked, with the
figures that did it, for 5 minutes, and for twice as long each time it happens again, up to 12
hours. A denied attempt feeds no bucket: an attacker who goes on hammering does not keep a block
alive for the honest users of the block, and the next one must be earned by sends that left.

Everything is kept per workspace and bounded: the counters least recently touched go first, blocks
go last. `snapshot` keeps blocks and the counters that are at least a quarter full; a restart
forgives the rest.

This stands where the real guard will (it sees each message once, right before it leaves, with the
number read), and answers in the words that the real one will: a verdict with evidence and expiry.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from engine import limits
from engine.messages import OTP

# Channels on which somebody earns from a message that arrives.
PAID_PHONE_CHANNELS: Final = frozenset({"sms", "mms", "voice", "whatsapp", "rcs"})


@dataclass(frozen=True, slots=True)
class FraudPolicy:
    """The figures of the check.

    Attributes:
        block_digits: A block is a number without so many last digits.
        block_codes: Codes into one block within `window_ms` that are still believed.
        number_codes: Codes to one number within `window_ms` that are still believed.
        window_ms: The time in which a full bucket drains.
        first_ms: The length of a first block; it doubles each time.
        longest_ms: The longest block.
    """

    block_digits: int = 4
    block_codes: int = 30
    number_codes: int = 5
    window_ms: int = 600_000
    first_ms: int = 300_000
    longest_ms: int = 12 * 3_600_000


class Verdict(NamedTuple):
    """Why a message is not sent.

    Attributes:
        code: `prefix_velocity` or `repeated_number`.
        why: In words and numbers, for the message's history.
        until_ms: When the block ends.
    """

    code: str
    why: str
    until_ms: int


class _Block:
    __slots__ = ("count", "until_ms", "verdict")

    def __init__(self, count: int, until_ms: int, verdict: Verdict) -> None:
        self.count = count
        self.until_ms = until_ms
        self.verdict = verdict


class _Buckets:
    """Leaky buckets by name, bounded: the ones least recently touched go first."""

    __slots__ = ("_capacity", "_drain_per_ms", "_levels", "limit")

    def __init__(self, limit: int, window_ms: int, capacity: int) -> None:
        self.limit = limit
        self._drain_per_ms = limit / window_ms
        self._capacity = capacity
        self._levels: dict[str, tuple[float, int]] = {}

    def add(self, name: str, now_ms: int) -> float:
        """Adds one; the level after it."""
        level, at_ms = self._levels.pop(name, (0.0, now_ms))
        level = max(0.0, level - max(0, now_ms - at_ms) * self._drain_per_ms) + 1.0
        if len(self._levels) >= self._capacity:
            del self._levels[next(iter(self._levels))]
        self._levels[name] = (level, now_ms)
        return level

    def drop(self, name: str) -> None:
        self._levels.pop(name, None)

    def snapshot(self) -> list[tuple[str, float, int]]:
        least = self.limit / 4
        return [(name, *level) for name, level in self._levels.items() if level[0] >= least]

    def restore(self, rows: Iterable[tuple[str, float, int]]) -> None:
        for name, level, at_ms in rows:
            if len(self._levels) < self._capacity:
                self._levels[name] = (level, at_ms)


class FraudGuard:
    """Sees each one-time code before it leaves.

    Args:
        policy: The figures.
        prefixes: The most blocks of numbers it counts, and the most it holds blocked.
        numbers: The most single numbers it counts.
    """

    def __init__(
        self,
        policy: FraudPolicy | None = None,
        prefixes: int = limits.FRAUD_PREFIXES,
        numbers: int = limits.FRAUD_NUMBERS,
    ) -> None:
        self._policy = policy or FraudPolicy()
        self._prefixes = _Buckets(self._policy.block_codes, self._policy.window_ms, prefixes)
        self._numbers = _Buckets(self._policy.number_codes, self._policy.window_ms, numbers)
        self._blocks: dict[str, _Block] = {}
        self._capacity = prefixes
        self._news: list[tuple[str, list[Any]]] = []

    def check(
        self, workspace: str, channel: str, purpose: str, e164: str, now_ms: int
    ) -> Verdict | None:
        """Whether a message may leave: None, or why not.

        Args:
            workspace: Whose message it is; evidence is kept apart.
            channel: The message's channel.
            purpose: The message's purpose.
            e164: The number, in international form.
            now_ms: The time.

        Cost: 0.1 µs for what is not a one-time code on a paid phone channel, else 2 µs.
        """
        if purpose != OTP or channel not in PAID_PHONE_CHANNELS:
            return None
        number = f"{workspace} {e164}"
        prefix = number[: -self._policy.block_digits]
        for name in (prefix, number):
            block = self._blocks.get(name)
            if block is not None and block.until_ms > now_ms:
                return block.verdict
        policy = self._policy
        level = self._numbers.add(number, now_ms)
        if level > policy.number_codes:
            self._numbers.drop(number)
            told = f"more than {policy.number_codes} one-time codes to {e164}"
            return self._block(number, "repeated_number", told, now_ms)
        level = self._prefixes.add(prefix, now_ms)
        if level > policy.block_codes:
            self._prefixes.drop(prefix)
            shown = e164[: -policy.block_digits] + "x" * policy.block_digits
            told = f"more than {policy.block_codes} one-time codes to numbers {shown}"
            return self._block(prefix, "prefix_velocity", told, now_ms)
        return None

    def blocks(self, now_ms: int) -> list[dict[str, Any]]:
        """The blocks that stand now, for a status page."""
        return [
            {"what": name, "code": block.verdict.code, "why": block.verdict.why,
             "until_ms": block.until_ms, "times": block.count}
            for name, block in self._blocks.items()
            if block.until_ms > now_ms
        ]  # fmt: skip

    def new_blocks(self) -> list[tuple[str, list[Any]]]:
        """The blocks since the last call, each with what `restore` takes; to be kept at once."""
        news, self._news = self._news, []
        return news

    def snapshot(self) -> list[Any]:
        """What a restart must not forget, as plain values.

        Cost: 0.1 µs a counter.
        """
        blocks = [
            [name, block.count, block.until_ms, block.verdict.code, block.verdict.why]
            for name, block in self._blocks.items()
        ]
        return [1, blocks, self._prefixes.snapshot(), self._numbers.snapshot()]

    def restore(self, snapshot: list[Any] | None, blocks: Iterable[list[Any]] = ()) -> None:
        """Takes in a snapshot, and blocks that were kept apart since.

        Raises:
            ValueError: It is of a format that this version does not know.
        """
        version, snapped, prefixes, numbers = snapshot or [1, [], [], []]
        if version != 1:
            msg = f"a fraud snapshot of format {version} is not known here; this version reads 1"
            raise ValueError(msg)
        for name, count, until_ms, code, why in (*snapped, *blocks):
            known = self._blocks.get(name)
            if known is None or known.until_ms < until_ms:
                self._blocks[name] = _Block(count, until_ms, Verdict(code, why, until_ms))
        self._prefixes.restore(prefixes)
        self._numbers.restore(numbers)

    def _block(self, name: str, code: str, told: str, now_ms: int) -> Verdict:
        policy = self._policy
        before = self._blocks.pop(name, None)
        count = 1
        if before is not None and now_ms < before.until_ms + limits.FRAUD_FORGIVEN_MS:
            count = before.count + 1
        length_ms = min(policy.longest_ms, policy.first_ms << min(count - 1, 20))
        until_ms = now_ms + length_ms
        why = (
            f"{told} within {policy.window_ms // 60_000} minutes; "
            f"blocked for {_span(length_ms)}" + (f" (block {count} in a row)" if count > 1 else "")
        )
        verdict = Verdict(code, why, until_ms)
        if len(self._blocks) >= self._capacity:
            del self._blocks[min(self._blocks, key=lambda each: self._blocks[each].until_ms)]
        self._blocks[name] = _Block(count, until_ms, verdict)
        self._news.append((name, [name, count, until_ms, code, why]))
        return verdict


def _span(ms: int) -> str:
    minutes = ms // 60_000
    hours, rest = divmod(minutes, 60)
    if not hours:
        return f"{minutes} minutes"
    return f"{hours} h {rest} min" if rest else f"{hours} hours"
