"""Broadcasts and schedules: the runs of an audience begin at a set speed, without a row for each.

Each shard has one entity of kind `task` for each journey that begins this way. It holds a cursor
over the shard's people, in the order of their keys. A slice at a time it asks its host who comes
next; the host looks, and the answer is a chunk of commands that is journaled like everything that
comes in: an ENTER for each person of the audience, and where the cursor stands now. So nothing that
a shard does hangs on entities other than the one at work, a replay reads what was answered instead
of looking again, and a slice is taken whole or not at all. What was asked and not answered is in
the outbox, and is asked again after a restart.

The speed is divided over the shards. People who come after the cursor has passed are not entered.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from engine import commands, limits
from engine.commands import Command
from engine.journeys.entries import BROADCAST, SCHEDULE, Entry
from engine.journeys.model import ARCHIVED
from engine.reasons import Reason
from engine.slots import TASK, shard_of, slot_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.activation import Activation
    from engine.entity import Entity
    from engine.journeys.compile import Journey
    from engine.program import Program

STATE: Final = "broadcast"
TIMER: Final = "b:"
WALKING: Final = "walking"
DONE: Final = "done"
CANCELLED: Final = "cancelled"


@lru_cache(maxsize=limits.DEFINITIONS)
def task_key(workspace: str, journey: str, shard: int, shards: int) -> str:
    """The key of the entity that works for a journey in a shard: the first that lies there."""
    number = 0
    while True:
        key = f"{workspace}/{TASK}/{journey}/{number}"
        if shard_of(slot_of(key), shards) == shard:
            return key
        number += 1


def changed_tasks(before: "Program", after: "Program") -> "Iterator[str]":
    """The journeys whose tasks have to hear of a new version of the definitions."""
    old, new = before.journey_index, after.journey_index
    for name in sorted({*old.tasks, *new.tasks}):
        if old.newest.get(name) is not new.newest.get(name):
            yield name


def progress(entity: "Entity") -> list[dict[str, Any]]:
    """How far each schedule and broadcast of a task is, for a query.

    Returns:
        For each: its `number`, `run`, the journey's `version` when it began, `state` (walking, done
        or cancelled), `started_ms`, `ended_ms`, `visited` people, of whom so many were `offered`,
        and the next time it is due (`due_ms`, or 0).
    """
    found = []
    for number, walk in entity.state.get(STATE, {}).get("walks", {}).items():
        told = {name: value for name, value in walk.items() if name not in ("after", "walk")}
        due_ms = entity.timers.get(f"{TIMER}start:{number}", 0)
        found.append({"number": int(number), **told, "due_ms": due_ms})
    return found


def refresh(act: "Activation") -> None:
    """Brings a task in line with the newest version of its journey."""
    entity = act.entity
    name = _journey_of(entity)
    journey = act.program.journey_index.newest.get(name)
    state = entity.state.setdefault(STATE, {"version": -1, "walks": {}})
    version = journey.version if journey is not None else 0
    released = entity.program_version < 0  # from quarantine, where it lost its timers
    if state["version"] == version and not released:
        return
    state["version"] = version
    tasks = journey.tasks if journey is not None else ()
    walks: dict[str, Any] = state["walks"]
    for walk in walks.values() if released else ():
        entity.outbox.pop(walk.get("walk", ""), None)  # its answer was refused, or will be
        if walk.get("walk"):
            walk["walk"] = ""
    gone = journey is None or journey.status == ARCHIVED
    for number, walk in walks.items():
        if (gone or int(number) >= len(tasks)) and walk.get("state") == WALKING:
            _end(act, number, walk, CANCELLED)
    for token in [token for token in entity.timers if token.startswith(TIMER)]:
        act.clear_timer(token)
    if journey is None:
        walks.clear()  # one of the same name would be another journey
    if journey is None or not journey.begins:
        return
    for at, entry in enumerate(tasks):
        number = str(at)
        walk = walks.setdefault(number, {"run": 0})
        if walk["run"] and _kind_of(walk) != entry.kind:  # what stood here before is gone
            if walk.get("state") == WALKING:
                _end(act, number, walk, CANCELLED)
            walk["run"] = 0
        if entry.kind == SCHEDULE:
            _wait(act, number, entry)
        elif walk["run"] < entry.run and walk.get("state") != WALKING:
            _start(act, number, walk, entry.run, version)
            continue
        if walk.get("state") == WALKING and not walk["walk"]:
            act.set_timer(f"{TIMER}walk:{number}", max(walk["next_ms"], act.now + 1))


def on_timer(act: "Activation", what: str) -> None:
    """Begins what is due by the schedule, or asks for the next slice."""
    does, _, number = what.partition(":")
    entity = act.entity
    journey = act.program.journey_index.newest.get(_journey_of(entity))
    if journey is None or not journey.begins or int(number) >= len(journey.tasks):
        return
    walk = entity.state[STATE]["walks"][number]
    entry = journey.tasks[int(number)]
    if does == "walk":
        _ask(act, number, walk, journey)
        return
    if walk.get("state") == WALKING:
        act.note(STATE, journey.name, "not begun: the one before is still under way")
    else:
        _start(act, number, walk, act.now, journey.version)
    _wait(act, number, entry)


def take_walked(act: "Activation", command: Command) -> Reason:
    """Takes in where the cursor stands after a slice; the slice's people were entered before it."""
    _, _, walk_id, number, after, visited, offered, is_last = command
    entity = act.entity
    if walk_id not in entity.outbox:
        return Reason.DUPLICATE
    del entity.outbox[walk_id]
    walk = entity.state[STATE]["walks"][number]
    walk["walk"] = ""
    journey = act.program.journey_index.newest.get(_journey_of(entity))
    if journey is None or not journey.begins or int(number) >= len(journey.tasks):
        return Reason.ACCEPTED  # nobody was entered: the same people come when it goes on
    entry = journey.tasks[int(number)]
    walk["after"] = after
    walk["visited"] += visited
    walk["offered"] += offered
    if is_last:
        _end(act, number, walk, DONE)
        if entry.kind == BROADCAST and walk["run"] < entry.run:  # counted up meanwhile
            _start(act, number, walk, entry.run, journey.version)
        return Reason.ACCEPTED
    pause_ms = _pause_ms(entry, offered, act.shards)
    # What was missed in a pause or a crash is not made good by a burst.
    begun_ms = max(walk["next_ms"], act.now - limits.BROADCAST_LATE_MS)
    walk["next_ms"] = max(begun_ms + pause_ms, act.now + limits.BROADCAST_REST_MS)
    act.set_timer(f"{TIMER}walk:{number}", walk["next_ms"])
    return Reason.ACCEPTED


def _wait(act: "Activation", number: str, entry: Entry) -> None:
    due_ms = entry.plan.after(act.now) if entry.plan is not None else None
    if due_ms is not None:
        act.set_timer(f"{TIMER}start:{number}", due_ms)


def _start(act: "Activation", number: str, walk: dict[str, Any], run: int, version: int) -> None:
    walk.update(
        run=run, version=version, state=WALKING, started_ms=act.now, ended_ms=0, after="",
        visited=0, offered=0, next_ms=act.now, walk="",
    )  # fmt: skip
    act.note(STATE, _journey_of(act.entity), "begun")
    act.set_timer(f"{TIMER}walk:{number}", act.now + 1)


def _end(act: "Activation", number: str, walk: dict[str, Any], state: str) -> None:
    walk["state"] = state
    walk["ended_ms"] = act.now
    act.entity.outbox.pop(walk["walk"], None)
    walk["walk"] = walk["after"] = ""  # no trace of who was last
    act.clear_timer(f"{TIMER}walk:{number}")
    people = f"{walk['offered']} of {walk['visited']} people"
    act.note(STATE, _journey_of(act.entity), f"{state}: {people}")


def _ask(act: "Activation", number: str, walk: dict[str, Any], journey: "Journey") -> None:
    """Asks the host for the next slice; see `engine.journeys.walk`."""
    entity = act.entity
    entry = journey.tasks[int(number)]
    limit = min(limits.BROADCAST_SLICE, max(1, entry.per_minute // (60 * act.shards)))
    walk_id = walk["walk"] = act.next_id()
    # The same in all shards, so that somebody who moves to another one is not entered twice.
    request = f"{entry.kind}/{journey.name}/{number}/{walk['run']}/{walk['version']}"
    act.forward(
        walk_id,
        commands.walk(entity.key, walk_id, journey.name, number, walk["after"], limit, request),
    )


def _pause_ms(entry: Entry, offered: int, shards: int) -> int:
    """How long a slice of so many people takes at the entry's speed, on one shard of several."""
    return offered * 60_000 * shards // entry.per_minute


def _kind_of(walk: dict[str, Any]) -> str:
    """Whose a walk that was begun is: the run of a schedule is the time at which it was due."""
    return SCHEDULE if walk["run"] > limits.BROADCAST_RUNS else BROADCAST


def _journey_of(entity: "Entity") -> str:
    return entity.id.rpartition("/")[0]
