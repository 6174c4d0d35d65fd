"""The past of computed traits, as it comes in: joined with what has been counted since.

Each profile is told of once, for a command may come twice: `state["told"]` has, by trait, its mark
and the keys of those whose past is in the record. It moves along when profiles become one.
"""

from typing import TYPE_CHECKING, Any

from engine.computed import run
from engine.computed.merging import TOLD
from engine.packing import unpack

if TYPE_CHECKING:
    from engine.activation import Activation


def take_told(act: "Activation", key: str, told: bytes) -> list[str]:
    """Joins what was told of the past of a profile with what is kept.

    Args:
        act: At the profile, or at the one that it is a part of by now.
        key: Whose past it is.
        told: A msgpack map of a trait's name to its record, of one part or several.

    Returns:
        The names of the traits whose values changed.
    """
    state, defined = act.entity.state, act.program.computed
    changed: list[str] = []
    records: dict[str, list[Any]] = unpack(told)
    for name, record in records.items():
        trait = defined.get(name)
        if trait is None or record[0] != trait.mark:
            continue
        known: list[str] = state.setdefault(TOLD, {}).setdefault(name, [trait.mark])
        if known[0] != trait.mark:
            known[:] = [trait.mark]
        if key not in known[1:]:
            known.append(key)
            if run.unite(act, trait, record):
                changed.append(name)
    return changed
