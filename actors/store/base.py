"""The store as hosts see it: one shard's journal and state, behind one interface.

What makes it safe is the same in every implementation. A commit is one transaction: the journal
entries, the entities that a checkpoint writes and the place where recovery starts become durable
together or not at all. The writer's epoch and the last sequence number are checked in the same
statement that advances them, so an owner that was replaced writes nothing, ever. After a commit
that failed, or whose outcome nobody knows, the store is poisoned and its owner must exit.

PostgreSQL can stand beside SQLite because nothing here names a file, a connection or a lock.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from actors.store.errors import Fenced

NOW: Final = 0
EVENT_TIME: Final = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One journal record.

    Attributes:
        seq: Its place in the shard's journal: 1 is the first, no number is left out.
        epoch: The owner that wrote it.
        now_ms: The only time that `Shard.apply` sees.
        mode: `NOW`: `now_ms` applies to all its commands; `EVENT_TIME`: each brings its own.
        payload: The commands, as `engine.commands.pack_payload` packed them; empty for a tick.
    """

    seq: int
    epoch: int
    now_ms: int
    mode: int
    payload: bytes


class EntityRow(NamedTuple):
    """What a checkpoint writes of one entity.

    Attributes:
        key: `workspace/kind/id`.
        slot: Its slot, so that a shard can be split later.
        seq: The last journal entry that `data` includes.
        due_ms: Its earliest timer, None if it has none.
        pending: It has effects that are not settled.
        segments: The segments it is in, one a line; empty for none.
        data: The packed entity; None deletes it.
    """

    key: str
    slot: int
    seq: int
    due_ms: int | None
    pending: bool
    segments: str
    data: bytes | None


@dataclass(frozen=True, slots=True)
class DefinitionRow:
    """The changes that made a workspace's catalog `version`, journaled at `seq` on this shard.

    Rows are only ever added. The same row again (a replay) is accepted; other documents under the
    same version are refused.
    """

    workspace: str
    version: int
    seq: int
    documents: bytes


class ErasureRow(NamedTuple):
    """Something that the journal and the archive should forget, until they have.

    Attributes:
        key: The entity; see `engine.privacy.hidden.Erasure`.
        mark: What of it; see there.
        seq: The entry that said so.
        at_ms: When that was.
        tombstone: See there.
        sweep: The number of the sweep that takes it out, 0 before there is one.
        upto: The newest entry that it is taken out of.
    """

    key: str
    mark: str
    seq: int
    at_ms: int
    tombstone: bytes = b""
    sweep: int = 0
    upto: int = 0


@dataclass(frozen=True, slots=True)
class Commit:
    """What becomes durable together.

    Attributes:
        entries: The next entries of the journal, in order; may be empty for a checkpoint alone.
        rows: Entities to write or delete. Of several rows with one key the last one counts.
        definitions: Definitions to keep.
        start_seq: Entries below it are no longer needed for recovery. None leaves it as it is.
        erasures: Erasures to keep. Another one of the same key and mark takes its place.
        swept: The number of a sweep whose erasures are done with; 0 for none.
    """

    entries: Sequence[Entry] = ()
    rows: Sequence[EntityRow] = ()
    definitions: Sequence[DefinitionRow] = ()
    start_seq: int | None = field(default=None)
    erasures: Sequence[ErasureRow] = ()
    swept: int = 0


class ShardStore(Protocol):
    """One shard, opened by its one owner.

    `sync`, `commit`, `archive_passed`, `last_sweep`, `rewrite_next` and `wipe` block and belong in
    a thread; everything else is quick and belongs to the thread that serves. After a `StoreError`
    from any method but `rewrite_next`, which only reads and replaces, the owner must exit.
    """

    @property
    def shard(self) -> int:
        """The shard's number."""

    @property
    def secret(self) -> bytes:
        """The store's secret, the same for ever; empty in stores of earlier versions."""

    @property
    def epoch(self) -> int:
        """This owner's epoch: one more than that of the owner before it."""

    @property
    def start_seq(self) -> int:
        """Where recovery starts."""

    @property
    def last_seq(self) -> int:
        """The last entry that is committed; 0 for an empty journal."""

    def stage(self, commit: Commit) -> None:
        """Hands a commit over, for `sync` to write; until then nothing of it can be seen.

        Belongs to the thread that serves; `sync` must follow, once, before anything else is
        staged.

        Durability: none yet.

        Raises:
            Fenced: As `commit`.
            ValueError: As `commit`.
        """

    def sync(self) -> None:
        """Writes all of what was staged, or nothing. Blocks: belongs into a thread.

        Durability: everything in it is on stable storage when this returns.

        Raises:
            WriteFailed: The outcome is unknown. The store is poisoned.
        """

    def commit(self, commit: Commit) -> None:
        """Writes all of a commit, or nothing: `stage` and `sync` in one.

        Durability: everything in it is on stable storage when this returns.

        Raises:
            Fenced: Another owner has written, or the entries do not follow `last_seq` in this
                epoch. Nothing was written.
            WriteFailed: The outcome is unknown. The store is poisoned.
            ValueError: `start_seq` goes back, or beyond the journal. Nothing was written.
        """

    def journal(self, from_seq: int) -> Iterator[Entry]:
        """The live entries from `from_seq` on, each checked against the one before it.

        Raises:
            TornStore: An entry is missing, changed or misplaced.
            ValueError: `from_seq` lies before what the journal still holds.
        """

    def history(self) -> Iterator[Entry]:
        """All entries that are kept, archived and live, oldest first. Belongs into a thread.

        What comes in while it is read may be in it or not.

        Raises:
            TornStore: An entry is missing or changed.
        """

    def load(self, key: str) -> tuple[int, bytes] | None:
        """An entity's `(seq, data)` as of the last commit, or None."""

    def due(self) -> Iterator[tuple[str, int]]:
        """Every key with a timer, and when it is due. Cost: one pass over the shard."""

    def pending(self) -> Iterator[str]:
        """Every key with effects that are not settled. Cost: one pass over the shard."""

    def segment_counts(self) -> dict[str, int]:
        """How many entities are in each segment. Cost: one pass over the shard."""

    def entity_count(self) -> int:
        """How many entities there are. Cost: one pass over the shard."""

    def definitions(self) -> list[DefinitionRow]:
        """All definition rows, in the order in which they were journaled."""

    def scan(self, after: str, limit: int) -> list[tuple[str, int, bytes]]:
        """Up to `limit` entities `(key, seq, data)` with keys above `after`, ascending."""

    def archive_passed(self, all_of_it: bool = False) -> int:
        """Moves entries below `start_seq` to the archive; a bounded piece of work a call.

        Args:
            all_of_it: Also what is too little for a file.

        Returns:
            How many entries it moved. 0: nothing to do now.
        """

    def erasures(self, limit: int) -> list[ErasureRow]:
        """The oldest erasures that are not done with; those of a sweep that has begun first."""

    def rewrite_next(self, sweep: int, upto: int, change: Callable[[Entry], bytes]) -> int:
        """Rewrites the oldest file of the archive that a sweep has not rewritten yet.

        Args:
            sweep: The number of the sweep, above those of all before it.
            upto: The newest entry that it is about.
            change: Gives the payload that an entry should have; called for all of the file.

        Returns:
            How many files are left, this one included; 0 if there was none to rewrite.

        Durability: the file is there whole, as it was or as it should be, whenever power is lost.
        """

    def last_sweep(self) -> int:
        """The highest number of a sweep that has rewritten a file of the archive, or 0."""

    def wipe(self, most_bytes: int) -> None:
        """Makes sure that what was deleted is not in the files any more, either.

        Args:
            most_bytes: Of a larger file only what is certain to be there is wiped.
        """

    def close(self) -> None:
        """Gives the shard back. Safe to call twice, and on a poisoned store."""


class Store(Protocol):
    """All shards of one instance."""

    @property
    def store_id(self) -> str:
        """What tells this store from every other."""

    @property
    def shards(self) -> int:
        """How many shards it was created with."""

    def open_shard(self, shard: int, wait_s: float) -> ShardStore:
        """Takes a shard over: excludes the owner before, and makes the new epoch durable.

        Args:
            shard: Its number.
            wait_s: How long to wait for a dying predecessor.

        Raises:
            StoreLocked: The predecessor still lives after `wait_s`.
            ForeignStore: It is not this store's shard.
            TornStore: It is damaged.
        """


def check_commit(commit: Commit, shard: int, epoch: int, start_seq: int, last_seq: int) -> None:
    """What every implementation asks of a commit before it writes.

    Raises:
        Fenced: The entries do not follow `last_seq` in this epoch.
        ValueError: `start_seq` goes back, or beyond the journal.
    """
    for seq, entry in enumerate(commit.entries, last_seq + 1):
        if entry.seq != seq or entry.epoch != epoch:
            raise fenced(shard, f"entry {entry.seq} of epoch {entry.epoch}", epoch, seq)
    new_start = commit.start_seq
    if new_start is not None and not start_seq <= new_start <= last_seq + len(commit.entries) + 1:
        raise ValueError(
            f"shard {shard}: start_seq {new_start} is not between {start_seq} and the journal's end"
        )


def fenced(shard: int, got: str, epoch: int, seq: int) -> Fenced:
    """The error of an owner that was replaced."""
    return Fenced(
        f"shard {shard}: {got} where epoch {epoch} would write entry {seq}; nothing was written",
        "Another process owns the shard now: this one must exit",
    )
