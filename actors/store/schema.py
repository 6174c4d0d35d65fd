"""The tables of a shard file, and how one is born.

`journal` has its entries in the order of their numbers; its large payloads want a rowid table.
`entity` is one too: a table WITHOUT ROWID puts all of a row but its first quarter of a page on
pages of its own, and a checkpoint then costs half as much again (26 µs a row of 0.8 kB instead of
19, with pages of 4 KiB). Its columns that start-up reads stand before the data, and there is no
index but the key's: one on timers doubled the cost of a checkpoint to save one pass of 1.5 µs an
entity at start. `state` is one row, rewritten by every commit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple
from zlib import crc32

import apsw

from actors.store.checks import torn
from actors.store.connection import open_connection, store_errors, transaction
from actors.store.errors import ForeignStore
from actors.store.identity import Identity, load_identity

APPLICATION_ID: Final = 0x44454E52  # "DENR", at byte 68 of the file.
_APPLICATION_ID_AT: Final = 68
_MAGIC: Final = b"SQLite format 3\x00"

_TABLES: Final = """
CREATE TABLE identity (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    shard INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    epoch INTEGER NOT NULL,
    start_seq INTEGER NOT NULL,   -- recovery begins here
    last_seq INTEGER NOT NULL,    -- the newest entry, and its checksum
    last_crc INTEGER NOT NULL,
    floor_seq INTEGER NOT NULL,   -- the newest entry that left the journal, and its checksum
    floor_crc INTEGER NOT NULL,
    closed INTEGER NOT NULL,      -- 1: nothing was open, the file is whole without its log
    crc INTEGER NOT NULL
) STRICT;
CREATE TABLE journal (
    seq INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    now_ms INTEGER NOT NULL,
    mode INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    payload BLOB NOT NULL
) STRICT;
CREATE TABLE entity (
    key TEXT PRIMARY KEY,
    slot INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    due_ms INTEGER,
    pending INTEGER NOT NULL,
    segments TEXT NOT NULL,
    crc INTEGER NOT NULL,
    data BLOB NOT NULL
) STRICT;
CREATE TABLE definition (
    workspace TEXT NOT NULL,
    version INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    documents BLOB NOT NULL,
    PRIMARY KEY (workspace, version)
) STRICT, WITHOUT ROWID;
"""

# Not in stores of earlier versions: made when they are opened.
ERASURE_TABLE: Final = """
CREATE TABLE IF NOT EXISTS erasure (
    key TEXT NOT NULL,
    mark TEXT NOT NULL,
    seq INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    tombstone BLOB NOT NULL,
    sweep INTEGER NOT NULL,
    upto INTEGER NOT NULL,
    PRIMARY KEY (key, mark)
) STRICT;
"""

STATE_READ: Final = (
    "SELECT epoch, start_seq, last_seq, last_crc, floor_seq, floor_crc, closed, crc FROM state"
)
STATE_WRITE: Final = (
    "UPDATE state SET epoch = ?, start_seq = ?, last_seq = ?, last_crc = ?, floor_seq = ?,"
    " floor_crc = ?, closed = ?, crc = ? WHERE id = 1 AND epoch = ? AND last_seq = ?"
)


class State(NamedTuple):
    """The `state` row of a shard file; see the comments in the table."""

    epoch: int
    start_seq: int
    last_seq: int
    last_crc: int
    floor_seq: int
    floor_crc: int
    closed: int

    def crc(self) -> int:
        """The row's own checksum."""
        return crc32(",".join(map(str, self)).encode())


def shard_file(directory: Path, shard: int) -> Path:
    """The file of a shard."""
    return directory / f"shard-{shard:03d}.db"


def lock_file(directory: Path, shard: int) -> Path:
    """The lock of a shard's file."""
    return directory / f"shard-{shard:03d}.lock"


def create_shard(path: Path, shard: int, identity: Identity) -> None:
    """Makes a shard's file: no entries, epoch 0.

    Durability: the file is whole and synced when this returns; its name is not yet.
    """
    state = State(0, 1, 0, 0, 0, 0, 1)
    connection = open_connection(path, create=True)
    with store_errors(path, "create"):
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        with transaction(connection):
            connection.execute(_TABLES)
            connection.execute(
                "INSERT INTO identity VALUES (1, ?, ?)", (shard, identity.shown().dump())
            )
            connection.execute(
                "INSERT INTO state VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)", (*state, state.crc())
            )
        connection.close()  # The last connection copies the log into the file and removes it.


def check_header(path: Path, log_bytes: int) -> None:
    """Checks the first bytes of a shard's file, before SQLite opens it.

    Args:
        path: The file.
        log_bytes: The size of its log. Without a log the file must be as long as it says.

    Raises:
        ForeignStore: It is not a shard file of Denrei.
        TornStore: It is cut short.
    """
    with path.open("rb") as file:
        header = file.read(100)
    application = int.from_bytes(header[_APPLICATION_ID_AT : _APPLICATION_ID_AT + 4], "big")
    if log_bytes == 0 and len(header) < 100:
        raise torn(path, f"is cut short: {len(header)} bytes")
    if log_bytes == 0 and (not header.startswith(_MAGIC) or application != APPLICATION_ID):
        raise ForeignStore(
            f"{path} is not a shard file of Denrei",
            "Check the store directory; move what does not belong there away",
        )
    page_bytes, pages = int.from_bytes(header[16:18], "big"), int.from_bytes(header[28:32], "big")
    if log_bytes == 0 and path.stat().st_size < page_bytes * pages:
        raise torn(path, f"is cut short: {path.stat().st_size} of {page_bytes * pages} bytes")


def read_state(connection: apsw.Connection, path: Path) -> State:
    """Reads and checks the `state` row.

    Raises:
        TornStore: It is missing or changed.
    """
    row = connection.execute(STATE_READ).fetchone()
    if row is None:
        raise torn(path, "has no state")
    state = State._make(row[:-1])
    if state.crc() != row[-1]:
        raise torn(path, "its state is not what was written")
    return state


def check_identity(connection: apsw.Connection, path: Path, shard: int, identity: Identity) -> None:
    """Checks that a file is this shard of this store.

    Raises:
        ForeignStore: It belongs to another store, or is another shard's.
    """
    row = connection.execute("SELECT shard, body FROM identity").fetchone()
    if row is None:
        raise torn(path, "has no identity")
    found = load_identity(row[1], path)
    if found != identity.shown() or row[0] != shard:
        raise ForeignStore(
            f"{path} is shard {row[0]} of store {found.store_id} ({found.shards} shards); "
            f"shard {shard} of store {identity.store_id} ({identity.shards} shards) belongs here",
            "Put the right file back, with its -wal; no file of another store can be used",
        )


def check_journal(connection: apsw.Connection, path: Path, state: State) -> None:
    """Checks that the journal holds exactly the entries that the state says it does.

    Cost: one pass over the journal's leaves, without its payloads.

    Raises:
        TornStore: It does not.
    """
    found: Any = connection.execute(
        "SELECT count(*), ifnull(min(seq), 0), ifnull(max(seq), 0) FROM journal"
    ).fetchone()
    count, first, last = found
    expected = state.last_seq - state.floor_seq
    if count != expected or (count and (first, last) != (state.floor_seq + 1, state.last_seq)):
        raise torn(
            path,
            f"holds {count} entries, {first} to {last}, "
            f"where {state.floor_seq + 1} to {state.last_seq} were committed",
        )
