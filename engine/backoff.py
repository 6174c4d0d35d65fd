"""Exponential back-off with jitter, from a hash: the same name waits the same time again."""

from xxhash import xxh3_64_intdigest

from engine.limits import BACKOFF_FIRST_MS, BACKOFF_LONGEST_MS


def delay_ms(attempt: int, name: str) -> int:
    """How long to wait after a failed attempt: half to all of 1 s, 2 s, 4 s … 60 s.

    Args:
        attempt: How many have failed, from 1.
        name: Whose attempt; spreads those that failed together.
    """
    ceiling_ms = min(BACKOFF_LONGEST_MS, BACKOFF_FIRST_MS << min(max(attempt, 1) - 1, 16))
    return ceiling_ms // 2 + xxh3_64_intdigest(f"{name} {attempt}".encode()) % (ceiling_ms // 2)
