"""Nothing of an erased person is left: not in rows, free pages, logs, the journal or the archive.

Hosts and SQLite files as in production, with tiny archives. Two people whose every word is a
strange one live among others: ids, e-mail addresses, phones, traits, properties, messages, keys of
journeys, accounts. They are erased and the archive is swept, with hosts killed at every step. Then
every byte of the store's directory is searched for the strange words, compressed or not, and the
whole history is replayed: everyone else is as they were, and of the two there is a tombstone.
"""

import functools
import random
import time
from pathlib import Path

import pytest

from actors import checkpoint_pace
from actors.host import Host
from actors.store.archive import ArchivePolicy
from engine import commands, limits
from engine.reasons import Reason
from engine.slots import PROFILES
from tests.support import local_engine
from tests.support.local_engine import LocalEngine
from tests.support.strangers import (
    DEFINITIONS,
    SHARDS,
    WORD,
    Town,
    found,
    replayed,
    stored,
)


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits so small that in a run of a second all happens that takes hours in production."""
    monkeypatch.setattr(checkpoint_pace, "ROUND_S", 0.02)
    monkeypatch.setattr(checkpoint_pace, "_WAKE_S", 0.0)
    monkeypatch.setattr(checkpoint_pace, "_LEAST_ROWS", 2)
    monkeypatch.setattr(limits, "CALL_TIMEOUT_S", 0.5)
    monkeypatch.setattr(limits, "SWEEP_PAUSE_S", 0.003)
    monkeypatch.setattr(limits, "SWEEP_STEP_S", 0.001)
    monkeypatch.setattr(local_engine, "Host", functools.partial(Host, hot_entities=4))


async def run(directory: Path, rng: random.Random, come_back: bool, go_again: bool) -> None:
    engine = LocalEngine(directory, shards=SHARDS, hosts=2)
    engine.store.policy = ArchivePolicy(file_entries=5)
    async with engine:
        await engine.apply(DEFINITIONS)
        town = Town(engine, rng)
        await town.days(8, strange=True)
        await town.settle()
        erased = [commands.erase(f"default/user/{WORD}-{n}", "r", n == 1) for n in range(2)]
        assert await town.submit(erased) == {Reason.ACCEPTED}
        await town.days(2, strange=False)
        late = town.event(f"{WORD}-1", commands.TRACK, "Product Added", {"what": WORD})
        assert await town.submit([late]) == {Reason.PERSON_SUPPRESSED}
        if come_back:
            back = town.event(f"{WORD}-0", commands.TRACK, "Came Back", {})
            assert await town.submit([back]) == {Reason.ACCEPTED}
        await town.swept(kill=True)
        late = town.event(f"{WORD}-1", commands.TRACK, "Product Added", {"what": WORD})
        assert await town.submit([late]) == {Reason.PERSON_SUPPRESSED}
        await town.days(2, strange=False)
        await town.settle()
        if go_again:
            again = commands.erase(f"default/user/{WORD}-0", "r2", False)
            assert await town.submit([again]) == {Reason.ACCEPTED}
            await town.days(1, strange=False)
        await town.swept(kill=go_again)
        await town.settle()
    assert not engine.failures


@pytest.mark.parametrize(("come_back", "go_again"), [(False, False), (True, False), (True, True)])
async def test_nothing_is_left(
    tmp_path: Path, restless: None, come_back: bool, go_again: bool
) -> None:
    seed = time.time_ns() % 1_000_000
    print(f"seed {seed}")
    await run(tmp_path, random.Random(seed), come_back, go_again)
    come_back = come_back and not go_again
    left = found(tmp_path)
    assert bool(left) == come_back, left[:5]
    rows = stored(tmp_path)
    again = replayed(tmp_path)
    assert rows.keys() == again.keys()
    assert [key for key in rows if rows[key] != again[key]] == []
    people = [key for key in rows if key.split("/")[1] in PROFILES]
    assert sum(WORD in key for key in people) == come_back
    assert sum(key.startswith("default/user/u") for key in people) == 12
