"""Erasing: a profile, its other ids and its identifiers become tombstones.

Whichever of a person's ids is named, all of the person is erased. A stub erases itself and tells
the profile that it is a part of; that one erases itself and tells all that it has ties with (see
`engine.privacy.ties`): each id that is a part of it, the identifiers that it holds, the accounts
that it belongs to and the addresses that may be its own, of which each knows whether it is. All of
that are forwards with one mark, a hash of the request: an entity erases itself once for a mark, so
nothing goes around for ever, and a repeat does no harm to somebody who has come back since.

An identifier is given back by the one who has claimed it, and by nobody else: which of a person's
ids that was, and whether somebody else has claimed it since, only the identifier knows. So it asks
its owner when another one is erased who held it. A claim has the time of its owner's last erasure
with it. One that comes after that owner's erasure is answered like any other, and the answer meets
the tombstone, which gives the identifier back.

Messages that have not left are called back. Until its sender settles one, its effect has to be
handed over again after a crash, so a blank message stays: its id and its lane, and nothing of what
it says or of where it goes. The count of given ids stays too, since an id is never given twice.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from xxhash import xxh3_128_hexdigest

from engine import commands, limits
from engine.activation import Activation
from engine.commands import Command
from engine.dedup import SeenIds
from engine.entity import Entity
from engine.identity import claims
from engine.identity.record import MERGED_SINCE, merged_into
from engine.journeys import calling
from engine.messages import inbound
from engine.messages.message import Message, Messages
from engine.packing import PackedLog
from engine.privacy.hidden import NAMED, WHOLE, Erasure, tombstone_of
from engine.privacy.record import PRIVACY, SUPPRESSED, digest, erased_ms
from engine.privacy.ties import Ties, ties_of
from engine.reasons import Reason
from engine.slots import ACCOUNT, ADDRESS, ANONYMOUS, IDENTIFIER, USER
from engine.verification import record as verifications

_PERSONS: Final = (USER, ANONYMOUS, ADDRESS)

# Forwards that name ids and nothing else: others wait for them, so they stay until settled. The
# rest (what a stub passes on, what a member says of its account) is of the person and goes.
_STAYING: Final = frozenset(
    {
        commands.LINK, commands.KEPT, commands.CLAIM, commands.CALL_BACK, commands.ERASE,
        commands.SUPPRESS, commands.FORGET,
    }
)  # fmt: skip


def take_erase(act: Activation, command: Command) -> Reason:
    """Does a `commands.erase`.

    Returns:
        ACCEPTED; DUPLICATE if this request has erased the entity; NOT_FOUND for what is no person.
    """
    _, key, request_id, suppress, is_merged, at_ms, mark, owner = command[:8]
    names = (owner, *command[8]) if len(command) > 8 else (owner,)
    entity = act.entity
    if entity.kind not in _PERSONS:
        return _forget_person(act, names, at_ms)
    mark = mark or digest(entity.workspace, request_id, act.secret)
    into = merged_into(entity)
    # An id may have become a part of the erased profile once more, asked for before the erasure.
    is_late = bool(owner) and into == owner and entity.state.get(MERGED_SINCE, 0) < at_ms
    if entity.state.get(PRIVACY, {}).get("request") == mark and not is_late:
        return Reason.DUPLICATE
    if owner and not is_merged and into not in ("", owner):
        act.effects.erased.append(Erasure(key, NAMED + owner))
        return Reason.ACCEPTED  # it was asked to become a part, and is a part of somebody else
    if entity.kind == ADDRESS and owner and not _is_of(entity, names, is_merged):
        act.effects.erased += [Erasure(key, NAMED + name) for name in names]
        return Reason.ACCEPTED
    ties = ties_of(entity)
    ends = inbound.ends_of(entity) if owner else {}
    _empty(act)
    # Never the same twice, for what is under way is told apart by it; a clock may stand still.
    since_ms = max(act.now, erased_ms(entity) + 1)
    kept = {"erased_ms": since_ms, "request": mark, "gone": True}
    suppressed_ms = entity.state.get(SUPPRESSED, act.now if suppress else 0)
    entity.state = {PRIVACY: kept, **ends}
    if suppressed_ms:
        entity.state[SUPPRESSED] = suppressed_ms
    if into and not owner:
        _tell(act, _Told(into, "", since_ms, suppress), act.next_id())
    _tell_all(act, ties, suppress)
    _tell_senders(act)
    words = "erased and suppressed" if suppressed_ms else "erased"
    act.note("privacy", digest(entity.workspace, key, act.secret), words)
    act.effects.erased.append(Erasure(key, WHOLE, tombstone_of(entity)))
    return Reason.ACCEPTED


def tell_again(act: Activation, other: str) -> None:
    """Erases what is still a part of this erased profile and was not known to be."""
    entity = act.entity
    told = _Told(other, entity.key, erased_ms(entity), SUPPRESSED in entity.state)
    _tell(act, told, act.next_id())


def tell_lost(act: Activation, lost: Command) -> None:
    """Erases the ties of what came too late to this erased profile, and is not taken.

    The ids of these forwards are made of the one that brought it and not of the entity's count: in
    an archive what was brought is emptied, and a replay must count as many as there were.
    """
    ties = Ties()
    ties.add_lost(act.entity.workspace, (commands.unpack_command(lost[7]),))
    _tell_all(act, ties, SUPPRESSED in act.entity.state, lost[2])


def _tell_all(act: Activation, ties: Ties, suppress: bool, brought_by: str = "") -> None:
    """Tells all that somebody has ties with that they are erased."""
    key, at_ms = act.entity.key, erased_ms(act.entity)
    parts = [other for other, is_merged in ties.ids.items() if is_merged]
    told = [
        *(_Told(other, key, at_ms, suppress, merged) for other, merged in ties.ids.items()),
        *(_Told(identifier, key, at_ms) for identifier in ties.identifiers),
        *(_Told(one.identifier, one.owner, one.since_ms + 1) for one in ties.claims),
        *(_Told(account, key, at_ms, names=parts) for account in ties.accounts),
        # Whoever has an address next may write: it is not suppressed.
        *(_Told(to, key, at_ms, False, wrote, parts) for to, wrote in ties.addresses.items()),
    ]
    for number, one in enumerate(told):
        name = f"{brought_by}#{number}".encode()
        _tell(act, one, xxh3_128_hexdigest(name) if brought_by else act.next_id())


class _Told(NamedTuple):
    """What an `erase` tells one of those who have to hear of it; see `commands.erase`."""

    key: str
    owner: str
    at_ms: int
    suppress: bool = False
    is_merged: bool = False
    names: Sequence[str] = ()


def _tell(act: Activation, told: _Told, forward_id: str) -> None:
    mark = act.entity.state[PRIVACY]["request"]
    key, owner, at_ms, suppress, is_merged, names = told
    command = commands.erase(key, forward_id, suppress, is_merged, at_ms, mark, owner, names)
    act.forward(forward_id, command)


def _tell_senders(act: Activation) -> None:
    """Senders remember to whom addresses belong, for what people write to us."""
    forward_id = act.next_id()
    act.forward(forward_id, commands.forget(act.entity.key, forward_id))


def _is_of(entity: Entity, names: Sequence[str], has_written: bool) -> bool:
    """Whether an address is its owner's and nobody else's; else it forgets that one alone.

    Anybody may say that a number is theirs, so that alone does not empty it.
    """
    asked = verifications.forget_user(entity, names)
    owned = inbound.forget_owners(entity, names)
    if inbound.OWNERS in entity.state:
        return False
    return has_written or asked or owned or not (entity.state or entity.kept or entity.trail)


def _forget_person(act: Activation, names: Sequence[str], at_ms: int) -> Reason:
    """At an identifier or an account: whose it was, or who belongs to it, is forgotten."""
    kind = act.entity.kind
    if not names[0] or kind not in (ACCOUNT, IDENTIFIER):
        return Reason.NOT_FOUND
    if kind == ACCOUNT:
        _forget_members(act.entity, names)
    elif act.entity.state.get("owner", "") not in ("", names[0]):
        reason = claims.ask_owner(act)
        if reason is not Reason.ACCEPTED:
            return reason
    # A claim that was made since the erasure brings a newer time, and may come before this.
    elif "owner" in act.entity.state and act.entity.state.get("since", 0) < at_ms:
        _give_back(act)
        return Reason.ACCEPTED
    act.effects.erased += [Erasure(act.entity.key, NAMED + name) for name in names]
    return Reason.ACCEPTED


def _give_back(act: Activation) -> None:
    """An identifier is nobody's any more."""
    entity = act.entity
    since_ms = max(act.now, erased_ms(entity) + 1)
    entity.state = {PRIVACY: {"erased_ms": since_ms, "request": "", "gone": True}}
    act.effects.erased.append(Erasure(entity.key, WHOLE, tombstone_of(entity)))


def _forget_members(account: Entity, names: Sequence[str]) -> None:
    lines = account.trail_lines()
    account.trail = PackedLog(limits.TRAIL)
    for line_ms, kind, subject, why in lines:
        if subject not in names:
            account.note(line_ms, kind, subject, why)
    for name in names:
        account.state.get("members", {}).pop(name, None)


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
    entity.ended = PackedLog(limits.INSTANCES_ENDED)
    entity.trail = PackedLog(limits.TRAIL)
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
