"""Finding out that two profiles are one person, and what happens until they are.

An event that names a known user and an anonymous visitor says that both are one person; so does
`alias` of two ids. The first time a profile hears of such an id it asks that id's profile to become
a part of it (LINK), and it holds back the event at hand, and those after it, until the answer is
there: a MERGE with all that the other was, or KEPT, since it is somebody else's already. Then they
are applied in their order. So what the visitor did before stands before the event that named the
visitor, as it happened, whichever shard is quicker: a purchase that names the visitor ends the
visitor's abandoned cart.

An event that waits is durable and acknowledged: it is in the entity's state. The wait is bounded,
by time and by number; past it the events are applied, and what is merged later is merged then.
"""

from engine import commands, limits
from engine.activation import Activation
from engine.commands import Command
from engine.identity.record import (
    ASKED,
    BLOCKED,
    FOREIGN,
    ID_KINDS,
    IDENTITY,
    MERGED,
    OVER,
    PARKED,
    WAITING,
    count_ids,
    name_of,
    record_of,
    settle_verdict,
)
from engine.packing import pack
from engine.privacy.record import erased_ms
from engine.reasons import Reason
from engine.slots import ANONYMOUS, USER, parse_key

WAIT_TIMER = "i:wait"
BY_EVENT = "event"
BY_ALIAS = "alias"


def look_at(act: Activation, command: Command) -> None:
    """Asks for the profiles of the ids that an event names besides the profile's own."""
    message_id, type_, name, other_id = command[2], command[3], command[4], command[8]
    if act.entity.kind != USER:
        return
    if other_id:
        ask(act, ANONYMOUS, other_id, message_id, BY_EVENT)
    if type_ == commands.ALIAS:
        ask(act, ANONYMOUS, name, message_id, BY_ALIAS)
        if act.program.rules.merges_users:
            ask(act, USER, name, message_id, BY_ALIAS)
        else:
            act.note("identity", f"user/{name}", "not merged: by the rules, only a visitor is")


def hold_back(act: Activation, command: Command) -> bool:
    """Lets an event wait, if the profile waits for others; False if it is to be applied now."""
    record = act.entity.state.get(IDENTITY)
    if not record or WAITING not in record:
        return False
    parked = record.setdefault(PARKED, [])
    parked.append(pack(command))
    if len(parked) >= limits.PARKED_EVENTS or sum(map(len, parked)) > limits.PARKED_BYTES:
        stop_waiting(act)
    return True


def await_origin(act: Activation, command: Command) -> bool:
    """Waits for the profile that a command was passed on from, if that has not come in yet.

    Only where a circle ends something may be quicker than the merge that it follows: what a profile
    passed on behind somebody else's merge stands before its own, which goes around once more.
    """
    entity, key = act.entity, command[1]
    _, kind, id_ = parse_key(key)
    if key == entity.key or kind not in ID_KINDS:
        return False
    record = record_of(entity)
    if record.get(kind, {}).get(id_) == MERGED:
        return False
    waiting = record.setdefault(WAITING, [])
    if key not in waiting:
        waiting.append(key)
        wait_from_now(act)
    return True


def take_ready(act: Activation) -> list[Command]:
    """What waited, in its order, once nothing is waited for; it is forgotten."""
    record = act.entity.state.get(IDENTITY)
    if not record or WAITING in record:
        return []
    act.clear_timer(WAIT_TIMER)
    return [commands.unpack_command(packed) for packed in record.pop(PARKED, ())]


def stop_waiting(act: Activation) -> None:
    """Gives up waiting: what was asked for comes when it comes."""
    waiting = record_of(act.entity).pop(WAITING, ())
    for key in waiting:
        act.note("identity", name_of(key), "has not answered yet: events do not wait for it longer")


def wait_from_now(act: Activation) -> None:
    """Bounds the wait for those who were asked."""
    wait_ms = limits.MERGE_WAIT_EVENT_TIME_MS if act.event_time else limits.MERGE_WAIT_MS
    act.set_timer(WAIT_TIMER, act.now + wait_ms)


def wait_again(act: Activation) -> None:
    """Bounds a wait whose timer was lost in a quarantine."""
    if act.entity.state.get(IDENTITY, {}).get(WAITING):
        wait_from_now(act)


def take_kept(act: Activation, command: Command) -> Reason:
    """Who was asked is a part of somebody else: the first that asked has it."""
    _, _, _, asked, owner = command
    record = record_of(act.entity)
    if owner == act.entity.key:
        settle_verdict(record, asked, MERGED)
        return Reason.ACCEPTED
    settle_verdict(record, asked, FOREIGN)
    act.note("identity", name_of(asked), f"not merged: it is a part of {name_of(owner)} already")
    return Reason.ACCEPTED


def ask(act: Activation, kind: str, id_: str, by: str, via: str) -> None:
    """Asks the profile of an id, once for ever, to become a part of this one."""
    entity = act.entity
    record = record_of(entity)
    ids = record.get(kind)
    if (ids and id_ in ids) or (kind == entity.kind and id_ == entity.id):
        return
    key = f"{entity.workspace}/{kind}/{id_}"
    if count_ids(record) >= limits.IDENTIFIERS or len(record.get("log", ())) >= limits.MERGES:
        if OVER not in record:
            why = f"not merged: a profile has {limits.IDENTIFIERS} ids and {limits.MERGES} merges"
            act.note("identity", name_of(key), why)
        record[OVER] = record.get(OVER, 0) + 1
        return
    ids = record.setdefault(kind, {})
    if act.program.rules.is_blocked(id_):
        ids[id_] = BLOCKED
        act.note("identity", name_of(key), "not merged: this id names nobody")
        return
    ids[id_] = ASKED
    record.setdefault(WAITING, []).append(key)
    forward_id = act.next_id()
    since_ms = erased_ms(entity)
    act.forward(forward_id, commands.link(key, forward_id, entity.key, by, via, since_ms))
    wait_from_now(act)
