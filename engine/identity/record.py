"""What an entity knows of its own identity: plain values in its state, and how to read them.

`state["merged_into"]` is there once a profile has become a part of another one, and names its key.
`state["merged_since"]` is when that one was erased last, if it ever was (`engine.privacy`).
`state["identity"]` is a map; what is empty is absent from it:

    anonymous, user   ids that belong to this profile, or do not: id to one of the verdicts below
    waiting           keys of the profiles that were asked to become a part of this one
    parked            events that wait until they have answered, packed commands
    log               what each merge moved, newest last
    away              messages that a merged profile handed to a sender: id to that profile's key
    sent, got         how many commands were passed on to a key, and taken from one
    claims            identifiers by type: value to a verdict
    returned          how often the merge of this profile came back to it, in a circle of aliases
    over              how many ids came after the limit
    seed              the key by which chance goes, if it is not this profile's own
"""

from collections.abc import Container
from typing import Any, Final

from engine import limits
from engine.entity import Entity
from engine.slots import ANONYMOUS, USER, parse_key

MERGED_INTO: Final = "merged_into"
MERGED_SINCE: Final = "merged_since"
IDENTITY: Final = "identity"

WAITING: Final = "waiting"
PARKED: Final = "parked"
LOG: Final = "log"
AWAY: Final = "away"
SENT: Final = "sent"
GOT: Final = "got"
OVER: Final = "over"
RETURNED: Final = "returned"
SEED: Final = "seed"
CLAIMS: Final = "claims"

# What is known of an id: it was asked for, is a part of this profile, belongs to somebody else, or
# is none that names a person.
ASKED: Final = 0
MERGED: Final = 1
FOREIGN: Final = 2
BLOCKED: Final = 3
VERDICTS: Final = ("asked", "merged", "foreign", "blocked")

ID_KINDS: Final = (ANONYMOUS, USER)

Record = dict[str, Any]


def record_of(entity: Entity) -> Record:
    """The identity record of an entity, made if there is none. It is changed in place."""
    record: Record = entity.state.setdefault(IDENTITY, {})
    return record


def merged_into(entity: Entity) -> str:
    """The key of the profile that this one is a part of now, or empty."""
    key: str = entity.state.get(MERGED_INTO, "")
    return key


def seed_of(entity: Entity) -> str:
    """The key by which chance goes: that of the first of all profiles that are this one now.

    So who has become known, or was given another id, falls as they did before.
    """
    record = entity.state.get(IDENTITY)
    key: str = record.get(SEED, entity.key) if record else entity.key
    return key


def has_id(record: Record, ids: Container[str]) -> bool:
    """Whether a user id that is a part of this profile is one of some."""
    return any(verdict == MERGED and id_ in ids for id_, verdict in record.get(USER, {}).items())


def name_of(key: str) -> str:
    """What people call a key: without its workspace."""
    return key.partition("/")[2]


def count_ids(record: Record) -> int:
    """How many ids a profile knows something of."""
    claims = record.get(CLAIMS, {})
    return sum(len(record.get(kind, ())) for kind in ID_KINDS) + sum(map(len, claims.values()))


def keep_verdict(ids: dict[str, int], id_: str, verdict: int) -> None:
    """Writes a verdict down; MERGED is the last word."""
    if ids.get(id_) != MERGED:
        ids[id_] = verdict


def settle_verdict(record: Record, key: str, verdict: int) -> None:
    """Writes down what is known of the id in a key; MERGED is the last word."""
    _, kind, id_ = parse_key(key)
    keep_verdict(record.setdefault(kind, {}), id_, verdict)
    waiting = record.get(WAITING)
    if waiting and key in waiting:
        waiting.remove(key)
        if not waiting:
            del record[WAITING]


def write_log(record: Record, line: dict[str, Any]) -> None:
    """Adds a line to the merge log; past the limit the oldest goes."""
    log = record.setdefault(LOG, [])
    log.append(line)
    if len(log) > limits.MERGES:
        del log[0]


def view(entity: Entity) -> dict[str, Any]:
    """The identity of a profile as plain values with names, for queries.

    Returns:
        `merged_into`, a key or empty; `identifiers` as `[kind, id, verdict]`; `merges`, the log;
        `waiting`, the keys of profiles that have not answered yet; `parked`, how many events wait.
    """
    record: Record = entity.state.get(IDENTITY, {})
    return {
        "merged_into": merged_into(entity),
        "identifiers": [
            [kind, id_, VERDICTS[verdict]]
            for kind, ids in (
                *((kind, record.get(kind, {})) for kind in ID_KINDS),
                *record.get(CLAIMS, {}).items(),
            )
            for id_, verdict in ids.items()
        ],
        "merges": list(record.get(LOG, ())),
        "waiting": list(record.get(WAITING, ())),
        "parked": len(record.get(PARKED, ())),
    }
