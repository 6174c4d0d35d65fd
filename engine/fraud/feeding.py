"""What a code that leaves may become evidence for: every node of its number and of who asked."""

from typing import Final

from engine.fraud.blocks import Block
from engine.fraud.figures import STAGES_MS, Figures
from engine.fraud.look import Look
from engine.fraud.node import SETTLE_MS, Node, met
from engine.fraud.pending import Pending, Scope
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
    scope = look.scope or _scope(look)
    network, nodes = scope.network, book.nodes
    b5 = look.b5 or book.node(e164[:-5], now_ms)
    b4 = look.b4 or book.node(e164[:-4], now_ms)
    leaves = [b5, b4]
    if b4.out or b4.walk > 0.5:
        leaves += (book.node(e164[:-3], now_ms), book.node(e164[:-2], now_ms))
    last = int(e164[-4:])
    if -3 <= last - b4.last <= 3 and last != b4.last >= 0:
        for node in leaves[1:]:  # numbers that follow each other closely are odd
            node.walk = min(figures.walk_top, node.walk + 0.7)
    b4.last = last
    for name in look.sources:
        source = nodes.get(name) or book.node(name, now_ms)
        leaves.append(source)
        met(source, b4)
    pending = Pending(e164, leaves, scope, b4, known, now_ms)
    if now_ms - network.usual_ms >= _USUAL_MS:
        network.usual, network.usual_wide = book.conversions(network, scope.region)
        network.usual_ms = now_ms
    pending.usual = usual = network.usual
    pending.leaf_p = book.conversion(b4, usual, 10.0)
    pending.area_p = book.conversion(scope.areas[0], network.usual_wide, 30.0)
    if not look.proof and now_ms - b4.voted_ms >= figures.vote_ms:
        b4.voted_ms = now_ms
        pending.vote = True
    settled_ms = now_ms - SETTLE_MS
    for nodes_ in (leaves, scope.areas):
        for node in nodes_:
            if node.at_ms < settled_ms:
                node.settle(now_ms, figures)
            node.out += 1
            if node.block is not None:
                _probe(pending, node, node.block, now_ms)
    network.out += 1
    scope.region.out += 1
    for node in (scope.region, network, book.root):
        if node.at_ms <= settled_ms:
            node.settle(now_ms, figures)
    book.send(pending, now_ms)


def _scope(look: Look) -> Scope:
    """The wide nodes of a message, made if they are new."""
    book, now_ms, place = look.book, look.now_ms, look.place
    network = book.area(place.network, now_ms)
    areas = [book.area(name, now_ms) for name in look.areas]
    scope = Scope(look.areas, areas, network, look.region)
    shared = [node.name for node in scope.all] != [*look.areas, place.network, place.region]
    if look.usual and not shared:
        book.scopes[look.proof][place.network] = scope
    return scope


def _probe(pending: Pending, node: Node, block: Block, now_ms: int) -> None:
    """A code that a half-open block lets pass tells how it goes on."""
    if block.until_ms <= now_ms and not block.blind:
        block.probe_ms = now_ms
        pending.probes = [*pending.probes, (node, block)]
