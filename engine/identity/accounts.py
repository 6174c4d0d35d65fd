"""Accounts: what is known of a group of people, and who belongs to it.

`group` says that a person belongs to an account, and what the account is like. The account is an
entity of its own and joins what its members say of it. It tells each member what it knows, as the
member's trait `account`, so that segments and templates read it like any other trait. Whenever
something changes it tells all members, a slice at a time, so that an account of a thousand people
is no pause; a member that it no longer knows (the oldest make room) hears of it with its next
`group`.
"""

from typing import Any

import msgpack

from engine import commands, limits, profile
from engine.activation import Activation, EventView
from engine.commands import Command
from engine.journeys.context import map_in
from engine.reasons import Reason
from engine.slots import ACCOUNT, parse_key

TRAIT = "account"
TELL_TIMER = "i:tell"
_MEMBERS = "members"  # of an account: member's key to the version that it was told
_VERSION = "version"
_GROUPS = "groups"  # of a member: account's id to since when, and the version it was told


def look_at(act: Activation, event: EventView) -> None:
    """Tells an account that a person belongs to it, and what they say of it."""
    entity, group_id = act.entity, event.name
    groups = entity.state.setdefault(_GROUPS, {})
    groups[group_id] = groups.pop(group_id, [act.now, 0])
    if len(groups) > limits.ACCOUNTS:
        del groups[next(iter(groups))]
    if len(entity.outbox) >= limits.STUB_OUTBOX:
        act.note("account", group_id, "not told: too much is under way")
        return
    key = f"{entity.workspace}/{ACCOUNT}/{group_id}"
    forward_id = act.next_id()
    act.forward(forward_id, commands.account(key, forward_id, key, entity.key, 0, event.raw))


def take_account(act: Activation, command: Command) -> Reason:
    """At an account: what a member says of it. At a member: what the account knows."""
    _, _, _, account, member, version, raw = command
    traits = (map_in(raw) if raw else None) or {}
    if act.entity.kind == ACCOUNT:
        _take_member(act, member, traits)
    else:
        _take_traits(act, parse_key(account).id, version, traits)
    return Reason.ACCEPTED


def tell(act: Activation) -> None:
    """Tells the next members what has changed."""
    entity = act.entity
    members, version = entity.state[_MEMBERS], entity.state[_VERSION]
    behind = [key for key, told in members.items() if told != version]
    raw = msgpack.packb(entity.traits)
    room = max(0, min(limits.ACCOUNT_SLICE, limits.STUB_OUTBOX - len(entity.outbox)))
    for key in behind[:room]:
        members[key] = version
        forward_id = act.next_id()
        act.forward(forward_id, commands.account(key, forward_id, entity.key, key, version, raw))
    if len(behind) > room:
        act.set_timer(TELL_TIMER, act.now + limits.ACCOUNT_SLICE_MS)


def tell_again(act: Activation) -> None:
    """Goes on telling members after a quarantine, in which the timer was lost."""
    if act.entity.state.get(_MEMBERS):
        act.set_timer(TELL_TIMER, act.now + limits.ACCOUNT_SLICE_MS)


def _take_member(act: Activation, member: str, traits: dict[str, Any]) -> None:
    entity = act.entity
    members = entity.state.setdefault(_MEMBERS, {})
    entity.state.setdefault(_VERSION, 0)
    members[member] = -1
    reason, changed = profile.set_traits(act, traits)
    if reason is not Reason.ACCEPTED:
        act.note("account", member, f"what it said was not taken: {reason.name}")
    if changed:
        entity.state[_VERSION] += 1
    if len(members) > limits.ACCOUNT_MEMBERS:
        del members[next(iter(members))]
    entity.updated_ms = act.now
    tell(act)


def _take_traits(act: Activation, account: str, version: int, traits: dict[str, Any]) -> None:
    """Keeps what an account knows, if it is the person's newest and not older than what is kept."""
    entity = act.entity
    group = entity.state.get(_GROUPS, {}).get(account)
    if group is None or group[1] > version or entity.traits.get("group_id") != account:
        return
    group[1] = version
    reason, changed = profile.set_traits(act, {TRAIT: {"id": account, **traits}})
    if reason is not Reason.ACCEPTED:
        act.note("account", account, f"what is known of it found no room: {reason.name}")
    profile.traits_changed(act, changed)
