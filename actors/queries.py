"""Questions to a shard: what a reader may ask, and how the answer looks.

A question changes nothing and is not journaled. It runs on the host's loop between two entries, so
it sees whole entries only; its work is bounded, so that reading does not disturb ingestion.
Answers are plain values (maps, lists, numbers, texts), ready for msgpack.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from engine import catalog, limits
from engine.entity import Entity
from engine.errors import NotFound
from engine.governance.waiting import waiting_of
from engine.identity import record as identity
from engine.journeys import broadcast
from engine.messages.inbound import received_of
from engine.messages.message import Message
from engine.messages.states import WAITING
from engine.privacy import export as exporting
from engine.privacy.record import is_gone
from engine.reasons import Reason
from engine.shard import Shard
from engine.slots import PROFILES, catalog_key
from engine.verification import run as verifying

Query = Callable[[Shard, dict[str, Any]], Any]


def profile(shard: Shard, args: dict[str, Any]) -> dict[str, Any] | None:
    """A profile: `{key, trail: bool}` → traits, segments, instances, messages, and the trail.

    Beside them stands what `identity.view` tells; of a profile that became a part of another one
    `merged_into` is the key of that, and nearly nothing is left here.
    """
    entity = shard.peek(args["key"])
    if entity is None:
        return None
    return {
        "key": entity.key,
        "traits": entity.traits,
        "segments": entity.segments,
        "instances": [instance.view() for instance in entity.instances.values()],
        "ended": [instance.view() for instance in entity.ended_instances()],
        "messages": [message.view() for message in entity.messages.values()],
        "trail": entity.trail_lines() if args.get("trail", True) else [],
        "created_ms": entity.created_ms,
        "updated_ms": entity.updated_ms,
        "error": entity.error,
        **identity.view(entity),
    }


def instances(shard: Shard, args: dict[str, Any]) -> dict[str, Any]:
    """Instances of one entity (`key`), or of a journey over the shard (`workspace`, `journey`).

    The second reads entities in the order of their keys, a bounded slice a call: `next` is where
    to go on, or empty at the end.
    """
    journey = args.get("journey", "")
    if args.get("key"):
        entity = shard.peek(args["key"])
        found = _instances_of(entity, journey) if entity else []
        return {"items": found, "next": ""}
    limit = min(int(args.get("limit") or limits.PAGE_ITEMS), limits.PAGE_ITEMS)
    prefix = args["workspace"] + "/"
    items: list[dict[str, Any]] = []
    last = ""
    for entity in shard.scan(args.get("after", ""), limits.PAGE_ITEMS):
        last = entity.key
        if entity.key.startswith(prefix):
            items.extend(_instances_of(entity, journey))
        if len(items) >= limit:
            break
    return {"items": items, "next": last}


def message(shard: Shard, args: dict[str, Any]) -> dict[str, Any] | None:
    """One message of an entity: `{key, id}`; `{merged_into}` if it went with its profile."""
    entity = shard.peek(args["key"])
    found = entity.kept.get(args["id"]) if entity else None
    if found is None and entity is not None and identity.merged_into(entity):
        return {"merged_into": identity.merged_into(entity)}
    return _message_view(entity, found) if entity is not None and found else None


def messages(shard: Shard, args: dict[str, Any]) -> list[dict[str, Any]]:
    """All kept messages of an entity, oldest first: `{key}`."""
    entity = shard.peek(args["key"])
    return [_message_view(entity, m) for m in entity.messages.values()] if entity else []


def messages_of_all(shard: Shard, args: dict[str, Any]) -> dict[str, Any]:
    """Messages of a workspace: `{workspace, after, skip, limit, wanted}`.

    People stand in the order of their keys, the messages of each newest first. `wanted` says which,
    as `is_wanted` reads it.

    Returns:
        `items`; `next`, the key to go on after, and `skip`, how many messages of the one behind it
        were told; `next` is empty at the end.

    Cost: a slice of at most `limits.PAGE_ITEMS` entities, about 20 µs each.
    """
    limit = min(int(args.get("limit") or limits.PAGE_ITEMS), limits.PAGE_ITEMS)
    prefix, wanted = args["workspace"] + "/", args.get("wanted") or {}
    items: list[dict[str, Any]] = []
    last, skip = args.get("after") or prefix, int(args.get("skip") or 0)
    found = shard.scan(last, limits.PAGE_ITEMS)
    for entity in found:
        if not entity.key.startswith(prefix):
            return {"items": items, "next": "", "skip": 0}
        if not entity.kept.number:
            last, skip = entity.key, 0
            continue
        views = [_message_view(entity, one) for one in reversed(entity.kept.every())]
        taken = [view for view in views if is_wanted(view, wanted)][skip:]
        room = limit - len(items)
        items += taken[:room]
        if len(taken) > room:
            return {"items": items, "next": last, "skip": skip + room}
        last, skip = entity.key, 0
    return {"items": items, "next": last if len(found) == limits.PAGE_ITEMS else "", "skip": 0}


def is_wanted(view: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether a message is as asked: by `journey`, `carrier`, `channel`, `lane`, `statuses`."""
    for name in ("journey", "carrier", "channel", "lane"):
        if wanted.get(name) and view[name] != wanted[name]:
            return False
    statuses = wanted.get("statuses")
    return not statuses or view["status"] in statuses


def _message_view(entity: Entity, message: Message) -> dict[str, Any]:
    """A message as plain values, with what only its entity knows: its journey, and its wait."""
    due_ms = 0
    if message.status in WAITING:
        due_ms = next((o.due_ms for o in waiting_of(entity.state) if o.id == message.id), 0)
    return {
        "key": entity.key,
        **message.view(),
        "journey": _journey_of(entity, message.instance),
        "due_ms": due_ms,
    }


def _journey_of(entity: Entity, instance_id: str) -> str:
    if not instance_id:
        return ""
    instance = entity.instances.get(instance_id)
    if instance is not None:
        return instance.journey
    return next((one.journey for one in entity.ended_instances() if one.id == instance_id), "")


def definitions(shard: Shard, args: dict[str, Any]) -> dict[str, Any]:
    """The newest definitions of a workspace, from the shard that holds its catalog."""
    entity = shard.peek(catalog_key(args["workspace"]))
    return catalog.newest(entity.traits if entity else {})


def versions(shard: Shard, args: dict[str, Any]) -> list[list[Any]]:
    """All kept versions of one definition: `{workspace, kind, name}`."""
    entity = shard.peek(catalog_key(args["workspace"]))
    return catalog.versions(entity.traits if entity else {}, args["kind"], args["name"])


def inbound(shard: Shard, args: dict[str, Any]) -> dict[str, Any]:
    """What people sent, as far as an entity has heard it and keeps it: `{key}`.

    Returns:
        `items`, oldest first; and `merged_into`, the profile that it is part of now, or empty.
    """
    entity = shard.peek(args["key"])
    return {
        "items": received_of(entity) if entity else [],
        "merged_into": identity.merged_into(entity) if entity else "",
    }


def lanes(shard: Shard, args: dict[str, Any]) -> dict[str, Any]:
    """What the shard would tell senders: `{workspace}`, or empty for all workspaces.

    Returns:
        By workspace `[version, Program.for_senders()]`; one without definitions is not there.
    """
    wanted = args["workspace"]
    return {
        workspace: [program.version, program.for_senders()]
        for workspace, program in shard.programs.items()
        if not wanted or workspace == wanted
    }


def sizes(shard: Shard, args: dict[str, Any]) -> dict[str, int]:
    """Members of each segment of a workspace on this shard."""
    prefix = args["workspace"] + "/"
    return {
        label[len(prefix) :]: members
        for label, members in shard.sizes.items()
        if label.startswith(prefix)
    }


def members(shard: Shard, args: dict[str, Any]) -> dict[str, Any]:
    """Members of a segment: `{workspace, segment, after, limit}`.

    Returns:
        `items` as `[key, entered_ms]`, in the order of their keys; `next`, where to go on, or
        empty at the end.

    Cost: a slice of at most `limits.PAGE_ITEMS` entities, about 20 µs each.
    """
    limit = min(int(args.get("limit") or limits.PAGE_ITEMS), limits.PAGE_ITEMS)
    prefix, name = args["workspace"] + "/", args["segment"]
    items: list[list[Any]] = []
    found = shard.scan(args.get("after") or prefix, limit)
    entities = [entity for entity in found if entity.key.startswith(prefix)]
    for entity in entities:
        entered_ms = entity.segments.get(name)
        if entered_ms is not None and entity.kind in PROFILES:
            items.append([entity.key, entered_ms])
    return {"items": items, "next": entities[-1].key if len(entities) == limit else ""}


def tally(shard: Shard, args: dict[str, Any]) -> dict[str, Any]:
    """Counts over a slice of a workspace's entities, for reports: `{workspace, after, limit}`.

    Returns:
        `profiles` (users and anonymous visitors); `instances` as `[journey, status, step, n]`;
        `messages` as `[channel, carrier, status, n]`, addresses' too; `next`, where to go on, or
        empty at the end.

    Cost: about 20 µs an entity; at most `limits.PAGE_ITEMS` of them.
    """
    prefix = args["workspace"] + "/"
    runs: Counter[tuple[str, str, str]] = Counter()
    sent: Counter[tuple[str, str, str]] = Counter()
    profiles = 0
    limit = min(int(args.get("limit") or limits.PAGE_ITEMS), limits.PAGE_ITEMS)
    found = shard.scan(args.get("after") or prefix, limit)
    entities = [entity for entity in found if entity.key.startswith(prefix)]
    for entity in entities:
        is_one = entity.kind in PROFILES and not identity.merged_into(entity)
        profiles += is_one and not is_gone(entity)
        for instance in (*entity.ended_instances(), *entity.instances.values()):
            runs[instance.journey, instance.status, instance.step] += 1
        for one in entity.messages.values():
            sent[one.channel, one.carrier, Reason(one.status).name] += 1
    return {
        "profiles": profiles,
        "instances": [[*run, n] for run, n in sorted(runs.items())],
        "messages": [[*label, n] for label, n in sorted(sent.items())],
        "next": entities[-1].key if len(entities) == limit else "",
    }


def broadcasts(shard: Shard, args: dict[str, Any]) -> list[dict[str, Any]]:
    """How far a journey's schedules and broadcasts are on the shard: `{workspace, journey}`.

    See `engine.journeys.broadcast.progress`; the counts of all shards add up.
    """
    key = broadcast.task_key(args["workspace"], args["journey"], shard.index, shard.shards)
    entity = shard.peek(key)
    return broadcast.progress(entity) if entity else []


def export(shard: Shard, args: dict[str, Any]) -> dict[str, Any] | None:
    """Everything that is kept of a person: `{key}`; see `engine.privacy.export`.

    Of a profile that became a part of another one it is `{merged_into}`.
    """
    entity = shard.peek(args["key"])
    if entity is None:
        return None
    if identity.merged_into(entity):
        return {"merged_into": identity.merged_into(entity)}
    program = shard.programs.get(entity.workspace)
    return exporting.export(entity, program.computed if program else ())


def verifier(shard: Shard, args: dict[str, Any]) -> dict[str, Any] | None:
    """What codes of a verification look like: `{workspace, name}` → `{length, alphabet}`."""
    program = shard.programs.get(args["workspace"])
    found = program.verifications.get(args["name"]) if program else None
    return None if found is None else {"length": found.length, "alphabet": found.alphabet}


def verification(shard: Shard, args: dict[str, Any]) -> dict[str, Any] | None:
    """The newest verification of an address: `{key, name}`; see `engine.verification.run.view`."""
    entity = shard.peek(args["key"])
    if entity is None:
        return None
    program = shard.programs.get(entity.workspace)
    return verifying.view(entity, args["name"], program.verifications if program else {})


QUERIES: dict[str, Query] = {
    "profile": profile,
    "instances": instances,
    "message": message,
    "messages": messages,
    "messages_of_all": messages_of_all,
    "catalog": definitions,
    "versions": versions,
    "lanes": lanes,
    "inbound": inbound,
    "sizes": sizes,
    "tally": tally,
    "members": members,
    "broadcasts": broadcasts,
    "export": export,
    "verifier": verifier,
    "verification": verification,
}


def ask(shard: Shard, name: str, args: dict[str, Any]) -> Any:
    """Answers one question.

    Raises:
        NotFound: There is no such question.
    """
    query = QUERIES.get(name)
    if query is None:
        msg = f"no query {name!r}; there are {', '.join(QUERIES)}"
        raise NotFound(msg)
    return query(shard, args)


def _instances_of(entity: Entity, journey: str) -> list[dict[str, Any]]:
    found = [*entity.ended_instances(), *entity.instances.values()]
    return [
        {"user": entity.id, "entity": entity.key, **instance.view()}
        for instance in found
        if not journey or instance.journey == journey
    ]
