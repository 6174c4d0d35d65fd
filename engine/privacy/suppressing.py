"""Suppressing: nothing that comes about a person is taken, and nothing is sent to them.

It lasts until it is lifted, also across an erasure. Events, messages by the API and entries are
refused with PERSON_SUPPRESSED; what waits in a sender is called back; what journeys would send is
not sent, which the governance of sending sees in the state.
"""

from engine import commands
from engine.activation import Activation
from engine.commands import Command
from engine.privacy.erasing import ids_of
from engine.privacy.record import PRIVACY, SUPPRESSED, digest
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
        for id_, forward in entity.outbox.items():
            if forward is None:
                act.cancel(id_, "the person is suppressed")
    else:
        del entity.state[SUPPRESSED]
        if not entity.state[PRIVACY]:
            del entity.state[PRIVACY]
    if not owner:
        for other, is_merged in ids_of(entity):
            if is_merged:  # so that it refuses events itself, with a reason in the reply
                forward_id = act.next_id()
                act.forward(forward_id, commands.suppress(other, forward_id, is_on, key))
    words = "suppressed: nothing is taken or sent" if is_on else "not suppressed any more"
    act.note("privacy", digest(entity.workspace, key), words)
    return Reason.ACCEPTED
