"""A workspace's catalog: the one place where its definitions get their versions.

The catalog is an entity like any other, so definitions are ordered, journaled and recovered like
everything else. Applying a set of definitions gives it the next version and forwards it to every
shard; a shard installs versions strictly in turn. So all shards change definitions in the same
order, each at a point of its own journal, and a crash in the middle only delays the rest.
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
        have not yet taken in the versions before.
    """
    entity = act.entity
    catalog = entity.traits or {VERSION: 0, DOCUMENTS: {}}
    if expected != catalog[VERSION]:
        return Reason.VERSION_CONFLICT
    if len(entity.outbox) + shards > max(limits.OUTBOX, 4 * shards):
        return Reason.OUTBOX_FULL
    version = catalog[VERSION] + 1
    kept: dict[str, list[Any]] = dict(catalog[DOCUMENTS])
    for kind, name, body in msgpack.unpackb(documents):
        history = [*kept.get(f"{kind}/{name}", ()), [version, body, act.now]]
        kept[f"{kind}/{name}"] = history[-limits.VERSIONS :]
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
