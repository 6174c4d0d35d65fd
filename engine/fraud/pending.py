"""A code that was sent and waits to be verified, and the nodes that it counts for."""

from collections.abc import Sequence

from engine.fraud.blocks import Block
from engine.fraud.node import Node


class Scope:
    """The wide nodes of a message.

    Attributes:
        names: Of its classes, the narrowest first; `areas`: these classes.
        network: Its network; `region`: its country.
        all: All of them.
    """

    __slots__ = ("all", "areas", "names", "network", "region")

    def __init__(self, names: list[str], areas: list[Node], network: Node, region: Node) -> None:
        self.names = names
        self.areas = areas
        self.network = network
        self.region = region
        self.all = [*areas, network, region]


class Pending:
    """A code that was sent.

    Attributes:
        number: To whom.
        leaves: The narrow nodes it counts for, its blocks of 100,000 and 10,000 numbers first.
        scope: The wide ones.
        at_ms: When.
        stage: The next stage of its age.
        block: Its block of 10,000 numbers.
        known: Whether the number was verified before.
        usual: The usual share of verified codes of its network.
        leaf_said: What it has said so far in narrow nodes; `area_said`: in wide ones; `slow_said`:
            in the slow test of its block.
        leaf_p: The usual share of verified codes for narrow nodes; `area_p`: for wide ones.
        vote: Whether it tells of the network's health.
        probes: Blocks that let it pass to see what happens.
        again: How often it was asked for again.
        closed: Whether nothing more is to come of it.
    """

    __slots__ = (
        "again", "area_p", "area_said", "at_ms", "block", "closed", "known", "leaf_p",
        "leaf_said", "leaves", "number", "probes", "scope", "slow_said", "stage", "usual", "vote",
    )  # fmt: skip

    def __init__(
        self, number: str, leaves: list[Node], scope: Scope, block: Node, known: bool, at_ms: int
    ) -> None:
        self.number = number
        self.leaves = leaves
        self.scope = scope
        self.block = block
        self.known = known
        self.at_ms = at_ms
        self.stage = self.again = 0
        self.leaf_said = self.area_said = self.slow_said = 0.0
        self.usual = self.leaf_p = self.area_p = 0.0
        self.vote = self.closed = False
        self.probes: Sequence[tuple[Node, Block]] = ()


def explained_by(leaves: list[Node]) -> int:
    """The place of the narrowest prefix that has a block, 0 for none.

    What happens there is explained: it is no evidence against wider nodes.
    """
    if len(leaves) > 2:
        for at in range(min(len(leaves), 4) - 1, 1, -1):
            if leaves[at].block is not None and leaves[at].name[0] == "+":
                return at
    return 0 if leaves[1].block is None else 1
