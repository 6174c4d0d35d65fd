"""What is left of a profile that became a part of another one: a stub that passes on.

The hand-over is one command, journaled here: everything leaves this entity and goes into its outbox
as a MERGE, and from then on whatever comes is passed on behind it. Each command that a stub passes
on has a number; the receiver takes them in this order, each once, for ever, whatever a dying host
sends again or late. So nothing overtakes the merge, nothing is applied twice, and nothing is lost.

Messages that a sender still has are settled here, where their effects were made; what the sender
tells of them is passed on as well, because their history is part of the profile.

Stubs may form chains (an anonymous visitor became ann, ann became ann@work): each passes on. Two
profiles that are asked at the same time to become a part of each other may even form a circle. Then
their merges come back to them, and the one with the lowest key takes its own back and is the
profile; the others' merges, which go around until then, end in it. So aliases that contradict each
other cost a few forwards and lose nothing.
"""

from engine import commands, limits
from engine.activation import Activation
from engine.commands import Command
from engine.dedup import SeenIds
from engine.follow_ups import follow_up
from engine.identity import parts as moving
from engine.identity.absorb import absorb
from engine.identity.record import (
    AWAY,
    GOT,
    IDENTITY,
    MERGED_INTO,
    SENT,
    merged_into,
    name_of,
    record_of,
)
from engine.packing import pack
from engine.reasons import Reason

# What may be refused while too much is under way: its client still has it.
_FROM_CLIENTS = frozenset({commands.EVENT, commands.SEND})


def take_link(act: Activation, command: Command) -> Reason:
    """Becomes a part of the profile that asks, unless it is a part of one already."""
    _, key, _, target, by, via = command
    entity = act.entity
    owner = merged_into(entity)
    if target == key or owner == target:
        return Reason.ACCEPTED
    if len(entity.outbox) >= limits.STUB_OUTBOX:
        return Reason.OUT_OF_TURN
    if owner:
        forward_id = act.next_id()
        act.forward(forward_id, commands.kept(target, forward_id, key, owner))
        return Reason.ACCEPTED
    join(act, target, by, via)
    return Reason.ACCEPTED


def join(act: Activation, target: str, by: str, via: str) -> None:
    """Lets the profile at work become a part of another one."""
    entity = act.entity
    if moving.is_nobody(entity):
        moving.forget_nobody(act)
    follow_up(act)
    taken, parked = moving.take_out(act, by, via)
    entity.state[MERGED_INTO] = target
    _send(act, commands.merge(target, entity.key, entity.key, moving.bounded(taken)))
    for packed in parked:
        _send(act, commands.unpack_command(packed))
    act.note("identity", name_of(target), f"is a part of it now, by {via} {by}")


def pass_event(act: Activation, command: Command) -> Reason:
    """Passes an event on. The ids from before the merge are known here, those since then there."""
    entity = act.entity
    if act.now - entity.seen.since_ms >= 2 * limits.SEEN_MS:
        entity.seen = SeenIds()
    if command[2] in entity.seen:
        return Reason.DUPLICATE
    return pass_on(act, command)


def pass_on(act: Activation, command: Command) -> Reason:
    """Passes a command on; OUTBOX_FULL if too much is under way and the command can wait."""
    if command[0] in _FROM_CLIENTS and len(act.entity.outbox) >= limits.STUB_OUTBOX:
        return Reason.OUTBOX_FULL
    _send(act, command)
    return Reason.ACCEPTED


def take_merge(act: Activation, command: Command) -> Reason:
    """Takes a profile in; a stub passes it on, and finds out if it goes around in a circle."""
    _, _, source, lowest, packed = command
    entity = act.entity
    target = merged_into(entity)
    if target and not source == lowest == entity.key:
        _send(act, commands.merge(target, source, min(lowest, entity.key), packed))
        return Reason.ACCEPTED
    if target:
        del entity.state[MERGED_INTO]
        words = "they are to be a part of each other: the profile stays here"
        act.note("identity", name_of(target), words)
        entity.seen = SeenIds()  # what it passed on since then comes back as well, and is new
    absorb(act, moving.unpack(packed))
    return Reason.ACCEPTED


def take_receipt_of_stub(act: Activation, command: Command) -> Reason:
    """Settles a message that was sent from here, and passes on what became of it."""
    entity, message_id = act.entity, command[2]
    if command[5] and message_id in entity.outbox:
        del entity.outbox[message_id]
        at = entity.kept.where(message_id)
        if at >= 0:
            entity.kept.drop(at)
    _send(act, command)
    return Reason.ACCEPTED


def take_receipt_of_moved(act: Activation, command: Command) -> None:
    """Takes note that a message which a merged profile had sent is settled."""
    record = record_of(act.entity)
    away = record.get(AWAY)
    if away and command[5] and away.pop(command[2], None) is not None and not away:
        del record[AWAY]


def call_back(act: Activation, command: Command) -> Reason:
    """Cancels a message that was sent from here, asked for by the profile it moved to."""
    act.cancel(command[3], command[4])
    return Reason.ACCEPTED


def open_passed(act: Activation, command: Command) -> Command | Reason:
    """The command in what a stub has passed on, if it is its turn.

    Returns:
        The command; or DUPLICATE for one that was taken before; or OUT_OF_TURN for one that comes
        before those that it follows, or before the definitions that its sender had, or while too
        much is under way: its sender brings it again.
    """
    _, _, _, sender, number, _, version, packed = command
    entity = act.entity
    got = entity.state.get(IDENTITY, {}).get(GOT, {}).get(sender, 0)
    if number <= got:
        return Reason.DUPLICATE
    full = MERGED_INTO in entity.state and len(entity.outbox) >= limits.STUB_OUTBOX
    if number != got + 1 or act.program.version < version or full:
        return Reason.OUT_OF_TURN
    return commands.unpack_command(packed)


def passed_is_taken(act: Activation, command: Command) -> None:
    """Takes note that what a stub has passed on was taken."""
    record_of(act.entity).setdefault(GOT, {})[command[3]] = command[4]


def _send(act: Activation, command: Command) -> None:
    entity = act.entity
    target = merged_into(entity)
    sent = record_of(entity).setdefault(SENT, {})
    number = sent[target] = sent.get(target, 0) + 1
    forward_id = act.next_id()
    passed = commands.passed(
        target, forward_id, entity.key, number, act.now, act.program.version, pack(command)
    )
    act.forward(forward_id, passed)
