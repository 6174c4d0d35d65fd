"""Whatever is done to a store, in whatever order, it holds what a plain dict would hold.

The same machine runs against SQLite and memory. A kill is simulated by copying the directory as it
is, log and all, and going on with the copy: what SQLite had not given to the system is lost.
"""

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from actors.store.archive import ArchivePolicy
from actors.store.base import Commit, DefinitionRow, EntityRow, Entry, ShardStore
from actors.store.directory import SqliteStore
from actors.store.memory import MemoryShardStore, MemoryStore
from actors.store.reader import JournalReader
from actors.store.sqlite import SqliteShardStore

POLICY = ArchivePolicy(file_bytes=2_000, file_entries=6)
KEYS = st.sampled_from([f"w/user/{number}" for number in range(12)])
ROWS = st.builds(
    EntityRow,
    key=KEYS,
    slot=st.just(1),
    seq=st.integers(0, 5),
    due_ms=st.none() | st.integers(-5, 2**50),
    pending=st.booleans(),
    segments=st.sampled_from(["", "w/vip", "w/vip\nw/new"]),
    data=st.none() | st.binary(max_size=20) | st.just(9_000).map(bytes),
)
PAYLOADS = st.binary(max_size=50) | st.just(5_000).map(bytes)


class StoreMachine(RuleBasedStateMachine):
    """Commits, archives, closes, kills and opens again, beside a model in plain containers."""

    def __init__(self) -> None:
        super().__init__()
        self.epoch = 0
        self.start_seq = 1
        self.entries: list[Entry] = []
        self.rows: dict[str, EntityRow] = {}
        self.definitions: dict[tuple[str, int], DefinitionRow] = {}
        self.shard: ShardStore = self.open_new()
        self.epoch = 1

    def open_new(self) -> ShardStore:
        raise NotImplementedError

    def close_and_open(self) -> None:
        raise NotImplementedError

    def kill_and_open(self) -> None:
        raise NotImplementedError

    @initialize()
    def first(self) -> None:
        assert (self.shard.epoch, self.shard.last_seq) == (1, 0)

    @rule(
        payloads=st.lists(PAYLOADS, max_size=5),
        rows=st.lists(ROWS, max_size=6),
        mode=st.integers(0, 1),
        define=st.booleans(),
        forward=st.none() | st.integers(0, 20),
    )
    def commit(
        self, payloads: list[bytes], rows: list[EntityRow], mode: int, define: bool,
        forward: int | None,
    ) -> None:  # fmt: skip
        first = len(self.entries) + 1
        entries = [
            Entry(seq, self.epoch, seq * 10, mode, payload)
            for seq, payload in enumerate(payloads, first)
        ]
        version = len(self.definitions) + 1
        definitions = [DefinitionRow("w", version, first, b"v%d" % version)] if define else []
        start = None
        if forward is not None:
            start = min(self.start_seq + forward, first + len(entries))
            self.start_seq = start
        self.shard.commit(Commit(entries, rows, definitions, start))
        self.entries += entries
        self.rows |= {row.key: row for row in rows}
        self.rows = {key: row for key, row in self.rows.items() if row.data is not None}
        self.definitions |= {(row.workspace, row.version): row for row in definitions}

    @rule()
    def archive(self) -> None:
        assert self.shard.archive_passed() >= 0

    @rule()
    def close(self) -> None:
        self.shard.close()
        self.close_and_open()
        self.epoch += 1

    @rule()
    def kill(self) -> None:
        self.kill_and_open()
        self.epoch += 1

    @invariant()
    def numbers_agree(self) -> None:
        shard = self.shard
        assert (shard.epoch, shard.start_seq, shard.last_seq) == (
            self.epoch,
            self.start_seq,
            len(self.entries),
        )

    @invariant()
    def journal_agrees(self) -> None:
        start = self.start_seq
        assert list(self.shard.journal(start)) == self.entries[start - 1 :]

    @invariant()
    def state_agrees(self) -> None:
        shard, rows = self.shard, [self.rows[key] for key in sorted(self.rows)]
        assert shard.scan("", 100) == [(row.key, row.seq, row.data) for row in rows]
        assert sorted(shard.due()) == [(r.key, r.due_ms) for r in rows if r.due_ms is not None]
        assert sorted(shard.pending()) == [row.key for row in rows if row.pending]
        lines = [line for row in rows for line in row.segments.split("\n") if line]
        assert shard.segment_counts() == {line: lines.count(line) for line in sorted(set(lines))}
        assert shard.definitions() == list(self.definitions.values())

    @rule(key=KEYS)
    def load(self, key: str) -> None:
        row = self.rows.get(key)
        assert self.shard.load(key) == (None if row is None else (row.seq, row.data))

    @rule(after=KEYS, limit=st.integers(1, 4))
    def scan(self, after: str, limit: int) -> None:
        keys = [key for key in sorted(self.rows) if key > after][:limit]
        assert [key for key, _, _ in self.shard.scan(after, limit)] == keys


class SqliteMachine(StoreMachine):
    """The store on a disk, with its archive and its reader."""

    def open_new(self) -> ShardStore:
        self.root = Path(tempfile.mkdtemp(prefix="denrei-model-"))
        self.copies = 0
        self.directory = self.root / "0"
        SqliteStore.create(self.directory, shards=1, store_id="m", created_ms=0)
        return self.open()

    def open(self) -> SqliteShardStore:
        return SqliteStore.open(self.directory, POLICY).open_shard(0, 0)

    def close_and_open(self) -> None:
        self.shard = self.open()

    def kill_and_open(self) -> None:
        killed = self.directory
        self.copies += 1
        self.directory = self.root / str(self.copies)
        shutil.copytree(killed, self.directory)
        self.shard.close()
        shutil.rmtree(killed)
        self.shard = self.open()

    @rule(from_seq=st.integers(1, 40))
    def history(self, from_seq: int) -> None:
        found = list(JournalReader(self.directory, 0).entries(from_seq))
        assert found == self.entries[from_seq - 1 :]

    def teardown(self) -> None:
        self.shard.close()
        shutil.rmtree(self.root)


class MemoryMachine(StoreMachine):
    """The store of tests and simulations."""

    def open_new(self) -> ShardStore:
        self.store = MemoryStore(shards=1)
        return self.store.open_shard(0)

    def close_and_open(self) -> None:
        self.shard = self.store.open_shard(0)

    def kill_and_open(self) -> None:
        assert isinstance(self.shard, MemoryShardStore)
        self.shard.crash()
        self.shard = self.store.open_shard(0)

    @invariant()
    def history_agrees(self) -> None:
        assert self.store.history(0) == self.entries


TestSqlite = SqliteMachine.TestCase
TestSqlite.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestMemory = MemoryMachine.TestCase
TestMemory.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
