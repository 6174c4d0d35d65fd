"""How sure the guard is about a node, and what it says about it.

Log odds: the node's weight (its walk, and what the codes under way say by their age), what a crowd
of codes is worth, what else is odd about the message, less the prior, less the harm a wrong block
would do: where many people are verified every day it takes more to stop them. The score is the
probability of these odds, in percent.
"""

from math import exp, log, log1p
from typing import Final

from engine.fraud.figures import STAGE_1_MS, STAGES_MS, Figures, stage_of
from engine.fraud.node import KEY_BITS, Area, Node, excess, place_of

FAN_WALK: Final = 0.3  # evidence from which on it counts
_FAN_FROM: Final = 3.0
HISTORY: Final = 50.0  # verified codes of a country from which on its classes have a share
_FEW: Final = 6  # codes that are looked at one by one


def score_of(odds: float) -> int:
    """0 to 100, of log odds."""
    if odds < -20.0:
        return 0
    return min(99, int(100.0 / (1.0 + exp(-odds))))


def said(expected: float, ratio: float) -> float:
    """What a code says that is not verified.

    Args:
        expected: The share that would have been by now, as is usual.
        ratio: The part of it that fraud leaves.
    """
    return log((1.0 - ratio * expected) / (1.0 - expected))


def steps_of(usual: float, ratio: float, done: list[float]) -> list[float]:
    """What a code says that is not verified, by the stages of its age."""
    return [said(usual * share, ratio) for share in done]


def waiting(opened: list[int], steps: list[float], now_ms: int) -> float:
    """What codes under way say by their age.

    Cost: 0.2 µs a code up to six, 2 µs for any number of them; compiled, a tenth of that.
    """
    total = 0.0
    older = len(opened)
    if older <= _FEW:
        for key in opened:
            age_ms = now_ms - (key >> KEY_BITS)
            if age_ms < STAGE_1_MS:
                break  # those after it are younger
            total += steps[stage_of(age_ms) - 1]
        return total
    before = 0.0
    for stage in range(len(STAGES_MS)):
        older = older_than(opened, STAGES_MS[stage], now_ms, older)
        if not older:
            break
        step = steps[stage]
        total += older * (step - before)  # what a code says more than a stage earlier
        before = step
    return total


def older_than(opened: list[int], age_ms: int, now_ms: int, most: int) -> int:
    """How many of the oldest codes under way are so old."""
    due = now_ms - age_ms + 1 << KEY_BITS
    if not most or opened[0] >= due:
        return 0
    return place_of(opened, due, most)


def crowd(out: int, expected: float, figures: Figures) -> float:
    """What it is worth that so many codes are under way where so many were to be expected.

    The log-likelihood ratio of a Poisson count at its best rate, scaled down and bounded.
    """
    if out <= expected:
        return 0.0
    worth = figures.surprise * (out * log(out / expected) - out + expected)
    return min(worth, figures.volume_top)


def prefix_crowd(block: Node, region: Area, figures: Figures) -> float:
    """A crowd in a block of 10,000, in its country's traffic of this moment.

    In a rush every block has more, each in its share, so a product launch is no surprise.
    """
    out = len(block.opened) + 1
    if out < 3:
        return 0.0
    share = (block.good + 0.5) / (region.heard + 50.0)
    return crowd(out, 0.3 + share * (region.out + 1), figures)


def part_crowd(part: Node, block: Node, size: float, figures: Figures) -> float:
    """A crowd in a part of a block: sequential and clustered numbers."""
    if not part.opened:
        return 0.0
    return crowd(len(part.opened) + 1, 0.05 + size * (len(block.opened) + 1), figures)


def class_crowd(area: Area, region: Area, figures: Figures) -> float:
    """A crowd in a class of prefixes, in its country's traffic of this moment."""
    out = area.out + 1
    if out < 8 or region.heard < HISTORY:
        return 0.0
    share = (area.heard + 1.0) / (region.heard + 2.0)
    return crowd(out, 1.0 + share * (region.out + 1), figures)


def leaf_odds(node: Node, fast: float, slow: float, now_ms: int, figures: Figures) -> float:
    """Log odds of fraud for a narrow node, of the weights of both of its tests."""
    harm = log1p(node.per_day(now_ms, figures) / 4.0)
    return max(fast - figures.prior, slow - figures.slow_prior) - harm


def is_no_outage(area: Area, region: Area, now_ms: int, figures: Figures) -> bool:
    """Whether codes to *proven* prefixes fail for another reason than that none arrive.

    Their failing is what an outage looks like. It is none if there is far more traffic than usual,
    or if known numbers were verified all the while.
    """
    if area.due >= 8.0 and area.seen >= 0.9 * area.due:
        return True
    return excess(region, now_ms, figures) > 0.5


def fan(node: Node) -> float:
    """What it is worth that one address or device asks for codes to many prefixes."""
    if node.things is None or node.weight < FAN_WALK:
        return 0.0
    unproven = node.things.count() - 2.0 * node.good - _FAN_FROM
    return max(0.0, min(3.0, 0.5 * unproven))


def told(node: Node, out: int, label: str, usual: float, trusted: bool) -> str:
    """What was found at a node, in words and numbers."""
    parts = []
    if node.sent >= 0.5:
        parts.append(f"{node.good:.0f} of {node.sent:.0f} codes to {label} were verified lately")
    if out:
        more = f"{out} wait" if parts else f"{out} codes to {label} wait"
        parts.append(more + " for their code to be typed in")
    if not parts:
        parts.append(f"codes to {label}")
    words = ", ".join(parts)
    if trusted:
        words += f"; {usual:.0%} are usual; evidence {node.weight:.1f}"
    if node.things is not None and node.things.count() >= 2:
        what = "prefixes" if node.name[:1] != "+" else "addresses"
        words += f", about {node.things.count():.0f} {what}"
    return words
