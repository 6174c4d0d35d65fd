"""What is left of a profile that became a part of another one: a stub that passes on.

The hand-over is one command, journaled here: everything leaves this entity and goes into its outbox
as a MERGE, and from then on whatever comes is passed on behind it. Each command that a stub passes
on has a number; the receiver takes them in this order, each once, for ever, whatever a dying host
sends again or late. So nothing overtakes the merge, nothing is applied twice, and nothing is lost.

Messages that a sender still has are settled here, where their effects were made; what the sender
tells of them is passed on as well, because their history is part of the profile.

Stubs may form chains (an anonymous visitor became ann, ann became ann@work): each passes on. Two
profiles that are asked at the same time to become a part of each other may even form a circle, in
which whatever was not absorbed before it closed goes around, in an order that never changes. Then
a merge comes back to the profile that it left. Between two of its passes through another profile
each other merge that goes around comes by there once, so after two laps it is known whose merges
are in the circle. The profile with the lowest key among these takes its own back and is the
profile, and all that goes around ends in it. So aliases that contradict each other cost a few
forwards and lose nothing.
"""

from engine import commands, limits, profile
from engine.activation import Activation
from engine.commands import Command
from engine.conditions.who import FACT as IDS
from engine.dedup import SeenIds
from engine.follow_ups import follow_up
from engine.identity import parts as moving
from engine.identity.absorb import absorb
from engine.identity.record import (
    AWAY,
    GOT,
    IDENTITY,
    MERGED,
    MERGED_INTO,
    MERGED_SINCE,
    RETURNED,
    SENT,
    merged_into,
    name_of,
    record_of,
    settle_verdict,
)
from engine.messages.message import hop_of
from engine.packing import pack
from engine.reasons import Reason

# What may be refused while too much is under way: whoever it is from still has it.
_FROM_CLIENTS = frozenset(
    {commands.EVENT, commands.TOLD, commands.SEND, commands.STOP, commands.CONSENT}
)


def take_link(act: Activation, command: Command) -> Reason:
    """Becomes a part of the profile that asks, unless it is a part of one already."""
    _, key, _, target, by, via = command[:6]
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
    join(act, target, by, via, command[6] if len(command) > 6 else 0)
    return Reason.ACCEPTED


def join(act: Activation, target: str, by: str, via: str, since_ms: int) -> None:
    """Lets the profile at work become a part of another one, which was erased at `since_ms`."""
    entity = act.entity
    packed = b""
    parked: list[bytes] = []
    if moving.is_nobody(entity):
        moving.forget_nobody(act)
    else:
        follow_up(act)
        taken, parked = moving.take_out(act, by, via)
        packed = moving.bounded(taken)
    entity.state[MERGED_INTO] = target
    if since_ms:
        entity.state[MERGED_SINCE] = since_ms
    _send(act, commands.merge(target, entity.key, {}, {}, packed))
    for waiting in parked:
        _send(act, commands.unpack_command(waiting))
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
    if len(act.entity.outbox) >= limits.STUB_OUTBOX and _is_from_client(command):
        return Reason.OUTBOX_FULL
    _send(act, command)
    return Reason.ACCEPTED


def pass_through(act: Activation, command: Command) -> Reason:
    """Passes on what another stub has passed on, and what `open_passed` has let in."""
    _send(act, command)
    return Reason.ACCEPTED


def _is_from_client(command: Command) -> bool:
    if command[0] == commands.ENTER:
        return command[5:6] == ("api",)  # a schedule and a broadcast do not ask again
    return command[0] in _FROM_CLIENTS


def take_merge(act: Activation, command: Command) -> Reason:
    """Takes a profile in; a stub passes it on, and finds out if it goes around in a circle."""
    _, _, source, lap, lap_before, packed = command
    entity = act.entity
    target = merged_into(entity)
    if target:
        record = record_of(entity)
        if source != entity.key:
            lap = {**lap, entity.key: record.get(RETURNED, 0)}
        elif _is_lowest(source, lap, lap_before):
            _stay(act)
            target = ""
        else:
            record[RETURNED] = record.get(RETURNED, 0) + 1
            lap, lap_before = {}, lap
        if target:
            _send(act, commands.merge(target, source, lap, lap_before, packed))
            return Reason.ACCEPTED
    if packed:
        absorb(act, moving.unpack(packed))
    elif source != entity.key:
        settle_verdict(record_of(entity), source, MERGED)
        profile.fact_changed(act, IDS)  # lists may name an id of which nothing was known
    return Reason.ACCEPTED


def _is_lowest(source: str, lap: dict[str, int], lap_before: dict[str, int]) -> bool:
    """Whether, of the merges that go around with this one, its source has the lowest key.

    Those go around whose sources they have come back to between its last two passes there.
    """
    around = [key for key, returned in lap.items() if returned > lap_before.get(key, returned)]
    return bool(lap_before) and source < min(around, default=source + "/")


def _stay(act: Activation) -> None:
    """Makes the entity at work a profile again: it is the one that the circle ends in."""
    entity = act.entity
    words = "they are to be a part of each other: the profile stays here"
    act.note("identity", name_of(merged_into(entity)), words)
    del entity.state[MERGED_INTO]
    entity.state.pop(MERGED_SINCE, None)
    entity.seen = SeenIds()  # what it passed on since then comes back as well, and is new


def take_receipt_of_stub(act: Activation, command: Command) -> Reason:
    """Settles a message that was sent from here, and passes on what became of it."""
    entity = act.entity
    message_id, hop = hop_of(command[2])
    if command[5] and message_id in entity.outbox:
        at = entity.kept.where(message_id)
        if at < 0 or entity.kept.at(at).hop == hop:
            del entity.outbox[message_id]
            if at >= 0:
                entity.kept.drop(at)
    _send(act, command)
    return Reason.ACCEPTED


def take_receipt_of_moved(act: Activation, command: Command) -> None:
    """Takes note that a message which a merged profile had sent is settled."""
    record = record_of(act.entity)
    away = record.get(AWAY)
    if not away or not command[5]:
        return
    message_id, hop = hop_of(command[2])
    message = act.entity.kept.get(message_id) if message_id in away else None
    if message is not None and message.hop != hop:
        return  # of an earlier attempt: the one that is away is not settled by it
    if away.pop(message_id, None) is not None and not away:
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
    _, _, _, sender, number, _, version, packed = command[:8]
    entity = act.entity
    got = entity.state.get(IDENTITY, {}).get(GOT, {}).get(sender, 0)
    if number <= got:
        return Reason.DUPLICATE
    # Two that pass on to each other take all: else both might be full, and wait for ever.
    full = len(entity.outbox) >= limits.STUB_OUTBOX and merged_into(entity) not in ("", sender)
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
        target, forward_id, entity.key, number, act.now, act.program.version, pack(command),
        entity.state.get(MERGED_SINCE, 0),
    )  # fmt: skip
    act.forward(forward_id, passed)
