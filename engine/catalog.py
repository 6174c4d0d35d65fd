"""A workspace's catalog: the one place where its definitions get their versions.

The catalog is an entity like any other, so definitions are ordered, journaled and recovered like
everything else. Applying a set of definitions gives it the next version and forwards it to every
shard; a shard installs versions strictly in turn. So all shards change definitions in the same
order, each at a point of its own journal, and a crash in the middle only delays the rest.

What is kept is bounded in bytes: the oldest versions make room. A newest version is never dropped,
so a set whose newest versions alone are too much is refused.
"""

from typing import Any

import msgpack

from engine import limits
from engine.activation import Activation
from engine.commands import install
from engine.reasons import Reason

VERSION = "version"
DOCUMENTS = "documents"


def apply_changes(act: Activation, documents: bytes, expected: int, shards: int) -> Reason:
    """Takes a set of changes into the catalog and forwards it to all shards.

    Args:
        act: An activation on the catalog entity.
        documents: A msgpack array of `[kind, name, body or None]`, checked at the door against
            catalog version `expected`.
        expected: The version that the caller read.
        shards: How many shards there are.

    Returns:
        ACCEPTED, or VERSION_CONFLICT if the catalog has moved on, or OUTBOX_FULL if the shards
        have not yet taken in the versions before, or TOO_LARGE if the newest versions of all
        definitions would take more than `limits.CATALOG_BYTES`.

    Cost: it packs what is kept; 30 ms for a full catalog.
    """
    entity = act.entity
    catalog = entity.traits or {VERSION: 0, DOCUMENTS: {}}
    if expected != catalog[VERSION]:
        return Reason.VERSION_CONFLICT
    if len(entity.outbox) + shards > max(limits.OUTBOX, 4 * shards):
        return Reason.OUTBOX_FULL
    version = catalog[VERSION] + 1
    kept: dict[str, list[Any]] = dict(catalog[DOCUMENTS])
    changes = msgpack.unpackb(documents)
    for kind, name, body in changes:
        history = [*kept.get(f"{kind}/{name}", ()), [version, body, act.now]]
        kept[f"{kind}/{name}"] = history[-limits.VERSIONS :]
    if not _make_room(kept):
        return Reason.TOO_LARGE
    for kind, name, body in changes:
        act.note("definition", f"{kind}/{name}", f"version {version}" if body else "deleted")
    entity.traits = {VERSION: version, DOCUMENTS: kept}
    for shard in range(shards):
        forward_id = act.next_id()
        command = install(forward_id, entity.key, entity.workspace, version, documents)
        entity.outbox[forward_id] = (shard, msgpack.packb(command))
        act.effects.forwards.append((entity.key, forward_id, shard, command))
    return Reason.ACCEPTED


def newest(traits: dict[str, Any]) -> dict[str, Any]:
    """The newest documents, for a query: `{version, documents: [[kind, name, version, body]]}`."""
    documents = []
    for label, history in sorted(traits.get(DOCUMENTS, {}).items()):
        kind, _, name = label.partition("/")
        version, body, _ = history[-1]
        if body is not None:
            documents.append([kind, name, version, body])
    return {"version": traits.get(VERSION, 0), "documents": documents}


def versions(traits: dict[str, Any], kind: str, name: str) -> list[list[Any]]:
    """All kept versions of one definition, oldest first: `[version, body or None, at_ms]`."""
    history: list[list[Any]] = traits.get(DOCUMENTS, {}).get(f"{kind}/{name}", [])
    return history


def _make_room(kept: dict[str, list[Any]]) -> bool:
    """Drops the oldest versions until the rest fits; False, with `kept` in no good state, if never.

    What a deletion left behind is a version like any other, so deleted names do not pile up.
    """
    excess = -limits.CATALOG_BYTES
    old: list[tuple[int, str, int]] = []
    for label, history in sorted(kept.items()):
        for at, record in enumerate(history):
            size_bytes = len(label) + len(msgpack.packb(record))
            excess += size_bytes
            if at < len(history) - 1 or record[1] is None:
                old.append((record[0], label, size_bytes))
    for _, label, size_bytes in sorted(old):
        if excess <= 0:
            break
        excess -= size_bytes
        kept[label] = kept[label][1:]
        if not kept[label]:
            del kept[label]
    return excess <= 0
