"""Tombstones without a name: what is remembered of an erased person is found by a hash of the key.

An id may say who somebody is as well as a trait does: an e-mail address, a name. So the row of
somebody who is erased, and of whom nothing is under way any more, lies under
`~/erased/<slot>-<hash of the key>`, and the hash is keyed with a secret of the store. Whoever has
the id and the store finds it; nobody reads the id from it. It is only how a row is stored: to the
engine the entity has its own key, whenever something is heard of it. In an archive that was
rewritten a command puts the tombstone in (`commands.erased`), and then it is an entity of that name
until its key is heard of again.

An `Erasure` is what a shard says of the commands that its journal and archive should not hold any
more; `engine.privacy.rewriting` takes them out, `actors.sweeping` sees to it.
"""

from typing import Final, NamedTuple

from engine.entity import Entity
from engine.messages.message import Messages
from engine.privacy.record import PRIVACY, digest
from engine.slots import slot_of

# No workspace has this name, so nothing that is defined bears on a tombstone.
PREFIX: Final = "~/erased/"

# What stands in `Erasure.mark`.
WHOLE: Final = ""
BACK: Final = "back"
NAMED: Final = "named "
LATE: Final = "late "


class Erasure(NamedTuple):
    """What should be forgotten of an entity, in the entries up to the one at hand.

    Attributes:
        key: The entity.
        mark: WHOLE: all commands to it. BACK: something was heard of it after it was erased; all
            commands to it, unless that was the person themself. NAMED and a key: that key, in the
            commands to it. LATE and the id of a forward: what is in that forward.
        tombstone: What it is at that moment, packed, for WHOLE and BACK.
    """

    key: str
    mark: str
    tombstone: bytes = b""


def hidden_key(key: str, secret: bytes) -> str:
    """The key of the tombstone of a key; for the secret see `digest`."""
    return f"{PREFIX}{slot_of(key)}-{digest('', key, secret)}"


def row_key(entity: Entity, secret: bytes) -> str:
    """The key of an entity's row."""
    return hidden_key(entity.key, secret) if is_hidden(entity) else entity.key


def slot_of_row(key: str) -> int:
    """The slot of a row: a tombstone stays in that of its own key."""
    if key.startswith(PREFIX):
        return int(key[len(PREFIX) :].partition("-")[0])
    return slot_of(key)


def was_erased(entity: Entity) -> bool:
    """Whether an entity was ever erased."""
    return "request" in entity.state.get(PRIVACY, ())


def is_hidden(entity: Entity) -> bool:
    """Whether all that is left of an entity is its tombstone."""
    return "gone" in entity.state.get(PRIVACY, ()) and not (
        entity.outbox or entity.kept or entity.timers or entity.segments
    )


def tombstone_of(entity: Entity) -> bytes:
    """What will be left of an erased entity when nothing of it is under way any more."""
    copy = Entity.unpack(entity.key, 0, entity.pack())
    copy.outbox = {}
    copy.kept = Messages()
    return copy.pack()
