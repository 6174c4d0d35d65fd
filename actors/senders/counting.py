"""How many SMS a text is when it leaves by a lane, which is what the lane's limits count.

Some adapters send another text than the one that they are given: with look-alikes folded, which may
take more parts or fewer. Limits hold only if they count the one that leaves.
"""

from collections.abc import Callable, Iterable

from actors.carriers import registry
from engine.content import sms, sms_coding
from engine.lanes.definition import Lane
from engine.lanes.queue import QueuedMessage
from engine.messages.message import SMS

Count = Callable[[str], int]
"""Counts the SMS of a text."""


def counter_of(lane: Lane) -> Count:
    """What counts the texts of a lane. Cost of a count: see `sms.parts` and `sms_coding.fold`."""
    return _folded_parts if registry.folds(lane) else sms.parts


def recount(held: Iterable[QueuedMessage | None], workspace: str, lane: str, count: Count) -> None:
    """Counts the messages of a lane as they will leave by its new carrier.

    Args:
        held: All that the sender has, of this lane nothing in flight.
        workspace: The lane's workspace.
        lane: Its name.
        count: Counts a text.
    """
    for message in held:
        if message is None or message.lane != lane or message.workspace != workspace:
            continue
        if message.channel == SMS:
            message.units = count(message.body)


def _folded_parts(text: str) -> int:
    return sms.parts(sms_coding.fold(text))
