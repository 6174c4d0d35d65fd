"""What is held against whom: the blocks of all workspaces, their terms, and their end.

A block is of a node and stands with it. Here are the terms: how long the next one lasts, what a
failed or a verified probe does to it, and what has to be written down at once.
"""

from collections.abc import Iterable
from typing import Any

from engine import limits
from engine.fraud.blocks import BLOCK, CHALLENGE, Block, Verdict, span
from engine.fraud.book import Book
from engine.fraud.figures import STAGES_MS, Figures
from engine.fraud.node import Node

PROBE_MS = STAGES_MS[-1]


class Holding:
    """See the module's text.

    Args:
        figures: The figures of the guard.
    """

    __slots__ = ("_blocks", "_figures", "_news", "_past")

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self._blocks: dict[str, Node] = {}
        self._past: dict[str, tuple[int, int]] = {}  # times and end of blocks that are over
        self._news: list[tuple[str, list[Any]]] = []

    def begin(self, workspace: str, node: Node, block: Block, now_ms: int, first: int = 0) -> None:
        """Begins a block, or the next one in a row.

        Args:
            workspace: Whose node it is.
            node: Against whom.
            block: The block; its term is set here.
            now_ms: The time.
            first: How many times in a row a first block counts for already.
        """
        name = f"{workspace} {node.name}"
        times, until_ms = self._past.get(name, (0, 0))
        if node.block is not None:
            times, until_ms = node.block.times, node.block.until_ms
        if not times or now_ms > until_ms + self._figures.forgiven_ms:
            times = first
        block.times = times + 1
        block.until_ms = now_ms + self.length(block)
        node.block = block
        if len(self._blocks) >= limits.FRAUD_BLOCKS and name not in self._blocks:
            self.end(min(self._blocks, key=self._until_of))
        self._blocks[name] = node
        self.tell(name, block)

    def end(self, name: str) -> None:
        """A block is over; how often there was one is remembered."""
        node = self._blocks.pop(name)
        if node.block is not None:
            if len(self._past) >= limits.FRAUD_BLOCKS:
                del self._past[next(iter(self._past))]
            self._past[name] = (node.block.times, node.block.until_ms)
            node.block = None

    def length(self, block: Block) -> int:
        """How long a block lasts."""
        figures = self._figures
        longest_ms = figures.area_longest_ms if block.wide else figures.longest_ms
        doublings = (block.times - 1) * (2 if block.barren else 1)
        return min(longest_ms, figures.first_ms << min(doublings, 20))

    def verdict(self, block: Block, weight: float, block_score: int, now_ms: int) -> Verdict:
        """What a block means for a message that it stops."""
        score = int(block.score * weight)
        action = BLOCK if not block.wide and score >= block_score else CHALLENGE
        if block.until_ms > now_ms:
            verb = "blocked" if action == BLOCK else "challenged"
            row = f" (block {block.times} in a row)" if block.times > 1 else ""
            why = f"{block.told}; {verb} for {span(self.length(block))}{row}"
            return Verdict(action, block.code, why, block.until_ms, score)
        why = f"{block.told}; half open: one message at a time passes, and one is under way"
        return Verdict(CHALLENGE, block.code, why, block.probe_ms + PROBE_MS, score)

    def probed(self, workspace: str, book: Book, now_ms: int) -> None:
        """Closes blocks again whose probe failed, opens those whose probes were verified."""
        for node, block in book.failed:
            if node.block is block:
                block.times += 1
                block.good = 0
                block.probe_ms = 0
                block.until_ms = now_ms + self.length(block)
                self.tell(f"{workspace} {node.name}", block)
        for node in book.opened:
            if node.block is None:
                continue
            name = f"{workspace} {node.name}"
            node.walk = min(node.walk, 1.5)
            node.slow = min(node.slow, 3.0)
            node.calm_ms = 0
            node.block.until_ms = now_ms
            node.block.score = 0  # so that a restart knows that it is over
            self.tell(name, node.block)
            self.end(name)
            region = book.areas.get(node.name.partition("/")[0])
            if region is not None:
                region.alarms *= 0.5
        book.failed, book.opened = [], []

    def rename(self, was: str, name: str) -> None:
        """A node has another name."""
        node = self._blocks.pop(was, None)
        if node is not None:
            self._blocks[name] = node

    def tell(self, name: str, block: Block) -> None:
        """Has a block written down."""
        if len(self._news) < limits.FRAUD_BLOCKS:
            self._news.append((name, block.row(name)))

    def news(self) -> list[tuple[str, list[Any]]]:
        """What was to be written down since the last call."""
        news, self._news = self._news, []
        return news

    def shown(self, now_ms: int) -> list[dict[str, Any]]:
        """The blocks that stand now."""
        return [
            {"what": name, "code": block.code, "why": block.told, "score": block.score,
             "until_ms": block.until_ms, "times": block.times, "denied": block.denied}
            for name, node in self._blocks.items()
            if (block := node.block) is not None and block.until_ms > now_ms
        ]  # fmt: skip

    def rows(self) -> list[Any]:
        """What a restart keeps."""
        return [
            node.block.row(name)
            for name, node in self._blocks.items()
            if node.block is not None
        ]  # fmt: skip

    def restore(self, name: str, node: Node, block: Block) -> None:
        """Takes in what was kept; of two rows of one block the later one holds."""
        if node.block is not None and block.score and node.block.until_ms >= block.until_ms:
            return
        node.block = block
        self._blocks[name] = node
        if not block.score:
            self.end(name)

    def _until_of(self, name: str) -> int:
        block = self._blocks[name].block
        return block.until_ms if block is not None else 0


def rows_of(snapped: Iterable[list[Any]]) -> Iterable[tuple[str, str, Block]]:
    """Workspace, node and block of kept rows; format 1 had five columns, format 2 had eight."""
    for row in snapped:
        barren = False
        if len(row) == 5:
            name, times, until_ms, code, told = row
            wide, blind, score = False, True, 95
        else:
            name, times, until_ms, wide, blind, code, told, score, *rest = row
            barren = bool(rest and rest[0])
        workspace, _, node = name.partition(" ")
        block = Block(wide, blind, code, told, score)
        block.times, block.until_ms, block.barren = times, until_ms, barren
        yield workspace, node, block
