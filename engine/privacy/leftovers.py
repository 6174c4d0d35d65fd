"""What was under way when somebody was erased, and comes to the tombstone afterwards.

Everything that could bring something of the old person back tells to whose life it belongs: a
profile asks others to become a part of it with the time of its own last erasure, and they give that
time with all that they pass on. What brings an older time was meant for the person who is erased,
so it is dropped, and whoever brought it is erased as well, because it was a part of that person.
"""

from typing import Any

from engine import commands, profile
from engine.activation import Activation
from engine.commands import Command
from engine.identity.record import CLAIMS, IDENTITY
from engine.messages.message import hop_of
from engine.packing import pack, unpack
from engine.privacy.erasing import is_blank, tell_again, tell_lost
from engine.privacy.hidden import LATE, Erasure
from engine.privacy.record import PRIVACY, SUPPRESSED, erased_ms
from engine.privacy.suppressing import suppress_part, suppress_parts
from engine.reasons import Reason
from engine.slots import ACCOUNT, IDENTIFIER, parse_key


def come_back(act: Activation) -> None:
    """Something is heard of an erased person: they begin anew, as somebody unknown."""
    entity = act.entity
    kept = entity.state.get(PRIVACY)
    if kept and kept.pop("gone", False):
        entity.created_ms = entity.updated_ms = act.now
        profile.refresh(act)


def after_merge(act: Activation, source: str, was_suppressed: bool) -> None:
    """A profile has come in: whoever is gone is back, and what was suppressed stays suppressed."""
    come_back(act)
    state = act.entity.state
    if SUPPRESSED in state:
        state.setdefault(PRIVACY, {})
        if not was_suppressed:
            suppress_parts(act, is_on=True)
        elif source != act.entity.key:
            suppress_part(act, source, is_on=True)


def is_of_the_erased(act: Activation, command: Command) -> bool:
    """Whether a `passed` was meant for who is erased here; its sender is erased then."""
    since_ms = command[8] if len(command) > 8 else 0
    if since_ms == erased_ms(act.entity):
        return False
    _forget_late(act, command)
    tell_again(act, command[3])
    if command[7]:
        tell_lost(act, command)
    return True


def is_late_kept(act: Activation, command: Command) -> bool:
    """Whether a `kept` answers what was asked before the erasure."""
    if not erased_ms(act.entity):
        return False
    _, kind, id_ = parse_key(command[3])
    record: dict[str, Any] = act.entity.state.get(IDENTITY, {})
    if id_ in record.get(kind, {}):
        return False
    _forget_late(act, command)
    return True


def is_late_claim(act: Activation, command: Command) -> bool:
    """Whether a `claim` answers one from before the erasure; the identifier then forgets it."""
    entity = act.entity
    _, key, _, identifier, owner = command[:5]
    if not erased_ms(entity) or key != entity.key or entity.kind == IDENTIFIER:
        return False
    asked_ms = command[7] if len(command) > 7 else commands.UNKNOWN
    if asked_ms == erased_ms(entity):
        return False
    type_, _, value = parse_key(identifier).id.partition(":")
    known = entity.state.get(IDENTITY, {}).get(CLAIMS, {}).get(type_, {})
    if asked_ms == commands.UNKNOWN and value in known:
        return False
    _forget_late(act, command)
    if owner == entity.key:
        tell_again(act, identifier)
    return True


def is_late_event(act: Activation, command: Command) -> bool:
    """Whether a `told` was asked for before the erasure of who should hear it; it ends there."""
    entity = act.entity
    _, key, _, _, _, _, _, _, _, asked_ms, teller = command
    if key != entity.key or not erased_ms(entity) or asked_ms > erased_ms(entity):
        return False
    _forget_late(act, command)
    tell_again(act, teller)
    return True


def is_late_account(act: Activation, command: Command) -> bool:
    """Whether an account tells what the person asked for before the erasure; it forgets them."""
    entity = act.entity
    if entity.kind == ACCOUNT or not erased_ms(entity):
        return False
    if parse_key(command[3]).id in entity.state.get("groups", ()):
        return False
    _forget_late(act, command)
    tell_again(act, command[3])
    return True


def _forget_late(act: Activation, command: Command) -> None:
    """Has what came too late taken out of the journal and its archive, too."""
    act.effects.erased.append(Erasure(act.entity.key, LATE + command[2]))


def settle_blank(act: Activation, command: Command) -> bool:
    """Takes a receipt of a message that an erasure called back; False if it is of another one."""
    entity = act.entity
    message_id, hop = hop_of(command[2])
    at = entity.kept.where(message_id)
    if at < 0 or not is_blank(entity.kept.at(at)):
        return False
    if command[5] and entity.kept.at(at).hop == hop:
        entity.outbox.pop(message_id, None)
        entity.kept.drop(at)
    return True


def without_past(act: Activation, command: Command) -> Command | Reason:
    """A `fill` without times from before the erasure; NOT_FOUND while the person is gone."""
    kept = act.entity.state.get(PRIVACY)
    if not kept or not erased_ms(act.entity):
        return command
    if "gone" in kept:
        return Reason.NOT_FOUND
    windows = {
        name: [at for at in times if (at[0] if isinstance(at, list) else at) > kept["erased_ms"]]
        for name, times in unpack(command[2]).items()
    }
    told = command[3:] if command[4:] and kept["erased_ms"] <= command[4] else ()
    return (command[0], command[1], pack(windows), *told)
