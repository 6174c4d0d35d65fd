"""A shard's store in one SQLite file: the fence is a lock, the truth is a transaction.

Why it is right: the lock file excludes every other live process; the epoch and the last sequence
number are advanced by one UPDATE that names the old ones, in the transaction that writes the rest,
so even an owner without the lock writes nothing; synchronous=FULL has the log on the disk before
COMMIT returns. At opening everything that can be missing without SQLite noticing is looked for:
a log that was left behind, cut or damaged, a file of another store, a hole in the journal.

Threads: one connection writes (a commit is staged by the serving thread and synced by another; the
archive's short deletes come between two commits, under a lock), one reads (the serving thread's;
see snapshot.py), one reads for the archive.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from operator import attrgetter
from typing import Any, Final

import apsw

from actors.store.archive import ShardArchive
from actors.store.base import (
    Commit,
    DefinitionRow,
    EntityRow,
    Entry,
    ErasureRow,
    check_commit,
    fenced,
)
from actors.store.checks import check_entry, entry_crc, row_crc, torn
from actors.store.connection import store_errors, transaction
from actors.store.errors import StoreError, WriteFailed
from actors.store.reader import JournalReader
from actors.store.schema import STATE_WRITE, State
from actors.store.snapshot import SnapshotReader
from actors.store.taking_over import Opened
from engine import limits

_INSERT_ENTRY: Final = "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?)"
# One row a statement: SQLite keeps a copy of every page that a statement of many rows changes, in
# case that one of them fails, though here the whole transaction is rolled back then.
_UPSERT: Final = (
    "INSERT INTO entity VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
    " slot = excluded.slot, seq = excluded.seq, due_ms = excluded.due_ms,"
    " pending = excluded.pending, segments = excluded.segments, crc = excluded.crc,"
    " data = excluded.data"
)
_DELETE: Final = "DELETE FROM entity WHERE key = ?"
_ENTRY_BYTES: Final = 64  # of a row of the journal, beside its payload; about
_FORGET_REST_S: Final = 0.01
_JOURNAL: Final = (
    "SELECT seq, epoch, now_ms, mode, payload, crc FROM journal WHERE seq >= ? ORDER BY seq LIMIT ?"
)


class SqliteShardStore:
    """One shard in one file. Made by `SqliteStore.open_shard`; see `base.ShardStore`."""

    def __init__(
        self, shard: int, opened: Opened, archive: ShardArchive, secret: bytes = b""
    ) -> None:
        self._shard = shard
        self._secret = secret
        self._path = opened.path
        self._lock = opened.lock
        self._state = opened.state
        self._archive = archive
        self._writer = opened.writer
        self._reader = SnapshotReader(opened.path)
        self._passed = SnapshotReader(opened.path, limits.STORE_READER_CACHE_BYTES)
        self._writing = threading.Lock()  # held from `stage` to the end of `sync`
        self._staged: State | None = None
        self._log_pages = 0
        self._poison: BaseException | None = None
        self._closed = False
        self._writer.set_wal_hook(self._on_commit)

    @property
    def shard(self) -> int:
        """The shard's number."""
        return self._shard

    @property
    def secret(self) -> bytes:
        """The store's secret."""
        return self._secret

    @property
    def epoch(self) -> int:
        """This owner's epoch."""
        return self._state.epoch

    @property
    def start_seq(self) -> int:
        """Where recovery starts."""
        return self._state.start_seq

    @property
    def last_seq(self) -> int:
        """The last entry that is committed."""
        return self._state.last_seq

    def commit(self, commit: Commit) -> None:
        """Writes all of a commit, or nothing; see `ShardStore.commit`."""
        self.stage(commit)
        self.sync()

    def stage(self, commit: Commit) -> None:
        """Begins a commit; see `ShardStore.stage`.

        Every step of a statement gives the interpreter up and has to win it back. On the loop's
        own thread that costs nothing; in another it waits for a busy loop, step by step.

        Cost: 0.1 ms with 60 kB of entries, 5 to 10 µs a row.
        """
        self._check_alive()
        state = self._state
        with self._poisoning(check_only=True):
            check_commit(commit, self._shard, state.epoch, state.start_seq, state.last_seq)
        entries, last_crc = [], state.last_crc
        for entry in commit.entries:
            last_crc = entry_crc(last_crc, entry)
            entries.append(
                (entry.seq, entry.epoch, entry.now_ms, entry.mode, last_crc, entry.payload)
            )
        self._writing.acquire()
        try:
            with self._poisoning(), store_errors(self._path, "commit to"):
                self._reader.end()  # A snapshot from before would keep the log from starting again.
                # The archive may have moved the floor since `state` was read.
                new = self._state._replace(
                    last_seq=state.last_seq + len(entries), last_crc=last_crc
                )
                if commit.start_seq is not None:
                    new = new._replace(start_seq=commit.start_seq)
                self._writer.execute("BEGIN IMMEDIATE")
                self._advance(new)
                for values in entries:
                    self._writer.execute(_INSERT_ENTRY, values)
                self._write_rows(commit)
                self._write_definitions(commit)
                self._write_erasures(commit)
        except BaseException:
            self._roll_back()
            self._writing.release()
            raise
        self._staged = new

    def sync(self) -> None:
        """Ends the commit that was staged; see `ShardStore.sync`.

        Durability: everything in it is synced when this returns.
        Cost: 0.2 to 0.5 ms; each 1,000 pages of log, about 10 ms more to copy them into the file.
        """
        new, self._staged = self._staged, None
        if new is None:
            raise StoreError(f"nothing is staged in {self._path}", "This is a defect: report it")
        try:
            with self._poisoning(), store_errors(self._path, "commit to"):
                self._writer.execute("COMMIT")
                self._state = new
                self._reader.end()  # From here on a load must see this commit.
                if self._log_pages >= limits.STORE_LOG_PAGES:
                    self._writer.wal_checkpoint()
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._writing.release()

    def _roll_back(self) -> None:
        if self._writer.in_transaction:
            with suppress(apsw.Error):  # The first error is the one to tell.
                self._writer.execute("ROLLBACK")

    def _advance(self, new: State) -> None:
        """The fence: moves the state on, if it still is what this owner left."""
        old = self._state
        self._writer.execute(STATE_WRITE, (*new, new.crc(), old.epoch, old.last_seq))
        if self._writer.changes() != 1:
            raise fenced(self._shard, "a newer epoch", old.epoch, old.last_seq + 1)

    def _write_rows(self, commit: Commit) -> None:
        if not commit.rows:
            return
        last_of_key = {row.key: row for row in commit.rows}
        rows = sorted(last_of_key.values(), key=attrgetter("key"))
        self._writer.executemany(_UPSERT, [_values(row) for row in rows if row.data is not None])
        gone = [(row.key,) for row in rows if row.data is None]
        if gone:
            self._writer.executemany(_DELETE, gone)

    def _write_definitions(self, commit: Commit) -> None:
        for row in commit.definitions:
            crc = row_crc(f"{row.workspace}/{row.version}", row.seq, row.documents)
            values = (row.workspace, row.version, row.seq, crc, row.documents)
            self._writer.execute("INSERT OR IGNORE INTO definition VALUES (?, ?, ?, ?, ?)", values)
            if self._writer.changes() == 0:
                found = self._writer.execute(
                    "SELECT * FROM definition WHERE workspace = ? AND version = ?",
                    (row.workspace, row.version),
                ).fetchone()
                if found != values:
                    raise torn(
                        self._path,
                        f"version {row.version} of workspace {row.workspace} was journaled with "
                        "other documents before",
                    )

    def _write_erasures(self, commit: Commit) -> None:
        for row in commit.erasures:
            self._writer.execute("INSERT OR REPLACE INTO erasure VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        if commit.swept:
            self._writer.execute("DELETE FROM erasure WHERE sweep = ?", (commit.swept,))

    def history(self) -> Iterator[Entry]:
        """All entries that are kept, archived and live; see `actors.store.reader`."""
        self._check_alive()
        return JournalReader(self._archive.directory.parent.parent, self._shard).entries()

    def load(self, key: str) -> tuple[int, bytes] | None:
        """An entity's `(seq, data)` as of the last commit, or None. Cost: see `SnapshotReader`."""
        if self._poison is not None or self._closed:
            self._check_alive()
        return self._reader.load(key)

    def journal(self, from_seq: int) -> Iterator[Entry]:
        """The live entries from `from_seq` on, each checked against the one before it.

        Not to be used while `archive_passed` runs.
        """
        self._check_alive()
        return self._journal(self._reader, from_seq, self._state.last_seq)

    def _journal(self, reader: SnapshotReader, from_seq: int, last: int) -> Iterator[Entry]:
        crc = self._crc_before(reader, from_seq)
        while from_seq <= last:
            limit = min(limits.STORE_ENTRIES_PER_READ, last - from_seq + 1)
            rows = reader.fetch(_JOURNAL, (from_seq, limit))
            if not rows:
                raise torn(self._path, f"entry {from_seq} is missing")
            for *fields, found_crc in rows:
                entry = Entry(*fields)
                check_entry(crc, from_seq, entry, found_crc, self._path)
                yield entry
                crc = found_crc
                from_seq += 1

    def _crc_before(self, reader: SnapshotReader, seq: int) -> int:
        state = self._state
        if seq <= state.floor_seq:
            raise ValueError(
                f"shard {self._shard}: entry {seq} is in the archive; "
                f"the journal starts at {state.floor_seq + 1}"
            )
        if seq == state.floor_seq + 1:
            return state.floor_crc
        rows = reader.fetch("SELECT crc FROM journal WHERE seq = ?", (seq - 1,))
        if not rows:
            raise torn(self._path, f"entry {seq - 1} is missing")
        return int(rows[0][0])

    def due(self) -> Iterator[tuple[str, int]]:
        """Every key with a timer, and when it is due."""
        yield from self._pass("key, due_ms", "due_ms IS NOT NULL")

    def pending(self) -> Iterator[str]:
        """Every key with effects that are not settled."""
        for (key,) in self._pass("key", "pending"):
            yield key

    def _pass(self, columns: str, condition: str) -> Iterator[tuple[Any, ...]]:
        """One pass over the entities, in pieces, so that no snapshot outlives a piece."""
        sql = f"SELECT {columns} FROM entity WHERE key > ? AND {condition} ORDER BY key LIMIT ?"
        after = ""
        while rows := self._fetch(sql, (after, limits.STORE_ROWS_PER_READ)):
            yield from rows
            after = rows[-1][0]

    def segment_counts(self) -> dict[str, int]:
        """How many entities are in each segment."""
        counts: dict[str, int] = {}
        rows = self._fetch(
            "SELECT segments, count(*) FROM entity WHERE segments <> '' GROUP BY segments",
        )
        for segments, count in rows:
            for segment in segments.split("\n"):
                counts[segment] = counts.get(segment, 0) + count
        return dict(sorted(counts.items()))

    def entity_count(self) -> int:
        """How many entities there are."""
        count: int = self._fetch("SELECT count(*) FROM entity", ())[0][0]
        return count

    def definitions(self) -> list[DefinitionRow]:
        """All definition rows, in the order in which they were journaled."""
        rows = self._fetch(
            "SELECT workspace, version, seq, documents, crc FROM definition"
            " ORDER BY seq, workspace, version",
        )
        found = []
        for *fields, crc in rows:
            row = DefinitionRow(*fields)
            if row_crc(f"{row.workspace}/{row.version}", row.seq, row.documents) != crc:
                raise torn(self._path, f"definitions {row.workspace} {row.version} were changed")
            found.append(row)
        return found

    def scan(self, after: str, limit: int) -> list[tuple[str, int, bytes]]:
        """Up to `limit` entities with keys above `after`, ascending."""
        rows = self._fetch(
            "SELECT key, seq, data, crc FROM entity WHERE key > ? ORDER BY key LIMIT ?",
            (after, limit),
        )
        for key, seq, data, crc in rows:
            if row_crc(key, seq, data) != crc:
                raise torn(self._path, f"entity {key} is not what was written")
        return [(key, seq, data) for key, seq, data, _ in rows]

    def erasures(self, limit: int) -> list[ErasureRow]:
        """The oldest erasures that are not done with; see `ShardStore.erasures`."""
        rows = self._fetch(
            "SELECT key, mark, seq, at_ms, tombstone, sweep, upto FROM erasure"
            " ORDER BY sweep = 0, seq, key, mark LIMIT ?",
            (limit,),
        )
        return [ErasureRow(*row) for row in rows]

    def archive_passed(self, all_of_it: bool = False) -> int:
        """Moves entries below `start_seq` to the archive: at most one file a call.

        The file is synced before the rows are deleted. After a crash in between, the rows that the
        archive already has are deleted first. They are deleted in pieces, with a rest after each:
        no commit is taken meanwhile, and to overwrite a file's worth at once takes 15 to 26 ms, in
        pieces 1 to 5 each, while nothing else is done.

        Durability: what it moved is in the archive, synced, when this returns.
        """
        self._check_alive()
        with self._poisoning():
            state = self._state
            upto = min(self._archive.last_seq, state.start_seq - 1)
            if upto <= state.floor_seq:
                upto = self._archive_next(state, all_of_it)
            if upto <= state.floor_seq:
                return 0
            for piece in self._pieces(upto):
                with self._writing, store_errors(self._path, "shorten the journal of"):
                    if self._closed:
                        break  # the next owner goes on
                    self._forget(piece)
                time.sleep(_FORGET_REST_S)
            self._archive.prune(upto)
            return self._state.floor_seq - state.floor_seq

    def _archive_next(self, state: State, all_of_it: bool) -> int:
        """Writes the next file of the archive; its last entry, or the floor if there is too little.

        `state` is a copy: commits go on meanwhile, and only ever raise `start_seq`.
        """
        policy = self._archive.policy
        sizes = self._passed.fetch(
            "SELECT seq, length(payload) FROM journal WHERE seq < ? ORDER BY seq LIMIT ?",
            (state.start_seq, policy.file_entries),
        )
        total = 0
        last = sizes[-1][0] if all_of_it and sizes else 0
        for seq, size in sizes:
            total += size
            full = total >= policy.file_bytes or seq - state.floor_seq >= policy.file_entries
            if full or seq == last:
                entries = self._journal(self._passed, state.floor_seq + 1, seq)
                with store_errors(self._archive.directory, "write to"):
                    self._archive.append(list(entries), state.floor_crc)
                return int(seq)
        return state.floor_seq

    def _pieces(self, upto: int) -> Iterator[int]:
        """The last entries of pieces in which the journal is shortened."""
        size = 0
        for seq, length in self._passed.fetch(
            "SELECT seq, length(payload) FROM journal WHERE seq < ? ORDER BY seq", (upto,)
        ):
            size += length + _ENTRY_BYTES
            if size >= limits.STORE_FORGET_BYTES:
                yield seq
                size = 0
        yield upto

    def last_sweep(self) -> int:
        """The highest number of a sweep that has rewritten a file, or 0."""
        archive = self._archive
        return max((archive.header(path).rewritten for _, _, path in archive.files()), default=0)

    def rewrite_next(self, sweep: int, upto: int, change: Callable[[Entry], bytes]) -> int:
        """Rewrites one file of the archive; see `ShardStore.rewrite_next`."""
        self._check_alive()
        left = self._archive.to_rewrite(sweep, upto)
        if left:
            with store_errors(left[0], "rewrite"):
                self._archive.rewrite(left[0], sweep, change)
        return len(left)

    def wipe(self, most_bytes: int) -> None:
        """Empties the log, and writes a file of up to `most_bytes` anew.

        What is deleted is overwritten with zeros. But where rows moved from page to page, a piece
        of one may be left in a page's unused middle (of one in a thousand, in a test of updates at
        random), and only a file that is written anew is free of those.

        Cost: 5 ms a megabyte of a file that is written anew, in which no commit is taken.
        """
        self._check_alive()
        with self._poisoning(), self._writing, store_errors(self._path, "wipe"):
            self._reader.end()
            if self._path.stat().st_size <= most_bytes:
                self._writer.execute("VACUUM")
            self._reader.end()
            with suppress(apsw.BusyError):  # somebody reads an old snapshot: the next wipe does it
                self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def _forget(self, upto: int) -> None:
        with transaction(self._writer):
            crc = self._writer.execute("SELECT crc FROM journal WHERE seq = ?", (upto,)).fetchone()
            if crc is None:
                raise torn(self._path, f"entry {upto} is missing")
            new = self._state._replace(floor_seq=upto, floor_crc=crc[0])
            self._advance(new)
            self._writer.execute("DELETE FROM journal WHERE seq <= ?", (upto,))
        self._state = new

    def close(self) -> None:
        """Gives the shard back: copies the log into the file, marks it whole, drops the lock."""
        if self._closed:
            return
        self._closed = True
        try:
            self._reader.close()
            self._passed.close()
            if self._staged is not None:  # the owner ends in the middle of a commit
                self._staged = None
                self._roll_back()
                self._writing.release()
            with self._writing, store_errors(self._path, "close"):
                if self._poison is None:
                    self._mark_whole()
        finally:
            self._writer.close()
            self._lock.release()

    def _mark_whole(self) -> None:
        with transaction(self._writer):
            self._advance(self._state._replace(closed=1))
        self._writer.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)

    def _on_commit(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _fetch(self, sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
        self._check_alive()
        return self._reader.fetch(sql, values)

    @contextmanager
    def _poisoning(self, check_only: bool = False) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            if not (check_only and isinstance(error, ValueError)):
                self._poison = error
            raise

    def _check_alive(self) -> None:
        if self._poison is not None:
            raise WriteFailed(
                f"{self._path} is poisoned by an earlier failure ({self._poison})",
                "This process must exit; the next one reads what is really on the disk",
            ) from self._poison
        if self._closed:
            raise StoreError(f"{self._path} is closed", "Open the shard again")


def _values(row: EntityRow) -> tuple[Any, ...]:
    crc = row_crc(row.key, row.seq, row.data or b"")
    return row.key, row.slot, row.seq, row.due_ms, int(row.pending), row.segments, crc, row.data
