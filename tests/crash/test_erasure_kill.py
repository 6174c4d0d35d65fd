"""A process that sweeps its archive of erased people is killed with SIGKILL, again and again.

What was begun is gone on with, nobody else loses anything, and in the end nothing is left of the
erased. The child says on its standard output when its sweeps have come to an end.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from actors.store.archive import ArchivePolicy
from engine import commands, limits
from tests.support.local_engine import LocalEngine
from tests.support.strangers import (
    DEFINITIONS,
    SHARDS,
    WORD,
    Rows,
    Town,
    found,
    replayed,
    stored,
)

ROUNDS = 8

_CHILD = """
import asyncio, os, random, signal, sys
from pathlib import Path
from actors import checkpoint_pace, sweeping
from actors.store.archive import ArchivePolicy
from engine import limits
from tests.support.local_engine import LocalEngine
from tests.support.strangers import SHARDS, Town

checkpoint_pace.ROUND_S = 0.2  # longer than an idle shard sleeps, or it has no next round
limits.SWEEP_PAUSE_S = limits.SWEEP_STEP_S = 0.002

async def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

if "die" in sys.argv:
    sweeping._Sweep._pass = die

async def main():
    engine = LocalEngine(Path(sys.argv[1]), shards=SHARDS)
    engine.store.policy = ArchivePolicy(file_entries=3)
    async with engine:
        town = Town(engine, random.Random(1))
        print("begun", flush=True)
        await town.swept(kill=False)
        await town.days(1, strange=False)
        await town.settle()
        await town.swept(kill=False)
    print("swept", flush=True)

asyncio.run(main())
"""


async def live(directory: Path, draw: random.Random) -> None:
    """Days with strange people in them, who are erased."""
    engine = LocalEngine(directory, shards=SHARDS)
    engine.store.policy = ArchivePolicy(file_entries=3)
    async with engine:
        await engine.apply(DEFINITIONS)
        town = Town(engine, draw)
        await town.days(12, strange=True)
        await town.settle()
        await town.submit([commands.erase(f"default/user/{WORD}-{n}", "r", False) for n in (0, 1)])
        await town.settle()


def test_a_sweep_that_is_killed_goes_on(tmp_path: Path) -> None:
    seed = int(os.environ.get("DENREI_TEST_SEED", random.randrange(2**32)))
    print(f"DENREI_TEST_SEED={seed}")
    draw = random.Random(seed)
    asyncio.run(live(tmp_path, draw))
    before = stored(tmp_path)
    said, kills = "", 0
    for number in range(ROUNDS + 1):
        said = run_and_kill(tmp_path, None if number == ROUNDS else draw.random() * 0.4)
        kills += said != "swept"
        if said == "swept":
            break
    assert said == "swept"
    assert kills > 0, "the child was never killed"
    check(tmp_path, before)


def test_what_is_heard_again_after_a_kill_costs_no_tombstone(tmp_path: Path) -> None:
    """A recovery meets the erased before the sweep has passed what they did: it is swept twice."""
    asyncio.run(live(tmp_path, random.Random(1)))
    before = stored(tmp_path)
    for _ in range(SHARDS):  # one shard after the other has its list, and is killed
        assert run_and_kill(tmp_path, None, "die") == ""
    assert run_and_kill(tmp_path, None) == "swept"
    check(tmp_path, before)


def check(tmp_path: Path, before: Rows) -> None:
    """Nothing is left of the erased, nobody else is lost, and a replay makes the same rows."""
    assert found(tmp_path) == []
    rows = stored(tmp_path)
    again = replayed(tmp_path)
    assert rows.keys() == again.keys()
    assert [key for key in rows if rows[key] != again[key]] == []
    assert rows.keys() >= {key for key in before if WORD not in key and not key.startswith("~/")}


def run_and_kill(directory: Path, after_s: float | None, *told: str) -> str:
    """Runs the child, kills it so long after it began; gives what it said last."""
    command = [sys.executable, "-c", _CHILD, str(directory), *told]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        try:
            child.wait(limits.TAKE_OVER_S * 10 if after_s is None else after_s)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
        return child.stdout.read().strip()
