"""The identity of a store: what must be the same at every start as it was at its birth.

The hash, its seed, the number of slots and of shards decide where every entity lives. A store
opened with another answer would not fail, it would lose people. So they are written once, into
`denrei.json` and into every shard file, and compared before anything is served.

So is the secret that the tombstones of erased people are hashed with (`engine.privacy.record`): a
shard's state is a function of its journal and of what it was given at birth. It is in `denrei.json`
alone, which only its owner may read; the shard files have a hash of it, so that whoever has one of
them has not the secret too. Stores of format 1 have none, and go on without.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from actors.store.connection import write_atomically
from actors.store.errors import ForeignStore, TornStore
from engine import limits, slots

FILE_NAME: Final = "denrei.json"
FORMAT: Final = 2
_WITHOUT_SECRET: Final = 1
_MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Identity:
    """What a store was created as.

    Attributes:
        store_id: A random id, given by whoever creates the store.
        shards: How many shards; fixed for ever.
        created_ms: When, Unix milliseconds.
        format: The version of the files' layout.
        hash_name: The hash of keys.
        hash_seed: Its seed.
        slots: How many slots.
        secret: A random secret, in hexadecimal digits, or a hash of it (see `shown`); empty in
            stores of earlier versions.
    """

    store_id: str
    shards: int
    created_ms: int
    format: int = _WITHOUT_SECRET
    hash_name: str = slots.HASH_NAME
    hash_seed: int = slots.HASH_SEED
    slots: int = limits.SLOTS
    secret: str = ""

    @classmethod
    def born(cls, store_id: str, shards: int, created_ms: int, secret: str) -> Identity:
        """The identity of a new store, in the lowest format that can hold it."""
        format_ = FORMAT if secret else _WITHOUT_SECRET
        return cls(store_id, shards, created_ms, format_, secret=secret)

    @property
    def key(self) -> bytes:
        """The secret as bytes, for keyed hashes."""
        return bytes.fromhex(self.secret)

    def shown(self) -> Identity:
        """The identity with a hash of the secret in its place, as shard files have it."""
        hidden = sha256(self.key).hexdigest() if self.secret else ""
        return replace(self, secret=hidden)

    def dump(self) -> str:
        """The identity as JSON, keys sorted."""
        fields = asdict(self)
        if self.format == _WITHOUT_SECRET:
            del fields["secret"]
        return json.dumps(fields, indent=2, sort_keys=True) + "\n"

    def write(self, directory: Path) -> None:
        """Writes `denrei.json`. Durability: synced when this returns."""
        write_atomically(directory / FILE_NAME, self.dump().encode(), _MODE)

    def check_readable(self, where: Path) -> None:
        """Checks that this program puts entities where the store has them.

        Raises:
            ForeignStore: It does not.
        """
        if self.format > FORMAT:
            raise ForeignStore(
                f"{where} has format {self.format}; this denrei reads formats up to {FORMAT}",
                "Install the denrei that wrote it, or a newer one",
            )
        ours = (slots.HASH_NAME, slots.HASH_SEED, limits.SLOTS)
        theirs = (self.hash_name, self.hash_seed, self.slots)
        if ours != theirs:
            raise ForeignStore(
                f"{where} places keys by hash, seed and slots {theirs}; this denrei by {ours}",
                "Install a denrei that hashes as the store does",
            )

    def check_shards(self, shards: int | None, where: Path) -> None:
        """Checks the number of shards that was asked for; None takes what there is.

        Raises:
            ForeignStore: The store has another number.
        """
        if shards is not None and shards != self.shards:
            raise ForeignStore(
                f"{where} was created with {self.shards} shards; it cannot be opened with {shards}",
                f"Leave the number of shards out, or set it to {self.shards}",
            )


def load_identity(text: str, where: Path) -> Identity:
    """Reads what `Identity.dump` wrote.

    Raises:
        TornStore: It is not that.
        ForeignStore: A newer denrei wrote it, or one with another hash.
    """
    try:
        fields: dict[str, Any] = json.loads(text)
        if fields["format"] != FORMAT:
            fields["secret"] = ""
        known = {name: fields[name] for name in Identity.__dataclass_fields__}
        bytes.fromhex(known["secret"])
    except (ValueError, KeyError, TypeError) as error:
        raise TornStore(
            f"{where} does not hold a store's identity ({error})", "Restore it from a backup"
        ) from error
    identity = Identity(**known)
    identity.check_readable(where)
    return identity


def read_identity(directory: Path) -> Identity | None:
    """The identity of the store in a directory; None if there is no store.

    Raises:
        TornStore: `denrei.json` is damaged.
        ForeignStore: Another denrei must read it.
    """
    path = directory / FILE_NAME
    if not path.exists():
        return None
    return load_identity(path.read_text(errors="replace"), path)
