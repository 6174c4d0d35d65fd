"""A code that was sent, and the nodes that it counts for."""

from typing import Final

from engine.fraud.blocks import Block
from engine.fraud.delays import Delays
from engine.fraud.node import Area, Node

OPEN: Final = 0  # under way
LATE: Final = 1  # given up, and may be verified yet
VERIFIED: Final = 2
GONE: Final = 3  # nothing more is to come of it

VOTES: Final = 1  # it tells of its network's health
KNOWN: Final = 2  # its number was verified before: it tells of its country's


class Scope:
    """The wide nodes of a message.

    Attributes:
        areas: Its classes, the narrowest first; `group`: that one.
        network: Its network; `region`: its country.
        all: All of them, and the workspace's.
        opened: The keys of its codes under way, the oldest first.
        good: Codes that were verified, and that its nodes do not know of yet; `ripe`: those of them
            that are so old that others would be given up.
        delays: How long people of its country take.
        beside: The same classes of the country that shares its code; none for proven prefixes.
        calm_ms: Until when nothing needs to be asked of its classes; `calm_out`: with so many codes
            of it under way at most.
    """

    __slots__ = (
        "all", "areas", "beside", "calm_ms", "calm_out", "delays", "good", "group", "network",
        "opened", "region", "ripe",
    )  # fmt: skip

    def __init__(
        self, areas: list[Area], network: Area, region: Area, root: Area, delays: Delays,
        beside: list[Area],
    ) -> None:  # fmt: skip
        self.areas = areas
        self.group = areas[0]
        self.network = network
        self.region = region
        self.all = [*areas, network, region, root]
        self.opened: list[int] = []
        self.good = self.ripe = self.calm_ms = self.calm_out = 0
        self.delays = delays
        self.beside = beside


class Said:
    """What a code has said when it was given up: in narrow nodes, the slow test, and wide nodes."""

    __slots__ = ("area", "leaf", "slow")

    def __init__(self, leaf: float, slow: float, area: float) -> None:
        self.leaf = leaf
        self.slow = slow
        self.area = area


class Code:
    """A code that was sent.

    Args:
        number: To whom.
        key: Its time in milliseconds and its place among those of the same one: unique, rising.
        b5: Its block of 100,000 numbers.
        b4: Its block of 10,000 numbers.
        scope: Its wide nodes.

    Attributes:
        more: Other narrow nodes: smaller blocks, whoever asks.
        state: See above.
        took_ms: How long it took to be verified.
        vote: See above; 0 for neither.
        again: How often it was asked for again.
        probes: Blocks that let it pass to see what happens.
        said: What it has said, once it was given up.
    """

    # Not a msgspec.Struct: compiled code reads and writes a field of its own classes at once.
    __slots__ = (
        "again", "b4", "b5", "key", "more", "number", "probes", "said", "scope", "state",
        "took_ms", "vote",
    )  # fmt: skip

    def __init__(self, number: str, key: int, b5: Node, b4: Node, scope: Scope) -> None:
        self.number = number
        self.key = key
        self.b5 = b5
        self.b4 = b4
        self.scope = scope
        self.more: list[Node] | None = None
        self.state = OPEN
        self.took_ms = self.vote = self.again = 0
        self.probes: tuple[tuple[Node, Block], ...] = ()
        self.said: Said | None = None

    @property
    def leaves(self) -> list[Node]:
        """Its narrow nodes, its widest block first."""
        return [self.b5, self.b4, *(self.more or ())]
