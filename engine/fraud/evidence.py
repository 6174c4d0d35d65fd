"""How sure the guard is about a node, and what it says about it.

Log odds: the node's walk, what a crowd of codes is worth, what else is odd about the message, less
the prior, less the harm a wrong block would do: where many people are verified every day it takes
more to stop them. The score is the probability of these odds, in percent.
"""

from math import exp, log, log1p
from typing import Final

from engine.fraud.book import Book
from engine.fraud.figures import Figures
from engine.fraud.node import Node, excess

_FAN_FROM: Final = 3.0
FAN_WALK: Final = 0.3  # evidence from which on it counts


def score_of(odds: float) -> int:
    """0 to 100, of log odds."""
    if odds < -20.0:
        return 0
    return min(99, int(100.0 / (1.0 + exp(-odds))))


def crowd(out: int, expected: float, figures: Figures) -> float:
    """What it is worth that so many codes are under way where so many were to be expected.

    The log-likelihood ratio of a Poisson count at its best rate, scaled down and bounded.
    """
    if out <= expected:
        return 0.0
    worth = figures.surprise * (out * log(out / expected) - out + expected)
    return min(worth, figures.volume_top)


def prefix_crowd(block: Node, region: Node, figures: Figures) -> float:
    """A crowd in a block of 10,000, in its country's traffic of this moment.

    In a rush every block has more, each in its share, so a product launch is no surprise.
    """
    out = block.out + 1
    if out < 3:
        return 0.0
    share = (block.good + 0.5) / (region.good + 50.0)
    return crowd(out, 0.3 + share * (region.out + 1), figures)


def part_crowd(part: Node, block: Node, size: float, figures: Figures) -> float:
    """A crowd in a part of a block: sequential and clustered numbers."""
    if part.out < 1:
        return 0.0
    return crowd(part.out + 1, 0.05 + size * (block.out + 1), figures)


def class_crowd(node: Node, region: Node, figures: Figures) -> float:
    """A crowd in a class of prefixes, in its country's traffic of this moment."""
    out = node.out + 1
    if out < 8 or region.good < 3.0:
        return 0.0
    share = (node.good + 1.0) / (region.good + 2.0)
    return crowd(out, 1.0 + share * (region.out + 1), figures)


def leaf_odds(node: Node, extra: float, now_ms: int, figures: Figures) -> float:
    """Log odds of fraud for a narrow node."""
    harm = log1p(node.per_day(now_ms, figures) / 4.0)
    fast = node.walk + extra - figures.prior
    return max(fast, node.slow - figures.slow_prior) - harm


def is_no_outage(node: Node, region: Node, now_ms: int, figures: Figures) -> bool:
    """Whether codes to *proven* prefixes fail for another reason than that none arrive.

    Their failing is what an outage looks like. It is none if there is far more traffic than usual,
    or if known numbers were verified all the while.
    """
    if node.due >= 3.0 and node.seen >= 0.8 * node.due:
        return True
    return excess(region, now_ms, figures) > 0.5


def fan(node: Node) -> float:
    """What it is worth that one address or device asks for codes to many prefixes."""
    if node.things is None or node.walk < FAN_WALK:
        return 0.0
    unproven = node.things.count() - 2.0 * node.good - _FAN_FROM
    return max(0.0, min(3.0, 0.5 * unproven))


def told(book: Book, node: Node, label: str, usual: float) -> str:
    """What was found at a node, in words and numbers."""
    settled = node.sent
    parts = []
    if settled >= 0.5:
        parts.append(f"{node.good:.0f} of {settled:.0f} codes to {label} were verified lately")
    if node.out:
        more = f"{node.out} wait" if parts else f"{node.out} codes to {label} wait"
        parts.append(more + " for their code to be typed in")
    if not parts:
        parts.append(f"codes to {label}")
    words = ", ".join(parts)
    if book.trusted:
        words += f"; {usual:.0%} are usual; evidence {node.walk:.1f}"
    if node.things is not None and node.things.count() >= 2:
        what = "prefixes" if node.name[:1] != "+" else "addresses"
        words += f", about {node.things.count():.0f} {what}"
    return words
