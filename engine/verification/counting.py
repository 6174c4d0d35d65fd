"""How many codes one user, one IP address or one device may ask for.

Each counts in an entity of its own, so that the limit holds wherever the addresses lie that the
codes go to.

Who it is stands in the entity's key as a hash of few bits, made by the gateway. So nothing personal
is kept, and there is a bound to how many of these entities there are.
"""

from typing import Final

from engine import limits
from engine.activation import Activation
from engine.commands import Command
from engine.reasons import Reason
from engine.verification import record

_LONGEST_MS: Final = limits.CODE_LIMIT_DAYS * 86_400_000
_STARTS = "starts"  # in `Entity.state`: the definition's name to times


def take_count(act: Activation, command: Command) -> Reason:
    """Counts one start; see `commands.count`.

    Returns:
        ACCEPTED, DUPLICATE for a repeat, NOT_FOUND for no such definition, or VERIFICATION_LIMIT.
    """
    _, _, request_id, name = command[:4]
    verifier = act.program.verifications.get(name)
    if verifier is None:
        return Reason.NOT_FOUND
    allowed = verifier.limits_of(act.entity.id.partition(":")[0])
    if not allowed:
        return Reason.ACCEPTED
    if request_id in act.entity.seen:
        return Reason.DUPLICATE
    starts = act.entity.state.setdefault(_STARTS, {})
    longest_ms = max(within_ms for _, within_ms in allowed)
    times = [at_ms for at_ms in starts.get(name, ()) if at_ms > act.now - longest_ms]
    for at_most, within_ms in allowed:
        if sum(at_ms > act.now - within_ms for at_ms in times) >= at_most:
            return Reason.VERIFICATION_LIMIT
    if act.entity.seen.add(request_id, act.now):
        return Reason.USER_RATE
    starts[name] = [*times, act.now][-limits.CODE_STARTS :]
    act.set_timer(record.TIMER + name, act.now + longest_ms)
    return Reason.ACCEPTED


def set_timers(act: Activation) -> None:
    """Sets the timers at which starts are past, after they were lost in a quarantine."""
    for name, times in act.entity.state.get(_STARTS, {}).items():
        act.set_timer(record.TIMER + name, max(times[-1] + _LONGEST_MS, act.now + 1))


def forget(act: Activation, name: str) -> None:
    """Forgets the starts of a definition, all of which are past."""
    starts = act.entity.state.get(_STARTS, {})
    starts.pop(name, None)
    if not starts:
        act.entity.state.pop(_STARTS, None)
