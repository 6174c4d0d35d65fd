"""Most messages are to places that nothing is near to being found against: those leave at once.

This decides nothing by itself. A place is calm if no test of the guard could find anything, even if
each code under way there said the most that one can say. Where that is not so the guard looks
closely; if it finds nothing near, the place has *slack*: for a second (a class: up to 20), or until
there are some more codes under way, it is not asked again.
"""

from typing import Final

from engine.fraud.book import Book
from engine.fraud.codes import Scope
from engine.fraud.evidence import FAN_WALK, class_crowd, said
from engine.fraud.figures import Figures
from engine.fraud.look import ODD_KINDS
from engine.fraud.node import MOST, Area, Node

SLACK_MS: Final = 1_000
_CLASS_SLACK_MS: Final = 5_000
_LONG_SLACK_MS: Final = 20_000
_FEW: Final = 6  # codes under way in a class that are no crowd
_ODD: Final = 2.0  # what a class under suspicion adds to the odds of its messages at most
_SURELY: Final = 0.98
_LOW: Final = 1.0  # evidence against a class that does not come to much within that time
_HIGH: Final = 3.0  # evidence against a class from which on it is looked at each time


class Calm:
    """See the module's text.

    Args:
        figures: The figures of the guard.
    """

    __slots__ = ("_figures", "_gate", "_leaf", "_most", "_slow", "_window")

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self._most = said(MOST * _SURELY, figures.leaf_ratio)  # what a code says at most
        self._leaf = figures.prior - _ODD - 0.1
        self._gate = figures.area_prior - 0.1
        self._window = figures.area_window
        self._slow = figures.slow_prior - 1.0 - said(MOST * _SURELY, figures.slow_ratio)

    def is_calm(
        self, book: Book, e164: str, scope: Scope, b5: Node | None, b4: Node | None, kind: int,
        now_ms: int,
    ) -> bool:  # fmt: skip
        """Whether nothing could be found against a number.

        Args:
            book: What is known of its workspace.
            e164: The number.
            scope: Its wide nodes.
            b5: Its block of 100,000 numbers, if that is known.
            b4: Its block of 10,000.
            kind: Its type.
            now_ms: The time.
        """
        if kind in ODD_KINDS or (book.holds and book.held.get(e164) is not None):
            return False
        region = scope.region
        if (region.heard < 1.0 or region.alarms > 1.0) and book.trusted:
            return False
        if b4 is not None:
            if b4.block is not None:
                return False
            out = len(b4.opened)
            if (
                (out or b4.walk > 0.5)
                and (now_ms >= b4.calm_ms or out > b4.calm_out)
                and not self._block_is_calm(book, e164, b4, out, region)
            ):
                return False
        if b5 is not None and (b5.block is not None or b5.walk > self._leaf):
            return False
        for area in scope.areas:
            if area.block is not None or area.walk > _HIGH:
                return False
        for area in scope.beside:
            if area.block is not None:
                return False
        opened = scope.opened
        if not opened or (now_ms < scope.calm_ms and len(opened) <= scope.calm_out):
            return True
        return self._classes_are_calm(book, scope, now_ms)

    def _block_is_calm(self, book: Book, e164: str, b4: Node, out: int, region: Area) -> bool:
        """The same of a block of 10,000 numbers with codes under way, and of its parts."""
        if b4.walk + out * self._most > self._leaf or b4.slow > self._slow:
            return False
        if out > 1:  # up to twice its share the crowd is worth no more than `_ODD`
            share = (b4.good + 0.5) / (region.heard + 50.0)
            if out > 1.5 + 2.0 * share * region.out:
                return False
        for name in (e164[:-3], e164[:-2]):
            part = book.nodes.get(name)
            if part is not None:
                out = len(part.opened)
                if out > 1 or part.walk + out * self._most > self._leaf or part.block is not None:
                    return False
        return True

    def _classes_are_calm(self, book: Book, scope: Scope, now_ms: int) -> bool:
        """The same of classes with codes under way."""
        region = scope.region
        there = region.out
        for area in scope.areas:
            if there <= _FEW and area.walk + there * area.full <= self._gate:
                continue  # it has no more than its country
            if now_ms < area.calm_ms and there <= area.calm_out:
                continue
            weight = book.weigh_area(area, now_ms)
            if weight > _HIGH:
                return False
            if area.out > _FEW:
                if class_crowd(area, region, self._figures) > _ODD:
                    return False
                area.fade(now_ms, self._figures)
                if area.out >= self._window + area.lately:
                    return False
            area.calm_ms = now_ms + (_LONG_SLACK_MS if weight <= _LOW else _CLASS_SLACK_MS)
            area.calm_out = there + 2 + there // 8
        return True

    def are_calm(self, book: Book, sources: list[str], now_ms: int) -> bool:
        """Whether nothing could be found against who asks."""
        for name in sources:
            node = book.nodes.get(name)
            if node is not None:
                out = len(node.opened)
                if node.block is not None or (
                    node.walk + out * self._most >= FAN_WALK
                    and (now_ms >= node.calm_ms or out > node.calm_out)
                ):
                    return False
        return True

    @staticmethod
    def give_slack(nodes: list[Node], scope: Scope, now_ms: int) -> None:
        """Nothing is near to being found against these."""
        for node in nodes:
            node.calm_ms = now_ms + SLACK_MS
            out = len(node.opened)
            node.calm_out = out + 1 + out // 4
        scope.calm_ms = now_ms + SLACK_MS
        out = len(scope.opened)
        scope.calm_out = out + 1 + out // 8
