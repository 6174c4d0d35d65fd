"""A slice of a broadcast: what a host answers when a task asks who comes next.

It looks at the shard as it is and changes nothing. What it finds is only who is asked: whether
somebody enters is decided by the ENTER, when it is applied. So somebody who has not been evaluated
under the newest definitions is always asked.
"""

from typing import TYPE_CHECKING

from engine import commands, limits
from engine.commands import Command
from engine.identity.record import MERGED_INTO
from engine.journeys.entries import Entry
from engine.slots import ANONYMOUS, PROFILES, parse_key

if TYPE_CHECKING:
    from engine.entity import Entity
    from engine.shard import Shard

_PAGE = 100


def answer(shard: "Shard", asked: Command) -> list[Command]:
    """The commands to journal, in one chunk, so that they are one entry or none.

    Args:
        shard: The shard that asked.
        asked: A `commands.walk`.

    Returns:
        An ENTER for each person of the audience in the slice, then a WALKED.

    Cost: it looks at `limits.BROADCAST_SCAN` entities at most.
    """
    _, key, walk_id, name, number, after, limit, request = asked
    workspace = parse_key(key).workspace
    program, _ = shard.workspaces.of(workspace)
    journey = program.journey_index.newest.get(name)
    entry = journey.tasks[int(number)] if journey and int(number) < len(journey.tasks) else None
    cursor = after or f"{workspace}/{ANONYMOUS}/"
    if entry is None:
        return [commands.walked(key, walk_id, number, after, 0, 0, False)]
    found: list[Command] = []
    looked, visited, is_last = 0, 0, False
    while looked < limits.BROADCAST_SCAN and len(found) < limit and not is_last:
        page = shard.scan(cursor, _PAGE)
        is_last = not page
        for entity in page:
            if not entity.key.startswith(f"{workspace}/"):
                is_last = True
                break
            cursor = entity.key
            looked += 1
            if entity.kind not in PROFILES or MERGED_INTO in entity.state:
                continue  # who became a part of somebody is asked as that one
            visited += 1
            if entity.program_version != program.version or _takes(entry, entity, shard.now):
                found.append(
                    commands.enter(entity.key, request, name, b"", entry.kind, int(number))
                )
                if len(found) == limit:
                    break
    return [
        *found,
        commands.walked(key, walk_id, number, cursor, visited, len(found), is_last),
    ]


def _takes(entry: Entry, entity: "Entity", now_ms: int) -> bool:
    """Whether somebody is in the audience; who meets a bug there is asked, and quarantined."""
    try:
        return entry.where is None or entry.where.check(entity, now_ms)[0]
    except Exception:
        return True
