"""The entities of a shard in memory: which are hot, which are dirty, and what a checkpoint takes.

Hot entities are Python objects in two generations; a clean one that was not touched for a whole
generation is dropped and loaded again on touch. An entity is dirty from the first entry that its
stored row lacks until `take_rows` has packed it, and it stays in memory until that row is durable:
what is dropped can always be loaded as it was.

Who was erased and did not come back has no row of their own: the tombstone lies under a hash of the
key (`engine.privacy.hidden`), and is theirs again when something is heard of the key.
"""

import heapq
from collections.abc import Callable, Iterable

from engine import limits
from engine.entity import Entity
from engine.privacy.hidden import PREFIX, hidden_key, is_hidden, was_erased
from engine.sweep import Sweep

Load = Callable[[str], "tuple[int, bytes] | None"]
Scan = Callable[[str, int], "list[tuple[str, int, bytes]]"]
Row = tuple[str, int, int | None, bool, str, bytes | None]


class EntityTable:
    """The entities of one shard; see the module's text.

    Args:
        load: Gives `(seq, packed)` of an entity from the store, or None if it is new.
        scan: Gives up to so many `(key, seq, packed)` of the store, above a key, in their order.
        hot_entities: How many to keep as objects, at least; twice as many at most, and more only
            while they wait for a checkpoint.

    Attributes:
        young: The entities of the younger generation; replaced when a generation ends.
        dirty: Key to the first entry that the stored row lacks, oldest first.
        count: How many entities there are, stored or not.
        back: Keys of which something was heard after they were erased, with their tombstones.
        secret: What the keys of tombstones are hashed with.
    """

    __slots__ = (
        "_has_hidden", "_hot_entities", "_load", "_old", "_risen", "_scan", "_sweep", "_writing",
        "back", "count", "dirty", "secret", "young",
    )  # fmt: skip

    def __init__(self, load: Load, scan: Scan, hot_entities: int = limits.HOT_ENTITIES) -> None:
        self.young: dict[str, Entity] = {}
        self.dirty: dict[str, int] = {}
        self.count = 0
        self.back: list[tuple[str, bytes]] = []
        self.secret = b""
        self._has_hidden = False
        self._risen: set[str] = set()  # tombstones whose rows are there, and are of no use any more
        self._load = load
        self._scan = scan
        self._hot_entities = hot_entities
        self._old: dict[str, Entity] = {}
        self._writing: dict[str, int] = {}
        self._sweep = Sweep()

    def recover(self, stored: int) -> None:
        """Takes note of what the store holds: so many entities."""
        self.count = stored
        self._has_hidden = any(key.startswith(PREFIX) for key, *_ in self._scan(PREFIX, 1))

    def touch(self, key: str, now_ms: int) -> Entity:
        """An entity that is not young: from the old generation, from the store, or new."""
        entity = self._old.pop(key, None)
        if entity is None:
            entity = self._load_one(key)
            if entity is None and self._has_hidden:
                entity = self._unearth(key)
            if entity is None:
                entity = Entity(key, now_ms)
                entity.seq = -1
                self.count += 1
        self.young[key] = entity
        return entity

    def hot(self, key: str) -> Entity | None:
        """An entity if it is in memory."""
        return self.young.get(key) or self._old.get(key)

    def all_hot(self) -> Iterable[Entity]:
        """All entities in memory, in an order that is no part of the state."""
        yield from self._old.values()
        yield from self.young.values()

    def peek(self, key: str) -> Entity | None:
        """An entity as it stands, for a query; None if there is none. Changes nothing."""
        return self.hot(key) or self._load_one(key) or self._hidden(key)

    def bury(self, hidden: str, packed: bytes, seq: int) -> None:
        """Puts a tombstone where an archive says that somebody was erased."""
        if self.peek(hidden) is None:
            self.count += 1
        self._old.pop(hidden, None)
        self._risen.discard(hidden)
        self.young[hidden] = Entity.unpack(hidden, -1, packed)
        self.dirty.setdefault(hidden, seq)
        self._has_hidden = True

    def forget(self, key: str) -> bool:
        """Drops an entity from memory; False if the store does not hold it as it is."""
        if key in self.dirty or key in self._writing:
            return False
        self.young.pop(key, None)
        self._old.pop(key, None)
        return True

    def _hidden(self, key: str) -> Entity | None:
        """The tombstone of a key, as an entity of that key."""
        if not self._has_hidden or key.startswith(PREFIX):
            return None
        hidden = hidden_key(key, self.secret)
        entity = self.hot(hidden)
        stored = (entity.seq, entity.pack()) if entity else self._load(hidden)
        return None if stored is None else Entity.unpack(key, *stored)

    def _unearth(self, key: str) -> Entity | None:
        entity = self._hidden(key)
        if entity is not None:
            hidden = hidden_key(key, self.secret)
            self.back.append((key, entity.pack()))
            self.young.pop(hidden, None)
            self._old.pop(hidden, None)
            self.dirty.pop(hidden, None)
            self._risen.add(hidden)
        return entity

    def _load_one(self, key: str) -> Entity | None:
        if len(self.young) + len(self._old) >= self.count:
            return None  # all that there are is in memory
        stored = self._load(key)
        return None if stored is None else Entity.unpack(key, *stored)

    def end_entry(self) -> None:
        """Ends a generation if it has grown enough."""
        if len(self.young) < self._hot_entities:
            return
        dirty, writing = self.dirty, self._writing
        keep = {k: entity for k, entity in self._old.items() if k in dirty or k in writing}
        self._old = {**keep, **self.young}
        self.young = {}

    def scan(self, after: str, limit: int) -> list[Entity]:
        """Up to `limit` entities with keys above `after`, ascending, for a query.

        Cost: one page of the store and one pass over the dirty entities.
        """
        stored = self._scan(after, limit)
        packed = {key: (seq, data) for key, seq, data in stored}
        last = stored[-1][0] if len(stored) == limit else None
        recent = (
            key
            for keys in (self.dirty, self._writing)
            for key in keys
            if key > after and (last is None or key < last)
        )
        keys = heapq.nsmallest(limit, {*recent, *packed})
        if self._risen:
            keys = [key for key in keys if key not in self._risen]
        return [self.hot(key) or Entity.unpack(key, *packed[key]) for key in keys]

    def rows_until(self, part: float) -> int:
        """How many rows bring the sweep to a part of its round; see `Sweep.rows_until`."""
        return self._sweep.rows_until(self.dirty, part)

    def take_rows(self, limit: int, seq: int) -> list[Row]:
        """Packs dirty entities, in the order of the sweep.

        Args:
            limit: At most this many.
            seq: The newest applied entry, which the rows include.

        Returns:
            `(key, seq, due_ms, pending, segments, data)` for the store.

        Cost: about 10 µs a row.
        """
        rows: list[Row] = []
        young, old, dirty, writing = self.young, self._old, self.dirty, self._writing
        while len(rows) < limit and dirty:
            for key in self._sweep.next_keys(dirty, limit - len(rows)):
                entity = young.get(key) or old[key]
                del dirty[key]
                writing[key] = seq
                segments = ""
                if entity.segments:
                    prefix = entity.workspace + "/"
                    segments = "\n".join([prefix + name for name in entity.segments])
                pending = bool(entity.outbox)
                if entity.state and was_erased(entity):
                    rows += _rows_of_the_erased(entity, seq, segments, self.secret)
                    self._has_hidden = True
                else:
                    rows.append((key, seq, entity.due_ms, pending, segments, entity.pack()))
        return rows

    def rows_stored(self, rows: Iterable[Row]) -> None:
        """Takes note that rows which `take_rows` gave are durable."""
        writing = self._writing
        for row in rows:
            key = row[0]
            if writing.get(key) == row[1]:
                del writing[key]
        if self._risen:
            self._risen.difference_update(row[0] for row in rows)

    def oldest_needed(self, seq: int) -> int:
        """The first journal entry that a recovery would have to replay.

        The newest one, `seq`, always is: it holds the shard's time.
        """
        for first in self.dirty.values():
            return first
        return max(1, seq)


def _rows_of_the_erased(entity: Entity, seq: int, segments: str, secret: bytes) -> list[Row]:
    """The row under the key or under its hash, and that there is none under the other."""
    key, hidden = entity.key, hidden_key(entity.key, secret)
    kept, gone = (hidden, key) if is_hidden(entity) else (key, hidden)
    return [
        (kept, seq, entity.due_ms, bool(entity.outbox), segments, entity.pack()),
        (gone, seq, None, False, "", None),
    ]
