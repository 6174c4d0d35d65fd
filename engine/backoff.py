"""Exponential back-off with jitter, from a hash: the same name waits the same time again."""

from typing import Final

from xxhash import xxh3_64_intdigest

FIRST_MS: Final = 1_000
LONGEST_MS: Final = 60_000


def delay_ms(attempt: int, name: str) -> int:
    """How long to wait after a failed attempt: half to all of 1 s, 2 s, 4 s … 60 s.

    Args:
        attempt: How many have failed, from 1.
        name: Whose attempt; spreads those that failed together.
    """
    ceiling_ms = min(LONGEST_MS, FIRST_MS << min(max(attempt, 1) - 1, 16))
    return ceiling_ms // 2 + xxh3_64_intdigest(f"{name} {attempt}".encode()) % (ceiling_ms // 2)
