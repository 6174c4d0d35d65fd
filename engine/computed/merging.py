"""What computed traits have kept of two profiles that become one.

Only a trait's definition knows how to make one of two, and the place where profiles meet does not
look at definitions. So the parts are put side by side, `[mark, kept, capped ms, mark, …]`, and
`engine.computed.refresh`, which a merge calls next, makes one of them.
"""

from collections.abc import Iterator
from typing import Any, Final

STATE: Final = "computed"  # in `Entity.state`: trait to `[mark, kept, capped ms]`
TOLD: Final = "told"  # in `Entity.state`: see `engine.computed.told`
PART: Final = 3


def join(mine: dict[str, list[Any]], theirs: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The parts of both, trait by trait."""
    joined = dict(mine)
    for name, record in theirs.items():
        joined[name] = [*mine.get(name, ()), *record]
    return joined


def join_told(mine: dict[str, list[str]], theirs: dict[str, list[str]]) -> dict[str, list[str]]:
    """Whose past is in the records of either, by trait: `[mark, key, …]`."""
    joined = {**theirs, **mine}
    for name in mine.keys() & theirs.keys():
        if mine[name][0] == theirs[name][0]:
            joined[name] = list(dict.fromkeys([*mine[name], *theirs[name]]))
    return joined


def parts_of(record: list[Any]) -> Iterator[tuple[str, Any, int]]:
    """The parts of a record: one, or after a merge several."""
    for at in range(0, len(record), PART):
        mark, kept, capped_ms = record[at : at + PART]
        yield mark, kept, capped_ms
