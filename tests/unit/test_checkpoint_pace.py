"""The pace of checkpoints: the journal's tail stays short, whoever comes."""

import random

import pytest

from actors.checkpoint_pace import CheckpointPace
from engine import limits
from engine.sweep import Sweep


def tails(commands: int, entries: int, people: int, timers: bool) -> tuple[int, int]:
    """The longest tail and the most dirty entities in the second half of a long load."""
    rng = random.Random(1)
    pace, sweep = CheckpointPace(), Sweep()
    dirty: dict[str, int] = {}
    tail: dict[int, int] = {}
    longest = most = 0
    for seq in range(1, entries + 1):
        now = 1.0 + seq * 0.02
        rows = pace.rows_now(len(dirty), lambda part: sweep.rows_until(dirty, part), now)
        while rows > 0 and dirty:
            keys = sweep.next_keys(dirty, rows)
            rows -= len(keys)
            for key in keys:
                del dirty[key]
        pace.passed(next(iter(dirty.values()), seq))
        before = len(dirty)
        for _ in range(commands):
            dirty.setdefault(f"{rng.randrange(people):07}", seq)
        changed = len(dirty) - before
        pace.applied(seq, 0 if timers else commands, changed)
        tail[seq] = changed if timers else commands
        if seq > entries // 2:
            oldest = next(iter(dirty.values()))
            longest = max(longest, sum(n for at, n in tail.items() if at >= oldest))
            most = max(most, len(dirty))
    return longest, most


@pytest.mark.parametrize("timers", [False, True])
@pytest.mark.parametrize(
    ("commands", "entries", "people"),
    [(400, 400, 25_000), (600, 300, 1_000_000), (2_000, 150, 1_000_000)],
)
def test_the_tail_stays_short(commands: int, entries: int, people: int, timers: bool) -> None:
    longest, most = tails(commands, entries, people, timers)
    assert longest <= limits.CHECKPOINT_TAIL_COMMANDS * 3 // 2
    assert most <= longest


def test_while_entries_come_no_commit_is_made_for_rows_alone() -> None:
    pace, sweep = CheckpointPace(), Sweep()
    dirty = {f"{number:05}": 1 for number in range(10_000)}

    def rows_now(now: float, alone: bool) -> int:
        rows = pace.rows_now(len(dirty), lambda part: sweep.rows_until(dirty, part), now, alone)
        for key in sweep.next_keys(dirty, rows) if rows else ():
            del dirty[key]
        return rows

    rows_now(1.0, alone=False)
    pace.applied(1, 1_000, 0)
    assert rows_now(1.2, alone=False) > 0
    pace.applied(2, 1_000, 0)
    assert rows_now(1.25, alone=True) == 0
    assert rows_now(1.26, alone=False) > 0
    pace.applied(3, 1_000, 0)
    assert rows_now(1.35, alone=True) == 0
    assert rows_now(1.37, alone=True) > 0


def test_what_is_left_is_written_in_quiet_times() -> None:
    pace, sweep = CheckpointPace(), Sweep()
    dirty = {f"{number:03}": 1 for number in range(100)}
    pace.applied(1, 100, 100)
    now = 1.0
    while dirty and now < 60:
        rows = pace.rows_now(len(dirty), lambda part: sweep.rows_until(dirty, part), now)
        for key in sweep.next_keys(dirty, rows) if rows else ():
            del dirty[key]
        assert pace.wake_at(len(dirty), now) == (now + 0.1 if dirty else None)
        now += 0.1
    assert not dirty
    assert now < 20
