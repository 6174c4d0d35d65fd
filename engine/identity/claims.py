"""Identifiers that several profiles may bring: e-mail addresses, phones, devices, ids of your own.

The rules name the types that match people; without them nothing here is at work. Each value is an
entity of its own that knows whose it is. A profile that brings a value for the first time claims
it, and hears who has it: nobody yet, so it is its own; itself, or a profile that is a part of it;
or somebody else. Then an anonymous visitor becomes a part of whoever has it, a known user takes in
the visitor who has it, and of two known users the one who comes later does without it.

An event is not held back for this: it is applied where it came in, and moves with its profile a
moment later. That is why a profile which both matches somebody and is somebody else's is decided in
the order in which identifiers answer; the first one wins, and all others see its choice.
"""

from typing import Any

from engine import commands, limits
from engine.activation import Activation, EventView
from engine.commands import Command
from engine.identity import links, stub
from engine.identity.record import (
    ASKED,
    BLOCKED,
    CLAIMS,
    FOREIGN,
    MERGED,
    OVER,
    count_ids,
    keep_verdict,
    name_of,
    record_of,
)
from engine.journeys.context import map_in
from engine.privacy.record import PRIVACY, erased_ms
from engine.reasons import Reason
from engine.slots import ANONYMOUS, IDENTIFIER, parse_key

_OWNER = "owner"
_OTHERS = "others"
_SINCE = "since"  # when the owner was erased before it claimed this, if it ever was
_SPELLED_ALIKE = frozenset({"email"})


def look_at(act: Activation, event: EventView) -> None:
    """Claims the identifiers that an event brings and that are new to the profile.

    Call it only if the rules name types.
    """
    types = act.program.rules.types
    if event.type == commands.IDENTIFY and event.raw:
        for type_ in types:
            value = event.properties.get(type_)
            if isinstance(value, str | int) and not isinstance(value, bool):
                _claim(act, type_, str(value), event.message_id)
    if event.context_raw:
        for type_, value in _external_ids(event.context_raw):
            if type_ in types:
                _claim(act, type_, value, event.message_id)


def take_claim(act: Activation, command: Command) -> Reason:
    """At an identifier: whose it is. At a profile: the answer to that."""
    if act.entity.kind == IDENTIFIER:
        return _answer(act, command)
    return _take_answer(act, command)


def _external_ids(context: bytes) -> list[tuple[str, str]]:
    """`[{id, type, collection: users}]` of the Segment Spec's context, as far as it is good."""
    found: Any = (map_in(context) or {}).get("externalIds")
    if not isinstance(found, list):
        return []
    return [
        (one["type"], one["id"])
        for one in found[: limits.EXTERNAL_IDS]
        if isinstance(one, dict)
        and isinstance(one.get("type"), str)
        and isinstance(one.get("id"), str)
        and one.get("collection", "users") == "users"
    ]


def _claim(act: Activation, type_: str, value: str, by: str) -> None:
    entity, rules = act.entity, act.program.rules
    value = value.strip()
    if type_ in _SPELLED_ALIKE:
        value = value.lower()
    record = record_of(entity)
    values = record.get(CLAIMS, {}).get(type_, {})
    if not value or len(value) > limits.ID_CHARS or value in values:
        return
    key = f"{entity.workspace}/{IDENTIFIER}/{type_}:{value}"
    own = sum(verdict in (ASKED, MERGED) for verdict in values.values())
    if own >= rules.types[type_] or count_ids(record) >= limits.IDENTIFIERS:
        if OVER not in record:
            act.note("identity", name_of(key), "not taken: the profile has as many as it may have")
        record[OVER] = record.get(OVER, 0) + 1
        return
    values = record.setdefault(CLAIMS, {}).setdefault(type_, {})
    if rules.is_blocked(value):
        values[value] = BLOCKED
        act.note("identity", name_of(key), "not taken: this value names nobody")
        return
    values[value] = ASKED
    forward_id = act.next_id()
    since_ms = erased_ms(entity)
    act.forward(forward_id, commands.claim(key, forward_id, key, entity.key, by, since_ms))


def _answer(act: Activation, command: Command) -> Reason:
    """The first who claims an identifier has it; the others hear of that one."""
    claimant, by = command[4:6]
    state = act.entity.state
    if len(act.entity.outbox) >= limits.STUB_OUTBOX:
        return Reason.OUT_OF_TURN
    if PRIVACY in state:
        state[PRIVACY].pop("gone", None)
    state.setdefault(_OWNER, claimant)
    owner: str = state[_OWNER]
    if owner == claimant and len(command) > 6 and command[6] > state.get(_SINCE, 0):
        state[_SINCE] = command[6]
    if owner != claimant:
        state[_OTHERS] = state.get(_OTHERS, 0) + 1
        if state[_OTHERS] > limits.MERGES:
            owner = ""
    asked_ms = command[6] if len(command) > 6 else commands.UNKNOWN
    _tell(act, claimant, owner, by, asked_ms)
    return Reason.ACCEPTED


def ask_owner(act: Activation) -> Reason:
    """At an identifier: asks whoever has it whether they still are there.

    It is the answer to their claim once more: who has been erased since gives the identifier back,
    and of everybody else it changes nothing.
    """
    state = act.entity.state
    if len(act.entity.outbox) >= limits.STUB_OUTBOX:
        return Reason.OUT_OF_TURN
    _tell(act, state[_OWNER], state[_OWNER], "", state.get(_SINCE, 0))
    return Reason.ACCEPTED


def _tell(act: Activation, claimant: str, owner: str, by: str, asked_ms: int) -> None:
    forward_id = act.next_id()
    key, since_ms = act.entity.key, act.entity.state.get(_SINCE, 0)
    command = commands.claim(claimant, forward_id, key, owner, by, since_ms, asked_ms)
    act.forward(forward_id, command)


def _take_answer(act: Activation, command: Command) -> Reason:
    _, _, _, identifier, owner, by = command[:6]
    entity = act.entity
    record = record_of(entity)
    type_, _, value = parse_key(identifier).id.partition(":")
    values = record.setdefault(CLAIMS, {}).setdefault(type_, {})
    if not owner or _is_mine(act, owner):
        keep_verdict(values, value, MERGED if owner else FOREIGN)
        return Reason.ACCEPTED
    if entity.kind == ANONYMOUS:
        keep_verdict(values, value, MERGED)
        stub.join(act, owner, by, type_, command[6] if len(command) > 6 else 0)
        return Reason.ACCEPTED
    kind, id_ = parse_key(owner)[1:]
    if kind == ANONYMOUS:
        links.ask(act, kind, id_, by, type_)  # and it brings the identifier along
        return Reason.ACCEPTED
    keep_verdict(values, value, FOREIGN)
    why = f"not taken: it is {name_of(owner)}'s, and two known users are merged by alias only"
    act.note("identity", name_of(identifier), why)
    return Reason.ACCEPTED


def _is_mine(act: Activation, owner: str) -> bool:
    _, kind, id_ = parse_key(owner)
    ids = record_of(act.entity).get(kind, {})
    return owner == act.entity.key or ids.get(id_) == MERGED
