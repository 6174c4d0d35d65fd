"""Most messages are to places that nothing is near to being found against: those are let go early.

This decides nothing by itself. A message is calm only if every test of the guard would find
nothing, which is what the guard would have said after asking them all.
"""

from typing import Final

from engine.fraud.evidence import FAN_WALK
from engine.fraud.figures import Figures
from engine.fraud.look import Look

FEW: Final = 7  # codes under way in a class that are no crowd
_ODD_GATE: Final = 4.0  # evidence against a class from which on its messages are odd


def is_calm(look: Look, figures: Figures) -> bool:
    """Whether no node of a message is blocked, crowded, or near to being found guilty.

    What is odd about the message by itself (its kind of number, its country) is not asked here.
    """
    near, near_slow = figures.prior - 3.0, figures.slow_prior - 1.0
    for node in look.leaves:
        walk = node.walk
        if node.block is not None or node.slow > near_slow:
            return False
        if walk >= FAN_WALK and (walk > near or node.name[0] != "+"):
            return False
    b4, b3, b2 = look.b4, look.b3, look.b2
    if (b4 is not None and b4.out > 1) or (b3 is not None and b3.out):
        return False
    if b2 is not None and b2.out:
        return False
    region, near = look.region, min(_ODD_GATE, figures.area_prior - 3.0)
    for node in look.gates:
        if node.block is not None or node.walk > near:
            return False
        out = node.out
        if out >= FEW and (
            out >= figures.area_window + node.fresh
            or out >= (node.good + 1.0) / (region.good + 2.0) * (region.out + 1)
        ):
            return False
    return True
