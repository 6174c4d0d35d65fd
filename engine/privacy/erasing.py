"""Erasing: a profile, its other ids and its identifiers become tombstones.

Whichever of a person's ids is named, all of the person is erased. A stub erases itself and tells
the profile that it is a part of; that one erases itself and tells each id that is a part of it, the
identifiers that it holds, the accounts that it belongs to and the addresses that may be its own, of
which each knows whether it is. All of that are forwards with one mark, a hash of the request: an
entity erases itself once for a mark, so nothing goes around for ever, and a repeat does no harm to
somebody who has come back since.

Messages that have not left are called back. Until its sender settles one, its effect has to be
handed over again after a crash, so a blank message stays: its id and its lane, and nothing of what
it says or of where it goes. The count of given ids stays too, since an id is never given twice.
"""

from typing import Final

from engine import commands, limits
from engine.activation import Activation
from engine.commands import Command
from engine.dedup import SeenIds
from engine.entity import Entity
from engine.identity.record import (
    ASKED,
    CLAIMS,
    ID_KINDS,
    IDENTITY,
    MERGED,
    MERGED_SINCE,
    Record,
    merged_into,
)
from engine.journeys import calling
from engine.messages import inbound
from engine.messages.message import Message, Messages
from engine.messages.phone import Phones
from engine.packing import PackedRun
from engine.privacy.hidden import NAMED, WHOLE, Erasure, tombstone_of
from engine.privacy.record import PRIVACY, SUPPRESSED, digest, erased_ms
from engine.reasons import Reason
from engine.slots import ACCOUNT, ADDRESS, ANONYMOUS, IDENTIFIER, PROFILES, USER
from engine.verification import record as verifications

_PHONES: Final = Phones()
_PERSONS: Final = (USER, ANONYMOUS, ADDRESS)

# Forwards that name ids and nothing else: others wait for them, so they stay until settled. The
# rest (what a stub passes on, what a member says of its account) is of the person and goes.
_STAYING: Final = frozenset(
    {
        commands.LINK, commands.KEPT, commands.CLAIM, commands.CALL_BACK, commands.ERASE,
        commands.SUPPRESS,
    }
)  # fmt: skip


def take_erase(act: Activation, command: Command) -> Reason:
    """Does a `commands.erase`.

    Returns:
        ACCEPTED; DUPLICATE if this request has erased the entity; NOT_FOUND for what is no person.
    """
    _, key, request_id, suppress, is_merged, at_ms, mark, owner = command
    entity = act.entity
    if entity.kind not in _PERSONS:
        return _forget_person(act, owner, is_merged, at_ms)
    mark = mark or digest(entity.workspace, request_id)
    into = merged_into(entity)
    # An id may have become a part of the erased profile once more, asked for before the erasure.
    is_late = bool(owner) and into == owner and entity.state.get(MERGED_SINCE, 0) < at_ms
    if entity.state.get(PRIVACY, {}).get("request") == mark and not is_late:
        return Reason.DUPLICATE
    if owner and not is_merged and into not in ("", owner):
        act.effects.erased.append(Erasure(key, NAMED + owner))
        return Reason.ACCEPTED  # it was asked to become a part, and is a part of somebody else
    if entity.kind == ADDRESS and owner and not _is_of(entity, owner, is_merged):
        act.effects.erased.append(Erasure(key, NAMED + owner))
        return Reason.ACCEPTED
    known: Record = entity.state.get(IDENTITY, {})
    addresses = _addresses(entity)
    ends = inbound.ends_of(entity) if owner else {}
    accounts = [f"{entity.workspace}/{ACCOUNT}/{id_}" for id_ in entity.state.get("groups", ())]
    _empty(act)
    # Never the same twice, for what is under way is told apart by it; a clock may stand still.
    since_ms = max(act.now, erased_ms(entity) + 1)
    kept = {"erased_ms": since_ms, "request": mark, "gone": True}
    suppressed_ms = entity.state.get(SUPPRESSED, act.now if suppress else 0)
    entity.state = {PRIVACY: kept, **ends}
    if suppressed_ms:
        entity.state[SUPPRESSED] = suppressed_ms
    if into and not owner:
        _tell(act, into, suppress, False, "")
    for other, other_is_merged in _others(entity, known):
        _tell(act, other, suppress, other_is_merged, key)
    for account in accounts:
        _tell(act, account, suppress, False, key)
    for address, has_written in addresses.items():
        _tell(act, address, False, has_written, key)  # whoever has it next may write
    words = "erased and suppressed" if suppressed_ms else "erased"
    act.note("privacy", digest(entity.workspace, key), words)
    act.effects.erased.append(Erasure(key, WHOLE, tombstone_of(entity)))
    return Reason.ACCEPTED


def tell_again(act: Activation, other: str) -> None:
    """Erases what is still a part of this erased profile and was not known to be."""
    suppressed = SUPPRESSED in act.entity.state
    _tell(act, other, suppressed, False, act.entity.key)


def _others(entity: Entity, record: Record) -> list[tuple[str, bool]]:
    """The same of a record, and the identifiers that it holds."""
    held = [
        (f"{entity.workspace}/{IDENTIFIER}/{type_}:{value}", verdict == MERGED)
        for type_, values in record.get(CLAIMS, {}).items()
        for value, verdict in values.items()
        if verdict in (ASKED, MERGED)
    ]
    return [*_ids(entity.workspace, record), *held]


def _ids(workspace: str, record: Record) -> list[tuple[str, bool]]:
    return [
        (f"{workspace}/{kind}/{id_}", verdict == MERGED)
        for kind in ID_KINDS
        for id_, verdict in record.get(kind, {}).items()
        if verdict in (ASKED, MERGED)
    ]


def _addresses(entity: Entity) -> dict[str, bool]:
    """The keys of the addresses that may be a profile's, each with whether it wrote from there."""
    if entity.kind not in PROFILES:
        return {}
    found = {str(one["from"]): True for one in inbound.received_of(entity) if one.get("from")}
    phone, email = entity.traits.get("phone"), entity.traits.get("email")
    if isinstance(phone, str) and phone:
        found.setdefault(_PHONES.read(phone).e164 or phone, False)
    if isinstance(email, str) and email:
        found.setdefault(email.strip().lower(), False)
    return {
        f"{entity.workspace}/{ADDRESS}/{address[: limits.ID_CHARS]}": has_written
        for address, has_written in found.items()
    }


def _is_of(entity: Entity, owner: str, has_written: bool) -> bool:
    """Whether an address is its owner's and nobody else's; else it forgets that one alone.

    Anybody may say that a number is theirs, so that alone does not empty it.
    """
    if inbound.forget_owner(entity, owner):
        return False
    verified = (verifications.find(entity, name) for name in verifications.names_of(entity))
    return (
        has_written
        or owner in entity.state.get(inbound.OWNERS, ())
        or any(one is not None and one.user == owner for one in verified)
        or not (entity.state or entity.kept or entity.trail)
    )


def _tell(act: Activation, other: str, suppress: bool, is_merged: bool, owner: str) -> None:
    entity = act.entity
    forward_id = act.next_id()
    mark = entity.state[PRIVACY]["request"]
    at_ms = erased_ms(entity)
    command = commands.erase(other, forward_id, suppress, is_merged, at_ms, mark, owner)
    act.forward(forward_id, command)


def _forget_person(act: Activation, owner: str, is_merged: bool, at_ms: int) -> Reason:
    """At an identifier or an account: whose it was, or who belongs to it, is forgotten."""
    entity = act.entity
    state = entity.state
    if not owner or entity.kind not in (ACCOUNT, IDENTIFIER):
        return Reason.NOT_FOUND
    gone = Erasure(entity.key, NAMED + owner)
    if entity.kind == ACCOUNT:
        state.get("members", {}).pop(owner, None)
        lines = entity.trail_lines()
        entity.trail = PackedRun()
        for line_ms, kind, subject, why in lines:
            if subject != owner:
                entity.note(line_ms, kind, subject, why)
    # A claim that was made since the erasure brings a newer time, and may come before this.
    elif (is_merged or state.get("owner") == owner) and state.get("since", 0) < at_ms:
        since_ms = max(act.now, erased_ms(entity) + 1)
        entity.state = {PRIVACY: {"erased_ms": since_ms, "request": "", "gone": True}}
        gone = Erasure(entity.key, WHOLE, tombstone_of(entity))
    act.effects.erased.append(gone)
    return Reason.ACCEPTED


def _empty(act: Activation) -> None:
    """Takes everything out of the entity at work but its state; instances end without a trace."""
    entity = act.entity
    act.follow_ups.clear()
    _leave_segments(act)
    _call_back(act)
    calling.take_back_all(act)
    entity.outbox = {
        id_: forward
        for id_, forward in entity.outbox.items()
        if forward is None or commands.unpack_command(forward[1])[0] in _STAYING
    }
    entity.traits = {}
    entity.windows = {}
    entity.segments = {}
    entity.instances = {}
    entity.ended = PackedRun()
    entity.trail = PackedRun()
    entity.seen = SeenIds()
    entity.timers = {}
    entity.error = ""
    entity.created_ms = entity.updated_ms = act.now
    act.timers_changed = True


def _leave_segments(act: Activation) -> None:
    """The sizes lose a member, and it counts as left; no journey hears of it."""
    entity, effects = act.entity, act.effects
    for name in entity.segments:
        label = f"{entity.workspace}/{name}"
        if effects.sizes.get(label, 0) > 1:
            effects.sizes[label] -= 1
        else:
            effects.sizes.pop(label, None)
        effects.left[label] = effects.left.get(label, 0) + 1


def _call_back(act: Activation) -> None:
    """Calls back all that has not left, and keeps a blank of each until it is settled."""
    entity = act.entity
    blanks = Messages()
    for message in entity.kept.every():
        if message.id in entity.outbox:
            blank = _blank(message)
            blanks.keep(blank, entity.outbox)
            act.effects.cancels.append(blank.offer(entity.key, entity.workspace))
    entity.kept = blanks


def _blank(message: Message) -> Message:
    """What a sender needs to call a message back, and nothing of what it says or whom to."""
    return Message(
        message.id, message.channel, "", message.purpose, "", "", "", message.lane, "", "", "",
        message.created_ms, message.expires_ms, False, (), True, message.status, [],
        hop=message.hop,
    )  # fmt: skip


def is_blank(message: Message) -> bool:
    """Whether a message is what an erasure has left of one."""
    return not message.to and message.cancelled


def ids_of(entity: Entity) -> list[tuple[str, bool]]:
    """The keys of a profile's other ids, each with whether it is a part of it for sure."""
    return _ids(entity.workspace, entity.state.get(IDENTITY, {}))
