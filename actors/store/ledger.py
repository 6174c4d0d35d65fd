"""A sender's ledger: what it must not forget about what it has given away.

A message's id is in here, synced, before the carrier gets the message. So after a crash an id that
is in the ledger without a result may or may not have reached the carrier, and an id that is not in
it has certainly not: the first kind is never given away again by itself, the second always is.
What a lane has sent is derived from the same rows, so its windows survive: a batch without the
time of its return counts as of the restart, since its submit ended no later than the process.

The ledger is a log of batches, not a table of messages: one row a batch with the ids in one blob,
another with the results, so that a message costs a fraction of a microsecond of SQLite. Inside a
blob the messages stand in columns, since a list of texts is made and packed in a third of the time
of a list of rows. What a batch drew on limits that lanes share, or that count by recipient, stands
in a third blob, for lanes that have such limits (`ledger_draws`). A batch is closed when its shards
have journaled the last word on each of its messages. Closed batches are kept for
`limits.SENT_IDS_MS`, for late receipts and repeats, at most `limits.SENT_IDS` ids; what they used
of their lane is then folded into one row a minute, and that is kept for the longest window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import apsw
import msgpack

from actors.store import ledger_draws, ledger_looks
from actors.store.address_hash import AddressHash, new_secret
from actors.store.connection import open_connection, store_errors, transaction
from actors.store.errors import ForeignStore
from actors.store.lock import FileLock
from engine import limits
from engine.lanes.meters import Draws
from engine.lanes.rates import DAY_MS, MINUTE_MS, Use
from engine.packing import pack
from engine.reasons import Reason

FORMAT: Final = 4
# Format 1 had a row a message in its blobs, and formats before 3 knew no draws. Both are read as
# they are; a version that knows no draws must not open a ledger that has some. Before 4 draws had
# numbers in them; they are made hashes when it is opened.
_EARLIER: Final = (1, 2, 3)
_COLUMNS: Final = 2  # what a blob of columns begins with

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS batch (
    id INTEGER PRIMARY KEY, lane TEXT NOT NULL, carrier TEXT NOT NULL, units INTEGER NOT NULL,
    messages INTEGER NOT NULL, decided_ms INTEGER NOT NULL, returned_ms INTEGER,
    closed INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS batch_ids (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS batch_results (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS lane_use (
    lane TEXT NOT NULL, until_ms INTEGER NOT NULL, from_ms INTEGER NOT NULL,
    units INTEGER NOT NULL, PRIMARY KEY (lane, until_ms)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS epoch (shard INTEGER PRIMARY KEY, epoch INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS fraud_block (name TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT;
"""


class SentId(NamedTuple):
    """A message in a batch."""

    id: str
    key: str
    resend_unknown: bool


Result = tuple[int, str, str, str]
"""What became of a message of a batch: reason, code, detail, provider id.

The reason is SENT, CARRIER_REJECTED, UNKNOWN_OUTCOME …; QUEUED if the carrier has not taken it and
it waits for another try.
"""


class BatchRow(NamedTuple):
    """A batch as it is written before it is given away.

    Attributes:
        ids: The ids of its messages.
        keys: Whose they are.
        resend_unknown: The places of those of which an unknown outcome is sent again.
        draws: What it takes of limits that lanes share or that count by value; see
            `engine.lanes.meters`.
    """

    id: int
    lane: str
    carrier: str
    units: int
    decided_ms: int
    ids: list[str]
    keys: list[str]
    resend_unknown: list[int]
    draws: Draws | None = None


class ResultsRow(NamedTuple):
    """What became of a batch, message by message; see `Result`.

    Attributes:
        batch: The batch.
        reasons: A reason a message.
        provider_ids: The carrier's id of each message that it took, else an empty text.
        words: Code and detail, by a message's place, where the carrier said any.
    """

    batch: int
    reasons: bytes
    provider_ids: list[str]
    words: dict[int, tuple[str, str]]


class Recovered(NamedTuple):
    """A message that the ledger knows, after a restart.

    Attributes:
        batch: The batch in which it was given away last.
        lane: The lane's key.
        result: None if nothing is known.
        closed: Whether its shard has the last word.
    """

    message: SentId
    batch: int
    lane: str
    carrier: str
    at_ms: int
    result: Result | None
    closed: bool


@dataclass(slots=True)
class LedgerState:
    """What a restart finds.

    Attributes:
        incarnation: How often the ledger was opened, this time included.
        next_batch: The first free batch id.
        epochs: The newest epoch seen of each shard.
        fraud: The guard's counters (its snapshot), or None.
        blocks: The guard's blocks.
        messages: All messages of kept batches, oldest first; each once, in its last state.
        unclosed: The batches that are not closed.
        uses: What each lane has sent; what has no return time comes with `now`.
        draws: The same for limits that lanes share or that count by value: by meter and value.
        looks: The messages that wait for the guard to look at them again, by id.
    """

    incarnation: int
    next_batch: int
    epochs: dict[int, int]
    fraud: list[Any] | None
    blocks: list[Any]
    messages: list[Recovered]
    unclosed: list[int]
    uses: dict[str, list[Use]]
    draws: dict[str, dict[str, list[Use]]]
    looks: dict[str, list[Any]] = field(default_factory=dict)


@dataclass(slots=True)
class LedgerWork:
    """What one transaction writes."""

    batches: list[BatchRow] = field(default_factory=list)
    returned: list[tuple[int, int]] = field(default_factory=list)
    results: list[ResultsRow] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)
    epochs: dict[int, int] = field(default_factory=dict)
    blocks: list[tuple[str, list[Any]]] = field(default_factory=list)
    looks: dict[str, list[Any] | None] = field(default_factory=dict)
    learnt: dict[str, list[Use]] = field(default_factory=dict)
    fraud: list[Any] | None = None


class Ledger:
    """The ledger of one sender, in one SQLite file that this process owns.

    Args:
        path: The file; made if it is missing, with its directory.
        owner: The sender's name. A ledger of another sender is refused: its lanes' windows and
            its ids would be missed where they belong.
        wait_s: How long to wait for the process that had it before.
        secret: The store's; see `address_hash`.

    Attributes:
        hash: Hashes addresses as this ledger has them.

    Raises:
        StoreLocked: Another live process has it.
        ForeignStore: It is another sender's or another store's, or of a newer format.
        StoreError: It cannot be read or written.
    """

    def __init__(self, path: Path, owner: str, wait_s: float = 10.0, secret: bytes = b"") -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock.acquire(path.with_name(path.name + ".lock"), wait_s)
        try:
            self._connection = open_connection(
                path, create=True, cache_bytes=limits.LEDGER_CACHE_BYTES
            )
        except BaseException:
            self._lock.release()
            raise
        try:
            with store_errors(path, "open"):
                self._connection.execute(
                    _SCHEMA + ledger_draws.SCHEMA + ledger_looks.SCHEMA
                ).fetchall()
                self.hash = self._check(owner, secret)
        except BaseException:
            self.close()
            raise
        self._kept = 0

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def load(self, now_ms: int) -> LedgerState:
        """Reads everything, and begins a new incarnation.

        Durability: The new incarnation is synced.
        Cost: about 1 s for `limits.SENT_IDS` ids.
        """
        with store_errors(self._path, "read"), transaction(self._connection):
            incarnation = self._state("incarnation", 0) + 1
            self._put_state("incarnation", incarnation)
            state = LedgerState(
                incarnation=incarnation,
                next_batch=self._first("SELECT coalesce(max(id), 0) + 1 FROM batch"),
                epochs=dict(self._rows("SELECT shard, epoch FROM epoch")),
                fraud=self._state("fraud", None),
                blocks=[msgpack.unpackb(body) for (body,) in self._rows(
                    "SELECT body FROM fraud_block ORDER BY name")],
                messages=self._messages(),
                unclosed=[id_ for (id_,) in self._rows("SELECT id FROM batch WHERE NOT closed")],
                uses=self._uses(now_ms),
                draws=ledger_draws.read(self._rows, now_ms),
                looks=ledger_looks.read(self._rows),
            )  # fmt: skip
            self._kept = self._first("SELECT coalesce(sum(messages), 0) FROM batch")
        return state

    def write(self, work: LedgerWork, now_ms: int) -> None:
        """Writes all of it, or nothing, and prunes a little.

        Durability: Synced when it returns.
        Cost: 0.15 ms, and 0.05 µs a message.
        """
        with store_errors(self._path, "commit to"), transaction(self._connection):
            many = self._connection.executemany
            if work.batches:
                many(
                    "INSERT INTO batch (id, lane, carrier, units, messages, decided_ms) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    [(b.id, b.lane, b.carrier, b.units, len(b.ids), b.decided_ms)
                     for b in work.batches],
                )  # fmt: skip
                rows = [
                    (b.id, pack((_COLUMNS, b.ids, b.keys, b.resend_unknown))) for b in work.batches
                ]
                many("INSERT INTO batch_ids VALUES (?, ?)", rows)
                drawn = [(b.id, pack(b.draws)) for b in work.batches if b.draws]
                if drawn:
                    many("INSERT INTO batch_draws VALUES (?, ?)", drawn)
            if work.learnt:
                many(ledger_draws.FOLD, ledger_draws.learnt(work.learnt))
            if work.returned:
                many("UPDATE batch SET returned_ms = ?2 WHERE id = ?1", work.returned)
            if work.results:
                rows = [
                    (r.batch, pack((_COLUMNS, r.reasons, r.provider_ids, r.words)))
                    for r in work.results
                ]
                many("INSERT OR REPLACE INTO batch_results VALUES (?, ?)", rows)
            if work.closed:
                many("UPDATE batch SET closed = 1 WHERE id = ?", [(id_,) for id_ in work.closed])
            if work.epochs:
                many("INSERT OR REPLACE INTO epoch VALUES (?, ?)", work.epochs.items())
            if work.blocks:
                rows_ = [(name, pack(body)) for name, body in work.blocks]
                many("INSERT OR REPLACE INTO fraud_block VALUES (?, ?)", rows_)
            if work.looks:
                ledger_looks.write(many, work.looks)
            if work.fraud is not None:
                self._put_state("fraud", work.fraud)
            kept = self._kept + sum(len(batch.ids) for batch in work.batches)
            kept -= self._prune(now_ms, kept)
        self._kept = kept

    def tidy(self, now_ms: int) -> None:
        """Forgets what counts no more, and empties the log: it holds what was deleted since."""
        with store_errors(self._path, "tidy"):
            with transaction(self._connection):
                self._forget_uses(now_ms)
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def close(self) -> None:
        """Closes the file and lets go of it."""
        try:
            self._connection.close()
        finally:
            self._lock.release()

    def _check(self, owner: str, secret: bytes) -> AddressHash:
        with transaction(self._connection):
            known = self._state("owner", None)
            if known is None or known in [[earlier, owner] for earlier in _EARLIER]:
                return self._begin_format(owner, secret)
            own, marked = self._state("secret", (b"", ""))
        if known != [FORMAT, owner]:
            raise ForeignStore(
                f"{self._path} is the ledger of {known[1]} in format {known[0]}, "
                f"not of {owner} in format {FORMAT}",
                "Start each sender with its own ledger, and with a version that reads its format",
            )
        hash_ = AddressHash(own, secret)
        if hash_.of(owner) != marked:
            raise ForeignStore(
                f"{self._path} was written with another secret than this store's",
                "Bring back the ledger that belongs to the store's denrei.json",
            )
        return hash_

    def _begin_format(self, owner: str, secret: bytes) -> AddressHash:
        """Makes a new ledger, or one of an earlier format, one of this format."""
        own = new_secret()
        hash_ = AddressHash(own, secret)
        self._put_state("owner", [FORMAT, owner])
        self._put_state("secret", (own, hash_.of(owner)))
        ledger_draws.hide(self._rows, hash_.of)
        return hash_

    def _messages(self) -> list[Recovered]:
        found: dict[str, Recovered] = {}
        rows = self._rows(
            "SELECT batch.id, lane, carrier, coalesce(returned_ms, decided_ms), closed, "
            "batch_ids.body, batch_results.body FROM batch JOIN batch_ids USING (id) "
            "LEFT JOIN batch_results USING (id) ORDER BY batch.id"
        )
        for batch, lane, carrier, at_ms, closed, ids, results in rows:
            sent = _ids(ids)
            told: Sequence[Result | None] = [None] * len(sent)
            if results is not None:
                told = _results(results)
            for message, result in zip(sent, told, strict=True):
                found.pop(message.id, None)
                if result is None or result[0] != Reason.QUEUED:
                    found[message.id] = Recovered(
                        message, batch, lane, carrier, at_ms, result, bool(closed)
                    )
        return list(found.values())

    def _uses(self, now_ms: int) -> dict[str, list[Use]]:
        uses: dict[str, list[Use]] = {}
        rows = self._rows(
            "SELECT lane, from_ms, until_ms, units FROM lane_use UNION ALL "
            "SELECT lane, decided_ms, coalesce(returned_ms, ?), units FROM batch",
            (now_ms,),
        )
        for lane, from_ms, until_ms, units in rows:
            uses.setdefault(lane, []).append(Use(from_ms, until_ms, units))
        return uses

    def _prune(self, now_ms: int, kept: int) -> int:
        """Forgets closed batches that are too old or too many; how many messages they had."""
        oldest = "SELECT decided_ms FROM batch WHERE closed ORDER BY id LIMIT 1"
        for (decided_ms,) in self._rows(oldest):
            if decided_ms >= now_ms - limits.SENT_IDS_MS and kept <= limits.SENT_IDS:
                return 0
        rows = list(
            self._rows(
                "SELECT id, messages, decided_ms, lane, coalesce(returned_ms, ?), units "
                "FROM batch WHERE closed ORDER BY id LIMIT ?",
                (now_ms, limits.LEDGER_PRUNE_BATCHES),
            )
        )
        gone = 0
        ids: list[tuple[int]] = []
        for id_, messages, decided_ms, lane, returned_ms, units in rows:
            if decided_ms >= now_ms - limits.SENT_IDS_MS and kept - gone <= limits.SENT_IDS:
                break
            gone += messages
            ids.append((id_,))
            drawn = ledger_draws.folded(self._rows, id_, decided_ms, returned_ms, now_ms)
            self._connection.executemany(ledger_draws.FOLD, drawn)
            until_ms = -(-returned_ms // MINUTE_MS) * MINUTE_MS
            self._connection.execute(
                "INSERT INTO lane_use VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET "
                "units = units + excluded.units, from_ms = min(from_ms, excluded.from_ms)",
                (lane, until_ms, decided_ms, units),
            ).fetchall()
        if ids:
            for table in ("batch", "batch_ids", "batch_results", "batch_draws"):
                self._connection.executemany(f"DELETE FROM {table} WHERE id = ?", ids)
            self._forget_uses(now_ms)
        return gone

    def _forget_uses(self, now_ms: int) -> None:
        self._connection.execute(
            "DELETE FROM lane_use WHERE until_ms < ?", (now_ms - DAY_MS - MINUTE_MS,)
        ).fetchall()
        self._connection.execute(
            "DELETE FROM draw_use WHERE counts_until_ms <= ?", (now_ms,)
        ).fetchall()

    def _rows(self, sql: str, values: tuple[Any, ...] = ()) -> Iterator[Any]:
        cursor: apsw.Cursor = self._connection.execute(sql, values)
        return iter(cursor)

    def _first(self, sql: str) -> int:
        return int(next(iter(self._rows(sql)))[0])

    def _state(self, name: str, default: Any) -> Any:
        for (body,) in self._rows("SELECT body FROM state WHERE name = ?", (name,)):
            return msgpack.unpackb(body)
        return default

    def _put_state(self, name: str, value: Any) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO state VALUES (?, ?)", (name, pack(value))
        ).fetchall()


def _ids(body: bytes) -> list[SentId]:
    packed = msgpack.unpackb(body)
    if packed[0] != _COLUMNS:
        return [SentId(*each) for each in packed]
    _, ids, keys, resend_unknown = packed
    again = set(resend_unknown)
    return [SentId(ids[at], keys[at], at in again) for at in range(len(ids))]


def _results(body: bytes) -> list[Result]:
    packed = msgpack.unpackb(body, strict_map_key=False)
    if packed[0] != _COLUMNS:
        return [(reason, code, detail, id_) for reason, code, detail, id_ in packed]
    _, reasons, provider_ids, words = packed
    pairs = zip(reasons, provider_ids, strict=True)
    return [(reason, *words.get(at, ("", "")), id_) for at, (reason, id_) in enumerate(pairs)]


def references(messages: Iterable[Recovered]) -> Iterator[tuple[Recovered, str]]:
    """What finds the messages that a carrier may still tell of: its own id, or ours."""
    for each in messages:
        if each.result is not None and each.result[0] == Reason.SENT:
            yield each, each.result[3]
        elif each.result is None or each.result[0] == Reason.UNKNOWN_OUTCOME:
            yield each, each.message.id
