"""Keys, slots and shards: where an entity lives.

A key is `workspace/kind/id`. Its slot is a hash of the key, for ever; shards are contiguous ranges
of slots; hosts own shards. The hash, its seed and the counts are written into a store at birth and
verified at every start, because an entity whose slot changed would be an entity that is lost.
"""

from sys import intern
from typing import Final, NamedTuple

from xxhash import xxh3_64_intdigest

from engine.limits import SLOTS

HASH_NAME: Final = "xxh3_64"
HASH_SEED: Final = 0x64656E726569  # "denrei"

USER: Final = "user"
ANONYMOUS: Final = "anonymous"
ADDRESS: Final = "address"
CATALOG: Final = "catalog"
TASK: Final = "task"
IDENTIFIER: Final = "identifier"
ACCOUNT: Final = "account"
LIMITER: Final = "limiter"
KINDS: Final = (USER, ANONYMOUS, ADDRESS, CATALOG, TASK, IDENTIFIER, ACCOUNT, LIMITER)
PROFILES: Final = (USER, ANONYMOUS)


class Key(NamedTuple):
    """The parts of an entity's key."""

    workspace: str
    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.workspace}/{self.kind}/{self.id}"


def parse_key(key: str) -> Key:
    """Splits `workspace/kind/id`; the id may itself hold slashes.

    Workspace and kind are interned: thousands of entities share them, and look-ups by them find
    one text that is in the cache.

    Raises:
        ValueError: The text has fewer than three parts.
    """
    workspace, kind, id_ = key.split("/", 2)
    return Key(intern(workspace), intern(kind), id_)


def catalog_key(workspace: str) -> str:
    """The key of the entity that holds a workspace's definitions."""
    return f"{workspace}/{CATALOG}/definitions"


def slot_of(key: str) -> int:
    """The slot of a key, 0 to 1023.

    Cost: one hash, about 0.15 µs.
    """
    return xxh3_64_intdigest(key.encode(), HASH_SEED) % SLOTS


def shard_of(slot: int, shards: int) -> int:
    """The shard that owns a slot: shards are contiguous ranges of slots."""
    return slot * shards // SLOTS


def slots_of(shard: int, shards: int) -> range:
    """The slots of a shard, the inverse of `shard_of`."""
    first = -(-shard * SLOTS // shards)
    past = -(-(shard + 1) * SLOTS // shards)
    return range(first, past)
