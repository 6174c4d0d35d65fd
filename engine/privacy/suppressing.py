"""Suppressing: nothing that comes about a person is taken, and nothing is sent to them.

It lasts until it is lifted, also across an erasure. Events, messages by the API and entries are
refused with PERSON_SUPPRESSED; what waits in a sender is called back; what journeys would send is
not sent, which the governance of sending sees in the state.
"""

from engine import commands
from engine.activation import Activation
from engine.commands import Command
from engine.governance.waiting import STATE as WAITING
from engine.identity.record import IDENTITY
from engine.privacy.record import PRIVACY, SUPPRESSED, digest
from engine.privacy.ties import ids_in
from engine.reasons import Reason
from engine.slots import ADDRESS, ANONYMOUS, USER


def take_suppress(act: Activation, command: Command) -> Reason:
    """Does a `commands.suppress` on the profile, or on an id that is a part of the one named.

    Returns:
        ACCEPTED; DUPLICATE if it is so already; NOT_FOUND for what is no person.
    """
    _, key, _, is_on, owner = command
    entity = act.entity
    if entity.kind not in (USER, ANONYMOUS, ADDRESS):
        return Reason.NOT_FOUND
    if is_on == (SUPPRESSED in entity.state):
        return Reason.DUPLICATE
    if is_on:
        entity.state[SUPPRESSED] = act.now
        entity.state.setdefault(PRIVACY, {})
        sent = [id_ for id_, forward in entity.outbox.items() if forward is None]
        for id_ in (*sent, *entity.state.get(WAITING, ())):
            act.cancel(id_, "the person is suppressed")
    else:
        del entity.state[SUPPRESSED]
        if not entity.state[PRIVACY]:
            del entity.state[PRIVACY]
    if not owner:
        suppress_parts(act, is_on)
    words = "suppressed: nothing is taken or sent" if is_on else "not suppressed any more"
    act.note("privacy", digest(entity.workspace, key, act.secret), words)
    return Reason.ACCEPTED


def suppress_parts(act: Activation, is_on: bool) -> None:
    """Tells the ids that are a part of the profile at work, so that they refuse with a reason."""
    entity = act.entity
    for other, is_merged in ids_in(entity.workspace, entity.state.get(IDENTITY, {})):
        if is_merged:
            suppress_part(act, other, is_on)


def suppress_part(act: Activation, other: str, is_on: bool) -> None:
    """Tells one id that is a part of the profile at work."""
    forward_id = act.next_id()
    act.forward(forward_id, commands.suppress(other, forward_id, is_on, act.entity.key))
