"""A code that was sent, and the nodes that it counts for."""

from typing import Final

from msgspec import Struct

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
        calm_ms: Until when nothing needs to be asked of its classes; `calm_out`: with so many codes
            of it under way at most.
    """

    __slots__ = (
        "all", "areas", "calm_ms", "calm_out", "delays", "good", "group", "network", "opened",
        "region", "ripe",
    )  # fmt: skip

    def __init__(
        self, areas: list[Area], network: Area, region: Area, root: Area, delays: Delays
    ) -> None:
        self.areas = areas
        self.group = areas[0]
        self.network = network
        self.region = region
        self.all = [*areas, network, region, root]
        self.opened: list[int] = []
        self.good = self.ripe = self.calm_ms = self.calm_out = 0
        self.delays = delays


class Said(Struct, frozen=True, gc=False):
    """What a code has said when it was given up: in narrow nodes, the slow test, and wide nodes."""

    leaf: float
    slow: float
    area: float


class Code(Struct, eq=False, gc=False):
    """A code that was sent.

    Attributes:
        number: To whom.
        key: Its time in milliseconds and its place among those of the same one: unique, rising.
        b5: Its block of 100,000 numbers.
        b4: Its block of 10,000 numbers.
        scope: Its wide nodes.
        more: Other narrow nodes: smaller blocks, whoever asks.
        state: See above.
        took_ms: How long it took to be verified.
        vote: See above; 0 for neither.
        again: How often it was asked for again.
        probes: Blocks that let it pass to see what happens.
        said: What it has said, once it was given up.
    """

    number: str
    key: int
    b5: Node
    b4: Node
    scope: Scope
    more: list[Node] | None = None
    state: int = OPEN
    took_ms: int = 0
    vote: int = 0
    again: int = 0
    probes: tuple[tuple[Node, Block], ...] = ()
    said: Said | None = None

    @property
    def leaves(self) -> list[Node]:
        """Its narrow nodes, its widest block first."""
        return [self.b5, self.b4, *(self.more or ())]
