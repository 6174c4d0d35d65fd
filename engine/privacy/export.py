"""Everything that is kept of a person, as plain values with readable names and ISO times.

It is what the person may ask for, so nothing is left out: what features keep without a name of its
own here is under `state` as it is kept. Only hashes of event ids are not told: they are counted.
"""

import math
from base64 import b64encode
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Final

from engine.conditions.consent import STATE as CONSENTS
from engine.dedup import HASH_BYTES
from engine.entity import Entity
from engine.identity import record as identity
from engine.journeys.context import map_in
from engine.journeys.instance import Instance
from engine.messages.message import Message
from engine.privacy.record import PRIVACY, SUPPRESSED, erased_ms

_NAMED: Final = (CONSENTS, PRIVACY, SUPPRESSED, identity.IDENTITY, identity.MERGED_INTO)


def export(entity: Entity, computed: Collection[str]) -> dict[str, Any]:
    """All that is kept of a person.

    Args:
        entity: The person's.
        computed: The names of computed traits.

    Cost: about a millisecond for a full profile.
    """
    traits = entity.traits
    told = identity.view(entity)
    return {
        "workspace": entity.workspace,
        "kind": entity.kind,
        "id": entity.id,
        "created_at": iso(entity.created_ms),
        "updated_at": iso(entity.updated_ms),
        "traits": plain({name: traits[name] for name in traits if name not in computed}),
        "computed_traits": plain({name: traits[name] for name in traits if name in computed}),
        "segments": {name: iso(ms) for name, ms in entity.segments.items()},
        "consents": {
            name: {"status": status, "at": iso(ms)}
            for name, (status, ms, *_) in entity.state.get(CONSENTS, {}).items()
        },
        "journeys": [
            *(_instance(instance) for instance in entity.ended_instances()),
            *(_instance(instance) for instance in entity.instances.values()),
        ],
        "messages": [_message(message) for message in entity.messages.values()],
        "events_counted": {name: _times(times) for name, times in entity.windows.items()},
        "event_ids_known": (len(entity.seen.young) + len(entity.seen.old)) // HASH_BYTES,
        "identifiers": [
            {"type": kind, "id": id_, "state": verdict}
            for kind, id_, verdict in told["identifiers"]
        ],
        "merges": [
            {"at": iso(line["at_ms"]), **plain({k: v for k, v in line.items() if k != "at_ms"})}
            for line in told["merges"]
        ],
        "trail": [
            {"at": iso(ms), "kind": kind, "subject": subject, "what": why}
            for ms, kind, subject, why in entity.trail_lines()
        ],
        "state": plain({k: v for k, v in entity.state.items() if k not in _NAMED}),
        "suppressed_at": iso(entity.state.get(SUPPRESSED, 0)),
        "erased_at": iso(erased_ms(entity)),
        "quarantine": entity.error,
    }


def iso(ms: int) -> str:
    """A time in ISO 8601, to the millisecond; empty for 0."""
    if not ms:
        return ""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


def plain(value: Any) -> Any:
    """A value as JSON can hold it: bytes as base64, what is no number as a text."""
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _instance(instance: Instance) -> dict[str, Any]:
    return {
        "id": instance.id,
        "journey": instance.journey,
        "version": instance.version,
        "key": instance.key,
        "status": instance.status,
        "step": instance.step,
        "entered_at": iso(instance.entered_ms),
        "ended_at": iso(instance.ended_ms),
        "due_at": iso(instance.due_ms),
        "first_event": plain(map_in(instance.first) if instance.first else None),
        "newest_event": plain(map_in(instance.newest) if instance.newest else None),
        "events": {name: plain(map_in(raw)) for name, raw in instance.aliases.items()},
        "trail": [
            {"at": iso(ms), "step": step, "what": what, "why": why}
            for ms, step, what, why in instance.trail
        ],
    }


def _message(message: Message) -> dict[str, Any]:
    told = {k: v for k, v in message.view().items() if not k.endswith("_ms") and k != "history"}
    return {
        **told,
        "created_at": iso(message.created_ms),
        "expires_at": iso(message.expires_ms),
        "history": [
            {"at": iso(ms), "status": status, "code": code, "what": detail}
            for ms, status, code, detail in message.view()["history"]
        ],
    }


def _times(times: list[Any]) -> list[Any]:
    """Times of events; one that a property is kept with is `[time, value, …]`."""
    return [[iso(one[0]), *plain(one[1:])] if isinstance(one, list) else iso(one) for one in times]
