"""A process that commits is killed at random moments; nothing acknowledged is lost.

The child acknowledges each commit on a pipe after it returned. SIGKILL leaves the system's page
cache alone, so this proves order, atomicity and recovery; that commits are synced is proved by
test_store_sqlite.py::test_commits_are_synced.
"""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from actors.store.base import Entry
from actors.store.directory import SqliteStore
from actors.store.reader import JournalReader

ROUNDS = 10

_CHILD = """
import random, sys
from pathlib import Path
from actors.store.archive import ArchivePolicy
from actors.store.base import Commit, EntityRow, Entry
from actors.store.directory import SqliteStore

draw = random.Random(int(sys.argv[2]))
shard = SqliteStore.open(Path(sys.argv[1]), ArchivePolicy(file_bytes=300_000)).open_shard(0, 30)
while True:
    first = shard.last_seq + 1
    entries = [
        Entry(seq, shard.epoch, seq, 0, b"%d " % seq + bytes(draw.randrange(40_000)))
        for seq in range(first, first + draw.randrange(1, 4))
    ]
    last = entries[-1].seq
    rows = [
        EntityRow(f"w/user/{draw.randrange(200)}", 0, last, last, True, "w/all", b"%d" % last)
        for _ in range(draw.randrange(30))
    ]
    rows.append(EntityRow("w/user/last", 0, last, None, False, "", b"%d" % last))
    start = max(shard.start_seq, last - 50)
    shard.commit(Commit(entries, rows, (), start))
    print(last, flush=True)
    if draw.random() < 0.3:
        shard.archive_passed()
"""


def test_nothing_acknowledged_is_lost_and_nothing_is_invented(tmp_path: Path) -> None:
    seed = int(os.environ.get("DENREI_TEST_SEED", random.randrange(2**32)))
    print(f"DENREI_TEST_SEED={seed}")
    draw = random.Random(seed)
    store = SqliteStore.create(tmp_path, shards=1, store_id="k", created_ms=0)
    before: list[Entry] = []
    for round_ in range(ROUNDS):
        acknowledged = run_and_kill(tmp_path, draw)
        history = list(JournalReader(tmp_path, 0).entries())
        assert history[: len(before)] == before
        assert acknowledged <= len(history) <= acknowledged + 3
        for seq, entry in enumerate(history[len(before) :], len(before) + 1):
            assert (entry.seq, entry.epoch, entry.now_ms) == (seq, 2 * round_ + 1, seq)
            assert entry.payload.startswith(b"%d " % seq)
        shard = store.open_shard(0, 30)
        assert shard.epoch == 2 * round_ + 2
        assert list(shard.journal(shard.start_seq)) == history[shard.start_seq - 1 :]
        assert shard.last_seq == len(history)
        assert shard.load("w/user/last") == (len(history), b"%d" % len(history))
        for _, row_seq, data in shard.scan("", 1_000):
            assert row_seq <= len(history)
            assert data == b"%d" % row_seq
        shard.close()
        before = history


def run_and_kill(directory: Path, draw: random.Random) -> int:
    """Runs a child until a random number of acknowledgements; the last one that it gave."""
    command = [sys.executable, "-c", _CHILD, str(directory), str(draw.randrange(2**32))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        last = 0
        for _ in range(draw.randrange(1, 120)):
            last = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        whole = [line for line in child.stdout.read().splitlines(keepends=True) if "\n" in line]
        child.wait()
    return int(whole[-1]) if whole else last
