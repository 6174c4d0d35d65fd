"""What a code that leaves may become evidence for: every node of its number and of who asked."""

from typing import Final

from engine.fraud.book import Pending
from engine.fraud.figures import STAGES_MS, Figures
from engine.fraud.look import Look
from engine.fraud.node import SETTLE_MS, Node, saw
from engine.fraud.repeats import Repeats

_USUAL_MS: Final = 30_000  # what is usual is worked out this often


def feed(look: Look, figures: Figures, repeats: Repeats) -> None:
    """A code leaves: from now on it is under way, and ages into evidence."""
    book, e164, now_ms = look.book, look.e164, look.now_ms
    waiting = book.pending.get(e164)
    if waiting is not None and waiting.stage < len(STAGES_MS):
        repeats.add(f"{look.workspace} {e164}", waiting.at_ms, now_ms)
        book.again(waiting, now_ms)
        return
    known = e164 in book.known
    if known:
        book.known[e164] += 1
    region, network = look.region, book.area(look.place.network, now_ms)
    b5 = look.b5 or book.node(e164[:-5], now_ms)
    b4 = look.b4 or book.node(e164[:-4], now_ms)
    leaves = [b5, b4]
    if b4.out or b4.walk > 0.5:
        leaves += (book.node(e164[:-3], now_ms), book.node(e164[:-2], now_ms))
    _in_sequence(leaves, b4, int(e164[-4:]), figures.walk_top)
    for name in look.sources:
        source = book.node(name, now_ms)
        leaves.append(source)
        saw(source, b4.name)
        saw(b4, name)
    areas = [book.area(name, now_ms) for name in look.areas]
    pending = Pending(e164, leaves, areas, (network, region), now_ms, b4)
    pending.known = known
    if now_ms - network.usual_ms >= _USUAL_MS:
        network.usual, network.usual_wide = book.conversions(network, region)
        network.usual_ms = now_ms
    pending.usual, of_region = network.usual, network.usual_wide
    pending.leaf_p = book.conversion(b4, pending.usual, 10.0)
    pending.area_p = book.conversion(areas[0], of_region, 30.0)
    if not look.proof and now_ms - b4.voted_ms >= figures.vote_ms:
        b4.voted_ms = now_ms
        pending.vote = True
    for nodes in (leaves, areas):
        for node in nodes:
            if now_ms - node.at_ms > SETTLE_MS:
                node.settle(now_ms, figures)
            block = node.block
            if block is not None and block.until_ms <= now_ms and not block.blind:
                block.probe_ms = now_ms
                pending.probes.append((node, block))
    for node in (region, network, book.root):
        node.settle(now_ms, figures)
    book.send(pending, now_ms)


def _in_sequence(leaves: list[Node], b4: Node, last: int, top: float) -> None:
    """Numbers that follow each other closely are odd."""
    if b4.last >= 0 and 0 < abs(last - b4.last) <= 3:
        for node in leaves[1:]:
            node.walk = min(top, node.walk + 0.7)
    b4.last = last
